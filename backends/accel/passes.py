"""Array passes: what ``mac`` does, as one batch of matrix products.

In every lane, the digits that the output and W have are rows ("m"), those that the output and I have are columns ("n"),
those that all have make batches ("b"), and those that the output does not have are summed ("k").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from effc.backends.accel.boxes import Box, Words
from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.backends.accel.frame import Name
from effc.backends.accel.gathers import BiasGather, Gather, Layout, PsumGather, Window
from effc.backends.accel.memory import ZERO, Memory
from effc.backends.accel.moves import Addresses
from effc.backends.accel.parts import Memo, Patterns
from effc.backends.accel.stores import Store


@dataclass(frozen=True, slots=True)
class Work:
    """Points of one dim, by number of the pattern; counts to be multiplied: on all lanes, and on the first lane."""

    pattern: int
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
    gated: int = 0  # MACs on a zero, where zeros are looked for


class ArrayPass:
    """The array pass at one place in the code: registers as in ``window``. ``reads`` are one or two operands.

    ``gates``: the operands whose zeros are looked for.
    """

    def __init__(
        self,
        stores: dict[str, Store],
        dims: dict[str, Dimension],
        reads: tuple[str, ...],
        output: str,
        bias: str | None,
        window: Window,
        bottom: int,
        gates: tuple[str, ...] = (),
    ) -> None:
        self.stores, self.dims, self.window, self.gates = stores, dims, window, gates
        self.reads, self.output, self.bias = reads, output, bias
        self.reduced = frozenset(dims) - {d for axis in stores[output].operand.axes for d in axis.dims}
        self.labels = self._labels()
        self.columns, *rows = (Gather(stores[o], dims, window, k, bottom) for o, k in zip(reads, ("bkn", "bmk")))
        self.rows = rows[0] if rows else None
        self.psums = PsumGather(stores[output], dims, window, "bmn", bottom)
        self.initial = None if bias is None else BiasGather(stores[bias], dims, window, "bmn", bottom, self.reduced)
        self._patterns = Patterns()
        self._work = [Memo(partial(self._count, dim), [dim], window.low) for dim in dims.values()]
        self._starts = sorted(r for name in self.reduced for r in dims[name].registers if r < window.low)
        self._layouts: dict[tuple[int, ...], Layout] = {}

    def _labels(self) -> dict[str, list[Name]]:
        """Batch and free digits of every dim, by kind."""
        labels: dict[str, list[Name]] = {"b": [], "m": [], "k": [], "n": []}
        for label in ((group, name) for name in self.dims for group in "bf"):
            first, second = (*(self._depends(operand, label) for operand in self.reads), False)[:2]
            if not self._depends(self.output, label):
                kind = "k"
            elif first:
                kind = "b" if second else "n"
            else:
                kind = "m"
            labels[kind].append(label)
        return labels

    def _depends(self, operand: str, label: Name) -> bool:
        """Whether a digit selects words of an operand, by its index or by the version of its tile."""
        store, (group, name) = self.stores[operand], label
        if any(name in axis.dims for axis in store.operand.axes):
            return True
        return group == "b" and store.versions(self.dims[name], self.window.low) > 1

    def _count(self, dim: Dimension, running: Sequence[int]) -> Work:
        _, valid = self.window.points(dim, running)
        number = self._patterns.number(valid)
        return Work(number, int(np.count_nonzero(valid)), int(np.count_nonzero(valid[:, 0, :])))

    def _layout(self, number: tuple[int, ...]) -> Layout:
        """The digits that any point has, of every dim."""
        coordinates: dict[Name, Ints] = {}
        for dim, pattern in zip(self.dims.values(), number):
            valid: Bools = self._patterns.items[pattern][0]
            for axis, group in enumerate("blf"):
                others = tuple(other for other in range(3) if other != axis)
                coordinates[group, dim.name] = np.flatnonzero(np.any(valid, axis=others))
            above = self.stores[self.output].lanes(dim.name)
            if dim.name in self.reduced and 1 < above < dim.lanes():
                coordinates["l", dim.name] = np.arange(dim.lanes())  # lanes that share a word stay together
        return Layout(len(self._layouts), coordinates, self.labels)

    def run(self, running: Sequence[int], memories: dict[str, Memory]) -> Tally:
        """Execute the pass."""
        tally = Tally(1, 1, {}, 0, 0)
        numbers = []
        for memo in self._work:
            work = memo(running)
            numbers.append(work.pattern)
            tally.macs *= work.macs
            tally.cycles *= work.cycles
        key = tuple(numbers)
        if key not in self._layouts:
            self._layouts[key] = self._layout(key)
        layout = self._layouts[key]
        batches, m, k, n = (layout.size(kind) for kind in "bmkn")
        columns = self._read(self.columns, layout, running, memories, tally).reshape(-1, batches, k, n)
        if self.rows is None:
            rows = np.ones((1, 1, m, k), columns.dtype)
        else:
            rows = self._read(self.rows, layout, running, memories, tally).reshape(-1, batches, m, k)
        if self.gates:
            live = np.matmul(
                self._live(self.rows, rows, layout, running), self._live(self.columns, columns, layout, running)
            )
            tally.gated = tally.macs - int(live.sum())
        values = self._reduce(np.matmul(rows, columns), layout)
        self._update(values, layout, running, memories, tally)
        return tally

    def _read(
        self, gather: Gather, layout: Layout, running: Sequence[int], memories: dict[str, Memory], tally: Tally
    ) -> Words:
        addresses, base, read, received = gather(running, layout)
        operand = gather.store.operand.name
        tally.reads[operand] = (read, received)
        return fetch(memories[operand], addresses, base)

    def _live(self, gather: Gather | None, values: Words, layout: Layout, running: Sequence[int]) -> Words:
        """One for every word that lets its MACs work: one that is there, and not zero if the operand gates."""
        live: Words = values != 0
        if gather is not None and gather.store.operand.name not in self.gates:
            addresses, *_ = gather(running, layout)
            live = np.ones(values.shape) if isinstance(addresses, Box) else (addresses != ZERO).reshape(values.shape)
        return np.asarray(live, np.float64)

    def _reduce(self, product: Words, layout: Layout) -> Words:
        """Sum over the lanes that share a word of the output's memory."""
        shape: list[int] = []
        summed: list[int] = []
        for name in self.dims:
            lanes = len(layout.coordinates["l", name])
            above = min(lanes, self.stores[self.output].lanes(name)) if name in self.reduced else lanes
            shape += [above, lanes // above]
            if lanes > above:
                summed.append(len(shape) - 1)
        if not summed:
            return product
        total: Words = product.reshape(*shape, -1).sum(axis=tuple(summed))
        return total

    def _update(
        self, values: Words, layout: Layout, running: Sequence[int], memories: dict[str, Memory], tally: Tally
    ) -> None:
        addresses, base, _, tally.updates = self.psums(running, layout)
        values = values.reshape(addresses.shape)
        if self.initial is not None and not any(running[register] for register in self._starts):
            words = self._read(self.initial, layout, running, memories, tally)
            name = self.initial.store.operand.name
            tally.reads[name] = (tally.reads[name][1],) * 2
            values[self._first_lanes()] += words
        tally.first = accumulate(memories[self.output], addresses, base, values)

    def _first_lanes(self) -> tuple[slice, ...]:
        """The lanes whose reduction coordinates are zero."""
        return tuple(slice(0, 1) if name in self.reduced else slice(None) for name in self.dims)


def fetch(memory: Memory, addresses: Box | Addresses, base: int) -> Words:
    """The words at some addresses, in the shape of the list."""
    if isinstance(addresses, Box):
        memory.require_box(base, addresses)
        return addresses.view(memory.data, base)
    memory.require(base, addresses)
    words: Words = memory.after(base).take(addresses)
    return words


def accumulate(memory: Memory, addresses: Box | Addresses, base: int, values: Words) -> int:
    """Add values to partial sums; the number of words that had none before and start with theirs."""
    assert memory.valid is not None
    if isinstance(addresses, Box):
        data, live = addresses.view(memory.data, base), addresses.bits(memory.valid, base)
        known = int(np.count_nonzero(live))
        if known == live.size:
            data += values
        elif not known:
            data[...] = values
        else:
            data[...] = values + np.where(addresses.view(memory.valid, base), data, 0)
        live[...] = True
        return live.size - known
    data, live = memory.after(base), memory.bits(base)
    before = live.take(addresses)
    data[addresses] = values + np.where(before, data.take(addresses), 0)
    live[addresses] = True
    return before.size - int(np.count_nonzero(before))
