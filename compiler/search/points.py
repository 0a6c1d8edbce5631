"""All points of a front over energy and cycles, in one search: where cycles are those of compute.

A schedule is looked at as long as no point known is as good as its bound in both. What is found so joins the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from effc.compiler.cost import try_schedule
from effc.compiler.search.clock import left, utc
from effc.compiler.search.encode import Encoder, contiguous, groups_of
from effc.compiler.search.kernels import kernel
from effc.compiler.search.problem import Problem
from effc.compiler.search.proof import EFFORT, MOST, applies, plain, written
from effc.compiler.search.tiles import shared_tiles, sharing_fanout
from effc.compiler.search.whole import RAGGED
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

Found = tuple[int, list[int], list[tuple[int, int, int, int]], float, float]
"""A setting, the order of marks, loops; energy without that of cycles, cycles."""


@dataclass(frozen=True, slots=True)
class Others:
    """Schedules that are better than the points known, and whether there are no more of them."""

    schedules: tuple[Schedule, ...]
    whole: bool


class Points:
    """What the kernel tells of the points that it finds."""

    def __init__(self) -> None:
        self.found: list[Found] = []

    def __call__(
        self, setting: int, order: list[int], loops: list[tuple[int, int, int, int]], energy: float, cycles: float
    ) -> float:
        self.found.append((setting, order, loops, energy, cycles))
        return -1.0

    def best(self) -> list[Found]:
        """Those that no other one is as good as in both, fewest cycles first."""
        kept: list[Found] = []
        for found in sorted(self.found, key=lambda found: (found[-1], found[-2])):
            if not kept or found[-2] < kept[-1][-2]:
                kept.append(found)
        return kept


def all_points(
    nest: Nest,
    target: Target,
    known: Sequence[tuple[Fraction, int]],
    perfect_factors: bool,
    deadline: float | None = None,
) -> Others | None:
    """The schedules better in energy or cycles than each of the points ``known``.

    ``known`` has a point of the fewest cycles that there are, and is sorted by cycles. None where cycles depend on
    ports, windows are not counted exactly, or the kernel does not apply.
    """
    if not applies(nest, target):
        return None
    problem = Problem(nest, target, "pareto")
    groups = groups_of(problem)
    fanout = sharing_fanout(problem) if perfect_factors else None
    exact = (
        nest.bias is None
        and contiguous(problem, left(deadline) > 1)
        and (fanout is not None or not shared_tiles(problem))
        if perfect_factors
        else plain(nest, target)
    )
    if problem.judged or groups is None or not exact:
        return None
    encoder = Encoder(problem, groups, whole=not perfect_factors, known=known, fewest=known[0][1], fanout=fanout)
    if not encoder.monotone or any(energy * problem.prices.scale > MOST for energy, _ in known):
        return None
    points = Points()
    *_, statistics = kernel(encoder.encode(), -1.0, EFFORT if perfect_factors else RAGGED, utc(deadline), points)
    schedules, whole = [], not statistics["stopped"]
    for setting, order, loops, energy, cycles in points.best():
        schedule = written(problem, encoder, setting, order, loops)
        evaluation = None if schedule is None else try_schedule(nest, schedule, target)
        if schedule is None or evaluation is None or isinstance(evaluation, list):
            whole = False
            continue
        total = int(energy) + problem.prices.cycle * int(cycles)
        whole &= evaluation.energy * problem.prices.scale == total and evaluation.cycles == cycles
        schedules.append(schedule)
    return Others(tuple(schedules), whole)
