"""Partial sums: the lists of addresses that open and drain tiles, and their execution.

Lanes that share a word (reduction digits between parent and child) stand last in a list; the first of them is lane 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from effc.backends.accel.boxes import Box, BoxMaker
from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.backends.accel.frame import Frame, Name
from effc.backends.accel.memory import ZERO, Memory
from effc.backends.accel.moves import Addresses, MoveLists
from effc.backends.accel.stores import Store


@dataclass(frozen=True, slots=True)
class PsumList:
    """What each word of the parent is the sum of: the lanes that share it, the last ``shared`` axes of ``child``.

    In a plain list they are the first axis, and an idle lane is ZERO.
    """

    child: Box | Addresses
    parent: Box | Addresses
    shared: int
    distinct: int  # words of the parent

    @property
    def first(self) -> tuple[Any, ...]:
        """The lane of each word that receives what returns."""
        return (..., *(0,) * self.shared)

    def start(self, child: Memory, base: int, parent: Memory, parent_base: int) -> int:
        """Start the tiles: from what the parent holds, the rest from zero. The number of words that return."""
        assert child.valid is not None
        assert parent.valid is not None
        if isinstance(self.child, Box) and isinstance(self.parent, Box):
            return self._start_box(self.child, self.parent, child, base, parent, parent_base)
        assert isinstance(self.child, np.ndarray)
        assert isinstance(self.parent, np.ndarray)
        data, live = child.after(base), child.bits(base)
        held = self.child[self.child >= 0]
        data[held] = 0
        live[held] = False
        back = parent.bits(parent_base).take(self.parent)
        first = self.child[0, back]
        data[first] = parent.after(parent_base).take(self.parent[back])
        live[first] = True
        return len(first)

    def _start_box(self, to: Box, source: Box, child: Memory, base: int, parent: Memory, parent_base: int) -> int:
        assert child.valid is not None
        assert parent.valid is not None
        back = int(np.count_nonzero(source.bits(parent.valid, parent_base)))
        data = to.view(child.data, base)
        if self.shared or not back:
            data[...] = 0
            to.bits(child.valid, base)[...] = False
        if back == source.size:
            data[self.first] = source.view(parent.data, parent_base)
            if self.shared:
                to.view(child.valid, base)[self.first] = True
            else:
                to.bits(child.valid, base)[...] = True
        elif back:
            held = source.view(parent.valid, parent_base)
            data[self.first] = np.where(held, source.view(parent.data, parent_base), 0)
            to.view(child.valid, base)[self.first] = held
        return back

    def drain(self, child: Memory, base: int, parent: Memory, parent_base: int) -> None:
        """Send the tiles to the parent, words that several lanes share added up."""
        assert parent.valid is not None
        if isinstance(self.child, Box) and isinstance(self.parent, Box):
            child.require_box(base, self.child)
            data = self.child.view(child.data, base)
            axes = tuple(range(data.ndim - self.shared, data.ndim))
            self.parent.view(parent.data, parent_base)[...] = data.sum(axis=axes, dtype=data.dtype) if axes else data
            self.parent.bits(parent.valid, parent_base)[...] = True
            return
        assert isinstance(self.child, np.ndarray)
        assert isinstance(self.parent, np.ndarray)
        child.require(base, self.child)
        values = child.after(base).take(self.child)
        total = values[0] if len(values) == 1 else values.sum(axis=0, dtype=values.dtype)
        parent.after(parent_base)[self.parent] = total
        parent.bits(parent_base)[self.parent] = True


class PsumLists(MoveLists[PsumList]):
    """The lists of the open and drain instructions of one region."""

    def __init__(
        self, child: Store, parent: Store, dims: dict[str, Dimension], batch: int, reduced: frozenset[str]
    ) -> None:
        super().__init__(child, parent, dims, batch)
        self.reduced = reduced

    def _build(self, key: tuple[int, ...]) -> PsumList:
        parts, busy = self._split(key)
        frame = self._frame(parts)
        chosen = self._chosen(parts, busy)
        order = self._order(frame)
        if chosen is not None and order is not None:
            last = [name for name in order if self._is_shared(name)]
            child, parent = self._makers(parts, chosen, order)
            boxes = child.box(), _without(parent, last).box()
            if boxes[0] is not None and boxes[1] is not None and boxes[1].distinct:
                return PsumList(boxes[0], boxes[1], len(last), boxes[1].size)
        listed, to, source, _ = self._lists(parts, busy, frame)
        there, to, source = (self._by_sharing(array, frame) for array in (listed, to, source))
        words: Bools = np.any(there, axis=0)
        parents = source[0, words].astype(np.intp)
        lanes = np.ascontiguousarray(np.where(there, to, ZERO)[:, words], dtype=np.intp)
        return PsumList(lanes, parents, 1, len(np.unique(parents)))

    def _is_shared(self, name: Name) -> bool:
        return name[0] == "l" and name[1] in self.reduced and self._below(name[1]) > 1

    def _order(self, frame: Frame) -> list[Name] | None:
        """The axes of a box: those that share words last. None if an axis mixes lanes that do and do not."""
        last = [name for name in frame.axes if self._is_shared(name)]
        if any(self.parent.lanes(name) > 1 for _, name in last):
            return None
        return [name for name in frame.axes if name not in last] + last

    def _by_sharing(self, array: Ints | Bools, frame: Frame) -> Ints:
        """[lanes that share a word, words]."""
        shape: list[int] = []
        last: list[int] = []
        for name, size in frame.axes.items():
            if self._is_shared(name):
                shape += [self.parent.lanes(name[1]), self._below(name[1])]
                last.append(len(shape) - 1)
            else:
                shape.append(size)
        order = last + [place for place in range(len(shape)) if place not in last]
        shared = int(np.prod([shape[place] for place in last], dtype=np.int64))
        return array.reshape(shape).transpose(order).reshape(shared, -1)


def _without(maker: BoxMaker, names: list[Name]) -> BoxMaker:
    """The box at the first place along some axes."""
    for name in names:
        del maker.sizes[name], maker.strides[name]
    return maker
