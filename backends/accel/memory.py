"""The memories of the machine: flat arrays of words, every instance of a level after the other.

Behind the words stand two cells that are no memory: ``TRASH`` takes what nobody wants, ``ZERO`` reads as zero. A word
that was never written is poison: NaN in floating point, and its valid bit is off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from effc.backends.accel.boxes import Box, Words
from effc.backends.accel.digits import Bools, Ints
from effc.backends.accel.faults import MachineFault

ZERO = -1
TRASH = -2
CELLS = 2


class Memory:
    """``data[address]`` and, where they are kept, valid bits; negative addresses are the cells."""

    def __init__(self, level: str, words: int, dtype: npt.DTypeLike, keep_valid: bool) -> None:
        self.level, self.words = level, words
        self.data: Words = np.empty(words + CELLS, dtype)
        self.valid: Bools | None = np.empty(words + CELLS, bool) if keep_valid else None
        self.forget(Box(0, (words,), (1,)))
        self.data[TRASH:] = 0
        if self.valid is not None:
            self.valid[TRASH:] = True

    @classmethod
    def sharing(cls, level: str, words: int, dtype: npt.DTypeLike, valid: Bools) -> Memory:
        """A memory whose valid bits are kept elsewhere; words that are not valid hold anything."""
        memory = cls(level, 0, dtype, False)
        memory.words, memory.valid = words, valid
        memory.data = np.empty(words + CELLS, dtype)
        memory.data[TRASH:] = 0
        return memory

    def forget(self, box: Box) -> None:
        """Some words were never written."""
        box.view(self.data, 0)[...] = np.nan if self.data.dtype.kind == "f" else 0
        if self.valid is not None:
            box.view(self.valid, 0)[...] = False

    def after(self, base: int) -> Words:
        """The words from an address on, and the cells."""
        return self.data[min(base, self.words) :]

    def bits(self, base: int) -> Bools:
        """The valid bits from an address on, and those of the cells."""
        assert self.valid is not None
        return self.valid[min(base, self.words) :]

    def require(self, base: int, addresses: Ints) -> None:
        """Every one of the words was written, as far as valid bits are kept."""
        if self.valid is None:
            return
        bad = ~self.bits(base).take(addresses)
        if bad.any():
            word = base + int(addresses[bad][0])
            raise MachineFault(
                f"word {word} was never written", level=self.level, expected="a move that writes it first"
            )

    def require_box(self, base: int, box: Box) -> None:
        """The same for a box of words."""
        if self.valid is not None and not box.bits(self.valid, base).all():
            self.require(base, box.list())
