"""What the kernel asks where it knows bounds only: what the schedule that it has found costs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from effc.compiler.cost import try_schedule
from effc.compiler.search.problem import Problem
from effc.ir.schedule import Schedule

JUDGED = 150
"""Schedules that are costed at most; of others the bound counts."""

ALONE = 3_000
"""The same where every schedule counts for itself."""

ASKED = 50_000
"""Questions at most; after them nothing is proven by answers."""

NEAR = 1e-12
"""Products are compared up to rounding in the kernel, and exactly here."""

Dearer = tuple[Fraction, Fraction, Schedule]
"""A schedule that costs more than its bound: the bound, and what it costs."""

Decode = Callable[[int, list[int], list[tuple[int, int, int, int]]], Schedule | None]


class Judge:
    """Costs schedules, and keeps the best of them.

    ``open``: the least bound of those that cost more than their bound, or were not costed. ``thorough``: those are
    costed, too, that may be the best there are, but cannot be proven to be. ``alone``: a schedule stands for none but
    itself, so that one that costs more than its bound, or is not legal, leaves nothing open.
    """

    def __init__(
        self,
        problem: Problem,
        objective: str,
        decode: Decode,
        best: tuple[Fraction, Schedule],
        *,
        thorough: bool = False,
        alone: bool = False,
    ) -> None:
        self.problem, self.objective, self.decode, self.thorough = problem, objective, decode, thorough
        self.value, self.schedule = best
        self.alone, self.most_costed = alone, ALONE if alone else JUDGED
        self.open: Fraction | None = None
        self.dearer: list[Dearer] = []
        self.costed = self.asked = 0

    @property
    def lower_bound(self) -> Fraction:
        """Of all schedules that the kernel has looked at, once it has looked at all."""
        return self.value if self.open is None else min(self.value, self.open)

    @property
    def exhausted(self) -> bool:
        return self.asked > ASKED

    def most(self, value: Fraction) -> float:
        """The largest bound that is less than a value, as far as the kernel can tell."""
        scaled = value * self.problem.prices.scale
        return float(scaled) * (1 + NEAR) if self.problem.product else float(scaled) - 1

    def bound(self, energy: float, cycles: float) -> Fraction:
        """The bound of a schedule with so much energy, but for that of its cycles unless they are 0."""
        total = int(energy) + self.problem.prices.cycle * int(cycles)
        return Fraction(total * int(cycles) if self.problem.product else total, self.problem.prices.scale)

    def __call__(
        self, setting: int, order: list[int], loops: list[tuple[int, int, int, int]], energy: float, cycles: float
    ) -> float:
        """The answer to the kernel: the largest bound that is still worth looking at."""
        self.asked += 1
        if self.exhausted:
            return -1.0
        bound = self.bound(energy, cycles)
        if bound < (self.value if self.thorough else self.lower_bound):
            costed = self.costed < self.most_costed
            schedule, value = self.cost(setting, order, loops) if costed else (None, None)
            if schedule is not None and value is not None and value > bound:
                self.dearer.append((bound, value, schedule))
            if not (self.alone and costed) and (value is None or value > bound):
                self.open = bound if self.open is None else min(self.open, bound)
        return self.most(self.value if self.costed < self.most_costed else self.lower_bound)

    def cost(
        self, setting: int, order: list[int], loops: list[tuple[int, int, int, int]]
    ) -> tuple[Schedule | None, Fraction | None]:
        """A schedule, and what it costs; None if it cannot be written or is not legal."""
        self.costed += 1
        schedule = self.decode(setting, order, loops)
        found = None if schedule is None else try_schedule(self.problem.nest, schedule, self.problem.target)
        if schedule is None or found is None or isinstance(found, list):
            return schedule, None
        value = found.value(self.objective)
        if value < self.value:
            self.value, self.schedule = value, schedule
        return schedule, value
