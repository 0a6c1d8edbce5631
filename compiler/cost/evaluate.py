"""What a schedule costs: counts, energy, latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from effc.compiler.cost.counts import Counts, count, tiles
from effc.compiler.cost.energy import energy_by, outermost_bits
from effc.compiler.cost.latency import Latency, latency
from effc.compiler.cost.legal import capacity_problems, mesh_problems, placement_problems
from effc.compiler.cost.zeros import NOTHING, Savings, savings
from effc.compiler.target.model import Target
from effc.ir.counters import Counters
from effc.ir.errors import InputError
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule
from effc.ir.verify import verify_schedule
from effc.ir.zeros import Density

Zeros = Mapping[str, Density | Fraction]

OBJECTIVES = ("energy", "latency", "edp", "dram")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The cost of one schedule. Energies are exact, in the target's unit; ``cycles`` are core cycles."""

    counts: Counts
    energy_by: Mapping[str, Fraction]
    latency: Latency
    utilization: Fraction  # MACs per cycle and MAC of the array
    dram_words: int  # elements read and written at the outermost level
    dram_bits: Fraction  # what they take
    word_bits: int
    savings: Savings = NOTHING  # what zeros save, where densities were given

    @property
    def counters(self) -> Counters:
        return self.counts.counters

    @property
    def energy(self) -> Fraction:
        return sum(self.energy_by.values(), Fraction(0))

    @property
    def cycles(self) -> int:
        return self.latency.cycles

    def value(self, objective: str) -> Fraction:
        """The figure that ``objective`` (one of OBJECTIVES) minimises."""
        if objective == "energy":
            return self.energy
        if objective == "latency":
            return Fraction(self.cycles)
        return self.energy * self.cycles if objective == "edp" else self.dram_bits / self.word_bits


def price(nest: Nest, target: Target, counts: Counts, zeros: Zeros | None = None) -> Evaluation:
    """Energy and latency of counts, for data of which some is zero if densities are given."""
    saved = savings(target, counts, zeros) if zeros else NOTHING
    counters, time = counts.counters, latency(target, counts, saved.density)
    outermost = target.levels[0].name
    moved = [*counters.reads.items(), *counters.writes.items()]
    return Evaluation(
        counts,
        energy_by(target, counters, time.cycles, saved),
        time,
        Fraction(nest.macs, time.cycles * target.instances(len(target.levels))),
        sum(words for (level, _), words in moved if level == outermost),
        outermost_bits(target, counters),
        target.word_bits,
        saved,
    )


def try_schedule(nest: Nest, schedule: Schedule, target: Target, zeros: Zeros | None = None) -> Evaluation | list[str]:
    """The cost of a well-formed schedule, or why it is not legal on the target."""
    found = placement_problems(nest, schedule, target) + mesh_problems(nest, schedule, target)
    found = found or capacity_problems(target, tiles(nest, schedule, target))
    return found or price(nest, target, count(nest, schedule, target), zeros)


def evaluate(nest: Nest, schedule: Schedule, target: Target, zeros: Zeros | None = None) -> Evaluation:
    """The cost of a schedule; raises InputError if it is malformed or not legal on the target.

    ``zeros`` gives operands their densities: a share of words that are not zero, or a ``Density`` as measured.
    """
    verify_schedule(nest, schedule)
    found = try_schedule(nest, schedule, target, zeros)
    if isinstance(found, list):
        raise InputError(
            f"the schedule of {nest.name} is not legal on {target.name}: {found[0]}",
            expected="a schedule within the target's levels, axes and capacities",
            remedy="change the item named, or the target",
        )
    return found
