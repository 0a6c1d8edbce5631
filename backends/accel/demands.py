"""What instructions ask of ports and of the array, for all values of the loop registers.

A demand is a product of parts, one per axis of the operand and one per dim beside, each of which depends on a few
registers only. Of every instance the busiest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.backends.accel.frame import Name, served
from effc.backends.accel.parts import ABSENT
from effc.backends.accel.ports import Port, Ports
from effc.backends.accel.stores import NO_BATCH, Store
from effc.backends.accel.tiles import axis_values
from effc.compiler.target.model import WAYS
from effc.ir.nest import Axis

Factors = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A port that a transfer passes, and where on its way: words are counted for one instance of the level ``at``."""

    port: Port
    at: int


class Table:
    """A function of some loop registers, as numbers of its values; and the same for every prefix of the registers.

    ``numbers``, on the grid of the registers, says which of ``values`` it has where.
    """

    def __init__(self, registers: Sequence[int], values: Sequence[object], numbers: Ints) -> None:
        self.registers = tuple(registers)
        known: dict[object, int] = {}
        unlike = np.array([known.setdefault(value, len(known)) for value in values], np.int64)
        self.values = list(known)
        self.prefixes = [unlike[numbers]]
        while self.prefixes[0].ndim:
            inner, rows = self.prefixes[0], dict[bytes, int]()
            ids = [rows.setdefault(row.tobytes(), len(rows)) for row in inner.reshape(-1, inner.shape[-1])]
            self.prefixes.insert(0, np.array(ids, np.int64).reshape(inner.shape[:-1]))

    def at(self, running: Sequence[int]) -> object:
        """The value for these registers."""
        return self.values[self.prefixes[-1][tuple([running[r] for r in self.registers])]]

    def number(self, running: Sequence[int], depth: int) -> int:
        """A number for what the function is once the registers below ``depth`` have their values."""
        fixed = [running[r] for r in self.registers if r < depth]
        return int(self.prefixes[len(fixed)][tuple(fixed)])


class Demand:
    """Ticks at every port of ``uses``, as products of the factors of several tables."""

    def __init__(self, uses: Sequence[Use], tables: Sequence[Table]) -> None:
        self.uses, self.tables = uses, tables

    def at(self, running: Sequence[int]) -> Factors:
        """The ticks for these registers, one number for each use."""
        parts = [table.at(running) for table in self.tables]
        return tuple(use.port.ticks * prod(part[i] for part in parts) for i, use in enumerate(self.uses))  # type: ignore[index]


class Demands:
    """The demands of the instructions of a layer."""

    def __init__(self, ports: Ports, dims: dict[str, Dimension], trips: Sequence[int], output: str) -> None:
        self.ports, self.dims, self.trips, self.output = ports, dims, trips, output
        self.bottom = len(ports.target.levels)

    def path(self, child: int, parent: int, operand: str, inwards: bool) -> list[Use]:
        """The ports between two levels, from outer to inner; ``child`` may be the MACs."""
        outer, inner = WAYS[inwards]
        uses = [_use(self.ports.bank(parent, operand, outer), parent)]
        uses += [
            _use(self.ports.link(level, operand, outer), level) for level in range(parent, min(child, self.bottom))
        ]
        if child < self.bottom:
            uses.append(_use(self.ports.bank(child, operand, inner), child))
        return [use for use in uses if use is not None]

    # Moves

    def move(self, child: Store, parent: Store, uses: Sequence[Use], sweep: bool) -> Demand:
        """A fill, or all words of a tile of partial sums."""
        if not uses:
            return Demand((), ())
        united = child.operand.name == self.output
        tables = []
        for axis in range(len(child.operand.axes)):
            dims = child.axis_dims(axis)
            moved = partial(self._moved, child, parent, uses, axis, sweep, united)
            tables.append(self._table(dims, child.loops, moved, child.operand.axes[axis]))
        for dim in self._others(child):
            tables.append(self._table([dim], child.loops, partial(self._busy, child, uses, dim, united)))
        return Demand(uses, tables)

    def _moved(
        self, child: Store, parent: Store, uses: Sequence[Use], axis: int, sweep: bool, united: bool, running: list[int]
    ) -> Factors:
        tile = child.tile(axis, running, NO_BATCH)
        shape = (*tile.shape, -1)
        words, there = tile.words.reshape(shape), (tile.positions >= 0).reshape(shape)
        pad = (words < 0) | (words >= child.operand.axes[axis].size)
        moved = (there & tile.fresh.reshape(shape) if sweep else there) & (~pad | parent.pads)
        ids = np.where(moved, words - words.min(), ABSENT)
        names = [(group, dim.name) for dim in child.axis_dims(axis) for group in "el"] + [("n", "")]
        return tuple(self._busiest(ids, names, use.at, child.position, united) for use in uses)

    def _busy(self, child: Store, uses: Sequence[Use], dim: Dimension, united: bool, running: list[int]) -> Factors:
        valid = dim.points(running, child.loops, child.loops).valid
        busy: Bools = np.any(valid.reshape(1, child.lanes(dim.name), -1), axis=2)
        names = [("e", dim.name), ("l", dim.name)]
        ids = np.where(busy, 0, ABSENT)
        return tuple(self._busiest(ids, names, use.at, child.position, united) for use in uses)

    # Array passes

    def read(self, store: Store, depth: int, uses: Sequence[Use]) -> Demand:
        """What the lanes read of an operand in a pass inside ``depth`` loops."""
        return self._pass(store, depth, uses, united=False, first=False)

    def update(self, store: Store, depth: int, uses: Sequence[Use]) -> Demand:
        """The updates of partial sums in a pass."""
        return self._pass(store, depth, uses, united=True, first=False)

    def first(self, store: Store, depth: int, uses: Sequence[Use]) -> Demand:
        """The words of partial sums that a pass updates, each once."""
        return self._pass(store, depth, uses, united=True, first=True)

    def _pass(self, store: Store, depth: int, uses: Sequence[Use], united: bool, first: bool) -> Demand:
        if not uses:
            return Demand((), ())
        tables = []
        for axis in range(len(store.operand.axes)):
            dims = store.axis_dims(axis)
            points = partial(self._points, store, uses, axis, depth, united)
            tables.append(self._table(dims, depth, points, store.operand.axes[axis]))
        if not first:
            for dim in self._others(store):
                tables.append(self._table([dim], depth, partial(self._lanes, uses, dim, depth, united)))
        return Demand(uses, tables)

    def _points(
        self, store: Store, uses: Sequence[Use], axis: int, depth: int, united: bool, running: list[int]
    ) -> Factors:
        dims = store.axis_dims(axis)
        indices, valid = [], np.ones((), bool)
        for place, dim in enumerate(dims):
            points = dim.points(running, depth, depth)
            shape = [1] * (3 * len(dims))
            shape[3 * place : 3 * place + 3] = points.index.shape
            indices.append(points.index.reshape(shape))
            valid = valid & points.valid.reshape(shape)
        words, valid = np.broadcast_arrays(axis_values(store.operand.axes[axis], indices), valid)
        pad = (words < 0) | (words >= store.operand.axes[axis].size)
        ids = np.where(valid & (~pad | store.pads), words - words.min(), ABSENT)
        names = [(group, dim.name) for dim in dims for group in "blf"]
        return tuple(self._busiest(ids, names, use.at, self.bottom, united) for use in uses)

    def _lanes(self, uses: Sequence[Use], dim: Dimension, depth: int, united: bool, running: list[int]) -> Factors:
        ids = np.where(dim.points(running, depth, depth).valid, 0, ABSENT)
        names = [(group, dim.name) for group in "blf"]
        return tuple(self._busiest(ids, names, use.at, self.bottom, united) for use in uses)

    def cycles(self, depth: int) -> Demand:
        """The cycles of a pass, in ticks."""
        clock = [Use(Port("compute", int(self.ports.cycle * self.ports.work)), 0)]
        return Demand(
            clock, [self._table([dim], depth, partial(self._steps, dim, depth)) for dim in self.dims.values()]
        )

    def _steps(self, dim: Dimension, depth: int, running: list[int]) -> Factors:
        return (int(np.count_nonzero(dim.points(running, depth, depth).valid[:, 0, :])),)

    # Loops

    def trip_counts(self, register: int) -> Table:
        """The trip count of a loop."""
        dim = next(dim for dim in self.dims.values() if register in dim.registers)
        return self._table([dim], register, partial(dim.trip_count, register=register))

    # Parts

    def _others(self, store: Store) -> list[Dimension]:
        used = {name for axis in store.operand.axes for name in axis.dims}
        return [dim for dim in self.dims.values() if dim.name not in used]

    def _table(
        self, dims: Sequence[Dimension], low: int, function: Callable[[list[int]], object], axis: Axis | None = None
    ) -> Table:
        """A function of the registers below ``low`` that count some dims.

        It depends on which indices are valid; and, where an ``axis`` has padding, on where they are.
        """
        registers = sorted(r for dim in dims for r in dim.registers if r < low)
        if not registers:
            return Table((), [function([0] * len(self.trips))], np.zeros((), np.int64))
        alike = np.zeros([self.trips[r] for r in registers], np.int64)
        for dim in dims:
            numbers = dim.alike(low)
            alike *= 1 + numbers.max()
            alike += _spread(numbers, dim, registers)
        if axis is not None:
            outside = ~np.broadcast_to(_inside(axis, dims, low, registers), alike.shape)
            alike[outside] = 1 + alike.max(initial=0) + np.arange(np.count_nonzero(outside))
        _, first, numbers = np.unique(alike, return_index=True, return_inverse=True)
        values = []
        for place in zip(*np.unravel_index(first, alike.shape)):
            running = [0] * len(self.trips)
            for register, value in zip(registers, place):
                running[register] = int(value)
            values.append(function(running))
        return Table(registers, values, numbers.reshape(alike.shape))

    def _busiest(self, words: Ints, names: Sequence[Name], level: int, child: int, united: bool) -> int:
        """The words that one instance of ``level`` serves, of the busiest."""
        shape: list[int] = []
        kinds: list[str] = []
        for (group, name), size in zip(names, words.shape):
            if group == "l":
                digits = [digit for digit in self.dims[name].mesh if digit.level < child]
                shape += [digit.trips for digit in digits]
                kinds += [_kind(digit.level < level, united, digit.multicast) for digit in digits]
            else:
                shape.append(size)
                kinds.append("words" if group == "n" else "none")
        places = {k: [p for p in range(len(kinds)) if kinds[p] == k] for k in ("above", "none", "tiles", "words")}
        order = [place for found in places.values() for place in found]
        sizes = [prod(shape[p] for p in found) for found in places.values()]
        rows = {row.tobytes(): row for row in words.reshape(shape).transpose(order).reshape(sizes)}
        return max(served(row) for row in rows.values())


def _inside(axis: Axis, dims: Sequence[Dimension], low: int, registers: Sequence[int]) -> Bools:
    """Where no index along an axis lies in padding, for all values of the registers below ``low``."""
    reaches = {dim.name: [_spread(end, dim, registers) for end in dim.reach(low)] for dim in dims}
    first, last = (axis.offset + sum(factor * reaches[dim][end] for factor, dim in axis.terms) for end in (0, 1))
    return np.asarray((first >= 0) & (last < axis.size))


def _spread(values: Ints, dim: Dimension, registers: Sequence[int]) -> Ints:
    """What depends on the registers of one dim, laid out so that it broadcasts on the grid of several."""
    sizes = iter(values.shape)
    return values.reshape([next(sizes) if register in dim.registers else 1 for register in registers])


def _kind(above: bool, united: bool, multicast: str) -> str:
    return "above" if above else "words" if united else multicast


def _use(port: Port | None, at: int) -> Use | None:
    return None if port is None else Use(port, at)


def summed_registers(dims: dict[str, Dimension], output: Store) -> Iterator[int]:
    """The loop registers of dims that the output does not have."""
    used = {name for axis in output.operand.axes for name in axis.dims}
    for dim in dims.values():
        if dim.name not in used:
            yield from dim.registers
