"""What is printed is parsed back, exactly; what cannot be parsed is an ``InputError``."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from effc import ir
from effc.ir import nests
from effc.ir.constants import digest
from effc.ir.parser import MAX_TEXT
from effc.ir.printer import KEYWORDS, name, quoted, row_major

exact = settings(
    derandomize=True, deadline=None, database=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)

# Random IR

LABELS = ["N", "K", "C", "P", "Q", "R", "S", "G", "in", "by", "op", "par", "offset", "_x1", "nan"]
any_name = st.text(st.characters(exclude_categories=()), min_size=1, max_size=6) | st.sampled_from(sorted(KEYWORDS))


@st.composite
def any_read(draw: st.DrawFn, label: str, dims: tuple[ir.Dim, ...]) -> ir.Operand:
    """An operand whose axes use each dim at most once, and that is not padding alone."""
    axes = []
    for group in draw(st.lists(st.lists(st.sampled_from(dims), max_size=2), max_size=4)) if dims else []:
        free = [dim for dim in dict.fromkeys(group) if all(dim.name not in axis.dims for axis in axes)]
        terms = tuple((draw(st.integers(1, 3)), dim.name) for dim in free)
        some_sum = sum(c * draw(st.integers(0, dim.bound - 1)) for (c, _), dim in zip(terms, free, strict=True))
        offset = draw(st.integers(-some_sum, 5))
        axes.append(ir.Axis(terms, offset, some_sum + offset + draw(st.integers(1, 4))))
    return ir.Operand(label, tuple(axes))


@st.composite
def any_nest(draw: st.DrawFn) -> ir.Nest:
    labels = draw(st.lists(st.sampled_from(LABELS), unique=True, max_size=6))
    roles = st.sampled_from(ir.ROLES)
    dims = tuple(ir.Dim(label, draw(st.integers(1, 9)), draw(roles)) for label in labels)
    reads = tuple(draw(any_read(label, dims)) for label in draw(st.sampled_from([("I",), ("I", "W")])))
    outs = draw(st.lists(st.sampled_from(dims), unique=True)) if dims else []
    axes = [ir.Axis(((1, dim.name),), 0, dim.bound) for dim in outs] + [ir.Axis((), 0, 1)] * draw(st.integers(0, 1))
    bias = ir.Operand("B", tuple(axis for axis in axes if draw(st.booleans()))) if draw(st.booleans()) else None
    return ir.Nest(draw(any_name), dims, reads, ir.Operand("O", tuple(axes)), bias)


@st.composite
def any_schedule(draw: st.DrawFn, nest: ir.Nest) -> ir.Schedule:
    """A legal schedule: fors and keeps anywhere, the pars of a level in one block, steps that end in 1."""
    dims, levels = [dim.name for dim in nest.dims], ["GLB", "spad", "for", "a level"]
    loops: list[list[ir.Item]] = [[ir.For(dim, 0)] for dim in dims for _ in range(draw(st.integers(1, 3)))]
    pars = [(level, axis, dim) for level in levels[:2] for axis in "xy" for dim in dims]
    chosen = draw(st.lists(st.sampled_from(pars), unique=True, max_size=4)) if dims else []
    blocks = [[ir.Par(dim, 0, level, axis) for level, axis, dim in chosen if level == own] for own in levels[:2]]
    marks = [(operand, level) for operand in nest.operands for level in levels]
    keeps: list[list[ir.Item]] = [[ir.Keep(*mark)] for mark in draw(st.lists(st.sampled_from(marks), unique=True))]
    blocks_in_order = draw(st.permutations([*loops, *filter(None, blocks), *keeps]))
    items = [item for block in blocks_in_order for item in block]
    tiles = dict(nest.bounds)
    last = {item.dim: i for i, item in enumerate(items) if not isinstance(item, ir.Keep)}
    for i, item in enumerate(items):
        if not isinstance(item, ir.Keep):
            tiles[item.dim] = 1 if last[item.dim] == i else draw(st.integers(1, tiles[item.dim]))
            items[i] = replace(item, step=tiles[item.dim])
    return ir.Schedule(tuple(items))


any_scheduled = any_nest().flatmap(lambda nest: st.tuples(st.just(nest), any_schedule(nest)))


@st.composite
def any_attribute(draw: st.DrawFn) -> AttributeProto:
    i64, f32 = st.integers(-(2**63), 2**63 - 1), st.floats(width=32)
    kind, field, value = draw(
        st.sampled_from(
            [
                (AttributeProto.INT, "i", i64),
                (AttributeProto.FLOAT, "f", f32),
                (AttributeProto.STRING, "s", st.binary(max_size=5) | st.text(max_size=5).map(str.encode)),
                (AttributeProto.INTS, "ints", st.lists(i64, max_size=3)),
                (AttributeProto.FLOATS, "floats", st.lists(f32, max_size=3)),
                (AttributeProto.STRINGS, "strings", st.lists(st.text(max_size=5).map(str.encode), max_size=3)),
                (AttributeProto.TENSOR, "t", st.just(numpy_helper.from_array(np.arange(3)))),
                (AttributeProto.GRAPH, "g", st.just(onnx.GraphProto(name="body"))),
                (AttributeProto.UNDEFINED, "i", i64),
            ]
        )
    )
    attribute = AttributeProto(
        name=draw(st.text(max_size=4) | st.sampled_from(sorted(KEYWORDS))), type=kind, **{field: draw(value)}
    )
    if draw(st.integers(0, 9)) == 0:
        attribute.doc_string = "a note"
    return attribute


@st.composite
def any_node(draw: st.DrawFn, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> ir.NodeOp:
    """A node op, whose node says what the op says, or says it differently, or in another order."""
    op = ir.NodeOp(
        draw(any_name),
        draw(st.sampled_from(["Relu", "in", "Über"])),
        inputs,
        outputs,
        b"",
        draw(st.sampled_from(["", "com.microsoft"])),
        draw(st.integers(0, 30)),
        draw(st.sampled_from(["vector", "host"])),
        draw(st.text(max_size=8)),
        inputs[:1] if draw(st.booleans()) and inputs and inputs[0] else (),
        draw(st.sampled_from([b"", b"", b"\x08\x07", b"\x08\x08"])),
    )
    node = NodeProto(op_type=draw(st.sampled_from([op.op, "Other"])), attribute=draw(st.lists(any_attribute())))
    for field, value in (("name", "the node"), ("domain", ""), ("doc_string", ""), ("overload", "x")):
        if draw(st.booleans()):
            setattr(node, field, draw(st.sampled_from([value, "", "other"])))
    if draw(st.booleans()):
        node.metadata_props.add(key="k", value="v\n")
    if all(_encodes(text) for text in (*inputs, *outputs)) and draw(st.booleans()):
        node.input.extend(inputs)
        node.output.extend(outputs)
    data = node.SerializeToString(deterministic=True)
    unsorted = b'"\x04Relu\x1a\x01n'  # the operator before the name
    return replace(op, node=draw(st.sampled_from([data, data, data, unsorted])))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@st.composite
def any_view(draw: st.DrawFn, operand: ir.Operand, tensor: str) -> tuple[ir.View, int]:
    """A view of a new tensor, which has the second number of words."""
    order = draw(st.permutations(range(len(operand.axes)))) if draw(st.booleans()) else range(len(operand.axes))
    gap = draw(st.sampled_from([1, 1, 2]))
    by_axis = dict(zip(order, row_major([operand.shape[i] for i in order]), strict=True))
    offset = draw(st.sampled_from([0, 0, 7]))
    return ir.View(tensor, offset, tuple(gap * by_axis[i] for i in range(len(order)))), offset + gap * operand.words


class _World:
    """The tensors and ops of a graph while it is drawn."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.names = iter(draw(st.lists(any_name, unique=True, min_size=40, max_size=40)))
        self.tensors: dict[str, ir.Tensor] = {}
        self.inputs: list[str] = []
        self.written: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self.ops: list[ir.Op] = []

    def tensor(self, shape: tuple[int, ...] | None, dtype: str = "float32") -> str:
        label = next(self.names)
        self.tensors[label] = ir.Tensor(label, dtype, shape)
        return label

    def source(self, words: int) -> str:
        """A new input or constant."""
        label = self.tensor((words,))
        if self.draw(st.booleans()):
            self.inputs.append(label)
        else:
            self.constants[label] = np.arange(words, dtype=np.float32)
        return label

    def add_nest(self) -> None:
        nest, schedule = self.draw(any_scheduled)
        uses = {}
        for label, operand in nest.operands.items():
            view, words = self.draw(any_view(operand, ""))
            tensor = self.tensor((words,)) if label == "O" else self.source(words)
            uses[label] = replace(view, tensor=tensor)
        origin = self.draw(st.just(nest.name) | any_name)
        steps = self.steps(uses["O"].tensor) if self.tensors[uses["O"].tensor].words == nest.output.words else ()
        op = ir.NestOp(nest, uses, "Conv", origin, schedule if self.draw(st.booleans()) else None, steps)
        self.written.append(op.outputs[0])
        self.ops.append(op)

    def steps(self, sums: str) -> tuple[ir.NodeOp, ...]:
        """Some steps of an epilogue, each of which reads the one before and the sums."""
        found: list[ir.NodeOp] = []
        for _ in range(self.draw(st.integers(0, 2))):
            made = self.tensor(self.tensors[sums].shape)
            step = self.draw(any_node((found[-1].outputs[0] if found else sums, sums), (made,)))
            found.append(replace(step, op="Add", domain="", where="vector", captures=(), context=b""))
        return tuple(found)

    def add_node(self) -> None:
        known = ["", *self.inputs, *self.constants, *self.written]
        inputs = tuple(self.draw(st.lists(st.sampled_from(known), max_size=3)))
        shape, dtype = self.draw(st.sampled_from([((2, 0), "int64"), ((), "bool"), (None, "seq(tensor(float))")]))
        outputs = (self.tensor(shape, dtype), *self.draw(st.sampled_from([(), ("",)])))
        self.written.append(outputs[0])
        self.ops.append(self.draw(any_node(inputs, outputs)))


@st.composite
def any_graph(draw: st.DrawFn) -> ir.Graph:
    world = _World(draw)
    for kind in draw(st.lists(st.booleans(), max_size=4)):
        world.add_nest() if kind else world.add_node()
    ops = tuple(op for i, op in enumerate(world.ops) if op.name not in [other.name for other in world.ops[:i]])
    made = [label for label in world.written if any(label in op.outputs for op in ops)]
    inputs = (*world.inputs, *(label for label in world.written if label not in made))
    return ir.Graph(draw(any_name), inputs, tuple(made[-1:]), world.tensors, ops, world.constants)


# Round trips


@exact
@given(any_nest())
def test_nests_come_back(nest: ir.Nest) -> None:
    text = ir.print_nest(nest)
    assert ir.parse_nest(text) == nest
    assert ir.print_nest(ir.parse_nest(text)) == text


@exact
@given(any_scheduled)
def test_schedules_come_back(scheduled: tuple[ir.Nest, ir.Schedule]) -> None:
    nest, schedule = scheduled
    for text in (ir.print_schedule(schedule), ir.print_schedule(schedule, nest)):
        assert ir.parse_schedule(text) == schedule
        assert ir.parse_schedule(text, nest) == schedule
    text = ir.print_scheduled(nest, schedule)
    assert ir.parse_scheduled(text) == scheduled


@exact
@given(any_graph())
def test_graphs_come_back(graph: ir.Graph) -> None:
    text = ir.print_graph(graph)
    without_values, with_values = ir.parse_graph(text), ir.parse_graph(text, graph.constants)
    assert ir.print_graph(without_values) == text == ir.print_graph(with_values)
    assert replace(with_values, constants={}) == replace(graph, constants={})
    assert all(with_values.constants[key] is value for key, value in graph.constants.items())
    assert list(with_values.tensors) == list(graph.tensors)
    assert text.encode("utf-8")


@exact
@given(st.text(st.characters(exclude_categories=())))
def test_every_string_can_be_quoted(text: str) -> None:
    operand = ir.Operand("O", ())
    nest = ir.Nest(text, (), (ir.Operand("I", ()),), operand)
    assert ir.parse_nest(ir.print_nest(nest)).name == text
    assert quoted(text).isprintable()


# Broken texts

EXAMPLE = ir.print_graph(
    ir.Graph(
        "g",
        ("x",),
        ("y", "z"),
        {key: ir.Tensor(key, "float32", (1, 2, 8, 8)) for key in ("x", "w", "y", "z")},
        (
            ir.NestOp(
                conv := nests.conv2d(1, 2, 2, 8, 8, 1, 1, name="c"),
                {label: ir.View(key, 0, row_major(conv.operands[label].shape)) for label, key in zip("IWO", "xwy")},
                "Conv",
                "node",
                ir.Schedule((ir.Keep("I", "GLB"), ir.Par("K", 1, "GLB", "x"), *(ir.For(d, 1) for d in "PCQ"))),
            ),
            ir.NodeOp(
                "r", "Relu", ("y",), ("z",), helper.make_node("Relu", ["y"], ["z"], a=1, b="s").SerializeToString()
            ),
        ),
        {"w": np.zeros((1, 2, 8, 8), np.float32)},
    )
)


@settings(exact, max_examples=300)
@given(st.data())
def test_damage_is_an_input_error_or_nothing(data: st.DataObject) -> None:
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 0, 1, 3, 20]))
        piece = data.draw(st.sampled_from(["", "9", "0", "-", '"', "\n", "\\", "K", "for ", "\x00", "..", "}", "é"]))
        text = text[:at] + piece + text[at + length :]
    try:
        graph = ir.parse_graph(text)
    except ir.InputError as error:
        assert "<graph>:" in str(error)
    else:
        assert ir.parse_graph(ir.print_graph(graph)) == graph


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '"' + "\\" * 100_000,
        'nest "' + "a" * 500_000,
        "for K in 0.." + "9" * 100_000,
        "nest n (" + "K=1, " * 50_000,
        "for K " * 50_000 + "}",
        "#" * MAX_TEXT,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_end_quickly(text: str) -> None:
    start = time.monotonic()
    with pytest.raises(ir.InputError):
        ir.parse_nest(text)
    assert time.monotonic() - start < 10


def test_long_texts_are_refused() -> None:
    with pytest.raises(ir.InputError, match="characters"):
        ir.parse_schedule(" " * (MAX_TEXT + 1))
    with pytest.raises(ir.InputError, match="at most 10"):
        ir.parse_graph("graph g () -> () {}", limit=10)
    assert ir.parse_graph("graph g () -> () {}").name == "g"


def test_hidden_huge_tensors_cost_nothing() -> None:
    """Two nests that write one tensor of 10^12 words are refused without an array of that size."""
    nest = "nest {} () of X {{ read I[] write O[] }} uses I = x, O = y offset {}\n"
    text = (
        "graph g (x) -> (y) { tensor x : f4[1] tensor y : f4[1000000000000]\n"
        + nest.format("a", 0)
        + nest.format("b", 1)
    )
    with pytest.raises(ir.InputError, match="too large"):
        ir.parse_graph(text + "}")


# Forms


def test_the_forms_of_loops() -> None:
    nest = nests.conv2d(1, 64, 3, 56, 56, 1, 1, name="conv1")
    schedule = ir.Schedule(
        (ir.Keep("I", "GLB"), ir.For("K", 16), ir.Par("P", 4, "GLB", "x"), ir.Keep("W", "spad"), ir.For("P", 1))
    )
    assert ir.print_schedule(schedule, nest) == (
        "keep I @ GLB\n"
        "for K in 0..64 by 16\n"
        "  par P in 0..56 by 4 @ GLB.x\n"
        "    keep W @ spad\n"
        "    for P in 0..4\n"
    )  # fmt: skip
    assert ir.print_schedule(schedule) == (
        "keep I @ GLB\n"
        "for K by 16\n"
        "  par P by 4 @ GLB.x\n"
        "    keep W @ spad\n"
        "    for P in 0..4\n"
    )  # fmt: skip


def test_a_loop_on_one_line_without_ranges() -> None:
    assert ir.parse_schedule("for K by 4 for K # all of it") == ir.Schedule((ir.For("K", 4), ir.For("K", 1)))


def test_the_empty_schedule_is_not_no_schedule() -> None:
    nest = ir.Nest("n", (), (ir.Operand("I", ()),), ir.Operand("O", ()))
    text = ir.print_scheduled(nest, ir.Schedule(()))
    assert text == "nest n () {\n  read  I[]\n  write O[]\n\n  O[] += I[]\n}\n"
    assert ir.parse_scheduled(text) == (nest, ir.Schedule(()))
    with pytest.raises(ir.InputError, match="no loops"):
        ir.parse_scheduled(ir.print_nest(nest))
    with pytest.raises(ir.InputError, match="has loops"):
        ir.parse_nest(text)


def test_views_are_short_where_they_can_be() -> None:
    (line,) = (line for line in EXAMPLE.splitlines() if "uses" in line)
    assert line == "  } uses I = x, W = w, O = y"
    moved = EXAMPLE.replace("I = x", "I = x offset 1 strides (128, 64, 8, 0)")
    view = ir.parse_graph(moved).nests[0].uses["I"]
    assert view == ir.View("x", 1, (128, 64, 8, 0))
    assert ir.print_graph(ir.parse_graph(moved)) == moved


def test_nodes_are_readable() -> None:
    node = helper.make_node("Resize", ["x", ""], ["y"], name="up", mode="nearest", a=-0.75, bias=[1, 2], c=["é"])
    op = ir.NodeOp("up", "Resize", ("x", ""), ("y",), node.SerializeToString(), "", 13, "host")
    assert _printed_op(op) == (
        'op Resize "up" (x, "") -> (y) opset 13 @ host { a = -0.75, bias = [1, 2], c = ["é"], mode = "nearest" }'
    )


@pytest.mark.parametrize("value", [0.1, 1e-5, 3.4028234663852886e38, float("inf"), -0.0, float("nan"), 1e-45])
def test_floats_are_exact(value: float) -> None:
    node = helper.make_node("Op", [], ["y"], name="n", value=value).SerializeToString(deterministic=True)
    op = ir.NodeOp("n", "Op", (), ("y",), node)
    assert "base64" not in _printed_op(op)
    graph = _graph_of(op)
    assert ir.parse_graph(ir.print_graph(graph)) == graph


def _graph_of(op: ir.NodeOp) -> ir.Graph:
    inputs = tuple(dict.fromkeys(filter(None, op.inputs)))
    tensors = {key: ir.Tensor(key, "float32", ()) for key in (*inputs, *op.outputs)}
    return ir.Graph("g", inputs, op.outputs, tensors, (op,))


def _printed_op(op: ir.NodeOp) -> str:
    (line,) = (line for line in ir.print_graph(_graph_of(op)).splitlines() if line.startswith("  op "))
    return line.strip()


def test_names_are_quoted_only_where_they_must_be() -> None:
    assert [name(text) for text in ("conv_1", "a.b", "1", "for", "", 'a"\n\x00')] == [
        "conv_1",
        '"a.b"',
        '"1"',
        '"for"',
        '""',
        '"a\\"\\n\\u{0}"',
    ]


def test_the_keywords_are_those_of_the_grammar() -> None:
    from effc.ir.parser import literals

    assert {literal for literal in literals("graph").values() if literal.isalnum()} == KEYWORDS


# Constants


@pytest.mark.parametrize(
    "value", [np.arange(6.0).reshape(2, 3), np.array(["a", "bc"], object), np.zeros(0), np.array(3)]
)
def test_digests_depend_on_values_alone(value: np.ndarray) -> None:
    assert digest(value) == digest(np.asfortranarray(value)) == digest(value.copy())
    if value.dtype.kind == "f":
        assert digest(value) == digest(value.astype(value.dtype.newbyteorder(">")))


def test_absent_constants_refuse_to_be_used() -> None:
    absent = ir.parse_graph(EXAMPLE).constants["w"]
    assert isinstance(absent, ir.AbsentConstant)
    assert (absent.shape, absent.size) == ((1, 2, 8, 8), prod(absent.shape))
    with pytest.raises(ValueError, match="'w' are not in the text"):
        np.asarray(absent)


def test_constants_are_checked() -> None:
    with pytest.raises(ir.InputError, match="missing"):
        ir.parse_graph(EXAMPLE, {})
    with pytest.raises(ir.InputError, match="another one"):
        ir.parse_graph(EXAMPLE, {"w": np.ones((1, 2, 8, 8), np.float32)})
    with pytest.raises(ir.InputError, match="rule 'constants'"):
        ir.parse_graph(EXAMPLE, {"w": np.zeros((2, 1, 8, 8), np.float32)})


# Cost


def test_lark_and_onnx_are_loaded_late() -> None:
    code = "import sys, effc.ir; sys.exit(any(name in sys.modules for name in ('lark', 'onnx')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_thousand_ops() -> None:
    """Printing and parsing take time in proportion to the length."""
    conv = nests.conv2d(1, 8, 8, 14, 14, 3, 3, pad=1)
    keys = [f"t{i}" for i in range(1001)]
    strides = {label: row_major(operand.shape) for label, operand in conv.operands.items()}
    ops = [
        ir.NestOp(
            replace(conv, name=f"conv{i}"),
            {label: ir.View(key, 0, strides[label]) for label, key in (("I", a), ("W", "w"), ("O", b))},
            "Conv",
            f"node{i}",
        )
        for i, (a, b) in enumerate(pairwise(keys))
    ]
    tensors = {key: ir.Tensor(key, "float32", (1, 8, 14, 14)) for key in ("w", *keys)}
    graph = ir.Graph("deep", ("t0", "w"), ("t1000",), tensors, tuple(ops))
    start = time.monotonic()
    assert ir.parse_graph(ir.print_graph(graph)) == graph
    assert time.monotonic() - start < 30


def test_tensor_protos_stay_what_they_are() -> None:
    weights = numpy_helper.from_array(np.arange(4, dtype=np.int64), "k")
    node = helper.make_node("Constant", [], ["y"], name="n", value=weights)
    graph = _graph_of(ir.NodeOp("n", "Constant", (), ("y",), node.SerializeToString(deterministic=True)))
    (op,) = ir.parse_graph(ir.print_graph(graph)).ops
    assert isinstance(op, ir.NodeOp)
    back = NodeProto.FromString(op.node).attribute[0].t
    assert isinstance(back, TensorProto) and numpy_helper.to_array(back).tolist() == [0, 1, 2, 3]
