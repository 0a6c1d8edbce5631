"""A table of text, before anything is known of where it is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head, its kind, and when a narrow terminal drops it (highest first; 0: never).

    ``kind``: ``name`` is cut from the left if it must be, ``bar`` holds a percentage to be drawn.
    """

    head: str
    kind: Literal["text", "name", "number", "bar"] = "number"
    drop: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; ``total`` is its last row, set apart; ``notes`` explain it, line by line."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
