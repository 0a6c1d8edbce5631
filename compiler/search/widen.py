"""Guesses with steps that do not divide: what is best where they do, on a nest that is a little larger.

A dim of bound 27 on an axis of 14 instances wants two tiles of 14. On a nest of 28 these divide; on the nest itself the
same steps cut the last tile off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from effc.compiler.cost import try_schedule
from effc.compiler.dataflows.optimum import good_row_stationary
from effc.compiler.search.clock import late, share
from effc.compiler.search.encode import Encoder
from effc.compiler.search.problem import Problem
from effc.compiler.search.proof import BOUNDED, no_limit, posed, solved
from effc.compiler.target.model import Target
from effc.ir.nest import Axis, Nest, Operand
from effc.ir.schedule import Schedule, trips

WIDER = Fraction(26, 25)
"""A schedule of a nest that is a little larger may cost so many times as much as one that is of use."""


def guesses(
    nest: Nest, target: Target, objective: str, most: Callable[[], Fraction], deadline: float | None = None
) -> Iterator[Schedule]:
    """Schedules whose steps do not divide, where cycles make them worth a try; what costs `most` is of no use."""
    problem, _ = posed(nest, target, objective)
    if not problem.timed or late(deadline):
        return
    for other in larger_nests(problem):
        if late(deadline):
            return
        wide, groups = posed(other, target, objective)
        limit = min(no_limit(wide), float(WIDER * most() * wide.prices.scale))
        found = solved(wide, Encoder(wide, groups), limit, BOUNDED, share(deadline, 2)).schedule
        schedule = None if found is None else fitted(nest, found)
        if schedule is not None and not isinstance(try_schedule(nest, schedule, target), list):
            yield schedule
    if {"R", "S"} <= {dim.role for dim in nest.dims if dim.bound > 1}:
        rows = good_row_stationary(nest, target, objective, most(), lambda: late(deadline))
        if rows is not None:
            yield rows.schedule


def larger_nests(problem: Problem) -> Iterator[Nest]:
    """The nest with one dim, or all of them, as large as equal tiles on an axis make it."""
    sizes: dict[str, int] = {}
    for dim in problem.dims:
        bound = problem.nest.bounds[dim]
        for unroll in problem.unrolls:
            if dim in unroll.dims and 1 < unroll.size < bound:
                pieces = trips(bound, unroll.size)
                size = pieces * trips(bound, pieces)
                if size > bound and size != sizes.get(dim):
                    sizes[dim] = size
                    yield larger(problem.nest, {dim: size})
    if len(sizes) > 1:
        yield larger(problem.nest, sizes)


def larger(nest: Nest, bounds: dict[str, int]) -> Nest:
    """The nest with other bounds; its operands grow as much."""
    more = {dim: size - nest.bounds[dim] for dim, size in bounds.items()}

    def axis(old: Axis) -> Axis:
        return replace(old, size=old.size + sum(c * more.get(dim, 0) for c, dim in old.terms))

    def operand(old: Operand) -> Operand:
        return replace(old, axes=tuple(axis(each) for each in old.axes))

    dims = tuple(replace(dim, bound=dim.bound + more.get(dim.name, 0)) for dim in nest.dims)
    bias = None if nest.bias is None else operand(nest.bias)
    return replace(nest, dims=dims, reads=tuple(map(operand, nest.reads)), output=operand(nest.output), bias=bias)


def fitted(nest: Nest, schedule: Schedule) -> Schedule:
    """The schedule of a larger nest without the loops that have one trip on this one."""
    idle = {position for position, loop, extent in schedule.loops(nest) if trips(extent, loop.step) == 1}
    return Schedule(tuple(item for position, item in enumerate(schedule.items) if position not in idle))
