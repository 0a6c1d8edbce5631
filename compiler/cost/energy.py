"""Energy: counts times energy per access, hops, MACs, leakage; exact, in the target's energy unit."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from effc.compiler.target.model import Target
from effc.ir.counters import Counters


def access_energy(target: Target, counters: Counters) -> dict[str, Fraction]:
    """The energy of a layer by component: each level, each fan-out by its name, ``MAC``."""
    result = {level.name: Fraction(0) for level in target.levels}
    for level in target.levels:
        for bank in level.banks:
            for operand in bank.operands:
                result[level.name] += bank.read_energy * counters.reads.get((level.name, operand), 0)
                result[level.name] += bank.write_energy * counters.writes.get((level.name, operand), 0)
        if level.fanout is not None:
            words = sum(words for (name, _), words in counters.hops.items() if name == level.name)
            result[level.fanout.name] = level.fanout.hop_energy * words
    result["MAC"] = target.mac.energy * counters.macs
    return result


def energy_by(target: Target, counters: Counters, cycles: int) -> dict[str, Fraction]:
    """``access_energy`` and the leakage over ``cycles``, where the target leaks."""
    leakage = {"leakage": target.leakage * cycles} if target.leakage else {}
    return {**access_energy(target, counters), **leakage}


def to_pj(target: Target, energy: Fraction) -> Fraction | None:
    """An energy of the target's unit in pJ; None where the unit has no known size."""
    if target.energy_unit == "pJ":
        return energy
    return None if target.pj_per_unit is None else energy * target.pj_per_unit


def by_level(table: Mapping[tuple[str, str], int], level: str) -> dict[str, int]:
    """The words of each operand at one level."""
    return {operand: words for (name, operand), words in table.items() if name == level}
