"""Dead ops and identities go; what is left is placed, with the reason where it is the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import assert_equal_to_onnxruntime, model, node, ops, random

from effc.compiler.frontend.from_onnx import lower
from effc.compiler.passes.dead_ops import DeadOps
from effc.compiler.passes.place_ops import PlaceOps
from effc.compiler.passes.remove_identities import RemoveIdentities
from effc.compiler.target import load_target
from effc.ir.graph import Graph, NodeOp

EYERISS = load_target("eyeriss")
RANGE = {"low": np.float32(0), "high": np.float32(6)}
VIEW = "shape only: no words move"


def placed(made: onnx.ModelProto) -> list[tuple[str, str]]:
    """Where the ops are that are no nests, and why."""
    graph = PlaceOps(EYERISS).run(lower(made))
    return [(op.where, op.reason) for op in graph.ops if isinstance(op, NodeOp)]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (model([node("Relu", "x", "y")], {"x": (2, 3)}), ("vector", "")),
        (model([node("Clip", "x low high", "y")], {"x": (2,)}, RANGE), ("vector", "")),
        (model([node("ReduceSum", "x a", "y")], {"x": (2, 3)}, {"a": np.array([1])}), ("vector", "")),
        (model([node("Add", "x z", "y")], {"x": (2, 3), "z": (3,)}), ("vector", "")),
        (
            model([node("Resize", "x r s", "y")], {"x": (2, 3)}, {"r": random((0,)), "s": np.float32([1, 2])}),
            ("vector", ""),
        ),
        (model([node("Cosh", "x", "y")], {"x": (2, 3)}), ("host", "no Cosh on the vector unit")),
        (model([node("Reshape", "x s", "y")], {"x": (2, 3)}, {"s": np.array([6])}), ("host", VIEW)),
        (
            model([node("Relu", "x", "y")], {"x": (2, 3)}, element=TensorProto.DOUBLE),
            ("host", "'x' is float64: the vector unit computes in float32"),
        ),
        (model([node("Relu", "x", "y")], {"x": (2, 3)}, element=TensorProto.FLOAT16), ("vector", "")),
        (model([node("Relu", "x", "y")], {"x": None}), ("host", "the shape of 'x' is only known at run time")),
        (
            model([node("Conv", "x w", "y")], {"x": (1, 1, 3, 3, 3, 3)}, {"w": random((1, 1, 2, 2, 2, 2))}),
            ("host", "4-D convolution"),
        ),
        (
            model([node("MaxPool", "x", "y i", kernel_shape=[2])], {"x": (1, 1, 4)}, outputs="y"),
            ("host", "'i' is int64: the vector unit computes in float32"),
        ),
    ],
)
def test_places(made: onnx.ModelProto, expected: tuple[str, str]) -> None:
    assert placed(made) == [expected]


def test_an_operator_of_another_domain() -> None:
    made = model([node("Relu", "x", "y")], {"x": (2, 3)})
    made.graph.node[0].domain = "com.example"
    made.opset_import.append(helper.make_opsetid("com.example", 1))
    assert placed(made) == [("host", "an operator of com.example")]


def test_a_target_without_a_vector_unit() -> None:
    graph = PlaceOps(replace(EYERISS, vector=None)).run(lower(model([node("Relu", "x", "y")], {"x": (2, 3)})))
    (op,) = graph.ops
    assert isinstance(op, NodeOp)
    assert (op.where, op.reason) == ("host", "eyeriss has no vector unit")


def test_dead_ops() -> None:
    nodes = [node("Relu", "x", "y"), node("Exp", "x", "t"), node("Mul", "t c", "u")]
    graph = DeadOps().run(lower(model(nodes, {"x": (2,)}, {"c": random((2,))})))
    assert ops(graph) == ["Relu"]
    assert set(graph.tensors) == {"x", "y"}
    assert not graph.constants


def simplified(nodes: list[onnx.NodeProto], outputs: str = "y", opset: int = 17) -> Graph:
    made = model(
        nodes, {"x": (2, 3)}, {"w": random((3, 3)), "r": np.float32(0.5), "f": np.array(False)}, outputs, opset
    )
    return assert_equal_to_onnxruntime(made, RemoveIdentities().run(lower(made)))


def test_identities() -> None:
    nodes = [
        node("Identity", "x", "a"),
        node("MatMul", "a w", "b"),
        node("Dropout", "b r f", "c"),
        node("Identity", "c", "d"),
        node("Relu", "d", "e"),
        node("Identity", "e", "y"),
    ]
    graph = simplified(nodes)
    assert ops(graph) == ["MATMUL", "Relu"]
    assert [(op.inputs, op.outputs) for op in graph.ops] == [(("x", "w"), ("b",)), (("b",), ("y",))]


def test_an_old_dropout() -> None:
    assert ops(simplified([node("Relu", "x", "a"), node("Dropout", "a", "y", ratio=0.5)], opset=10)) == ["Relu"]


def test_identities_that_stay() -> None:
    """From an input to an output, and between two outputs, somebody has to copy."""
    assert ops(simplified([node("Identity", "x", "y")])) == ["Identity"]
    assert ops(simplified([node("Relu", "x", "y"), node("Identity", "y", "z")], "y z")) == ["Relu", "Identity"]
    assert ops(simplified([node("Relu", "x", "a"), node("Dropout", "a", "y m")], "y")) == ["Relu"]


def test_an_output_that_is_read_too() -> None:
    graph = simplified([node("Relu", "x", "a"), node("Identity", "a", "y"), node("Exp", "a", "z")], "y z")
    assert [(op.inputs, op.outputs) for op in graph.ops] == [(("x",), ("y",)), (("y",), ("z",))]


def test_a_mask_that_is_read() -> None:
    made = model(
        [node("Dropout", "x", "a m"), node("Cast", "m", "n", to=TensorProto.FLOAT), node("Add", "a n", "y")],
        {"x": (2, 3)},
    )
    assert ops(RemoveIdentities().run(lower(made))) == ["Dropout", "Cast", "Add"]
