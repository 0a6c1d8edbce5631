"""The search of the whole space: steps of any size, and sliding windows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil

from effc.compiler.cost import evaluate, try_schedule
from effc.compiler.search.clock import late, share, utc
from effc.compiler.search.encode import Encoder, groups_of
from effc.compiler.search.judge import NEAR, Judge
from effc.compiler.search.kernels import kernel
from effc.compiler.search.mesh import fewest_iterations
from effc.compiler.search.perfect import perfect
from effc.compiler.search.problem import Problem, without_windows
from effc.compiler.search.proof import (
    BOUNDED,
    MOST,
    Proof,
    applies,
    best_below,
    bound_of,
    lesser,
    plain,
    posed,
    solved,
    written,
)
from effc.compiler.search.tiles import shared_tiles
from effc.compiler.search.walk import walked
from effc.compiler.target.model import Target
from effc.ir.nest import Nest

BUDGET = 300_000
"""What ``EFFORT`` is, for a lower bound of the whole space."""

RAGGED = 24_000_000
"""The same for the whole space of a nest without windows."""

SWEPT = 20_000_000
"""The same for a nest with windows where cycles do not count."""

COUPLED = 8_000_000
"""The same where windows slide and cycles count."""

SLID = 3_000_000
"""The same where ports are limited, too."""

SEVERAL = 10
"""Of this a part for each of several searches."""

THRIFT = 2_000_000
"""The same for a schedule of little energy among the fastest."""


def whole(nest: Nest, target: Target, objective: str) -> bool:
    """Whether the whole space can be searched: what slides goes forward."""
    if not applies(nest, target):
        return False
    problem = Problem(nest, target, objective)
    forward = all(coefficient > 0 for window in problem.windows for _, coefficient, _ in window.dims)
    return not problem.windows or forward


def relaxed_bound(
    nest: Nest, target: Target, objective: str, value: Fraction, budget: int = BUDGET, deadline: float | None = None
) -> Proof:
    """What every schedule of the whole space costs at least, ``value`` being what one of them costs."""
    problem, groups = posed(nest, target, objective)
    encoder, most = Encoder(problem, groups, relaxed=True), float(value * problem.prices.scale) - 1
    if (most > MOST and not problem.product) or not encoder.monotone:
        return Proof(None, value, Fraction(0), 0)
    return solved(problem, encoder, most, budget, deadline)


def ragged(
    nest: Nest, target: Target, objective: str, start: Proof, deadline: float | None = None, *, alone: bool = True
) -> Proof:
    """The best schedule with steps of any size; ``start`` is what is known of some. ``alone``: not one of several."""
    problem, groups = posed(nest, target, objective)
    assert start.schedule is not None
    fewest, least = 0, Fraction(0)
    if problem.product and not problem.judged and not late(deadline):
        start, fewest, least = _extremes(nest, target, start, deadline)
    encoder = Encoder(problem, groups, whole=True, fewest=fewest, least=least)
    if objective == "latency" and start.value == encoder.fewest:
        return replace(start, lower_bound=start.value)
    scaled = start.value * problem.prices.scale
    if (scaled > MOST and not problem.product) or not encoder.monotone:
        return replace(start, lower_bound=Fraction(0))
    if problem.windows and not problem.timed:
        return _swept(problem, objective, encoder, start, deadline)
    coupled = any(len(window.dims) > 1 for window in problem.windows)
    budget = (SLID if alone else SLID // SEVERAL) if coupled else BOUNDED
    if not problem.judged:
        budget = COUPLED if coupled else RAGGED
    if problem.timed and not problem.product:
        return _costed(problem, objective, encoder, start, budget, deadline)
    rounded = problem.product and scaled > MOST
    most = float(scaled) * (1 + NEAR) if rounded else float(int(scaled) - 1)
    found, value, lower, setting, order, loops, statistics = kernel(encoder.encode(), most, budget, utc(deadline))
    lower = value if found and problem.timed and not statistics["stopped"] else lower
    bound = bound_of(problem, lower, rounded)
    best = replace(start, lower_bound=min(bound, start.value), expanded=start.expanded + statistics["nodes"])
    if not found:
        return best
    schedule = written(problem, encoder, setting, order, loops)
    evaluation = None if schedule is None else try_schedule(nest, schedule, target)
    if schedule is not None and evaluation is not None and not isinstance(evaluation, list):
        better = evaluation.value(objective)
        best = replace(best, schedule=schedule, value=better) if better < start.value else best
    if statistics["stopped"]:
        return best
    if not problem.timed:
        return _biased(problem, objective, best, deadline)
    return best_below(problem, objective, encoder, best, budget, deadline)


def _swept(problem: Problem, objective: str, encoder: Encoder, start: Proof, deadline: float | None) -> Proof:
    """The same with windows, of which the kernel knows bounds only where tiles are not of neighbours."""
    rest = share(deadline, 2 if problem.nest.bias else 1)
    found = _costed(problem, objective, encoder, start, _swept_budget(problem), rest)
    return found if found.statistics["stopped"] else _biased(problem, objective, found, deadline)


def _swept_budget(problem: Problem) -> int:
    return BOUNDED if shared_tiles(problem) else SWEPT


def _costed(
    problem: Problem, objective: str, encoder: Encoder, start: Proof, budget: int, deadline: float | None
) -> Proof:
    """The best schedule of the whole space; each that the kernel finds is costed."""
    assert start.schedule is not None
    decode = partial(written, problem, encoder)
    judge = Judge(problem, objective, decode, (start.value, start.schedule), thorough=True)
    _, _, lower, *_, statistics = kernel(encoder.encode(), judge.most(start.value), budget, utc(deadline), judge)
    bound = min(bound_of(problem, lower, problem.product), judge.lower_bound)
    expanded = start.expanded + statistics["nodes"] + judge.costed
    return Proof(judge.schedule, judge.value, bound, expanded, statistics, tuple(judge.dearer))


def _biased(problem: Problem, objective: str, start: Proof, deadline: float | None) -> Proof:
    """The same with the marks of the bias anywhere, where it takes room; ``start`` has the bound without that."""
    if problem.nest.bias is None or start.value == start.lower_bound or late(deadline):
        return start
    groups = groups_of(problem)
    assert groups is not None
    anywhere = Encoder(problem, groups, whole=True, outermost=False)
    found = _costed(problem, objective, anywhere, start, _swept_budget(problem), deadline)
    return replace(found, lower_bound=max(found.lower_bound, start.lower_bound))


def _extremes(nest: Nest, target: Target, start: Proof, deadline: float | None) -> tuple[Proof, int, Fraction]:
    """The fewest cycles and the least energy; and the best for energy x cycles of ``start`` and what has these."""
    fastest = perfect(nest, without_windows(target), "latency", share(deadline, 6))
    assert fastest.schedule is not None
    fastest = ragged(nest, target, "latency", fastest, share(deadline, 5))
    assert fastest.schedule is not None
    found = evaluate(nest, fastest.schedule, target)
    quick = thriftier(nest, target, found.cycles, replace(fastest, value=found.energy), deadline=share(deadline, 4))
    slow = perfect(nest, without_windows(target), "energy", share(deadline, 3))
    assert slow.schedule is not None
    slow = replace(slow, value=evaluate(nest, slow.schedule, target).energy)
    slow = ragged(nest, target, "energy", slow, share(deadline, 2))
    for known in (quick, slow):
        assert known.schedule is not None
        start = lesser(start, known.schedule, evaluate(nest, known.schedule, target).value("edp"))
    return start, ceil(fastest.lower_bound), slow.lower_bound


def thriftier(
    nest: Nest, target: Target, cycles: int, start: Proof, perfect_factors: bool = False, deadline: float | None = None
) -> Proof:
    """Of the schedules that take so many cycles at most, one of little energy: ``start``, or one of less.

    First of those whose steps divide, then, unless none but these are asked for, of all: by walks, and without
    windows by boxes within a budget; without a proof. Where cycles depend on ports it is ``start``.
    """
    if target.bandwidths or not applies(nest, target):
        return start
    start = replace(start, lower_bound=Fraction(0))
    problem, groups = posed(nest, without_windows(target), "energy")
    if fewest_iterations(nest, problem.unrolls, divide=True) <= cycles:
        encoder, most = Encoder(problem, groups, slowest=cycles), float(start.value * problem.prices.scale) - 1
        found = solved(problem, encoder, min(most, MOST), deadline=share(deadline, 2)).schedule
        start = start if found is None else lesser(start, found, evaluate(nest, found, target).energy)
    if perfect_factors or not whole(nest, target, "energy") or late(deadline):
        return start
    start = walked(nest, target, "energy", start, share(deadline, 2), slowest=cycles)
    if not plain(nest, target):
        return start
    problem, groups = posed(nest, target, "energy")
    encoder = Encoder(problem, groups, whole=True, slowest=cycles)
    return _costed(problem, "energy", encoder, start, THRIFT, deadline)
