"""Programs as bytes: ``encode_program``; ``decode_program`` gives the same program back.

    45 46 46 42    "EFFB"
    VERSION        of the instruction set
    strings        how many, then of each its length and its text in UTF-8
    program        its fields, in the order of `isa.py`

A number is written in groups of seven bits, the lowest first, the top bit set where more follow; its own lowest bit is
its sign. A text is the number of a string, several values are their count and then each, what may be absent or of
several kinds is preceded by a number that says which. Notes are part of the program: nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from effc.backends.accel.isa import VERSION, Program, other_version
from effc.ir.control_rules import DEEPEST
from effc.ir.errors import InputError

MAGIC = b"EFFB"
AGAIN = "compile the model again"

_MAX_BYTES = 10
"""Of a number: more than 64 bits are none."""


def encode_program(program: Program) -> bytes:
    """The binary form of a program."""
    writer = _Writer()
    writer.value(program, Program)
    strings = _number(len(writer.strings))
    for text in writer.strings:
        data = text.encode()
        strings += _number(len(data)) + data
    return MAGIC + _number(VERSION) + strings + bytes(writer.out)


def decode_program(data: bytes, filename: str = "program") -> Program:
    """The program that ``encode_program`` wrote; an ``InputError`` with the place if it is none."""
    reader = _Reader(data, filename)
    if data[: len(MAGIC)] != MAGIC:
        reader.fail(f"the bytes {data[:4]!r}", f"{MAGIC!r}, with which a binary program begins")
    reader.place = len(MAGIC)
    version = reader.number()
    if version != VERSION:
        message, expected, remedy = other_version(version)
        raise InputError(message, f"{filename}:byte {len(MAGIC)}", expected, remedy)
    reader.read_strings()
    program: Program = reader.value(Program)
    if reader.place < len(data):
        reader.fail("more bytes", "the end of the program")
    return program


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()
        self.strings: dict[str, int] = {}

    def value(self, value: Any, kind: Any) -> None:
        """Write a value of a type."""
        origin, record = get_origin(kind), is_dataclass(kind)
        if record:
            for name, inner in _fields(kind):
                self.value(getattr(value, name), inner)
        elif origin in (Union, UnionType):
            kinds = get_args(kind)
            place = next(i for i, inner in enumerate(kinds) if _matches(value, inner))
            self.out += _number(place)
            self.value(value, kinds[place])
        elif origin is tuple:
            if get_args(kind)[-1] is Ellipsis:
                self.out += _number(len(value))
            for item, inner in zip(value, _items(kind, len(value))):
                self.value(item, inner)
        elif origin is Literal:
            self.out += _number(get_args(kind).index(value))
        elif kind is str:
            self.out += _number(self.strings.setdefault(value, len(self.strings)))
        elif kind is bytes:
            self.out += _number(len(value)) + value
        elif kind is not NoneType:
            self.out += _number(int(value))


class _Reader:
    def __init__(self, data: bytes, filename: str) -> None:
        self.data, self.filename, self.place = data, filename, 0
        self.strings: list[str] = []
        self.depth = 0  # of programs in each other

    def fail(self, found: str, expected: str) -> NoReturn:
        raise InputError(f"unexpected {found}", f"{self.filename}:byte {self.place}", expected, AGAIN)

    def number(self) -> int:
        value, shift = 0, 0
        for place in range(self.place, self.place + _MAX_BYTES):
            if place >= len(self.data):
                self.fail("end of the file", "a number")
            byte = self.data[place]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                self.place = place + 1
                return value >> 1 ^ -(value & 1)
        return self.fail("number of more than 64 bits", "a number")

    def below(self, limit: int, what: str) -> int:
        """A number from 0 to ``limit - 1``."""
        start, value = self.place, self.number()
        if not 0 <= value < limit:
            self.place = start
            self.fail(f"number {value}", f"{what}, less than {limit}")
        return value

    def count(self) -> int:
        """How many values follow; each takes a byte at least."""
        return self.below(len(self.data) - self.place + 1, "a count of values that the file can hold")

    def bytes_(self) -> bytes:
        size = self.count()
        if self.place + size > len(self.data):
            self.fail("end of the file", f"{size} bytes")
        self.place += size
        return self.data[self.place - size : self.place]

    def read_strings(self) -> None:
        for _ in range(self.count()):
            start = self.place
            try:
                self.strings.append(self.bytes_().decode())
            except UnicodeDecodeError:
                self.place = start
                self.fail("bytes", "a text in UTF-8")

    def value(self, kind: Any) -> Any:
        """Read a value of a type."""
        origin, record = get_origin(kind), is_dataclass(kind)
        if record:
            self.depth += kind is Program
            if self.depth > DEEPEST + 1:
                self.fail("body", f"bodies up to {DEEPEST} deep in each other")
            fields_ = [self.value(inner) for _, inner in _fields(kind)]
            self.depth -= kind is Program
            return kind(*fields_)
        if origin in (Union, UnionType):
            kinds = get_args(kind)
            return self.value(kinds[self.below(len(kinds), "one of several kinds of values")])
        if origin is tuple:
            inner = get_args(kind)
            count = self.count() if inner[-1] is Ellipsis else len(inner)
            return tuple([self.value(item) for item in _items(kind, count)])
        if origin is Literal:
            choices = get_args(kind)
            return choices[self.below(len(choices), "one of " + ", ".join(choices))]
        plain: dict[Any, Callable[[], Any]] = {
            str: lambda: self.strings[self.below(len(self.strings), "the number of a string")],
            bytes: self.bytes_,
            bool: lambda: bool(self.below(2, "0 or 1")),
            NoneType: lambda: None,
        }
        return plain.get(kind, self.number)()


def _number(value: int) -> bytes:
    """A number in groups of seven bits."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The names and types of the fields of a dataclass."""
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in fields(kind))


def _items(kind: Any, count: int) -> Iterator[Any]:
    """The types of the values of a tuple."""
    inner = get_args(kind)
    return iter([inner[0]] * count if inner[-1] is Ellipsis else inner)


def _matches(value: Any, kind: Any) -> bool:
    return isinstance(value, get_origin(kind) or kind)
