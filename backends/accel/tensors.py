"""The tensors of a program while it runs: those in DRAM, and those that stay with the host."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from effc.backends.accel.boxes import Box
from effc.backends.accel.dram import Dram
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import Program, Slot
from effc.compiler.target.model import Target
from effc.ir.printer import row_major
from effc.ir.types import integer_bits, is_narrow, storage

Value = Any

HALVES = ("float16", "bfloat16")


class Tensors:
    """The values of the slots of a program. ``dtype``: what a word of floating point holds."""

    def __init__(self, program: Program, target: Target, dtype: np.dtype[Any]) -> None:
        self.slots = {slot.name: slot for slot in program.slots}
        self.dtype = dtype
        self.dram = Dram(target.levels[0].name, program.dram_words, dtype)
        self.host: dict[str, Value] = {}

    def begin(self, number: int) -> None:
        """The words of tensors that begin with a layer hold nothing yet."""
        for slot in self.slots.values():
            if slot.first == number and slot.address is not None:
                self.dram.forget(slot_box(slot))

    def fetch(self, name: str, dtype: str = "") -> Value:
        """The value of a tensor in its shape; in its own type, or in the one of the sums that lie there."""
        slot = self.slots[name]
        if slot.address is None:
            if name not in self.host:
                raise MachineFault(f"tensor {name} was never written", expected="a layer before that writes it")
            return self.host[name]
        box = slot_box(slot)
        if not box.view(self.dram.valid, 0).all():
            raise MachineFault(
                f"tensor {name} has words that were never written",
                level=self.dram.level,
                expected="layers that write all of it",
            )
        kind = word_type(dtype or slot.dtype) if self.dtype == np.float32 else self.dtype
        return box.view(self.dram.plane(dtype or slot.dtype).data, 0).astype(kind, order="C")

    def store(self, name: str, value: Value) -> None:
        slot = self.slots[name]
        if slot.address is None:
            self.host[name] = value
            return
        if np.shape(value) != slot.shape:
            raise MachineFault(f"tensor {name} has shape {np.shape(value)}", expected=f"shape {slot.shape}")
        value = np.asarray(value)
        if self.dtype == np.float32 and value.dtype != word_type(slot.dtype):
            raise MachineFault(f"tensor {name} is given as {value.dtype}", expected=slot.dtype)
        box = slot_box(slot)
        box.view(self.dram.plane(slot.dtype).data, 0)[...] = value
        box.view(self.dram.valid, 0)[...] = True

    def round(self, box: Box, dtype: str) -> None:
        """Round finished words to a type of fewer bits than those that a word holds, if it is one."""
        if dtype in HALVES and self.dtype == np.float32:
            words = box.view(self.dram.plane(dtype).data, 0)
            words[...] = words.astype(word_type(dtype))

    def words(self, names: Iterable[str]) -> int:
        """The elements of tensors in DRAM; shapes and indices are no data."""
        return sum(slot_box(self.slots[name]).size for name in names if name and self.slots[name].address is not None)

    def bits(self, names: Iterable[str], target: Target) -> Fraction:
        """What they take there."""
        slots = [self.slots[name] for name in names if name and self.slots[name].address is not None]
        return sum((slot_box(slot).size * target.stored_bits(slot.dtype) for slot in slots), Fraction(0))


def word_type(name: str) -> np.dtype[Any]:
    """The numpy type of a tensor in DRAM."""
    if is_narrow(name) or integer_bits(name) == 24:
        return storage(name)
    if name == "bfloat16":
        import ml_dtypes

        name = ml_dtypes.bfloat16
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def slot_box(slot: Slot) -> Box:
    """Where the words of a tensor lie in DRAM."""
    assert slot.address is not None
    assert slot.shape is not None
    return Box(slot.address, slot.shape, slot.strides if slot.within else row_major(slot.shape))
