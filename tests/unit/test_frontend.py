"""Every form of the operators that become nests, lowered and evaluated, against onnxruntime on the whole model."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import assert_close, assert_equal_to_onnxruntime, conv_model, model, node, ops, random

from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import lower
from effc.ir.graph import NodeOp
from effc.ir.nest import Axis

CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 8, 9), (4, 3, 3, 3), {}),
    "one by one": ((2, 3, 5, 5), (4, 3, 1, 1), {}),
    "kernel shape": ((1, 3, 8, 9), (4, 3, 3, 2), {"kernel_shape": [3, 2]}),
    "strides": ((1, 3, 11, 9), (4, 3, 3, 3), {"strides": [3, 2]}),
    "dilations": ((1, 3, 11, 9), (4, 3, 3, 3), {"dilations": [2, 3]}),
    "pads": ((1, 3, 5, 6), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "asymmetric pads": ((1, 3, 5, 6), (4, 3, 3, 3), {"pads": [0, 2, 1, 3]}),
    "windows of padding": ((1, 2, 3, 3), (4, 2, 2, 2), {"pads": [5, 4, 3, 6], "strides": [2, 1]}),
    "groups": ((1, 6, 5, 6), (4, 3, 3, 3), {"group": 2}),
    "depthwise": ((2, 6, 5, 6), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "depthwise with multiplier": ((1, 4, 5, 6), (12, 1, 3, 3), {"group": 4}),
    "valid": ((1, 3, 8, 9), (4, 3, 3, 2), {"auto_pad": "VALID", "strides": [2, 2]}),
    "not set": ((1, 3, 8, 9), (4, 3, 3, 2), {"auto_pad": "NOTSET", "pads": [1, 0, 0, 1]}),
    "same upper": ((1, 3, 8, 9), (4, 3, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 3, 8, 9), (4, 3, 3, 2), {"auto_pad": "SAME_LOWER", "strides": [3, 2]}),
    "same, kernel smaller than stride": ((1, 3, 9, 9), (4, 3, 1, 2), {"auto_pad": "SAME_UPPER", "strides": [3, 4]}),
    "one-dimensional": ((2, 3, 12), (4, 3, 3), {"strides": [2], "dilations": [2], "pads": [2, 1]}),
    "one-dimensional groups": ((1, 6, 12), (4, 3, 3), {"group": 2}),
    "one-dimensional same": ((1, 3, 12), (4, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2]}),
    "one word": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "three-dimensional": ((1, 2, 4, 5, 6), (3, 2, 2, 3, 1), {"strides": [1, 2, 2], "pads": [1, 0, 1, 0, 1, 1]}),
    "three-dimensional groups": ((2, 4, 3, 4, 3), (2, 2, 2, 2, 2), {"group": 2, "dilations": [1, 2, 1]}),
}


@pytest.mark.parametrize("constant", [True, False], ids=["constant weights", "weights as inputs"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("form", CONVS)
def test_conv(form: str, bias: bool, constant: bool) -> None:
    image, filters, attributes = CONVS[form]
    graph = assert_equal_to_onnxruntime(conv_model(image, filters, bias, constant, **attributes))
    assert ops(graph) == ["CONV"]


def test_a_conv_of_padding_alone() -> None:
    """A window that has a word of the image in it is never at a place where one is computed."""
    made = conv_model((1, 1, 1), (1, 1, 2), pads=[2, 1], strides=[3], dilations=[3])
    (op,) = assert_equal_to_onnxruntime(made).ops
    assert isinstance(op, NodeOp)
    assert op.reason == "every word it reads is padding"


def random_conv(seed: int) -> onnx.ModelProto:
    """A Conv of any form whose output is not empty."""
    rng = np.random.default_rng(seed)
    rank, groups = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 3]))
    taps, strides, dilations = (rng.integers(1, 4, rank).tolist() for _ in range(3))
    mode = str(rng.choice(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if mode.startswith("SAME"):
        dilations = [1] * rank  # onnxruntime has no other
    sizes = [(tap - 1) * dilation + int(rng.integers(1, 9)) for tap, dilation in zip(taps, dilations)]
    attributes = {"group": groups, "strides": strides, "dilations": dilations, "auto_pad": mode}
    if mode == "NOTSET":
        attributes["pads"] = rng.integers(0, 4, 2 * rank).tolist()
    n, c, k = (int(rng.integers(1, 4)) for _ in range(3))
    constant, bias = bool(rng.integers(2)), bool(rng.integers(2))
    return conv_model((n, groups * c, *sizes), (groups * k, c, *taps), bias, constant, **attributes)


@pytest.mark.parametrize("seed", range(120))
def test_random_conv(seed: int) -> None:
    assert ops(assert_equal_to_onnxruntime(random_conv(seed))) in (["CONV"], ["Conv"])


def test_same_padding_with_dilations() -> None:
    """onnxruntime refuses it; the output is as large as the input, and the pads follow from that."""
    same = conv_model((1, 2, 9), (3, 2, 3), auto_pad="SAME_UPPER", dilations=[2])
    explicit = conv_model((1, 2, 9), (3, 2, 3), pads=[2, 2], dilations=[2])
    inputs = {"x": random((1, 2, 9))}
    assert_close(reference_run(lower(same), inputs)["y"], run_model(explicit, inputs)["y"])


def test_the_nest_of_a_conv() -> None:
    made = conv_model((1, 6, 11, 9), (4, 3, 3, 3), strides=[2, 1], dilations=[1, 2], pads=[1, 0, 1, 0], group=2)
    (op,) = lower(made).nests
    assert [(dim.name, dim.bound, dim.role) for dim in op.nest.dims] == [
        ("N", 1, "N"),
        ("G", 2, "G"),
        ("K", 2, "K"),
        ("C", 3, "C"),
        ("P", 6, "P"),
        ("Q", 5, "Q"),
        ("R", 3, "R"),
        ("S", 3, "S"),
    ]
    assert op.nest.reads[0].axes[3] == Axis(((2, "P"), (1, "R")), -1, 11)
    assert op.nest.reads[0].axes[4] == Axis(((1, "Q"), (2, "S")), 0, 9)
    assert op.uses["I"].strides == (6 * 99, 3 * 99, 99, 9, 1)
    assert op.uses["W"].strides == (2 * 27, 27, 9, 3, 1)
    assert op.uses["B"].strides == (2, 1)
    assert op.uses["O"].strides == (4 * 30, 2 * 30, 30, 5, 1)


@pytest.mark.parametrize(
    ("image", "filters", "element", "reason"),
    [
        ((1, 2, 2, 2, 2, 2), (3, 2, 1, 1, 1, 1), TensorProto.FLOAT, "4-D convolution"),
        ((0, 2, 4, 4), (3, 2, 2, 2), TensorProto.FLOAT, "'x' has no elements"),
    ],
)
def test_a_conv_on_the_host(image: tuple[int, ...], filters: tuple[int, ...], element: int, reason: str) -> None:
    graph = lower(model([node("Conv", "x w", "y")], {"x": image, "w": filters}, element=element))
    (op,) = graph.ops
    assert isinstance(op, NodeOp)
    assert (op.where, op.reason) == ("host", reason)


def random_transpose(seed: int) -> onnx.ModelProto:
    """A ConvTranspose of any form."""
    rng = np.random.default_rng([seed, 1])
    rank, groups = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2]))
    taps, strides, dilations = (rng.integers(1, 4, rank).tolist() for _ in range(3))
    sizes = rng.integers(1, 5, rank).tolist()
    mode = str(rng.choice(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", "output_shape"]))
    attributes: dict[str, Any] = {"group": groups, "strides": strides, "dilations": dilations}
    if mode == "output_shape":
        least = [u * (size - 1) + d * (tap - 1) + 1 for size, tap, u, d in zip(sizes, taps, strides, dilations)]
        attributes["output_shape"] = [size - int(rng.integers(0, 2)) * (size > 1) for size in least]
    elif mode == "NOTSET":
        attributes["pads"] = [min(tap - 1, int(rng.integers(0, 3))) for tap in taps * 2]
        attributes["output_padding"] = [int(rng.integers(0, max(u, d))) for u, d in zip(strides, dilations)]
    else:
        attributes["auto_pad"] = mode
    c, k, bias = int(rng.integers(1, 3)), int(rng.integers(1, 3)), bool(rng.integers(2))
    constants = {"w": random((groups * c, k, *taps))} | ({"b": random((groups * k,))} if bias else {})
    names = "x w b" if bias else "x w"
    return model([node("ConvTranspose", names, "y", **attributes)], {"x": (2, groups * c, *sizes)}, constants)


@pytest.mark.parametrize("seed", range(60))
def test_random_conv_transpose(seed: int) -> None:
    made = random_transpose(seed)
    try:
        graph = assert_equal_to_onnxruntime(made)
    except InputError as error:
        assert "onnxruntime cannot run the model" in str(error)
    else:
        assert set(ops(graph)) <= {"CONVTRANSPOSE", "ConvTranspose"}


def test_the_nests_of_a_conv_transpose() -> None:
    """One for each phase: of three taps, two meet the even outputs and one the odd ones."""
    made = model([node("ConvTranspose", "x w", "y", strides=[2])], {"x": (1, 1, 4)}, {"w": random((1, 1, 3))})
    even, odd = assert_equal_to_onnxruntime(made).nests
    assert (even.name, odd.name, even.origin) == ("convtranspose1_0", "convtranspose1_1", "convtranspose1")
    assert (even.nest.bounds["P"], even.nest.bounds["R"]) == (5, 2)
    assert (odd.nest.bounds["P"], odd.nest.bounds["R"]) == (4, 1)
    assert (even.uses["W"].offset, even.uses["W"].strides) == (2, (3, 3, -2))
    assert (odd.uses["O"].offset, odd.uses["O"].strides) == (1, (9, 9, 2))


def gemm_model(
    c: tuple[int, ...] | None, constants: str, m: int = 3, n: int = 4, k: int = 5, **attributes: Any
) -> onnx.ModelProto:
    """A Gemm; ``constants`` names the operands that are constants."""
    a = (k, m) if attributes.get("transA") else (m, k)
    b = (n, k) if attributes.get("transB") else (k, n)
    shapes: dict[str, tuple[int, ...]] = {"a": a, "b": b} | ({} if c is None else {"c": c})
    known = {name: random(shape, 1) for name, shape in shapes.items() if name in constants}
    inputs = {name: shape for name, shape in shapes.items() if name not in constants}
    return model([node("Gemm", " ".join(shapes), "y", **attributes)], inputs, known)


GEMM_ATTRIBUTES: list[dict[str, Any]] = [
    {},
    {"transA": 1},
    {"transB": 1},
    {"transA": 1, "transB": 1},
    {"alpha": 0.5},
    {"beta": 2.0},
    {"alpha": 0.5, "beta": 0.25, "transB": 1},
    {"alpha": 0.0, "beta": 0.0},
]


@pytest.mark.parametrize("constants", ["bc", "ac", "b", ""])
@pytest.mark.parametrize("c", [None, (), (1,), (4,), (1, 1), (1, 4), (3, 1), (3, 4)], ids=str)
@pytest.mark.parametrize("attributes", GEMM_ATTRIBUTES, ids=str)
def test_gemm(attributes: dict[str, Any], c: tuple[int, ...] | None, constants: str) -> None:
    graph = assert_equal_to_onnxruntime(gemm_model(c, constants, **attributes))
    assert ops(graph)[0] == "GEMM"


@pytest.mark.parametrize(
    ("c", "constants", "attributes", "expected"),
    [
        (None, "b", {}, ["GEMM"]),
        ((4,), "bc", {}, ["GEMM"]),
        ((1, 4), "bc", {"beta": 0.5}, ["GEMM"]),
        ((), "bc", {"alpha": 3.0}, ["GEMM"]),
        ((3, 1), "bc", {}, ["GEMM", "Add"]),
        ((3, 4), "bc", {"beta": 0.5}, ["GEMM", "Add"]),
        ((4,), "b", {}, ["GEMM", "Add"]),
        ((4,), "b", {"beta": 0.5}, ["GEMM", "Mul", "Add"]),
        ((4,), "c", {"alpha": 0.5}, ["GEMM", "Mul", "Add"]),
        (None, "", {"alpha": 0.5}, ["GEMM", "Mul"]),
        ((4,), "", {"beta": 0.0}, ["GEMM"]),
    ],
)
def test_what_a_gemm_becomes(
    c: tuple[int, ...] | None, constants: str, attributes: dict[str, Any], expected: list[str]
) -> None:
    assert ops(lower(gemm_model(c, constants, **attributes))) == expected


def test_a_gemm_of_one_row_takes_any_constant_c() -> None:
    assert ops(assert_equal_to_onnxruntime(gemm_model((1, 1), "bc", m=1))) == ["GEMM"]


MATMULS: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "matrices": ((3, 4), (4, 5), "MNK"),
    "row by matrix": ((4,), (4, 5), "MNK"),
    "matrix by column": ((3, 4), (4,), "MNK"),
    "row by column": ((4,), (4,), "MNK"),
    "batch": ((2, 3, 4), (2, 4, 5), "G MNK"),
    "two batch dims": ((2, 6, 3, 4), (2, 6, 4, 5), "G0 G1 MNK"),
    "batch by matrix": ((2, 3, 4), (4, 5), "B MNK"),
    "matrix by batch": ((3, 4), (2, 4, 5), "E MNK"),
    "batch by column": ((2, 3, 4), (4,), "B MNK"),
    "row by batch": ((4,), (2, 4, 5), "E MNK"),
    "broadcast left": ((1, 3, 4), (2, 4, 5), "E MNK"),
    "broadcast right": ((2, 3, 4), (1, 4, 5), "B MNK"),
    "broadcast both": ((2, 1, 3, 4), (1, 6, 4, 5), "B E MNK"),
    "broadcast between": ((2, 1, 3, 3, 4), (2, 7, 3, 4, 5), "G0 E G1 MNK"),
    "batch of one": ((1, 1, 3, 4), (1, 1, 4, 5), "MNK"),
    "longer right": ((3, 3, 4), (2, 3, 4, 5), "E G MNK"),
}


@pytest.mark.parametrize("constant", [True, False], ids=["constant", "inputs"])
@pytest.mark.parametrize("form", MATMULS)
def test_matmul(form: str, constant: bool) -> None:
    left, right, dims = MATMULS[form]
    inputs = {"a": left} if constant else {"a": left, "b": right}
    made = model([node("MatMul", "a b", "y")], inputs, {"b": random(right)} if constant else {})
    (op,) = assert_equal_to_onnxruntime(made).nests
    batch = dims.removesuffix("MNK").split()
    assert [dim.name for dim in op.nest.dims] == [*batch, "M", "N", "K"]
    roles = {"G": "G", "B": "N", "E": "K"}
    assert [dim.role for dim in op.nest.dims] == [*(roles[name[0]] for name in batch), "P", "K", "C"]
    assert op.nest.reads[0].dims == {"M", "K"} | {name for name in batch if name[0] != "E"}
    assert op.nest.reads[1].dims == {"N", "K"} | {name for name in batch if name[0] != "B"}


def test_a_product_of_a_tensor_with_itself() -> None:
    made = model([node("MatMul", "a a", "y")], {"a": (3, 3)})
    assert ops(assert_equal_to_onnxruntime(made)) == ["MATMUL"]


def test_integers_are_no_nest() -> None:
    (op,) = lower(model([node("MatMul", "a b", "y")], {"a": (2, 3), "b": (3, 4)}, element=TensorProto.INT32)).ops
    assert isinstance(op, NodeOp)
    assert op.reason == "int32: nests multiply floating point, or integers of 16 bits"


@pytest.mark.parametrize("opset", range(7, 24))
def test_every_operator_set(opset: int) -> None:
    nodes = [
        node("Conv", "x w", "t", pads=[1, 1, 1, 1]),
        node("Relu", "t", "u"),
        node("MaxPool", "u", "v", kernel_shape=[2, 2]),
        node("Flatten", "v", "f"),
        node("Gemm", "f m c", "y"),
    ]
    constants = {"w": random((2, 1, 3, 3)), "m": random((18, 3)), "c": random((3,))}
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (1, 1, 4, 4)}, constants, opset=opset))
    assert ops(graph) == ["CONV", "Relu", "MaxPool", "Flatten", "GEMM"]
