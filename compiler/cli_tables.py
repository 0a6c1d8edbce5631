"""Tables that commands print, apart from those of reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effc.backends.accel import Timing
    from effc.compiler.comparison import Check
    from effc.compiler.verify import Verification


def print_rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Text in columns, as wide as it needs to be; the last column runs on."""
    table = [tuple(heads), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def print_timings(timings: Mapping[str, Timing]) -> None:
    """The cycles of every layer, how much of them the array works, and what it waits for otherwise."""
    heads = ("layer", "cycles", "array", "bound by", "the array waits for")
    print()
    print_rows(heads, [_timing(name, timing) for name, timing in timings.items()])
    print(f"{sum(timing.cycles for timing in timings.values())} cycles")


def _timing(name: str, timing: Timing) -> tuple[str, ...]:
    waits = sorted(timing.stalls.items(), key=lambda item: -item[1])
    shares = [f"{reason} {ticks / timing.cycles:.0%}" for reason, ticks in waits if ticks >= timing.cycles / 100]
    return name, str(timing.cycles), f"{timing.utilization:.0%}", timing.bound_by, ", ".join(shares)


def print_verification(verification: Verification) -> None:
    """Every comparison, then the verdict."""
    print_rows(("layer", "op", "where", "error", "limit", "counters", ""), map(_row, verification.checks))
    print()
    for line in verification.lines():
        print(line)


def _row(check: Check) -> tuple[str, ...]:
    error = "" if check.error is None else f"{check.error:.1e}"
    limit = "" if check.limit is None else f"{check.limit:.0e}"
    counters = f"{check.counters} equal" if check.counters and check.ok else str(check.counters or "")
    return check.name, check.op, check.where, error, limit, counters, "equal" if check.ok else "DIFFERENT"
