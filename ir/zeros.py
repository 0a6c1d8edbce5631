"""Zeros: codes that leave them out of a memory, and what a run of a layer found of them.

* *Run-length code* (``rlc``, Eyeriss): a pair is a run of zeros of at most ``2**run_bits - 1`` and the word behind it,
  which is zero itself where the run is longer. As many pairs as fit share 64 bits: three of 5 + 16 bits.
* *Bitmask*: a bit for every word, then the words that are not zero.

A tensor that either would make longer is stored as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

PACK_BITS = 64


@dataclass(frozen=True, slots=True)
class Coded:
    """Words in a code: how many are not zero, the bits they take, and how many of those are no words."""

    words: int
    nonzero: int
    bits: int
    metadata: int

    def plus(self, other: Coded) -> Coded:
        return Coded(
            self.words + other.words,
            self.nonzero + other.nonzero,
            self.bits + other.bits,
            self.metadata + other.metadata,
        )


@dataclass(frozen=True, slots=True)
class Code:
    """A run-length code with runs of so many bits, or (None) a bitmask."""

    run_bits: int | None = None

    def encode(self, values: npt.NDArray[Any], word_bits: int) -> Coded:
        """What an array takes, its words in row-major order."""
        nonzero = np.flatnonzero(np.ascontiguousarray(values).reshape(-1))
        pairs = len(nonzero)
        if self.run_bits is not None:
            longest = 1 << self.run_bits
            runs = np.diff(nonzero, prepend=-1) - 1
            rest = values.size - 1 - (int(nonzero[-1]) if len(nonzero) else -1)
            pairs += int((runs // longest).sum()) + ceil(rest / longest)
        return self._coded(values.size, len(nonzero), pairs, word_bits)

    def estimate(self, words: int, density: Fraction, word_bits: int) -> Coded:
        """What so many words take if each is not zero with a probability of ``density``, whatever the others are."""
        nonzero = round(words * density)
        pairs = float(nonzero)
        if self.run_bits is not None:
            longest, zeros = 1 << self.run_bits, 1 - float(density)
            pairs = words * ((1 - zeros) / (1 - zeros**longest) if zeros < 1 else 1 / longest)
        return self._coded(words, nonzero, round(pairs), word_bits)

    def _coded(self, words: int, nonzero: int, pairs: int, word_bits: int) -> Coded:
        if self.run_bits is None:
            bits = words + nonzero * word_bits
        else:
            bits = ceil(pairs / max(1, PACK_BITS // (self.run_bits + word_bits))) * PACK_BITS
        raw = words * word_bits
        return Coded(words, nonzero, bits, bits - nonzero * word_bits) if bits < raw else Coded(words, nonzero, raw, 0)


@dataclass
class ZeroCounts:
    """What the runs of one layer found: MACs that were gated, and the tensors as coded, by (level, operand)."""

    gated: int = 0
    stored: dict[tuple[str, str], Coded] = field(default_factory=dict)

    def add(self, other: ZeroCounts) -> None:
        """Add what another run found."""
        self.gated += other.gated
        for key, coded in other.stored.items():
            self.stored[key] = self.stored[key].plus(coded) if key in self.stored else coded


@dataclass(frozen=True, slots=True)
class Density:
    """How much of an operand is not zero: of its words, of the words that the MACs read, and bits per coded word."""

    words: Fraction
    macs: Fraction
    bits: Mapping[str, Fraction] = field(default_factory=dict)  # by level; of others, what the code is expected to take


def measured(found: ZeroCounts, macs: int, gates: tuple[str, ...]) -> Mapping[str, Density]:
    """The densities that were found in so many MACs. What gates together is known together: it counts for the first
    such operand.
    """
    result: dict[str, Density] = {}
    for (level, name), coded in found.stored.items():
        if coded.words:
            bits = {} if name not in result else result[name].bits
            share = Fraction(coded.nonzero, coded.words)
            result[name] = Density(share, Fraction(1), {**bits, level: Fraction(coded.bits, coded.words)})
    for name in gates[:1]:
        known = result.get(name, Density(Fraction(1), Fraction(1)))
        result[name] = Density(known.words, Fraction(macs - found.gated, macs), known.bits)
    return result
