"""Constant folding: what does not depend on an input of the model is computed while it is compiled.

Only operators that are cheap for what they put out are folded, and only while all that was folded fits a budget; the
rest runs where it would have run anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from effc.backends.host import run_node
from effc.compiler.errors import InputError
from effc.compiler.frontend.infer import shape_of
from effc.compiler.frontend.moved import moved
from effc.compiler.frontend.node import Node
from effc.compiler.frontend.read import guard
from effc.ir.graph import Array, NodeOp

GROWTH = 256 << 20
"""Bytes of folded tensors that take memory."""

LARGE = 1 << 20
"""Words of a constant that is not transposed while compiling."""

REPEATED = 2 << 30
"""Bytes of folded tensors that are one value over and over, and take none."""

ELEMENTWISE = """
    Abs Add And BitShift Cast CastLike Ceil Clip DequantizeLinear Div Equal Exp Floor Greater GreaterOrEqual Identity
    IsInf IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow QuantizeLinear Reciprocal Relu Round Sigmoid
    Sign Sqrt Sub Sum Tanh Where Xor
"""
MOVING = """
    Concat Expand EyeLike Flatten Gather GatherElements GatherND OneHot Pad Range Reshape ScatterElements ScatterND
    Slice Split Squeeze Tile Transpose Trilu Unsqueeze
"""
REDUCING = "CumSum ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"

FOLDABLE = frozenset(f"{ELEMENTWISE} {MOVING} {REDUCING}".split())

CHOOSING = ("Compress", "NonZero", "Unique")
"""Operators the shape of whose result depends on values, and that are no larger than what they read."""

QUANTISED = frozenset(["QLinearAdd", "QLinearMul", "QLinearSigmoid"])
"""The same of onnxruntime's own domain: quantisers take the arithmetic of shapes for that of a network."""


@dataclass
class Budget:
    """How many more bytes may be folded."""

    growth: int = GROWTH
    repeated: int = REPEATED


Values = Sequence[Array | None]
"""By output; None for one that nobody wants."""


def fold(node: Node, types: list[onnx.TypeProto], op: Callable[[], NodeOp], budget: Budget) -> Values | None:
    """The values of the outputs of ``node``, whose types were inferred, or None: it is not folded."""
    name = node.proto.op_type
    if node.proto.domain:
        return _computed(node, [None], op) if _is_quantised_number(node) else None
    if name in _ABOUT_SHAPES:
        return _about_shape(node)
    if any(tensor is not None and tensor.name not in node.constants for tensor in node.inputs):
        return None
    if name == "Constant":
        return [constant_value(node)]
    shapes = [shape_of(kind) for kind, wanted in zip(types, node.proto.output) if wanted]
    if name in CHOOSING:
        given = [tensor.shape for tensor in node.inputs if tensor is not None]
        return _computed(node, [None], op) if _affordable(given, budget) else None
    if name == "ConstantOfShape":
        return _filled(node, shapes[0], budget)
    if name not in FOLDABLE or _is_view(node, shapes) or _divides_by_zero(node) or not _affordable(shapes, budget):
        return None
    return _computed(node, shapes, op)


_ABOUT_SHAPES = ("Shape", "Size")


def _about_shape(node: Node) -> list[Array] | None:
    tensor = node.input(0)
    if tensor is None or tensor.shape is None:
        return None
    if node.proto.op_type == "Size":
        return [np.array(prod(tensor.shape), np.int64)]
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    return [np.array(tensor.shape[start:end], np.int64)]


def constant_value(node: Node) -> Array:
    """The value of a ``Constant``, however it is written."""
    if len(node.attributes) != 1:
        raise node.error(f"it has {len(node.attributes)} attributes", "one, which is its value")
    ((kind, value),) = node.attributes.items()
    with guard("its value cannot be read", node.place):
        if kind == "value":
            return np.asarray(numpy_helper.to_array(value))
        if kind == "sparse_value":
            return dense(value)
    if kind.startswith("value_string"):
        texts = value if isinstance(value, list) else [value]
        strings = np.array([text.decode() for text in texts], object)
        return strings if isinstance(value, list) else strings.reshape(())
    return np.array(value, np.float32 if "float" in kind else np.int64)


def dense(value: onnx.SparseTensorProto) -> Array:
    """A sparse tensor, written out."""
    if prod(value.dims) * 8 > GROWTH:
        raise InputError(f"the sparse tensor '{value.values.name}' has {prod(value.dims)} words when it is written out")
    values, indices = numpy_helper.to_array(value.values), numpy_helper.to_array(value.indices)
    array = np.zeros(tuple(value.dims), values.dtype)
    if indices.ndim == 2:
        array[tuple(indices.T)] = values
    else:
        array.reshape(-1)[indices] = values
    return array


def _filled(node: Node, shape: tuple[int, ...] | None, budget: Budget) -> list[Array] | None:
    """A tensor of one value; its words share the same memory."""
    attribute = node.attributes.get("value")
    value = np.zeros(1, np.float32) if attribute is None else numpy_helper.to_array(attribute)
    if shape is None or value.size != 1:
        return None
    budget.repeated -= (size := prod(shape) * value.itemsize)
    if budget.repeated < 0:
        budget.repeated += size
        return None
    return [np.broadcast_to(value.reshape(()), shape)]


def _is_view(node: Node, shapes: list[tuple[int, ...] | None]) -> bool:
    """A large constant is not written twice for the sake of its order: a nest reads it through a view."""
    return node.proto.op_type == "Transpose" and all(shape and prod(shape) > LARGE for shape in shapes)


def _is_quantised_number(node: Node) -> bool:
    """Whether it computes single known words, of which onnxruntime does not tell the shape."""
    if node.proto.domain != "com.microsoft" or node.proto.op_type not in QUANTISED:
        return False
    return all(tensor is None or (tensor.name in node.constants and tensor.words == 1) for tensor in node.inputs)


def _divides_by_zero(node: Node) -> bool:
    """An integer division by zero stops some versions of onnxruntime, and the program with them."""
    if node.proto.op_type not in ("Div", "Mod"):
        return False
    divisor = node.constant(1)
    return divisor is not None and divisor.dtype.kind in "iu" and not divisor.all()


def _affordable(shapes: list[tuple[int, ...] | None], budget: Budget) -> bool:
    """Whether the budget allows outputs of these shapes; if so, they are paid for."""
    bytes_needed = 0
    for shape in shapes:
        if shape is None:
            return False
        bytes_needed += prod(shape) * 8
    if bytes_needed > budget.growth:
        return False
    budget.growth -= bytes_needed
    return True


def _computed(node: Node, shapes: list[tuple[int, ...] | None], op: Callable[[], NodeOp]) -> Values | None:
    inputs = [None if tensor is None else node.constants[tensor.name] for tensor in node.inputs]
    if (value := moved(node, inputs, shapes[0])) is not None:
        return [value]
    try:
        values = run_node(op(), inputs)
    except InputError:
        return None  # it will fail on the host, if it is ever run
    return [None if value is None else np.asarray(value) for value in values]
