"""Products of integers: a nest of the centred values, as long as float32 holds every sum exactly.

op MatMulInteger (a, b, za, zb) -> (y)

y = Cast(MatMul(Cast(a) - za, Cast(b) - zb), int32)
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Array, Tensor

EXACT = 1 << 24
"""Every integer up to here is a float32."""


def integer_product(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The nodes that a MatMulInteger or a ConvInteger stands for."""
    write = Writer(node, fresh)
    _require_exact(node, 0, 1, 2, 3)
    total = _product(node, write, _centred(node, write, 0, 2), _centred(node, write, 1, 3))
    write("Cast", total, output=node.proto.output[0], to=TensorProto.INT32)
    return write.nodes


def requantised_product(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The nodes that a QLinearMatMul or a QLinearConv stands for.

    The sum times ``a_scale * b_scale / y_scale``, rounded to the nearest and there to even, is shifted and saturated.
    """
    write, names = Writer(node, fresh), list(node.proto.input)
    _require_exact(node, 0, 3, 2, 5)
    total = _product(node, write, _centred(node, write, 0, 2), _centred(node, write, 3, 5))
    if node.input(8) is not None:
        bias = write("Cast", names[8], to=TensorProto.FLOAT)
        total = write("Add", total, write("Reshape", bias, write.integers(-1, *[1] * (_rank(node) - 2))))
    left, right, result = (write("Cast", names[i], to=TensorProto.FLOAT) for i in (1, 4, 6))
    scale = write("Div", write("Mul", left, _along(node, write, right, 4)), result)
    rounded = write("Round", write("Mul", total, scale))
    shifted = write("Add", rounded, write("Cast", names[7], to=TensorProto.FLOAT))
    kind = node.input(7)
    limits = np.iinfo(kind.dtype if kind is not None else "uint8")
    bounds = [write.constant(np.array(bound, np.float32), "bound") for bound in (limits.min, limits.max)]
    limited = write("Clip", shifted, *bounds)
    write("Cast", limited, output=node.proto.output[0], to=onnx.helper.np_dtype_to_tensor_dtype(limits.dtype))
    return write.nodes


def _product(node: Node, write: Writer, left: str, right: str) -> str:
    if "MatMul" in node.proto.op_type:
        return write("MatMul", left, right, hint="product")
    kept = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    attributes: dict[str, Any] = {name: value for name, value in node.attributes.items() if name in kept}
    return write("Conv", left, right, hint="product", **attributes)


def _centred(node: Node, write: Writer, position: int, zero: int) -> str:
    """An operand as float32, without its zero point."""
    value = write("Cast", node.proto.input[position], to=TensorProto.FLOAT)
    if node.input(zero) is None:
        return value
    point = write("Cast", node.proto.input[zero], to=TensorProto.FLOAT)
    return write("Sub", value, _along(node, write, point, zero))


def _along(node: Node, write: Writer, name: str, position: int) -> str:
    """A tensor of one value, or of one for each row of the left matrix, or for each filter, so that it broadcasts."""
    shape = _known(node.input(position))
    if prod(shape) == 1:
        return write("Reshape", name, write.integers())
    if "Conv" in node.proto.op_type:
        axes = _rank(node) - 1 - (position == 4)  # of the filters, or of the channels of the output
        return write("Reshape", name, write.integers(-1, *[1] * axes))
    if len(shape) == 1 and position == 2:
        return write("Reshape", name, write.integers(-1, 1))
    return name


def _require_exact(node: Node, left: int, right: int, *zeros: int) -> None:
    """Raise NotANest unless no sum, of any inputs, leaves the integers that float32 holds."""
    a, b = node.input(left), node.input(right)
    shape, filters = _known(a), _known(b)
    conv = "Conv" in node.proto.op_type
    products = prod(filters[1:]) if conv else shape[-1]
    known = node.constant(right)
    magnitude = _largest(a, node.constant(zeros[0]) if node.input(zeros[0]) is not None else np.zeros(1))
    point = node.constant(zeros[1]) if node.input(zeros[1]) is not None else np.zeros(1)
    if known is not None and point is not None and point.size == 1:
        centred = np.abs(known.astype(np.float64) - float(point.reshape(())))
        most = float(np.max(np.sum(centred, axis=tuple(range(1, known.ndim)) if conv else max(0, known.ndim - 2))))
    else:
        most = products * _largest(b, point)
    if magnitude * most + _largest_bias(node) >= EXACT:
        raise NotANest("integer sums that float32 does not hold")


def _largest(tensor: Tensor | None, zero: Array | None) -> float:
    """The largest magnitude of a centred value."""
    limits = np.iinfo(tensor.dtype if tensor is not None else "uint8")
    if zero is None:
        return float(limits.max) - float(limits.min)
    return float(max(np.max(limits.max - zero.astype(np.float64)), np.max(zero.astype(np.float64) - limits.min)))


def _largest_bias(node: Node) -> float:
    """The largest magnitude of a bias; what is not known may be anything."""
    bias = node.constant(8)
    if bias is None:
        return float(EXACT) if node.input(8) is not None else 0.0
    return float(np.max(np.abs(bias.astype(np.float64)), initial=0.0))


def _known(tensor: Tensor | None) -> tuple[int, ...]:
    if (
        tensor is None
        or tensor.shape is None
        or tensor.dtype not in ("int8", "uint8", "int16", "uint16", "float32", "float16")
    ):
        raise NotANest("integers of unknown shape or type")
    return tensor.shape


def _rank(node: Node) -> int:
    return len(_known(node.input(0)))
