"""Dims as the address generators see them: every index as a number of digits.

A dim is a chain of digits, those of loop registers and those of mesh axes. Registers ``0 .. low-1`` run and have a
value; ``low .. high-1`` are enumerated as *batch* digits b, those from ``high`` on as *free* digits f; the mesh digits,
of outer fan-outs first, are the *lane* digits l. Each group is one mixed radix, so that the coordinates of an outer
level's instance, or of a register further out, are a prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.backends.accel.isa import DimSetting, LoopDigit
from effc.compiler.target.model import Multicast, Target

Ints = npt.NDArray[Any]
"""An array of integers."""

Bools = npt.NDArray[Any]
"""An array of truth values."""


@dataclass(frozen=True, slots=True)
class Digit:
    """A digit with its number of values; ``register`` or ``level`` (the position in the target's chain) says whose."""

    step: int
    trips: int
    register: int = -1
    level: int = -1
    axis: str = ""
    stride: int = 0
    multicast: Multicast = "words"


@dataclass(frozen=True, slots=True)
class Points:
    """The indices of a dim and which of them are valid, both of shape [batch, lanes, free]."""

    index: Ints
    valid: Bools


class Dimension:
    """One dim of a layer."""

    def __init__(self, setting: DimSetting, target: Target) -> None:
        self.name, self.bound = setting.name, setting.bound
        self.digits: list[Digit] = []
        extent = setting.bound
        for digit in setting.digits:
            trips = -(-extent // digit.step)
            if isinstance(digit, LoopDigit):
                self.digits.append(Digit(digit.step, trips, register=digit.register))
            else:
                level = target.index[digit.level]
                fanout = target.levels[level].fanout
                assert fanout is not None
                multicast = next(axis.multicast for axis in fanout.axes if axis.name == digit.axis)
                self.digits.append(Digit(digit.step, trips, -1, level, digit.axis, digit.stride, multicast))
            extent = digit.step
        self._points: dict[tuple[int, ...], Points] = {}
        self._alike: dict[int, Ints] = {}

    @cached_property
    def registers(self) -> list[int]:
        """The loop registers that count this dim, outermost first."""
        return [digit.register for digit in self.digits if digit.register >= 0]

    @cached_property
    def mesh(self) -> list[Digit]:
        """The mesh digits in the order of the lane coordinate: those of outer fan-outs first."""
        return sorted((digit for digit in self.digits if digit.register < 0), key=lambda digit: digit.level)

    def lanes(self, above: int | None = None) -> int:
        """The number of lane coordinates; of those in fan-outs above a level."""
        return prod(digit.trips for digit in self.mesh if above is None or digit.level < above)

    def batch(self, low: int, high: int) -> int:
        """The number of values of the registers ``low .. high-1``."""
        return prod(digit.trips for digit in self.digits if low <= digit.register < high)

    def key(self, running: Sequence[int], low: int) -> tuple[int, ...]:
        """The values of the registers of this dim that run."""
        return tuple([running[register] for register in self.registers if register < low])

    def points(self, running: Sequence[int], low: int, high: int) -> Points:
        key = (low, high, *self.key(running, low))
        if key not in self._points:
            self._points[key] = self._enumerate(running, low, high)
        return self._points[key]

    def _enumerate(self, running: Sequence[int], low: int, high: int) -> Points:
        index, rest = np.zeros((), np.int64), np.array(self.bound, np.int64)
        valid = np.ones((), bool)
        axes: list[tuple[int, int]] = []  # (group, place in the group)
        for digit in self.digits:
            if 0 <= digit.register < low:
                value = np.array(running[digit.register], np.int64)
            else:
                index, rest, valid = index[..., None], rest[..., None], valid[..., None]
                value = np.arange(digit.trips, dtype=np.int64)
                group = 1 if digit.register < 0 else 0 if digit.register < high else 2
                axes.append((group, self.mesh.index(digit) if group == 1 else digit.register))
            start = value * digit.step
            valid = valid & (start < rest)
            index = index + start
            rest = np.minimum(digit.step, rest - start)
        order = sorted(range(len(axes)), key=lambda position: axes[position])
        shape = (self.batch(low, high), self.lanes(), -1)
        return Points(index.transpose(order).reshape(shape), valid.transpose(order).reshape(shape))

    def grid(self, low: int) -> list[int]:
        """The number of values of each register of this dim that runs, in the order of registers."""
        trips = {digit.register: digit.trips for digit in self.digits}
        return [trips[register] for register in sorted(self.registers) if register < low]

    def alike(self, low: int) -> Ints:
        """Numbers for all values of the registers that run, on their grid: equal where ``representative`` is."""
        if low not in self._alike:
            known: dict[tuple[int, ...], int] = {}
            places, running = [r for r in sorted(self.registers) if r < low], [0] * low
            numbers = []
            for values in product(*map(range, self.grid(low))):
                for register, value in zip(places, values):
                    running[register] = value
                numbers.append(known.setdefault(self.representative(running, low), len(known)))
            self._alike[low] = np.array(numbers, np.int64).reshape(self.grid(low))
        return self._alike[low]

    def representative(self, running: Sequence[int], low: int) -> tuple[int, ...]:
        """The values of the registers that run, each 1 if it is above, and the same digits are valid behind it then.

        Of most registers, only the first and the last value are left.
        """
        return tuple(self._representative(running, low))

    def _representative(self, running: Sequence[int], low: int) -> Iterator[int]:
        rests = {self.bound}
        for digit in self.digits:
            if not 0 <= digit.register < low:
                rests = {_rest(rest, digit.step, value) for rest in rests for value in range(digit.trips)}
                continue
            value = running[digit.register]
            if value > 1 and all(_rest(r, digit.step, 1) == _rest(r, digit.step, value) for r in rests):
                value = 1
            yield value
            rests = {_rest(rest, digit.step, value) for rest in rests}

    def reach(self, low: int) -> tuple[Ints, Ints]:
        """The first and the last index there can be, for all values of the registers that run, on their grid."""
        steps = {digit.register: digit.step for digit in self.digits}
        ranges = [np.arange(trips, dtype=np.int64) for trips in self.grid(low)]
        places = [steps[register] for register in sorted(self.registers) if register < low]
        values = np.meshgrid(*ranges, indexing="ij", sparse=True)
        first = sum((value * step for value, step in zip(values, places)), np.zeros(self.grid(low), np.int64))
        free = sum((digit.trips - 1) * digit.step for digit in self.digits if not 0 <= digit.register < low)
        return first, np.minimum(self.bound - 1, first + free)

    def trip_count(self, running: Sequence[int], register: int) -> int:
        """How many values a register takes, those outside it given and every mesh digit zero."""
        rest = self.bound
        for digit in self.digits:
            if digit.register == register:
                return -(-rest // digit.step)
            value = running[digit.register] if digit.register >= 0 else 0
            rest = min(digit.step, rest - value * digit.step)
        raise KeyError(register)


def _rest(rest: int, step: int, value: int) -> int:
    """How many indices are left behind a digit of this value."""
    return max(0, min(step, rest - value * step))
