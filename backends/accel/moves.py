"""Tile moves: what the lists of fills, and of the openings and drains of partial sums, have in common.

The axes of a list are batch digits ("e") and lanes ("l") of every dim, and the words ("n") along every axis of the
operand. A list is a product of parts, one per axis of the operand and one per dim; so are its counts, each part
contributing the length of its own list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from effc.backends.accel.boxes import BoxMaker, Coordinates, choose, used
from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.frame import Frame, Name, served
from effc.backends.accel.parts import ABSENT, Arrays, Memo, Patterns, rebased
from effc.backends.accel.stores import Store

Addresses = npt.NDArray[np.intp]
List = TypeVar("List")

TO, SOURCE, MOVED, LISTED = range(4)
"""The arrays of the part of an axis: addresses at child and parent, the words that move, and those that are listed."""


@dataclass(frozen=True, slots=True)
class Part:
    """The number of a pattern, base addresses at child and parent, and factors of counts."""

    pattern: int
    base: int
    parent_base: int
    received: int
    read: int


@dataclass(frozen=True, slots=True)
class Move:
    """A move for some register values: the patterns of its list, where it starts, what it counts."""

    key: tuple[int, ...]
    base: int
    parent_base: int
    received: int
    read: int


class MoveLists(ABC, Generic[List]):
    """The lists of an instruction, and the parts of each axis and dim that they are built of. ``sweep``: only new words
    move.
    """

    def __init__(
        self, child: Store, parent: Store, dims: dict[str, Dimension], batch: int, sweep: bool = False
    ) -> None:
        self.child, self.parent, self.dims = child, parent, dims
        self.batch, self.sweep, self.batched = batch, sweep, batch < child.loops
        low = min(batch, child.loops)
        axes = range(len(child.operand.axes))
        relevant = {dim.name for axis in axes for dim in child.axis_dims(axis)}
        self.patterns = Patterns()
        self._parts = [Memo(partial(self._part, axis), child.axis_dims(axis), low) for axis in axes]
        self._busy = [Memo(partial(self._lanes, dim, dim.name in relevant), [dim], low) for dim in dims.values()]
        self._known: dict[tuple[int, ...], List] = {}

    def __call__(self, running: Sequence[int]) -> tuple[Move, List]:
        """The move for these register values, and its list."""
        move = self.move(running)
        if move.key not in self._known:
            self._known[move.key] = self._build(move.key)
        return move, self._known[move.key]

    @abstractmethod
    def _build(self, key: tuple[int, ...]) -> List:
        """The list of a move with these patterns."""

    def move(self, running: Sequence[int]) -> Move:
        """The move for these register values."""
        base, parent_base, received, read = self.child.base, self.parent.base, 1, 1
        key = []
        for memo in self._parts:
            part = memo(running)
            key.append(part.pattern)
            base += part.base
            parent_base += part.parent_base
            received *= part.received
            read *= part.read
        for memo in self._busy:
            part = memo(running)
            key.append(part.pattern)
            received *= part.received
            read *= part.read
        return Move(tuple(key), base, parent_base, received, read)

    def _lanes(self, dim: Dimension, relevant: bool, running: Sequence[int]) -> Part:
        """The busy lanes of a dim; of a relevant one, the parts of the axes count them."""
        child = self.child
        valid = dim.points(running, min(self.batch, child.loops), child.loops).valid
        busy: Bools = np.any(valid.reshape(child.versions(dim, self.batch), child.lanes(dim.name), -1), axis=2)
        number = self.patterns.number(busy)
        if relevant:
            return Part(number, 0, 0, 1, 1)
        read = self._served(np.where(busy, 0, ABSENT), [("e", dim.name), ("l", dim.name)])
        return Part(number, 0, 0, int(np.count_nonzero(busy)), read)

    def _part(self, axis: int, running: Sequence[int]) -> Part:
        """Along one axis: addresses, which words move, which are listed."""
        child, parent = self.child, self.parent
        tile = child.tile(axis, running, self.batch)
        shape = (*tile.shape, -1)
        words, there = tile.words.reshape(shape), (tile.positions >= 0).reshape(shape)
        pad = (words < 0) | (words >= child.operand.axes[axis].size)
        source, found = parent.addresses(axis, words, list(self._rows_above(axis)), running, self.batch)
        if (lost := there & ~pad & ~found).any():
            raise MachineFault(
                f"the tile of {child.operand.name} at {child.level} needs index {int(words[lost][0])} of axis {axis}",
                level=parent.level,
                expected="a tile of the parent that holds the tile of the child",
            )
        fresh = there & tile.fresh.reshape(shape)
        moved = (fresh if self.sweep else there) & (~pad | parent.pads)
        # In a batch, a word that stays is copied from the parent too, which still holds it.
        listed = fresh if self.sweep and not self.batched else there
        to, base = rebased(tile.positions.reshape(shape) * child.strides[axis], there)
        source, parent_base = rebased(source, there & found)
        number = self.patterns.number(to, source, moved, listed)
        read = self._served(np.where(moved, words - words.min(), ABSENT), self._names(axis))
        return Part(number, base, parent_base, int(np.count_nonzero(moved)), read)

    def _served(self, words: Ints, names: Sequence[Name]) -> int:
        return served(group_lanes(words, names, self.dims, self.parent.position, self.child.position))

    def _rows_above(self, axis: int) -> Iterator[Ints]:
        """Version and instance of the parent for each row of the child's tile."""
        dims = self.child.axis_dims(axis)
        for place, dim in enumerate(dims):
            for group, rows in enumerate((self._versions_above(dim), self._lanes_above(dim))):
                shape = [1] * (2 * len(dims) + 1)
                shape[2 * place + group] = -1
                yield rows.reshape(shape)

    def _versions_above(self, dim: Dimension) -> Ints:
        """The version of the parent for each version of the child along a dim."""
        version = np.arange(self.child.versions(dim, self.batch))
        if self.batch >= self.parent.loops:
            return version * 0
        return version // dim.batch(self.parent.loops, self.child.loops)

    def _lanes_above(self, dim: Dimension) -> Ints:
        return np.arange(self.child.lanes(dim.name)) // self._below(dim.name)

    def _below(self, name: str) -> int:
        """The number of lanes of a dim below one of the parent."""
        return self.child.lanes(name) // self.parent.lanes(name)

    # Lists from parts

    def _split(self, key: tuple[int, ...]) -> tuple[list[Arrays], dict[str, Bools]]:
        items = [self.patterns.items[number] for number in key]
        axes = len(self._parts)
        return items[:axes], {name: item[0] for name, item in zip(self.dims, items[axes:])}

    def _names(self, axis: int) -> tuple[Name, ...]:
        rows = tuple((group, dim.name) for dim in self.child.axis_dims(axis) for group in "el")
        return (*rows, ("n", str(axis)))

    def _offsets(self) -> Iterator[tuple[Name, Ints, Ints]]:
        """Along versions and lanes of every dim: parts of the addresses at child and parent."""
        versions, instances = self.child.version_strides(self.batch), self.child.instance_strides()
        versions_above, instances_above = self.parent.version_strides(self.batch), self.parent.instance_strides()
        for name, dim in self.dims.items():
            version, lane = np.arange(self.child.versions(dim, self.batch)), np.arange(self.child.lanes(name))
            yield ("e", name), version * versions[name], self._versions_above(dim) * versions_above[name]
            yield ("l", name), lane * instances[name], self._lanes_above(dim) * instances_above[name]

    def _chosen(self, parts: list[Arrays], busy: dict[str, Bools]) -> Coordinates | None:
        """The digits of every axis, if the list has each combination of them."""
        chosen: dict[Name, Ints] = {}
        for name, lanes in busy.items():
            chosen["e", name], chosen["l", name] = used(lanes)
            if not choose(lanes, [("e", name), ("l", name)], chosen).all():
                return None
        for axis, part in enumerate(parts):
            names = self._names(axis)
            listed = part[LISTED]
            for place, digits in enumerate(names[:-1]):
                listed = listed.take(chosen[digits], axis=place)
            chosen[names[-1]] = used(listed)[-1]
            if not listed.take(chosen[names[-1]], axis=-1).all():
                return None
        return chosen

    def _makers(self, parts: list[Arrays], chosen: Coordinates, order: Sequence[Name]) -> tuple[BoxMaker, BoxMaker]:
        """Child and parent addresses as boxes with the axes ``order``."""
        makers = BoxMaker(order), BoxMaker(order)
        for name, to, source in self._offsets():
            makers[0].add(choose(to, [name], chosen), [name])
            makers[1].add(choose(source, [name], chosen), [name])
        for axis, part in enumerate(parts):
            names = self._names(axis)
            makers[0].add(choose(part[TO], names, chosen), names)
            makers[1].add(choose(part[SOURCE], names, chosen), names)
        return makers

    def _frame(self, parts: list[Arrays]) -> Frame:
        axes: list[tuple[Name, int]] = [(("e", d.name), self.child.versions(d, self.batch)) for d in self.dims.values()]
        axes += [(("l", name), self.child.lanes(name)) for name in self.dims]
        axes += [(("n", str(axis)), part[TO].shape[-1]) for axis, part in enumerate(parts)]
        return Frame(axes)

    def _lists(self, parts: list[Arrays], busy: dict[str, Bools], frame: Frame) -> tuple[Bools, Ints, Ints, Bools]:
        """Over the whole frame: what is listed, addresses at child and parent, and whether the parent has the word."""
        listed, found = np.ones((), bool), np.ones((), bool)
        to, source = np.zeros((), np.int64), np.zeros((), np.int64)
        for axis, part in enumerate(parts):
            names = self._names(axis)
            listed = listed & frame.expand(part[LISTED], names)
            found = found & frame.expand(part[SOURCE] >= 0, names)
            to = to + frame.expand(part[TO], names)
            source = source + frame.expand(part[SOURCE], names)
        for name, lanes in busy.items():
            listed = listed & frame.expand(lanes, [("e", name), ("l", name)])
        for name_, child, parent in self._offsets():
            to = to + frame.expand(child, [name_])
            source = source + frame.expand(parent, [name_])
        listed, to, source, found = (np.broadcast_to(array, frame.shape) for array in (listed, to, source, found))
        return listed, to, source, found


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
