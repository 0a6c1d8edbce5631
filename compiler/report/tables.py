"""The report in a terminal: as much of every table as its width takes, most important columns last to go."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from effc.compiler.report import text
from effc.compiler.report.model import Report
from effc.compiler.report.rows import Column, Table, tables, title

PLAIN_WIDTH = 132
"""Columns that are used where the output is no terminal."""

_NAME_WIDTHS = (40, 24, 14)
"""What a column of names is cut to, as room gets scarce."""

_BAR_WIDTH = 24


def console_for(stream: TextIO | None = None) -> Console:
    """A console on ``stream``, plain if that is no terminal; as wide as COLUMNS, the terminal or ``PLAIN_WIDTH``."""
    stream = stream or sys.stdout
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) > 0 else None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_report(report: Report, console: Console | None = None, verified: Sequence[str] = ()) -> None:
    """Print every table; ``verified``: what a run of the program showed, line by line."""
    console = console or console_for()
    with console.capture() as capture:
        console.print(Text(title(report), "bold"), soft_wrap=True)
        for table in tables(report):
            print_table(table, console)
        for line in (*seconds(report), *verified):
            console.print(Text(text.clean(line)))
    printed = "".join(line.rstrip() + "\n" for line in capture.get().split("\n")[:-1])
    console.file.write(printed.encode(console.encoding, "replace").decode(console.encoding))


def seconds(report: Report) -> list[str]:
    """How long it took, where that is known."""
    totals = report.totals
    named = (("search", totals.search_s), ("compile", totals.compile_s))
    known = [f"{name} {value:.1f} s" for name, value in named if value is not None]
    return [", ".join(known)] if known else []


def print_table(table: Table, console: Console) -> None:
    """Print a table in the width of the console."""
    bar_room = _BAR_WIDTH if console.width >= 100 else _BAR_WIDTH // 3
    shown, name_width, gap = fit(table, console.width, bar_room)
    rich_table = RichTable(
        box=box.SIMPLE, show_edge=False, padding=(0, gap - 1, 0, 0), pad_edge=False, show_footer=bool(table.total)
    )
    for i in shown:
        add_column(rich_table, table.columns[i], table.total[i] if table.total else "")
    for row in table.rows:
        rich_table.add_row(*(cell(row[i], table.columns[i], name_width, bar_room, console) for i in shown))
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


def fit(table: Table, width: int, bar_room: int) -> tuple[list[int], int, int]:
    """The columns that fit in ``width``, the width of names, and the space between columns."""
    shown = list(range(len(table.columns)))
    while True:
        for name_width in _NAME_WIDTHS:
            for gap in (2, 1):
                if natural_width(table, shown, name_width, gap, bar_room) <= width:
                    return shown, name_width, gap
        droppable = [i for i in shown if table.columns[i].drop]
        if not droppable:
            return shown, _NAME_WIDTHS[-1], 1
        shown.remove(max(droppable, key=lambda i: (table.columns[i].drop, i)))


def natural_width(table: Table, shown: Sequence[int], name_width: int, gap: int, bar_room: int) -> int:
    """The columns of a terminal that a table needs if nothing wraps, except text that can."""
    total = gap * (len(shown) - 1)
    for i in shown:
        column = table.columns[i]
        cells = [len(row[i]) for row in (*table.rows, *((table.total,) if table.total else ()))]
        widest = max([len(column.head), *cells])
        limit = {"name": name_width, "bar": widest + bar_room}.get(column.kind, widest)
        total += min(widest, limit) if column.kind != "bar" else limit
    return total


def cell(value: str, column: Column, name_width: int, bar_room: int, console: Console) -> Text:
    """One cell, with its name cut or its bar drawn."""
    if column.kind == "name":
        return Text(text.tail(value, name_width))
    if column.kind == "bar":
        block = "█" if console.encoding.lower().startswith("utf") else "#"
        return Text(f"{value:>6} ").append(block * round(float(value.rstrip("%")) / 100 * (bar_room - 1)), "cyan")
    return Text(value, style_of(column, value))


def style_of(column: Column, value: str) -> str:
    """Colour where it says something."""
    if column.head == "gap":
        return "green" if value == "optimal" else ""
    return {"host": "yellow", "vector": "magenta"}.get(value, "")
