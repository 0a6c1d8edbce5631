"""Small ONNX models for tests, and the question that most of them ask: is the lowered graph equal to onnxruntime?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.frontend.from_onnx import check, lower
from effc.ir.bodies import every_op
from effc.ir.graph import Array, Graph, NestOp
from effc.ir.verify import verify_graph

OPSET = 17


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node; names are separated by blanks, and a dot stands for one that is omitted."""
    names = [[name.replace(".", "") for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, **attributes)


def model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Mapping[str, Iterable[int | str | None] | None],
    constants: Mapping[str, Array] | None = None,
    outputs: str = "y",
    opset: int = OPSET,
    element: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A checked model; the shapes of its outputs are left to inference."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, element, None) for name in outputs.split()],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    check(made)
    return made


def random(shape: Iterable[int], seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(tuple(shape)).astype(np.float32)


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, Array]:
    return {name: random(graph.tensors[name].shape or (), seed + i) for i, name in enumerate(graph.inputs)}


def assert_close(actual: Array, expected: Array, tolerance: float = 1e-5) -> None:
    """Equal up to ``tolerance`` of the largest value."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if expected.size:
        scale = float(np.abs(expected).max()) or 1.0
        assert float(np.abs(actual - expected).max()) <= tolerance * scale


def assert_equal_to_onnxruntime(made: onnx.ModelProto, graph: Graph | None = None) -> Graph:
    """The lowered graph (or ``graph``, which was made of it) is well-formed and gives what onnxruntime gives."""
    graph = graph or lower(made)
    verify_graph(graph)
    inputs = random_inputs(graph)
    values = reference_run(graph, inputs)
    for name, expected in run_model(made, inputs).items():
        assert_close(values[name], expected)
    return graph


def ops(graph: Graph) -> list[str]:
    """The operators of a graph and of its bodies, nests in capitals."""
    return [op.op.upper() if isinstance(op, NestOp) else op.op for op, _ in every_op(graph)]


def conv_model(
    image: tuple[int, ...], filters: tuple[int, ...], bias: bool = True, constant: bool = True, **attributes: Any
) -> onnx.ModelProto:
    """A Conv; weights and bias are constants or inputs."""
    shapes = {"w": filters} | ({"b": filters[:1]} if bias else {})
    constants = {name: random(shape) for name, shape in shapes.items()} if constant else {}
    inputs = {"x": image} | ({} if constant else shapes)
    return model([node("Conv", "x w b" if bias else "x w", "y", **attributes)], inputs, constants)
