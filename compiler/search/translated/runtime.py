"""What the translated kernel calls: arithmetic and memory as C has them.

Memory that was never written to is None, so that most uses of it raise TypeError; an index below zero raises
IndexError, as one beyond the end does. Structs of long arrays are made when they are first asked for: until then they
are None, or 0 in memory of zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cmp_to_key
from itertools import pairwise
from struct import calcsize, pack, unpack
from typing import Any

inf = math.inf

_layouts: dict[type, tuple[tuple[tuple[str, Any, int, bool], ...], int]] = {}
"""By class: its fields with their names, codes, offsets and whether they are boxed; its size."""


def _below(index: int) -> int:
    raise IndexError(f"index {index}")


def _element(values: list[Any], index: int, kind: Any) -> Any:
    """The struct of an array, which is made if there is none yet."""
    if values[index] is None:
        values[index] = kind.blank_()
    elif values[index] == 0:
        values[index] = kind.zero_()
    return values[index]


# arithmetic


def _wrapped(value: int, size: int) -> int:
    """As a signed integer of so many bytes."""
    half = 1 << 8 * size - 1
    return (value + half & 2 * half - 1) - half


def _quotient(x: int, y: int) -> int:
    return x // y if (x >= 0) == (y > 0) else -(-x // y)


def _remainder(x: int, y: int) -> int:
    return x % y if x >= 0 and y > 0 else x - y * _quotient(x, y)


def _divided(x: float, y: float) -> float:
    if y:
        return x / y
    if not x or math.isnan(x) or math.isnan(y):
        return math.nan
    return math.copysign(inf, x) * math.copysign(1.0, y)


def floor(x: float) -> float:
    return x // 1.0 if -4.6e18 < x < 4.6e18 else x


def ceil(x: float) -> float:
    return -(-x // 1.0) if -4.6e18 < x < 4.6e18 else x


def exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return inf


def log(x: float) -> float:
    if x > 0:
        return math.log(x)
    return -inf if x == 0 else math.nan


def sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


fabs = math.fabs

# memory


def _copy_all(values: list[Any]) -> list[Any]:
    """Of structs or arrays."""
    return [(_copy_all(x) if nested(x) else x[:]) if isinstance(x, list) else x.copy_() if x else x for x in values]


def nested(values: list[Any]) -> bool:
    return bool(values) and (isinstance(values[0], list) or type(values[0]) in _layouts)


def _assign_all(to: list[Any], values: list[Any]) -> None:
    """What is there remains, as there may be pointers to it, and gets what others have."""
    for i, value in enumerate(values):
        if isinstance(value, list):
            if nested(value):
                _assign_all(to[i], value)
            else:
                to[i][:] = value
        elif not to[i]:
            to[i] = value.copy_() if value else value
        elif value:
            to[i].assign_(value)
        elif value is not None:
            to[i].clear_()


def _clear_all(values: list[Any]) -> None:
    """Of structs."""
    for i, value in enumerate(values):
        if isinstance(value, list):
            _clear_all(value)
        elif value:
            value.clear_()
        else:
            values[i] = 0


def _number(size: int, of: int) -> int:
    """How many elements there are in so many bytes."""
    number, rest = divmod(size, of)
    if rest or number < 0:
        raise ValueError(f"{size} bytes for elements of {of}")
    return number


def _resized(values: list[Any] | None, number: int) -> list[Any]:
    """The same list, with nothing in what was added."""
    values = [] if values is None else values
    values.extend([None] * (number - len(values)))
    return values


def _part(values: list[Any], index: int, number: int) -> list[Any]:
    found = values[index : index + number]
    if index < 0 or len(found) != number:
        raise IndexError(f"{number} from {index} on of {len(values)}")
    return found


def _move(to: list[Any], index: int, source: list[Any], start: int, number: int) -> None:
    """Copies scalars, which may overlap."""
    if not number:
        return
    _part(to, index, number)
    to[index : index + number] = _part(source, start, number)


def _move_structs(to: list[Any], index: int, source: list[Any], start: int, number: int) -> None:
    copied = _copy_all(_part(source, start, number))
    there = _part(to, index, number)
    _assign_all(there, copied)
    to[index : index + number] = there


def _fill(to: list[Any], index: int, number: int, zero: Any) -> None:
    _part(to, index, number)
    to[index : index + number] = [zero] * number


def _fill_structs(to: list[Any], index: int, number: int) -> None:
    there = _part(to, index, number)
    _clear_all(there)
    to[index : index + number] = there


def _punned(to: list[Any], index: int, code: str, source: list[Any], start: int, other: str, size: int) -> None:
    """Copies bytes to elements of another type."""
    given = _part(source, start, size // calcsize("=" + other))
    values = unpack(f"={size // calcsize('=' + code)}{code}", pack(f"={len(given)}{other}", *given))
    _part(to, index, len(values))
    to[index : index + len(values)] = values


def _sort(values: list[Any], start: int, number: int, compare: Callable[[int, int], int], structs: bool) -> None:
    """``compare``: of two indices. Structs stay where they are and get what others have."""
    order = sorted(range(start, start + number), key=cmp_to_key(compare))
    if any(not compare(i, j) for i, j in pairwise(order)):
        raise ValueError("qsort: of some elements none comes first")
    if order == list(range(start, start + number)):
        return
    if not structs:
        values[start : start + number] = [values[i] for i in order]
        return
    copied = [values[i].copy_() for i in order]
    for i, value in enumerate(copied, start):
        values[i].assign_(value)


# memory as bytes


def image(value: Any, code: Any, limit: int | None = None) -> bytes:
    """The bytes of a value, up to a limit; padding is zero."""
    if isinstance(code, str):
        return pack("=" + code, 0 if code == "P" and value is None else value) if code != "P" else pack("=Q", id(value))
    if isinstance(code, tuple):
        return b"".join(image(each, code[0]) for each in value)
    fields, size = _layouts[code]
    if not value:
        return bytes(size if limit is None else limit)
    found = b""
    for name, kind, offset, boxed in fields:
        if limit is not None and offset >= limit:
            break
        found = found.ljust(offset, b"\0")
        each = getattr(value, name)
        found += image(each[0] if boxed else each, kind)
    return found.ljust(size if limit is None else limit, b"\0")


def _compared(x: Any, y: Any, code: Any, limit: int | None = None) -> int:
    """As memcmp does."""
    left, right = image(x, code, limit), image(y, code, limit)
    return (left > right) - (left < right)


def _compared_parts(x: list[Any], i: int, y: list[Any], j: int, number: int, code: Any) -> int:
    if not number:
        return 0
    left, right = _part(x, i, number), _part(y, j, number)
    return 0 if left == right and code in "bhiqBHIQ" else _compared(left, right, (code, number))


def _differ(x: Any, y: Any, code: Any, limit: int) -> bool:
    """Whether two structs of integers and pointers do, up to a limit."""
    for name, kind, offset, boxed in _layouts[code][0]:
        if offset >= limit:
            return False
        left, right = getattr(x, name), getattr(y, name)
        if differ(left[0], right[0], kind) if boxed else differ(left, right, kind):
            return True
    return False


def differ(x: Any, y: Any, kind: Any) -> bool:
    if isinstance(kind, str):
        return x is not y if kind == "P" else _different(x, y, kind)
    if isinstance(kind, tuple):
        if isinstance(kind[0], str) and kind[0] != "P" and kind[0] != "d":
            return bool(x != y)
        return any(differ(i, j, kind[0]) for i, j in zip(x, y))
    if not x or not y:
        return bool(x or y) and bool(_compared(x, y, kind))
    return _differ(x, y, kind, _layouts[kind][1])


def _different(x: Any, y: Any, kind: str) -> bool:
    return pack("=d", x) != pack("=d", y) if kind == "d" else bool(x != y)
