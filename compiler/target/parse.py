"""A target's description to a ``Target``: its head, its chain of memories and arrays, its MACs and its vector unit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal, cast

from effc.compiler.errors import InputError
from effc.compiler.target.area import area_mm2
from effc.compiler.target.array import read_array
from effc.compiler.target.estimate import leakage_power
from effc.compiler.target.estimators import Part
from effc.compiler.target.memory import read_memory
from effc.compiler.target.model import OPERAND_TERMS, Level, Mac, Numeric, Target, VectorUnit
from effc.compiler.target.statements import statements
from effc.compiler.target.syntax import Node, Source
from effc.compiler.target.units import FIXED, Units, kind_of, number
from effc.compiler.target.values import Values, measure, whole
from effc.ir.nest import READ_NAMES

MAX_CHARACTERS = 2**20

TYPES = tuple(f"{sign}int{bits}" for bits in (1, 2, 4, 8, 16, 24, 32, 64) for sign in ("", "u"))
"""The types that MACs may have."""

_ORDER = "memories from the outermost inward, at most one array below each, then `mac`"


def parse_target(text: str, filename: str = "<text>") -> Target:
    """The target that ``text`` describes; an ``InputError`` if it describes none."""
    if len(text) > MAX_CHARACTERS:
        raise InputError("too large for a target", filename, f"at most {MAX_CHARACTERS} characters")
    source = Source(filename, text.replace("\r\n", "\n").replace("\r", "\n"))
    root = source.parse()
    found = statements(source, root, f"target '{root.name.text}'", root.name, ("word", "clock", "memory", "mac"))
    values = Values(source, _units(source, root, found))
    values = replace(values, technology=_nanometres(values, found["technology"]) if "technology" in found else None)
    return replace(_target(values, root, found), source="" if _foreign(root) else text)


def _foreign(node: Node) -> bool:
    """Whether another package estimates something: the text then says other things where it is not installed."""
    return bool(node.rule == "estimated" and node.children) or any(_foreign(child) for child in node.children)


def _nanometres(values: Values, technology: Node) -> Fraction | None:
    """The feature size that a technology begins with, or has somewhere in its name."""
    found = re.search(r"([0-9]+(?:\.[0-9]+)?) ?nm", values.text(technology.name))
    return number(found[1]) if found is not None else None


def _units(source: Source, root: Node, found: Mapping[str, Node]) -> Units:
    """The units that the head of a target fixes: energies are in x if `unit` says so, or the first of them is."""
    word_bits = whole(source, found["word"].children[0], "word", FIXED["word"])
    clock = measure(source, found["clock"].children[0], "frequency", FIXED["frequency"])
    in_pj = Units(word_bits, clock, "pJ", Fraction(1))
    in_x = Units(word_bits, clock, "x", None)
    if "unit" not in found:
        return in_x if next(_energy_units(root), "pJ") == "x" else in_pj
    left, right = found["unit"].children
    multiples = measure(source, left, "energy", in_x.table("energy"), positive=True)
    energy = measure(source, right, "energy", in_pj.table("energy"), positive=True)
    return replace(in_x, pj_per_unit=energy / multiples)


def _energy_units(node: Node) -> Iterator[str]:
    """The units of the energies below a node, in the order of the text."""
    if node.rule == "quantity" and len(node.words) > 1 and kind_of(node.words[1]) == "energy":
        yield node.words[1]
    for child in node.children:
        yield from _energy_units(child)


def _target(values: Values, root: Node, found: Mapping[str, Node]) -> Target:
    units = values.units
    target = Target(
        name=root.name.text,
        word_bits=units.word_bits,
        clock_mhz=units.clock_mhz,
        levels=_levels(values, root),
        mac=_mac(values, found["mac"]),
        vector=_vector(values, found["vector"]) if "vector" in found else None,
        energy_unit=cast(Literal["pJ", "x"], units.energy_unit),
        pj_per_unit=units.pj_per_unit,
        leakage=_power(values, found, "clocking"),
        clocking=_power(values, found, "clocking"),
        technology=values.text(found["technology"].name) if "technology" in found else "",
        fps_target=values.measure(found["goal"].children[0], "frame rate") if "goal" in found else None,
        numeric=_numeric(values, found["numeric"]) if "numeric" in found else Numeric(),
    )
    return replace(target, leakage=target.leakage + _leakage(values, found, target)) if "leakage" in found else target


def _leakage(values: Values, found: Mapping[str, Node], target: Target) -> Fraction:
    """Static power, given or estimated from the area of all parts."""
    node = found["leakage"]
    if node.children:
        return values.measure(node.children[0], "power")
    area = area_mm2(target)
    if area is None:
        message = "leakage is estimated from the area, and not every part has one"
        expected = "an area of every memory but the outermost, and of the MACs"
        raise values.source.error(node, message, expected, "write `area estimated` in each of them")
    table = values.units.table("power")
    if "mW" not in table:
        message, remedy = "estimates are in mW, and nothing says how many pJ an x is", "say it: `unit 1x = 2 pJ`"
        raise values.source.error(node, message, "energies in pJ", remedy)
    return leakage_power(area) * table["mW"]


def _numeric(values: Values, numeric: Node) -> Numeric:
    at = replace(numeric, length=len("numeric"))
    found = statements(values.source, numeric, "numeric", at, ("types",))
    *native, sums = found["types"].children
    for node in found["types"].children:
        if node.text not in TYPES:
            message, expected = f"'{node.text}' is no type of integers", f"one of {', '.join(TYPES)}"
            raise values.source.error(node, message, expected, "write for example `types int8, uint8 -> int32`")
    packs = "packing" in found and found["packing"].words[-1] == "yes"
    return Numeric(values.distinct(native, "type"), sums.text, packs)


def _power(values: Values, found: Mapping[str, Node], rule: str) -> Fraction:
    return values.measure(found[rule].children[0], "power") if rule in found else Fraction(0)


def _levels(values: Values, root: Node) -> tuple[Level, ...]:
    """The chain: memories, outermost first, each with the array that stands below it; the MACs end it."""
    *chain, last = root.all("memory", "array", "mac")
    macs = root.all("mac")[0]
    if last is not macs:
        message = f"{last.rule} '{last.name.text}' stands behind the MACs"
        raise values.source.error(last.name, message, _ORDER, "move `mac` behind it")
    values.distinct((node.name for node in chain), "memory or array")
    levels: list[Level] = []
    for node in chain:
        if node.rule == "memory":
            levels.append(read_memory(values, node, outermost=not levels))
        else:
            _check_parent(values, node, levels)
            levels[-1] = replace(levels[-1], fanout=read_array(values, node))
    return tuple(levels)


def _check_parent(values: Values, array: Node, levels: Sequence[Level]) -> None:
    if not levels:
        message = f"array '{array.name.text}' stands above the first memory"
        raise values.source.error(array.name, message, _ORDER, "move it behind the memory that feeds it")
    above = levels[-1].fanout
    if above is not None:
        message = f"no memory between the arrays '{above.name}' and '{array.name.text}'"
        raise values.source.error(array.name, message, _ORDER, "make them one array with more axes, or add a memory")


def _mac(values: Values, mac: Node) -> Mac:
    found = statements(values.source, mac, "mac", replace(mac, length=len("mac")), ("cost",))
    bits = values.units.word_bits
    part = Part("mac", bits)
    area = values.given(found["area"].children[0], "area", part) if "area" in found else None
    energy = values.given(found["cost"].children[0], "energy", part, "compute")
    gates, skips = _zeros(values, found["zeros"]) if "zeros" in found else ((), False)
    return Mac(energy, area, gates, skips)


def _zeros(values: Values, zeros: Node) -> tuple[tuple[str, ...], bool]:
    """The operands whose zeros stop a MAC, and whether it then takes no cycle."""
    terms = values.distinct([operand.name for operand in zeros.all("operand")], "operand")
    expected = [", ".join(OPERAND_TERMS[name] for name in READ_NAMES[:count]) for count in (1, 2)]
    if set(terms) not in [set(text.split(", ")) for text in expected]:
        message, remedy = f"zeros of {', '.join(terms)} cannot stop a MAC", f"write `{zeros.words[0]} on {expected[0]}`"
        raise values.source.error(zeros, message, " or ".join(expected), remedy)
    return READ_NAMES[: len(terms)], zeros.words[0] == "skip"


def _vector(values: Values, vector: Node) -> VectorUnit:
    at = replace(vector, length=len("vector"))
    found = statements(values.source, vector, "vector", at, ("lanes", "cost", "ops"))
    lanes = found["lanes"].children[0]
    if len(lanes.words) > 1:
        raise values.source.error(lanes, "lanes have no unit", "a number alone", "write for example `lanes 4`")
    return VectorUnit(
        ops=_ops(values, found["ops"].children),
        lanes=values.count(lanes.name, "the number of lanes"),
        energy=values.given(found["cost"].children[0], "energy", Part("mac", values.units.word_bits), "compute"),
    )


def _ops(values: Values, ops: Sequence[Node]) -> tuple[str, ...]:
    for op in ops:
        if not op.text[0].isupper():
            remedy = f"did you mean '{op.text[0].upper() + op.text[1:]}'?"
            raise values.source.error(
                op, f"'{op.text}' is not an operator", "a name of ONNX, as Relu or MaxPool", remedy
            )
    return values.distinct(ops, "operator")
