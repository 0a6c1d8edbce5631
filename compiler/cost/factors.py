"""Every count is a product over dims; this file holds the factors.

A transfer fixes some digits of each dim's chain of loops and leaves others free. Dims are independent, so a sum
over events and instances of tile sizes is a product with one factor per axis of the operand (the dims of one axis are
coupled) and one per dim that is irrelevant to it. Ragged chains are exact: nothing here divides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from effc.ir.schedule import trips

Ints = npt.NDArray[np.int64]


class Use(IntEnum):
    """What a digit is to a transfer from a parent to a child level."""

    TIME = 0  # a temporal loop outside the fill position: fixed, an event each
    SWEEP = 1  # the same, and its steps are sweep steps: only new words move
    ABOVE = 2  # a par above the parent: fixed, another parent instance
    SERIAL = 3  # a par between, on an axis without multicast
    TILES = 4  # a par between, on an axis that multicasts identical tiles
    WORDS = 5  # a par between, on an axis that multicasts words
    FREE = 6  # inside the child's tile
    ZERO = 7  # fixed at zero


Chain = tuple[tuple[int, Use], ...]  # (step, use) of each loop of a dim, outermost first

EVENTS = frozenset({Use.TIME, Use.SWEEP})
BETWEEN = frozenset({Use.SERIAL, Use.TILES, Use.WORDS})
INSTANCE = BETWEEN | {Use.ABOVE}
FREE = frozenset({Use.FREE})


@lru_cache(maxsize=1 << 16)
def valid(bound: int, chain: Chain, counted: frozenset[Use]) -> int:
    """The number of valid combinations of the digits whose use is ``counted``, all others at zero."""
    rests = {bound: 1}
    for step, use in chain:
        after: dict[int, int] = {}
        for rest, count in rests.items():
            first = min(step, rest)
            if use in counted:
                last = trips(rest, step) - 1
                after[first] = after.get(first, 0) + count * max(last, 1)
                if last:
                    after[rest - last * step] = after.get(rest - last * step, 0) + count
            else:
                after[first] = after.get(first, 0) + count
        rests = after
    return sum(rests.values())


@dataclass(frozen=True, slots=True)
class Factor:
    """What one axis (or one irrelevant dim) contributes to the words of a transfer."""

    writes: int  # received by all child instances
    busiest_writes: int  # by the busiest
    reads: int  # read at all parent instances
    busiest_reads: int

    def __mul__(self, other: Factor) -> Factor:
        return Factor(
            self.writes * other.writes,
            self.busiest_writes * other.busiest_writes,
            self.reads * other.reads,
            self.busiest_reads * other.busiest_reads,
        )


ONE = Factor(1, 1, 1, 1)
ZERO = Factor(0, 0, 0, 0)


@lru_cache(maxsize=1 << 16)
def irrelevant(bound: int, chain: Chain) -> Factor:
    """The factor of a dim that the operand does not use: how often its tiles move because of it."""
    return Factor(
        valid(bound, chain, EVENTS | INSTANCE),
        valid(bound, chain, EVENTS),
        valid(bound, chain, EVENTS | {Use.ABOVE, Use.SERIAL}),
        valid(bound, chain, EVENTS | {Use.SERIAL}),
    )


def digits(bound: int, chain: Chain) -> list[Ints]:
    """The digits of every index of a dim: an array of length ``bound`` for each loop of its chain."""
    rest = np.arange(bound, dtype=np.int64)
    columns = []
    for step, _ in chain:
        columns.append(rest // step)
        rest = rest % step
    return columns


def key(columns: list[Ints], length: int) -> Ints:
    """One integer per row that tells the combinations of ``columns`` apart."""
    result, values = np.zeros(length, np.int64), 1
    for column in columns:
        low = int(column.min(initial=0))
        span = int(column.max(initial=0)) - low + 1
        if values * span > MOST_KEYS:
            result = np.unique(result, return_inverse=True)[1]
            values = length
        result = result * span + (column - low)
        values *= span
    return result


MOST_KEYS = 2**62 - 1


@dataclass(frozen=True, slots=True)
class AxisUse:
    """An axis of an operand in a transfer: per dim (coefficient, bound, chain); see ``Axis`` for offset and size."""

    dims: tuple[tuple[int, int, Chain], ...]
    offset: int
    size: int
    padding: bool  # whether padding words move, too

    @property
    def plain(self) -> bool:
        """One dim at most, and no index outside that has to be left out: every index is touched by one point."""
        if len(self.dims) > 1:
            return False
        last = self.offset + sum(coefficient * (bound - 1) for coefficient, bound, _ in self.dims)
        return self.padding or (self.offset >= 0 and last < self.size)


class Points:
    """Every point of the dims of an axis with its digits of use ZERO at zero: the index it touches, and its digits."""

    def __init__(self, axis: AxisUse) -> None:
        grid = np.indices([bound for _, bound, _ in axis.dims]).reshape(len(axis.dims), -1)
        index = np.full(grid.shape[1], axis.offset, np.int64)
        columns: list[tuple[Use, Ints]] = []
        for (coefficient, bound, chain), points in zip(axis.dims, grid):
            index += coefficient * points
            columns += [(use, column[points]) for (_, use), column in zip(chain, digits(bound, chain))]
        keep = np.ones(len(index), bool)
        for use, column in columns:
            if use is Use.ZERO:
                keep &= column == 0
        self.index = index[keep]
        self.columns = [(use, column[keep]) for use, column in columns]
        self.inside = (self.index >= 0) & (self.index < axis.size) | axis.padding

    def key(self, uses: frozenset[Use]) -> Ints:
        """One integer per point that tells the digits of the given uses apart."""
        return key([column for use, column in self.columns if use in uses], len(self.index))


def distinct(keys: list[Ints], rows: Ints) -> Ints:
    """Of the rows given, one for each distinct combination of keys."""
    return rows[np.unique(key([column[rows] for column in keys], len(rows)), return_index=True)[1]]


@lru_cache(maxsize=1 << 15)
def relevant(axis: AxisUse) -> Factor:
    """The factor of one axis: how many of its indices move, over all events."""
    if axis.plain:
        return _plain(axis)
    points = Points(axis)
    moved = np.flatnonzero(points.inside & _new(points))
    if not len(moved):
        return ZERO
    event, instance = points.key(EVENTS), points.key(INSTANCE)
    received = distinct([event, instance, points.index], moved)
    parents, words = _served(points, moved)
    return Factor(len(received), _most(instance[received]), int(words.sum()), _most(np.repeat(parents, words)))


def _most(keys: Ints) -> int:
    """How often the most frequent key occurs."""
    return int(np.unique(keys, return_counts=True)[1].max(initial=0))


def _plain(axis: AxisUse) -> Factor:
    """Each index belongs to one combination of digits: it moves once."""
    factor = ONE
    for _, bound, chain in axis.dims:
        everything = valid(bound, chain, EVENTS | INSTANCE | FREE)
        factor *= Factor(
            everything, valid(bound, chain, EVENTS | FREE), everything, valid(bound, chain, EVENTS | BETWEEN | FREE)
        )
    return factor


def _served(points: Points, moved: Ints) -> tuple[Ints, Ints]:
    """The parent's reads: parent instances, and words of each; words united, identical tiles read once, the rest in
    series. An instance may occur several times.
    """
    above, tile = points.key(frozenset({Use.ABOVE})), points.key(frozenset({Use.TILES}))
    group = points.key(EVENTS | {Use.ABOVE, Use.SERIAL})
    union = distinct([group, tile, points.index], moved)
    if not any(use is Use.TILES for use, _ in points.columns):
        return above[union], np.ones(len(union), np.int64)
    starts = np.flatnonzero(np.diff(key([group[union], tile[union]], len(union)), prepend=-1))  # they are in order
    tiles = zip(group[union][starts].tolist(), starts.tolist(), [*starts[1:].tolist(), len(union)])
    identical = {(g, points.index[union][start:end].tobytes()): (start, end) for g, start, end in tiles}
    spans = np.array(list(identical.values()), np.int64)
    return above[union][spans[:, 0]], spans[:, 1] - spans[:, 0]


def _new(points: Points) -> npt.NDArray[np.bool_]:
    """The points whose word the instance does not hold from the step before in the same forward sweep."""
    step = points.key(frozenset({Use.SWEEP}))
    if not step.any():
        return np.ones(len(step), bool)
    fixed = points.key(frozenset({Use.TIME}) | INSTANCE)
    rank = _rank(fixed, step)
    both = key([np.tile(fixed, 2), np.concatenate([rank, rank + 1]), np.tile(points.index, 2)], 2 * len(step))
    wanted, held = np.split(both, 2)
    held.sort()
    return np.asarray(held[np.minimum(np.searchsorted(held, wanted), len(held) - 1)] != wanted, bool)


def _rank(fixed: Ints, step: Ints) -> Ints:
    """The rank of each point's step among the steps in which its instance is busy."""
    order = np.lexsort((step, fixed))
    f, s = fixed[order], step[order]
    first = np.concatenate([[True], f[1:] != f[:-1]])
    total = np.cumsum(first | np.concatenate([[True], s[1:] != s[:-1]]))
    rank = np.empty(len(fixed), np.int64)
    rank[order] = total - np.maximum.accumulate(np.where(first, total, 0))
    return rank


@lru_cache(maxsize=1 << 15)
def largest(axis: AxisUse) -> int:
    """The most indices of an axis that the tile of one instance touches in any residence."""
    if axis.plain:
        factor = 1
        for _, bound, chain in axis.dims:
            factor *= valid(bound, chain, FREE)
        return factor
    points = Points(axis)
    fixed = points.key(EVENTS | INSTANCE)
    received = distinct([fixed, points.index], np.flatnonzero(points.inside))
    return _most(fixed[received])
