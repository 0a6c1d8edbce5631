"""Frozen dataclasses to JSON and back. What comes back is checked against the types of the fields, value by value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from effc.compiler.json_text import json_text
from effc.ir.errors import InputError

_DEPTH = 20
"""Nesting that no report reaches; deeper text is not parsed."""


def encode(value: Any) -> Any:
    """A tree of dataclasses, mappings, tuples and scalars as what ``json.dumps`` takes."""
    if value.__class__ in _SCALARS:
        return value
    if names := _names(value.__class__):
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return value


_SCALARS = frozenset((str, int, float, bool, NoneType))


@lru_cache
def _names(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass; none of what is no dataclass."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def dumps(value: Any) -> str:
    """JSON text of ``encode(value)``, with a newline at the end; equal values give equal text."""
    return json_text(encode(value))


def parse(text: str, place: str) -> Any:
    """The JSON that ``text`` holds; an ``InputError`` at ``place`` if it holds none."""
    if _depth(text) > _DEPTH:
        fail(place, f"JSON nested more than {_DEPTH} deep", "a report as effc writes it")
    try:
        return json.loads(text)
    except ValueError as error:
        fail(place, f"not JSON: {error}", "a report as effc writes it")


def decode(data: Any, kind: Any, place: str, path: str = "") -> Any:
    """``data`` as a value of type ``kind``; ``path`` says where in the document it stands."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _decode_fields(data, kind, place, path)
    if origin in (Union, UnionType):
        return _decode_union(data, get_args(kind), place, path)
    if origin is Literal:
        if not isinstance(data, (str, int)) or data not in get_args(kind):
            fail(place, f"{path or 'value'} is {shown(data)}", " or ".join(map(repr, get_args(kind))))
        return data
    if origin is tuple:
        items = _instance(data, list, "a list", place, path)
        return tuple(decode(item, get_args(kind)[0], place, f"{path}[{i}]") for i, item in enumerate(items))
    if origin is not None and issubclass(origin, Mapping):
        table = _instance(data, dict, "an object", place, path)
        return {key: decode(item, get_args(kind)[1], place, _at(path, key)) for key, item in table.items()}
    return _decode_scalar(data, kind, place, path)


def _decode_fields(data: Any, kind: Any, place: str, path: str) -> Any:
    table = _instance(data, dict, "an object", place, path)
    hints = _hints(kind)
    if unknown := sorted(table.keys() - hints.keys()):
        fail(place, f"unknown key {_at(path, unknown[0])}", f"keys among {', '.join(hints)}")
    values = {}
    for field in fields(kind):
        if field.name in table:
            values[field.name] = decode(table[field.name], hints[field.name], place, _at(path, field.name))
        elif field.default is MISSING and field.default_factory is MISSING:
            fail(place, f"{_at(path, field.name)} is missing", "a report as effc writes it")
    return kind(**values)


def _decode_union(data: Any, kinds: tuple[Any, ...], place: str, path: str) -> Any:
    if data is None and NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not NoneType]
    if set(rest) == {int, float} and isinstance(data, int):
        return _decode_scalar(data, int, place, path)
    return decode(data, float if set(rest) == {int, float} else rest[0], place, path)


def _decode_scalar(data: Any, kind: Any, place: str, path: str) -> Any:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if isinstance(data, bool) != (kind is bool) or not isinstance(data, kind):
        fail(place, f"{path or 'value'} is {shown(data)}", names[kind])
    if isinstance(data, float) and not math.isfinite(data):
        fail(place, f"{path or 'value'} is {data}", "a finite number")
    return data


def _instance(data: Any, kind: type, name: str, place: str, path: str) -> Any:
    if not isinstance(data, kind):
        fail(place, f"{path or 'the document'} is {shown(data)}", name)
    return data


@lru_cache
def _hints(kind: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _depth(text: str) -> int:
    """How deep brackets nest at most; those inside strings count too, if unbalanced."""
    depth = deepest = 0
    quoted = escaped = False
    for c in text:
        if quoted:
            quoted, escaped = (escaped or c != '"'), (not escaped and c == "\\")
        elif c == '"':
            quoted = True
        elif c in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in "]}":
            depth -= 1
    return deepest


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def shown(data: Any) -> str:
    """A value, cut short, for a message."""
    text = json.dumps(data)
    return text if len(text) <= 40 else text[:37] + "..."


def fail(place: str, message: str, expected: str) -> NoReturn:
    """Raise the error of a damaged report."""
    raise InputError(f"damaged report: {message}", place, expected, "compile the model again")
