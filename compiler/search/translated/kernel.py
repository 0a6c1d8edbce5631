"""The kernel without a compiler: its sources in C, translated into Python when they are first needed."""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from effc.compiler.search.translated.module import load, sources

Loops = list[tuple[int, int, int, int]]
Asked = Callable[[int, list[int], Loops, float, float], float]

SOURCE = Path(__file__).parents[1] / "kernel" / "search.h"
DEPTH = 20_000
"""Calls within calls that a search may take."""


class Kernel:
    """``macros``: those that are defined beforehand, with their values."""

    def __init__(self, macros: Mapping[str, str] | None = None) -> None:
        host = {"now": time.time, "interrupted": lambda: 0, "ask": ask}
        self.names = load(sources(SOURCE, macros), host)

    def solve(
        self, problem: bytes, most: float, budget: int, deadline: float, judge: Asked | None = None
    ) -> tuple[bool, float, float, int, list[int], Loops, dict[str, int]]:
        """What `solve` in `_kernel.c` does."""
        s = self.names["S"].zero_()
        s.judge = judge
        with deep():
            self.names["search"](s, array("q", problem).tolist(), float(most), budget, float(deadline))
            return self.result(s)

    def result(self, s: Any) -> tuple[bool, float, float, int, list[int], Loops, dict[str, int]]:
        rules = {"alike": "ALIKE", "capacity": "LARGE", "bound": "COSTLY", "dominance": "DOMINATED", "boxes": "EMPTY"}
        statistics = {"nodes": s.nodes + s.pairs}
        statistics |= {rule: s.discarded[self.names[name]] for rule, name in rules.items()}
        statistics["stopped"] = int(s.stopped | s.partial)
        if not s.found:
            return False, s.best, s.lower, 0, [], [], statistics
        answer = self.names["Answer"].blank_()
        self.names["write_answer"](s, answer)
        return True, s.best, s.lower, answer.setting, marks_of(answer), loops_of(answer), statistics


def ask(s: Any, answer: Any, energy: float, cycles: float) -> float:
    return float(s.judge(answer.setting, marks_of(answer), loops_of(answer), energy, cycles))


def marks_of(answer: Any) -> list[int]:
    return [int(mark) for mark in answer.mark[: answer.nmarks]]


def loops_of(answer: Any) -> Loops:
    return [(x.dim, int(x.in_time), x.at, x.trips) for x in answer.loop[: answer.nloops]]


@contextmanager
def deep() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@cache
def kernel() -> Kernel:
    return Kernel()
