"""Numbers with units: what every unit measures, and its exact size in the units of ``Target``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

Table = Mapping[str, Fraction]

LIMIT = 10**36
"""Numerators and denominators stay below it."""
_DIGITS = 80
_EXPONENT = 36

SIZES: Table = {
    "bit": Fraction(1),
    "bits": Fraction(1),
    "byte": Fraction(8),
    "bytes": Fraction(8),
    "KiB": Fraction(8 * 2**10),
    "MiB": Fraction(8 * 2**20),
    "GiB": Fraction(8 * 2**30),
}
"""In bits; ``word`` comes on top where the word is known."""

PLURALS = {"bits", "bytes", "words"}
"""Second spellings that a list of the units leaves out."""

FREQUENCIES: Table = {"kHz": Fraction(1, 1000), "MHz": Fraction(1), "GHz": Fraction(1000)}
JOULES: Table = {"fJ": Fraction(1, 1000), "pJ": Fraction(1), "nJ": Fraction(1000)}
_WATTS: Table = {"uW": Fraction(1), "mW": Fraction(1000), "W": Fraction(10**6)}  # pJ per microsecond
_RATES: Table = {"MB/s": Fraction(8), "GB/s": Fraction(8000), "Gbit/s": Fraction(1000)}  # bits per microsecond
AREAS: Table = {"um2": Fraction(1), "mm2": Fraction(10**6)}
FRAMES: Table = {"fps": Fraction(1)}
TIMES: Table = {"ns": Fraction(1, 1000), "us": Fraction(1), "ms": Fraction(1000), "s": Fraction(10**6)}

KINDS = {
    "size": "a size",
    "word": "a size",
    "frequency": "a frequency",
    "bandwidth": "a bandwidth",
    "energy": "an energy",
    "access energy": "an energy",
    "power": "a power",
    "area": "an area",
    "frame rate": "a frame rate",
    "time": "a time",
}
"""Every kind of number with a unit, with its article."""

EXAMPLES = {
    "size": ("100 KiB",),
    "word": ("16 bit",),
    "frequency": ("200 MHz",),
    "bandwidth": ("64 bit/cycle",),
    "energy": ("2 pJ", "2x"),
    "access energy": ("15 pJ", "6x"),
    "power": ("30 mW", "0.5x/cycle"),
    "area": ("1.5 mm2",),
    "frame rate": ("30 fps",),
}
"""Every kind written right, also for a target whose energies are in x."""

MISTAKES = {
    "B": "byte",
    "b": "bit",
    "kB": "KiB",
    "KB": "KiB",
    "MB": "MiB",
    "GB": "GiB",
    "mJ": "nJ",
    "J": "nJ",
    "µm2": "um2",
    "Hz": "MHz",
}
"""Units that people write, and what they should write instead."""


@dataclass(frozen=True, slots=True)
class Units:
    """The units of a target: a word of ``word_bits`` bits, a core clock, and energies in pJ or in x.

    ``pj_per_unit`` is the size of the energy unit in pJ; None: an x of unknown size.
    """

    word_bits: int
    clock_mhz: Fraction
    energy_unit: str
    pj_per_unit: Fraction | None

    def table(self, kind: str) -> Table:
        """The units of a kind, each in units of ``Target``."""
        match kind:
            case "size":
                return self._sizes()
            case "bandwidth":
                return _per("cycle", self._parts()) | _scaled(_RATES, 1 / self.clock_mhz)
            case "energy":
                return self._energies()
            case "access energy":
                return self._energies() | self._energies_per_size()
            case "power":
                return _per("cycle", self._energies()) | _scaled(_WATTS, self._per_pj() / self.clock_mhz)
            case _:
                return FIXED[kind]

    def _sizes(self) -> dict[str, Fraction]:
        return {**SIZES, "word": Fraction(self.word_bits), "words": Fraction(self.word_bits)}

    def _energies(self) -> dict[str, Fraction]:
        relative = {"x": Fraction(1)} if self.energy_unit == "x" else {}
        return relative | _scaled(JOULES, self._per_pj())

    def _parts(self) -> dict[str, Fraction]:
        """The sizes of which there may be some per cycle, or per which there may be an energy."""
        return {unit: bits for unit, bits in self._sizes().items() if not unit.endswith("iB")}

    def _energies_per_size(self) -> dict[str, Fraction]:
        """Energies per bit, byte or word; the access is of one word."""
        return {
            f"{unit}/{size}": energy * self.word_bits / bits
            for unit, energy in self._energies().items()
            for size, bits in self._parts().items()
            if size not in PLURALS
        }

    def _per_pj(self) -> Fraction:
        """Energy units per pJ; 0 if nothing says how many."""
        return 1 / self.pj_per_unit if self.pj_per_unit else Fraction(0)


FIXED: Mapping[str, Table] = {
    "word": SIZES,
    "frequency": FREQUENCIES,
    "area": AREAS,
    "frame rate": FRAMES,
    "time": TIMES,
}
"""The tables that no target changes."""


def number(text: str) -> Fraction | None:
    """The exact value of ``12``, ``0.15``, ``1e3`` or ``10/3``; None if it is out of range."""
    if len(text) > _DIGITS:
        return None
    numerator, _, denominator = text.partition("/")
    _, _, exponent = numerator.lower().partition("e")
    if (exponent and abs(int(exponent)) > _EXPONENT) or (denominator and int(denominator) == 0):
        return None
    value = Fraction(numerator) / int(denominator or 1)
    return value if in_range(value) else None


def in_range(value: Fraction) -> bool:
    return abs(value.numerator) < LIMIT and value.denominator < LIMIT


def _per(unit: str, table: Table) -> dict[str, Fraction]:
    return {f"{name}/{unit}": value for name, value in table.items()}


def _scaled(table: Table, factor: Fraction) -> dict[str, Fraction]:
    """The table times a factor; empty if the factor is unknown (0)."""
    return {name: value * factor for name, value in table.items()} if factor else {}


DUMMY = Units(1, Fraction(1), "x", Fraction(1))
"""A target that can use every unit."""

_KIND_OF = {unit: kind for kind in reversed(KINDS) for unit in DUMMY.table(kind)}


def kind_of(unit: str) -> str | None:
    """What a unit measures, in any target; None for an unknown unit."""
    return _KIND_OF.get(unit)
