"""The rules of nests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from effc.ir import printer
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, READ_NAMES, ROLES, Axis, Nest, Operand
from effc.ir.rules import LIMIT, Place, Rule, Violation

_TRIALS = 10_000
"""Sums of an axis that are tried at most before it is taken for granted that one lies inside the operand."""


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


def text_in_nest(nest: Nest, place: Place) -> str:
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
