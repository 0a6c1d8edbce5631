"""The search under constraints.

What the constraints say of levels and axes, and of operands that stay, makes a narrower target, whose optimum and lower
bound the search finds. If that optimum satisfies the other constraints as well, it is the best of all that do. If not,
its lower bound still holds, and a good schedule is looked for among those that satisfy them: from that optimum with its
loops moved, and from the smallest tiles, one change after another.

Operands that stay need no argument of their own: of the moves that make a schedule canonical, none takes a
loop that is irrelevant to an operand from inside its mark to outside.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from effc.compiler.cost import Evaluation, evaluate, try_schedule
from effc.compiler.search import find
from effc.compiler.search.bounds import floor_dram_words
from effc.compiler.search.climb import divides
from effc.compiler.search.clock import late
from effc.compiler.search.constraints import (
    DATAFLOWS,
    Dataflow,
    Inside,
    InSpace,
    Part,
    Pattern,
    Rules,
    Stationary,
    faults,
    innermost,
    narrowed,
    relative_to,
    satisfies,
)
from effc.compiler.search.polish import neighbours, with_count
from effc.compiler.search.problem import without_windows
from effc.compiler.search.result import Best, Certificate
from effc.compiler.target.model import Target
from effc.ir.errors import InputError
from effc.ir.nest import Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips
from effc.ir.verify import VerifyError, verify_schedule

BUDGET = 4000
"""Schedules that are costed at most: a number that, unlike seconds, is the same on every machine."""


class ConstraintError(InputError):
    """No schedule was found that satisfies the constraints."""


def search(
    nest: Nest,
    target: Target,
    objective: str,
    rules: Rules,
    *,
    perfect_factors: bool = False,
    time_limit: float | None = None,
    progress: find.Progress | None = None,
) -> Best:
    """The best schedule of those that satisfy the rules, with a certificate relative to them."""
    began = time.perf_counter()
    deadline = None if time_limit is None else began + time_limit
    patterns = [rule for rule in rules if isinstance(rule, Pattern)]
    for pattern in patterns:
        pattern.check(nest)
    try:
        machine = narrowed(nest, target, rules)
        if any(pattern.whole for pattern in patterns):
            return _given(nest, target, machine, objective, rules, next(p for p in patterns if p.whole))
        allowed = partial(satisfies, nest, machine, rules)
        half = None if time_limit is None else time_limit / 2  # the rest is for climbing
        best = find.search(
            nest,
            machine,
            objective,
            perfect_factors=perfect_factors,
            time_limit=half,
            progress=progress and (lambda best: progress(_relative(best, target, rules, began))),
            allowed=allowed,
        )
    except InputError as error:
        raise _none(nest, target, rules, error.message) from None
    if not allowed(best.schedule):
        best = _Climb(nest, machine, objective, rules, perfect_factors, deadline).best(best)
    return _relative(best, target, rules, began)


def _relative(best: Best, target: Target, rules: Rules, began: float) -> Best:
    """An answer of the narrowed target as one of the target under rules."""
    found = replace(best.certificate, relative_to=relative_to(rules), search_s=time.perf_counter() - began)
    return replace(best, target=target, certificate=found)


def _given(nest: Nest, target: Target, machine: Target, objective: str, rules: Rules, pattern: Pattern) -> Best:
    """The one schedule that a pattern without gaps leaves."""
    schedule = Schedule(pattern.items)
    try:
        verify_schedule(nest, schedule)
    except VerifyError as error:
        raise _none(nest, target, rules, f"{error.message} (`...` stands for what is left out)") from None
    evaluation = evaluate(nest, schedule, target)
    for fault in faults(nest, machine, rules, schedule):
        raise _none(nest, target, rules, fault)
    value = evaluation.value(objective)
    certificate = Certificate("optimal", value, value, floor_dram_words(nest, target), 1, 1, 0.0, relative_to(rules))
    return Best(nest, target, objective, schedule, evaluation, certificate)


def _none(nest: Nest, target: Target, rules: Rules, reason: str) -> ConstraintError:
    return ConstraintError(
        f"no schedule of {nest.name} on {target.name} was found that satisfies the constraints: {reason}",
        expected=f"a schedule with {relative_to(rules)}",
        remedy="loosen the constraints, or limit them to the nests that they are for with a line `nest NAME`",
    )


class _Climb:
    """Hill climbing among the schedules that satisfy the rules."""

    def __init__(
        self, nest: Nest, machine: Target, objective: str, rules: Rules, perfect: bool, deadline: float | None
    ) -> None:
        self.nest, self.machine, self.objective, self.rules = nest, machine, objective, rules
        self.perfect, self.deadline = perfect, deadline
        self.costed = without_windows(machine) if perfect else machine
        self.seen: set[Schedule] = set()

    def best(self, relaxed: Best) -> Best:
        """The best that is found; no schedule that satisfies the rules is better than ``relaxed``."""
        reached = [self.climb(*start) for start in self.starts(relaxed.schedule)]
        if not reached:
            fault = next(faults(self.nest, self.machine, self.rules, relaxed.schedule))
            raise _none(self.nest, self.machine, self.rules, fault)
        schedule, evaluation = min(reached, key=lambda found: found[1].value(self.objective))
        value, bound = evaluation.value(self.objective), relaxed.certificate.lower_bound
        certificate = replace(
            relaxed.certificate,
            status="optimal" if value == bound else "bounded",
            value=value,
            expanded=relaxed.certificate.expanded + len(self.seen),
        )
        return replace(relaxed, schedule=schedule, evaluation=evaluation, certificate=certificate)

    def cost(self, schedule: Schedule) -> Evaluation | None:
        """The cost of a schedule that is legal and satisfies the rules; None of any other."""
        if not satisfies(self.nest, self.machine, self.rules, schedule):
            return None
        if self.perfect and not divides(self.nest, schedule):
            return None
        found = try_schedule(self.nest, schedule, self.costed)
        return None if isinstance(found, list) else found

    def starts(self, relaxed: Schedule) -> Iterator[tuple[Schedule, Evaluation]]:
        parts = [part for rule in self.rules if isinstance(rule, Dataflow) for part in DATAFLOWS[rule.name]]
        moved = relaxed
        for part in parts:
            moved = moved_inside(self.nest, self.machine, part, moved)
        completed = [complete(self.nest, self.machine, r.items) for r in self.rules if isinstance(r, Pattern)]
        for schedule in dict.fromkeys([moved, *smallest(self.nest, self.machine, parts), *completed]):
            if _is_well_formed(self.nest, schedule) and (evaluation := self.cost(schedule)) is not None:
                yield schedule, evaluation

    def climb(self, schedule: Schedule, evaluation: Evaluation) -> tuple[Schedule, Evaluation]:
        """The first local optimum, or what the budget allows."""
        improved = True
        while improved:
            improved = False
            for candidate in changes(self.nest, self.machine, schedule):
                if candidate in self.seen:
                    continue
                if len(self.seen) >= BUDGET or late(self.deadline):
                    return schedule, evaluation
                self.seen.add(candidate)
                found = self.cost(candidate)
                if found is not None and found.value(self.objective) < evaluation.value(self.objective):
                    schedule, evaluation, improved = candidate, found, True
                    break
        return schedule, evaluation


def _is_well_formed(nest: Nest, schedule: Schedule) -> bool:
    try:
        verify_schedule(nest, schedule)
    except VerifyError:
        return False
    return True


def changes(nest: Nest, target: Target, schedule: Schedule) -> Iterator[Schedule]:
    """Schedules a change away: counts doubled or halved, loops added, marks moved, and the neighbours of ``polish``."""
    for position, loop, extent in schedule.loops(nest):
        count = trips(extent, loop.step)
        for other in (2 * count, count // 2):
            if 1 <= other <= nest.bounds[loop.dim]:
                yield with_count(nest, schedule, position, other)
    yield from _new_loops(nest, target, schedule)
    yield from neighbours(nest, target, schedule)
    items = schedule.items
    for i in range(len(items) - 1):
        if isinstance(items[i], Keep) != isinstance(items[i + 1], Keep):
            yield Schedule((*items[:i], items[i + 1], items[i], *items[i + 2 :]))


def _new_loops(nest: Nest, target: Target, schedule: Schedule) -> Iterator[Schedule]:
    """A loop of two trips behind a mark, or on an axis."""
    items = schedule.items
    slots = [i + 1 for i, item in enumerate(items) if isinstance(item, Keep)]
    for dim, bound in nest.bounds.items():
        for at in slots if bound > 1 else ():
            yield _added(nest, schedule, at, For(dim, 1))
    for level, axis in target.axes():
        name = target.levels[level].name
        spots = [i for i, item in enumerate(items) if isinstance(item, Par) and item.level == name][:1] or slots
        used = {i.dim for i in items if isinstance(i, Par) and (i.level, i.axis) == (name, axis.name)}
        for dim, bound in nest.bounds.items():
            if bound > 1 and dim not in used and (axis.unroll is None or nest.roles[dim] in axis.unroll):
                for at in spots:
                    yield _added(nest, schedule, at, Par(dim, 1, name, axis.name))


def _added(nest: Nest, schedule: Schedule, at: int, loop: For | Par) -> Schedule:
    """The schedule with a loop of two trips more; the outermost loop of the dim has half as many."""
    extent = nest.bounds[loop.dim]
    for position, other, _ in schedule.loops(nest):
        if position < at and other.dim == loop.dim:
            extent = other.step
    items = (*schedule.items[:at], replace(loop, step=extent), *schedule.items[at:])
    return with_count(nest, Schedule(items), at, 2)


def moved_inside(nest: Nest, target: Target, part: Part, schedule: Schedule) -> Schedule:
    """The schedule with the loops that may not stand outside the residence of an operand, inside it.

    Marks of other operands that stood outside move along: their tiles become no larger.
    """
    if not isinstance(part, (Stationary, Inside)):
        return schedule
    dims = {dim for dim, role in nest.roles.items() if role == part.role} if isinstance(part, Inside) else set()
    if isinstance(part, Stationary):
        dims = set(nest.bounds) - nest.operands[part.operand].dims
    level = target.levels[innermost(target, part.operand)].name
    mark = next((i for i, at in schedule.keeps(part.operand) if at == level), None)
    if mark is None:
        return schedule
    counts = {position: trips(extent, loop.step) for position, loop, extent in schedule.loops(nest)}
    outside, inside = range(mark), range(mark + 1, len(schedule.items))
    moving = [i for i in outside if _moves(schedule.items[i], part.operand, dims)]
    order = [*(i for i in outside if i not in moving), mark, *moving, *inside]
    return with_counts(nest, [(schedule.items[i], counts.get(i, 1)) for i in order])


def _moves(item: Item, operand: str, dims: set[str]) -> bool:
    if isinstance(item, Keep):
        return item.operand != operand
    return isinstance(item, For) and item.dim in dims


def with_counts(nest: Nest, loops: Sequence[tuple[Item, int]]) -> Schedule:
    """Items with loops of so many trips; the outermost loop of a dim has as many as it takes."""
    tile = dict.fromkeys(nest.bounds, 1)
    items: list[Item] = []
    for item, count in reversed(loops):
        if isinstance(item, Keep):
            items.append(item)
        else:
            items.append(replace(item, step=min(tile[item.dim], nest.bounds[item.dim])))
            tile[item.dim] *= count
    return Schedule(tuple(reversed(items)))


def smallest(nest: Nest, target: Target, parts: Iterable[Part]) -> Iterator[Schedule]:
    """For each operand that stays: tiles of one word, but for what the dataflow wants inside or unrolled."""
    parts = list(parts)
    space = {dim for part in parts if isinstance(part, InSpace) for dim in nest.bounds if nest.roles[dim] == part.role}
    pars = [par for dim in nest.bounds if dim in space and nest.bounds[dim] > 1 for par in _fits(nest, target, dim)[:1]]
    for operand in dict.fromkeys(part.operand for part in parts if isinstance(part, (Stationary, Inside))):
        inside = {dim for part in parts for dim in nest.bounds if _inside(nest, part, operand, dim)}
        loops = [For(dim, 1) for dim, bound in nest.bounds.items() if bound > 1 and dim not in space]
        marks = [Keep(o, level.name) for level in target.levels[1:] for o in nest.operands if level.keeps(o)]
        yield Schedule(
            (
                *(loop for loop in loops if loop.dim not in inside),
                *pars,
                *(mark for mark in marks if mark.operand == operand),
                *(loop for loop in loops if loop.dim in inside),
                *(mark for mark in marks if mark.operand != operand),
            )
        )


def _inside(nest: Nest, part: Part, operand: str, dim: str) -> bool:
    if isinstance(part, Stationary) and part.operand == operand:
        return dim not in nest.operands[operand].dims
    return isinstance(part, Inside) and part.operand == operand and nest.roles[dim] == part.role


def _fits(nest: Nest, target: Target, dim: str) -> list[Par]:
    """The axes on which the whole dim can be unrolled."""
    return [
        Par(dim, 1, target.levels[level].name, axis.name)
        for level, axis in target.axes()
        if axis.size >= nest.bounds[dim]
        and (axis.unroll is None or nest.roles[dim] in axis.unroll)
        and (axis.reduce or dim not in nest.reduction_dims)
    ]


def complete(nest: Nest, target: Target, items: Sequence[Item]) -> Schedule:
    """The items of a pattern as a schedule: what is missing follows, in tiles of one word."""
    marked = {(item.operand, item.level) for item in items if isinstance(item, Keep)}
    inner = dict.fromkeys(nest.bounds, 1)
    done: list[Item] = []
    for item in reversed(items):
        if not isinstance(item, Keep) and item.dim in inner:
            item = replace(item, step=item.step or inner[item.dim])
            inner[item.dim] = item.step
        done.append(item)
    last = {item.dim: item.step for item in items if not isinstance(item, Keep) and item.step}
    loops = [For(dim, 1) for dim, bound in nest.bounds.items() if last.get(dim, bound) > 1]
    marks = [Keep(o, level.name) for level in target.levels[1:] for o in nest.operands if level.keeps(o)]
    rest = [mark for mark in marks if (mark.operand, mark.level) not in marked]
    return Schedule((*reversed(done), *loops, *rest))
