"""The Pareto front of a nest over (energy, cycles): schedules of which none is better in both.

Where cycles are those of compute one search finds the whole front (``points.py``). Elsewhere it is looked for by
weights: a schedule of least ``energy + weight x cycles`` is on the front, for any positive weight. That sum is an
energy, too: of a target that leaks as much more per cycle. So every such search proves a point, and a line that
no schedule is below. Between two neighbouring points the next weight is the slope of the line through them; where
nothing is below that line, nothing is left to find by weights. What the front may have besides, lies above all lines:
points in the triangles between neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise, repeat
from math import ceil, frexp

from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.search.points import Others
from effc.compiler.search.result import Best, Point
from effc.compiler.target.model import Target
from effc.ir.nest import Nest

SEARCHES = 6
"""Searches for further points at most."""

EDGE = 1000
"""At the ends of the front one of energy and cycles counts so many times as much as the other."""

Solve = Callable[[Target, str], Best]
"""The search for the least of an objective on a target, which is the given one or leaks more."""

Rest = Callable[[list[tuple[Fraction, int]]], Others | None]
"""The search for all other points: see ``points.py``."""

Line = tuple[Fraction, Fraction]
"""(weight, bound): every schedule has energy + weight x cycles >= bound."""


def search(
    nest: Nest,
    target: Target,
    machine: Target,
    solve: Solve,
    rest: Rest,
    progress: Callable[[Best], None] | None = None,
) -> Best:
    """The schedule of least energy x cycles of the front, with the front.

    Points are costed on ``machine``. The certificate is that of energy x cycles: below all lines there is no schedule.
    ``progress`` is called with what is known after each search.
    """
    front = _Front(nest, target, machine, solve, rest)
    for _ in front.searches():
        if progress is not None:
            progress(front.best())
    return front.best()


class _Front:
    """The points and the lines that searches have found."""

    def __init__(self, nest: Nest, target: Target, machine: Target, solve: Solve, rest: Rest) -> None:
        self.nest, self.target, self.machine, self.solve, self.rest = nest, target, machine, solve, rest
        self.whole = False
        self.lines: list[Line] = []
        self.fastest = solve(target, "latency")
        self.fewest = ceil(self.fastest.certificate.lower_bound)
        self.expanded = self.fastest.certificate.expanded
        self.found = [Point(self.fastest.schedule, self.evaluation(self.fastest), False)]

    def evaluation(self, best: Best) -> Evaluation:
        return evaluate(self.nest, best.schedule, self.machine)

    def weigh(self, weight: Fraction) -> None:
        """Search for the least energy + weight x cycles."""
        best = self.solve(replace(self.target, leakage=self.target.leakage + weight), "energy")
        self.lines.append((weight, best.certificate.lower_bound))
        self.expanded += best.certificate.expanded
        proven = weight > 0 and best.certificate.status == "optimal"
        self.found.append(Point(best.schedule, self.evaluation(best), proven))

    def take_rest(self) -> bool:
        """Whether all points are found at once."""
        if self.fastest.certificate.status != "optimal":
            return False
        known = [(point.evaluation.energy, point.evaluation.cycles) for point in undominated(self.found)]
        found = self.rest(known)
        if found is None:
            return False
        self.whole = found.whole
        evaluations = (evaluate(self.nest, schedule, self.machine) for schedule in found.schedules)
        self.found += map(Point, found.schedules, evaluations, repeat(False))
        return self.whole

    def searches(self) -> Iterator[None]:
        """One search after another; the first is done."""
        yield
        if self.take_rest():
            yield
            return
        self.weigh(Fraction(0))
        yield
        least = self.found[-1].evaluation
        scale, known = least.energy / least.cycles, set()
        for weight in (rounded(scale / EDGE), rounded(scale * EDGE)):
            self.weigh(weight)
            yield
        for _ in range(SEARCHES):
            points = [point.evaluation for point in undominated(self.found)]
            slopes = (rounded((a.energy - b.energy) / (b.cycles - a.cycles)) for a, b in pairwise(points))
            new = next((slope for slope in slopes if slope not in known), None)
            if new is None:
                return
            known.add(new)
            self.weigh(new)
            yield

    def best(self) -> Best:
        """The front as it is known, fewest cycles first, and the best of it."""
        points = [replace(point, proven=point.proven or self.whole) for point in undominated(self.found)]
        evaluation = min((point.evaluation for point in points), key=lambda found: found.value("edp"))
        schedule = next(point.schedule for point in points if point.evaluation is evaluation)
        value = evaluation.value("edp")
        bound = value if self.whole else min(value, edp_bound(self.lines, self.fewest))
        certificate = replace(
            self.fastest.certificate,
            status="optimal" if value == bound else "bounded",
            value=value,
            lower_bound=bound,
            expanded=self.expanded,
        )
        return Best(self.nest, self.target, "pareto", schedule, evaluation, certificate, tuple(points))


def undominated(points: Iterable[Point]) -> list[Point]:
    """The points that no other one is at least as good as in both, by cycles; of equals the one that is proven."""
    result: list[Point] = []
    for point in sorted(points, key=lambda point: (point.evaluation.cycles, point.evaluation.energy, not point.proven)):
        if not result or point.evaluation.energy < result[-1].evaluation.energy:
            result.append(point)
    return result


def edp_bound(lines: Iterable[Line], cycles: int) -> Fraction:
    """No schedule above all lines, and of so many cycles at least, has a smaller energy x cycles.

    On a line energy x cycles is concave in cycles: it is least where two lines cross, or at the fewest cycles.
    """
    lines = list(lines)
    crossings = (
        (bound - other) / (weight - slope)
        for (weight, bound), (slope, other) in combinations(lines, 2)
        if weight != slope
    )
    candidates = [Fraction(cycles), *(crossing for crossing in crossings if crossing > cycles)]
    return min(at * max((bound - weight * at for weight, bound in lines), default=Fraction(0)) for at in candidates)


def rounded(weight: Fraction) -> Fraction:
    """A weight in few binary digits, so that sums with it stay exact in the kernel."""
    mantissa, exponent = frexp(float(weight))
    return round(mantissa * 64) * Fraction(2) ** (exponent - 6)
