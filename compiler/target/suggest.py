"""Words for errors: lists of what could stand somewhere, and the nearest known word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def either(words: Iterable[str]) -> str:
    """``a, b or c``."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def did_you_mean(word: str, known: Iterable[str], nearness: float = 0.6) -> str:
    """A remedy that names the known word nearest to ``word``; empty if none is near."""
    by_lower = {k.lower(): k for k in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=nearness)
    return f"did you mean '{by_lower[near[0]]}'?" if near else ""
