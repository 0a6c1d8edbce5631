"""The rules of schedules, as far as they need no target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from effc.ir import printer
from effc.ir.nest import Nest
from effc.ir.rules import Place, Rule, Violation
from effc.ir.schedule import For, Keep, Par, Schedule


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


def text_in_schedule(nest: Nest, schedule: Schedule, place: Place) -> str:
    if not place:
        return ""
    position = int(place[1])
    return printer.print_item(schedule.items[position], printer.extents(schedule, nest)[position])
