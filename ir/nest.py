"""A nest: one operator as a perfect loop nest.

    nest conv1 (N=1, K=64, C=3, P=112, Q=112, R=7, S=7) {
      read  I[N < 1, C < 3, 2*P + R - 3 < 224, 2*Q + S - 3 < 224]
      read  W[K < 64, C < 3, R < 7, S < 7]
      bias  B[K < 64]
      write O[N < 1, K < 64, P < 112, Q < 112]
    }

means: for every point of the box of dims, ``O[..] += I[..] * W[..]``, where O starts from B, or from zero without a
bias.

* A *dim* has an integer bound. Its *role* is the letter of the seven-dim convolution (plus G for groups) that it plays,
  so that a target's constraints on dims apply to a matrix product too. A role that is not the dim's name is written
  after it: ``M:P=64``.
* An *operand* has axes; an *axis* is an affine expression of dims and a size. Each dim stands in at most one axis of an
  operand. A dim is *relevant* to an operand if one of its axes uses it.
* An index outside ``0 .. size-1`` is *padding*: the word there is zero and has no address. Only reads may have padding.
* The axes of the output use at most one dim each (a scatter would overlap partial sums) and every one of its words is
  written at least once. Dims that are not relevant to the output are *reduction* dims.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

ROLES = ("N", "G", "K", "C", "P", "Q", "R", "S")
READ_NAMES = ("I", "W")
OUTPUT_NAME = "O"
BIAS_NAME = "B"


@dataclass(frozen=True, slots=True)
class Dim:
    """A loop dim: its name, its bound (at least 1) and its role (one of ROLES)."""

    name: str
    bound: int
    role: str


@dataclass(frozen=True)
class Axis:
    """One axis of an operand: the index ``sum(coefficient * dim) + offset``, valid in ``0 .. size-1``."""

    terms: tuple[tuple[int, str], ...]
    offset: int
    size: int

    @cached_property
    def dims(self) -> tuple[str, ...]:
        return tuple(dim for _, dim in self.terms)


@dataclass(frozen=True)
class Operand:
    """A tensor as the nest indexes it."""

    name: str
    axes: tuple[Axis, ...]

    @cached_property
    def dims(self) -> frozenset[str]:
        """The dims that are relevant to this operand."""
        return frozenset(dim for axis in self.axes for dim in axis.dims)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)

    @property
    def words(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Nest:
    """One operator as a perfect loop nest; see the head of this file."""

    name: str
    dims: tuple[Dim, ...]
    reads: tuple[Operand, ...]
    output: Operand
    bias: Operand | None = None

    @cached_property
    def bounds(self) -> dict[str, int]:
        return {dim.name: dim.bound for dim in self.dims}

    @cached_property
    def roles(self) -> dict[str, str]:
        return {dim.name: dim.role for dim in self.dims}

    @cached_property
    def operands(self) -> dict[str, Operand]:
        """Every operand by name: the reads, the bias if there is one, the output."""
        bias = () if self.bias is None else (self.bias,)
        return {operand.name: operand for operand in (*self.reads, *bias, self.output)}

    @cached_property
    def reduction_dims(self) -> frozenset[str]:
        return frozenset(self.bounds) - self.output.dims

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those on padding included."""
        return prod(dim.bound for dim in self.dims)
