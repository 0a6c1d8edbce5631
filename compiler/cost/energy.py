"""Energy: counts times energy per access, hops, MACs, leakage, clocks; exact, in the target's energy unit."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from effc.compiler.cost.zeros import NOTHING, Savings
from effc.compiler.target.model import VECTOR, Target
from effc.ir.counters import EPILOGUE_NAME, Counters


def access_energy(target: Target, counters: Counters, saved: Savings = NOTHING) -> dict[str, Fraction]:
    """The energy of a layer by component: levels and fan-outs by name, ``MAC``, ``vector``; less what zeros save."""
    result = {level.name: Fraction(0) for level in target.levels}
    for position, level in enumerate(target.levels):
        for bank in level.banks:
            for operand in bank.operands:
                result[level.name] += operand_energy(target, counters, position, operand, saved)
        if level.fanout is not None:
            carried = by_level(counters.hops, level.name)
            result[level.fanout.name] = sum(
                (hop_energy(target, counters, position, operand) for operand in carried), Fraction(0)
            )
    result[target.levels[0].name] += operand_energy(target, counters, 0, EPILOGUE_NAME)
    result["MAC"] = target.mac.energy * (counters.macs - saved.gated)
    if counters.results and target.vector is not None:
        result[VECTOR] = target.vector.energy * counters.results
    return result


def operand_energy(
    target: Target, counters: Counters, position: int, operand: str, saved: Savings = NOTHING
) -> Fraction:
    """The energy of the accesses to one operand at a level that keeps it: an access moves a word."""
    bank = target.levels[position].bank(operand)
    assert bank is not None
    read, written = moved_bits(target, counters, saved, position, operand)
    return (bank.read_energy * read + bank.write_energy * written) / target.word(position, operand)


def hop_energy(target: Target, counters: Counters, position: int, operand: str) -> Fraction:
    """The energy of one operand in the fan-out below a level."""
    level = target.levels[position]
    assert level.fanout is not None
    words = counters.hops.get((level.name, operand), 0)
    return level.fanout.hop_energy * words * target.carried_bits(operand) / target.word_bits


def moved_bits(
    target: Target, counters: Counters, saved: Savings, position: int, operand: str
) -> tuple[Fraction, Fraction]:
    """Bits read and written at a level that are paid for: without those that are gated, in a code those of the code."""
    key = target.levels[position].name, operand
    if key in saved.coded:
        read, written = saved.coded[key]
        return Fraction(read), Fraction(written)
    read, written = counters.reads.get(key, 0) - saved.reads.get(key, 0), counters.writes.get(key, 0)
    return (
        target.access_bits(position, operand, "read", read),
        target.access_bits(position, operand, "write", written),
    )


def outermost_bits(target: Target, counters: Counters) -> Fraction:
    """The bits read and written at the outermost level."""
    outermost = target.levels[0].name
    read = sum(target.access_bits(0, o, "read", n) for o, n in by_level(counters.reads, outermost).items())
    written = sum(target.access_bits(0, o, "write", n) for o, n in by_level(counters.writes, outermost).items())
    return Fraction(read + written)


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
