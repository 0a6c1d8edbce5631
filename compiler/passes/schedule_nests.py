"""The pass that gives every nest its schedule. Equal nests are solved once, in one process or in several."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Literal

from effc.compiler.errors import InputError
from effc.compiler.passes.base import Pass
from effc.compiler.passes.registry import register_pass
from effc.compiler.target.model import Target
from effc.ir.graph import Graph, NestOp, Op
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

if TYPE_CHECKING:
    from effc.compiler.search.result import Best

Objective = Literal["energy", "latency", "edp", "dram"]
Progress = Callable[[str, int, int], None]
"""Called with the name of a nest, how many are done, and how many there are."""


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

    def run(self, graph: Graph) -> Graph:
        solved = self.solve(graph)
        for name, reason in solved.refused.items():
            raise InputError(reason, place=f"nest {name}")
        return solved.graph

    def solve(self, graph: Graph, progress: Progress | None = None) -> Solved:
        """The schedules, and the nests that the target cannot hold."""
        results: dict[str, Best] = {}
        refused: dict[str, str] = {}
        for name, answer in self.each([op.nest for op in graph.nests if op.schedule is None], progress):
            if isinstance(answer, InputError):
                refused[name] = answer.message
            else:
                results[name] = answer
        for op in graph.nests:
            if op.schedule is not None:
                results[op.name] = given(op.nest, op.schedule, self.target, self.objective)
        return Solved(graph.with_ops(tuple(_scheduled(op, results) for op in graph.ops)), results, refused)

    def each(self, nests: list[Nest], progress: Progress | None = None) -> Iterator[tuple[str, Best | InputError]]:
        """What the search says of each nest, in their order; equal ones are searched once."""
        first = {_nameless(nest): nest for nest in reversed(nests)}
        distinct = [nest for nest in nests if first[_nameless(nest)] is nest]
        answers: dict[Nest, Best | InputError] = {}
        found = self._searched(distinct, progress)
        for nest in nests:
            key = _nameless(nest)
            if key not in answers:
                answers[key] = next(found)
            answer = answers[key]
            if isinstance(answer, InputError):
                yield nest.name, _renamed(answer, first[key].name, nest.name)
            else:
                yield nest.name, replace(answer, nest=nest)

    def _searched(self, nests: list[Nest], progress: Progress | None) -> Iterator[Best | InputError]:
        """What the search says of each nest, here or in other processes."""
        jobs = min(self.jobs, len(nests))
        limit = None if self.time_limit is None else self.time_limit * jobs / max(1, len(nests))
        task = partial(
            _search, target=self.target, objective=self.objective, perfect=self.perfect_factors, time_limit=limit
        )
        with _mapper(jobs) as mapped:
            for done, (nest, answer) in enumerate(zip(nests, mapped(task, nests)), 1):
                if progress is not None:
                    progress(nest.name, done, len(nests))
                yield answer


def given(nest: Nest, schedule: Schedule, target: Target, objective: str) -> Best:
    """A schedule that someone else found, costed as it is."""
    from effc.compiler.cost import evaluate
    from effc.compiler.search.bounds import floor_dram_words, lower_bound
    from effc.compiler.search.result import Best, Certificate

    evaluation = evaluate(nest, schedule, target)
    value, bound = evaluation.value(objective), lower_bound(nest, target, objective)
    status: Literal["optimal", "bounded"] = "optimal" if value == bound else "bounded"
    certificate = Certificate(status, value, bound, floor_dram_words(nest), None, 1, 0.0)
    return Best(nest, target, objective, schedule, evaluation, certificate)


def _renamed(error: InputError, old: str, new: str) -> InputError:
    """The refusal of a nest, told of another one that is equal."""
    return InputError(error.message.replace(old, new), error.place, error.expected, error.remedy)


def _nameless(nest: Nest) -> Nest:
    return replace(nest, name="")


def _scheduled(op: Op, results: Mapping[str, Best]) -> Op:
    if isinstance(op, NestOp) and op.name in results:
        return replace(op, schedule=results[op.name].schedule)
    return op


def _search(nest: Nest, target: Target, objective: str, perfect: bool, time_limit: float | None) -> Best | InputError:
    from effc.compiler.search import search

    try:
        return search(nest, target, objective, perfect_factors=perfect, time_limit=time_limit)
    except InputError as refusal:
        return refusal


_Mapper = Callable[[Callable[[Nest], "Best | InputError"], list[Nest]], "Iterator[Best | InputError]"]


@contextmanager
def _mapper(jobs: int) -> Iterator[_Mapper]:
    """``map`` over processes, which end with the block, whatever ends it; in this process for one job."""
    if jobs <= 1:
        yield map
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))

    def mapped(task: Callable[[Nest], Best | InputError], nests: list[Nest]) -> Iterator[Best | InputError]:
        with _uninterrupted():
            return pool.map(task, nests)

    try:
        yield mapped
    except BrokenProcessPool:
        raise InputError(
            "the processes of the search do not start, or were killed",
            expected="a script that may be imported, and enough memory",
            remedy='put the call under `if __name__ == "__main__":`, or ask for one job',
        ) from None
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that are started here ignore Ctrl-C from their birth: this one ends them."""
    if current_thread() is not main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
