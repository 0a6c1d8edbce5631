"""Brute force: every schedule of the map space of a nest on a target, with no pruning at all.

The space: any choice of levels where an operand may be bypassed; marks of one operand from outer to inner levels, those of
different operands interleaved freely; between two neighbouring marks or fan-outs at most one temporal loop per dim, in any
order; the pars of a fan-out together at any place, each dim at most once per axis; steps of any size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations, permutations, product

from effc.compiler.cost import Evaluation, try_schedule
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips


@dataclass(frozen=True)
class _State:
    """A schedule half written: what is left to place, and the tile that is left of each dim."""

    marks: tuple[tuple[Keep, ...], ...]
    fanouts: tuple[int, ...]
    tiles: tuple[tuple[str, int], ...]
    used: frozenset[str]  # dims that have a temporal loop since the last mark or fan-out
    items: tuple[Item, ...]


def kept_levels(nest: Nest, target: Target) -> Iterator[tuple[tuple[Keep, ...], ...]]:
    """Every choice of the levels that keep each operand."""
    choices = []
    for operand in nest.operands:
        able = [level for level in target.levels[1:] if level.bank(operand) is not None]
        must = {level.name for level in able if level.keeps(operand)}
        subsets = chain.from_iterable(combinations(able, size) for size in range(len(able) + 1))
        kept = [[level.name for level in s] for s in subsets if must <= {level.name for level in s}]
        choices.append([tuple(Keep(operand, name) for name in names) for names in kept])
    yield from product(*choices)


def unrollings(target: Target, fanout: int, tiles: dict[str, int], perfect: bool) -> Iterator[tuple[Par, ...]]:
    """Every ordered choice of pars on the axes of one fan-out."""
    level = target.levels[fanout]
    assert level.fanout is not None
    places = [(dim, axis) for axis in level.fanout.axes for dim, tile in tiles.items() if tile > 1]
    for size in range(len(places) + 1):
        for chosen in permutations(places, size):
            yield from _stepped(level.name, chosen, tiles, perfect)


def _stepped(
    level: str, places: tuple[tuple[str, object], ...], tiles: dict[str, int], perfect: bool
) -> Iterator[tuple[Par, ...]]:
    if not places:
        yield ()
        return
    (dim, axis), rest = places[0], places[1:]
    for step in range(1, tiles[dim]):
        if not perfect or tiles[dim] % step == 0:
            for more in _stepped(level, rest, {**tiles, dim: step}, perfect):
                yield (Par(dim, step, level, axis.name), *more)  # type: ignore[attr-defined]


def schedules(nest: Nest, target: Target, perfect: bool = False) -> Iterator[Schedule]:
    """Every schedule of the space; ``perfect`` keeps only steps that divide."""
    fanouts = tuple(i for i, level in enumerate(target.levels) if level.fanout is not None)
    for marks in kept_levels(nest, target):
        yield from _complete(_State(marks, fanouts, tuple(nest.bounds.items()), frozenset(), ()), target, perfect)


def _complete(state: _State, target: Target, perfect: bool) -> Iterator[Schedule]:
    tiles = dict(state.tiles)
    if not any(state.marks) and not state.fanouts and all(tile == 1 for tile in tiles.values()):
        yield Schedule(state.items)
        return
    for number, queue in enumerate(state.marks):
        if queue:
            marks = (*state.marks[:number], queue[1:], *state.marks[number + 1 :])
            yield from _complete(
                replace(state, marks=marks, used=frozenset(), items=(*state.items, queue[0])), target, perfect
            )
    for fanout in state.fanouts:
        left = tuple(f for f in state.fanouts if f != fanout)
        for pars in unrollings(target, fanout, tiles, perfect):
            after = tuple({**tiles, **{par.dim: par.step for par in pars}}.items())
            now = replace(state, fanouts=left, used=frozenset(), tiles=after, items=(*state.items, *pars))
            yield from _complete(now, target, perfect)
    for dim, tile in tiles.items():
        for step in range(1, tile) if dim not in state.used else ():
            if not perfect or trips(tile, step) * step == tile:
                after = tuple({**tiles, dim: step}.items())
                now = replace(state, tiles=after, used=state.used | {dim}, items=(*state.items, For(dim, step)))
                yield from _complete(now, target, perfect)


def optimum(
    nest: Nest, target: Target, objective: str, perfect: bool = False, most: int = 10**6
) -> tuple[Evaluation, int] | None:
    """The best legal schedule's cost, and the number of schedules; None if there are more than ``most``."""
    best, number = None, 0
    for schedule in schedules(nest, target, perfect):
        number += 1
        if number > most:
            return None
        found = try_schedule(nest, schedule, target)
        if not isinstance(found, list) and (best is None or found.value(objective) < best.value(objective)):
            best = found
    assert best is not None
    return best, number
