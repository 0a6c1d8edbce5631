"""Gives the sums of integer nests a type that no sum can leave, that of the target where it can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from effc.compiler.errors import InputError
from effc.compiler.passes.base import Pass
from effc.compiler.passes.registry import register_pass
from effc.compiler.target.model import Target
from effc.ir.graph import Array, Graph, NestOp, View
from effc.ir.nest import OUTPUT_NAME, Operand
from effc.ir.types import integer_bits, limits

NumericMode = Literal["reference", "target"]

WIDE = "int32"
"""The type of the sums of every integer nest until it is known how large they get."""


@register_pass
@dataclass(frozen=True)
class TypeSums(Pass):
    """Sum in the target's own type where no sum can leave it; a sum that may leave int32 is an error.

    ``numeric``: with ``target``, what the MACs have no types for is an error, too.

    tensor sums : int32[1, 64, 56, 56]
    nest conv1 ... uses I = x, W = w, O = sums epilogue { ... }     on a target with `types int8 -> int24`

    tensor sums : int24[1, 64, 56, 56]
    """

    name = "type-sums"
    target: Target
    numeric: NumericMode = "reference"

    def run(self, graph: Graph) -> Graph:
        tensors = dict(graph.tensors)
        for op in graph.nests:
            types = [graph.tensors[op.uses[read.name].tensor].dtype for read in op.nest.reads]
            if self.numeric == "target":
                self._require_native(op, types)
            if all(integer_bits(dtype) for dtype in types):
                sums = tensors[op.uses[OUTPUT_NAME].tensor]
                if sums.dtype != WIDE:  # of a part: `split-sums`
                    continue
                tensors[sums.name] = replace(sums, dtype=self._sums(op, graph))
        return replace(graph, tensors=tensors)

    def _sums(self, op: NestOp, graph: Graph) -> str:
        """The type of the sums of a nest; those that are written as they are keep theirs."""
        largest, native = largest_sum(op, graph), self.target.numeric
        if largest > most(WIDE):
            raise _overflow(op, largest, WIDE)
        own = native.sums if native.types else WIDE
        if largest > most(own) and self.numeric == "target":
            raise _overflow(op, largest, own)
        return own if op.epilogue and most(own) < most(WIDE) and largest <= most(own) else WIDE

    def _require_native(self, op: NestOp, types: list[str]) -> None:
        numeric, name = self.target.numeric, self.target.name
        if not numeric.types:
            raise InputError(
                f"{name} declares no types of its MACs",
                expected="a target with a statement `numeric`",
                remedy="add for example `numeric { types int8 -> int32 }`, or compile with --numeric reference",
            )
        if foreign := [dtype for dtype in map(declared, types) if dtype not in numeric.types]:
            native = " or ".join(numeric.types)
            raise InputError(
                f"{op.op} reads {foreign[0]}, and the MACs of {name} multiply {native}",
                op.origin,
                expected=f"operands of {native}, whose products are summed in {numeric.sums}",
                remedy=f"quantise the model to {native}, as onnxruntime.quantization.quantize_static does, "
                "or compile with --numeric reference",
            )


def declared(dtype: str) -> str:
    """What a target calls a type: int4 what tensors of integers in bytes call signed4."""
    return dtype.replace("unsigned", "uint").replace("signed", "int")


def most(dtype: str) -> int:
    """The largest value of a signed type."""
    return (1 << (integer_bits(dtype) or 64) - 1) - 1


def _overflow(op: NestOp, largest: int, dtype: str) -> InputError:
    return InputError(
        f"a sum may reach {largest:,}",
        op.origin,
        expected=f"at most {most(dtype):,}, which {dtype} holds",
        remedy="quantise to fewer bits, or divide the product into several",
    )


def largest_sum(op: NestOp, graph: Graph) -> int:
    """What no sum of an integer nest exceeds in magnitude, whichever of its products are added up first.

    Constants are taken as they are, what is only known at run time by its type; a bias of that kind is left out.
    Positive and negative products are added up apart.
    """
    nest = op.nest
    summed = {name: nest.bounds[name] for name in nest.reduction_dims}
    ranges = {read.name: _range(read, op.uses[read.name], graph) for read in nest.reads}
    totals = []
    for read in nest.reads:
        others = [ranges[name] for name in ranges if name != read.name]
        ends = [int(low.min()) for low, _ in others], [int(high.max()) for _, high in others]
        corners = [end * factor for end in ranges[read.name] for factor in map(prod, ends)]
        reach = [np.maximum.reduce([sign * corner for corner in corners]).clip(min=0) for sign in (1, -1)]
        along = _summed_axes(read, summed) if reach[0].ndim == len(read.axes) else {}
        most = max(int(side.sum(axis=tuple(along)).max()) for side in reach)
        totals.append(most * prod(n for name, n in summed.items() if name not in along.values()))
    bias = 0
    if nest.bias is not None:
        words = _value(op.uses[nest.bias.name], nest.bias.shape, graph.constants)
        bias = 0 if words is None else int(np.max(np.abs(words.astype(np.int64)), initial=0))
    return min(totals) + bias


def _summed_axes(read: Operand, summed: Mapping[str, int]) -> dict[int, str]:
    """The axes of an operand that run over one summed dim each, and the dims."""
    return {i: a.dims[0] for i, a in enumerate(read.axes) if len(a.dims) == 1 and a.dims[0] in summed}


def _range(operand: Operand, view: View, graph: Graph) -> tuple[Array, Array]:
    """The least and the largest values of an operand above its zero point; of all words where these are unknown."""
    words = _value(view, operand.shape, graph.constants)
    zero = np.zeros(1, np.int64) if view.zero is None else _distinct(view.zero, operand.shape, graph.constants)
    if words is not None and zero is not None:
        known = words.astype(np.int64) - zero.astype(np.int64)
        return known, known
    low, high = limits(graph.tensors[view.tensor].dtype)
    if zero is None:
        return np.array(low - high), np.array(high - low)
    return np.array(low - int(zero.max())), np.array(high - int(zero.min()))


def _distinct(view: View, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
    """What ``_value`` gives, without repetitions along an axis: a zero point is one word, however many it is for."""
    return _value(view, tuple(size if stride else 1 for size, stride in zip(shape, view.strides)), constants)


def _value(view: View, shape: tuple[int, ...], constants: Mapping[str, Array]) -> Array | None:
    """The words of a constant as a view shows them."""
    if view.tensor not in constants:
        return None
    words = np.ascontiguousarray(constants[view.tensor]).reshape(-1)[view.offset :]
    return as_strided(words, shape, [stride * words.itemsize for stride in view.strides], writeable=False)
