"""The pass that gives every nest its schedule. Equal nests are solved once, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from effc.compiler.errors import InputError
from effc.compiler.passes.base import Pass
from effc.compiler.passes.registry import register_pass
from effc.compiler.target.model import Target
from effc.compiler.target.widths import WORDS, Widths
from effc.ir.bodies import every_nest, everywhere
from effc.ir.graph import Graph, NestOp, Op
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

if TYPE_CHECKING:
    from effc.compiler.search.cache import Cache
    from effc.compiler.search.result import Best
    from effc.compiler.search.task import Task

Objective = Literal["energy", "latency", "edp", "dram", "pareto"]
Progress = Callable[[str, int, int], None]
"""Called with the name of a nest, how many are done, and how many there are."""


def nobody(*news: object) -> None:
    """Does not listen."""


@dataclass(frozen=True)
class Watch:
    """Who watches the search: ``done`` after each nest, ``improved`` with the best that is known of a nest so far."""

    done: Progress = nobody
    improved: Callable[[str, Best], None] = nobody


@dataclass(frozen=True)
class Solved:
    """A graph with the schedules found; ``refused`` has the reason why a nest has none, by its name."""

    graph: Graph
    results: Mapping[str, Best]
    refused: Mapping[str, str]


@register_pass
@dataclass(frozen=True)
class ScheduleNests(Pass):
    """Give every nest that has none the best schedule on the target.

    before   nest conv1 (K=64, ...) { read I[...] ... }
    after    nest conv1 (K=64, ...) { read I[...] ...   for K in 0..64 by 16 ... }
    """

    name = "schedule"
    target: Target
    objective: Objective = "energy"
    time_limit: float | None = None  # seconds for all nests together
    jobs: int = 1  # processes
    perfect_factors: bool = False  # only divisors, no sliding windows
    constraints: str = ""  # their text, as `docs/mapping.md` has it

    def run(self, graph: Graph) -> Graph:
        solved = self.solve(graph)
        for name, reason in solved.refused.items():
            raise InputError(reason, place=f"nest {name}")
        return solved.graph

    def solve(self, graph: Graph, watch: Watch | None = None, cache: Cache | None = None) -> Solved:
        """The schedules, and the nests that the target cannot hold."""
        results: dict[str, Best] = {}
        refused: dict[str, str] = {}
        nests = list(every_nest(graph))
        widths = {op.name: Widths.of_nest(op, around.tensors) for op, around in nests}
        for name, answer in self.each([op.nest for op, _ in nests if op.schedule is None], watch, cache, widths):
            if isinstance(answer, InputError):
                refused[name] = answer.message
            else:
                results[name] = answer
        for op, _ in nests:
            if op.schedule is not None:
                results[op.name] = given(op.nest, op.schedule, self.target.with_widths(widths[op.name]), self.objective)

        def scheduled(part: Graph) -> Graph:
            return part.with_ops(tuple(_scheduled(op, results) for op in part.ops))

        return Solved(everywhere(scheduled, graph), results, refused)

    def task(self, nest: Nest, widths: Widths = WORDS) -> Task:
        """What the search is asked of a nest whose elements have these widths."""
        from effc.compiler.search.constraint_text import parse_constraints
        from effc.compiler.search.task import Task

        rules = parse_constraints(self.constraints).of(nest.name) if self.constraints else ()
        return Task(nest, self.target.with_widths(widths), self.objective, self.perfect_factors, rules)

    def each(
        self,
        nests: list[Nest],
        watch: Watch | None = None,
        cache: Cache | None = None,
        widths: Mapping[str, Widths] = MappingProxyType({}),
    ) -> Iterator[tuple[str, Best | InputError]]:
        """What the search says of each nest, in their order; equal ones are searched once. ``widths``: by name."""
        from effc.compiler.search.workers import solve_all

        watch = watch or Watch()
        keys = [_nameless(self.task(nest, widths.get(nest.name, WORDS))) for nest in nests]
        alike: dict[Task, list[Nest]] = {}
        for key, nest in zip(keys, nests):
            alike.setdefault(key, []).append(nest)
        groups = list(alike.values())
        tasks = [replace(key, nest=group[0]) for key, group in alike.items()]

        def improved(number: int, best: Best) -> None:
            for nest in groups[number]:
                watch.improved(nest.name, replace(best, nest=nest))

        found = solve_all(tasks, jobs=self.jobs, time_limit=self.time_limit, cache=cache, improved=improved)
        answers: dict[Task, Best | InputError] = {}
        for key, nest in zip(keys, nests):
            if key not in answers:
                answers[key] = next(found)
                watch.done(nest.name, len(answers), len(groups))
            answer = answers[key]
            if isinstance(answer, InputError):
                yield nest.name, _renamed(answer, alike[key][0].name, nest.name)
            else:
                yield nest.name, replace(answer, nest=nest)


def given(nest: Nest, schedule: Schedule, target: Target, objective: str) -> Best:
    """A schedule that someone else found, costed as it is."""
    from effc.compiler.cost import evaluate
    from effc.compiler.search.bounds import lower_bound
    from effc.compiler.search.floor import dram_floor
    from effc.compiler.search.result import Best, Certificate, measure

    evaluation = evaluate(nest, schedule, target)
    value, bound = evaluation.value(measure(objective)), lower_bound(nest, target, measure(objective))
    status: Literal["optimal", "bounded"] = "optimal" if value == bound else "bounded"
    certificate = Certificate(status, value, bound, dram_floor(nest, target), None, 1, 0.0)
    return Best(nest, target, objective, schedule, evaluation, certificate)


def _renamed(error: InputError, old: str, new: str) -> InputError:
    """The refusal of a nest, told of another one that is equal."""
    return InputError(error.message.replace(old, new), error.place, error.expected, error.remedy)


def _nameless(task: Task) -> Task:
    return replace(task, nest=replace(task.nest, name=""))


def _scheduled(op: Op, results: Mapping[str, Best]) -> Op:
    if isinstance(op, NestOp) and op.name in results:
        return replace(op, schedule=results[op.name].schedule)
    return op
