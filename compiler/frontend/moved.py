"""Constants that need no onnxruntime: words that only move, and arithmetic that is exact or rounded once.

What moves is a view of the constant that it comes from wherever numpy can say it as one, so that it takes no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import onnx

from effc.compiler.frontend.node import Node
from effc.ir.graph import Array

Shape = tuple[int, ...]
Inputs = Sequence[Array]


def moved(node: Node, inputs: Sequence[Array | None], shape: Shape | None) -> Array | None:
    """The output of ``node``, whose shape is known, from its inputs; None if it is none of these operators."""
    function = _FUNCTIONS.get(node.proto.op_type)
    given = [value for value in inputs if value is not None]
    if function is None or shape is None or len(given) != len(inputs) or len(node.proto.output) != 1:
        return None
    try:
        with np.errstate(all="ignore"):
            value = function(node, given, shape)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None  # onnxruntime says what is wrong
    return value if value is not None and value.shape == shape else None


def _reshaped(node: Node, inputs: Inputs, shape: Shape) -> Array:
    return inputs[0].reshape(shape)


def _expanded(node: Node, inputs: Inputs, shape: Shape) -> Array:
    return np.broadcast_to(inputs[0], shape)


def _transposed(node: Node, inputs: Inputs, shape: Shape) -> Array:
    return inputs[0].transpose(node.attributes.get("perm"))


def _concatenated(node: Node, inputs: Inputs, shape: Shape) -> Array:
    return np.concatenate(inputs, node.attributes["axis"])


def _gathered(node: Node, inputs: Inputs, shape: Shape) -> Array:
    data, indices = inputs
    axis = node.attributes.get("axis", 0) % data.ndim
    if indices.ndim == 0:  # a view
        return np.asarray(np.moveaxis(data, axis, 0)[int(indices)])
    return np.take(data, indices, axis)


def _sliced(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    if len(inputs) < 3:  # as it was written before operator set 10
        return None
    data, starts, ends = inputs[:3]
    axes = inputs[3] if len(inputs) > 3 else np.arange(len(starts))
    steps = inputs[4] if len(inputs) > 4 else np.ones(len(starts), np.int64)
    if len({axis % data.ndim for axis in axes.tolist()}) < len(axes):
        return None
    slices = [slice(None)] * data.ndim
    for axis, start, end, step in zip(*(values.tolist() for values in (axes, starts, ends, steps)), strict=True):
        slices[axis] = slice(start, end, step)
    return data[tuple(slices)]


def _range(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    start, _, step = inputs
    if start.dtype.kind != "i":
        return None
    return np.asarray(start + np.arange(prod(shape), dtype=start.dtype) * step)


def _cast(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
    kind = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    plain = inputs[0].dtype.kind in "biu" and kind.kind in "iuf" and kind.itemsize > 1
    return inputs[0].astype(kind) if plain else None


def _elementwise(function: Callable[..., Array]) -> Callable[[Node, Inputs, Shape], Array | None]:
    """A function of numpy's, of words that it computes as onnxruntime does."""

    def value(node: Node, inputs: Inputs, shape: Shape) -> Array | None:
        types = {value.dtype for value in inputs}
        return np.asarray(function(*inputs)) if types <= _EXACT else None

    return value


_EXACT = frozenset(map(np.dtype, ("int32", "int64", "float32", "float64", "bool")))

_FUNCTIONS: dict[str, Callable[[Node, Inputs, Shape], Array | None]] = {
    **dict.fromkeys(("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"), _reshaped),
    "Expand": _expanded,
    "Transpose": _transposed,
    "Concat": _concatenated,
    "Gather": _gathered,
    "Slice": _sliced,
    "Range": _range,
    "Cast": _cast,
    "Where": _elementwise(np.where),
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Equal": _elementwise(np.equal),
    "Greater": _elementwise(np.greater),
    "Less": _elementwise(np.less),
}
"""Of operators by their names, in every operator set that knows them; see ``fold`` for what is folded at all."""
