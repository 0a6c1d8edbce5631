"""JSON that is read strictly: every value knows where it stands, and says what was expected there.

Value(document, "cases.json").field("arch").field("word_bits").count()
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from effc.compiler.errors import InputError, source_error

LIMIT = 2**31
"""Whole numbers stay below this."""

_DIGITS = 30
"""Numbers that are not whole have at most this many digits before and behind the point."""


def parse_json(text: str, place: str, expected: str) -> Value:
    """The value that a text in JSON describes. Numbers that are not whole stay exact; no key may stand twice."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_distinct_keys)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg}"
        remedy = "mend the text there"
        raise source_error(place, text, error.lineno, error.colno, 1, message, expected, remedy) from None
    except _RefusedError as refused:
        raise InputError(f"not JSON: {refused}", place, expected, "mend the text") from None
    except RecursionError:
        raise InputError("lists nest too deeply", place, expected, "mend the text") from None
    except (ValueError, ArithmeticError):
        raise InputError("a number has too many digits", place, expected, "mend the text") from None
    return Value(value, place)


class _RefusedError(Exception):
    """What Python reads, but JSON does not have."""


def _refuse_constant(name: str) -> None:
    raise _RefusedError(f"{name} is no number of JSON")


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise _RefusedError(f"the key '{twice}' stands twice in one object")
    return found


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a JSON document and its place: the file, then the way to the value."""

    raw: Any
    place: str

    def error(self, message: str, expected: str, remedy: str) -> InputError:
        return InputError(message, self.place, expected, remedy)

    @property
    def shown(self) -> str:
        """The value as JSON, cut to what fits in a message."""
        text = json.dumps(self.raw, ensure_ascii=False, default=float)
        return text if len(text) <= 40 else text[:37] + "..."

    def at(self, step: str | int) -> str:
        """The place of a part of this value."""
        if isinstance(step, int):
            return f"{self.place}[{step}]"
        return f"{self.place}.{step}" if ": " in self.place else f"{self.place}: {step}"

    # Objects

    def mapping(self, expected: str) -> dict[str, Value]:
        """The fields of an object."""
        if not isinstance(self.raw, dict):
            raise self.error(f"{self.shown} is no object", expected, f"write {expected}")
        return {key: Value(value, self.at(key)) for key, value in self.raw.items()}

    def fields(
        self, required: Collection[str], optional: Collection[str] = (), open_: bool = False
    ) -> dict[str, Value]:
        """The fields of an object that has the ``required`` ones; no others than ``optional`` unless it is open."""
        expected = "an object with " + ", ".join(f'"{key}"' for key in required)
        found = self.mapping(expected)
        for key in required:
            if key not in found:
                raise self.error(f"'{key}' is missing", expected, f'add "{key}"')
        if not open_:
            self.known(found, (*required, *optional), "key")
        return found

    def known(self, names: Collection[str], known: Collection[str], what: str, otherwise: str = "leave it out") -> None:
        """Raise an error for the first of ``names`` that is not ``known``."""
        for name in names:
            if name not in known:
                same = [other for other in known if other.casefold() == name.casefold()]
                close = same or get_close_matches(name, known, 1)
                remedy = f"did you mean '{close[0]}'?" if close else otherwise
                raise self.error(f"unknown {what} '{name}'", ", ".join(known), remedy)

    # Lists

    def items(self, expected: str) -> list[Value]:
        """The items of a list."""
        if not isinstance(self.raw, list):
            raise self.error(f"{self.shown} is no list", expected, f"write {expected}")
        return [Value(item, self.at(i)) for i, item in enumerate(self.raw)]

    def names(self, known: Collection[str], what: str) -> tuple[str, ...]:
        """The items of a list of distinct names, all of them ``known``."""
        items = self.items(f"a list of {what}s: {', '.join(known)}")
        names = [item.one_of(known, what) for item in items]
        for item, name in zip(items, names):
            if names.count(name) > 1:
                raise item.error(
                    f"the {what} '{name}' stands twice in one list", "distinct names", "remove one of them"
                )
        return tuple(names)

    # Single values

    def text(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.raw, str) or not self.raw:
            raise self.error(f"{self.shown} is no name", "a text that is not empty", "write a name in double quotes")
        return self.raw

    def one_of(self, known: Collection[str], what: str) -> str:
        """One of the ``known`` names."""
        name = self.text()
        self.known((name,), known, what, "take one of these")
        return name

    def count(self) -> int:
        """A whole number from 1."""
        value = self.raw
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < LIMIT:
            expected = f"a whole number from 1 to {LIMIT - 1}"
            raise self.error(f"{self.shown} is no such number", expected, "write for example 8")
        return value

    def quantity(self) -> Fraction:
        """A number from 0, exact."""
        value = self.raw
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not _writable(value):
            raise self.error(f"{self.shown} is no such number", "a number from 0", "write for example 6 or 0.5")
        return Fraction(value)


def _writable(value: int | Decimal) -> bool:
    """Whether a number is not negative, and has few enough digits."""
    if isinstance(value, int):
        return value in range(10**_DIGITS)
    exponent = value.as_tuple().exponent
    return value >= 0 and isinstance(exponent, int) and exponent >= -_DIGITS and value.adjusted() < _DIGITS
