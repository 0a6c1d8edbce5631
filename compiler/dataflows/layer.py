"""A layer as the publications of Eyeriss have it, by its row-stationary mapping: the figures of their tables.

Nothing here knows of a network: any layer gives its figures in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.compiler.cost.energy import to_pj
from effc.compiler.cost.evaluate import Evaluation, evaluate
from effc.compiler.cost.zeros import mac_density
from effc.compiler.dataflows.optimum import best_row_stationary
from effc.compiler.dataflows.row_stationary import active_pes, row_stationary
from effc.compiler.target.model import Target
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule
from effc.ir.zeros import Density


@dataclass(frozen=True)
class Layer:
    """A layer of a table (``row``, see table.py), its mapping on a target, and what that costs.

    A layer of several groups runs one after another: counts are those of one group, figures those of all.
    """

    row: Mapping[str, Any]
    batch: int
    ofmap_zeros: Fraction  # a share of the words
    target: Target

    @property
    def name(self) -> str:
        return str(self.row["name"])

    @property
    def groups(self) -> int:
        return int(self.row["groups"])

    @cached_property
    def nest(self) -> Nest:
        """One group."""
        row = self.row
        plane, pad = row["H"] - 2 * row["pad"], row["pad"]
        sizes = {"p": row["E"], "q": row["E"], "r": row["R"], "s": row["R"], "h": plane, "w": plane, "pad": pad}
        filters = row["M"] // self.groups
        return nests.conv2d(n=self.batch, k=filters, c=row["C"], stride=row["U"], name=self.name, **sizes)

    @cached_property
    def mapping(self) -> Mapping[str, int]:
        """The parameters m, n, e, p, q, r, t: as published, or those of least energy."""
        given = self.row.get("mapping")
        return given if given is not None else best_row_stationary(self.nest, self.target).parameters

    @cached_property
    def schedule(self) -> Schedule:
        """That of one group; an ``InputError`` if the mapping does not fit the layer or the target."""
        return row_stationary(self.nest, **self.mapping, target=self.target)

    @property
    def densities(self) -> dict[str, Fraction]:
        """The shares of words that are not zero, where zeros are published."""
        return {"I": 1 - percent(self.row["ifmap_zeros_percent"]), "O": 1 - self.ofmap_zeros}

    @cached_property
    def dense(self) -> Evaluation:
        """The cost if nothing is zero."""
        return evaluate(self.nest, self.schedule, self.target)

    @cached_property
    def cost(self) -> Evaluation:
        """The cost with the published share of zeros."""
        return evaluate(self.nest, self.schedule, self.target, self.densities)

    def tensor(self, operand: str) -> npt.NDArray[np.float32]:
        """A synthetic tensor with the published share of zeros, anywhere: small integers."""
        numbers = np.random.default_rng(0)
        shape = self.nest.operands[operand].shape
        there = numbers.random(shape) < float(self.densities[operand])
        values: npt.NDArray[np.float32] = (there * numbers.integers(1, 5, shape, np.int32)).astype(np.float32)
        return values

    @cached_property
    def coded(self) -> Evaluation:
        """The cost with what synthetic tensors take in their code, and with the MACs that they gate."""
        return evaluate(self.nest, self.schedule, self.target, {name: self.found(name) for name in self.densities})

    def found(self, operand: str) -> Density:
        """The density of a synthetic tensor, as a run finds it."""
        values, outermost = self.tensor(operand), self.target.levels[0]
        words = Fraction(int(np.count_nonzero(values)), values.size)
        reads = operand in {read.name for read in self.nest.reads}
        macs = mac_density(self.nest, self.nest.operands[operand], values) if reads else Fraction(1)
        code = outermost.code(operand)
        bits = None if code is None else Fraction(code.encode(values, self.target.word_bits).bits, values.size)
        return Density(words, macs, {} if bits is None else {outermost.name: bits})

    # The figures of Table III and what follows from it

    def tile_kb(self, operand: str) -> float:
        """What an operand takes in the GLB, in KB of 1024 bytes."""
        level = self.target.levels[1].name
        return self.dense.counts.tiles[level, operand] * self.target.word_bits / 8 / 1024

    def exact(self) -> dict[str, float]:
        """The figures that have to agree to the last digit printed."""
        pads = {"filter": "W", "ifmap": "I", "psum": "O"}
        spad = self.target.levels[2].name
        return {
            "glb_ifmap_KB": round(self.tile_kb("I"), 1),
            "glb_psum_KB": round(self.tile_kb("O"), 1),
            **{f"spad_{pad}": self.dense.counts.tiles[spad, operand] for pad, operand in pads.items()},
            "active_PEs": active_pes(self.nest, self.schedule),
        }

    def published_exact(self) -> dict[str, float]:
        row = self.row
        return {name: row["spad_words"][name[5:]] if name.startswith("spad_") else row[name] for name in self.exact()}

    # The figures of Table V

    def measured(self) -> dict[str, float]:
        """The figures that the chip was measured to have; no power where nothing says what an energy is in pJ."""
        return {
            "DRAM_MB": self.megabytes(self.target.levels[0].name, self.cost),
            "GLB_MB": self.megabytes(self.target.levels[1].name, self.dense),
            "processing_ms": self.ms(evaluate(self.nest, self.schedule, without_dram(self.target))),
            "total_ms": self.ms(self.cost),
            **({} if to_pj(self.target, Fraction(1)) is None else {"power_mW": self.power_mw()}),
        }

    def megabytes(self, level: str, cost: Evaluation) -> float:
        """Read and written at a level, in units of 10^6 bytes; of operands in a code, the bits of the code."""
        bits = 0
        for way, table in enumerate((cost.counters.reads, cost.counters.writes)):
            for key, words in table.items():
                if key[0] == level:
                    coded = cost.savings.coded.get(key)
                    bits += coded[way] if coded is not None else words * self.target.word_bits
        return self.groups * bits / 8e6

    def ms(self, cost: Evaluation) -> float:
        return float(self.groups * cost.cycles / self.target.clock_mhz / 1000)

    def power_mw(self) -> float:
        """The average power of the chip, which the DRAM is no part of."""
        outermost = self.target.levels[0].name
        energy = sum((energy for part, energy in self.cost.energy_by.items() if part != outermost), Fraction(0))
        return float(self.groups * (to_pj(self.target, energy) or 0)) / 1e6 / self.ms(self.cost)


def percent(number: float) -> Fraction:
    """A percentage as it is printed, as a share."""
    return Fraction(str(number)) / 100


def without_dram(target: Target) -> Target:
    """The target with an outermost level that never keeps it waiting."""
    outermost = target.levels[0]
    banks = (replace(bank, read_bandwidth=None, write_bandwidth=None, shared_port=False) for bank in outermost.banks)
    return replace(target, levels=(replace(outermost, banks=tuple(banks)), *target.levels[1:]))
