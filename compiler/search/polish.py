"""Better schedules near a given one: steps that need not divide, and loops in an order that lets windows slide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from effc.compiler.cost import try_schedule
from effc.compiler.search.clock import late
from effc.compiler.search.windows import affordable
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips

Allowed = Callable[[Schedule], bool]


def polish(
    nest: Nest,
    target: Target,
    objective: str,
    schedule: Schedule,
    deadline: float | None,
    allowed: Allowed | None = None,
) -> tuple[Schedule, Fraction, int]:
    """The first local optimum from ``schedule`` on, its value, and how many schedules were costed.

    ``allowed``: the schedules among which it is looked for.
    """
    first = try_schedule(nest, schedule, target)
    assert not isinstance(first, list), first
    best, number, improved = first.value(objective), 0, True
    seen, most = {schedule}, affordable(nest)
    while improved and not late(deadline):
        improved = False
        for candidate in neighbours(nest, target, schedule):
            if candidate in seen or (allowed is not None and not allowed(candidate)):
                continue
            if late(deadline) or number >= most:
                break
            seen.add(candidate)
            number += 1
            found = try_schedule(nest, candidate, target)
            if not isinstance(found, list) and found.value(objective) < best:
                schedule, best, improved = candidate, found.value(objective), True
                break
    return schedule, best, number


def neighbours(nest: Nest, target: Target, schedule: Schedule) -> Iterator[Schedule]:
    """Schedules one change away."""
    yield from _swapped(schedule)
    for position, loop, extent in schedule.loops(nest):
        most = extent if isinstance(loop, For) else _room(nest, target, schedule, position)
        for count in {trips(extent, loop.step) + 1, trips(extent, loop.step) - 1, most}:
            if 1 <= count <= min(most, extent):
                yield with_count(nest, schedule, position, count)


def _swapped(schedule: Schedule) -> Iterator[Schedule]:
    """Neighbouring temporal loops of two dims, the other way round."""
    items = schedule.items
    for i, (outer, inner) in enumerate(pairwise(items)):
        if isinstance(outer, For) and isinstance(inner, For) and outer.dim != inner.dim:
            yield Schedule((*items[:i], inner, outer, *items[i + 2 :]))


def _room(nest: Nest, target: Target, schedule: Schedule, position: int) -> int:
    """The most instances that a par may have beside the others on its axis."""
    par = schedule.items[position]
    assert isinstance(par, Par)
    used = 1
    for other, loop, extent in schedule.loops(nest):
        if other != position and isinstance(loop, Par) and (loop.level, loop.axis) == (par.level, par.axis):
            used *= trips(extent, loop.step)
    size = next(axis.size for i, axis in target.axes() if (target.levels[i].name, axis.name) == (par.level, par.axis))
    return size // used


def with_count(nest: Nest, schedule: Schedule, position: int, count: int) -> Schedule:
    """One loop of a dim gets ``count`` trips, the others keep theirs; the outermost takes what is left."""
    changed = schedule.items[position]
    assert not isinstance(changed, Keep)
    loops = [(p, trips(n, loop.step)) for p, loop, n in schedule.loops(nest) if loop.dim == changed.dim]
    tile, steps = 1, {}
    for p, trip in reversed(loops):
        steps[p] = min(tile, nest.bounds[changed.dim])
        tile *= count if p == position else trip
    items: list[Item] = []
    for p, item in enumerate(schedule.items):
        items.append(replace(item, step=steps[p]) if not isinstance(item, Keep) and p in steps else item)
    if tile < nest.bounds[changed.dim]:
        items.insert(0, For(changed.dim, tile))
    return Schedule(tuple(items))
