"""What a run counted: words read and written at every level, words over every fan-out, MACs and cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]
"""(level, operand)."""


@dataclass(eq=False)
class Counters:
    """The counters of one layer, in words; an entry that is zero and one that is missing are the same."""

    reads: dict[Key, int] = field(default_factory=dict)  # (level, operand) -> words
    writes: dict[Key, int] = field(default_factory=dict)
    hops: dict[Key, int] = field(default_factory=dict)  # (level above the fan-out, operand) -> words
    macs: int = 0
    cycles: int = 0  # executed temporal iterations

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counters) and not self.difference(other)

    __hash__ = None  # type: ignore[assignment]

    def difference(self, other: Counters) -> list[str]:
        """One readable line for each entry that differs: ``reads GLB I: 12, not 16``."""
        lines = []
        for kind in ("reads", "writes", "hops"):
            mine, theirs = getattr(self, kind), getattr(other, kind)
            lines += [
                f"{kind} {level} {operand}: {mine.get((level, operand), 0)}, not {theirs.get((level, operand), 0)}"
                for level, operand in _unequal(mine, theirs)
            ]
        for kind in ("macs", "cycles"):
            if getattr(self, kind) != getattr(other, kind):
                lines.append(f"{kind}: {getattr(self, kind)}, not {getattr(other, kind)}")
        return lines


def _unequal(mine: Mapping[Key, int], theirs: Mapping[Key, int]) -> list[Key]:
    return [key for key in dict.fromkeys((*mine, *theirs)) if mine.get(key, 0) != theirs.get(key, 0)]
