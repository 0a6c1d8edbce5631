"""One value compared with another: numbers of floating point within a limit, everything else exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from effc.ir.graph import Array

WIDER = {"float16": 20, "bfloat16": 200}
"""How much wider the limits are for types with fewer bits."""

UNIT = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""A unit in the last place: what two roundings of nearly equal numbers may be apart."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison. ``error`` is relative to the largest magnitude expected; ``counters``: how many were compared."""

    name: str
    op: str
    where: str  # output, accel, vector
    error: float | None = None
    limit: float | None = None
    counters: int = 0
    differences: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.differences


def has_numbers(value: Any) -> bool:
    """Whether a value holds anything to compare: an array of floating point some finite number, if any at all."""
    if not isinstance(value, np.ndarray) or "float" not in str(value.dtype) or not value.size:
        return True
    return bool(np.isfinite(_wide(value)).any())


def compare(name: str, op: str, where: str, found: Any, expected: Any, limit: float, scale: float = 0.0) -> Check:
    """Two values: numbers of floating point within ``limit`` of the largest magnitude, or of ``scale`` where that is
    larger; everything else exactly.
    """
    if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
        return _compare_others(name, op, where, found, expected, limit)
    limit = max(limit * WIDER.get(str(found.dtype), 1), UNIT.get(str(found.dtype), 0.0))
    if found.shape != expected.shape:
        return Check(name, op, where, None, limit, 0, (f"shape {list(found.shape)}, expected {list(expected.shape)}",))
    if "float" not in str(expected.dtype) and expected.dtype.kind != "c":
        wrong = int(np.sum(found != expected))
        lines = (f"{wrong} of {expected.size} values differ",) if wrong else ()
        return Check(name, op, where, float(wrong > 0), 0.0, 0, lines)
    error = relative_error(found, expected, scale)
    lines = () if error <= limit else (f"{_worst(found, expected)}: error {error:.1e}, limit {limit:.0e}",)
    return Check(name, op, where, error, limit, 0, lines)


def relative_error(found: Array, expected: Array, scale: float = 0.0) -> float:
    """``max|found - expected| / max(scale, max|expected|)``; infinite where one is no finite
    number and the other is another.

    A largest value below the smallest normal float32 counts as that: subnormal numbers have fewer digits.
    """
    a, b = _wide(found), _wide(expected)
    finite = np.isfinite(a) & np.isfinite(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if not np.all(finite | same):
        return float("inf")
    with np.errstate(invalid="ignore"):
        difference = np.max(np.abs(a - b), where=finite, initial=0.0)
    scale = np.max(np.abs(b), where=finite, initial=scale)
    if not scale:
        return float("inf") if difference else 0.0
    return float(difference / max(scale, np.finfo(np.float32).smallest_normal))


def _compare_others(name: str, op: str, where: str, found: Any, expected: Any, limit: float) -> Check:
    """Sequences and maps element by element; what is no array or number must be equal."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        found, expected = list(found.values()), [expected[key] for key in found]
    if isinstance(found, float) and isinstance(expected, float):
        found, expected = np.array(found, np.float32), np.array(expected, np.float32)
        return compare(name, op, where, found, expected, limit)
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        parts = [compare(f"{name}[{i}]", op, where, a, b, limit) for i, (a, b) in enumerate(zip(found, expected))]
        lines = tuple(f"{part.name}: {line}" for part in parts for line in part.differences)
        return Check(name, op, where, max((part.error or 0.0 for part in parts), default=0.0), limit, 0, lines)
    equal = type(found).__name__ == "NoValue" if expected is None else found == expected
    return Check(name, op, where, 0.0 if equal else 1.0, 0.0, 0, () if equal else ("another value",))


def _wide(array: Array) -> Array:
    wide: Array = array if array.dtype.kind == "c" else array.astype(np.float64)
    return wide


def _worst(found: Array, expected: Array) -> str:
    """The element that differs most, and both values."""
    with np.errstate(invalid="ignore"):
        distance = np.nan_to_num(np.abs(_wide(found) - _wide(expected)), nan=np.inf, posinf=np.inf)
    index = np.unravel_index(int(np.argmax(distance)), found.shape)
    return f"at {[int(i) for i in index]} {found[index]:.6g}, expected {expected[index]:.6g}"
