"""``effc replay``: mappings that another tool made, counted again."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from effc.compiler.cli_output import check_outputs, owns_stdout, write_json
from effc.compiler.cli_tables import print_rows
from effc.compiler.errors import InputError
from effc.compiler.report.text import clean

if TYPE_CHECKING:
    from effc.compiler.replay import Case, Replayed


def replay(arguments: Namespace) -> int:
    """Count the cases of a file."""
    from effc.compiler.replay import load_cases, to_json
    from effc.compiler.replay import replay as count

    check_outputs(arguments, "json")
    if arguments.steps != "auto" and arguments.convention != "timeloop":
        message, remedy = f"--steps {arguments.steps} without Timeloop's convention", "add --convention timeloop"
        raise InputError(message, "effc replay", "--steps auto", remedy)
    cases = load_cases(Path(arguments.cases))
    results = [count(case, arguments.convention, arguments.steps) for case in cases]
    write_json(arguments.json, to_json(cases, results))
    if not owns_stdout(arguments, "json"):
        _print_costs(results)
        print()
        _print_words(cases, results)
    return 0


def _print_costs(results: Iterable[Replayed]) -> None:
    from effc.compiler.replay import number

    rows = [
        (clean(result.name), f"{result.macs:,}", f"{result.cycles:,}", f"{number(result.energy):,}")
        for result in results
    ]
    _print_right(("case", "MACs", "cycles", "energy"), rows, 1)


def _print_words(cases: Iterable[Case], results: Iterable[Replayed]) -> None:
    from effc.compiler.replay import to_json

    rows = []
    for name, found in to_json(cases, results)["cases"].items():
        for level, tensors in found["levels"].items():
            for tensor, words in tensors.items():
                rows.append((clean(name), clean(level), tensor, *(f"{count:,}" for count in words.values())))
    _print_right(("case", "level", "tensor", "reads", "fills", "updates"), rows, 3)


def _print_right(heads: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> None:
    """Rows of so many names, then numbers, which stand at the right of their columns."""
    table = [tuple(heads), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table)]
    heads, *rows = [
        (*row[:names], *(cell.rjust(width) for cell, width in zip(row[names:], widths[names:]))) for row in table
    ]
    print_rows(heads, rows)
