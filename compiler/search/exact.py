"""The exact search: proves which schedule of the map space is the best. See `docs/search.md`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from effc.compiler.cost import evaluate
from effc.compiler.search.encode import Answer, Encoder, Groups, groups_of, schedule_of
from effc.compiler.search.problem import Problem
from effc.compiler.search.windows import contiguous_is_best
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

try:
    from effc.compiler.search._kernel import solve
except ImportError:  # built without a compiler
    COMPILED = False
else:
    COMPILED = True

MOST = 2**52
"""Sums up to here are exact in the kernel."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The best schedule of a space, if there is one; no schedule of it has a value below ``lower_bound``."""

    schedule: Schedule | None
    value: Fraction
    lower_bound: Fraction
    expanded: int


def perfect(nest: Nest, target: Target, objective: str) -> Proof | None:
    """The best schedule whose steps divide, on a target without sliding windows; None if this is not for the kernel."""
    if not COMPILED or objective not in ("energy", "dram") or (objective == "energy" and target.leakage):
        return None
    problem = Problem(nest, target, objective)
    groups = groups_of(problem)
    if groups is None:
        return None
    found = _solve(problem, groups, loose=False)
    if proven(problem):
        return found
    if found.schedule is None:
        return found
    bound = _solve(problem, groups, loose=True)
    value = evaluate(nest, found.schedule, target).value(objective)  # tiles that happen to be identical are shared
    return Proof(found.schedule, value, min(bound.value, value), found.expanded + bound.expanded)


def proven(problem: Problem) -> bool:
    """Whether contiguous tiles of windows are the best there are."""
    windows = [window for window in problem.windows if len(window.dims) > 1]
    for unroll in problem.unrolls:
        shared = unroll.multicast == "tiles" and unroll.size > 1
        if shared and any(unroll.dims & set(window.names) for window in windows):
            return False
    return all(contiguous_is_best(tuple(dim[1:] for dim in w.dims), w.offset, w.size) for w in windows)


def _solve(problem: Problem, groups: Groups, loose: bool) -> Proof:
    encoder = Encoder(problem, groups, loose)
    value, setting, order, loops, nodes, *_ = solve(encoder.encode(), float(MOST))
    if setting is None:
        return Proof(None, Fraction(0), Fraction(0), nodes)
    answer = Answer(
        encoder.settings[setting],
        tuple(order),
        tuple((encoder.dims[dim], bool(time), at, trips) for dim, time, at, trips in loops),
    )
    exact = Fraction(int(value), problem.prices.scale)
    return Proof(schedule_of(answer, problem), exact, exact, nodes)
