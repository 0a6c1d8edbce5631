"""Numbers, units and names as they stand in a tree, converted and checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from json import loads

from effc.compiler.errors import InputError
from effc.compiler.target.estimators import Action, Part, find
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

_MAX_COUNT = 2**31
_MAX_BITS = 2**63
_MAY_BE_ZERO = {"energy", "access energy", "power"}


@dataclass(frozen=True, slots=True)
class Values:
    """Reads the values of one source, in the units of one target."""

    source: Source
    units: Units
    technology: Fraction | None = None  # nm

    def with_word(self, bits: int) -> Values:
        """The same for a memory whose words have so many bits."""
        return replace(self, units=replace(self.units, word_bits=bits))

    def measure(self, quantity: Node, kind: str) -> Fraction:
        return measure(self.source, quantity, kind, self.units.table(kind))

    def bits(self, quantity: Node) -> int:
        return whole(self.source, quantity, "size", self.units.table("size"))

    def count(self, at: Node, what: str) -> int:
        """A number without a unit that counts something."""
        value = _number(self.source, at)
        if value.denominator != 1 or not 0 < value < _MAX_COUNT:
            expected = f"1 to {_MAX_COUNT - 1}"
            raise self.source.error(at, f"{what} must be a whole number", expected, "write for example `12`")
        return value.numerator

    def given(self, node: Node, kind: str, part: Part, action: Action = "read") -> Fraction:
        """A quantity; or, where it says `estimated`, what an estimator makes of a part and its technology."""
        if node.rule != "estimated":
            return self.measure(node, kind)
        unit = "um2" if kind == "area" else "pJ"
        table = self.units.table(kind)
        if unit not in table:
            message, remedy = "estimates are in pJ, and nothing says how many an x is", "say it: `unit 1x = 2 pJ`"
            raise self.source.error(node, message, "energies in pJ", remedy)
        return self._estimate(node, kind, replace(part, nm=self.nanometres(node)), action) * table[unit]

    def nanometres(self, node: Node) -> Fraction:
        """The technology that something is to be estimated from."""
        if self.technology is None:
            expected, remedy = "a technology to estimate from", 'add `technology "65 nm"`'
            raise self.source.error(node, "nothing says what it is to be estimated from", expected, remedy)
        return self.technology

    def _estimate(self, node: Node, kind: str, part: Part, action: Action) -> Fraction:
        """In pJ or um2, by the estimator that is named: three digits, as more would say more than is known."""
        name, component = (*node.words, "")[0], self.text(node.tokens[1]) if len(node.tokens) > 1 else ""
        part = replace(part, component=component)
        try:
            estimator = find(name)
            value = estimator.area(part) if kind == "area" else estimator.energy(part, action)
        except InputError as error:
            raise self.source.error(node, error.message, error.expected, error.remedy) from None
        except Exception as error:
            why = str(error).strip().partition("\n")[0] or type(error).__name__
            message, remedy = f"{name} cannot estimate this: {why}", "name another component, or give the number"
            raise self.source.error(node, message, "a part that it knows", remedy) from error
        if not 0 < value < 1e18:
            raise self.source.error(node, f"{name} says {value:g}", "more than zero", "give the number")
        return Fraction(f"{value:.3g}")

    def rates(self, given: Sequence[Node]) -> tuple[Fraction | None, Fraction | None, bool]:
        """Bandwidths of reads and of writes in bits per core cycle (None: unlimited), and whether they take turns."""
        read, write = self._rate(given[0]), self._rate(given[-1])
        return read, write, len(given) == 1 and read is not None

    def _rate(self, rate: Node) -> Fraction | None:
        if rate.first("unlimited"):
            return None
        quantity, *link = rate.children
        value = self.measure(quantity, "bandwidth")
        if not link:
            return value
        if quantity.words[-1] != "cycle":
            message = "a clock behind a bandwidth that is not per cycle"
            remedy = "leave the clock out, or write for example `64 bit/cycle @ 60 MHz`"
            raise self.source.error(link[0], message, "a bandwidth in bit/cycle, byte/cycle or word/cycle", remedy)
        return value * self.measure(link[0], "frequency") / self.units.clock_mhz

    def text(self, at: Node) -> str:
        """A text in double quotes."""
        try:
            return str(loads(at.text, strict=False))
        except ValueError:
            expected, remedy = r"\" and \\ and the others of JSON", r"write `\\` for a backslash"
            raise self.source.error(at, "unknown escape in a text", expected, remedy) from None

    def distinct(self, nodes: Iterable[Node], what: str) -> tuple[str, ...]:
        """The texts of tokens, none of which may occur twice."""
        seen: list[str] = []
        for node in nodes:
            if node.text in seen:
                raise self.source.error(
                    node, f"{what} '{node.text}' is named twice", "once", "remove or rename one of the two"
                )
            seen.append(node.text)
        return tuple(seen)


def measure(source: Source, quantity: Node, kind: str, table: Table, positive: bool = False) -> Fraction:
    """A number with a unit of the table, converted."""
    value = _number(source, quantity.name)
    if len(quantity.words) == 1:
        raise source.error(quantity, "the unit is missing", _known(table), _example(kind, table))
    unit = "".join(quantity.words[1:])
    if unit not in table:
        raise _wrong_unit(source, quantity, unit, kind, table)
    value *= table[unit]
    zero = not positive and kind in _MAY_BE_ZERO
    if value < 0 or (value == 0 and not zero):
        message = f"{KINDS[kind]} must not be {'negative' if value < 0 else 'zero'}"
        raise source.error(quantity, message, "zero or more" if zero else "more than zero", _example(kind, table))
    if not in_range(value):
        raise _out_of_range(source, quantity)
    return value


def whole(source: Source, quantity: Node, kind: str, table: Table) -> int:
    """A size in whole bits."""
    value = measure(source, quantity, kind, table)
    if value.denominator != 1:
        raise source.error(quantity, "not a whole number of bits", "whole bits", _example(kind, table))
    if value >= _MAX_BITS:
        raise source.error(quantity, "this is too large", "less than 2^63 bits, or unbounded", _example(kind, table))
    return value.numerator


def _number(source: Source, at: Node) -> Fraction:
    value = number(at.text)
    if value is None:
        raise _out_of_range(source, at)
    return value


def _out_of_range(source: Source, at: Node) -> InputError:
    expected = "at most 36 digits on either side of a `/`, and no zero below it"
    return source.error(at, "number out of range", expected, "choose a unit that makes the number shorter")


def _wrong_unit(source: Source, quantity: Node, unit: str, kind: str, table: Table) -> InputError:
    known = kind_of(unit)
    remedy = _example(kind, table)
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


def _example(kind: str, table: Table) -> str:
    """A remedy: the first example of the kind whose unit is in the table."""
    examples = (example for example in EXAMPLES[kind] if example.lstrip("0123456789. ") in table)
    return f"write for example `{next(examples)}`"
