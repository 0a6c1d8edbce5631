"""Numbers and names as a reader sees them: with a unit, in few digits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from effc.compiler.report.model import Number, Units

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_JOULES = ("pJ", "nJ", "uJ", "mJ", "J", "kJ", "MJ")


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit for a whole column of energies, and its size in the report's unit."""

    unit: str
    size: float

    def show(self, energy: Number | None) -> str:
        """The energy in this unit, without it; two decimals."""
        return "-" if energy is None else f"{energy / self.size:,.2f}"


def energy_scale(units: Units, energies: Iterable[Number | None]) -> Scale:
    """The unit in which the largest of ``energies`` has one to three digits before the point."""
    largest = max((float(energy) for energy in energies if energy is not None), default=0.0)
    names = _JOULES if units.energy == "pJ" else tuple(f"{prefix}{units.energy}" for prefix in _PREFIXES)
    step = 0
    while step < len(names) - 1 and largest >= 999.995 * 1000.0**step:
        step += 1
    return Scale(names[step], 1000.0**step)


def energy(units: Units, value: Number | None) -> str:
    """One energy with its unit: ``12.35 uJ``."""
    scale = energy_scale(units, [value])
    return "-" if value is None else f"{scale.show(value)} {scale.unit}"


def count(value: int | None) -> str:
    """``12,345``."""
    return "-" if value is None else f"{value:,}"


def short(value: Number, unit: str = "") -> str:
    """``12.3 M``: three to four digits and a prefix of a thousand; with a unit, ``12.3 MB/s``."""
    size, step = float(value), 0
    while step < len(_PREFIXES) - 1 and size >= 999.95:
        size, step = size / 1000, step + 1
    digits = f"{size:,.0f}" if not step and size == int(size) else f"{size:,.1f}"
    return f"{digits} {_PREFIXES[step]}{unit}".rstrip()


def percent(share: Number | None, decimals: int = 0) -> str:
    """``48%``; ``<1%`` for what is little but not nothing."""
    if share is None:
        return "-"
    if 0 < share * 100 < 0.5 and not decimals:
        return "<1%"
    return f"{share * 100:.{decimals}f}%"


def significant(value: Number) -> str:
    """Four digits: ``0.0351``, ``34.71``, ``1,203``."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def quantity(bits: int | None, word_bits: int) -> str:
    """A capacity: ``100 KiB``, or words where it is no whole number of bytes or less than one KiB."""
    if bits is None:
        return "unbounded"
    if bits % 8192 == 0:
        return f"{bits // 8192:,} KiB"
    if bits % word_bits:
        return f"{bits:,} bit"
    return "1 word" if bits == word_bits else f"{bits // word_bits:,} words"


def duration(milliseconds: Number) -> str:
    """``286.5 ms``, ``90.91 us``."""
    value, units = float(milliseconds) * 1e6, ["ns", "us", "ms"]
    while len(units) > 1 and value >= 1000:
        value, units = value / 1000, units[1:]
    return f"{significant(value)} {units[0]}"


def tail(text: str, width: int) -> str:
    """``text`` if it fits, else its end: names of layers differ there."""
    return text if len(text) <= width else ".." + text[len(text) - width + 2 :] if width > 2 else text[:width]


def clean(text: str) -> str:
    """A name from a file, on one line and without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)
