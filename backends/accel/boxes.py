"""Lists of addresses as the simulator keeps them: strided boxes where they are regular, plain lists elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.backends.accel.digits import Bools, Ints
from effc.backends.accel.frame import Name

Words = npt.NDArray[Any]
Coordinates = Mapping[Name, Ints]
"""The digits of every group that a list has."""


@dataclass(frozen=True)
class Box:
    """The addresses ``start + sum(stride * index)`` of an array of this shape; strides are in words."""

    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, words: Words, base: int) -> Words:
        """The words at these addresses, which begin at ``base``, in place."""
        size = words.itemsize
        strides = [stride * size for stride in self.strides]
        return np.ndarray(self.shape, words.dtype, words, (base + self.start) * size, strides)

    def bits(self, words: Bools, base: int) -> Bools:
        """The same in any order, where order does not matter: one stretch of memory if they fill it."""
        if self.stretch is None:
            return self.view(words, base)
        return words[base + self.stretch.start : base + self.stretch.stop]

    @cached_property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @cached_property
    def distinct(self) -> bool:
        """Whether no address can occur twice: every stride passes what lies within."""
        span = 0
        for stride, size in sorted((abs(stride), size) for stride, size in zip(self.strides, self.shape) if size > 1):
            if stride <= span:
                return False
            span += stride * (size - 1)
        return True

    @cached_property
    def stretch(self) -> slice | None:
        """The stretch of memory that the addresses fill, if they do."""
        steps = [stride * (size - 1) for stride, size in zip(self.strides, self.shape)]
        first, last = self.start + sum(s for s in steps if s < 0), self.start + sum(s for s in steps if s > 0)
        return slice(first, last + 1) if self.distinct and last - first + 1 == self.size else None

    def list(self) -> Ints:
        """The addresses one by one."""
        total = np.array(self.start, np.int64)
        for size, stride in zip(self.shape, self.strides):
            total = total[..., None] + np.arange(size) * stride
        return total


def box_of(addresses: Ints) -> Box | None:
    """The box that lists exactly these addresses, or None; cells are in no box."""
    if not addresses.size or addresses.min() < 0:
        return None
    start = int(addresses.flat[0])
    strides = []
    for axis, size in enumerate(addresses.shape):
        second = tuple(1 if place == axis else 0 for place in range(addresses.ndim))
        strides.append(int(addresses[second]) - start if size > 1 else 0)
    box = Box(start, addresses.shape, tuple(strides))
    return box if np.array_equal(addresses, box.list()) else None


class BoxMaker:
    """Adds up parts of addresses, each over some named axes, as long as every one is a box."""

    def __init__(self, order: Sequence[Name]) -> None:
        self.start = 0
        self.sizes = dict.fromkeys(order, 1)
        self.strides = dict.fromkeys(order, 0)
        self.regular = True

    def add(self, addresses: Ints, names: Sequence[Name]) -> None:
        box = box_of(addresses) if self.regular else None
        if box is None:
            self.regular = False
            return
        self.start += box.start
        for name, size, stride in zip(names, box.shape, box.strides):
            self.sizes[name] = max(size, self.sizes[name])
            self.strides[name] += stride

    def box(self) -> Box | None:
        if not self.regular:
            return None
        return Box(self.start, tuple(self.sizes.values()), tuple(self.strides.values()))


def choose(array: npt.NDArray[Any], names: Sequence[Name], chosen: Coordinates) -> npt.NDArray[Any]:
    """The digits of a part that a list has, along every axis that is not the same for all of them."""
    for axis, name in enumerate(names):
        if array.shape[axis] > 1:
            array = array.take(chosen[name], axis=axis)
    return array


def used(flags: Bools) -> list[Ints]:
    """Along every axis, the places where any flag is set."""
    places = []
    for axis in range(flags.ndim):
        others = tuple(other for other in range(flags.ndim) if other != axis)
        places.append(np.flatnonzero(np.any(flags, axis=others)))
    return places
