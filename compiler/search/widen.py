"""Guesses with steps that do not divide: what is best where they do, on a nest that is a little larger.

A dim of bound 27 on an axis of 14 instances wants two tiles of 14. On a nest of 28 these divide; on the nest itself the
same steps cut the last tile off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from effc.compiler.search.problem import Problem
from effc.ir.nest import Axis, Nest, Operand
from effc.ir.schedule import Schedule, trips


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
