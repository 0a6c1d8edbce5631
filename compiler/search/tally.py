"""What the rules of the search discard, counted over everything that one question takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

RULES = ("alike", "capacity", "bound", "dominance", "boxes")
"""Why the kernel looks no further: `docs/report.md` says what they mean."""

_open: ContextVar[Counter[str] | None] = ContextVar("open", default=None)


@contextmanager
def tally() -> Iterator[Counter[str]]:
    """By rule, what is counted meanwhile."""
    found: Counter[str] = Counter()
    token = _open.set(found)
    try:
        yield found
    finally:
        _open.reset(token)


def discard(counts: Mapping[str, int]) -> None:
    """Counts what rules have discarded."""
    found = _open.get()
    if found is not None:
        found.update(counts)
