"""Counts under Timeloop's convention: reads, fills and updates of every level and tensor.

* *Fills* arrive from the parent, the nearest outer level that keeps the tensor; *reads* leave towards the child;
  *updates* arrive from the child (outputs only). The MACs are the innermost child.
* What a buffer receives in a step is what is new in its tile, against the tile of the step before (``tiles.py``).
* Instances below one parent that receive the identical words share one read, or add up to one update.
* An output word that an instance touches for the first time is neither read nor filled; otherwise an update is a read,
  too. What leaves a buffer is not read there.

Nothing else moves or costs energy: no network, no leakage. Cycles are iterations in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Literal

from effc.compiler.replay.shape import check_fits, check_mapping
from effc.compiler.replay.tiles import Loop, Vector, distinct_origins, every_step, first_steps
from effc.compiler.target.model import Target
from effc.ir.nest import Nest, Operand
from effc.ir.schedule import For, Par, Schedule, trips

Steps = Literal["auto", "all", "first"]
"""Which steps are looked at: all of them, or those that Timeloop looks at; ``auto``: all of a nest that is small."""

STEPS: tuple[Steps, ...] = ("auto", "all", "first")

SMALL = 2**20
"""Multiply-accumulates of the largest nest that is small."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words at one level of one tensor, in all instances together."""

    reads: int = 0
    fills: int = 0
    updates: int = 0


@dataclass(frozen=True, slots=True)
class TimeloopCounts:
    """The counts of one mapping. ``energy`` is exact, in the target's unit."""

    macs: int
    cycles: int
    energy: Fraction
    words: dict[tuple[str, str], Words]  # (level, operand)
    steps: Literal["all", "first"]


def timeloop_counts(nest: Nest, schedule: Schedule, target: Target, steps: Steps = "auto") -> TimeloopCounts:
    """The counts of a schedule under Timeloop's convention; an ``InputError`` if Timeloop has no such mapping."""
    check_mapping(nest, schedule, target)
    chosen: Literal["all", "first"] = ("all" if nest.macs <= SMALL else "first") if steps == "auto" else steps
    mapping = Mapping(nest, schedule, target)
    check_fits(target, {(stay.level, stay.operand.name): stay.words for stay in mapping.stays()})
    return mapping.count(chosen)


@dataclass(frozen=True, slots=True)
class Stay:
    """A tensor at a level: the level's position, the mark's position in the schedule, and the box of its tile."""

    operand: Operand
    level: int
    mark: int
    box: Vector

    @property
    def words(self) -> int:
        return prod(self.box)


@dataclass(frozen=True)
class Mapping:
    """A nest, a schedule and a target that Timeloop could be given."""

    nest: Nest
    schedule: Schedule
    target: Target

    @cached_property
    def loops(self) -> list[tuple[int, For | Par, int]]:
        """(position, loop, iterations) of every loop of more than one iteration."""
        found = ((p, loop, trips(extent, loop.step)) for p, loop, extent in self.schedule.loops(self.nest))
        return [(p, loop, count) for p, loop, count in found if count > 1]

    @cached_property
    def cycles(self) -> int:
        return prod(count for _, loop, count in self.loops if isinstance(loop, For))

    def pars(self, outer: int, inner: int) -> Iterator[tuple[Par, int]]:
        """The spatial loops from level ``outer`` down to level ``inner``, and their iterations."""
        for _, loop, count in self.loops:
            if isinstance(loop, Par) and outer <= self.target.index[loop.level] < inner:
                yield loop, count

    def instances(self, level: int) -> int:
        """The instances of a level that are used."""
        return prod(count for _, count in self.pars(0, level))

    def stays(self) -> list[Stay]:
        return [stay for operand in self.nest.operands.values() for stay in self.chain(operand)]

    def chain(self, operand: Operand) -> list[Stay]:
        """Where a tensor is kept, outermost first."""
        marks = [(-1, self.target.levels[0].name), *self.schedule.keeps(operand.name)]
        placed = [(mark, self.target.index[name]) for mark, name in marks]
        return [Stay(operand, level, mark, self.box(operand, mark, level)) for mark, level in placed]

    def box(self, operand: Operand, mark: int, level: int) -> Vector:
        """The length along each axis of what the loops inside a mark, and the arrays below its level, touch."""
        last = dict.fromkeys(self.nest.bounds, 0)
        for position, loop, count in self.loops:
            inside = position > mark if isinstance(loop, For) else self.target.index[loop.level] >= level
            last[loop.dim] += inside * (count - 1) * loop.step
        return tuple(1 + sum(c * last[dim] for c, dim in axis.terms) for axis in operand.axes)

    def received(self, stay: Stay, steps: Literal["all", "first"]) -> int:
        """The words that one instance receives."""
        outside = [
            Loop(count, stride(stay.operand, loop))
            for position, loop, count in self.loops
            if isinstance(loop, For) and position < stay.mark
        ]
        return (every_step if steps == "all" else first_steps)(stay.box, outside)

    def distinct(self, operand: Operand, parent: int, child: int) -> int:
        """The distinct tiles of the child's instances below all instances of the parent."""
        digits = [(count, stride(operand, par)) for par, count in self.pars(parent, child)]
        return self.instances(parent) * distinct_origins(digits)

    def touched(self, stay: Stay) -> int:
        """The output words that the instances of a level touch, summed over instances."""
        idle = prod(count for par, count in self.pars(0, stay.level) if par.dim not in stay.operand.dims)
        return prod(self.nest.bounds[dim] for dim in stay.operand.dims) * idle

    def count(self, steps: Literal["all", "first"]) -> TimeloopCounts:
        words: dict[tuple[str, str], Words] = {}
        for operand in self.nest.operands.values():
            for stay, found in self.count_operand(operand, steps):
                words[self.target.levels[stay.level].name, operand.name] = found
        energy = self.target.mac.energy * self.nest.macs
        for (level, name), found in words.items():
            bank = self.target.level(level).bank(name)
            assert bank is not None
            energy += bank.read_energy * found.reads + bank.write_energy * (found.fills + found.updates)
        return TimeloopCounts(self.nest.macs, self.cycles, energy, words, steps)

    def count_operand(self, operand: Operand, steps: Literal["all", "first"]) -> Iterator[tuple[Stay, Words]]:
        """The words of one tensor at every level that keeps it."""
        chain = self.chain(operand)
        moved = [0, *(self.received(stay, steps) for stay in chain[1:])]
        bottom = len(self.target.levels)
        served = [
            self.distinct(operand, stay.level, child.level) * received
            for (stay, child), received in zip(pairwise(chain), moved[1:])
        ]
        served.append(self.distinct(operand, chain[-1].level, bottom) * self.cycles)
        for stay, received, given in zip(chain, moved, served):
            arrived = received * self.instances(stay.level)
            if operand is not self.nest.output:
                yield stay, Words(reads=given, fills=arrived)
            else:
                first = self.touched(stay)
                yield stay, Words(given - first, arrived - first if stay.level else 0, given)


def stride(operand: Operand, loop: For | Par) -> Vector:
    """By how much one iteration of a loop shifts a tile of a tensor along each axis."""
    return tuple(sum(c * loop.step for c, dim in axis.terms if dim == loop.dim) for axis in operand.axes)
