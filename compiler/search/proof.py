"""What the kernel is asked, and what its answers prove. See `docs/search.md`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from math import ceil, prod

from effc.compiler.search.clock import late, utc
from effc.compiler.search.encode import Answer, Encoder, Groups, groups_of, pulled, schedule_of
from effc.compiler.search.judge import NEAR, Dearer, Judge
from effc.compiler.search.kernels import kernel, verify_current
from effc.compiler.search.problem import Problem
from effc.compiler.search.ragged import Digit, schedule_of_chains
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

MOST = 2**52
"""Sums up to here are exact in the kernel."""

INFINITE = 1e300
"""More than any product of an energy and cycles."""

EFFORT = 200_000_000
"""Chains, rows and nodes that a search may look at: a number that, unlike seconds, is the same on every machine."""

BOUNDED = 1_500_000
"""The same where ports are limited, or tiles of windows are shared: more work seldom finds more, or a better bound."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The best schedule of a space, if there is one; no schedule of it has a value below ``lower_bound``."""

    schedule: Schedule | None
    value: Fraction
    lower_bound: Fraction
    expanded: int
    statistics: dict[str, int] = field(default_factory=dict)
    dearer: tuple[Dearer, ...] = ()


def lesser(start: Proof, schedule: Schedule, value: Fraction) -> Proof:
    """``start``, with this schedule if it costs less."""
    return replace(start, schedule=schedule, value=value) if value < start.value else start


def applies(nest: Nest, target: Target) -> bool:
    """Whether the kernel can search: windows over two dims at most, and all in all not too large."""
    verify_current()
    problem = Problem(nest, target, "dram")
    marks = sum(level.bank(name) is not None for level in target.levels[1:] for name in nest.operands)
    banks = sum(len(level.banks) for level in target.levels[1:])
    if len(problem.dims) > 16 or max(nest.bounds.values()) > 60_000 or marks > 16 or banks > 16:
        return False  # sizes of the kernel's tables
    if any(prod(bound + 1 for _, _, bound in window.dims) > 1 << 22 for window in problem.windows):
        return False
    return len(problem.unrolls) <= 8 and groups_of(problem) is not None


def plain(nest: Nest, target: Target) -> bool:
    """Whether no dims are coupled."""
    return applies(nest, target) and not Problem(nest, target, "dram").windows


def judged(nest: Nest, target: Target, objective: str) -> bool:
    """Whether ports limit what matters, so that the search has bounds only."""
    return Problem(nest, target, objective).judged


def posed(nest: Nest, target: Target, objective: str) -> tuple[Problem, Groups]:
    """The problem, and its dims in groups, of a nest that the kernel can search."""
    problem = Problem(nest, target, objective)
    groups = groups_of(problem)
    assert groups is not None
    return problem, groups


def no_limit(problem: Problem) -> float:
    """No bound at all."""
    return INFINITE if problem.product else float(MOST)


def bound_of(problem: Problem, lower: float, rounded: bool) -> Fraction:
    """A bound that the kernel gives, which may be ``rounded``."""
    lower = max(lower, 0.0)
    return Fraction(ceil(lower * (1 - NEAR)) if rounded else int(lower), problem.prices.scale)


def solved(
    problem: Problem, encoder: Encoder, most: float, budget: int = EFFORT, deadline: float | None = None
) -> Proof:
    """The least value up to ``most``; without a schedule if there is none that is proven or found in time."""
    found, value, lower, setting, order, loops, statistics = kernel(encoder.encode(), most, budget, utc(deadline))
    scale, expanded = problem.prices.scale, statistics["nodes"]
    if not found:
        bound = bound_of(problem, lower if statistics["stopped"] else most + 1, problem.product)
        return Proof(None, Fraction(most + 1) / scale, bound, expanded, statistics)
    bound = bound_of(problem, lower if statistics["stopped"] else value, problem.product)
    exact = Fraction(int(value), scale)
    schedule = None if encoder.relaxed else written(problem, encoder, setting, order, loops)
    return Proof(schedule, exact, bound, expanded, statistics)


def best_below(
    problem: Problem,
    objective: str,
    encoder: Encoder,
    start: Proof,
    budget: int,
    deadline: float | None,
    *,
    thorough: bool = False,
    alone: bool = False,
) -> Proof:
    """The best of all schedules whose bound is below the value of ``start``, which is known to be a good one.

    ``thorough``, ``alone``: see ``Judge``.
    """
    if start.schedule is None or start.value == start.lower_bound or not encoder.monotone or late(deadline):
        return start
    decode, best = partial(written, problem, encoder), (start.value, start.schedule)
    judge = Judge(problem, objective, decode, best, thorough=thorough, alone=alone)
    *_, statistics = kernel(encoder.encode(), judge.most(start.value), budget, utc(deadline), judge)
    whole = not statistics["stopped"] and not judge.exhausted
    lower = max(start.lower_bound, judge.lower_bound) if whole else start.lower_bound
    expanded = start.expanded + statistics["nodes"] + judge.costed
    statistics = {**statistics, "stopped": int(not whole)}
    return Proof(judge.schedule, judge.value, min(lower, judge.value), expanded, statistics)


def written(
    problem: Problem, encoder: Encoder, setting: int, order: list[int], loops: list[tuple[int, int, int, int]]
) -> Schedule | None:
    """The kernel's answer as a schedule; None if it cannot be written as one."""
    if not encoder.relaxed:
        found = tuple((encoder.dims[dim], bool(in_time), at, trips) for dim, in_time, at, trips in loops)
        answer = Answer(encoder.slides[setting][0], tuple(order), found)
        return schedule_of(pulled(answer, problem) if encoder.every else answer, problem)
    marks = encoder.slides[setting][0].marks
    chains: dict[str, list[Digit]] = {dim: [] for dim in problem.dims}
    for dim, in_time, at, step in loops:
        chains[encoder.dims[dim]].append(Digit(bool(in_time), at, step))
    sweeps = {i: encoder.dims[m // 256 - 1] for i, m in enumerate(order) if m >= 256}
    return schedule_of_chains([marks[m % 256] for m in order], chains, sweeps, problem)
