"""Energy: counts times energy per access, hops, MACs, leakage, clocks; exact, in the target's energy unit."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from effc.compiler.cost.zeros import NOTHING, Savings
from effc.compiler.target.model import Target
from effc.ir.counters import Counters


def access_energy(target: Target, counters: Counters, saved: Savings = NOTHING) -> dict[str, Fraction]:
    """The energy of a layer by component: each level, each fan-out by its name, ``MAC``; less what zeros save."""
    result = {level.name: Fraction(0) for level in target.levels}
    for level in target.levels:
        for bank in level.banks:
            for operand in bank.operands:
                read, written = moved_words(target, counters, saved, level.name, operand)
                result[level.name] += bank.read_energy * read + bank.write_energy * written
        if level.fanout is not None:
            words = sum(words for (name, _), words in counters.hops.items() if name == level.name)
            result[level.fanout.name] = level.fanout.hop_energy * words
    result["MAC"] = target.mac.energy * (counters.macs - saved.gated)
    return result


def moved_words(
    target: Target, counters: Counters, saved: Savings, level: str, operand: str
) -> tuple[Fraction, Fraction]:
    """Words read and written that are paid for: without those that are gated, in a code by its bits."""
    key = level, operand
    if key in saved.coded:
        read, written = saved.coded[key]
        return Fraction(read, target.word_bits), Fraction(written, target.word_bits)
    return Fraction(counters.reads.get(key, 0) - saved.reads.get(key, 0)), Fraction(counters.writes.get(key, 0))


def energy_by(target: Target, counters: Counters, cycles: int, saved: Savings = NOTHING) -> dict[str, Fraction]:
    """``access_energy``, and over ``cycles`` the ``leakage`` and the ``clock`` network, where they take anything."""
    flowing = {"leakage": target.leakage - target.clocking, "clock": target.clocking}
    return access_energy(target, counters, saved) | {part: rate * cycles for part, rate in flowing.items() if rate}


def to_pj(target: Target, energy: Fraction) -> Fraction | None:
    """An energy of the target's unit in pJ; None where the unit has no known size."""
    if target.energy_unit == "pJ":
        return energy
    return None if target.pj_per_unit is None else energy * target.pj_per_unit


def by_level(table: Mapping[tuple[str, str], int], level: str) -> dict[str, int]:
    """The words of each operand at one level."""
    return {operand: words for (name, operand), words in table.items() if name == level}
