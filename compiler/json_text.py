"""JSON that people read, too: a line for each field, but one line for what holds nothing but numbers and texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_text(value: Any) -> str:
    """The text of what JSON can hold, with a newline at the end; equal values give equal text."""
    return _text(value, "\n") + "\n"


def _text(value: Any, newline: str) -> str:
    """A value whose lines start with ``newline``, which indents them."""
    inner = newline + " "
    if isinstance(value, Mapping) and any(map(_is_nested, value.values())):
        fields = [f"{_plain(key)}: {_text(item, inner)}" for key, item in value.items()]
        return "{" + inner + ("," + inner).join(fields) + newline + "}"
    if isinstance(value, (list, tuple)) and any(map(_is_nested, value)):
        return "[" + inner + ("," + inner).join([_text(item, inner) for item in value]) + newline + "]"
    return _plain(value)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple))
