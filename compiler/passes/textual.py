"""Pipelines as text: ``fold-batchnorm,keep-weights{limit=4096, exact=true}`` to pass values, and back.

An option is a field of the pass, read by the field's type: ``int``, ``float``, ``Fraction``, ``bool`` (``true`` or
``false``), ``str`` (in quotes if it is no plain word), a ``Literal``, or one of these ``| None`` (``none``). A field
``target: Target`` is no option: it is the target that the command was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from fractions import Fraction
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from effc.compiler.errors import InputError, source_error
from effc.compiler.passes.base import Pass
from effc.compiler.passes.registry import find_pass
from effc.compiler.target.model import Target

FORM = "PASS,PASS{option=value,option=value},..."

_TOKEN = re.compile(r'\s*(?:(?P<mark>[,{}=])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s,{}="]+)|(?P<bad>\S))')
_BARE = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # mark, string, word, end
    text: str
    column: int


def parse_pipeline(text: str, target: Target | None = None, place: str = "--passes") -> tuple[Pass, ...]:
    """The passes that ``text`` names; those that depend on a target get ``target``."""
    return _Parser(text, target, place).pipeline()


def print_pipeline(passes: Iterable[Pass]) -> str:
    """The text of passes; options that have their default are left out."""
    return ",".join(map(print_pass, passes))


def print_pass(item: Pass) -> str:
    """``keep-weights{limit=4096}``."""
    options = [
        f"{option_name(field)}={print_value(getattr(item, field.name))}"
        for field in option_fields(type(item))
        if field.default is MISSING or getattr(item, field.name) != field.default
    ]
    return f"{item.name}{{{','.join(options)}}}" if options else item.name


def option_fields(cls: type[Pass]) -> list[Field[Any]]:
    """The fields of a pass that a text can give."""
    types = field_types(cls)
    return [field for field in fields(cls) if field.init and types[field.name] is not Target]


def option_name(field: Field[Any]) -> str:
    """How the text writes a field: ``max_words`` is ``max-words``."""
    return field.name.replace("_", "-")


def field_types(cls: type[Pass]) -> dict[str, Any]:
    """The types of the fields; where an annotation cannot be resolved, its text."""
    try:
        return get_type_hints(cls)
    except NameError:
        return {field.name: _PLAIN.get(str(field.type), field.type) for field in fields(cls)}


def type_name(kind: Any) -> str:
    """What a message calls the values of a type."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if _is_union(kind):
        return " or ".join(map(type_name, get_args(kind)))
    return _NAMES.get(kind, str(kind))


def print_value(value: object) -> str:
    """A value as the text writes it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str) and (not _BARE.fullmatch(value) or value in ("true", "false", "none")):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


_PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "Fraction": Fraction, "Target": Target}
_NAMES = {int: "a whole number", float: "a number", Fraction: "a number", bool: "true or false", str: "a text"}
_NAMES[NoneType] = "none"


class _Parser:
    """Reads a pipeline from left to right."""

    def __init__(self, text: str, target: Target | None, place: str) -> None:
        self.text, self.target, self.place = text, target, place
        self.tokens = list(self._tokens())
        self.position = 0

    def _tokens(self) -> Iterator[_Token]:
        end = len(self.text.rstrip())
        for match in _TOKEN.finditer(self.text[:end]):
            kind = str(match.lastgroup)
            token = _Token(kind, match[kind], match.start(kind) + 1)
            if kind == "bad":
                raise self.error(token, "a quote that does not close" if token.text == '"' else "unexpected", '"..."')
            yield token
        yield _Token("end", "", end + 1)

    @property
    def next(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        self.position += 1
        return self.tokens[self.position - 1]

    def accept(self, mark: str) -> bool:
        found = self.next.kind == "mark" and self.next.text == mark
        self.position += found
        return found

    def expect(self, mark: str, what: str) -> None:
        if not self.accept(mark):
            raise self.error(self.next, self.found(), what)

    def word(self, what: str) -> _Token:
        if self.next.kind != "word":
            raise self.error(self.next, self.found(), what)
        return self.take()

    def found(self) -> str:
        return f"unexpected '{self.next.text}'" if self.next.text else "the text ends here"

    def error(self, token: _Token, message: str, expected: str = "", remedy: str = "") -> InputError:
        remedy = remedy or f"write {FORM}"
        return source_error(self.place, self.text, 1, token.column, max(1, len(token.text)), message, expected, remedy)

    def pipeline(self) -> tuple[Pass, ...]:
        passes = []
        while self.next.kind != "end":
            passes.append(self.one())
            if self.next.kind != "end":
                self.expect(",", "`,` or the end")
        return tuple(passes)

    def one(self) -> Pass:
        token = self.word("the name of a pass")
        try:
            cls = find_pass(token.text)
        except InputError as error:
            raise self.error(token, error.message, error.expected, error.remedy) from None
        values = self.options(cls) if self.accept("{") else {}
        return cls(**values, **self.given(cls, token, values))

    def options(self, cls: type[Pass]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not self.accept("}"):
            name, value = self.option(cls)
            if name in values:
                raise self.error(self.tokens[self.position - 1], f"the option '{name}' is given twice")
            values[name] = value
            if not self.accept(","):
                self.expect("}", "`,` or `}`")
                break
        return values

    def option(self, cls: type[Pass]) -> tuple[str, Any]:
        token = self.word("the name of an option")
        field = self.field(cls, token)
        self.expect("=", "`=` and a value")
        value = self.take()
        if value.kind not in ("word", "string"):
            raise self.error(value, f"the option '{token.text}' has no value", type_name(field_types(cls)[field.name]))
        return field.name, self.value(field_types(cls)[field.name], value, token.text)

    def field(self, cls: type[Pass], token: _Token) -> Field[Any]:
        known = {option_name(field): field for field in option_fields(cls)}
        name = token.text.replace("_", "-")
        if name not in known:
            close = get_close_matches(name, known, 1)
            remedy = f"did you mean '{close[0]}'?" if close else f"`effc passes {cls.name}` shows its options"
            expected = ", ".join(known) or "no options"
            raise self.error(token, f"the pass '{cls.name}' has no option '{token.text}'", expected, remedy)
        return known[name]

    def value(self, kind: Any, token: _Token, option: str) -> Any:
        try:
            return _read(kind, token)
        except (ValueError, ZeroDivisionError):
            raise self.error(
                token, f"'{token.text}' is no value of the option '{option}'", type_name(kind), f"write {option}=VALUE"
            ) from None

    def given(self, cls: type[Pass], token: _Token, values: dict[str, Any]) -> dict[str, Any]:
        """The target, where the pass asks for it; every other field has a value or a default."""
        found: dict[str, Any] = {}
        types = field_types(cls)
        for field in fields(cls):
            if types[field.name] is Target:
                if self.target is None and field.default is MISSING:
                    raise self.error(
                        token, f"the pass '{cls.name}' needs a target", "", "give --target NAME or FILE.hw"
                    )
                found |= {} if self.target is None else {field.name: self.target}
            elif field.name not in values and field.default is MISSING and field.default_factory is MISSING:
                name = option_name(field)
                kind = type_name(types[field.name])
                remedy = f"write {cls.name}{{{name}=VALUE}}"
                raise self.error(token, f"the pass '{cls.name}' needs the option '{name}'", kind, remedy)
        return found


def _read(kind: Any, token: _Token) -> Any:
    """The value of a token, by the type of its field; ValueError if it has none."""
    text = token.text
    if _is_union(kind):
        return _read_any(get_args(kind), token)
    if kind is str:
        return re.sub(r"\\(.)", r"\1", text[1:-1]) if token.kind == "string" else text
    if token.kind == "string":
        return _read_quoted(kind, token)
    if get_origin(kind) is Literal:
        return {str(value): value for value in get_args(kind)}[_member(text, map(str, get_args(kind)))]
    if kind is bool:
        return _member(text, ("true", "false")) == "true"
    if kind is NoneType:
        return None if text == "none" else _member(text, ())
    if kind in (int, float, Fraction):
        return kind(text.replace("_", "x"))  # which would be a number with thousands set off
    raise ValueError(text)


def _read_quoted(kind: Any, token: _Token) -> Any:
    if get_origin(kind) is Literal:
        return _read(kind, _Token("word", token.text[1:-1], token.column))
    raise ValueError(token.text)


def _read_any(kinds: tuple[Any, ...], token: _Token) -> Any:
    """The value by the first of several types that has it; ``none`` before any text."""
    for kind in sorted(kinds, key=lambda kind: (kind is str, kind is not NoneType)):
        try:
            return _read(kind, token)
        except ValueError:
            continue
    raise ValueError(token.text)


def _member(text: str, allowed: Iterable[str]) -> str:
    if text not in allowed:
        raise ValueError(text)
    return text


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)
