"""Array passes: what ``mac`` does, as one batch of matrix products.

In every lane, the digits that the output and W have are rows, those that the output and I have are columns, those that
all have make batches, and those that the output does not have are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from effc.backends.accel.digits import Dimension
from effc.backends.accel.frame import Frame, Name
from effc.backends.accel.gathers import BiasGather, Gather, PsumGather, Window
from effc.backends.accel.memory import Memory, Words
from effc.backends.accel.parts import Memo
from effc.backends.accel.stores import Store


@dataclass(frozen=True, slots=True)
class Work:
    """Counts of a pass by dim, to be multiplied: points on all lanes, and points on the first lane."""

    macs: int
    cycles: int


@dataclass
class Tally:
    """What a pass moved: words (read, received) of each read operand, updates of psums and how many were first."""

    macs: int
    cycles: int
    reads: dict[str, tuple[int, int]]
    updates: int
    first: int


class ArrayPass:
    """The array pass at one place in the code: registers as in ``window``.

    ``memories`` holds the memory of every operand, which in a batch has a version of the tile for each value of the
    batched registers that select it.
    """

    def __init__(
        self,
        stores: dict[str, Store],
        dims: dict[str, Dimension],
        reads: tuple[str, str],
        output: str,
        bias: str | None,
        window: Window,
        bottom: int,
    ) -> None:
        self.stores, self.dims, self.window = stores, dims, window
        self.reads, self.output, self.bias = reads, output, bias
        self.reduced = frozenset(dims) - {d for axis in stores[output].operand.axes for d in axis.dims}
        self._label(reads)
        first, second = reads
        lanes = {name: dim.lanes() for name, dim in dims.items()}
        self.columns = Gather(stores[first], dims, window, self._frame(lanes, "bkn"), bottom)
        self.rows = Gather(stores[second], dims, window, self._frame(lanes, "bmk"), bottom)
        kept = {n: stores[output].lanes(n) if n in self.reduced else size for n, size in lanes.items()}
        self.psums = PsumGather(stores[output], dims, window, self._frame(kept, "bmn"), bottom)
        self.initial: BiasGather | None = None
        if bias is not None:
            once = {n: 1 if n in self.reduced else size for n, size in lanes.items()}
            self.initial = BiasGather(stores[bias], dims, window, self._frame(once, "bmn"), bottom, self.reduced)
        self._work = [Memo(partial(self._count, dim), [dim], window.low) for dim in dims.values()]
        self._starts = sorted(r for name in self.reduced for r in dims[name].registers if r < window.low)
        self._shape = tuple(size for size in lanes.values())

    def _label(self, reads: tuple[str, str]) -> None:
        """Sort the batch and free digits of every dim into batches, rows (m), columns (n) and what is summed (k)."""
        self.labels: dict[str, list[Name]] = {"b": [], "m": [], "k": [], "n": []}
        self.sizes: dict[Name, int] = {}
        low, high = self.window.low, self.window.high
        for name, dim in self.dims.items():
            for group, size in (("b", dim.batch(low, high)), ("f", dim.batch(high, 1 << 30))):
                label = (group, name)
                self.sizes[label] = size
                in_first, in_second = (self._depends(operand, label) for operand in reads)
                if not self._depends(self.output, label):
                    kind = "k"
                elif in_first:
                    kind = "b" if in_second else "n"
                else:
                    kind = "m"
                self.labels[kind].append(label)

    def _depends(self, operand: str, label: Name) -> bool:
        """Whether a digit selects words of an operand, by its index or by the version of its tile."""
        store, (group, name) = self.stores[operand], label
        if any(name in axis.dims for axis in store.operand.axes):
            return True
        return group == "b" and store.versions(self.dims[name], self.window.low) > 1

    def _frame(self, lanes: dict[str, int], kinds: str) -> Frame:
        """Lanes, then the labels of some kinds at full size, then the others at size one."""
        axes: list[tuple[Name, int]] = [(("l", name), size) for name, size in lanes.items()]
        for kind in kinds:
            axes += [(label, self.sizes[label]) for label in self.labels[kind]]
        axes += [(label, 1) for kind in self.labels if kind not in kinds for label in self.labels[kind]]
        return Frame(axes)

    def _size(self, kind: str) -> int:
        return prod(self.sizes[label] for label in self.labels[kind])

    def _count(self, dim: Dimension, running: Sequence[int]) -> Work:
        _, valid = self.window.points(dim, running)
        return Work(int(np.count_nonzero(valid)), int(np.count_nonzero(valid[:, 0, :])))

    def run(self, running: Sequence[int], memories: dict[str, Memory]) -> Tally:
        """Execute the pass."""
        tally = Tally(1, 1, {}, 0, 0)
        for memo in self._work:
            work = memo(running)
            tally.macs *= work.macs
            tally.cycles *= work.cycles
        first, second = self.reads
        columns = self._read(self.columns, first, running, memories, tally)
        rows = self._read(self.rows, second, running, memories, tally)
        lanes, batches = prod(self._shape), self._size("b")
        m, k, n = (self._size(kind) for kind in "mkn")
        product = np.matmul(rows.reshape(lanes, batches, m, k), columns.reshape(lanes, batches, k, n))
        self._update(self._reduce(product), running, memories, tally)
        return tally

    def _read(
        self, gather: Gather, operand: str, running: Sequence[int], memories: dict[str, Memory], tally: Tally
    ) -> Words:
        addresses, base, read, received = gather(running)
        tally.reads[operand] = (read, received)
        memory = memories[operand]
        memory.require(base, addresses)
        words: Words = memory.data[base:].take(addresses)
        return words

    def _reduce(self, product: Words) -> Words:
        """Sum over the lanes that share a word of the output's memory."""
        shape: list[int] = []
        summed: list[int] = []
        for name, size in zip(self.dims, self._shape):
            above = self.stores[self.output].lanes(name) if name in self.reduced else size
            shape += [above, size // above]
            if size > above:
                summed.append(len(shape) - 1)
        if not summed:
            return product
        total: Words = product.reshape(*shape, -1).sum(axis=tuple(summed))
        return total

    def _update(self, values: Words, running: Sequence[int], memories: dict[str, Memory], tally: Tally) -> None:
        addresses, base, _, tally.updates = self.psums(running)
        values = values.reshape(addresses.shape)
        if self.initial is not None and not any(running[register] for register in self._starts):
            assert self.bias is not None
            words = self._read(self.initial, self.bias, running, memories, tally)
            tally.reads[self.bias] = (tally.reads[self.bias][1],) * 2
            values[self._first_lanes()] += words
        memory = memories[self.output]
        assert memory.valid is not None
        data, live = memory.data[base:], memory.valid[base:]
        known = live.take(addresses)
        tally.first = addresses.size - int(np.count_nonzero(known))
        data[addresses] = values + np.where(known, data.take(addresses), 0)
        live[addresses] = True

    def _first_lanes(self) -> tuple[slice, ...]:
        """The lanes whose reduction coordinates are zero."""
        return tuple(slice(0, 1) if name in self.reduced else slice(None) for name in self.dims)
