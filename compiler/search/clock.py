"""Time limits. A deadline is a time of ``time.perf_counter``; None: there is none."""

from __future__ import annotations

import time
from math import inf

RESERVE = 0.015
"""Seconds that the kernel leaves before a deadline: for the descent that it answers with if it found nothing better."""


def late(deadline: float | None) -> bool:
    """Whether the deadline has passed."""
    return left(deadline) < 0


def share(deadline: float | None, parts: int) -> float | None:
    """The end of the first of so many equal parts of the time left."""
    if deadline is None:
        return None
    now = time.perf_counter()
    return now + max(0.0, deadline - now) / parts


def left(deadline: float | None) -> float:
    """The seconds until the deadline."""
    return inf if deadline is None else deadline - time.perf_counter()


def utc(deadline: float | None) -> float:
    """What the kernel is told: seconds of ``time.time``, or 0."""
    return 0.0 if deadline is None else time.time() + deadline - time.perf_counter() - RESERVE
