"""The machine of a file of cases: memories in series and one array of PEs, as a ``Target``.

    "arch": {"levels_inner_to_outer": ["PsumSpad", "WeightSpad", "IfmapSpad", "GLB", "DRAM"],
             "capacity_words": {"PsumSpad": 24, "WeightSpad": 224, "IfmapSpad": 12, "GLB": 55296},
             "pe_array": {"X_columns": 14, "Y_rows": 12}, "word_bits": 16,
             "energy_per_word": {"MAC": 1, "spads": 1, "GLB": 6, "DRAM": 200},
             "bandwidth": "unlimited", "network_energy": 0, "multiple_buffering": 1}

``energy_per_word`` prices levels by their names; ``spads`` prices those that are not named, which are the ones in the
PEs. So the array stands below the innermost level that has a price of its own; where all have one, below the GLB.
Another place is written as ``"below": LEVEL`` in ``pe_array``. A level without a capacity is unbounded, as the
outermost one must be.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

from effc.compiler.replay.document import Value
from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target

TENSORS = {"Weights": "W", "Inputs": "I", "Outputs": "O"}
"""The tensors by their names in a file of cases, and the operands that they are."""

ROWS, COLUMNS = "Y", "X"
"""The axes of the array; its rows stand outside its columns in the order of the loops."""

_BUFFER = "GLB"
"""The level that the array stands below if nothing else says where."""

_PES = 2**20
"""The largest array."""

_REQUIRED = ("levels_inner_to_outer", "capacity_words", "pe_array", "word_bits", "energy_per_word")
_OPTIONAL = ("bandwidth", "network_energy", "multiple_buffering")
_RESERVED = ("MAC", "spads", ROWS, COLUMNS)
_OPERANDS = tuple(TENSORS.values())


def read_machine(arch: Value, name: str) -> Target:
    """The target that ``arch`` describes. Every level may keep any tensor, in one memory that they share."""
    fields = arch.fields(_REQUIRED, _OPTIONAL)
    _check_idealised(fields)
    levels = _levels(fields["levels_inner_to_outer"])
    energy = fields["energy_per_word"].mapping('an object such as {"MAC": 1, "spads": 1, "GLB": 6, "DRAM": 200}')
    fields["energy_per_word"].known(energy, ("MAC", "spads", *levels), "level")
    above = _above(fields, levels)
    word_bits = fields["word_bits"].count()
    capacity = _capacity(fields["capacity_words"], levels)
    return Target(
        name=name,
        word_bits=word_bits,
        clock_mhz=Fraction(1),
        levels=tuple(
            Level(
                name=level,
                banks=(_bank(position, capacity.get(level), word_bits, _price(fields, level)),),
                double_buffered=_double_buffered(fields) and position > 0,
                sliding=position > 0,
                fanout=_array(fields["pe_array"]) if level == above else None,
            )
            for position, level in enumerate(levels)
        ),
        mac=Mac(_price(fields, "MAC")),
        energy_unit="x",
    )


def _check_idealised(fields: dict[str, Value]) -> None:
    bandwidth, network = fields.get("bandwidth"), fields.get("network_energy")
    if bandwidth is not None and bandwidth.raw != "unlimited":
        raise bandwidth.error(f"a bandwidth of {bandwidth.shown}", '"unlimited"', "cycles are temporal iterations here")
    if network is not None and network.quantity():
        raise network.error(f"a network energy of {network.shown}", "0", "give what a hop costs in a .hw file instead")


def _levels(value: Value) -> tuple[str, ...]:
    """The names of the levels, outermost first."""
    items = value.items("a list of levels, innermost first")
    names = [item.text() for item in items]
    for item, name in zip(items, names):
        if name in _RESERVED or names.count(name) > 1:
            found = "is no name of a level" if name in _RESERVED else "stands twice"
            raise item.error(f"'{name}' {found}", "distinct names of levels", "choose another name")
    if len(names) < 2:
        raise value.error("too few levels", "at least two levels", 'write for example ["GLB", "DRAM"]')
    return tuple(reversed(names))


def _above(fields: dict[str, Value], levels: Sequence[str]) -> str:
    """The level that the array stands below."""
    below = fields["pe_array"].fields(("X_columns", "Y_rows"), ("below",)).get("below")
    if below is not None:
        return below.one_of(levels, "level")
    priced = [level in fields["energy_per_word"].raw for level in levels]
    if priced[0] and not priced[-1] and priced == sorted(priced, reverse=True):
        return levels[priced.index(False) - 1]
    if _BUFFER in levels:
        return _BUFFER
    remedy = f'say which level it stands below: "below": "{levels[-2]}"'
    raise fields["pe_array"].error("it does not follow where the array stands", "spads, or a GLB", remedy)


def _price(fields: dict[str, Value], name: str) -> Fraction:
    """The energy of a word at a level, or of a MAC."""
    table = fields["energy_per_word"]
    prices = table.mapping("an object")
    price = prices.get(name) or (prices.get("spads") if name != "MAC" else None)
    if price is None:
        raise table.error(f"'{name}' has no energy", "an energy for the MACs and every level", f'add "{name}": 1')
    return price.quantity()


def _capacity(value: Value, levels: Sequence[str]) -> dict[str, int]:
    """The words of every level that is bounded."""
    given = value.mapping('an object such as {"GLB": 55296}')
    value.known(given, levels, "level")
    words = {level: words.count() for level, words in given.items() if words.raw is not None}
    if levels[0] in words:
        remedy = f'leave "{levels[0]}" out'
        raise value.error(f"the outermost level {levels[0]} has a capacity", "an unbounded level", remedy)
    return words


def _double_buffered(fields: dict[str, Value]) -> bool:
    value = fields.get("multiple_buffering")
    if value is not None and value.raw not in (1, 2):
        raise value.error(f"{value.shown} buffers", "1 (single) or 2 (double)", "write 1 or 2")
    return value is not None and bool(value.raw == 2)


def _bank(position: int, words: int | None, word_bits: int, energy: Fraction) -> Bank:
    keeps, may_keep = ((), _OPERANDS) if position else (_OPERANDS, ())
    bits = None if words is None else words * word_bits
    return Bank(keeps, may_keep, bits, read_energy=energy, write_energy=energy)


def _array(value: Value) -> FanOut:
    """PEs that share a read if they want the identical words, and add up psums along both axes."""
    sizes = value.mapping("an object")
    counts = {ROWS: sizes["Y_rows"].count(), COLUMNS: sizes["X_columns"].count()}
    if prod(counts.values()) > _PES:
        raise value.error("the array is too large", f"at most {_PES} PEs", "make an axis smaller")
    return FanOut("PE", tuple(MeshAxis(axis, size, multicast="tiles") for axis, size in counts.items()))
