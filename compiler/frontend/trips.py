"""How often the body of a ``Loop`` runs, where that is known before the run.

    op Loop (20, true, 0, s) { n' = n + 1;  s' = MatMul(s, w);  goes on while n' < 7 }    7 trips

A condition that follows from the number of the trip and from numbers that are known is worked out: the loop is run
without anything else in its body. Exporters of TensorFlow write every loop over time so.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from effc.backends.host import run_model
from effc.compiler.errors import InputError
from effc.compiler.frontend.fold import ELEMENTWISE, REDUCING, constant_value
from effc.compiler.frontend.node import Node
from effc.compiler.frontend.read import guard
from effc.ir.graph import Array

MOST = 10_000
"""Trips that are tried."""

IR_VERSION = 8

RESHAPING = ("Reshape", "Squeeze", "Unsqueeze")
"""Operators whose second input may have several words, this many."""
AXES = 64

SIMPLE = frozenset(f"{ELEMENTWISE} {REDUCING}".split()) | set(RESHAPING)
"""Operators that make one word of words."""

TRIP = "effc:trip"


def known_trips(node: Node, body: onnx.GraphProto) -> int | None:
    """The trips of a ``Loop``; None if the data decide."""
    most, condition = node.constant(0), node.constant(1)
    for position, value in enumerate((most, condition)):
        if node.input(position) is not None and (value is None or value.size != 1):
            return None
    if condition is not None and not condition.item():
        return 0
    limit = None if most is None else max(0, int(most.item()))
    tried = MOST if limit is None else min(limit, MOST)
    with guard("a constant in its body cannot be read", node.place):
        if goes_on(body):
            return limit
        alone = _condition_alone(node, body, tried)
    if alone is None:
        return None
    try:
        trips = len(run_model(alone, {})[TRIP])
    except InputError:
        return None
    return None if trips == MOST != limit else trips


def goes_on(body: onnx.GraphProto) -> bool:
    """Whether the condition that the body gives back is the one that it gets, or true."""
    name = body.output[0].name
    known = {tensor.name: tensor for tensor in body.initializer}
    known |= {
        node.output[0]: attribute.t
        for node in body.node
        for attribute in node.attribute
        if node.op_type == "Constant" and attribute.name == "value"
    }
    sources = {
        node.output[0]: node.input[0] for node in body.node if node.op_type in ("Identity", "Cast") and not node.domain
    }
    while name in sources:
        name = sources[name]
    if name in known:
        return bool(np.all(numpy_helper.to_array(known[name])))
    return len(body.input) > 1 and name == body.input[1].name


def _condition_alone(node: Node, body: onnx.GraphProto, trips: int) -> onnx.ModelProto | None:
    """A model of the loop with what its condition needs, and the numbers of its trips as a result; None where the
    condition needs more than single words that are known.
    """
    makers = {name: proto for proto in body.node for name in proto.output if name}
    carried = {value.name: j for j, value in enumerate(body.input[2:])}
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in body.initializer}
    own = {value.name for value in body.input[:2]}
    needed: dict[str, Array | onnx.NodeProto] = {}
    wanted = [(body.output[0].name, 1)]
    while wanted:
        name, most = wanted.pop()
        if not name or name in own or name in needed:
            continue
        maker = makers.get(name)
        if maker is not None and maker.op_type != "Constant":
            if maker.domain or maker.op_type not in SIMPLE:
                return None
            needed[name] = maker
            second = AXES if maker.op_type in RESHAPING else 1
            wanted += [(read, second if position else 1) for position, read in enumerate(maker.input)]
            continue
        if name in carried:
            wanted.append((body.output[1 + carried[name]].name, 1))
            value = node.constant(2 + carried[name])
        else:
            value = _value(node, maker) if maker is not None else values.get(name, node.constants.get(name))
        if value is None or value.size > most:
            return None
        needed[name] = value
    states = [name for name in needed if name in carried]
    return _model(node, body, needed, states, trips)


def _value(node: Node, proto: onnx.NodeProto) -> Array:
    """What a ``Constant`` gives."""
    return constant_value(Node(proto, proto.name, node.version, (), (), {}))


def _model(
    node: Node,
    body: onnx.GraphProto,
    needed: Mapping[str, Array | onnx.NodeProto],
    states: list[str],
    trips: int,
) -> onnx.ModelProto:
    arrays = {name: value for name, value in needed.items() if not isinstance(value, onnx.NodeProto)}
    after = dict(zip((value.name for value in body.input[2:]), (value.name for value in body.output[1:])))
    results = [body.output[0].name, *(after[name] for name in states), body.input[0].name]
    outputs = ["effc:condition", *(f"effc:{name}" for name in states), TRIP]
    types = [TensorProto.BOOL, *(helper.np_dtype_to_tensor_dtype(arrays[name].dtype) for name in states)]
    inner = helper.make_graph(
        [
            *(proto for proto in body.node if any(needed.get(name) is proto for name in proto.output)),
            *(helper.make_node("Identity", [name], [output]) for name, output in zip(results, outputs)),
        ],
        "body",
        [
            helper.make_tensor_value_info(body.input[0].name, TensorProto.INT64, []),
            helper.make_tensor_value_info(body.input[1].name, TensorProto.BOOL, []),
            *(helper.make_tensor_value_info(name, kind, None) for name, kind in zip(states, types[1:], strict=True)),
        ],
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in zip(outputs, [*types, TensorProto.INT64], strict=True)
        ],
        [numpy_helper.from_array(value, name) for name, value in arrays.items() if name not in states],
    )
    given = {"effc:most": np.array(trips, np.int64), "effc:begins": np.array(True)}
    given |= {f"effc:first/{name}": arrays[name] for name in states}
    loop = helper.make_node("Loop", list(given), [*(f"effc:last/{name}" for name in states), TRIP], body=inner)
    graph = helper.make_graph(
        [loop],
        "trips",
        [],
        [helper.make_tensor_value_info(TRIP, TensorProto.INT64, None)],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", node.version)], ir_version=IR_VERSION
    )
    return model
