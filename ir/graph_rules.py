"""The rules of graphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from effc.ir import printer
from effc.ir.epilogue_rules import EPILOGUE_RULES
from effc.ir.graph import ControlOp, Graph, NestOp, NodeOp, View
from effc.ir.nest import OUTPUT_NAME, Operand
from effc.ir.nest_rules import NEST_RULES, text_in_nest
from effc.ir.part_rules import PART_RULES
from effc.ir.rules import LIMIT, Place, Rule, Violation, violations
from effc.ir.schedule_rules import SCHEDULE_RULES, Mapped, text_in_schedule
from effc.ir.types import is_narrow, storage

T = TypeVar("T")

_COUNTABLE = 2**28
"""Tensors up to so many words are checked word by word where several nests write parts of one."""


def _tensors(graph: Graph) -> Iterator[Violation]:
    for key, tensor in graph.tensors.items():
        place: Place = ("tensors", key)
        if key != tensor.name or not key:
            yield Violation(place, f"tensor {tensor.name!r} is listed as {key!r}", "list it under its name")
        if tensor.shape is not None and (any(size < 0 for size in tensor.shape) or tensor.words >= LIMIT):
            yield Violation(place, f"tensor {key!r} has the shape {tensor.shape}", "give symbolic sizes a value")


def _constants(graph: Graph) -> Iterator[Violation]:
    for key, value in graph.constants.items():
        place: Place = ("constants", key)
        if key not in graph.tensors:
            yield Violation(place, f"constant {key!r} is not a tensor of the graph", "declare it, or drop it")
            continue
        tensor = graph.tensors[key]
        dtype = tensor.dtype if getattr(value.dtype, "kind", "") in _TEXTS else str(value.dtype)
        same = dtype == tensor.dtype or (is_narrow(tensor.dtype) and dtype == str(storage(tensor.dtype)))
        if not same or tuple(value.shape) != tensor.shape:
            found = f"the value of {key!r} is {dtype}{list(value.shape)}"
            yield Violation(place, found, "convert the value", f"`{printer.print_tensor(tensor)}`")


def _interface(graph: Graph) -> Iterator[Violation]:
    for kind, names in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for i, name in enumerate(names):
            if name not in graph.tensors:
                yield Violation((kind, i), f"{name!r} is not a tensor of the graph", "declare it")
            if name in names[:i]:
                yield Violation((kind, i), f"{name!r} is listed twice", "list it once")
            if kind == "inputs" and name in graph.constants:
                yield Violation((kind, i), f"{name!r} is also a constant", "drop the input, or the value")


def _op_names(graph: Graph) -> Iterator[Violation]:
    seen: set[str] = set()
    for i, op in enumerate(graph.ops):
        if not op.name or op.name in seen:
            found = f"a second op is called {op.name!r}" if op.name else "the op has no name"
            yield Violation(("ops", i), found, "rename it")
        seen.add(op.name)


def _op_tensors(graph: Graph) -> Iterator[Violation]:
    for i, op in enumerate(graph.ops):
        for kind, names in _names(op):
            omitted = "" if isinstance(op, NodeOp) and kind != "captures" else None
            for name in names:
                if name not in graph.tensors and name != omitted:
                    yield Violation(_place(i, op, kind, name), f"{name!r} is not a tensor of the graph", "declare it")


def _known_shapes(graph: Graph) -> Iterator[Violation]:
    for i, op in _nest_ops(graph):
        for name, view in op.uses.items():
            for tensor in view.tensors:
                if graph.tensors[tensor].shape is None:
                    found = f"the shape of {tensor!r} is only known at run time"
                    yield Violation(("ops", i, "uses", name), found, "give the op to the host")


def _places(graph: Graph) -> Iterator[Violation]:
    for i, op in enumerate(graph.ops):
        if isinstance(op, NodeOp) and op.where not in ("vector", "host"):
            yield Violation(("ops", i), f"the op runs at {op.where!r}", "write `@ vector` or `@ host`")


def _nests(graph: Graph) -> Iterator[Violation]:
    for i, op in enumerate(graph.ops):
        if isinstance(op, NestOp):
            yield from _inside(("ops", i, "nest"), NEST_RULES, op.nest)


def _schedules(graph: Graph) -> Iterator[Violation]:
    for i, op in enumerate(graph.ops):
        if isinstance(op, NestOp) and op.schedule is not None:
            yield from _inside(("ops", i, "schedule"), SCHEDULE_RULES, Mapped(op.nest, op.schedule))


def _inside(place: Place, rules: Iterable[Rule[T]], subject: T) -> Iterator[Violation]:
    """The violations of a part, as violations of the whole."""
    for rule, found in violations(rules, subject):
        expected = found.expected or rule.sentence
        yield replace(found, place=(*place, *found.place), expected=expected, rule=rule.name)


def _uses(graph: Graph) -> Iterator[Violation]:
    for i, op in _nest_ops(graph):
        missing = [name for name in op.nest.operands if name not in op.uses]
        strays = [name for name in op.uses if name not in op.nest.operands]
        if missing:
            yield Violation(("ops", i), f"operand {missing[0]} has no view", f"add `{missing[0]} = TENSOR`")
        if strays:
            found = f"{strays[0]} is not an operand of the nest"
            yield Violation(("ops", i, "uses", strays[0]), found, f"use one of {', '.join(op.nest.operands)}")


def _ranks(graph: Graph) -> Iterator[Violation]:
    for place, operand, view in _views(graph):
        if len(view.strides) != len(operand.axes):
            found = f"{len(view.strides)} strides for the {len(operand.axes)} axes of {operand.name}"
            yield Violation(place, found, "give one stride per axis")


def _ranges(graph: Graph) -> Iterator[Violation]:
    for place, operand, view in _views(graph):
        spans = [stride * (size - 1) for stride, size in zip(view.strides, operand.shape, strict=True)]
        low, high = (view.offset + sum(f(span, 0) for span in spans) for f in (min, max))
        words = graph.tensors[view.tensor].words
        if low < 0 or high >= words:
            found = f"{operand.name} lies in words {low}..{high} of {view.tensor!r}"
            yield Violation(
                place, found, "check offset, strides and the sizes of the operand", f"0..{words - 1} at most"
            )


def _single_assignment(graph: Graph) -> Iterator[Violation]:
    writer: dict[str, int] = dict.fromkeys((*graph.inputs, *graph.constants), -1)
    for i, op in enumerate(graph.ops):
        for name in filter(None, op.outputs):
            first = writer.setdefault(name, i)
            shared = first >= 0 and first != i and isinstance(op, NestOp) and isinstance(graph.ops[first], NestOp)
            if op.outputs.count(name) > 1 or not (first == i or shared):
                found = f"{name!r} is written again" if first >= 0 else f"{name!r} is an input or a constant"
                yield Violation(_place(i, op, "outputs", name), found, "write another tensor")


def _disjoint(graph: Graph) -> Iterator[Violation]:
    parts: dict[str, list[tuple[Place, Operand, View]]] = {}
    for place, operand, view in _views(graph):
        if operand.name == OUTPUT_NAME:
            parts.setdefault(view.tensor, []).append((place, operand, view))
    for tensor, views in parts.items():
        words = graph.tensors[tensor].words
        if len(views) == 1 and _spread(views[0][1], views[0][2]):
            continue
        yield from _overlaps(tensor, words, views)


def _overlaps(tensor: str, words: int, views: list[tuple[Place, Operand, View]]) -> Iterator[Violation]:
    """Mark the words that each view writes."""
    if words > _COUNTABLE:
        found = f"{tensor!r} is too large to check that its parts are disjoint"
        yield Violation(views[0][0], found, "write it as one", f"at most {_COUNTABLE} words")
        return
    written = np.zeros(words, np.bool_)
    total = 0
    for place, operand, view in views:
        as_strided(written[view.offset :], operand.shape, view.strides)[...] = True
        total += operand.words
        if int(np.count_nonzero(written)) < total:
            yield Violation(place, f"words of {tensor!r} are written twice", "check offset and strides")
            return


def _order(graph: Graph) -> Iterator[Violation]:
    last = {name: i for i, op in enumerate(graph.ops) for part in op.outputs for name in (part, *graph.wholes(part))}
    known = {"", *graph.inputs, *graph.constants}
    for i, op in enumerate(graph.ops):
        for kind, names in _names(op):
            for name in names if kind not in ("inner", "outputs") else ():
                source = graph.source(name) if name else ""
                if source not in known and last.get(source, i) >= i:
                    late = source in last
                    found = f"{name!r} is written later" if late else f"nothing writes {name!r}"
                    remedy = "move the op behind those that write its inputs" if late else "make it an input"
                    yield Violation(_place(i, op, kind, name), found, remedy)


def _results(graph: Graph) -> Iterator[Violation]:
    for i, name in enumerate(graph.outputs):
        if graph.source(name) not in graph.made:
            yield Violation(("outputs", i), f"nothing writes {name!r}", "add the op that does, or drop the output")


GRAPH_RULES: tuple[Rule[Graph], ...] = (
    Rule("tensors", "A tensor has a name, sizes of at least 0, and fewer than 2**63 words.", _tensors),
    Rule("constants", "A constant is a tensor of the graph, with its dtype and shape.", _constants),
    Rule("interface", "Inputs and outputs are tensors, listed once; an input is not a constant.", _interface),
    Rule("op-names", "Every op has a name of its own.", _op_names),
    Rule("op-tensors", "Ops use tensors of the graph; only a node may leave one out.", _op_tensors),
    Rule("known-shapes", "Whatever a nest uses has a shape.", _known_shapes),
    Rule("places", "A node runs on the vector unit or on the host.", _places),
    Rule("nests", "Every nest obeys the rules of nests.", _nests),
    Rule("schedules", "Every schedule obeys the rules of schedules.", _schedules),
    Rule("uses", "A nest op has one view for each operand of its nest.", _uses),
    Rule("ranks", "A view has a stride for each axis of its operand.", _ranks),
    Rule("ranges", "Every word of an operand lies inside its tensor.", _ranges),
    Rule("single-assignment", "A tensor is written once, or in parts by several nests.", _single_assignment),
    Rule("disjoint", "A word of a tensor is written once.", _disjoint),
    Rule("order", "What an op reads has been written before, as a whole.", _order),
    Rule("results", "Every output of the graph is written.", _results),
    *EPILOGUE_RULES,
    *PART_RULES,
)

_TEXTS = ("O", "S", "U")
"""Kinds of arrays that hold strings: their dtype says nothing."""


def _nest_ops(graph: Graph) -> Iterator[tuple[int, NestOp]]:
    return ((i, op) for i, op in enumerate(graph.ops) if isinstance(op, NestOp))


def _views(graph: Graph) -> Iterator[tuple[Place, Operand, View]]:
    for i, op in _nest_ops(graph):
        for name, view in op.uses.items():
            yield ("ops", i, "uses", name), op.nest.operands[name], view
            if view.zero is not None:
                yield ("ops", i, "uses", name), op.nest.operands[name], view.zero


def _names(op: NestOp | NodeOp) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The tensors that an op names, by kind."""
    if isinstance(op, NestOp):
        yield from (("uses", op.reads), ("epilogue", op.epilogue_inputs), ("inner", op.inner), ("outputs", op.outputs))
    else:
        yield from (("inputs", op.inputs), ("captures", op.captures), ("outputs", op.outputs))


def _place(position: int, op: NestOp | NodeOp, kind: str, name: str) -> Place:
    """Where an op names a tensor."""
    if isinstance(op, NodeOp):
        return ("ops", position, kind, getattr(op, kind).index(name))
    viewed = [key for key, view in op.uses.items() if name in view.tensors]
    if viewed:
        return ("ops", position, "uses", viewed[0])
    step = next(j for j, step in enumerate(op.epilogue) if name in (*step.inputs, *step.outputs))
    return ("ops", position, "epilogue", step)


def _spread(operand: Operand, view: View) -> bool:
    """Whether the strides alone show that no two words of the operand lie on each other."""
    reach = 0
    for stride, size in sorted((abs(stride), size) for stride, size in zip(view.strides, operand.shape) if size > 1):
        if stride <= reach:
            return False
        reach += stride * (size - 1)
    return True


def text_in_graph(graph: Graph, place: Place) -> str:
    match place:
        case ("tensors" | "constants", key) if key in graph.tensors:
            return printer.print_tensor(graph.tensors[str(key)])
        case ("ops", int(i), "bodies", int(j), *rest) if rest:
            op = graph.ops[i]
            return text_in_graph(op.bodies[j], tuple(rest)) if isinstance(op, ControlOp) else ""
        case ("ops", int(i), *rest):
            return _text_in_op(graph.ops[i], tuple(rest))
    return ""


def _text_in_op(op: NestOp | NodeOp, place: Place) -> str:
    text = ""
    if isinstance(op, NestOp):
        match place:
            case ("nest", *rest):
                text = text_in_nest(op.nest, tuple(rest))
            case ("schedule", *rest) if op.schedule is not None:
                text = text_in_schedule(op.nest, op.schedule, tuple(rest))
            case ("epilogue", int(number), *_):
                text = printer.print_op_head(op.epilogue[number])
            case ("uses", str(name)):
                operand = op.nest.operands.get(name)
                text = printer.print_view(name, op.uses[name], None if operand is None else operand.shape)
    return text or printer.print_op_head(op)
