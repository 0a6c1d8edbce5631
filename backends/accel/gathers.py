"""Gathers: the addresses that the lanes of an array pass use of each operand.

The axes of a list are named by groups of digits: lanes ("l"), batch ("b") and free ("f") digits of a dim. A list is a
product of parts, one per axis of the operand and one per dim that the operand does not have. Words that a lane does not
read (padding that is not stored, idle digits) are the ZERO cell; results of idle digits go to TRASH.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from effc.backends.accel.boxes import Box, BoxMaker, Coordinates, choose
from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.frame import Frame, Name, served
from effc.backends.accel.memory import TRASH, ZERO
from effc.backends.accel.moves import Addresses, group_lanes
from effc.backends.accel.parts import ABSENT, Memo, Patterns, rebased
from effc.backends.accel.stores import Store
from effc.backends.accel.tiles import axis_values


@dataclass(frozen=True, slots=True)
class Window:
    """The registers of a pass: those below ``low`` run, ``low .. high-1`` are batched, the rest are free."""

    low: int
    high: int

    def points(self, dim: Dimension, running: Sequence[int]) -> tuple[Ints, Bools]:
        points = dim.points(running, self.low, self.high)
        return points.index, points.valid


@dataclass(frozen=True, slots=True)
class Layout:
    """The digits that a pass has work for, as some are idle in ragged tiles, and the order of the axes of its lists."""

    number: int
    coordinates: Coordinates
    labels: dict[str, list[Name]]  # batch and free digits by kind, see ``passes.py``

    def size(self, kind: str) -> int:
        """The number of points of the labels of a kind."""
        total = 1
        for label in self.labels[kind]:
            total *= len(self.coordinates[label])
        return total


@dataclass(frozen=True, slots=True)
class Access:
    """What one part of an operand's index contributes: a pattern of addresses at a base, and factors of counts."""

    pattern: int
    base: int
    read: int
    received: int


class Gather:
    """The addresses that the lanes read of an operand: lanes of every dim, then the labels of ``kinds``."""

    idle = ZERO

    def __init__(self, store: Store, dims: dict[str, Dimension], window: Window, kinds: str, bottom: int) -> None:
        self.store, self.dims, self.window, self.kinds, self.bottom = store, dims, window, kinds, bottom
        self.patterns = Patterns()
        axes = range(len(store.operand.axes))
        used = {dim.name for axis in axes for dim in store.axis_dims(axis)}
        self._axes = [Memo(partial(self._axis, axis), store.axis_dims(axis), window.low) for axis in axes]
        self.others = [dim for dim in dims.values() if dim.name not in used]
        self._others = [Memo(partial(self._other, dim), [dim], window.low) for dim in self.others]
        self._lists: dict[tuple[int, ...], Box | Addresses] = {}

    def __call__(self, running: Sequence[int], layout: Layout) -> tuple[Box | Addresses, int, int, int]:
        """The addresses, their base, and how many words are read and received."""
        numbers, base, read, received = [layout.number], self.store.base, 1, 1
        for memo in self._axes:
            access = memo(running)
            numbers.append(access.pattern)
            base += access.base
            read *= access.read
            received *= access.received
        for memo in self._others:
            access = memo(running)
            numbers.append(access.pattern)
            read *= access.read
            received *= access.received
        key = tuple(numbers)
        if key not in self._lists:
            self._lists[key] = self._build(key[1:], layout)
        return self._lists[key], base, read, received

    def _names(self, dims: Sequence[Dimension]) -> list[Name]:
        return [(group, dim.name) for dim in dims for group in "blf"]

    def _axis(self, axis: int, running: Sequence[int]) -> Access:
        store, dims = self.store, self.store.axis_dims(axis)
        indices, valid, rows = [], np.ones((), bool), []
        for place, dim in enumerate(dims):
            index, there = self.window.points(dim, running)
            shape = [1] * (3 * len(dims))
            shape[3 * place : 3 * place + 3] = index.shape
            indices.append(index.reshape(shape))
            valid = valid & there.reshape(shape)
            rows += [row.reshape(_along(shape, 3 * place + group)) for group, row in enumerate(self._rows(dim))]
        words = axis_values(store.operand.axes[axis], indices)
        words, valid = np.broadcast_arrays(words, valid)
        pad = (words < 0) | (words >= store.operand.axes[axis].size)
        wanted = valid & (~pad | store.pads)
        address, found = store.addresses(axis, words, rows, running, self.window.low)
        if (lost := valid & ~pad & ~found).any():
            raise MachineFault(
                f"the array reads index {int(words[lost][0])} of axis {axis} of {store.operand.name}",
                level=store.level,
                expected="an index in the tile that the level holds",
            )
        relative, base = rebased(address, valid & found)
        ids = np.where(wanted, words - words.min(), ABSENT)
        groups = group_lanes(ids, self._names(dims), self.dims, store.position, self.bottom)
        return Access(self.patterns.number(relative), base, served(groups), int(np.count_nonzero(wanted)))

    def _rows(self, dim: Dimension) -> tuple[Ints, Ints]:
        """Version and instance of the store for each batch digit and lane of a dim."""
        low, high = self.window.low, self.window.high
        batch = np.arange(dim.batch(low, high))
        version = batch // dim.batch(self.store.loops, high) if low < self.store.loops else batch * 0
        return version, np.arange(dim.lanes()) // (dim.lanes() // self.store.lanes(dim.name))

    def _other(self, dim: Dimension, running: Sequence[int]) -> Access:
        """A dim that the operand does not have: lanes that are idle want nothing."""
        _, valid = self.window.points(dim, running)
        ids = np.where(valid, 0, ABSENT)
        groups = group_lanes(ids, self._names([dim]), self.dims, self.store.position, self.bottom)
        mask: Bools = np.any(valid, axis=(0, 2), keepdims=True)
        return Access(self.patterns.number(mask), 0, served(groups), int(np.count_nonzero(valid)))

    def coordinates(self, layout: Layout) -> Coordinates:
        """The digits that the list has."""
        return layout.coordinates

    def _build(self, number: tuple[int, ...], layout: Layout) -> Box | Addresses:
        chosen, axes = self.coordinates(layout), len(self._axes)
        items = [self.patterns.items[n][0] for n in number]
        places = [self._names(self.store.axis_dims(axis)) for axis in range(axes)]
        parts = [(choose(item, names, chosen), names) for item, names in zip(items, places)]
        others = [self._names([dim]) for dim in self.others]
        masks = [(choose(item, names, chosen), names) for item, names in zip(items[axes:], others)]
        parts += [(offset[chosen[name]], [name]) for name, offset in self._offsets()]
        frame = self._frame(layout, chosen)
        if all(mask.all() for mask, _ in masks):
            maker = BoxMaker(list(frame.axes))
            for part, names in parts:
                maker.add(part, names)
            if (box := maker.box()) is not None:
                return replace(box, shape=frame.shape)
        address, there = np.zeros((), np.int64), np.ones((), bool)
        for part, names in parts:
            address = address + frame.expand(part, names)
            there = there & frame.expand(part >= 0, names)
        for mask, names in masks:
            there = there & frame.expand(mask, names)
        addresses = np.broadcast_to(np.where(there, address, self.idle), frame.shape)
        return np.ascontiguousarray(addresses, dtype=np.intp)

    def _frame(self, layout: Layout, chosen: Coordinates) -> Frame:
        """Lanes, then the labels of some kinds, then the others at size one."""
        order = [("l", name) for name in self.dims]
        order += [label for kind in self.kinds for label in layout.labels[kind]]
        rest = [label for kind in layout.labels if kind not in self.kinds for label in layout.labels[kind]]
        return Frame([(name, len(chosen[name])) for name in order] + [(name, 1) for name in rest])

    def _offsets(self) -> Iterator[tuple[Name, Ints]]:
        """The addresses of versions and instances."""
        store = self.store
        versions, instances = store.version_strides(self.window.low), store.instance_strides()
        for name, dim in self.dims.items():
            version, instance = self._rows(dim)
            if store.versions(dim, self.window.low) > 1:
                yield ("b", name), version * versions[name]
            if store.lanes(name) > 1:
                yield ("l", name), instance * instances[name]


class PsumGather(Gather):
    """The addresses that the lanes update: those that differ in reduction digits below the memory share a word."""

    idle = TRASH

    def _other(self, dim: Dimension, running: Sequence[int]) -> Access:
        _, valid = self.window.points(dim, running)
        batch, lanes, free = valid.shape
        shared: Bools = np.any(valid.reshape(batch, self.store.lanes(dim.name), -1, free), axis=2)
        mask: Bools = np.any(shared, axis=(0, 2)).repeat(lanes // shared.shape[1])[None, :, None]
        return Access(self.patterns.number(mask), 0, 0, int(np.count_nonzero(shared)))

    def coordinates(self, layout: Layout) -> Coordinates:
        """Of the lanes that share a word the first."""
        chosen = dict(layout.coordinates)
        for dim in self.others:
            below = dim.lanes() // self.store.lanes(dim.name)
            lanes = chosen["l", dim.name]
            chosen["l", dim.name] = lanes[lanes % below == 0]
        return chosen


class BiasGather(Gather):
    """The bias of the words that a pass updates first: every reduction digit is zero."""

    def __init__(
        self, store: Store, dims: dict[str, Dimension], window: Window, kinds: str, bottom: int, reduced: frozenset[str]
    ) -> None:
        self.reduced = reduced
        super().__init__(store, dims, window, kinds, bottom)

    def _other(self, dim: Dimension, running: Sequence[int]) -> Access:
        if dim.name in self.reduced:
            return Access(self.patterns.number(np.ones((1, 1, 1), bool)), 0, 0, 1)
        _, valid = self.window.points(dim, running)
        return Access(self.patterns.number(valid), 0, 0, int(np.count_nonzero(valid)))

    def coordinates(self, layout: Layout) -> Coordinates:
        chosen = dict(layout.coordinates)
        for name in self.reduced:
            chosen |= {(group, name): np.zeros(1, np.int64) for group in "blf"}
        return chosen


def _along(shape: Sequence[int], place: int) -> list[int]:
    return [size if i == place else 1 for i, size in enumerate(shape)]
