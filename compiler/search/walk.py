"""Walks through the whole space: good schedules in a second, without a proof. See `kernel/walk.h`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Literal

from effc.compiler.search.clock import utc
from effc.compiler.search.encode import Encoder
from effc.compiler.search.judge import Dearer, Judge
from effc.compiler.search.kernels import kernel
from effc.compiler.search.proof import Proof, posed, written
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Keep, Par, Schedule

MOST_STEPS, LEAST_STEPS = 300_000, 1_000
"""Of all walks together; between them one for each ``MACS_PER_STEP``."""

MACS_PER_STEP = 100

STARTS = 4
"""Schedules that walks begin at, of those of the least bounds, and of those of the least costs."""

STEP = 10
"""The work that the kernel counts for a step."""


def walked(
    nest: Nest, target: Target, objective: str, start: Proof, deadline: float | None = None, *, slowest: int = 0
) -> Proof:
    """``start``, or a better schedule of the whole space that walks have found; its lower bound is left as it is.

    All walks begin at schedules that a proof came upon and that cost more than their bounds, if there are any.
    ``slowest``: iterations that none may exceed, if not 0, where ports are not limited.
    """
    problem, groups = posed(nest, target, objective)
    encoder = Encoder(problem, groups, slowest=slowest, whole=True, every=True)
    steps = min(MOST_STEPS, max(LEAST_STEPS, nest.macs // MACS_PER_STEP))
    near = list(dict.fromkeys([*_first(start.dearer, 0), *_first(start.dearer, 1)]))
    if not near:
        return _walked(encoder, objective, start, None, steps, deadline)
    for schedule in near:
        start = _walked(encoder, objective, start, schedule, steps // len(near), deadline)
    return start


def _first(dearer: Sequence[Dearer], by: Literal[0, 1]) -> list[Schedule]:
    """The schedules of the least bounds, or of the least costs, no two of which are the same."""
    found: dict[Fraction, Schedule] = {}
    for bound, value, schedule in sorted(dearer, key=itemgetter(by)):
        found.setdefault((bound, value)[by], schedule)
    return list(found.values())[:STARTS]


def _walked(
    encoder: Encoder, objective: str, start: Proof, near: Schedule | None, steps: int, deadline: float | None
) -> Proof:
    """The same with so many steps; ``near``: where all walks begin."""
    assert start.schedule is not None
    problem = encoder.problem
    encoder.start = [int(near is not None), *start_of(near or start.schedule, encoder)]
    decode = partial(written, problem, encoder)
    judge = Judge(problem, objective, decode, (start.value, start.schedule), thorough=True)
    kernel(encoder.encode(), judge.most(start.value), STEP * steps, utc(deadline), judge)
    if judge.value < start.lower_bound:
        raise AssertionError(f"{problem.nest.name}: {judge.value} was found, below the bound {start.lower_bound}")
    return replace(start, schedule=judge.schedule, value=judge.value, expanded=start.expanded + judge.costed)


def start_of(schedule: Schedule, encoder: Encoder) -> list[int]:
    """A schedule as walks begin at it: how many loops it has, its setting, the marks in their order; of each loop, from
    outside in, its dim, whether it is in time, its segment or axis, and its step.
    """
    levels = {level.name: i for i, level in enumerate(encoder.problem.target.levels)}
    unrolls = [(unroll.level, unroll.name) for unroll in encoder.problem.unrolls]
    marks = [(item.operand, levels[item.level]) for item in schedule.items if isinstance(item, Keep)]
    settings = [setting.marks for setting, _ in encoder.slides]
    setting = next(i for i, known in enumerate(settings) if sorted(known) == sorted(marks))
    loops, segment = list[list[int]](), 0
    for item in schedule.items:
        if isinstance(item, Keep):
            segment += 1
        elif item.dim in encoder.dims:
            in_time = not isinstance(item, Par)
            at = unrolls.index((levels[item.level], item.axis)) if isinstance(item, Par) else segment
            loops.append([encoder.dims.index(item.dim), int(in_time), at, item.step])
    order = [settings[setting].index(mark) for mark in marks]
    return [len(loops), setting, *order, *chain.from_iterable(loops)]
