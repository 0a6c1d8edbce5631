"""Constants that follow from others, so that an artefact need not hold their words, too."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from operator import index
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided

from effc.ir.constants import Buffer, Scaled, array_bytes, digest, scaled_from
from effc.ir.graph import Array

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """How a constant follows from tensors that an artefact holds: the digests of source and factors, their shapes."""

    source: str
    factors: str
    made_of: Scaled

    @classmethod
    def of(cls, value: Array, data: Container[str]) -> Recipe | None:
        """The recipe of a constant whose source is in ``data`` already."""
        how = scaled_from(value)
        if how is None or digest(how.source) not in data:
            return None
        return cls(digest(how.source), digest(how.factors), how)

    def to_json(self) -> list[Any]:
        return [self.source, self.factors, list(self.made_of.shape), list(self.made_of.factors.shape)]


@dataclass(frozen=True)
class Part:
    """How a constant lies in a tensor that an artefact holds: from which of its words on, and with which strides."""

    source: str
    offset: int
    strides: tuple[int, ...]

    @classmethod
    def from_json(cls, source: Any, offset: Any, strides: Any) -> Part:
        """What ``to_json`` wrote; TypeError if it is something else."""
        return cls(str(source), index(offset), tuple(map(index, strides)))

    def to_json(self) -> list[Any]:
        return [self.source, self.offset, list(self.strides)]

    def words(self, content: Buffer, dtype: np.dtype[Any], shape: Shape) -> Array:
        """The constant, a view of ``content``; ValueError if some of it lies outside."""
        source = np.frombuffer(content, dtype)
        if len(self.strides) != len(shape) or 0 in shape:
            raise ValueError(f"strides {list(self.strides)} for the shape {list(shape)}")
        steps = [stride * (size - 1) for stride, size in zip(self.strides, shape)]
        first, last = (self.offset + sum(end(0, step) for step in steps) for end in (min, max))
        if first < 0 or last >= source.size or prod(shape) > source.size:
            raise ValueError(f"words {first} to {last} of {source.size}")
        strides = [stride * dtype.itemsize if size > 1 else 0 for stride, size in zip(self.strides, shape)]
        return as_strided(source[self.offset :], shape, strides, writeable=False)


class Held:
    """What an artefact holds: tensors and constants by digest, and how other constants follow from them."""

    def __init__(self, tensors: Mapping[str, Buffer]) -> None:
        self.data: dict[str, Buffer] = {}
        self.recipes: dict[str, Recipe] = {}
        self.parts: dict[str, Part] = {}
        self._places: list[tuple[int, int, str]] = []  # in memory
        for sha256, content in tensors.items():
            self._add(sha256, content)

    def add_constants(self, constants: Iterable[Array]) -> None:
        """Hold these, the largest first: what is a part of another is not held."""
        for value in sorted(constants, key=lambda value: (not value.flags.c_contiguous, -value.nbytes)):
            if (recipe := Recipe.of(value, self.data)) is not None:
                self.recipes[digest(value)] = recipe
                self._add(recipe.factors, array_bytes(recipe.made_of.factors))
            elif digest(value) in self.data:
                continue
            elif (part := self._part(value)) is not None:
                self.parts[digest(value)] = part
            else:
                self._add(digest(value), array_bytes(value))

    def to_json(self) -> dict[str, dict[str, list[Any]]]:
        """What artefact.json says of constants."""
        return {
            name: {key: table[key].to_json() for key in sorted(table)}
            for name, table in (("scaled", self.recipes), ("parts", self.parts))
        }

    def _add(self, sha256: str, content: Buffer) -> None:
        if sha256 not in self.data:
            self.data[sha256] = content
            if len(content):
                start, end = byte_bounds(np.frombuffer(content, np.uint8))
                insort(self._places, (start, end, sha256))

    def _part(self, value: Array) -> Part | None:
        """Where a constant lies in what is held already, if it does."""
        if value.dtype.hasobject or value.dtype.byteorder == ">" or not value.size:
            return None
        start, end = byte_bounds(value)
        place = bisect(self._places, start, key=lambda place: place[0]) - 1
        if place < 0 or end > self._places[place][1] or value.nbytes > end - start:
            return None
        offset = value.__array_interface__["data"][0] - self._places[place][0]
        if any(number % value.itemsize for number in (offset, *value.strides)):
            return None
        strides = tuple(stride // value.itemsize for stride in value.strides)
        return Part(self._places[place][2], offset // value.itemsize, strides)
