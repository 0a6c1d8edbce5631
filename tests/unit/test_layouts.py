"""Layouts around nests are taken into their views, and constants into their biases: against onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import assert_equal_to_onnxruntime, model, node, ops, random

import effc
from effc.backends.accel import Machine, MachineFault, decode_program, encode_program, parse_program, print_program
from effc.backends.cpu import CpuProgram
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.passes.layout import LAYOUT_OPS, Layout, layouts, through
from effc.compiler.pipeline import standard_passes
from effc.compiler.report.metrics import programmability
from effc.ir.graph import Graph, NodeOp, Tensor, View
from effc.ir.nest import BIAS_NAME
from effc.ir.parser import parse_graph
from effc.ir.printer import print_graph


def optimised(made: onnx.ModelProto) -> Graph:
    """The graph after the standard passes, equal to onnxruntime."""
    graph = lower(made)
    for item in standard_passes():
        graph = item.run(graph)
    return assert_equal_to_onnxruntime(made, graph)


def random_layouts(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> Iterator[tuple[Any, ...]]:
    """Up to four layout operators in a row: (node, shape of its output, constants)."""
    for i in range(int(rng.integers(1, 5))):
        kind = rng.choice(["Transpose", "Reshape", "Slice", "Expand", "Gather", "Unsqueeze"])
        result, constants, attributes, inputs = list(shape), {}, {}, f"{name}{i}"
        if kind == "Transpose":
            perm = rng.permutation(len(shape)).tolist()
            result, attributes = [shape[axis] for axis in perm], {"perm": perm}
        elif kind == "Reshape":
            place = int(rng.integers(0, len(shape)))
            if place and rng.integers(2):
                result[place - 1 : place + 1] = [shape[place - 1] * shape[place]]
            elif shape[place] % 2 == 0:
                result[place : place + 1] = [2, shape[place] // 2]
            constants = {f"{name}{i}_s": np.array(result)}
        elif kind == "Slice":
            axis = int(rng.integers(0, len(shape)))
            start, step = int(rng.integers(0, shape[axis])), int(rng.choice([-2, -1, 1, 2]))
            result[axis] = len(range(shape[axis])[start::step])
            ends = -(1 << 40) if step < 0 else 1 << 40
            values = {"a": [start], "b": [ends], "c": [axis], "d": [step]}
            constants = {f"{name}{i}_{key}": np.array(value) for key, value in values.items()}
        elif kind == "Expand":
            if 1 in result:
                result[result.index(1)] = 3
            constants = {f"{name}{i}_s": np.array(result)}
        elif kind == "Gather":
            axis = int(rng.integers(0, len(shape)))
            constants = {f"{name}{i}_g": np.array([int(rng.integers(0, shape[axis]))])}
            result[axis], attributes = 1, {"axis": axis}
        else:
            axis = int(rng.integers(0, len(shape) + 1))
            result.insert(axis, 1)
            constants = {f"{name}{i}_u": np.array([axis])}
        shape = tuple(result)
        yield node(str(kind), " ".join([inputs, *constants]), f"{name}{i + 1}", **attributes), shape, constants


def random_product(seed: int) -> onnx.ModelProto:
    """Layouts of both operands, a product, an addition perhaps, and layouts of the result."""
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Any] = {}
    ends = []
    for name, shape in (("x", (2, 4, 6)), ("z", (4, 1, 6))):
        steps = list(random_layouts(rng, shape, name))
        nodes += [made for made, _, _ in steps]
        constants |= {key: value for _, _, known in steps for key, value in known.items()}
        ends.append((steps[-1][0].output[0], steps[-1][1]))
    (left, a), (right, b) = ends
    rows, columns = int(np.prod(a[:-1])), int(np.prod(b)) // b[-1]
    inner = int(np.gcd(a[-1], b[-1]))
    constants |= {"sa": np.array([rows * (a[-1] // inner), inner]), "sb": np.array([inner, columns * b[-1] // inner])}
    nodes += [node("Reshape", f"{left} sa", "left"), node("Reshape", f"{right} sb", "right")]
    nodes.append(node("MatMul", "left right", "product"))
    shape = (rows * (a[-1] // inner), columns * b[-1] // inner)
    if rng.integers(2):
        constants["bias"] = random((shape[1],) if rng.integers(2) else (1,))
        nodes.append(node("Add", "product bias", "o0"))
    else:
        nodes.append(node("Identity", "product", "o0"))
    steps = list(random_layouts(rng, shape, "o"))
    nodes += [made for made, _, _ in steps]
    constants |= {key: value for _, _, known in steps for key, value in known.items()}
    nodes.append(node("Relu", steps[-1][0].output[0], "y"))
    return model(nodes, {"x0": (2, 4, 6), "z0": (4, 1, 6)}, constants)


@pytest.mark.parametrize("seed", range(60))
def test_random_layouts(seed: int) -> None:
    optimised(random_product(seed))


def attention_model(batch: int = 1) -> onnx.ModelProto:
    """Attention of two heads as exporters write it, from one projection of queries, keys and values."""
    nodes = [
        node("MatMul", "x w", "t"),
        node("Add", "t b", "qkv"),
        node("Reshape", "qkv s5", "heads"),
        node("Transpose", "heads", "first", perm=[2, 0, 3, 1, 4]),
        node("Split", "first", "q1 k1 v1", axis=0),
        *(node("Squeeze", f"{name}1 zero", name) for name in "qkv"),
        node("Transpose", "k", "kt", perm=[0, 1, 3, 2]),
        node("MatMul", "q kt", "scores"),
        node("Softmax", "scores", "p", axis=-1),
        node("MatMul", "p v", "mixed"),
        node("Transpose", "mixed", "back", perm=[0, 2, 1, 3]),
        node("Reshape", "back s3", "rows"),
        node("MatMul", "rows w2", "t2"),
        node("Add", "b2 t2", "y"),
    ]
    constants = {"w": random((8, 24)), "b": random((24,)), "w2": random((8, 8)), "b2": random((8,))}
    constants |= {"s5": np.array([batch, 5, 3, 2, 4]), "s3": np.array([batch, 5, 8]), "zero": np.array([0])}
    return model(nodes, {"x": (batch, 5, 8)}, constants)


def test_attention_is_products_and_softmax() -> None:
    graph = optimised(attention_model())
    assert ops(graph) == ["MATMUL", "MATMUL", "Softmax", "MATMUL", "MATMUL"]
    assert [op.nest.bias is not None for op in graph.nests] == [True, False, False, True]


def test_attention_of_a_batch() -> None:
    """Heads lie between the tokens of a sample, so that batch and heads are no longer in a row."""
    graph = optimised(attention_model(batch=3))
    assert ops(graph) == ["MATMUL", "MATMUL", "Softmax", "MATMUL", "MATMUL"]
    assert [dim.name for dim in graph.nests[1].nest.dims] == ["G0", "G1", "M", "N", "K"]


@pytest.mark.parametrize(
    ("left", "right", "dims"),
    [
        ((2, 6, 3, 4), (2, 6, 4, 5), ["G", "M", "N", "K"]),
        ((2, 6, 3, 4), (4, 5), ["B", "M", "N", "K"]),
        ((3, 4), (2, 6, 4, 5), ["E", "M", "N", "K"]),
        ((2, 1, 3, 4), (2, 6, 4, 5), ["G", "E", "M", "N", "K"]),
        ((2, 1, 3, 3, 4), (2, 7, 3, 4, 5), ["G0", "E", "G1", "M", "N", "K"]),
    ],
)
def test_batches_in_a_row_are_one(left: tuple[int, ...], right: tuple[int, ...], dims: list[str]) -> None:
    (op,) = optimised(model([node("MatMul", "a b", "y")], {"a": left, "b": right})).nests
    assert [dim.name for dim in op.nest.dims] == dims


def test_an_output_is_written_where_a_transpose_would_put_it() -> None:
    made = model([node("MatMul", "x w", "t"), node("Transpose", "t", "y")], {"x": (3, 4)}, {"w": random((4, 5))})
    (op,) = optimised(made).nests
    assert op.uses["O"] == View("y", 0, (1, 3))


def test_a_tensor_that_others_read_stays() -> None:
    nodes = [node("MatMul", "x w", "t"), node("Transpose", "t", "y"), node("Relu", "t", "z")]
    graph = optimised(model(nodes, {"x": (3, 4)}, {"w": random((4, 5))}, outputs="y z"))
    assert ops(graph) == ["MATMUL", "Transpose", "Relu"]


@pytest.mark.parametrize(
    ("shape", "folds"), [((5,), True), ((1, 5), True), ((1,), True), ((), True), ((3, 1), True), ((3, 5), False)]
)
def test_which_constants_become_a_bias(shape: tuple[int, ...], folds: bool) -> None:
    nodes = [node("MatMul", "x w", "t"), node("Add", "b t", "y")]
    graph = optimised(model(nodes, {"x": (3, 4)}, {"w": random((4, 5)), "b": random(shape)}))
    assert ops(graph) == (["MATMUL"] if folds else ["MATMUL", "Add"])
    assert (BIAS_NAME in graph.nests[0].uses) == folds


def test_a_sum_that_broadcasts_the_product_is_no_bias() -> None:
    nodes = [node("MatMul", "x w", "t"), node("Add", "t b", "y")]
    assert ops(optimised(model(nodes, {"x": (1, 4)}, {"w": random((4, 5)), "b": random((3, 1))}))) == ["MATMUL", "Add"]


def test_what_changes_nothing_is_removed() -> None:
    nodes = [
        node("Cast", "x", "a", to=TensorProto.FLOAT),
        node("Reshape", "a shape", "b"),
        node("Add", "zeros b", "c"),
        node("Mul", "c one", "d"),
        node("Where", "no x d", "e"),
        node("Div", "one e", "f"),
        node("Sub", "zeros f", "y"),
    ]
    constants = {"shape": np.array([3, 2]), "zeros": np.zeros((1, 2), np.float32), "one": np.array(1, np.float32)}
    constants["no"] = np.zeros((3, 1), bool)
    assert ops(optimised(model(nodes, {"x": (3, 2)}, constants))) == ["Div", "Sub"]


def test_an_addition_that_broadcasts_is_kept() -> None:
    made = model([node("Add", "x zeros", "y")], {"x": (1, 2)}, {"zeros": np.zeros((3, 1), np.float32)})
    assert ops(optimised(made)) == ["Add"]


def test_views_through_layouts() -> None:
    transposed = Layout("x", (4, 3), 0, (1, 4))  # of x [3, 4]
    assert through(View("y", 0, (3, 1)), (4, 3), transposed) == View("x", 0, (1, 4))
    assert through(View("y", 9, (-3, 1)), (4, 3), transposed) == View("x", 3, (-1, 4))
    assert through(View("y", 0, (1,)), (12,), transposed) is None  # its stride would change on the way
    assert through(View("y", 3, (1,)), (3,), transposed) == View("x", 1, (4,))
    assert through(View("y", 0, (1,)), (12,), Layout("x", (3, 4), 0, (4, 1))) == View("x", 0, (1,))


def test_a_large_table_is_kept_once() -> None:
    """An embedding that is the last product's weights, too, as in GPT-2."""
    nodes = [node("Gather", "w x", "t"), node("Transpose", "w", "wt"), node("MatMul", "t wt", "y")]
    made = model(nodes, {}, {"w": random((1025, 1024)), "x": np.array([[3, 5]])})
    graph = lower(made)
    for item in standard_passes():
        graph = item.run(graph)
    (op,) = graph.nests
    assert op.uses["W"] == View("w", 0, (1, 1024))
    assert sum(value.nbytes for value in graph.constants.values()) < 2 * made.ByteSize()


def test_layouts_of_other_operator_sets() -> None:
    """Slice with attributes, Split with sizes."""
    nodes = [
        helper.make_node("Slice", ["x"], ["a"], starts=[1], ends=[100], axes=[1]),
        helper.make_node("Split", ["a"], ["b", "c"], axis=1, split=[1, 2]),
        node("MatMul", "c w", "y"),
    ]
    graph = optimised(model(nodes, {"x": (3, 4)}, {"w": random((2, 5))}, opset=9))
    assert ops(graph) == ["MATMUL"]
    assert graph.nests[0].uses["I"] == View("x", 2, (4, 1))


def test_the_words_saved() -> None:
    """A Transpose of 12 words reads and writes them; the addition reads 15 and the 5 of the bias, and writes 15; Relu
    reads and writes 15.
    """
    nodes = [node("Transpose", "x", "t"), node("MatMul", "t w", "u"), node("Add", "u b", "v"), node("Relu", "v", "y")]
    made = model(nodes, {"x": (4, 3)}, {"w": random((4, 5)), "b": random((5,))})
    report = effc.compile(made, "eyeriss", time_limit=0.5).report
    assert report.totals.saved_words == 2 * 12 + 15 + 5 + 15 + 2 * 15
    assert "89 words saved by fusion" in programmability(report)


PADS = {
    "before a convolution": ({"pads": [0, 0, 1, 2, 0, 0, 1, 0]}, [0, 0, 0, 0], True),
    "on top of its own": ({"pads": [0, 0, 1, 1, 0, 0, 1, 1]}, [1, 1, 1, 1], True),
    "around channels": ({"pads": [0, 1, 0, 0, 0, 1, 0, 0]}, [0, 0, 0, 0], True),
    "with ones": ({"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 1.0}, [0, 0, 0, 0], False),
    "of the edge": ({"pads": [0, 0, 1, 1, 0, 0, 1, 1], "mode": "edge"}, [0, 0, 0, 0], False),
}


@pytest.mark.parametrize("case", PADS)
def test_pads_are_padding(case: str) -> None:
    attributes, own, folds = PADS[case]
    channels = 2 + sum(attributes["pads"][1::4])
    inputs = {"pads": np.array(attributes["pads"]), "value": np.array(attributes.get("value", 0), np.float32)}
    pad = helper.make_node("Pad", ["x", *inputs], ["t"], mode=attributes.get("mode", "constant"))
    conv = helper.make_node("Conv", ["t", "w"], ["y"], pads=own, strides=[2, 1], dilations=[1, 2])
    made = model([pad, conv], {"x": (1, 2, 6, 7)}, {**inputs, "w": random((3, channels, 3, 2))})
    assert ops(optimised(made)) == (["CONV"] if folds else ["Pad", "CONV"])


def test_pads_that_only_a_part_of_is_read_of_stay() -> None:
    """The rows behind the slice are no zeros for the convolution, whatever its padding says."""
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["t"]),
        helper.make_node("Slice", ["t", "a", "b", "c"], ["u"]),
        helper.make_node("Conv", ["u", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    constants = {"a": np.array([0]), "b": np.array([4]), "c": np.array([2]), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    assert "Pad" in ops(optimised(model(nodes, {"x": (1, 2, 6, 6)}, {**constants, "w": random((3, 2, 3, 3))})))


CONCATS = {
    "of nests": (["a = Conv x w", "b = Conv x v", "y = Concat a b"], ["CONV", "CONV"]),
    "read by a nest": (["a = Conv x w", "b = Conv x v", "c = Concat a b", "y = Conv c u"], ["CONV", "CONV", "CONV"]),
    "of vector ops": (["a = Conv x w", "b = Relu a", "c = Exp a", "y = Concat b c"], ["CONV", "Relu", "Exp"]),
    "with an input": (["a = Conv x w", "y = Concat x a"], ["CONV"]),
    "one in another": (["a = Conv x w", "b = Conv x v", "c = Concat a b", "y = Concat c x"], ["CONV", "CONV"]),
    "needed elsewhere": (["a = Conv x w", "b = Relu a", "y = Concat a b", "z = Exp a"], ["CONV", "Relu", "Exp"]),
    "twice the same": (["a = Conv x w", "y = Concat a a"], ["CONV", "Concat"]),
    "of inputs alone": (["a = Concat x x2", "y = Conv a u"], ["Concat", "CONV"]),
    "in two": (["a = Conv x w", "y = Concat a x", "z = Concat x2 a"], ["CONV", "Concat"]),
    "with a constant": (["a = Conv x w", "c = Concat k a", "y = Conv c u"], ["CONV", "CONV"]),
    "a constant that is needed elsewhere": (
        ["a = Conv x w", "y = Concat a k", "b = Conv k v", "z = Add b k"],
        ["CONV", "CONV", "Add"],
    ),
    "a constant in two": (["a = Conv x w", "y = Concat a k", "b = Exp a", "z = Concat k b"], ["CONV", "Exp", "Concat"]),
}


@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("case", CONCATS)
def test_concatenations_are_written_in_place(case: str, axis: int) -> None:
    lines, expected = CONCATS[case]
    nodes = []
    for line in lines:
        result, _, op, *inputs = line.split()
        attributes: dict[str, Any] = {"axis": axis} if op == "Concat" else {}
        if op == "Conv":
            attributes = {"pads": [1, 1, 1, 1], "group": 2 if inputs[1] == "v" else 1}
        nodes.append(helper.make_node(op, inputs, [result], **attributes))
    channels = 4 if axis == 3 else 8
    constants = {"w": random((4, 4, 3, 3)), "v": random((4, 2, 3, 3)), "u": random((2, channels, 3, 3))}
    constants["k"] = random((1, 4, 5, 6))
    inputs = {name: (1, 4, 5, 6) for name in ("x", "x2") if any(f" {name}" in line for line in lines)}
    used = {name: value for name, value in constants.items() if any(name in n.input for n in nodes)}
    made = model(nodes, inputs, used, " ".join(name for name in "yz" if any(name in n.output for n in nodes)))
    graph = optimised(made)
    assert ops(graph) == expected
    assert parse_graph(print_graph(graph), graph.constants) == graph
    program = effc.compile(made, "eyeriss", time_limit=0.2)
    assert program.verify().ok, program.verify().failed
    values = {name: random(shape) for name, shape in inputs.items()}
    on_cpu = CpuProgram(program.graph).run(values)
    for name, value in program.run(values).items():
        assert np.allclose(value, on_cpu[name], atol=1e-4)
    assert program.program is not None
    assert parse_program(print_program(program.program)) == program.program
    assert decode_program(encode_program(program.program)) == program.program


SLICES = {
    "halves": [node("Split", "x", "a b", axis=1), node("Relu", "a", "c"), node("Mul", "c b", "y")],
    "turned": [node("Transpose", "x", "a", perm=[0, 2, 3, 1]), node("Softmax", "a", "y")],
    "of a result": [node("Exp", "x", "a"), node("Split", "a", "b c", axis=3), node("Add", "b c", "y")],
    "of a slice": [
        node("Split", "x", "a b", axis=1),
        node("Transpose", "a", "c", perm=[0, 1, 3, 2]),
        node("Split", "c", "d e", axis=2),
        node("Mul", "d e", "y"),
    ],
    "of what is joined": [
        node("Exp", "x", "a"),
        node("Concat", "a x", "b", axis=2),
        node("Transpose", "b", "c", perm=[0, 1, 3, 2]),
        node("Softmax", "c", "y"),
    ],
    "joined again": [
        node("Split", "x", "a b", axis=1),
        node("Neg", "b", "c"),
        node("Concat", "c a", "d", axis=1),
        node("Add", "d x", "y"),
    ],
    "flat": [node("Exp", "x", "a"), node("Flatten", "a", "b"), node("Softmax", "b", "y")],
    "turned and flat": [
        node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
        node("Flatten", "a", "b"),
        node("Exp", "b", "y"),
    ],
    "an output": [node("Transpose", "x", "y", perm=[0, 2, 3, 1])],
}
COPIES = {"joined again": ["Split"], "turned and flat": ["Flatten"], "an output": ["Transpose"]}
"""What remains: a slice that is joined again is a copy, and rows of a transposed tensor have no strides."""


@pytest.mark.parametrize("case", SLICES)
def test_slices_are_read_in_place(case: str) -> None:
    made = model(SLICES[case], {"x": (2, 4, 5, 6)})
    graph = optimised(made)
    assert [op for op in ops(graph) if op in LAYOUT_OPS or op == "Concat"] == COPIES.get(case, [])
    assert parse_graph(print_graph(graph), graph.constants) == graph
    program = effc.compile(made, "eyeriss", time_limit=0.2)
    assert program.verify().ok, program.verify().failed
    x = random((2, 4, 5, 6))
    assert np.allclose(program.run({"x": x})["y"], CpuProgram(program.graph).run({"x": x})["y"], atol=1e-5)


def test_faults_of_parts() -> None:
    nodes = [node("Exp", "x", "a"), node("Neg", "x", "b"), node("Concat", "a b", "c", axis=1), node("Relu", "c", "y")]
    made = effc.compile(model(nodes, {"x": (2, 4, 5, 6)}), "eyeriss", time_limit=0.2)
    program = made.program
    assert program is not None
    (part,) = [slot for slot in program.slots if slot.name == "a"]
    (whole,) = [slot for slot in program.slots if slot.name == "c"]
    assert (part.within, part.strides) == ("c", (240, 30, 6, 1))
    wrong = {
        "slot a lies in z": replace(part, within="z"),
        "slot a lies in b": replace(part, within="b"),
        "slot a has the strides": replace(part, strides=(1, 1, 1, 1)),
        r"slot a has the strides \(0, 0, 0, 0\)": replace(part, shape=(2**31, 1, 1, 1), strides=(0, 0, 0, 0)),
        "slot a lies outside of c": replace(part, address=whole.address + 241),
        "slot a lives from layer": replace(part, first=-1),
    }
    for message, other in wrong.items():
        mutant = replace(program, slots=tuple(other if slot is part else slot for slot in program.slots))
        with pytest.raises(MachineFault, match=message):
            Machine(made.target).run(mutant, {"x": random((2, 4, 5, 6))}, made.graph.constants)


def test_a_slice_of_a_table_of_starts_is_none() -> None:
    """Starts are a row; what onnxruntime will refuse is no layout, and no error of the compiler."""
    for starts in (np.array([[1]]), np.array(1), np.array([1.0], np.float32)):
        proto = helper.make_node("Slice", ["x", "s", "e"], ["y"])
        op = NodeOp("slice", "Slice", ("x", "s", "e"), ("y",), proto.SerializeToString(), version=13)
        shapes = {"x": (3, 4), "y": (2, 4), "s": starts.shape, "e": (1,)}
        tensors = {name: Tensor(name, "float32", shape) for name, shape in shapes.items()}
        graph = Graph("g", ("x",), ("y",), tensors, (op,), {"s": starts, "e": np.array([3])})
        assert layouts(op, graph) == {}


TRANSPOSED = [node("Transpose", "t", "y", perm=[0, 2, 3, 1])]
HEAD = [
    node("Transpose", "t", "u", perm=[0, 2, 3, 1]),
    node("Reshape", "u rows", "p"),
    node("Concat", "p q", "y", axis=1),
]


@pytest.mark.parametrize("last", [TRANSPOSED, HEAD])
@pytest.mark.parametrize(
    "steps",
    [
        [node("Sigmoid", "c", "t")],
        [node("Sigmoid", "c", "s"), node("Mul", "c s", "t")],
        [node("Add", "c d", "s"), node("Clip", "s low high", "t")],
        [node("Mul", "c channel", "s"), node("PRelu", "s channel", "t")],
        [node("Add", "c x", "s"), node("Max", "s low", "t")],
        [node("GlobalAveragePool", "x", "m"), node("Mul", "m c", "t")],
    ],
)
def test_layouts_behind_elementwise_operators(steps: list[onnx.NodeProto], last: list[onnx.NodeProto]) -> None:
    """A transposition to channels last, behind what is fused: the nest writes it so."""
    nodes = [node("Conv", "x w", "c"), node("Conv", "x v", "d"), *steps, *last]
    constants = {
        **{"w": random((4, 4, 1, 1), 1), "v": random((4, 4, 1, 1), 2), "rows": np.array([2, -1, 4])},
        **{"low": np.float32(-0.5), "high": np.float32(0.5), "channel": random((4, 1, 1))},
    }
    made = model(nodes, {"x": (2, 4, 3, 5), "q": (2, 1, 4)}, constants)
    graph = optimised(made)
    layouts_left = {op.op for op in graph.ops if isinstance(op, NodeOp)} & {*LAYOUT_OPS, "Concat"}
    assert not layouts_left
    assert effc.compile(made, "eyeriss_like", time_limit=0.2).verify().ok


def test_layouts_behind_what_others_read_stay() -> None:
    """The nest writes its result as it is, for the product; the other one is a copy."""
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "t"), *TRANSPOSED, node("Conv", "t w", "z")]
    graph = optimised(model(nodes, {"x": (2, 4, 3, 5)}, {"w": random((4, 4, 1, 1))}, "y z"))
    assert "Transpose" in [op.op for op in graph.ops if isinstance(op, NodeOp)]
