"""Tiles of windows that are identical, so that instances share them."""

from __future__ import annotations

from math import prod

from effc.compiler.search.problem import Problem

MOST_POINTS = 1 << 14
"""Of a window of which identical tiles are counted."""

MOST_MARKS = 15
"""Besides that of the fan-out."""


def windowed_dims(problem: Problem) -> frozenset[str]:
    return frozenset(name for window in problem.windows for name in window.names)


def shared_tiles(problem: Problem) -> bool:
    """Whether instances may share identical tiles of windows."""
    coupled = {dim for window in problem.windows if len(window.dims) > 1 for dim in window.names}
    return any(u.multicast == "tiles" and u.size > 1 and u.dims & coupled for u in problem.unrolls)


def sharing_fanout(problem: Problem) -> int | None:
    """The level of the fan-out whose instances share them, if the kernel can count what they share.

    It has to be the only one over which windows are spread, on axes that are all alike.
    """
    large = any(prod(bound for _, _, bound in window.dims) > MOST_POINTS for window in problem.windows)
    if not shared_tiles(problem) or large or _marks(problem) > MOST_MARKS:
        return None
    spread = [u for u in problem.unrolls if u.size > 1 and u.dims & windowed_dims(problem)]
    alike = all((u.level, u.multicast) == (spread[0].level, "tiles") for u in spread)
    return spread[0].level if alike else None


def _marks(problem: Problem) -> int:
    return sum(level.bank(name) is not None for level in problem.target.levels[1:] for name in problem.nest.operands)
