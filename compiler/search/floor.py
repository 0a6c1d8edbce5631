"""The floor: the words that every schedule moves at the outermost level, whatever the target does on chip.

It is what the best schedule moves on a machine that has all on-chip words of the target as one buffer, with sliding
windows. No schedule on the target moves fewer: keep each operand in the buffer from where the target keeps it
outermost on chip. What all instances hold together is one tile there, no larger than they are, and filled as often.

That tile may be scattered where the instances are, and the buffer's is not: where scattered tiles of windows share more
words than contiguous ones do (dilation, strides), the floor is each used word of each operand once.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

from effc.compiler.search.bounds import floor_dram_words
from effc.compiler.search.clock import RESERVE
from effc.compiler.search.encode import contiguous
from effc.compiler.search.find import search
from effc.compiler.search.problem import Problem
from effc.compiler.target.model import Bank, Level, Mac, Target
from effc.ir.nest import Nest

_FREE = Fraction(0)


def dram_floor(nest: Nest, target: Target, time_limit: float | None = None) -> int:
    """Words that no schedule of ``nest`` on ``target`` undercuts: the best of one buffer where that is proven in time.

    Where it is not, the proven bound of it; each used word of each operand once at least.
    """
    least = floor_dram_words(nest, target)
    buffer = one_buffer(nest, target)
    if buffer is None or (time_limit is not None and time_limit <= 2 * RESERVE):
        return least
    if not contiguous(Problem(nest, buffer, "dram"), trial=time_limit is None or time_limit > 1):
        return least
    return max(least, ceil(search(nest, buffer, "dram", time_limit=time_limit).certificate.lower_bound))


def one_buffer(nest: Nest, target: Target) -> Target | None:
    """The machine of the floor; None if something on chip is unbounded, so that each word is moved once."""
    bits = on_chip_bits(nest, target)
    if bits is None:
        return None
    operands = tuple(nest.operands)
    outermost = Level("outside", (Bank(operands, (), None, _FREE, _FREE),), target.levels[0].padding)
    buffer = Level("chip", (Bank((), operands, bits, _FREE, _FREE),), sliding=True)
    return replace(
        target,
        levels=(outermost, buffer),
        mac=Mac(_FREE),
        numeric=replace(target.numeric, packing=target.numeric.packing or _narrow(target)),
        leakage=_FREE,
        vector=None,
        energy_unit="x",
        pj_per_unit=None,
    )


def _narrow(target: Target) -> bool:
    """Whether a bank has words that are narrower than the target's."""
    banks = [bank for level in target.levels for bank in level.banks]
    return any(bank.word_bits is not None and bank.word_bits < target.word_bits for bank in banks)


def on_chip_bits(nest: Nest, target: Target) -> int | None:
    """The bits on chip, those at the MACs included where an operand may bypass all memories; None if unbounded.

    Where elements are words of the bank, as many elements as there are words count.
    """
    bits = 0
    for position, level in enumerate(target.levels[1:], 1):
        for bank in level.banks:
            if not set(bank.operands) & set(nest.operands):
                continue
            if bank.bits is None:
                return None
            held = bank.bits
            if bank.word_bits is not None and not target.widths.elements:
                held = held // bank.word_bits * target.word_bits
            bits += held * target.instances(position)
    lanes = target.instances(len(target.levels))
    streamed = [name for name in nest.operands if not any(level.keeps(name) for level in target.levels[1:])]
    return bits + lanes * ceil(sum(target.carried_bits(name) for name in streamed))
