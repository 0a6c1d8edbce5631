"""The search among schedules whose steps divide, on a target without sliding windows."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from math import ceil

from effc.compiler.cost import evaluate, try_schedule
from effc.compiler.search.clock import late, left, share, utc
from effc.compiler.search.encode import Encoder, Groups, contiguous
from effc.compiler.search.kernels import kernel
from effc.compiler.search.problem import Problem
from effc.compiler.search.proof import BOUNDED, EFFORT, MOST, Proof, best_below, lesser, no_limit, posed, solved
from effc.compiler.search.tiles import shared_tiles, sharing_fanout
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

EACH = 32_000_000
"""What ``EFFORT`` is, where each schedule is looked at for itself."""


def first(nest: Nest, target: Target, objective: str) -> Schedule | None:
    """A good schedule with steps that divide, in some hundredths of a second."""
    problem, groups = posed(nest, target, objective)
    return solved(problem, Encoder(problem, groups), no_limit(problem), deadline=time.perf_counter()).schedule


def perfect(nest: Nest, target: Target, objective: str, deadline: float | None = None, *, bound: bool = True) -> Proof:
    """The best schedule whose steps divide, on a target without sliding windows.

    ``bound``: whether it matters what all others cost at least, where that takes another search.
    """
    problem, groups = posed(nest, target, objective)
    fewest = 0
    if problem.product and not problem.judged:
        fewest = ceil(perfect(nest, target, "latency", share(deadline, 3)).lower_bound)
    most = no_limit(problem)
    trial = left(deadline) > 1
    fanout = None if problem.judged or not contiguous(problem, trial) else sharing_fanout(problem)
    counted = contiguous(problem, trial) and not shared_tiles(problem)
    strict = counted and not problem.judged
    encoder = Encoder(problem, groups, fewest=fewest, outermost=not strict)
    steps = 1 + (not strict) + problem.judged
    budget = BOUNDED if problem.judged else EFFORT
    found = solved(problem, encoder, most, budget, share(deadline, steps))
    if not encoder.monotone:
        found = replace(found, lower_bound=Fraction(0))
    if found.schedule is None:
        return found
    evaluation = evaluate(nest, found.schedule, target)
    value, lower = evaluation.value(objective), found.lower_bound
    if strict:
        if found.statistics["stopped"] or evaluation.energy * problem.prices.scale > MOST:
            return replace(found, value=value, lower_bound=min(lower, value))
        if float(value * problem.prices.scale) != float(found.value * problem.prices.scale):
            raise AssertionError(f"{nest.name}: the search says {found.value}, the cost model {value}")
        return replace(found, value=value, lower_bound=value if encoder.monotone else Fraction(0))
    found = replace(found, value=value, lower_bound=Fraction(0))
    if fanout is not None:
        found = _sharing(problem, objective, groups, fanout, found, share(deadline, 2))
        if found.value == found.lower_bound:
            return found
    if encoder.monotone:
        encoder = Encoder(problem, groups, loose=True, trial=trial)
        if (bound or not problem.judged) and not late(deadline):
            lower = solved(problem, encoder, most, budget, share(deadline, 1 + problem.judged)).lower_bound
            found = replace(found, lower_bound=max(found.lower_bound, min(lower, found.value)))
    if fanout is not None or not (problem.timed and bound):
        return found
    found = best_below(problem, objective, encoder, found, budget, deadline)
    gap = 0 < found.lower_bound < found.value
    return _each(problem, objective, groups, found, deadline) if counted and problem.judged and gap else found


def _each(problem: Problem, objective: str, groups: Groups, start: Proof, deadline: float | None) -> Proof:
    """The same, each schedule being looked at for itself: none is left out but what costs more than ``start``.

    With a bias one stands for all that have the marks of the bias elsewhere, which may cost less; where that leaves a
    gap, these are looked at, too.
    """
    for outermost in (True, False) if problem.nest.bias else (True,):
        encoder = Encoder(problem, groups, outermost=outermost, every=True)
        alone = not outermost or problem.nest.bias is None
        rest = share(deadline, 2)
        start = best_below(problem, objective, encoder, start, EACH, rest, thorough=True, alone=alone)
        if start.value == start.lower_bound or start.statistics["stopped"]:
            break
    return start


def _sharing(
    problem: Problem, objective: str, groups: Groups, fanout: int, start: Proof, deadline: float | None
) -> Proof:
    """The same where instances of a ``fanout`` share identical tiles of windows; ``start`` is a good schedule.

    With a bias first as if it took no room: if what is found has room for it, there is nothing better.
    """
    scale = problem.prices.scale
    if _nothing_less(problem, groups, start, share(deadline, 3)):
        return replace(start, lower_bound=start.value)
    passes = (True, False) if problem.nest.bias else (True,)
    for i, light in enumerate(passes):
        encoder = Encoder(problem, groups, loose=light, outermost=light, fanout=fanout)
        if start.value == start.lower_bound or not encoder.monotone or late(deadline):
            break
        found = solved(problem, encoder, float(start.value * scale), deadline=share(deadline, len(passes) - i))
        start, lower = replace(start, expanded=start.expanded + found.expanded), found.lower_bound
        evaluation = None if found.schedule is None else try_schedule(problem.nest, found.schedule, problem.target)
        if found.schedule is not None and evaluation is not None and not isinstance(evaluation, list):
            value, exact = evaluation.value(objective), evaluation.energy * scale <= MOST
            start = lesser(start, found.schedule, value)
            if exact and not found.statistics["stopped"] and float(value * scale) == float(found.value * scale):
                lower = start.value
        start = replace(start, lower_bound=max(start.lower_bound, min(lower, start.value)))
        if found.statistics["stopped"]:
            break
    return start


def _nothing_less(problem: Problem, groups: Groups, start: Proof, deadline: float | None) -> bool:
    """Whether it is proven that nothing would cost less than ``start``, even if instances shared all words."""
    encoder, limit = Encoder(problem, groups, loose=True), start.value * problem.prices.scale - 1
    if not encoder.monotone or limit > MOST or late(deadline):
        return False
    less: list[float] = []

    def seen(*found: object) -> float:
        less.append(-1.0)
        return -1.0

    *_, statistics = kernel(encoder.encode(), float(limit), EFFORT, utc(deadline), seen)
    return not less and not statistics["stopped"]
