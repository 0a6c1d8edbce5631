"""Parts of address lists, one per axis of an operand or per dim: made once for each set of register values.

Most register values give the same part at another base address. A part that was seen before is recognised by number, so
that whole lists, which are products of parts, are made once and rebased.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from effc.backends.accel.digits import Bools, Dimension, Ints

T = TypeVar("T")
Arrays = tuple[npt.NDArray[Any], ...]

ABSENT = -1


class Memo(Generic[T]):
    """A function of the registers below ``low`` that count some dims; remembers its results."""

    def __init__(self, function: Callable[[Sequence[int]], T], dims: Sequence[Dimension], low: int) -> None:
        self._function = function
        self._registers = [register for dim in dims for register in dim.registers if register < low]
        self._known: dict[tuple[int, ...], T] = {}

    def __call__(self, running: Sequence[int]) -> T:
        key = tuple([running[register] for register in self._registers])
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._function(running)
        return found


class Patterns:
    """Distinct tuples of arrays, by number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self.items: list[Arrays] = []

    def number(self, *arrays: npt.NDArray[Any]) -> int:
        key = tuple((array.shape, array.tobytes()) for array in arrays)
        if key not in self._numbers:
            self._numbers[key] = len(self.items)
            self.items.append(arrays)
        return self._numbers[key]


def rebased(addresses: Ints, there: Bools) -> tuple[Ints, int]:
    """Addresses relative to the lowest one that is there, ABSENT where none is; and that lowest one."""
    base = int(addresses[there].min()) if there.any() else 0
    return np.where(there, addresses - base, ABSENT), base
