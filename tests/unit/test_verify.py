"""Every rule has an IR that breaks it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from effc import ir
from effc.ir import nests
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.printer import row_major
from effc.ir.schedule import For, Keep, Par, Schedule
from effc.ir.verify import GRAPH_RULES, NEST_RULES, SCHEDULE_RULES

CONV = nests.conv2d(1, 4, 3, 8, 8, 3, 3, pad=1, bias=True, name="conv")
GEMM = nests.gemm(8, 6, 4, name="gemm")


def plain(name: str, **sizes: int) -> Operand:
    return Operand(name, tuple(Axis(((1, dim),), 0, size) for dim, size in sizes.items()))


def with_dim(position: int, dim: Dim) -> Nest:
    return replace(GEMM, dims=(*GEMM.dims[:position], dim, *GEMM.dims[position + 1 :]))


def with_read(*axes: Axis) -> Nest:
    return replace(GEMM, reads=(Operand("I", axes), GEMM.reads[1]))


def with_output(*axes: Axis) -> Nest:
    return replace(GEMM, output=Operand("O", axes))


M, N, K = (Axis(((1, dim.name),), 0, dim.bound) for dim in GEMM.dims)
BIG = 2**32
HUGE = (Dim("K", BIG, "K"), Dim("C", BIG, "C"))

NESTS: list[tuple[str, Nest, tuple[str | int, ...]]] = [
    ("dim-names", with_dim(0, Dim("N", 8, "P")), ("dims", 1)),
    ("dim-names", with_dim(0, Dim("a b", 8, "P")), ("dims", 0)),
    ("bounds", with_dim(2, Dim("K", 0, "C")), ("dims", 2)),
    ("roles", with_dim(0, Dim("M", 8, "M")), ("dims", 0)),
    ("operand-names", replace(GEMM, reads=()), ()),
    ("operand-names", replace(GEMM, reads=GEMM.reads[::-1]), ("reads", 0)),
    ("operand-names", replace(GEMM, reads=(*GEMM.reads, plain("V"))), ("reads", 2)),
    ("operand-names", replace(GEMM, output=plain("Y", M=8, N=6)), ("output",)),
    ("operand-names", replace(GEMM, bias=plain("C")), ("bias",)),
    ("sizes", with_read(M, replace(K, size=0)), ("reads", 0, "axes", 1)),
    ("known-dims", with_read(M, Axis(((1, "X"),), 0, 4)), ("reads", 0, "axes", 1)),
    ("coefficients", with_read(M, Axis(((-1, "K"),), 3, 4)), ("reads", 0, "axes", 1)),
    ("coefficients", with_read(M, Axis(((0, "K"),), 0, 4)), ("reads", 0, "axes", 1)),
    ("one-axis", with_read(M, M), ("reads", 0, "axes", 1)),
    ("one-axis", with_read(Axis(((1, "M"), (1, "M")), 0, 15)), ("reads", 0, "axes", 0)),
    ("plain-axes", with_output(Axis(((6, "M"), (1, "N")), 0, 48)), ("output", "axes", 0)),
    ("plain-axes", replace(CONV, bias=Operand("B", (Axis(((1, "P"), (1, "Q")), 0, 15),))), ("bias", "axes", 0)),
    ("no-scatter", with_output(M, replace(N, offset=-1)), ("output", "axes", 1)),
    ("no-scatter", with_output(M, replace(N, offset=1)), ("output", "axes", 1)),
    ("no-scatter", replace(CONV, bias=plain("B", K=3)), ("bias", "axes", 0)),
    ("covered", with_output(M, replace(N, size=7)), ("output", "axes", 1)),
    ("covered", with_output(replace(M, terms=((2, "M"),), size=15), N), ("output", "axes", 0)),
    ("covered", with_output(M, N, Axis((), 1, 2)), ("output", "axes", 2)),
    ("bias-dims", replace(CONV, bias=plain("B", K=4, C=3)), ("bias", "axes", 1)),
    ("some-words", with_read(M, replace(K, offset=-4)), ("reads", 0, "axes", 1)),
    ("some-words", with_read(M, replace(K, offset=4)), ("reads", 0, "axes", 1)),
    ("some-words", with_read(Axis(((5, "M"), (10, "K")), -2, 3)), ("reads", 0, "axes", 0)),
    ("countable", Nest("n", HUGE, (plain("I"),), plain("O", K=BIG)), ()),
    ("countable", with_read(replace(M, size=BIG), replace(K, size=BIG)), ("reads", 0)),
]


@pytest.mark.parametrize(("rule", "nest", "place"), NESTS, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(NESTS)])
def test_rules_of_nests(rule: str, nest: Nest, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ir.VerifyError) as error:
        ir.verify_nest(nest)
    assert (error.value.rule, error.value.place) == (rule, place)
    assert error.value.expected and error.value.remedy


def test_good_nests() -> None:
    for nest in (CONV, GEMM, Nest("scalar", (), (plain("I"), plain("W")), plain("O"), plain("B"))):
        ir.verify_nest(nest)
    sparse = Axis(((5, "M"), (3, "K")), -4, 1)  # 5m + 3k = 4 has no solution
    with pytest.raises(ir.VerifyError, match="some-words"):
        ir.verify_nest(with_read(sparse))
    ir.verify_nest(with_read(replace(sparse, offset=-8)))  # 5 + 3 = 8


def test_a_hopeless_search_for_words_is_given_up() -> None:
    """Whether a sum can be met is a knapsack: after very many trials it is taken for granted."""
    dims = (Dim("a", 10**6, "C"), Dim("b", 10**6, "C"))
    read = Operand("I", (Axis(((60, "a"), (90, "b")), -(10**7) - 1, 1),))
    ir.verify_nest(Nest("n", dims, (read,), plain("O")))


LOOPS = (For("M", 1), For("N", 1), For("K", 1))


def pars(*axes: str) -> tuple[Par, ...]:
    return tuple(Par(dim, step, "GLB", axis) for axis, dim, step in zip(axes, ("M", "N"), (4, 3), strict=False))


SCHEDULES: list[tuple[str, tuple[Any, ...], tuple[str | int, ...]]] = [
    ("loop-dims", (*LOOPS, For("Q", 1)), ("items", 3)),
    ("steps", (For("M", 9), *LOOPS), ("items", 0)),
    ("steps", (For("M", 4), For("M", 5), *LOOPS), ("items", 1)),
    ("steps", (For("M", 0), *LOOPS), ("items", 0)),
    ("complete", (*LOOPS[:2], For("K", 2)), ("items", 2)),
    ("complete", LOOPS[:2], ()),
    ("keep-operands", (Keep("B", "GLB"), *LOOPS), ("items", 0)),
    ("kept-once", (Keep("I", "GLB"), Keep("W", "GLB"), Keep("I", "GLB"), *LOOPS), ("items", 2)),
    ("par-once", (Par("M", 4, "GLB", "x"), Par("M", 2, "GLB", "x"), *LOOPS), ("items", 1)),
    ("pars-together", (*pars("x")[:1], For("K", 2), *pars("x", "y")[1:], *LOOPS), ("items", 2)),
    ("pars-together", (*pars("x")[:1], Keep("I", "spad"), *pars("x", "y")[1:], *LOOPS), ("items", 2)),
    ("pars-together", (*pars("x")[:1], Par("K", 2, "spad", "x"), *pars("x", "y")[1:], *LOOPS), ("items", 2)),
]


@pytest.mark.parametrize(("rule", "items", "place"), SCHEDULES, ids=[f"{r}-{i}" for i, (r, *_) in enumerate(SCHEDULES)])
def test_rules_of_schedules(rule: str, items: tuple[Any, ...], place: tuple[str | int, ...]) -> None:
    with pytest.raises(ir.VerifyError) as error:
        ir.verify_schedule(GEMM, Schedule(items))
    assert (error.value.rule, error.value.place) == (rule, place)


def test_good_schedules() -> None:
    ir.verify_schedule(GEMM, Schedule(LOOPS))
    ir.verify_schedule(GEMM, Schedule((*pars("x", "y"), Keep("I", "spad"), For("M", 4), *LOOPS)))
    ir.verify_schedule(nests.gemm(1, 1, 1), Schedule(()))
    ir.verify_schedule(CONV, Schedule((Keep("B", "GLB"), *(For(dim, 1) for dim in "KCPQRS"))))


# Graphs

NEST = ir.NestOp(
    GEMM,
    {label: ir.View(label.lower(), 0, row_major(operand.shape)) for label, operand in GEMM.operands.items()},
    "MatMul",
    "node",
)
NODE = ir.NodeOp("relu", "Relu", ("o",), ("y",), b"")
SHAPES = {"i": (8, 4), "w": (4, 6), "o": (8, 6), "y": (8, 6), "spare": (100,)}
TENSORS = {key: ir.Tensor(key, "float32", shape) for key, shape in SHAPES.items()}
GRAPH = ir.Graph("g", ("i",), ("y",), TENSORS, (NEST, NODE), {"w": np.zeros((4, 6), np.float32)})


def tensor(**changes: Any) -> ir.Graph:
    return replace(GRAPH, tensors={**TENSORS, "o": replace(TENSORS["o"], **changes)})


def ops(*found: ir.NestOp | ir.NodeOp) -> ir.Graph:
    return replace(GRAPH, ops=found)


def nest(**changes: Any) -> ir.Graph:
    return ops(replace(NEST, **changes), NODE)


def node(**changes: Any) -> ir.Graph:
    return ops(NEST, replace(NODE, **changes))


def view(operand: str, **changes: Any) -> ir.Graph:
    return nest(uses={**NEST.uses, operand: replace(NEST.uses[operand], **changes)})


def halves(second: int, stride: int = 6) -> ir.Graph:
    """Two nests that write four rows of ``o`` each, the second from the word ``second`` on."""
    half = nests.gemm(4, 6, 4, name="top")
    uses = {**NEST.uses, "O": ir.View("o", 0, (stride, 1))}
    top = replace(NEST, nest=half, uses=uses)
    below = replace(top, nest=replace(half, name="below"), uses={**uses, "O": ir.View("o", second, (stride, 1))})
    return ops(top, below, NODE)


def fused(*steps: ir.NodeOp, **changes: Any) -> ir.Graph:
    """``y`` is what an epilogue makes of the product."""
    return replace(GRAPH, ops=(replace(NEST, epilogue=steps),), **changes)


STEP = replace(NODE, where="vector")


def parts(uses: dict[str, ir.View] | None = None, **places: ir.View) -> ir.Graph:
    """Tensors that lie in others, among them one for both of ``o`` and ``y``."""
    tensors = {**TENSORS, "both": ir.Tensor("both", "float32", (8, 12))}
    placed = {name: replace(tensors[name], place=place) for name, place in places.items()}
    return replace(nest(uses={**NEST.uses, **(uses or {})}), tensors={**tensors, **placed}, outputs=("y",))


IN_BODY = ("ops", 0, "bodies", 0)
BODY = replace(GRAPH, inputs=("i", "spare"))
LOOP = ir.ControlOp("scan", "Scan", ("i",), ("y",), b"", captures=("spare",), bodies=(BODY,), trips=3)


def looped(**changes: Any) -> ir.Graph:
    return replace(GRAPH, inputs=("i", "spare"), ops=(replace(LOOP, **changes),), constants={})


def nested(depth: int) -> ir.Graph:
    """Loops in each other."""
    graph = looped()
    for number in range(depth):
        graph = looped(name=f"scan{number}", bodies=(graph,))
    return graph


PARTS = {"o": ir.View("both", 0, (12, 1)), "y": ir.View("both", 6, (12, 1))}

GRAPHS: list[tuple[str, ir.Graph, tuple[str | int, ...]]] = [
    ("tensors", tensor(name="other"), ("tensors", "o")),
    ("tensors", tensor(shape=(8, -6)), ("tensors", "o")),
    ("tensors", tensor(shape=(2**32, 2**31)), ("tensors", "o")),
    ("constants", replace(GRAPH, constants={"v": np.zeros(1)}), ("constants", "v")),
    ("constants", replace(GRAPH, constants={"w": np.zeros((4, 6))}), ("constants", "w")),
    ("constants", replace(GRAPH, constants={"w": np.zeros((6, 4), np.float32)}), ("constants", "w")),
    ("interface", replace(GRAPH, inputs=("i", "x")), ("inputs", 1)),
    ("interface", replace(GRAPH, inputs=("i", "i")), ("inputs", 1)),
    ("interface", replace(GRAPH, inputs=("i", "w")), ("inputs", 1)),
    ("interface", replace(GRAPH, outputs=("x",)), ("outputs", 0)),
    ("op-names", node(name="gemm"), ("ops", 1)),
    ("op-names", node(name=""), ("ops", 1)),
    ("op-tensors", node(inputs=("x",)), ("ops", 1, "inputs", 0)),
    ("op-tensors", node(captures=("x",)), ("ops", 1, "captures", 0)),
    ("op-tensors", node(captures=("",)), ("ops", 1, "captures", 0)),
    ("op-tensors", node(outputs=("y", "x")), ("ops", 1, "outputs", 1)),
    ("op-tensors", view("I", tensor=""), ("ops", 0, "uses", "I")),
    ("known-shapes", tensor(shape=None), ("ops", 0, "uses", "O")),
    ("places", node(where="moon"), ("ops", 1)),
    ("bounds", nest(nest=with_dim(2, Dim("K", 0, "C"))), ("ops", 0, "nest", "dims", 2)),
    ("steps", nest(schedule=Schedule((For("M", 9),))), ("ops", 0, "schedule", "items", 0)),
    ("complete", nest(schedule=Schedule(())), ("ops", 0, "schedule")),
    ("uses", nest(uses={k: v for k, v in NEST.uses.items() if k != "W"}), ("ops", 0)),
    ("uses", nest(uses={**NEST.uses, "B": ir.View("w", 0, (1,))}), ("ops", 0, "uses", "B")),
    ("ranks", view("I", strides=(1,)), ("ops", 0, "uses", "I")),
    ("ranges", view("I", offset=1), ("ops", 0, "uses", "I")),
    ("ranges", view("I", offset=-1), ("ops", 0, "uses", "I")),
    ("ranges", view("I", strides=(-4, 1)), ("ops", 0, "uses", "I")),
    ("single-assignment", node(outputs=("o",)), ("ops", 1, "outputs", 0)),
    ("single-assignment", node(outputs=("i",)), ("ops", 1, "outputs", 0)),
    ("single-assignment", node(outputs=("w",)), ("ops", 1, "outputs", 0)),
    ("single-assignment", node(outputs=("y", "y")), ("ops", 1, "outputs", 0)),
    ("disjoint", view("O", strides=(5, 1)), ("ops", 0, "uses", "O")),
    ("disjoint", view("O", strides=(0, 1)), ("ops", 0, "uses", "O")),
    ("disjoint", halves(23), ("ops", 1, "uses", "O")),
    ("order", ops(NODE, NEST), ("ops", 0, "inputs", 0)),
    ("order", node(inputs=("spare",)), ("ops", 1, "inputs", 0)),
    ("order", node(captures=("spare",)), ("ops", 1, "captures", 0)),
    ("order", ops(halves(24).ops[0], NODE, halves(24).ops[1]), ("ops", 1, "inputs", 0)),
    ("results", replace(GRAPH, outputs=("y", "spare")), ("outputs", 1)),
    ("parts", parts(y=ir.View("z", 0, (6, 1))), ("tensors", "y", "place")),
    ("parts", parts(y=ir.View("w", 0, (6, 1))), ("tensors", "y", "place")),
    ("parts", parts(y=ir.View("both", 9, (12, 1))), ("tensors", "y", "place")),
    ("parts", parts(y=ir.View("both", 0, (1,))), ("tensors", "y", "place")),
    ("wholes", parts(y=ir.View("both", 0, (12, 1))), ("tensors", "both")),
    ("wholes", parts(y=ir.View("both", 0, (12, 1)), o=ir.View("both", 5, (12, 1))), ("tensors", "both")),
    ("rows", parts(uses={"O": ir.View("o", 0, (1, 8))}, **PARTS), ("ops", 0, "uses", "O")),
    ("op-tensors", fused(replace(STEP, inputs=("o", "x"))), ("ops", 0, "epilogue", 0)),
    ("order", fused(replace(STEP, op="Add", inputs=("o", "spare"))), ("ops", 0, "epilogue", 0)),
    ("epilogue-steps", fused(replace(STEP, op="Softmax")), ("ops", 0, "epilogue", 0)),
    ("epilogue-steps", fused(NODE), ("ops", 0, "epilogue", 0)),
    ("epilogue-steps", fused(replace(STEP, inputs=("w",))), ("ops", 0, "epilogue", 0)),
    ("epilogue-steps", fused(replace(STEP, outputs=("spare",)), outputs=("spare",)), ("ops", 0, "epilogue", 0)),
    ("epilogue-steps", fused(replace(STEP, outputs=("y", "spare"))), ("ops", 0, "epilogue", 0)),
    ("epilogue-steps", fused(replace(STEP, op="Add", inputs=("o", "i"))), ("ops", 0, "epilogue", 0)),
    ("epilogue-tensors", fused(STEP, inputs=("i", "o")), ("ops", 0)),
    ("control", looped(op="If"), ("ops", 0)),
    ("control", looped(where="vector"), ("ops", 0)),
    ("control", looped(captures=()), ("ops", 0)),
    ("control", looped(outputs=("y", "o")), ("ops", 0)),
    ("control", looped(bodies=(replace(BODY, inputs=()),)), ("ops", 0)),
    (
        "ranks",
        looped(bodies=(replace(BODY, ops=view("I", strides=(1,)).ops),)),
        (*IN_BODY, "ops", 0, "uses", "I"),
    ),
    ("names", looped(name="relu"), ()),
    ("names", nested(10), ()),
]


@pytest.mark.parametrize(("rule", "graph", "place"), GRAPHS, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(GRAPHS)])
def test_rules_of_graphs(rule: str, graph: ir.Graph, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ir.VerifyError) as error:
        ir.verify_graph(graph)
    assert (error.value.rule, error.value.place) == (rule, place)


@pytest.mark.parametrize(
    "graph",
    [
        GRAPH,
        looped(),
        nested(4),
        fused(STEP),
        parts(**PARTS),
        fused(replace(STEP, op="Add", inputs=("o", "o"))),
        halves(24),
        halves(6, stride=12),  # odd and even rows
        view("O", offset=47, strides=(-6, -1)),
        view("I", strides=(0, 0)),
        node(inputs=("", "o", "i"), outputs=("", "y"), captures=("w",)),
        replace(GRAPH, outputs=("y", "w", "i")),
        replace(GRAPH, tensors={**TENSORS, "y": ir.Tensor("y", "seq(tensor(float))", None)}),
    ],
)
def test_good_graphs(graph: ir.Graph) -> None:
    ir.verify_graph(graph)


def test_strides_that_interleave_are_checked_word_by_word() -> None:
    """Strides of 3 and 5 look as if they overlapped, and do not: 0, 3, 6, 9 and 5, 8, 11, 14."""
    small = nests.gemm(4, 2, 4)
    uses = {**NEST.uses, "O": ir.View("o", 0, (3, 5))}
    ir.verify_graph(nest(nest=small, uses=uses))
    with pytest.raises(ir.VerifyError, match="written twice"):
        ir.verify_graph(nest(nest=nests.gemm(6, 4, 4), uses=uses))


def test_every_rule_is_broken_by_a_test() -> None:
    tables = ((NEST_RULES, NESTS), (SCHEDULE_RULES, SCHEDULES), (GRAPH_RULES, GRAPHS))
    for rules, cases in tables:
        names = [rule.name for rule in rules]
        assert len(set(names)) == len(names)
        assert set(names) - {"nests", "schedules", "bodies"} <= {rule for rule, *_ in cases}
        assert all(rule.sentence.endswith(".") for rule in rules)


def test_the_message_says_where_what_and_how() -> None:
    with pytest.raises(ir.VerifyError) as error:
        ir.verify_graph(nest(schedule=Schedule((Keep("I", "GLB"), For("M", 9)))))
    assert str(error.value) == (
        "graph g ops[0] schedule items[1] `for M in 0..8 by 9`: error: a loop cannot step by 9 in 0..8 (rule 'steps')\n"
        "  expected: A step is at least 1 and at most the range of its loop.\n"
        "  remedy:   a loop over M here has the range 0..8: take a step of 1 to 8"
    )
