"""If, Loop and Scan with products in their bodies: what the bodies are given, and how often they run.

    op Scan (h, x) -> (hn, y) trips 128 body graph (h, x) -> (h', y) { h' = MatMul(h, w) ... }

The bodies are compiled once. A ``Loop`` whose carried values change their shapes, or that makes one trip, is unrolled
instead, where the number of trips is known (``trips.py``, ``unroll.py``); where it is not, what depends on those shapes
is the host's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from effc.compiler.frontend.infer import shape_of, sizes_of
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.trips import known_trips
from effc.compiler.frontend.unroll import ON_DATA

CONTROL: dict[str, str] = {
    "If": "products in its branches: both compiled, the host chooses; of a known condition one is left",
    "Loop": "products in its body: compiled once, the host counts the turns; or unrolled",
    "Scan": "products in its body, sequences of known shape: compiled once, the host takes the steps; or unrolled",
}
"""What becomes of control flow; without products it is the host's."""

REASON = "control flow: the host runs the body, whose products are layers of the target"
WITHOUT = "control flow without products"
CHANGES = "control flow: every product depends on a value that changes its type or shape"


@dataclass(frozen=True)
class Plan:
    """The bodies of a node; the types of what they are given; of their first results, so many are carried on."""

    bodies: tuple[onnx.GraphProto, ...]
    given: tuple[onnx.TypeProto, ...] = ()
    trips: int | None = None
    before: int = 0  # results before those that are carried: of a Loop, whether it goes on
    carried: int = 0
    axes: tuple[int, ...] = ()  # along which the other results are stacked

    @property
    def carried_given(self) -> tuple[onnx.TypeProto, ...]:
        """The types of what is carried."""
        first = 2 * self.before
        return self.given[first : first + self.carried]


def plan(node: Node, types: Sequence[onnx.TypeProto]) -> Plan:
    """How a control op runs; ``types`` are those of its inputs, empty where one is left out."""
    graphs = {attribute.name: attribute.g for attribute in node.proto.attribute if attribute.HasField("g")}
    if node.proto.op_type == "If":
        return Plan((graphs["then_branch"], graphs["else_branch"]))
    body = graphs["body"]
    return _loop(node, types, body) if node.proto.op_type == "Loop" else _scan(node, types, body)


def _loop(node: Node, types: Sequence[onnx.TypeProto], body: onnx.GraphProto) -> Plan:
    trips = known_trips(node, body)
    if trips is not None and trips < 2:
        raise NotANest(f"control flow of {trips} turns")
    scalars = [onnx.helper.make_tensor_type_proto(kind, []) for kind in (onnx.TensorProto.INT64, onnx.TensorProto.BOOL)]
    carried = list(types[2:])
    stacked = len(body.output) - 1 - len(carried)
    return Plan((body,), (*scalars, *carried), trips, 1, len(carried), (0,) * stacked)


def _scan(node: Node, types: Sequence[onnx.TypeProto], body: onnx.GraphProto) -> Plan:
    scans = int(node.attributes.get("num_scan_inputs", 0))
    if node.version < 9 or not 0 < scans <= len(types):
        raise NotANest("control flow")
    states, sequences = list(types[:-scans]), types[-scans:]
    axes = node.integers("scan_input_axes", (0,) * scans)
    out_axes = node.integers("scan_output_axes", (0,) * (len(body.output) - len(states)))
    shapes = [shape_of(kind) for kind in sequences]
    items, lengths = [], set()
    for kind, shape, axis in zip(sequences, shapes, axes):
        if shape is None or not -len(shape) <= axis < len(shape):
            raise NotANest(ON_DATA)
        lengths.add(shape[axis])
        rest = np.delete(np.array(shape, np.int64), axis).tolist()
        items.append(onnx.helper.make_tensor_type_proto(kind.tensor_type.elem_type, rest))
    if len(lengths) != 1:
        raise node.error(f"its sequences have the lengths {sorted(lengths)}", "one length")
    if (trips := lengths.pop()) < 2:
        raise NotANest(f"control flow of {trips} turns")
    return Plan((body,), (*states, *items), trips, 0, len(states), out_axes)


def result_types(found: Plan, bodies: Sequence[Sequence[onnx.TypeProto]]) -> list[onnx.TypeProto]:
    """The types of the outputs of a control op, whose bodies have results of these types."""
    if not found.given:
        return [_either(*pair) for pair in zip(*bodies, strict=True)]
    (results,) = bodies
    carried = results[found.before : found.before + found.carried]
    stacked = [
        _stacked(kind, found.trips, axis) for kind, axis in zip(results[found.before + found.carried :], found.axes)
    ]
    return [*carried, *stacked]


def keeps_shape(found: Plan, results: Sequence[onnx.TypeProto]) -> bool:
    """Whether every carried value has the type before a trip that it has after it, shape included."""
    return all(_same(a, b) for a, b in zip(found.carried_given, results[found.before :]))


def widened(found: Plan, results: Sequence[onnx.TypeProto]) -> Plan:
    """The same loop, the sizes that a trip changes being unknown."""
    given, first = list(found.given), 2 * found.before
    for i, (a, b) in enumerate(zip(found.carried_given, results[found.before :])):
        if _same(a, b):
            continue
        if not a.HasField("tensor_type") or a.tensor_type.elem_type != b.tensor_type.elem_type:
            raise NotANest(CHANGES)
        given[first + i] = onnx.helper.make_tensor_type_proto(
            a.tensor_type.elem_type, _common(sizes_of(a), sizes_of(b))
        )
    return replace(found, given=tuple(given))


def _same(a: onnx.TypeProto, b: onnx.TypeProto) -> bool:
    kind = a.WhichOneof("value")
    if kind != "tensor_type" or b.WhichOneof("value") != "tensor_type":
        return kind is not None and kind == b.WhichOneof("value")
    return a.tensor_type.elem_type == b.tensor_type.elem_type and sizes_of(a) == sizes_of(b)


def _common(a: tuple[int | None, ...] | None, b: tuple[int | None, ...] | None) -> tuple[int | None, ...] | None:
    """What two shapes have in common."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b))


def _either(a: onnx.TypeProto, b: onnx.TypeProto) -> onnx.TypeProto:
    """The type of a result of two branches; without a shape where they differ."""
    if _same(a, b) or a.WhichOneof("value") != "tensor_type":
        return a
    kind: onnx.TypeProto = onnx.helper.make_tensor_type_proto(a.tensor_type.elem_type, None)
    return kind


def _stacked(kind: onnx.TypeProto, trips: int | None, axis: int) -> onnx.TypeProto:
    """The type of the results of all trips."""
    shape = shape_of(kind)
    sizes: list[int | None] | None = None
    if shape is not None:
        sizes = [*shape]
        sizes.insert(axis if axis >= 0 else len(shape) + 1 + axis, trips)
    found: onnx.TypeProto = onnx.helper.make_tensor_type_proto(kind.tensor_type.elem_type, sizes)
    return found
