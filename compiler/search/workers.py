"""Many tasks: what is on disk is not searched again, the rest is, in this process or in several.

Answers come in the order of the tasks, and do not depend on how many processes there are. Each is kept on disk as soon
as it is known, whatever happens to the others.
"""

from __future__ import annotations

import gc
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.queues import SimpleQueue
from threading import Thread

from effc.compiler.errors import KernelWarning
from effc.compiler.interrupts import ignored
from effc.compiler.search.cache import Cache
from effc.compiler.search.result import Best
from effc.compiler.search.task import Task
from effc.ir.errors import InputError

Answer = Best | InputError
"""The best schedule of a task, or why there is none."""

Improved = Callable[[int, Best], None]
"""Called with the number of a task and the best schedule of it that is known so far."""

TICK = 0.1
"""Seconds between two looks at what the processes have found."""


def solve_all(
    tasks: Sequence[Task],
    *,
    jobs: int = 1,
    time_limit: float | None = None,
    cache: Cache | None = None,
    improved: Improved | None = None,
) -> Iterator[Answer]:
    """The answer to each task; ``time_limit`` is in seconds, for all of them together."""
    limited, tell = time_limit is not None, improved or (lambda number, best: None)
    known: dict[int, Answer] = {}
    for number, task in enumerate(tasks):
        if cache is not None and (best := cache.find(task, limited)) is not None:
            known[number] = best
            tell(number, best)
    open_ = [number for number in range(len(tasks)) if number not in known]
    jobs = max(1, min(jobs, len(open_)))
    search = _here if jobs == 1 else partial(_elsewhere, jobs=jobs)
    found = search(tasks, open_, time_limit, improved)
    for number in range(len(tasks)):
        while number not in known:
            done, answer = next(found)
            known[done] = answer
            if isinstance(answer, Best):
                tell(done, answer)
                if cache is not None:
                    cache.keep(tasks[done], answer, limited)
        yield known[number]


def solve(task: Task, time_limit: float | None, improved: Callable[[Best], None] | None = None) -> Answer:
    """The answer to one task."""
    from effc.compiler.search import search
    from effc.compiler.search.constrained import ConstraintError
    from effc.compiler.search.kernels import StaleKernelError

    try:
        return search(
            task.nest,
            task.target,
            task.objective,
            perfect_factors=task.perfect_factors,
            **({"constraints": task.constraints} if task.constraints else {}),
            time_limit=time_limit,
            progress=improved,
        )
    except (ConstraintError, StaleKernelError):
        raise
    except InputError as refusal:
        return refusal


def _here(
    tasks: Sequence[Task], numbers: Sequence[int], time_limit: float | None, improved: Improved | None
) -> Iterator[tuple[int, Answer]]:
    """Answers in order; each task may take an equal share of the time that is left."""
    end = None if time_limit is None else time.perf_counter() + time_limit
    for done, number in enumerate(numbers):
        share = None if end is None else max(0.0, end - time.perf_counter()) / (len(numbers) - done)
        yield number, solve(tasks[number], share, None if improved is None else partial(improved, number))


def _elsewhere(
    tasks: Sequence[Task], numbers: Sequence[int], time_limit: float | None, improved: Improved | None, jobs: int
) -> Iterator[tuple[int, Answer]]:
    """Answers as processes find them, the largest nests first. The processes end with this, whatever ends it."""
    from effc.compiler.search.kernels import warn_if_slow

    tell = improved or (lambda number, best: None)
    share = None if time_limit is None else time_limit * jobs / len(numbers)
    context = get_context("spawn")
    warn_if_slow()
    news: SimpleQueue[tuple[int, Best]] = context.SimpleQueue()
    pool = ProcessPoolExecutor(jobs, context, _begin, (news,))
    try:
        with ignored():
            largest = sorted(numbers, key=lambda number: -tasks[number].nest.macs)
            futures = {pool.submit(_work, number, tasks[number], share): number for number in largest}
        while futures:
            for future in _completed(futures, news, tell):
                yield futures.pop(future), future.result()
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


def _completed(
    futures: dict[Future[Answer], int], news: SimpleQueue[tuple[int, Best]], tell: Improved
) -> set[Future[Answer]]:
    """The futures that are done, after all news that came before."""
    done = wait(futures, TICK, FIRST_COMPLETED).done
    while not news.empty():
        tell(*news.get())
    return done


_news: SimpleQueue[tuple[int, Best]]


def _begin(news: SimpleQueue[tuple[int, Best]]) -> None:
    """Prepare a process: it ignores Ctrl-C, which its parent obeys, and ends with its parent, however that ends."""
    global _news
    _news = news
    gc.freeze()  # what is imported stays
    warnings.simplefilter("ignore", KernelWarning)  # its parent has said so
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(number: int, task: Task, time_limit: float | None) -> Answer:
    return solve(task, time_limit, lambda best: _news.put((number, best)))
