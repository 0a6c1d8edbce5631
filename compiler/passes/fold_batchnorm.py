"""Folds batch normalisation into the nest before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import reads, without_unused_tensors
from effc.compiler.passes.registry import register_pass
from effc.ir.constants import Scaled, scaled
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Op, Tensor, View
from effc.ir.nest import BIAS_NAME, Axis, Dim, Operand

Vector = npt.NDArray[np.float64]


@register_pass
@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold a batch normalisation with known statistics into the weights and the bias of the nest before it.

    nest conv1 ... uses I = x, W = w, O = t
    op BatchNormalization "bn1" (t, scale, shift, mean, variance) -> (y)

    nest conv1 ... uses I = x, W = "bn1.W", B = "bn1.B", O = y
    """

    name = "fold-batchnorm"

    def run(self, graph: Graph) -> Graph:
        with np.errstate(all="ignore"):  # what overflows would do so at run time too
            return self._folded(graph)

    def _folded(self, graph: Graph) -> Graph:
        readers = Counter([*graph.outputs, *(name for op in graph.ops for name in reads(op))])
        folding = _Folding(dict(graph.tensors), dict(graph.constants))
        ops: list[Op] = []
        places: dict[str, int] = {}
        for op in graph.ops:
            place = places.get(op.inputs[0]) if isinstance(op, NodeOp) and op.op == "BatchNormalization" else None
            if isinstance(op, NodeOp) and place is not None and readers[op.inputs[0]] == 1:
                nest, normal = ops[place], folding.normal(op)
                folded = folding.folded(nest, normal) if isinstance(nest, NestOp) and normal else None
                if folded is not None:
                    ops[place] = folded
                    places[folded.outputs[0]] = place
                    continue
            places |= {name: len(ops) for name in op.outputs if isinstance(op, NestOp)}
            ops.append(op)
        return without_unused_tensors(
            replace(graph, ops=tuple(ops), tensors=folding.tensors, constants=folding.constants)
        )


class Normal(NamedTuple):
    """``y = factor * x + shift``, a factor and a shift per channel."""

    name: str
    output: str
    factor: Vector
    shift: Vector
    mean: Vector


class Channels(NamedTuple):
    """The dims of a nest that make up the channel of an output word, and what a step of each adds to it."""

    dims: tuple[Dim, ...]
    steps: Mapping[str, int]

    def number(self, dims: Iterable[str]) -> npt.NDArray[np.intp]:
        """The channel for every index of an operand whose axes run over ``dims``."""
        order = list(dims)
        total = np.zeros([1] * len(order), np.intp)
        for dim in self.dims:
            shape = [dim.bound if name == dim.name else 1 for name in order]
            total = total + (np.arange(dim.bound) * self.steps[dim.name]).reshape(shape)
        return total


@dataclass
class _Folding:
    """The tensors and constants so far."""

    tensors: dict[str, Tensor]
    constants: dict[str, Array]

    def normal(self, op: NodeOp) -> Normal | None:
        """What a batch normalisation computes, if it is known and the output is all that it gives."""
        known = [self.constants.get(name) for name in op.inputs[1:]]
        values = [np.asarray(value, np.float64) for value in known if value is not None]
        attributes = _attributes(op)
        trains = attributes.get("training_mode", 0) or not attributes.get("spatial", 1)
        if op.version < 7 or op.domain or trains or len(values) != 4 or any(op.outputs[1:]):
            return None
        channels = (self.tensors[op.inputs[0]].shape or ())[1:2]
        if any(value.shape != channels for value in values):
            return None  # no batch normalisation has these
        scale, shift, mean, variance = values
        factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
        return Normal(op.name, op.outputs[0], factor, shift, mean)

    def folded(self, op: NestOp, normal: Normal) -> NestOp | None:
        """The nest with the normalisation in its weights and bias; None where they are not known, or not its own."""
        shape = self.tensors[op.outputs[0]].shape
        channels = _channels(op, shape) if shape is not None and len(shape) >= 2 else None
        weights = None if channels is None else self._weights(op, channels)
        bias = None if channels is None else self._bias(op, channels)
        if channels is None or weights is None or bias is None:
            return None
        flat = channels.number(dim.name for dim in channels.dims)
        shifted = (bias - normal.mean[flat]) * normal.factor[flat] + normal.shift[flat]
        dtype = self.constants[op.uses[weights.name].tensor].dtype
        factors = normal.factor[channels.number(axis.dims[0] for axis in weights.axes)]
        uses = dict(op.uses)
        uses[weights.name] = self._scaled(f"{normal.name}.{weights.name}", uses[weights.name], weights.shape, factors)
        name = self._add(f"{normal.name}.{BIAS_NAME}", shifted.reshape(-1).astype(np.promote_types(dtype, np.float32)))
        uses[BIAS_NAME] = View(name, 0, _row_major(shifted.shape))
        uses[op.nest.output.name] = replace(uses[op.nest.output.name], tensor=normal.output)
        axes = tuple(Axis(((1, dim.name),), 0, dim.bound) for dim in channels.dims)
        return replace(op, nest=replace(op.nest, bias=Operand(BIAS_NAME, axes)), uses=uses)

    def _weights(self, op: NestOp, channels: Channels) -> Operand | None:
        """The constant operand that has every channel dim, each word of its tensor once."""
        for operand in reversed(op.nest.reads):
            view = op.uses[operand.name]
            value = self.constants.get(view.tensor)
            has_channels = operand.dims.issuperset(dim.name for dim in channels.dims)
            if value is not None and has_channels and _is_plain(operand) and _permutes(view, operand.shape, value.size):
                return operand
        return None

    def _bias(self, op: NestOp, channels: Channels) -> Vector | None:
        """The bias so far, an axis per channel dim."""
        names = [dim.name for dim in channels.dims]
        if op.nest.bias is None:
            return np.zeros([dim.bound for dim in channels.dims])
        view, operand = op.uses[op.nest.bias.name], op.nest.bias
        value = self.constants.get(view.tensor)
        if value is None or not _is_plain(operand) or not operand.dims.issubset(names):
            return None
        words = _strided(value.reshape(-1), view, operand.shape).astype(np.float64)
        own = [axis.dims[0] for axis in operand.axes]
        words = words.transpose([own.index(name) for name in names if name in own])
        words = words[tuple(slice(None) if name in own else np.newaxis for name in names)]
        return np.broadcast_to(words, [dim.bound for dim in channels.dims])

    def _scaled(self, name: str, view: View, shape: tuple[int, ...], factors: Vector) -> View:
        """A new constant: the one of ``view`` with every word scaled."""
        source = self.constants[view.tensor]
        if view.strides == _row_major(shape):
            return replace(view, tensor=self._add(name, scaled(Scaled(source, shape, factors))))
        value = np.array(source, order="C")
        words = _strided(value.reshape(-1), view, shape)
        words[...] = words.astype(np.float64) * factors
        return replace(view, tensor=self._add(name, value))

    def _add(self, name: str, value: Array) -> str:
        while name in self.tensors:
            name += "'"
        self.tensors[name] = Tensor(name, value.dtype.name, value.shape)
        self.constants[name] = value
        return name


def _channels(op: NestOp, shape: tuple[int, ...]) -> Channels | None:
    """The channel is axis 1 of the output tensor."""
    nest, view = op.nest, op.uses[op.nest.output.name]
    if not _is_plain(nest.output) or view.offset:
        return None
    step, strides = prod(shape[2:]), {axis.dims[0]: s for axis, s in zip(nest.output.axes, view.strides)}
    dims = [dim for dim in nest.dims if dim.name in strides and _is_channel(dim, strides[dim.name], step, shape[1])]
    return Channels(tuple(dims), {dim.name: strides[dim.name] // step for dim in dims})


def _is_channel(dim: Dim, stride: int, step: int, channels: int) -> bool:
    """Whether a dim counts channels; one of size one counts nothing, and the role decides."""
    return step <= stride < step * channels if dim.bound > 1 else dim.role in ("G", "K")


def _is_plain(operand: Operand) -> bool:
    return all(len(axis.terms) == 1 and axis.terms[0][0] == 1 and axis.offset == 0 for axis in operand.axes)


def _permutes(view: View, shape: tuple[int, ...], size: int) -> bool:
    """Whether a view shows each of ``size`` words exactly once."""
    expected = 1
    for stride, extent in sorted((s, n) for s, n in zip(view.strides, shape) if n > 1):
        if stride != expected:
            return False
        expected *= extent
    return view.offset == 0 and expected == size


def _strided(words: Array, view: View, shape: tuple[int, ...]) -> Array:
    return as_strided(words[view.offset :], shape, tuple(stride * words.itemsize for stride in view.strides))


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def _attributes(op: NodeOp) -> dict[str, float]:
    """The attributes that are numbers."""
    import onnx

    node = onnx.NodeProto.FromString(op.node)
    return {a.name: a.f if a.type == onnx.AttributeProto.FLOAT else a.i for a in node.attribute}
