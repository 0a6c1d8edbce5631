"""The outermost memory, where each tensor has words of its own type, and what the array sees of them.

The array adds up integers as they are above their zero points. The simulator does so in floating point as long as that
is exact: sums of integers, in whatever order, never leave ``-largest .. largest``, the largest magnitudes of the
operands multiplied and added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.backends.accel.boxes import Box, Words
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import NestLayer, OperandSetting, Slot
from effc.backends.accel.memory import CELLS, TRASH, Memory
from effc.ir.types import integer_bits, storage

EXACT = ((1 << 24, np.dtype(np.float32)), (1 << 53, np.dtype(np.float64)))
"""Integers below the bound are exact in the type."""


def setting_box(operand: OperandSetting) -> Box:
    """Where the words of an operand lie."""
    return Box(operand.base, tuple(axis.size for axis in operand.axes), operand.strides)


class Dram:
    """Words in planes, one for each type; an address is valid in one of them. ``dtype`` holds floating point."""

    def __init__(self, level: str, words: int, dtype: np.dtype[Any]) -> None:
        self.level, self.words, self.dtype = level, words, dtype
        self.valid = np.zeros(words + CELLS, bool)
        self.valid[TRASH:] = True
        self.planes: dict[np.dtype[Any], Memory] = {}

    def plane(self, dtype: str) -> Memory:
        """The words of a type. A machine that was asked for another type than float32 keeps all in that.

        Types of 16 bits are kept in 32, and rounded as they are written.
        """
        other = self.dtype != np.float32 or (integer_bits(dtype) is None and dtype != "float64")
        kind = self.dtype if other else np.dtype(np.float64) if dtype == "float64" else storage(dtype)
        if kind not in self.planes:
            self.planes[kind] = Memory.sharing(self.level, self.words, kind, self.valid)
        return self.planes[kind]

    def forget(self, box: Box) -> None:
        """Some words were never written."""
        box.view(self.valid, 0)[...] = False

    def layer(self, layer: NestLayer, slots: Mapping[str, Slot]) -> Memory:
        """What a layer on the array sees: words of floating point, or a copy of integers without zero points.

        It is as wide as the widest operand, sums included.
        """
        reads = [slots[operand.tensor].dtype for operand in layer.operands if operand.kind != "write"]
        whole = [self.dtype == np.float32 and integer_bits(dtype) is not None for dtype in reads]
        if not any(whole):
            wide = any(slots[operand.tensor].dtype == "float64" for operand in layer.operands)
            memory = self.plane("float64" if wide else "float32")
            for operand in layer.operands:
                plane = self.plane(slots[operand.tensor].dtype)
                if operand.kind != "write" and plane is not memory:
                    box = setting_box(operand)
                    box.view(memory.data, 0)[...] = box.view(plane.data, 0)
            return memory
        if not all(whole):
            raise MachineFault(f"operands of {', '.join(reads)}", expected="all of integers, or all of floating point")
        words = {o.name: self._centred(o, slots) for o in layer.operands if o.kind != "write"}
        largest = largest_sum(layer, words)
        kind = next((dtype for bound, dtype in EXACT if largest < bound), np.dtype(np.int64))
        memory = Memory.sharing(self.level, self.words, kind, self.valid)
        for operand in layer.operands:
            if operand.name in words:
                setting_box(operand).view(memory.data, 0)[...] = words[operand.name]
        return memory

    def _centred(self, operand: OperandSetting, slots: Mapping[str, Slot]) -> Words:
        """The words of an operand above their zero point."""
        words = setting_box(operand).view(self.plane(slots[operand.tensor].dtype).data, 0).astype(np.int64)
        if operand.zero is None:
            return words
        zero = Box(operand.zero.base, tuple(axis.size for axis in operand.axes), operand.zero.strides)
        if not zero.view(self.valid, 0).all():
            raise MachineFault(f"the zero point of {operand.name} was never written", level=self.level)
        centred: Words = words - zero.view(self.plane(slots[operand.zero.tensor].dtype).data, 0)
        return centred

    def keep(self, layer: NestLayer, memory: Memory, dtype: str) -> None:
        """Put the sums of a layer where they belong, in the type of sums."""
        written = next(operand for operand in layer.operands if operand.kind == "write")
        box, plane = setting_box(written), self.plane(dtype)
        if memory is plane:
            return
        sums = box.view(memory.data, 0)
        if integer_bits(dtype) is None:
            box.view(plane.data, 0)[...] = sums
            return
        limit = 1 << (integer_bits(dtype) or 64) - 1
        if sums.size and not -limit <= sums.min() <= sums.max() < limit:
            raise MachineFault(f"sums of {written.name} do not fit {dtype}", level=self.level, expected="wider sums")
        box.view(plane.data, 0)[...] = sums


def largest_sum(layer: NestLayer, words: Mapping[str, npt.NDArray[Any]]) -> int:
    """What no sum of a layer exceeds in magnitude, whichever of its products are added up first.

    The words of one read operand are added up along the dims that are summed over, where each has an axis of its own;
    of the other the largest counts.
    """
    written = {name for o in layer.operands if o.kind == "write" for axis in o.axes for name in axis.dims}
    summed = {dim.name: dim.bound for dim in layer.dims if dim.name not in written}
    magnitudes = {name: np.abs(values) for name, values in words.items()}
    bias = sum(int(magnitudes[o.name].max(initial=0)) for o in layer.operands if o.kind == "bias")
    reads = [operand for operand in layer.operands if operand.kind == "read"]
    most = {operand.name: int(magnitudes[operand.name].max(initial=0)) for operand in reads}
    products = []
    for operand in reads:
        along = tuple(i for i, a in enumerate(operand.axes) if len(a.dims) == 1 and a.dims[0] in summed)
        inside = {operand.axes[i].dims[0] for i in along}
        total = int(magnitudes[operand.name].sum(axis=along).max(initial=0))
        others = prod(most[other.name] for other in reads if other is not operand)
        products.append(total * others * prod(bound for name, bound in summed.items() if name not in inside))
    return min(products) + bias
