"""Batch normalisation folds into the nest before it where it may, and only there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_models import assert_equal_to_onnxruntime, model, node, ops, random

from effc.compiler.frontend.from_onnx import lower
from effc.compiler.passes.fold_batchnorm import FoldBatchNorm
from effc.ir.graph import Array, Graph


def statistics(channels: int) -> dict[str, Array]:
    """Scale, shift, mean and variance that are far from doing nothing."""
    names = ("scale", "shift", "mean")
    return {name: random((channels,), i) for i, name in enumerate(names)} | {"var": random((channels,), 3) ** 2 + 0.1}


def normalised(
    product: onnx.NodeProto, inputs: dict[str, Any], constants: dict[str, Array], channels: int, **attributes: Any
) -> onnx.ModelProto:
    """``product`` gives t, which is normalised."""
    norm = node("BatchNormalization", "t scale shift mean var", "y", **attributes)
    return model([product, norm], inputs, constants | statistics(channels))


def conv(groups: int = 1, bias: bool = True, **attributes: Any) -> onnx.ModelProto:
    constants = {"w": random((6, 6 // groups, 3, 3))} | ({"b": random((6,))} if bias else {})
    product = node("Conv", "x w b" if bias else "x w", "t", group=groups, pads=[1, 0, 1, 0])
    return normalised(product, {"x": (2, 6, 5, 7)}, constants, 6, **attributes)


def folded(made: onnx.ModelProto) -> Graph:
    return assert_equal_to_onnxruntime(made, FoldBatchNorm().run(lower(made)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_conv(groups: int, bias: bool) -> None:
    graph = folded(conv(groups, bias, epsilon=1e-3))
    assert ops(graph) == ["CONV"]
    assert sorted(graph.constants) == ["batchnormalization1.B", "batchnormalization1.W"]
    (op,) = graph.nests
    assert op.nest.bias is not None
    assert op.outputs == ("y",)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("along", [0, 1])
def test_gemm(along: int, bias: bool) -> None:
    constants = {"w": random((4, 5) if along else (5, 4))} | ({"b": random((4,))} if bias else {})
    product = node("Gemm", "x w b" if bias else "x w", "t", transB=along)
    assert ops(folded(normalised(product, {"x": (3, 5)}, constants, 4))) == ["GEMM"]


def test_matmul_whose_columns_are_the_channels() -> None:
    product = node("MatMul", "x w", "t")
    assert ops(folded(normalised(product, {"x": (3, 5)}, {"w": random((5, 4))}, 4))) == ["MATMUL"]


def test_a_constant_on_the_left() -> None:
    """The channels are rows: the left operand has them, and they get a bias."""
    product = node("MatMul", "w x", "t")
    graph = folded(normalised(product, {"x": (2, 5, 4)}, {"w": random((3, 5))}, 3))
    assert ops(graph) == ["MATMUL"]
    assert [axis.dims for axis in graph.nests[0].nest.bias.axes] == [("M",)]  # type: ignore[union-attr]


def test_one_channel() -> None:
    made = normalised(node("Conv", "x w", "t"), {"x": (1, 2, 4, 4)}, {"w": random((1, 2, 2, 2))}, 1)
    assert ops(folded(made)) == ["CONV"]


def test_two_in_a_row() -> None:
    nodes = [
        node("Conv", "x w", "t"),
        node("BatchNormalization", "t scale shift mean var", "u"),
        node("BatchNormalization", "u scale shift mean var", "y"),
    ]
    made = model(nodes, {"x": (1, 2, 4, 4)}, {"w": random((3, 2, 2, 2))} | statistics(3))
    assert ops(folded(made)) == ["CONV"]


def test_weights_that_several_nests_share() -> None:
    nodes = [
        node("Conv", "x w", "t"),
        node("BatchNormalization", "t scale shift mean var", "u"),
        node("Conv", "x w", "v"),
        node("Add", "u v", "y"),
    ]
    graph = folded(model(nodes, {"x": (1, 2, 4, 4)}, {"w": random((3, 2, 2, 2))} | statistics(3)))
    assert ops(graph) == ["CONV", "CONV", "Add"]
    assert "w" in graph.constants


def test_arithmetic_is_done_in_double_precision() -> None:
    made = conv(bias=False, epsilon=0.0)
    constants = lower(made).constants
    scale, shift, mean, var = (constants[name].astype(np.float64) for name in ("scale", "shift", "mean", "var"))
    factor = scale / np.sqrt(var)
    graph = FoldBatchNorm().run(lower(made))
    weights = (constants["w"] * factor[:, None, None, None]).astype(np.float32)
    np.testing.assert_array_equal(graph.constants["batchnormalization1.W"], weights)
    np.testing.assert_array_equal(graph.constants["batchnormalization1.B"], (shift - mean * factor).astype(np.float32))


def test_not_when_someone_else_reads_the_product() -> None:
    nodes = [
        node("Conv", "x w", "t"),
        node("BatchNormalization", "t scale shift mean var", "u"),
        node("Add", "t u", "y"),
    ]
    graph = folded(model(nodes, {"x": (1, 2, 4, 4)}, {"w": random((3, 2, 2, 2))} | statistics(3)))
    assert ops(graph) == ["CONV", "BatchNormalization", "Add"]


def test_not_when_the_product_is_an_output() -> None:
    nodes = [node("Conv", "x w", "t"), node("BatchNormalization", "t scale shift mean var", "y")]
    made = model(nodes, {"x": (1, 2, 4, 4)}, {"w": random((3, 2, 2, 2))} | statistics(3), outputs="t y")
    assert ops(folded(made)) == ["CONV", "BatchNormalization"]


def test_not_when_the_weights_are_not_known() -> None:
    inputs = {"x": (1, 2, 4, 4), "w": (3, 2, 2, 2)}
    assert ops(folded(normalised(node("Conv", "x w", "t"), inputs, {}, 3))) == ["CONV", "BatchNormalization"]


def test_not_when_the_bias_is_not_known() -> None:
    inputs = {"x": (1, 2, 4, 4), "b": (3,)}
    made = normalised(node("Conv", "x w b", "t"), inputs, {"w": random((3, 2, 2, 2))}, 3)
    assert ops(folded(made)) == ["CONV", "BatchNormalization"]


def test_not_when_the_channels_are_rows_of_what_is_not_known() -> None:
    made = normalised(node("MatMul", "x w", "t"), {"x": (2, 3, 5)}, {"w": random((5, 4))}, 3)
    assert ops(folded(made)) == ["MATMUL", "BatchNormalization"]


def test_not_without_a_nest_before_it() -> None:
    made = normalised(node("Relu", "x", "t"), {"x": (2, 3, 5)}, {}, 3)
    assert ops(folded(made)) == ["Relu", "BatchNormalization"]


def test_not_while_training() -> None:
    nodes = [
        node("Conv", "x w", "t"),
        node("BatchNormalization", "t scale shift mean var", "y m v", training_mode=1),
    ]
    made = model(nodes, {"x": (1, 2, 4, 4)}, {"w": random((3, 2, 2, 2))} | statistics(3))
    assert ops(FoldBatchNorm().run(lower(made))) == ["CONV", "BatchNormalization"]


@pytest.mark.parametrize("shape", [(5,), (6, 1), (2, 6, 5, 7)])
def test_a_scale_of_another_shape_is_left_alone(shape: tuple[int, ...]) -> None:
    """A model that onnxruntime refuses: the pass says nothing about it."""
    made = normalised(node("Conv", "x w", "t"), {"x": (2, 6, 5, 7)}, {"w": random((6, 6, 1, 1))}, 6)
    graph = lower(made)
    wrong = replace(graph, constants=dict(graph.constants) | {"scale": random(shape)})
    assert ops(FoldBatchNorm().run(wrong)) == ["CONV", "BatchNormalization"]
