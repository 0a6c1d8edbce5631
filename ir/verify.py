"""The rules that a well-formed nest, schedule and graph obey, as tables: a name, a sentence, a check.

``verify_nest``, ``verify_schedule`` and ``verify_graph`` apply a table from top to bottom and raise a ``VerifyError``
for the first rule that is broken; a check may rely on the rules above it. What depends on a target (levels, axes,
capacities) is not checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Generic, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from effc.ir import printer
from effc.ir.graph import Graph, NestOp, NodeOp, View
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, READ_NAMES, ROLES, Axis, Nest, Operand
from effc.ir.schedule import For, Keep, Par, Schedule

Place = tuple[str | int, ...]
"""The way from the root to the spot by attributes, positions and keys: ``("reads", 0, "axes", 2)``."""

LIMIT = 2**63
"""Counts of words and of multiply-accumulates stay below this."""

_COUNTABLE = 2**28
"""Tensors up to so many words are checked word by word where several nests write parts of one."""

_TRIALS = 10_000
"""Sums of an axis that are tried at most before it is taken for granted that one lies inside the operand."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule is broken at ``place``; what is expected is the rule's sentence unless ``expected`` is more precise."""

    place: Place
    found: str
    remedy: str
    expected: str = ""
    rule: str = ""  # where it is not the one whose check found it


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One rule: its name, what it says, and the check that yields its violations."""

    name: str
    sentence: str
    check: Callable[[T], Iterator[Violation]]


class VerifyError(ValueError):
    """An IR breaks a rule. ``place`` is the way to the spot from the root, ``where`` the same in words."""

    def __init__(self, rule: str, place: Place, where: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(rule, place, where, found, expected, remedy)
        self.rule = rule
        self.place = place
        self.where = where
        self.message = f"{found} (rule {rule!r})"
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where}: error: {self.message}\n  expected: {self.expected}\n  remedy:   {self.remedy}"


@dataclass(frozen=True, slots=True)
class Mapped:
    """A nest with its schedule: what the rules of schedules look at."""

    nest: Nest
    schedule: Schedule

    @property
    def loops(self) -> list[tuple[int, For | Par]]:
        return [(i, item) for i, item in enumerate(self.schedule.items) if isinstance(item, (For, Par))]

    @property
    def keeps(self) -> list[tuple[int, Keep]]:
        return [(i, item) for i, item in enumerate(self.schedule.items) if isinstance(item, Keep)]


def verify_nest(nest: Nest) -> None:
    """Raise a ``VerifyError`` unless ``nest`` obeys ``NEST_RULES``."""
    _apply(NEST_RULES, nest, f"nest {nest.name}", lambda place: _text_in_nest(nest, place))


def verify_schedule(nest: Nest, schedule: Schedule) -> None:
    """Raise a ``VerifyError`` unless ``schedule`` obeys ``SCHEDULE_RULES`` on ``nest``."""
    where = f"schedule of {nest.name}"
    _apply(SCHEDULE_RULES, Mapped(nest, schedule), where, lambda place: _text_in_schedule(nest, schedule, place))


def verify_graph(graph: Graph) -> None:
    """Raise a ``VerifyError`` unless ``graph`` obeys ``GRAPH_RULES``, and its nests and schedules theirs."""
    _apply(GRAPH_RULES, graph, f"graph {graph.name}", lambda place: _text_in_graph(graph, place))


def _apply(rules: Iterable[Rule[T]], subject: T, title: str, text_at: Callable[[Place], str]) -> None:
    for rule, found in _violations(rules, subject):
        text = text_at(found.place)
        where = title + "".join(f"[{step}]" if isinstance(step, int) else f" {step}" for step in found.place)
        raise VerifyError(
            found.rule or rule.name,
            found.place,
            f"{where} `{text}`" if text else where,
            found.found,
            found.expected or rule.sentence,
            found.remedy,
        )


def _violations(rules: Iterable[Rule[T]], subject: T) -> Iterator[tuple[Rule[T], Violation]]:
    return ((rule, found) for rule in rules for found in rule.check(subject))


# Nests


def _dim_names(nest: Nest) -> Iterator[Violation]:
    seen: set[str] = set()
    for i, dim in enumerate(nest.dims):
        if not (dim.name.isidentifier() and dim.name.isascii()):
            yield Violation(("dims", i), f"{dim.name!r} is no name for a dim", "use letters, digits and underscores")
        if dim.name in seen:
            yield Violation(("dims", i), f"a second dim is called {dim.name}", "rename one of them")
        seen.add(dim.name)


def _bounds(nest: Nest) -> Iterator[Violation]:
    for i, dim in enumerate(nest.dims):
        if dim.bound < 1:
            yield Violation(("dims", i), f"dim {dim.name} has no index at all", "leave out an op that computes nothing")


def _roles(nest: Nest) -> Iterator[Violation]:
    for i, dim in enumerate(nest.dims):
        if dim.role not in ROLES:
            remedy = f"write the role after the name: `{dim.name}:K={dim.bound}`"
            yield Violation(("dims", i), f"dim {dim.name} has the role {dim.role!r}", remedy)


def _operand_names(nest: Nest) -> Iterator[Violation]:
    reads = tuple(read.name for read in nest.reads)
    if reads not in (READ_NAMES[:1], READ_NAMES):
        place: Place = next((("reads", i) for i, name in enumerate(reads) if name != (*READ_NAMES, "")[min(i, 2)]), ())
        remedy = "call the first I and the second W; give an op with more operands to the host"
        yield Violation(place, f"the nest reads {', '.join(reads) or 'nothing'}", remedy)
    if nest.output.name != OUTPUT_NAME:
        yield Violation(("output",), f"the output is called {nest.output.name}", f"call it {OUTPUT_NAME}")
    if nest.bias is not None and nest.bias.name != BIAS_NAME:
        yield Violation(("bias",), f"the bias is called {nest.bias.name}", f"call it {BIAS_NAME}")


def _sizes(nest: Nest) -> Iterator[Violation]:
    for place, axis in _axes(nest):
        if axis.size < 1:
            yield Violation(place, f"the axis has size {axis.size}", "give the size of the tensor along the axis")


def _known_dims(nest: Nest) -> Iterator[Violation]:
    for place, axis in _axes(nest):
        for dim in axis.dims:
            if dim not in nest.bounds:
                yield Violation(place, f"{dim} is not a dim of the nest", f"use one of {', '.join(nest.bounds)}")


def _coefficients(nest: Nest) -> Iterator[Violation]:
    for place, axis in _axes(nest):
        for coefficient, dim in axis.terms:
            if coefficient < 1:
                remedy = "count the dim the other way, or leave it out; the view may have a negative stride"
                yield Violation(place, f"the coefficient of {dim} is {coefficient}", remedy)


def _one_axis(nest: Nest) -> Iterator[Violation]:
    for operand_place, operand in _operands(nest):
        seen: set[str] = set()
        for i, axis in enumerate(operand.axes):
            for dim in axis.dims:
                if dim in seen:
                    remedy = "a diagonal is a view: use one axis and add the strides"
                    yield Violation(
                        (*operand_place, "axes", i), f"{dim} is used twice by operand {operand.name}", remedy
                    )
                seen.add(dim)


def _plain_axes(nest: Nest) -> Iterator[Violation]:
    for place, axis in _written(nest):
        if len(axis.terms) > 1:
            remedy = "write one nest per phase, each with an output view of its own"
            yield Violation(place, f"the axis uses {' and '.join(axis.dims)}", remedy)


def _no_scatter(nest: Nest) -> Iterator[Violation]:
    for place, axis in _written(nest):
        last = axis.offset + sum(c * (nest.bounds[dim] - 1) for c, dim in axis.terms)
        if axis.offset < 0 or last >= axis.size:
            remedy = "only reads have padding: give the axis the size that the dims run over"
            yield Violation(place, f"the index runs over {axis.offset}..{last}", remedy, f"0..{axis.size - 1} at most")


def _covered(nest: Nest) -> Iterator[Violation]:
    for i, axis in enumerate(nest.output.axes):
        indices = prod(nest.bounds[dim] for dim in axis.dims)
        if indices != axis.size:
            remedy = "take the step and the start of the index into the view of the output"
            yield Violation(("output", "axes", i), f"{indices} of {axis.size} indices are written", remedy)


def _bias_dims(nest: Nest) -> Iterator[Violation]:
    if nest.bias is None:
        return
    for dim in sorted(nest.bias.dims - nest.output.dims):
        place = next(i for i, axis in enumerate(nest.bias.axes) if dim in axis.dims)
        remedy = "leave the dim out of the bias, or reduce it in an op before"
        yield Violation(("bias", "axes", place), f"{dim} is not a dim of the output", remedy)


def _some_words(nest: Nest) -> Iterator[Violation]:
    for i, read in enumerate(nest.reads):
        for j, axis in enumerate(read.axes):
            if not _meets(axis, nest.bounds):
                remedy = "an operand of zeros needs no nest: check the offset and the size"
                yield Violation(("reads", i, "axes", j), f"every index of {read.name} is padding", remedy)


def _countable(nest: Nest) -> Iterator[Violation]:
    if nest.macs >= LIMIT:
        yield Violation((), f"the nest has {nest.macs} multiply-accumulates", "split the nest")
    for place, operand in _operands(nest):
        if operand.words >= LIMIT:
            yield Violation(place, f"operand {operand.name} has {operand.words} words", "split the nest")


NEST_RULES: tuple[Rule[Nest], ...] = (
    Rule("dim-names", "Every dim has a name of its own: an identifier in ASCII.", _dim_names),
    Rule("bounds", "Every bound is at least 1.", _bounds),
    Rule("roles", f"The role of a dim is one of {', '.join(ROLES)}.", _roles),
    Rule("operand-names", "A nest reads I, or I and W; its output is O, its bias B.", _operand_names),
    Rule("sizes", "The size of an axis is at least 1.", _sizes),
    Rule("known-dims", "An index uses dims of the nest.", _known_dims),
    Rule("coefficients", "The coefficient of a dim is at least 1.", _coefficients),
    Rule("one-axis", "Each dim stands at most once in an operand.", _one_axis),
    Rule("plain-axes", "An axis of the output or the bias uses at most one dim.", _plain_axes),
    Rule("no-scatter", "The output and the bias have no padding.", _no_scatter),
    Rule("covered", "Every word of the output is written.", _covered),
    Rule("bias-dims", "The bias uses dims of the output only.", _bias_dims),
    Rule("some-words", "A read is not padding alone.", _some_words),
    Rule("countable", "Multiply-accumulates, and the words of an operand, are fewer than 2**63.", _countable),
)


def _operands(nest: Nest) -> Iterator[tuple[Place, Operand]]:
    yield from ((("reads", i), read) for i, read in enumerate(nest.reads))
    if nest.bias is not None:
        yield ("bias",), nest.bias
    yield ("output",), nest.output


def _axes(nest: Nest) -> Iterator[tuple[Place, Axis]]:
    for place, operand in _operands(nest):
        yield from (((*place, "axes", i), axis) for i, axis in enumerate(operand.axes))


def _written(nest: Nest) -> Iterator[tuple[Place, Axis]]:
    """The axes of the output and the bias."""
    return ((place, axis) for place, axis in _axes(nest) if place[0] != "reads")


def _meets(axis: Axis, bounds: Mapping[str, int]) -> bool:
    """Whether some index of the axis lies in ``0 .. size-1``; taken for granted after very many trials."""
    terms = sorted(((c, bounds[dim] - 1) for c, dim in axis.terms), reverse=True)
    reach = [sum(c * last for c, last in terms[i:]) for i in range(len(terms) + 1)]
    open_sums, trials = [(0, axis.offset)], 0  # (terms taken, their sum and the offset)
    while open_sums and trials < _TRIALS:
        trials += 1
        i, total = open_sums.pop()
        if total >= axis.size or total + reach[i] < 0:
            continue
        if i == len(terms):
            return True
        coefficient, last = terms[i]
        lowest = max(0, -(-(-total - reach[i + 1]) // coefficient))
        highest = min(last, (axis.size - 1 - total) // coefficient)
        stop = min(highest, lowest + _TRIALS - len(open_sums))
        open_sums += [(i + 1, total + coefficient * index) for index in range(lowest, stop + 1)]
    return bool(open_sums)


def _text_in_nest(nest: Nest, place: Place) -> str:
    match place:
        case ("dims", int(i)):
            return printer.print_dim(nest.dims[i])
        case ("reads", int(i), *rest):
            return _text_in_operand(nest.reads[i], "read", rest)
        case ("output", *rest):
            return _text_in_operand(nest.output, "write", rest)
        case ("bias", *rest) if nest.bias is not None:
            return _text_in_operand(nest.bias, "bias", rest)
    return ""


def _text_in_operand(operand: Operand, keyword: str, place: list[str | int]) -> str:
    if place:
        return printer.print_axis(operand.axes[int(place[1])])
    return printer.print_operand(operand, keyword)


# Schedules


def _loop_dims(mapped: Mapped) -> Iterator[Violation]:
    for i, loop in mapped.loops:
        if loop.dim not in mapped.nest.bounds:
            remedy = f"use one of {', '.join(mapped.nest.bounds)}"
            yield Violation(("items", i), f"{loop.dim} is not a dim of the nest", remedy)


def _steps(mapped: Mapped) -> Iterator[Violation]:
    for i, loop, extent in mapped.schedule.loops(mapped.nest):
        if not 1 <= loop.step <= extent:
            remedy = f"a loop over {loop.dim} here has the range 0..{extent}: take a step of 1 to {extent}"
            yield Violation(("items", i), f"a loop cannot step by {loop.step} in 0..{extent}", remedy)


def _complete(mapped: Mapped) -> Iterator[Violation]:
    last = {dim: (bound, -1) for dim, bound in mapped.nest.bounds.items()}
    last |= {loop.dim: (loop.step, i) for i, loop in mapped.loops}
    for dim, (tile, i) in last.items():
        if tile > 1:
            found = f"the innermost loop over {dim} leaves tiles of {tile}" if i >= 0 else f"no loop runs over {dim}"
            place: Place = ("items", i) if i >= 0 else ()
            yield Violation(place, found, f"add `for {dim} in 0..{tile}` further in")


def _keep_operands(mapped: Mapped) -> Iterator[Violation]:
    for i, keep in mapped.keeps:
        if keep.operand not in mapped.nest.operands:
            remedy = f"use one of {', '.join(mapped.nest.operands)}"
            yield Violation(("items", i), f"{keep.operand} is not an operand of the nest", remedy)


def _kept_once(mapped: Mapped) -> Iterator[Violation]:
    seen: set[Keep] = set()
    for i, keep in mapped.keeps:
        if keep in seen:
            yield Violation(("items", i), f"{keep.operand} is kept at {keep.level} already", "remove one of the two")
        seen.add(keep)


def _par_once(mapped: Mapped) -> Iterator[Violation]:
    seen: set[tuple[str, str, str]] = set()
    for i, loop in mapped.loops:
        if isinstance(loop, Par):
            key = (loop.dim, loop.level, loop.axis)
            if key in seen:
                found = f"{loop.dim} is spread over {loop.level}.{loop.axis} already"
                yield Violation(("items", i), found, "make one par of the two, or use another axis")
            seen.add(key)


def _pars_together(mapped: Mapped) -> Iterator[Violation]:
    latest: dict[str, int] = {}
    for i, loop in mapped.loops:
        if isinstance(loop, Par):
            if latest.get(loop.level, i - 1) != i - 1:
                found = f"items stand between the pars of {loop.level}"
                yield Violation(("items", i), found, f"move it to the par at item {latest[loop.level]}")
            latest[loop.level] = i


SCHEDULE_RULES: tuple[Rule[Mapped], ...] = (
    Rule("loop-dims", "A loop runs over a dim of the nest.", _loop_dims),
    Rule("steps", "A step is at least 1 and at most the range of its loop.", _steps),
    Rule("keep-operands", "A keep names an operand of the nest.", _keep_operands),
    Rule("kept-once", "An operand is kept at a level at most once.", _kept_once),
    Rule("par-once", "A dim has at most one par per axis.", _par_once),
    Rule("pars-together", "The pars of a fan-out stand together, with nothing between them.", _pars_together),
    Rule("complete", "The innermost loop of every dim has step 1; a dim of bound 1 needs none.", _complete),
)


def _text_in_schedule(nest: Nest, schedule: Schedule, place: Place) -> str:
    if not place:
        return ""
    position = int(place[1])
    return printer.print_item(schedule.items[position], printer.extents(schedule, nest)[position])


# Graphs


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
        if (dtype, tuple(value.shape)) != (tensor.dtype, tensor.shape):
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
            if graph.tensors[view.tensor].shape is None:
                found = f"the shape of {view.tensor!r} is only known at run time"
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
    for rule, found in _violations(rules, subject):
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
    last = {name: i for i, op in enumerate(graph.ops) for name in op.outputs}
    known = {"", *graph.inputs, *graph.constants}
    for i, op in enumerate(graph.ops):
        for kind, names in _names(op):
            for name in names if kind != "outputs" else ():
                if name not in known and last.get(name, i) >= i:
                    late = name in last
                    found = f"{name!r} is written later" if late else f"nothing writes {name!r}"
                    remedy = "move the op behind those that write its inputs" if late else "make it an input"
                    yield Violation(_place(i, op, kind, name), found, remedy)


def _results(graph: Graph) -> Iterator[Violation]:
    known = {*graph.inputs, *graph.constants, *(name for op in graph.ops for name in op.outputs)}
    for i, name in enumerate(graph.outputs):
        if name not in known:
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
)

_TEXTS = ("O", "S", "U")
"""Kinds of arrays that hold strings: their dtype says nothing."""


def _nest_ops(graph: Graph) -> Iterator[tuple[int, NestOp]]:
    return ((i, op) for i, op in enumerate(graph.ops) if isinstance(op, NestOp))


def _views(graph: Graph) -> Iterator[tuple[Place, Operand, View]]:
    for i, op in _nest_ops(graph):
        for name, view in op.uses.items():
            yield ("ops", i, "uses", name), op.nest.operands[name], view


def _names(op: NestOp | NodeOp) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The tensors that an op names, by kind."""
    if isinstance(op, NestOp):
        yield "uses", tuple(view.tensor for name, view in op.uses.items() if name != op.nest.output.name)
        yield "outputs", tuple(view.tensor for name, view in op.uses.items() if name == op.nest.output.name)
    else:
        yield from (("inputs", op.inputs), ("captures", op.captures), ("outputs", op.outputs))


def _place(position: int, op: NestOp | NodeOp, kind: str, name: str) -> Place:
    """Where an op names a tensor."""
    if isinstance(op, NodeOp):
        return ("ops", position, kind, getattr(op, kind).index(name))
    return ("ops", position, "uses", next(key for key, view in op.uses.items() if view.tensor == name))


def _spread(operand: Operand, view: View) -> bool:
    """Whether the strides alone show that no two words of the operand lie on each other."""
    reach = 0
    for stride, size in sorted((abs(stride), size) for stride, size in zip(view.strides, operand.shape) if size > 1):
        if stride <= reach:
            return False
        reach += stride * (size - 1)
    return True


def _text_in_graph(graph: Graph, place: Place) -> str:
    match place:
        case ("tensors" | "constants", key) if key in graph.tensors:
            return printer.print_tensor(graph.tensors[str(key)])
        case ("ops", int(i), *rest):
            return _text_in_op(graph.ops[i], tuple(rest))
    return ""


def _text_in_op(op: NestOp | NodeOp, place: Place) -> str:
    text = ""
    if isinstance(op, NestOp):
        match place:
            case ("nest", *rest):
                text = _text_in_nest(op.nest, tuple(rest))
            case ("schedule", *rest) if op.schedule is not None:
                text = _text_in_schedule(op.nest, op.schedule, tuple(rest))
            case ("uses", str(name)):
                operand = op.nest.operands.get(name)
                text = printer.print_view(name, op.uses[name], None if operand is None else operand.shape)
    return text or printer.print_op_head(op)
