"""What zeros save: MACs and reads that are gated, cycles that are skipped, words that a code leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.compiler.cost.counts import Counts
from effc.compiler.target.model import Target
from effc.ir.nest import Axis, Nest, Operand
from effc.ir.zeros import Code, Density


@dataclass(frozen=True, slots=True)
class Savings:
    """Counts that depend on data. ``coded``: the bits read and written in the place of words, metadata included."""

    gated: int = 0  # MACs
    reads: dict[tuple[str, str], int] = field(default_factory=dict)  # (level, operand) -> words that are not read
    coded: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)  # -> bits read, bits written
    density: Fraction = Fraction(1)  # of the MACs that are done


NOTHING = Savings()


def savings(target: Target, counts: Counts, zeros: Mapping[str, Density | Fraction]) -> Savings:
    """What the zeros of operands save: of each operand its density, or (a number) that of all its words alike."""
    known = {name: Density(d, d) if isinstance(d, Fraction) else d for name, d in zeros.items()}
    density = prod((known[name].macs for name in target.mac.gates if name in known), start=Fraction(1))
    gated = counts.counters.macs - round(counts.counters.macs * density)
    return Savings(gated, _gated_reads(target, counts, gated), _coded(target, counts, known), density)


def _gated_reads(target: Target, counts: Counts, gated: int) -> dict[tuple[str, str], int]:
    """Reads for gated MACs, where every MAC reads for itself: of read operands that do not gate."""
    macs = len(target.levels)
    found = {}
    for transfer in counts.transfers:
        shared = any(level.fanout is not None for level in target.levels[transfer.parent :])
        if transfer.kind == "fill" and transfer.child == macs and not shared and gated:
            level = target.levels[transfer.parent].name
            words = counts.counters.reads[level, transfer.operand]
            if transfer.operand not in target.mac.gates and words == counts.counters.macs:
                found[level, transfer.operand] = gated
    return found


def _coded(target: Target, counts: Counts, known: Mapping[str, Density]) -> dict[tuple[str, str], tuple[int, int]]:
    found = {}
    for position, level in enumerate(target.levels):
        for operand, density in known.items():
            if (code := level.code(operand)) is not None:
                key = level.name, operand
                moved = counts.counters.reads.get(key, 0), counts.counters.writes.get(key, 0)
                bits = ceil(target.bits(position, operand))
                found[key] = tuple(_bits(code, level.name, words, density, bits) for words in moved)
    return found  # type: ignore[return-value]


def _bits(code: Code, level: str, words: int, density: Density, word_bits: int) -> int:
    if level not in density.bits:
        return code.estimate(words, density.words, word_bits).bits
    return round(words * density.bits[level])


def mac_density(nest: Nest, operand: Operand, values: npt.NDArray[Any]) -> Fraction:
    """The share of the MACs of a nest whose word of a read operand is not zero; padding is zero."""
    uses: npt.NDArray[Any] = (values != 0).astype(np.int64)
    for axis in reversed(operand.axes):
        uses = uses @ _uses(axis, nest)
    others = prod(dim.bound for dim in nest.dims if dim.name not in operand.dims)
    return Fraction(int(uses) * others, nest.macs)


def _uses(axis: Axis, nest: Nest) -> npt.NDArray[np.int64]:
    """How many points of its dims use every index of an axis."""
    index = np.full((), axis.offset, np.int64)
    for coefficient, dim in axis.terms:
        index = np.add.outer(index, coefficient * np.arange(nest.bounds[dim]))
    index = index[(index >= 0) & (index < axis.size)]
    return np.bincount(index.reshape(-1), minlength=axis.size)
