"""Numbers, units and names as they stand in a tree, converted and checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from json import loads

from effc.compiler.errors import InputError
from effc.compiler.target.suggest import did_you_mean, either
from effc.compiler.target.syntax import Node, Source
from effc.compiler.target.units import (
    DUMMY,
    EXAMPLES,
    KINDS,
    MISTAKES,
    PLURALS,
    Table,
    Units,
    in_range,
    kind_of,
    number,
)

_MAY_BE_ZERO = {"energy", "access energy", "power"}


@dataclass(frozen=True, slots=True)
class Values:
    """Reads the values of one source, in the units of one target."""

    source: Source
    units: Units

    def measure(self, quantity: Node, kind: str) -> Fraction:
        return measure(self.source, quantity, kind, self.units.table(kind))

    def bits(self, quantity: Node) -> int:
        return whole(self.source, quantity, "size", self.units.table("size"))

    def count(self, at: Node, what: str) -> int:
        """A number without a unit that counts something."""
        value = _number(self.source, at)
        if value.denominator != 1 or value < 1:
            raise self.source.error(at, f"{what} must be a whole number, 1 or more")
        return value.numerator

    def text(self, at: Node) -> str:
        """A text in double quotes."""
        try:
            return str(loads(at.text, strict=False))
        except ValueError:
            raise self.source.error(at, "unknown escape in a text", r"\" and \\ and the others of JSON") from None

    def distinct(self, nodes: Iterable[Node], what: str) -> tuple[str, ...]:
        """The texts of tokens, none of which may occur twice."""
        seen: list[str] = []
        for node in nodes:
            if node.text in seen:
                raise self.source.error(node, f"{what} '{node.text}' is named twice")
            seen.append(node.text)
        return tuple(seen)


def measure(source: Source, quantity: Node, kind: str, table: Table, positive: bool = False) -> Fraction:
    """A number with a unit of the table, converted."""
    value = _number(source, quantity.name)
    if len(quantity.words) == 1:
        raise source.error(quantity, "the unit is missing", _known(table), f"write for example `{EXAMPLES[kind]}`")
    unit = "".join(quantity.words[1:])
    if unit not in table:
        raise _wrong_unit(source, quantity, unit, kind, table)
    value *= table[unit]
    if value < 0 or (value == 0 and (positive or kind not in _MAY_BE_ZERO)):
        raise source.error(quantity, f"{KINDS[kind]} must not be {'negative' if value < 0 else 'zero'}")
    if not in_range(value):
        raise source.error(quantity, "number out of range", "at most 36 digits")
    return value


def whole(source: Source, quantity: Node, kind: str, table: Table) -> int:
    """A size in whole bits."""
    value = measure(source, quantity, kind, table)
    if value.denominator != 1:
        raise source.error(quantity, "not a whole number of bits")
    return value.numerator


def _number(source: Source, at: Node) -> Fraction:
    value = number(at.text)
    if value is None:
        raise source.error(at, "number out of range", "at most 36 digits, and no division by zero")
    return value


def _wrong_unit(source: Source, quantity: Node, unit: str, kind: str, table: Table) -> InputError:
    known = kind_of(unit)
    remedy = f"write for example `{EXAMPLES[kind]}`"
    if unit in DUMMY.table(kind):
        message = f"'{unit}' cannot be converted: nothing says how many pJ an x is"
        remedy = "use x throughout or pJ throughout, or say it: `unit 1x = 2 pJ`"
    elif known is None:
        message = f"unknown unit '{unit}'"
        near = did_you_mean(unit, table)
        remedy = f"did you mean '{MISTAKES[unit]}'?" if MISTAKES.get(unit) in table else near or remedy
    elif KINDS[known] == KINDS[kind]:
        message = f"'{unit}' cannot be used here"
    else:
        message = f"'{unit}' measures {KINDS[known]}, but this is {KINDS[kind]}"
    return source.error(_unit_node(quantity), message, _known(table), remedy)


def _unit_node(quantity: Node) -> Node:
    first, last = quantity.children[1], quantity.children[-1]
    return replace(first, length=last.column + last.length - first.column if first.line == last.line else first.length)


def _known(table: Table) -> str:
    return either(unit for unit in table if unit.split("/")[0] not in PLURALS)
