"""Every form of the operators that become nests, lowered and evaluated, against onnxruntime on the whole model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import assert_close, assert_equal_to_onnxruntime, model, node, ops, random, random_inputs

from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.errors import InputError
from effc.compiler.frontend import fold
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.frontend.lowerings import LOWERINGS, REASONS, Lowering, operator_table, register_lowering
from effc.ir.graph import Graph, NodeOp
from effc.ir.nest import Axis


def conv_model(
    image: tuple[int, ...], filters: tuple[int, ...], bias: bool = True, constant: bool = True, **attributes: Any
) -> onnx.ModelProto:
    """A Conv; weights and bias are constants or inputs."""
    shapes = {"w": filters} | ({"b": filters[:1]} if bias else {})
    constants = {name: random(shape) for name, shape in shapes.items()} if constant else {}
    inputs = {"x": image} | ({} if constant else shapes)
    return model([node("Conv", "x w b" if bias else "x w", "y", **attributes)], inputs, constants)


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
        ((1, 2, 4, 4), (3, 2, 2, 2), TensorProto.DOUBLE, "float64: nests compute in float32"),
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
    assert op.reason == "int32: nests compute in float32"


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


# Shapes


def shape_of_rows(x: str) -> Iterator[onnx.NodeProto]:
    """The nodes by which exporters flatten: Reshape(x, [Shape(x)[0], -1])."""
    yield node("Shape", x, "shape")
    yield node("Gather", "shape zero", "rows")
    yield node("Unsqueeze", "rows axes", "rows1")
    yield node("Concat", "rows1 rest", "target", axis=0)
    yield node("Reshape", f"{x} target", "flat")


def test_shapes_are_computed_while_compiling() -> None:
    constants = {
        "w": random((12, 5)),
        "zero": np.array(0),
        "axes": np.array([0]),
        "rest": np.array([-1]),
    }
    made = model([*shape_of_rows("x"), node("MatMul", "flat w", "y")], {"x": ("N", 3, 4)}, constants)
    graph = lower(made, batch=2)
    assert ops(graph) == ["Reshape", "MATMUL"]
    assert graph.tensors["y"].shape == (2, 5)
    inputs = random_inputs(graph)
    assert_close(reference_run(graph, inputs)["y"], run_model(made, inputs)["y"])


def test_what_depends_on_the_data_runs_on_the_host() -> None:
    nodes = [
        node("NonZero", "x", "places"),
        node("Cast", "places", "floats", to=TensorProto.FLOAT),
        node("MatMul", "w floats", "y"),
    ]
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (3, 4)}, {"w": random((5, 2))}))
    assert ops(graph) == ["NonZero", "Cast", "MatMul"]
    assert graph.tensors["y"].shape is None
    assert [op.reason for op in graph.ops if isinstance(op, NodeOp)] == [
        "the shape of its result depends on the data",
        "",
        "the shape of 'floats' is only known at run time",
    ]


def test_constants_that_repeat_a_value_take_no_memory() -> None:
    shape = np.array([512, 1024, 1024])
    nodes = [node("ConstantOfShape", "shape", "w"), node("MatMul", "x w", "y")]
    graph = lower(model(nodes, {"x": (1, 1024)}, {"shape": shape}))
    assert graph.constants["w"].strides == (0, 0, 0)
    assert ops(graph) == ["MATMUL"]


def test_folding_stops_at_the_budget() -> None:
    repeats = np.array([1, fold.GROWTH // 8 // 1024 + 1])
    nodes = [node("Tile", "w repeats", "big"), node("ReduceSum", "big", "s"), node("Add", "x s", "y")]
    graph = lower(model(nodes, {"x": (1,)}, {"w": random((1, 1024)), "repeats": repeats}))
    assert ops(graph) == ["Tile", "ReduceSum", "Add"]


def test_outputs_that_nobody_wants_are_not_folded_into_others() -> None:
    nodes = [node("Split", "w", ". b .", num_outputs=3), node("MatMul", "x b", "y")]
    graph = lower(model(nodes, {"x": (1, 2)}, {"w": random((6, 2))}, opset=18))
    assert_close(graph.constants["b"], random((6, 2))[2:4])


def test_an_integer_division_by_zero_is_left_to_the_host() -> None:
    constants = {"a": np.array([1]), "b": np.array([0])}
    nodes = [node("Div", "a b", "c"), node("Add", "x c", "y")]
    graph = lower(model(nodes, {"x": (1,)}, constants, element=TensorProto.INT64))
    assert ops(graph) == ["Div", "Add"]


@pytest.mark.parametrize("condition", [True, False])
def test_an_if_whose_condition_is_known_is_its_branch(condition: bool) -> None:
    value = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    weights = numpy_helper.from_array(random((3, 3)), "v")
    then = helper.make_graph([node("MatMul", "x v", "r")], "then", [], [value], [weights])
    other = helper.make_graph([node("Neg", "x", "t"), node("Exp", "t", "r")], "else", [], [value])
    choose = node("If", "c", "y", then_branch=then, else_branch=other)
    constants = {"c": np.array(condition), "w": random((3, 3))}
    graph = assert_equal_to_onnxruntime(model([choose], {"x": (3, 3)}, constants))
    assert ops(graph) == (["MATMUL"] if condition else ["Neg", "Exp"])
    assert set(graph.tensors) == ({"x", "y/v", "y"} if condition else {"x", "y/t", "y"})


def test_an_if_whose_condition_is_not_known_keeps_what_it_captures() -> None:
    value = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    then = helper.make_graph([node("MatMul", "x w", "r")], "then", [], [value])
    other = helper.make_graph([node("Neg", "x", "r")], "else", [], [value])
    nodes = [
        node("ReduceSum", "x", "s", keepdims=0),
        node("Cast", "s", "c", to=TensorProto.BOOL),
        node("If", "c", "y", then_branch=then, else_branch=other),
    ]
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (3, 3)}, {"w": random((3, 3))}))
    op = graph.ops[-1]
    assert isinstance(op, NodeOp)
    assert (op.captures, op.reason) == (("x", "w"), REASONS["If"])


def test_local_functions_are_inlined() -> None:
    for opset in (17, 13):  # that of the model, and another
        made = model([node("Relu", "x", "y")], {"x": (2, 3)}, {"w": random((3, 4))})
        function = helper.make_function(
            "local",
            "Layer",
            ["a", "b"],
            ["c"],
            [node("MatMul", "a b", "t"), node("Relu", "t", "c")],
            [helper.make_opsetid("", opset)],
        )
        made.functions.append(function)
        made.opset_import.append(helper.make_opsetid("local", 1))
        made.graph.node[0].CopyFrom(helper.make_node("Layer", ["x", "w"], ["y"], domain="local"))
        assert ops(assert_equal_to_onnxruntime(made)) == ["MATMUL", "Relu"]


def test_initializers_that_are_inputs_too_are_constants() -> None:
    made = conv_model((1, 2, 5, 5), (3, 2, 3, 3))
    made.ir_version = 3
    for tensor in made.graph.initializer:
        made.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    graph = assert_equal_to_onnxruntime(made)
    assert graph.inputs == ("x",)
    assert set(graph.constants) == {"w", "b"}


def test_outputs_that_are_constants_or_inputs() -> None:
    made = model([node("Constant", "", "c", value_float=2.5)], {"x": (2,)}, outputs="c x")
    graph = lower(made)
    assert graph.ops == ()
    assert reference_run(graph, {"x": random((2,))})["c"] == np.float32(2.5)


def test_names() -> None:
    """Nodes without a name get one, those that share one are told apart, and a nest's is an identifier."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="/layer.1/MatMul"),
        helper.make_node("MatMul", ["a", "w"], ["b"], name="/layer.1/MatMul"),
        helper.make_node("MatMul", ["b", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    graph = lower(model(nodes, {"x": (2, 2)}, {"w": random((2, 2))}))
    assert [op.name for op in graph.ops] == ["layer_1_MatMul", "layer_1_MatMul_2", "matmul1", "relu1"]
    assert [op.origin for op in graph.ops][:2] == ["/layer.1/MatMul", "/layer.1/MatMul_2"]


def test_nodes_that_are_told_to_be_no_nests() -> None:
    graph = lower(conv_model((1, 2, 5, 5), (3, 2, 3, 3)), host={"conv1": "too large"})
    assert [(op.name, op.reason) for op in graph.ops if isinstance(op, NodeOp)] == [("conv1", "too large")]


# Symbolic dims


def lowered(shapes: dict[str, list[int | str | None]], **options: Any) -> Graph:
    names = " ".join(f"y{i}" for i in range(len(shapes)))
    nodes = [node("Relu", name, f"y{i}") for i, name in enumerate(shapes)]
    return lower(model(nodes, shapes, outputs=names), **options)


@pytest.mark.parametrize(
    ("shapes", "options", "expected"),
    [
        ({"x": ["N", 3]}, {}, {"x": (1, 3)}),
        ({"x": ["N", 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": ["anything", 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": [None, 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": [None, 3], "z": [None]}, {"batch": 4}, {"x": (4, 3), "z": (4,)}),
        ({"x": ["T", "batch_size"]}, {"dims": {"T": 7}}, {"x": (7, 1)}),
        ({"x": ["N", "H"]}, {"dims": {"N": 2, "H": 5}, "batch": 3}, {"x": (2, 5)}),
        ({"x": ["N", "past"], "z": ["N", "past + new"]}, {"dims": {"past": 4, "new": 3}}, {"x": (1, 4), "z": (1, 7)}),
        ({"x": ["N", "past"], "z": ["N", "past+1"]}, {"dims": {"past": 0}}, {"x": (1, 0), "z": (1, 1)}),
        ({"x": ["unk__1", 3], "z": ["unk__2"]}, {"batch": 4}, {"x": (4, 3), "z": (4,)}),
        ({"x": [2, None]}, {"dims": {"x.1": 6}}, {"x": (2, 6)}),
        ({"x": [2, -1]}, {"dims": {"x.1": 6}}, {"x": (2, 6)}),
        ({"x": [4, 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": [4, 3]}, {}, {"x": (4, 3)}),
    ],
)
def test_dims_are_bound(
    shapes: dict[str, list[int | str | None]], options: dict[str, Any], expected: dict[str, tuple[int, ...]]
) -> None:
    graph = lowered(shapes, **options)
    assert {name: graph.tensors[name].shape for name in graph.inputs} == expected


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (
            {"x": ["N", 3, "H", 4]},
            {},
            "error: dim 'H', axis 2 of the input 'x', has no value\n  remedy:   give --dim H=VALUE",
        ),
        (
            {"x": ["N", None]},
            {},
            "error: dim 'x.1', axis 1 of the input 'x', has no value\n  remedy:   give --dim x.1=VALUE",
        ),
        (
            {"x": [1, 3, "?", "?"], "z": [2, "W"]},
            {},
            "error: dim 'x.2', axis 2 of the input 'x', has no value, nor have 2 others\n"
            "  remedy:   give --dim x.2=VALUE --dim x.3=VALUE --dim W=VALUE",
        ),
        (
            {"x": ["rows"], "z": ["columns"]},
            {},
            "error: dim 'columns', axis 0 of the input 'z', has no value\n  remedy:   give --dim columns=VALUE",
        ),
        (
            {"x": ["N", 3]},
            {"dims": {"H": 2}},
            "error: no input has a dim 'H'\n  expected: a symbolic dim of the model (N)",
        ),
        (
            {"x": [1, 3]},
            {"dims": {"H": 2}},
            "error: no input has a dim 'H'\n  expected: a symbolic dim of the model (none: every dim has a fixed size)",
        ),
        ({"x": ["N", 3]}, {"dims": {"N": -1}}, "error: N is -1\n  expected: from 0 to 2147483647"),
        ({"x": ["N", 3]}, {"batch": -1}, "error: the batch is -1\n  expected: from 0 to 2147483647"),
        (
            {"x": [1, 3]},
            {"batch": 2},
            "error: the model has no symbolic batch: axis 0 of its input 'x' is 1\n"
            "  remedy:   leave out --batch, or export the model with a symbolic batch",
        ),
    ],
)
def test_dims_that_cannot_be_bound(
    shapes: dict[str, list[int | str | None]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        lowered(shapes, **options)
    assert str(caught.value) == message


def test_an_input_of_unknown_rank() -> None:
    made = model([node("Relu", "x", "y")], {"x": None})
    graph = lower(made)
    assert graph.tensors["x"].shape is None
    x = random((2, 3))
    assert_close(reference_run(graph, {"x": x})["y"], np.maximum(x, 0))


# The table


def test_the_table_of_operators() -> None:
    rows = {row.op: row for row in operator_table()}
    assert rows["Conv"].where == rows["Gemm"].where == rows["MatMul"].where == "accel"
    assert rows["Reshape"] == ("Reshape", "shape only: no words move", "host")
    assert rows["any other"].where == "vector or host"


def test_a_lowering_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effc.compiler.frontend.lowerings.LOWERINGS", LOWERINGS)
    before: dict[tuple[str, str], Lowering] = dict(LOWERINGS)
    try:

        @register_lowering("Square", forms="any")
        def square(source: Any, build: Any) -> None:
            build.add_node("Mul", source.name, (source.proto.input[0],) * 2, source.proto.output[0])

        register_lowering("Neg", "any")(square)
        graph = lower(model([node("Neg", "x", "y")], {"x": (3,)}))
        assert ops(graph) == ["Mul"]
        x = random((3,))
        assert_close(reference_run(graph, {"x": x})["y"], x * x)
    finally:
        LOWERINGS.clear()
        LOWERINGS.update(before)


def test_a_short_time_fourier_transform_is_onesided_unless_told_otherwise() -> None:
    """ONNX's own shape inference takes it for two-sided (1.18)."""
    step, window = np.array(4), np.ones(8, np.float32)
    graph = lower(model([node("STFT", "x step w", "y")], {"x": (1, 32)}, {"step": step, "w": window}))
    assert graph.tensors["y"].shape == (1, 7, 5, 2)
