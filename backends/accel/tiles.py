"""Which words a tile holds along one axis of an operand, and where: the local address generators.

Dims are independent and stand in one axis of an operand each, so a tile is a product of sets, one per axis; along each
axis the words are packed in order. Where the tile slides, a word that stays keeps its position and a new one takes a
free one: a circular buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.ir.nest import Axis

ABSENT = -1


@dataclass(frozen=True)
class AxisTile:
    """The words of an axis in every *row*: a combination of the batch digits and of the coordinates of an instance.

    ``shape`` holds (batch, instances) of each dim of the axis; rows are their product in that order.
    """

    shape: tuple[int, ...]
    words: Ints  # [rows, n] indices along the axis, in ascending order
    positions: Ints  # [rows, n] where they are; ABSENT where a row has fewer words
    fresh: Bools  # [rows, n] words that were not held before
    origin: Ints  # [rows] the first index of the table
    table: Ints  # [rows, span] position of index origin + i

    def find(self, rows: Ints, words: Ints) -> Ints:
        """The positions of words in rows; ABSENT where the tile does not hold them."""
        offset = words - self.origin[rows]
        inside = (offset >= 0) & (offset < self.table.shape[1])
        return np.where(inside, self.table[rows, np.where(inside, offset, 0)], ABSENT)

    @cached_property
    def extent(self) -> int:
        """The largest number of words in a row."""
        return int(np.count_nonzero(self.positions >= 0, axis=1).max(initial=0))

    def packed(self) -> AxisTile:
        """The same words, in every row at the first positions in order."""
        table = np.where(self.table >= 0, np.cumsum(self.table >= 0, axis=1) - 1, ABSENT)
        positions = np.where(self.positions >= 0, np.cumsum(self.positions >= 0, axis=1) - 1, ABSENT)
        return AxisTile(self.shape, self.words, positions, self.fresh, self.origin, table)

    def rows(self, chosen: Sequence[slice]) -> AxisTile:
        """Some of the rows, a slice for each entry of ``shape``."""
        grid = np.arange(len(self.words)).reshape(self.shape)
        picked = grid[tuple(chosen)]
        flat = picked.reshape(-1)
        parts = (self.words, self.positions, self.fresh, self.origin, self.table)
        return AxisTile(picked.shape, *(part[flat] for part in parts))


def axis_values(axis: Axis, indices: Sequence[Ints]) -> Ints:
    """The index along an axis, given those of its dims as arrays that broadcast."""
    total = np.array(axis.offset, np.int64)
    for (coefficient, _), index in zip(axis.terms, indices):
        total = total + coefficient * index
    return total


def axis_tile(
    axis: Axis,
    dims: Sequence[Dimension],
    level: int,
    running: Sequence[int],
    low: int,
    high: int,
    window: int,
    pads: bool,
) -> AxisTile:
    """The tile along ``axis`` at ``level``: registers below ``low`` are given, ``low .. high-1`` make rows.

    Of those, the last ``window`` slide it. ``pads``: words of padding are stored.
    """
    index, valid = _by_row(dims, level, running, low, high)
    count = len(dims)
    shape: tuple[int, ...] = tuple(size for array in index for size in array.shape[:2])
    words = axis_values(axis, [_spread(array, place, count) for place, array in enumerate(index)])
    there: Bools = np.ones((), bool)
    for place, array in enumerate(valid):
        there = there & _spread(array, place, count)
    full = np.broadcast_shapes(words.shape, there.shape)
    rows = int(np.prod(shape, dtype=np.int64))
    words = np.broadcast_to(words, full).reshape(rows, -1)
    there = np.broadcast_to(there, full).reshape(rows, -1)
    busy: Bools = np.any(there, axis=1)
    if not pads:
        there = there & (words >= 0) & (words < axis.size)
    present, origin = _presence(words, there)
    if not window:
        return _packed(shape, present, origin)
    sliding = next(place for place, dim in enumerate(dims) if high - 1 in dim.registers)
    return _slid(shape, present, origin, busy, 2 * sliding, dims[sliding].batch(high - window, high))


def _by_row(
    dims: Sequence[Dimension], level: int, running: Sequence[int], low: int, high: int
) -> tuple[list[Ints], list[Bools]]:
    """Index and validity of each dim as [batch, instances, free], lanes below the level being free."""
    index, valid = [], []
    for dim in dims:
        points = dim.points(running, low, high)
        shape = (dim.batch(low, high), dim.lanes(level), -1)
        index.append(points.index.reshape(shape))
        valid.append(points.valid.reshape(shape))
    return index, valid


def _spread(array: Ints | Bools, place: int, count: int) -> Ints:
    """[batch, instances, free] of one of ``count`` dims, laid out as [b0, l0, b1, l1, ..., f0, f1, ...]."""
    shape = [1] * (3 * count)
    shape[2 * place], shape[2 * place + 1], shape[2 * count + place] = array.shape
    return array.reshape(shape)


def _presence(words: Ints, there: Bools) -> tuple[Bools, Ints]:
    """Which words each row touches, as [rows, span] from an origin per row."""
    big = np.iinfo(np.int64).max
    first = np.where(there, words, big).min(axis=1)
    last = np.where(there, words, -big).max(axis=1)
    empty = first == big
    origin = np.where(empty, 0, first)
    span = int(np.where(empty, 0, last - origin + 1).max(initial=1))
    present = np.zeros((len(words), max(span, 1)), bool)
    rows, columns = np.nonzero(there)
    present[rows, words[rows, columns] - origin[rows]] = True
    return present, origin


def _packed(shape: tuple[int, ...], present: Bools, origin: Ints) -> AxisTile:
    table = np.where(present, np.cumsum(present, axis=1) - 1, ABSENT)
    return _listed(shape, table, origin, present)


def _slid(shape: tuple[int, ...], present: Bools, origin: Ints, busy: Bools, sliding: int, steps: int) -> AxisTile:
    """Positions along a sweep of ``steps`` steps, the last part of the batch digit at ``sliding`` in ``shape``."""
    table = np.full(present.shape, ABSENT, np.int64)
    fresh = present.copy()
    grid = np.moveaxis(np.arange(len(present)).reshape(shape), sliding, -1).reshape(-1, steps)
    extent = int(present.sum(axis=1).max(initial=0))
    for sweep in grid:
        held: dict[int, int] = {}
        for row in sweep:
            if not busy[row]:
                continue  # an idle instance keeps what it holds
            columns = np.flatnonzero(present[row])
            words = (columns + origin[row]).tolist()
            kept = {word: held[word] for word in words if word in held}
            free = iter(sorted(set(range(extent)) - set(kept.values())))
            held = {word: kept[word] if word in kept else next(free) for word in words}
            table[row, columns] = list(held.values())
            fresh[row, columns] = [word not in kept for word in words]
    return _listed(shape, table, origin, fresh)


def _listed(shape: tuple[int, ...], table: Ints, origin: Ints, fresh: Bools) -> AxisTile:
    """The tables as lists of words."""
    count = max(1, int((table >= 0).sum(axis=1).max(initial=0)))
    order = np.argsort(table < 0, axis=1, kind="stable")[:, :count]
    rows = np.arange(len(table))[:, None]
    return AxisTile(shape, order + origin[:, None], table[rows, order], fresh[rows, order], origin, table)
