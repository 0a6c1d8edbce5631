"""Where the words of an operand are: a region of a level, in every instance, or a tensor in DRAM."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from effc.backends.accel.digits import Bools, Dimension, Ints
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import OperandSetting, Region
from effc.backends.accel.memory import Memory
from effc.backends.accel.tiles import AxisTile, axis_tile
from effc.compiler.target.model import Level

NO_BATCH = 1 << 30
"""Larger than any register: every register below a position runs."""


class Store:
    """An operand at a level. Address of a word: ``instance * words + sum(stride * position)`` over the axes."""

    def __init__(
        self,
        operand: OperandSetting,
        dims: dict[str, Dimension],
        level: Level,
        position: int,
        region: Region | None,
    ) -> None:
        self.operand, self.dims, self.region = operand, dims, region
        self.memory = Memory(level.name, 0, np.float32, False)
        self.level, self.position = level.name, position
        self.pads = level.padding == "stored"
        self.loops = 0 if region is None else region.loops
        self.window = 0 if region is None else region.window
        extents = () if region is None else region.extents
        packed = tuple(prod(extents[axis + 1 :]) for axis in range(len(extents)))
        self.strides = operand.strides if region is None else packed
        self.base = operand.base if region is None else 0
        self.words = 0 if region is None else prod(extents)  # of one instance
        self._lanes = {name: dim.lanes(position) for name, dim in dims.items()}
        self.instances = prod(self._lanes.values())
        self._tiles: dict[tuple[int, ...], AxisTile] = {}

    def lanes(self, dim: str) -> int:
        """The number of coordinates of ``dim`` among the instances."""
        return self._lanes[dim]

    def axis_dims(self, axis: int) -> list[Dimension]:
        return [self.dims[name] for name in self.operand.axes[axis].dims]

    def versions(self, dim: Dimension, batch: int) -> int:
        """How many tiles the batched registers, those from ``batch`` on, select along a dim."""
        return dim.batch(batch, self.loops) if batch < self.loops else 1

    def all_versions(self, batch: int) -> int:
        """How many tiles the batched registers select."""
        return prod(self.versions(dim, batch) for dim in self.dims.values())

    def instance_strides(self) -> dict[str, int]:
        """The address of an instance is the sum of its coordinates times these."""
        strides, stride = {}, self.words
        for name in reversed(self._lanes):
            strides[name] = stride
            stride *= self._lanes[name]
        return strides

    def version_strides(self, batch: int) -> dict[str, int]:
        """The address of a version of the whole region, where the batched registers select several."""
        strides, stride = {}, self.words * self.instances
        for name, dim in reversed(self.dims.items()):
            strides[name] = stride
            stride *= self.versions(dim, batch)
        return strides

    def tile(self, axis: int, running: Sequence[int], batch: int) -> AxisTile:
        """The tile along an axis, a row for each version and instance; there is none in DRAM.

        A sweep is followed from its start, of which the running registers then choose a part.
        """
        dims = self.axis_dims(axis)
        low = min(batch, self.loops - self.window)
        key = (axis, low, *(running[r] for dim in dims for r in dim.registers if r < low))
        window = self.window if any(self.loops - 1 in dim.registers for dim in dims) else 0
        if key not in self._tiles:
            tile = axis_tile(self.operand.axes[axis], dims, self.position, running, low, self.loops, window, self.pads)
            self._fits(axis, tile)
            self._tiles[key] = tile
        tile = self._tiles[key]
        if window and batch > low:
            tile = tile.rows([part for dim in dims for part in (self._part(dim, running, batch), slice(None))])
        return tile.packed() if batch < self.loops else tile

    def _fits(self, axis: int, tile: AxisTile) -> None:
        assert self.region is not None
        if tile.extent > self.region.extents[axis]:
            raise MachineFault(
                f"the tile of {self.operand.name} has {tile.extent} words along axis {axis}",
                level=self.level,
                expected=f"{self.region.extents[axis]} words at most, the extent of its region",
            )

    def _part(self, dim: Dimension, running: Sequence[int], batch: int) -> slice:
        """The versions among the steps of a sweep, its registers below ``batch`` being at their values."""
        step = 0
        for digit in dim.digits:
            if self.loops - self.window <= digit.register < min(batch, self.loops):
                step = step * digit.trips + running[digit.register]
        versions = self.versions(dim, batch)
        return slice(step * versions, (step + 1) * versions)

    def addresses(
        self, axis: int, words: Ints, rows: list[Ints], running: Sequence[int], batch: int
    ) -> tuple[Ints, Bools]:
        """The parts of addresses of words along an axis, and whether there are such words.

        ``rows`` holds the version and the instance coordinate for each dim of the axis, as arrays that broadcast.
        """
        if self.region is None:
            size = self.operand.axes[axis].size
            return words * self.strides[axis], (words >= 0) & (words < size)
        tile = self.tile(axis, running, batch)
        row = np.zeros((), np.int64)
        for size, coordinate in zip(tile.shape, rows):
            row = row * size + coordinate
        positions = tile.find(*np.broadcast_arrays(row, words))
        return positions * self.strides[axis], positions >= 0
