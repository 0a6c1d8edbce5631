"""What a layer moves and does: predicted by the cost model, counted by the stepper and the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

EPILOGUE_NAME = "E"
"""What the words that epilogues read are counted as, beside the operands of nests; ``I`` shares its memory."""


@dataclass
class Counters:
    """Words moved and work done."""

    reads: dict[tuple[str, str], int] = field(default_factory=dict)  # (level, operand) -> words
    writes: dict[tuple[str, str], int] = field(default_factory=dict)
    hops: dict[tuple[str, str], int] = field(default_factory=dict)  # (level above the fan-out, operand) -> words
    macs: int = 0
    cycles: int = 0  # executed temporal iterations
    results: int = 0  # of the vector unit

    def read(self, level: str, operand: str, words: int) -> None:
        self.reads[level, operand] = self.reads.get((level, operand), 0) + words

    def write(self, level: str, operand: str, words: int) -> None:
        self.writes[level, operand] = self.writes.get((level, operand), 0) + words

    def hop(self, level: str, operand: str, words: int) -> None:
        self.hops[level, operand] = self.hops.get((level, operand), 0) + words

    def add(self, other: Counters) -> None:
        """Count what another layer, or the same one again, has moved and done."""
        for mine, theirs in ((self.reads, other.reads), (self.writes, other.writes), (self.hops, other.hops)):
            for key, words in theirs.items():
                mine[key] = mine.get(key, 0) + words
        self.macs += other.macs
        self.cycles += other.cycles
        self.results += other.results

    def times(self, runs: int) -> Counters:
        """The counters of so many runs."""
        reads, writes, hops = (
            {key: words * runs for key, words in table.items()} for table in (self.reads, self.writes, self.hops)
        )
        return Counters(reads, writes, hops, self.macs * runs, self.cycles * runs, self.results * runs)

    def entries(self) -> Iterator[tuple[str, int]]:
        """Every non-zero counter as (readable name, words)."""
        for what, table in (("read", self.reads), ("write", self.writes), ("hop", self.hops)):
            for (level, operand), words in sorted(table.items()):
                if words:
                    yield f"{operand} {what} at {level}", words
        yield "MACs", self.macs
        yield "cycles", self.cycles
        if self.results:
            yield "vector results", self.results

    def difference(self, other: Counters) -> list[str]:
        """One line for every counter that differs; an absent counter is zero."""
        mine, theirs = dict(self.entries()), dict(other.entries())
        names = sorted(mine.keys() | theirs.keys())
        return [
            f"{name}: {mine.get(name, 0)} and {theirs.get(name, 0)}"
            for name in names
            if mine.get(name, 0) != theirs.get(name, 0)
        ]
