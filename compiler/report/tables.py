"""The report in a terminal: as much of every table as its width takes, most important columns last to go."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from effc.compiler.report import text
from effc.compiler.report.columns import Column, Table
from effc.compiler.report.model import Report
from effc.compiler.report.rows import tables, title

PLAIN_WIDTH = 132
"""Columns that are used where the output is no terminal."""

_NAME_WIDTHS = (40, 24, 14)
"""What a column of names is cut to, as room gets scarce."""

_PERCENT = 7
"""The columns of a percentage before its bar."""

_BAR_WIDTHS = (24, 8, 0)
"""The columns of a bar of 100%, likewise."""


def console_for(stream: TextIO | None = None) -> Console:
    """A console on ``stream``, plain if that is no terminal; as wide as COLUMNS, the terminal or ``PLAIN_WIDTH``."""
    stream = stream or sys.stdout
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) > 0 else None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_report(report: Report, console: Console | None = None, verified: Sequence[str] = ()) -> None:
    """Print every table; ``verified``: what a run of the program showed, line by line."""
    console = console or console_for()
    console.file.write(report_text(report, console, verified))


def report_text(report: Report, console: Console | None = None, verified: Sequence[str] = ()) -> str:
    """What ``print_report`` prints."""
    console = console or console_for()
    with console.capture() as capture:
        console.print(Text(title(report), "bold"), soft_wrap=True)
        for table in tables(report):
            print_table(table, console)
        for line in (*seconds(report), *verified):
            console.print(Text(text.clean(line)))
    printed = "".join(line.rstrip() + "\n" for line in capture.get().split("\n")[:-1])
    return printed.encode(console.encoding, "replace").decode(console.encoding)


def seconds(report: Report) -> list[str]:
    """How long it took, where that is known."""
    totals = report.totals
    named = (("search", totals.search_s), ("compile", totals.compile_s))
    known = [f"{name} {value:.1f} s" for name, value in named if value is not None]
    return [", ".join(known)] if known else []


@dataclass(frozen=True, slots=True)
class Fit:
    """What of a table is printed: its columns, the widths of names and bars, the space between columns."""

    columns: tuple[int, ...]
    name: int
    bar: int
    gap: int

    def width(self, table: Table) -> int:
        """The columns of a terminal that this takes if nothing wraps."""
        return self.gap * (len(self.columns) - 1) + sum(self.width_of(table, i) for i in self.columns)

    def width_of(self, table: Table, i: int) -> int:
        """The same for one of its columns."""
        column = table.columns[i]
        if column.kind == "bar":
            return max(_PERCENT + self.bar, len(column.head))
        cells = [row[i] for row in (*table.rows, *((table.total,) if table.total else ()))]
        widest = max(map(len, cells), default=0)
        return max(min(widest, self.name) if column.kind == "name" else widest, len(column.head))


def print_table(table: Table, console: Console) -> None:
    """Print a table in the width of the console."""
    fit = fitted(table, console.width)
    rich_table = RichTable(
        box=box.SIMPLE, show_edge=False, padding=(0, fit.gap - 1, 0, 0), pad_edge=False, show_footer=bool(table.total)
    )
    for i in fit.columns:
        add_column(rich_table, table.columns[i], table.total[i] if table.total else "")
    block = "█" if console.encoding.lower().startswith("utf") else "#"
    for row in table.rows:
        rich_table.add_row(*(cell(row[i], table.columns[i], fit, block) for i in fit.columns))
    console.print()
    console.print(Text(table.title, "bold"))
    console.print(rich_table)
    for note in table.notes:
        console.print(Text(note, "dim"))


def add_column(rich_table: RichTable, column: Column, total: str) -> None:
    """A column of a table; text that cannot be dropped wraps."""
    wraps = column.kind == "text" and not column.drop
    rich_table.add_column(
        Text(column.head),
        Text(total, "bold"),
        justify="right" if column.kind == "number" else "left",
        no_wrap=not wraps,
        overflow="fold" if wraps else "ellipsis",
    )


def fitted(table: Table, width: int) -> Fit:
    """The most of a table that ``width`` takes; the least that there is of it, where even that is too much."""
    columns = tuple(range(len(table.columns)))
    while True:
        for name, bar, gap in product(_NAME_WIDTHS, _BAR_WIDTHS, (2, 1)):
            fit = Fit(columns, name, bar, gap)
            if fit.width(table) <= width:
                return fit
        droppable = [i for i in columns if table.columns[i].drop]
        if not droppable:
            return fit
        last = max(droppable, key=lambda i: (table.columns[i].drop, i))
        columns = tuple(i for i in columns if i != last)


def cell(value: str, column: Column, fit: Fit, block: str) -> Text:
    """One cell, with its name cut or its bar drawn."""
    if column.kind == "name":
        return Text(text.tail(value, fit.name))
    if column.kind == "bar":
        length = round(float(value.rstrip("%")) / 100 * fit.bar)
        return Text(f"{value:>{_PERCENT - 1}} ").append(block * length, "cyan")
    return Text(value, style_of(column, value))


def style_of(column: Column, value: str) -> str:
    """Colour where it says something."""
    if column.head == "gap":
        return "green" if value == "optimal" else ""
    return {"host": "yellow", "vector": "magenta"}.get(value, "")
