"""Types of elements: numpy's names, and those of integers that numpy has no type for.

``signed3`` and ``unsigned3`` are integers of 3 bits, each of which numpy keeps in a byte; ``signed1`` is -1 or 1.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_INTEGER = re.compile(r"(?:u?int|(?:un)?signed)([1-9]|[1-5][0-9]|6[0-4])")
_DATA = re.compile(r"b?float16|float(32|64)")


def integer_bits(dtype: str) -> int | None:
    """The bits of a type of integers, as ``int8`` or ``unsigned4``; None for any other type."""
    found = _INTEGER.fullmatch(dtype)
    return int(found[1]) if found else None


def narrow(bits: int, signed: bool) -> str:
    """The name of integers of so many bits; numpy's, if it has one."""
    return f"{'' if signed else 'u'}int{bits}" if bits in (8, 16, 32, 64) else f"{'' if signed else 'un'}signed{bits}"


def is_narrow(dtype: str) -> bool:
    """Whether it is a type that numpy has not."""
    return "signed" in dtype and integer_bits(dtype) is not None


def limits(dtype: str) -> tuple[int, int]:
    """The least and the largest value of a type of integers."""
    bits = integer_bits(dtype)
    assert bits is not None
    if dtype == "signed1":
        return -1, 1
    return (0, (1 << bits) - 1) if dtype.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)


def storage(dtype: str) -> np.dtype[Any]:
    """The numpy type that holds the values of a type of integers."""
    bits = integer_bits(dtype)
    assert bits is not None
    width = next(width for width in (8, 16, 32, 64) if bits <= width)
    return np.dtype(f"{'u' * dtype.startswith('u')}int{width}")


def is_data(dtype: str) -> bool:
    """Whether elements of a type are data wherever they are: of floating point, or integers of at most 16 bits."""
    bits = integer_bits(dtype)
    return _DATA.fullmatch(dtype) is not None or (bits is not None and bits <= 16)
