"""A schedule: a mapping of a nest onto a target, as an ordered list of items, outermost first.

    keep I @ GLB                     the tile of I is resident at GLB from here inward
    for K in 0..64 by 16             temporal loop: steps through K in tiles of 16
      keep W @ spad
      par P in 0..56 by 4 @ GLB.x    spatial loop on axis x of the fan-out below GLB: 14 instances hold 4 rows each
        for P in 0..4

The loops of one dim, temporal and spatial, nest in the order written: the first runs over ``0..bound``, each further
one over the tile (the *step*) of the one before, and the last has step 1 (``by 1`` is not written). A step need not
divide the range: the last tile is smaller (*ragged*), and in a ragged par the instances of lowest index are busy. Every
operand is kept at the outermost level from the start; no item says so.

The ranges follow from the bounds and the steps: a text may leave them out (``for K by 16``), and one that has them has
them right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from effc.ir.nest import Nest


@dataclass(frozen=True, slots=True)
class Keep:
    """``keep operand @ level``."""

    operand: str
    level: str


@dataclass(frozen=True, slots=True)
class For:
    """``for dim in 0..extent by step``, in time."""

    dim: str
    step: int


@dataclass(frozen=True, slots=True)
class Par:
    """``par dim in 0..extent by step @ level.axis``, over the instances of the fan-out below ``level``."""

    dim: str
    step: int
    level: str
    axis: str


Item = Keep | For | Par


@dataclass(frozen=True, slots=True)
class Schedule:
    """The items of a schedule, outermost first."""

    items: tuple[Item, ...]

    def loops(self, nest: Nest) -> Iterator[tuple[int, For | Par, int]]:
        """Yield (position, loop, extent): the extent is the range that a full tile of the loop runs over."""
        extent = dict(nest.bounds)
        for position, item in enumerate(self.items):
            if isinstance(item, (For, Par)):
                yield position, item, extent[item.dim]
                extent[item.dim] = item.step

    def keeps(self, operand: str) -> list[tuple[int, str]]:
        """The (position, level) of the keep marks of ``operand``, outermost first."""
        return [
            (i, item.level) for i, item in enumerate(self.items) if isinstance(item, Keep) and item.operand == operand
        ]


def trips(extent: int, step: int) -> int:
    """The number of tiles of size ``step`` in a range of ``extent``, the ragged last one included."""
    return -(-extent // step)
