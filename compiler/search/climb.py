"""A search without proof: deterministic hill climbing over the real cost model, from several starts.

The schedules it looks at have the even shape

    loops T0 / pars below level 0 / marks of level 1 / loops T1 / pars below level 1 / marks of level 2 / ...

A *plan* gives each dim a count per position, from which the steps follow inside out, and each group of loops an order:
the dims that are irrelevant to one operand innermost, so that it is stationary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import isqrt

from effc.compiler.cost import try_schedule
from effc.compiler.search.clock import late
from effc.compiler.search.windows import affordable
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips


@dataclass(frozen=True, slots=True)
class Position:
    """Where loops may stand: the temporal loops inside the marks of a level, or an axis of the fan-out below it."""

    level: int
    axis: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A point of the search: counts by (dim, position), the stationary operand of each level's loops, the bypasses."""

    counts: tuple[tuple[tuple[str, Position], int], ...] = ()
    stationary: tuple[str, ...] = ()
    bypass: frozenset[tuple[str, str]] = frozenset()

    def with_count(self, dim: str, position: Position, count: int) -> Plan:
        counts = dict(self.counts)
        counts[dim, position] = count
        kept = sorted(
            ((k, n) for k, n in counts.items() if n > 1), key=lambda kn: (kn[0][0], kn[0][1].level, kn[0][1].axis or "")
        )
        return replace(self, counts=tuple(kept))


class Space:
    """The plans for one nest on one target, and the schedule that each stands for."""

    def __init__(self, nest: Nest, target: Target, perfect: bool = False) -> None:
        self.nest, self.target, self.perfect = nest, target, perfect
        self.dims = [dim.name for dim in nest.dims if dim.bound > 1]

    @cached_property
    def positions(self) -> list[Position]:
        """Outermost first."""
        result = []
        for i, level in enumerate(self.target.levels):
            result.append(Position(i))
            result += [Position(i, axis.name) for axis in (level.fanout.axes if level.fanout else ())]
        return result

    def optional(self) -> list[tuple[str, str]]:
        """The (operand, level) pairs that a schedule may keep or bypass."""
        return [
            (operand, level.name)
            for level in self.target.levels[1:]
            for operand in self.nest.operands
            if level.bank(operand) is not None and not level.keeps(operand)
        ]

    def steps(self, plan: Plan, dim: str) -> dict[Position, int]:
        """The step of the loop of ``dim`` at each position: the tile inside it."""
        counts, tile, result = dict(plan.counts), 1, {}
        for position in reversed(self.positions):
            result[position] = min(tile, self.nest.bounds[dim])
            tile *= counts.get((dim, position), 1)
        return result

    def schedule(self, plan: Plan) -> Schedule:
        steps = {dim: self.steps(plan, dim) for dim in self.dims}
        extent = dict(self.nest.bounds)
        items: list[Item] = []
        for position in self.positions:
            if position.axis is None and position.level:
                items += self.marks(plan, position.level)
            for dim in self.order(plan, position):
                step = steps[dim][position]
                if trips(extent[dim], step) > 1:
                    items.append(self.loop(dim, step, position))
                    extent[dim] = step
        return Schedule(tuple(items))

    def loop(self, dim: str, step: int, position: Position) -> Item:
        if position.axis is None:
            return For(dim, step)
        return Par(dim, step, self.target.levels[position.level].name, position.axis)

    def marks(self, plan: Plan, level: int) -> list[Item]:
        name = self.target.levels[level].name
        kept = [o for o in self.nest.operands if self.target.levels[level].bank(o) and (o, name) not in plan.bypass]
        return [Keep(operand, name) for operand in kept]

    def order(self, plan: Plan, position: Position) -> list[str]:
        """The dims of a position, outermost first: those that leave the stationary operand alone stand innermost."""
        if position.axis is not None or position.level >= len(plan.stationary):
            return self.dims
        operand = self.nest.operands[plan.stationary[position.level]]
        return sorted(self.dims, key=lambda dim: dim not in operand.dims)

    def candidates(self, dim: str) -> list[int]:
        """Counts worth trying: those that cut the bound into equal pieces, give or take one."""
        bound = self.nest.bounds[dim]
        return sorted(equal_pieces(bound) | set(range(1, min(bound, 8) + 1)))

    def neighbours(self, plan: Plan) -> Iterator[Plan]:
        """Plans one move away: a count up or down, moved to another position, another stationary operand, a bypass."""
        counts = dict(plan.counts)
        free = [p for p in self.positions if p != Position(0)]
        for dim in self.dims:
            values = self.candidates(dim)
            for position in free:
                now = counts.get((dim, position), 1)
                i = values.index(now) if now in values else 0
                for other in {values[min(i + 1, len(values) - 1)], values[max(i - 1, 0)], values[-1], 1} - {now}:
                    yield plan.with_count(dim, position, other)
                if now > 1:
                    for to in free:
                        if to != position:
                            moved = plan.with_count(dim, position, 1)
                            yield moved.with_count(dim, to, now * counts.get((dim, to), 1))
        for level, _ in enumerate(plan.stationary):
            for operand in ("I", "W", "O"):
                if operand in self.nest.operands and operand != plan.stationary[level]:
                    yield replace(plan, stationary=(*plan.stationary[:level], operand, *plan.stationary[level + 1 :]))
        for pair in self.optional():
            yield replace(plan, bypass=plan.bypass ^ {pair})


def divides(nest: Nest, schedule: Schedule) -> bool:
    """Whether every step divides the tile outside it."""
    return all(extent % loop.step == 0 for _, loop, extent in schedule.loops(nest))


class Climb:
    """Hill climbing for one objective; counts what it costed."""

    def __init__(self, space: Space, objective: str, deadline: float | None) -> None:
        self.space, self.objective, self.deadline = space, objective, deadline
        self.most = affordable(space.nest)
        self.seen: dict[Plan, tuple[Fraction, Fraction] | None] = {}
        self.best: tuple[tuple[Fraction, Fraction], Plan] | None = None

    def cost(self, plan: Plan) -> tuple[Fraction, Fraction] | None:
        """The objective, then the other of energy and cycles to break ties; None for a plan that is not legal."""
        if plan not in self.seen:
            self.seen[plan] = self._cost(plan)
        return self.seen[plan]

    def _cost(self, plan: Plan) -> tuple[Fraction, Fraction] | None:
        schedule = self.space.schedule(plan)
        if self.space.perfect and not divides(self.space.nest, schedule):
            return None
        evaluation = try_schedule(self.space.nest, schedule, self.space.target)
        if isinstance(evaluation, list):
            return None
        tie = evaluation.energy if self.objective in ("latency", "dram") else Fraction(evaluation.cycles)
        return evaluation.value(self.objective), tie

    def run(self, start: Plan) -> None:
        """Climb from ``start`` until no neighbour is better."""
        now, value = start, self.cost(start)
        if value is None:
            return
        improved = True
        while improved and not late(self.deadline):
            improved = False
            for plan in self.space.neighbours(now):
                cost = self.cost(plan)
                if cost is not None and cost < value:
                    now, value, improved = plan, cost, True
                if late(self.deadline):
                    break
        if self.best is None or value < self.best[0]:
            self.best = (value, now)


def equal_pieces(bound: int) -> set[int]:
    """How many tiles of one size cover so many indices, for any size: larger numbers by the size, others by trial."""
    few = range(1, isqrt(bound) + 2)
    counts = {trips(bound, size) for size in few if size <= bound}
    return counts | {count for count in few if trips(bound, trips(bound, count)) == count}


def starts(space: Space) -> Iterator[Plan]:
    """Where climbing begins: tiles of single words, each fan-out empty or filled with one dim an axis."""
    levels = len(space.target.levels)
    wide = [p for p in space.positions if p.axis is not None]
    sizes = {(i, axis.name): axis.size for i, axis in space.target.axes()}
    largest = sorted(space.dims, key=lambda d: -space.nest.bounds[d])[:3]
    for stationary in ("O", "W"):
        base = Plan(stationary=(stationary,) * (levels - 1), bypass=frozenset(space.optional()))
        yield base
        for dims in product(largest, repeat=min(len(wide), 2)):
            plan = base
            for dim, position in zip(dims, wide):
                size = sizes[position.level, position.axis or ""]
                plan = plan.with_count(dim, position, min(space.nest.bounds[dim], size))
            yield plan


def climb(
    nest: Nest, target: Target, objective: str, perfect: bool, deadline: float | None
) -> tuple[Schedule | None, int]:
    """A good schedule, if any is found, and how many were costed."""
    search = Climb(Space(nest, target, perfect), objective, deadline)
    for plan in sorted(starts(search.space), key=lambda plan: search.cost(plan) or (Fraction(10**30), Fraction(0)))[:4]:
        search.run(plan)
    return (None if search.best is None else search.space.schedule(search.best[1])), len(search.seen)
