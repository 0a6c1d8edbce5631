"""Tile moves: lists of addresses for fills, and for the openings and drains of partial sums.

The axes of a list are, in order: batch digits ("e") of every dim, lanes ("l") of every dim, the words ("n") along every
axis of the operand; for partial sums also the lanes that share a word ("r"), which are taken out of "l".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import numpy.typing as npt

from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.frame import Frame, Name, served
from effc.backends.accel.memory import ZERO
from effc.backends.accel.parts import ABSENT, Arrays, Memo, Part, Patterns, rebased
from effc.backends.accel.stores import NO_BATCH, Store

Addresses = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class FillList:
    """``to[i]`` receives ``source[i]``, or padding from ZERO. ``received`` words moved; the parent read ``read``."""

    to: Addresses
    source: Addresses
    received: int
    read: int


@dataclass(frozen=True, slots=True)
class PsumList:
    """Word ``parent[i]`` is the sum of ``child[i, :]``, the lanes that share it, the first being lane 0."""

    child: Addresses  # ZERO where a lane is idle
    parent: Addresses
    sent: int  # words that the children hold
    distinct: int  # words of the parent

    @property
    def held(self) -> Addresses:
        """Every address of the children."""
        return self.child[self.child >= 0]


class MoveLists:
    """What fill and psum lists share: parts of each axis, busy lanes of each dim, and whole lists made of them."""

    def __init__(self, child: Store, parent: Store, dims: dict[str, Dimension], batch: int) -> None:
        self.child, self.parent, self.dims, self.batch = child, parent, dims, batch
        low = min(batch, child.loops)
        axes = range(len(child.operand.axes))
        self.patterns = Patterns()
        self._parts = [Memo(partial(self._part, axis), child.axis_dims(axis), low) for axis in axes]
        self._busy = [Memo(partial(self._busy_lanes, dim), [dim], low) for dim in dims.values()]

    def resolve(self, running: Sequence[int]) -> tuple[tuple[int, ...], int, int]:
        """The patterns of the list for these register values, and the base addresses at child and parent."""
        base, parent_base = self.child.base, self.parent.base
        numbers = []
        for memo in self._parts:
            part = memo(running)
            numbers.append(part.pattern)
            base += part.base
            parent_base += part.parent_base
        numbers += [memo(running).pattern for memo in self._busy]
        return tuple(numbers), base, parent_base

    def _busy_lanes(self, dim: Dimension, running: Sequence[int]) -> Part:
        child = self.child
        valid = dim.points(running, min(self.batch, child.loops), child.loops).valid
        shape = (child.versions(dim, self.batch), child.lanes(dim.name), -1)
        busy: Bools = np.any(valid.reshape(shape), axis=2)
        return Part(self.patterns.number(busy))

    def _part(self, axis: int, running: Sequence[int]) -> Part:
        """Along one axis: addresses at child and parent, which words are fetched, which are new, and their ids."""
        child, parent = self.child, self.parent
        tile = child.tile(axis, running, self.batch)
        shape = (*tile.shape, -1)
        words, there = tile.words.reshape(shape), (tile.positions >= 0).reshape(shape)
        pad = (words < 0) | (words >= child.operand.axes[axis].size)
        rows = list(self._rows_above(axis))
        source, found = parent.addresses(axis, words, rows, running, NO_BATCH)
        fetched = there & (~pad | parent.pads)
        if (lost := there & ~pad & ~found).any():
            word = int(words[lost][0])
            raise MachineFault(
                f"the tile of {child.operand.name} at {child.level} needs index {word} of axis {axis}",
                level=parent.level,
                expected="a tile of the parent that holds the tile of the child",
            )
        to, base = rebased(tile.positions.reshape(shape) * child.strides[axis], there)
        source, parent_base = rebased(source, there & found)
        ids, _ = rebased(words, there)
        number = self.patterns.number(to, source, fetched, there & tile.fresh.reshape(shape), ids)
        return Part(number, base, parent_base)

    def _rows_above(self, axis: int) -> Iterator[Ints]:
        """Version and instance of the parent for each row of the child's tile."""
        dims = self.child.axis_dims(axis)
        for place, dim in enumerate(dims):
            below = self.child.lanes(dim.name) // self.parent.lanes(dim.name)
            shape = [1] * (2 * len(dims) + 1)
            shape[2 * place + 1] = -1
            yield np.zeros((), np.int64)
            yield (np.arange(self.child.lanes(dim.name)) // below).reshape(shape)

    def _split(self, number: tuple[int, ...]) -> tuple[list[Arrays], list[Bools]]:
        items = [self.patterns.items[n] for n in number]
        axes = len(self._parts)
        return items[:axes], [item[0] for item in items[axes:]]

    def _names(self, axis: int) -> tuple[Name, ...]:
        rows = tuple((group, dim.name) for dim in self.child.axis_dims(axis) for group in "el")
        return (*rows, ("n", str(axis)))

    def _offsets(self, frame: Frame) -> Ints:
        """The addresses of versions and instances of the child."""
        versions, instances = self.child.version_strides(self.batch), self.child.instance_strides()
        total = np.zeros((), np.int64)
        for name, dim in self.dims.items():
            total = total + frame.expand(
                np.arange(self.child.versions(dim, self.batch)) * versions[name], [("e", name)]
            )
            total = total + frame.expand(np.arange(self.child.lanes(name)) * instances[name], [("l", name)])
        return total

    def _parent_offsets(self, frame: Frame) -> Ints:
        strides = self.parent.instance_strides()
        total = np.zeros((), np.int64)
        for name in self.dims:
            below = self.child.lanes(name) // self.parent.lanes(name)
            total = total + frame.expand(np.arange(self.child.lanes(name)) // below * strides[name], [("l", name)])
        return total

    def _frame(self, parts: list[Arrays]) -> Frame:
        axes: list[tuple[Name, int]] = [(("e", d.name), self.child.versions(d, self.batch)) for d in self.dims.values()]
        axes += [(("l", name), self.child.lanes(name)) for name in self.dims]
        axes += [(("n", str(axis)), part[0].shape[-1]) for axis, part in enumerate(parts)]
        return Frame(axes)

    def _all(self, frame: Frame, parts: list[Arrays], column: int, busy: list[Bools]) -> Bools:
        """Where a flag of every axis is set and the instance is busy."""
        total = np.ones((), bool)
        for axis, part in enumerate(parts):
            flag = part[column] if part[column].dtype == bool else part[column] >= 0
            total = total & frame.expand(flag, self._names(axis))
        for name, lanes in zip(self.dims, busy):
            total = total & frame.expand(lanes, [("e", name), ("l", name)])
        return np.broadcast_to(total, frame.shape)

    def _sum(self, frame: Frame, parts: list[Arrays], column: int) -> Ints:
        total = np.zeros((), np.int64)
        for axis, part in enumerate(parts):
            total = total + frame.expand(part[column], self._names(axis))
        return total


class FillLists(MoveLists):
    """The lists of one fill instruction."""

    def __init__(self, child: Store, parent: Store, dims: dict[str, Dimension], sweep: bool, batch: int) -> None:
        super().__init__(child, parent, dims, batch)
        self.sweep = sweep
        self._lists: dict[tuple[int, ...], FillList] = {}

    def __call__(self, running: Sequence[int]) -> tuple[FillList, int, int]:
        number, base, parent_base = self.resolve(running)
        if number not in self._lists:
            self._lists[number] = self._build(number)
        return self._lists[number], base, parent_base

    def _build(self, number: tuple[int, ...]) -> FillList:
        parts, busy = self._split(number)
        frame = self._frame(parts)
        held = self._all(frame, parts, 0, busy)
        moved = held & self._all(frame, parts, 2, busy)
        if self.sweep:
            new = self._all(frame, parts, 3, busy)
            moved = moved & new
            if self.batch >= self.child.loops:
                held = new  # in a batch, what stays is copied from the parent too, which still holds it
        to = np.broadcast_to(self._sum(frame, parts, 0) + self._offsets(frame), frame.shape)
        address = self._sum(frame, parts, 1) + self._parent_offsets(frame)
        source = np.where(self._all(frame, parts, 1, busy), address, ZERO)
        ids = np.zeros((), np.int64)
        for axis, part in enumerate(parts):
            ids = ids * (int(part[4].max(initial=0)) + 1) + frame.expand(part[4], self._names(axis))
        wanted = np.where(moved, ids, ABSENT)
        groups = group_lanes(wanted, list(frame.axes), self.dims, self.parent.position, self.child.position)
        return FillList(
            to[held].astype(np.intp), source[held].astype(np.intp), int(np.count_nonzero(moved)), served(groups)
        )


class PsumLists(MoveLists):
    """The lists of the open and drain instructions of one region."""

    def __init__(
        self, child: Store, parent: Store, dims: dict[str, Dimension], reduced: frozenset[str], batch: int
    ) -> None:
        super().__init__(child, parent, dims, batch)
        self.reduced = reduced
        self._lists: dict[tuple[int, ...], PsumList] = {}

    def __call__(self, running: Sequence[int]) -> tuple[PsumList, int, int]:
        number, base, parent_base = self.resolve(running)
        if number not in self._lists:
            self._lists[number] = self._build(number)
        return self._lists[number], base, parent_base

    def _build(self, number: tuple[int, ...]) -> PsumList:
        parts, busy = self._split(number)
        frame = self._frame(parts)
        there = self._all(frame, parts, 0, busy)
        to = np.broadcast_to(self._sum(frame, parts, 0) + self._offsets(frame), frame.shape)
        source = np.broadcast_to(self._sum(frame, parts, 1) + self._parent_offsets(frame), frame.shape)
        there, to, source = (self._by_sharing(array, frame) for array in (there, to, source))
        used = there.any(axis=1)
        child = np.where(there, to, ZERO)[used].astype(np.intp)
        parent = source[used, 0].astype(np.intp)
        return PsumList(child, parent, int(np.count_nonzero(there)), len(np.unique(parent)))

    def _by_sharing(self, array: npt.NDArray[np.int64], frame: Frame) -> npt.NDArray[np.int64]:
        """[words, lanes that share a word]: of the reduction dims, the lanes between parent and child."""
        shape: list[int] = []
        last: list[int] = []
        for (group, name), size in frame.axes.items():
            if group == "l" and name in self.reduced:
                above = self.parent.lanes(name)
                shape += [above, size // above]
                last.append(len(shape) - 1)
            else:
                shape.append(size)
        order = [place for place in range(len(shape)) if place not in last] + last
        shared = prod(shape[place] for place in last)
        return array.reshape(shape).transpose(order).reshape(-1, shared)


def group_lanes(
    words: Ints, names: Sequence[Name], dims: dict[str, Dimension], parent: int, child: int
) -> npt.NDArray[np.int64]:
    """Arrange ``words``, with axes ``names``, as [groups, tiles, words] for ``served``.

    Lanes above the parent, on axes without multicast, and every other digit make groups; the words of a tile ("n") and
    lanes on axes with multicast of words are united.
    """
    shape: list[int] = []
    kinds: list[str] = []
    for (group, name), size in zip(names, words.shape):
        if group == "l":
            digits = [digit for digit in dims[name].mesh if digit.level < child]
            shape += [digit.trips for digit in digits]
            kinds += ["none" if digit.level < parent else digit.multicast for digit in digits]
        else:
            shape.append(size)
            kinds.append("words" if group == "n" else "none")
    order = [place for kind in ("none", "tiles", "words") for place in range(len(kinds)) if kinds[place] == kind]
    tiles, union = (prod(shape[p] for p in range(len(kinds)) if kinds[p] == kind) for kind in ("tiles", "words"))
    return words.reshape(shape).transpose(order).reshape(-1, tiles, union)
