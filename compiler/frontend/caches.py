"""Caches of keys and values that the data say how full they are, [batch, heads, steps, words].

    present, k = cache.grown(new, past, start)

The new steps are written at ``start``, [batch, 1]; those before are of the past, the bytes behind are zero. A quantised
cache holds integers: steps are divided by a scale when they are written, and multiplied by it when they are read. Of
4 bits, two words lie in a byte, the first one in its lower half, each with 8 added.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from effc.compiler.frontend.node import NotANest
from effc.compiler.frontend.writer import Writer

HALF = 16.0
"""How far the upper half of a byte is from the lower one."""

MIDDLE = 8.0
"""What is added to an integer of 4 bits."""


@dataclass(frozen=True)
class Cache:
    """What writes the nodes, the sizes of a cache, and how words are stored: with 4 or 8 bits, or as they are (0)."""

    write: Writer
    batch: int
    groups: int
    before: int  # steps
    length: int  # steps, the new ones included
    size: int
    bits: int = 0
    scale: str = ""

    def grown(self, new: str, past: str, start: str, steps: int) -> tuple[str, str]:
        """What is put out, and what the products read."""
        if not self.bits:
            present = self._written(new, past if self.before else "", start, steps)
            return present, present
        write = self.write
        integers = self._written(self._rounded(new), self._opened(past) if self.before else "", start, steps)
        return self._closed(integers), write("Mul", integers, self.scale, hint="read")

    def _written(self, new: str, past: str, start: str, steps: int) -> str:
        """A cache with the new steps at ``start``."""
        write = self.write
        start = write("Reshape", start, write.integers(self.batch, 1, 1, 1))
        row = write("Reshape", write.integers(*range(self.length)), write.integers(1, 1, self.length, 1))
        offset = write("Sub", row, start, hint="offset")
        clipped = write("Min", write("Max", offset, write.integers(0)), write.integers(steps))
        index = write("Expand", clipped, write.integers(self.batch, self.groups, self.length, self.size))
        blank = [write.scalar(-MIDDLE)] if self.bits == 4 else []
        ended = write("Pad", new, write.integers(0, 0, 0, 0, 0, 0, 1, 0), *blank)
        moved = write("GatherElements", ended, index, axis=2)
        if not past:
            return moved
        if self.length > self.before:
            past = write("Pad", past, write.integers(0, 0, 0, 0, 0, 0, self.length - self.before, 0))
        return write("Where", write("Less", offset, write.integers(0)), past, moved)

    def _rounded(self, new: str) -> str:
        """The integers that stand for words, as numbers of float32."""
        write, limit = self.write, 2.0 ** (self.bits - 1)
        rounded = write("Round", write("Div", new, self.scale))
        return write("Clip", rounded, write.scalar(-limit), write.scalar(limit - 1), hint="rounded")

    def _opened(self, past: str) -> str:
        """The integers of a cache, as numbers of float32."""
        write = self.write
        words = write("Cast", past, to=onnx.TensorProto.FLOAT)
        if self.bits == 8:
            return words
        upper = write("Floor", write("Div", words, write.scalar(HALF)))
        lower = write("Sub", words, write("Mul", upper, write.scalar(HALF)))
        halves = [write("Unsqueeze", half, write.integers(-1)) for half in (lower, upper)]
        pairs = write("Reshape", write("Concat", *halves, axis=-1), write.integers(0, 0, 0, self.size))
        return write("Sub", pairs, write.scalar(MIDDLE))

    def _closed(self, integers: str) -> str:
        """The cache of such numbers."""
        write = self.write
        if self.bits == 8:
            return write("Cast", integers, to=onnx.TensorProto.INT8)
        halves = [write.fresh("half") for _ in range(2)]
        shifted = write("Add", integers, write.scalar(MIDDLE))
        pairs = write("Reshape", shifted, write.integers(0, 0, 0, self.size // 2, 2))
        lower, upper = write.many("Split", pairs, write.integers(1, 1), outputs=halves, axis=-1)
        bytes_ = write("Add", lower, write("Mul", upper, write.scalar(HALF)))
        return write("Cast", write("Squeeze", bytes_, write.integers(-1)), to=onnx.TensorProto.UINT8)


def out_of_sight(write: Writer, length: int, places: str, window: int) -> str:
    """Whether keys are hidden from the steps at ``places``: later ones, and those before a window."""
    keys = write.integers(*range(length))
    later = write("Greater", keys, places, hint="later")
    if window <= 0:
        return later
    first = write("Sub", places, write.integers(window - 1))
    return write("Or", later, write("Less", keys, first), hint="hidden")


def column(write: Writer, start: str, steps: int, batch: int) -> str:
    """The place of every step, [batch, 1, steps, 1]."""
    places = write("Add", start, write.integers(*range(steps)), hint="places")
    return write("Reshape", places, write.integers(batch, 1, steps, 1))


def scale(write: Writer, name: str, words: int, groups: int, size: int) -> str:
    """A scale for all words of a cache, or for each of a step, so that it multiplies [batch, groups, steps, size]."""
    if words not in (1, groups * size):
        raise NotANest(f"{words} scales for a cache of {groups} x {size} words")
    shape = (1, 1, 1, 1) if words == 1 else (1, groups, 1, size)
    return write("Reshape", name, write.integers(*shape), hint="scale")
