"""Layers of a network as the publication of Eyeriss has them, and what effc says of them.

A table is {"batch", "layers": [{"name", "H", "pad", "R", "E", "C", "M", "U", "groups", "mapping": {"m", "n", "e", "p",
"q", "r", "t"}, "ifmap_zeros_percent", and what was published}, ...]}: see tests/validation/eyeriss_jssc2017.json, which
has Tables III and V. Nothing here knows of a network: another table gives its figures in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.cost.zeros import mac_density
from effc.compiler.dataflows import active_pes, row_stationary
from effc.compiler.target import Target, load_target
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule
from effc.ir.zeros import Density

EYERISS = load_target("eyeriss")
TABLE = Path(__file__).parents[1] / "tests" / "validation" / "eyeriss_jssc2017.json"


@dataclass(frozen=True)
class Layer:
    """A layer of a table, its published mapping on a target, and what that costs.

    A layer of several groups runs one after another: counts are those of one group, figures those of all.
    """

    row: Mapping[str, Any]
    batch: int
    ofmap_zeros: Fraction  # a share of the words
    target: Target = EYERISS

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
    def schedule(self) -> Schedule:
        return row_stationary(self.nest, **self.row["mapping"], target=self.target)

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
        return (numbers.random(shape) < float(self.densities[operand])) * numbers.integers(1, 5, shape, np.int32)

    @cached_property
    def coded(self) -> Evaluation:
        """The cost with what synthetic tensors take in their code, and with the MACs that they gate."""
        return evaluate(self.nest, self.schedule, self.target, {name: self.found(name) for name in self.densities})

    def found(self, operand: str) -> Density:
        """The density of a synthetic tensor, as a run finds it."""
        values, code = self.tensor(operand), self.target.levels[0].code(operand)
        words = Fraction(int(np.count_nonzero(values)), values.size)
        reads = operand in {read.name for read in self.nest.reads}
        macs = mac_density(self.nest, self.nest.operands[operand], values) if reads else Fraction(1)
        bits = None if code is None else Fraction(code.encode(values, self.target.word_bits).bits, values.size)
        return Density(words, macs, bits)

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
        """The figures that the chip was measured to have."""
        return {
            "DRAM_MB": self.megabytes(self.target.levels[0].name, self.cost),
            "GLB_MB": self.megabytes(self.target.levels[1].name, self.dense),
            "processing_ms": self.ms(evaluate(self.nest, self.schedule, without_dram(self.target))),
            "total_ms": self.ms(self.cost),
            "power_mW": self.power_mw(),
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
        picojoules = sum(energy for part, energy in self.cost.energy_by.items() if part != outermost)
        return float(self.groups * picojoules) / 1e6 / self.ms(self.cost)


def percent(number: float) -> Fraction:
    """A percentage as it is printed, as a share."""
    return Fraction(str(number)) / 100


def read_table(path: Path, target: Target = EYERISS) -> list[Layer]:
    """The layers of a table. The zeros of an ofmap are those of the next ifmap; of the last, where nothing says more
    (``ofmap_zeros_percent``), those of its own ifmap.
    """
    table = json.loads(path.read_text(encoding="utf-8"))
    rows = table["layers"]
    layers = []
    for row, following in zip(rows, [*rows[1:], rows[-1]]):
        zeros = row.get("ofmap_zeros_percent", following["ifmap_zeros_percent"])
        layers.append(Layer(row, table["batch"], percent(zeros), target))
    return layers


def without_dram(target: Target) -> Target:
    """The target with an outermost level that never keeps it waiting."""
    outermost = target.levels[0]
    banks = (replace(bank, read_bandwidth=None, write_bandwidth=None, shared_port=False) for bank in outermost.banks)
    return replace(target, levels=(replace(outermost, banks=tuple(banks)), *target.levels[1:]))
