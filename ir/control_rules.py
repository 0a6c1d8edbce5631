"""The rules of control ops: what their bodies take and give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from effc.ir.bodies import every_op, scopes
from effc.ir.graph import ControlOp, Graph, NodeOp
from effc.ir.rules import Rule, Violation, violations

BODIES = {"If": 2, "Loop": 1, "Scan": 1}
"""How many bodies a control op has."""

DEEPEST = 8
"""Bodies may stand so deep in each other."""


def formals(op: NodeOp) -> int:
    """How many values ONNX gives a body; what it captures follows."""
    return {"If": 0, "Loop": max(2, len(op.inputs)), "Scan": len(op.inputs)}[op.op]


def results(op: NodeOp) -> int:
    """How many values a body gives: of a ``Loop``, whether it goes on comes first."""
    return len(op.outputs) + (op.op == "Loop")


def _control(graph: Graph) -> Iterator[Violation]:
    for i, op in enumerate(graph.ops):
        if isinstance(op, ControlOp):
            yield from (Violation(("ops", i), found, "see docs/ir.md") for found in _form(op))


def _form(op: ControlOp) -> Iterator[str]:
    """What is wrong with a control op."""
    if op.domain or BODIES.get(op.op) != len(op.bodies):
        yield f"{op.op} has {len(op.bodies)} bodies"
        return
    if op.where != "host":
        yield f"{op.op} runs at {op.where!r}"
    if op.op == "If" and op.trips is not None:
        yield "an If makes no trips"
    for body in op.bodies:
        count = formals(op)
        if len(body.inputs) < count:
            yield f"the body {body.name!r} has {len(body.inputs)} inputs, and is given {count}"
        if strays := [name for name in body.inputs[count:] if name not in op.captures]:
            yield f"the body {body.name!r} has the input {strays[0]!r}, which the op does not capture"
        if len(body.outputs) != results(op):
            yield f"the body {body.name!r} has {len(body.outputs)} outputs, and not {results(op)}"


def _names(graph: Graph) -> Iterator[Violation]:
    count = Counter(op.name for op, _ in every_op(graph))
    if twice := [name for name, times in count.items() if times > 1]:
        yield Violation((), f"a second op in a body is called {twice[0]!r}", "rename it")
    if max(scope.prefix.count("].") for scope in scopes(graph)) > DEEPEST:
        yield Violation((), "the bodies stand too deep in each other", f"up to {DEEPEST} in each other")


def control_rules(rules: Callable[[], Iterable[Rule[Graph]]]) -> tuple[Rule[Graph], ...]:
    """The rules of control ops, ``rules`` being those of graphs, which bodies obey, too."""

    def inside(graph: Graph) -> Iterator[Violation]:
        for i, op in enumerate(graph.ops):
            for j, body in enumerate(op.bodies if isinstance(op, ControlOp) else ()):
                for rule, found in violations(rules(), body):
                    place, expected = ("ops", i, "bodies", j, *found.place), found.expected or rule.sentence
                    yield replace(found, place=place, expected=expected, rule=found.rule or rule.name)
                    return

    return (
        Rule("control", "A control op is on the host; its bodies take and give what ONNX's do.", _control),
        Rule("names", "Op names are unique over all bodies, which stand up to 8 deep in each other.", _names),
        Rule("bodies", "Every body obeys the rules of graphs.", inside),
    )
