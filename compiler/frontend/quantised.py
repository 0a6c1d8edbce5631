"""Products of integers: nests of integers above their zero points, whose sums are integers of 32 bits.

    y = ConvInteger(x, w, zx, zw)                             nest (x - zx) * (w - zw) -> y

    y = QLinearConv(x, sx, zx, w, sw, zw, sy, zy, b)          nest (x - zx) * (w - zw) + b -> t
                                                              u = DequantizeLinear(t, sx * sw / sy)
                                                              y = QuantizeLinear(u, 1, zy)

So onnxruntime requantises, bit for bit: the sum in float32 times a scale of float32, rounded to the nearest and there
to even, shifted by the zero point and saturated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np
from onnx import TensorProto

from effc.compiler.frontend.builder import Builder
from effc.compiler.frontend.conv import convolution, filter_strides
from effc.compiler.frontend.gemm import gemm_views
from effc.compiler.frontend.matmul import product_nest, products
from effc.compiler.frontend.node import Node, NotANest
from effc.ir.graph import View
from effc.ir.nest import BIAS_NAME, Nest
from effc.ir.types import integer_bits

SUMS = "int32"

MOST_BITS = 16
"""Of the elements that nests of integers multiply."""

Operand = tuple[str, tuple[int, ...]]


Zeros = tuple[int, int]
"""The places of the inputs that are zero points, of the left operand and of the right one."""


def conv_integer(node: Node, build: Builder) -> None:
    """``O[n, k, p, q] += (I - zx) * (W[k] - zw[k])``."""
    nest, uses = _convolution(node, 0, 1, None, node.proto.output[0], (2, 3))
    build.add_nest(nest, uses, "ConvInteger", node.name)


def matmul_integer(node: Node, build: Builder) -> None:
    """``O[m, n] += (I[m] - za[m]) * (W[n] - zb[n])``."""
    nest, uses = _product(node, 0, 1, node.proto.output[0], (2, 3))
    build.add_nest(nest, uses, "MatMulInteger", node.name)


def qlinear_conv(node: Node, build: Builder) -> None:
    """A convolution of integers, requantised for each filter."""
    sums = _sums(node, build)
    nest, uses = _convolution(node, 0, 3, 8, sums, (2, 5))
    scale = _scale(node, build, (1, 4), 6)
    build.add_nest(nest, uses, "QLinearConv", node.name)
    _requantise(node, build, sums, scale, 1, 7)


def qlinear_matmul(node: Node, build: Builder) -> None:
    """A product of matrices of integers, requantised for each column."""
    sums = _sums(node, build)
    nest, uses = _product(node, 0, 3, sums, (2, 5))
    scale = _scale(node, build, (1, 4), 6)
    build.add_nest(nest, uses, "QLinearMatMul", node.name)
    _requantise(node, build, sums, scale, len(_shape(node)) - 1, 7)


def qgemm(node: Node, build: Builder) -> None:
    """``alpha * A' * B' + C`` of integers; without a scale of the output, in float32."""
    result = node.input(7) is not None
    alpha = float(node.attributes.get("alpha", 1.0))
    sums = _sums(node, build)
    left, right = _operand(node, 0), _operand(node, 3)
    (m, n), views = _shape(node), gemm_views(node, left, right, sums)
    bias = _bias(node, 6, n)
    if bias is not None:
        views[BIAS_NAME] = View(bias, 0, (1,))
    inner = left[1][0] if node.attributes.get("transA", 0) else left[1][1]
    nest = product_nest(m, n, inner, bias=bias is not None)
    views = _centred(node, nest, views, {"I": (2, (1, 0)), "W": (5, (0, 1))})
    scale = _scale(node, build, (1, 4), 7 if result else None, alpha)
    build.add_nest(nest, views, "QGemm", node.name)
    if result:
        _requantise(node, build, sums, scale, 1, 8)
    else:
        _dequantise(node, build, sums, scale, 1, node.proto.output[0])


def _convolution(
    node: Node, left: int, right: int, third: int | None, output: str, zeros: Zeros
) -> tuple[Nest, dict[str, View]]:
    x, w = _operand(node, left), _operand(node, right)
    bias = None if third is None else _bias(node, third, w[1][0])
    nest, views = convolution(node, x, w, (output, _shape(node)), bias)
    places = {"I": (zeros[0], None), "W": (zeros[1], filter_strides(node, w[1]))}
    return nest, _centred(node, nest, views, places)


def _product(node: Node, left: int, right: int, output: str, zeros: Zeros) -> tuple[Nest, dict[str, View]]:
    a, b = _operand(node, left), _operand(node, right)
    nest, views = products(node, a, b, output)
    rows = (*[0] * (len(views["I"].strides) - 2), 1, 0)
    columns = (*[0] * (len(views["W"].strides) - 2), 0, 1)
    return nest, _centred(node, nest, views, {"I": (zeros[0], rows), "W": (zeros[1], columns)})


def _centred(
    node: Node, nest: Nest, views: Mapping[str, View], places: Mapping[str, tuple[int, tuple[int, ...] | None]]
) -> dict[str, View]:
    """The views with their zero points, by operand the place of the input and the strides that several lie along.

    A constant zero is none.
    """
    found = dict(views)
    for name, (position, along) in places.items():
        tensor, value = node.input(position), node.constant(position)
        if tensor is None or (value is not None and not np.any(value)):
            continue
        if tensor.shape is None:
            raise NotANest("a zero point of unknown shape")
        strides = (0,) * len(found[name].strides) if prod(tensor.shape) == 1 else along
        reach = 1 + sum(s * (size - 1) for s, size in zip(strides or (), nest.operands[name].shape))
        if strides is None or len(tensor.shape) > 1 or prod(tensor.shape) != reach:
            raise NotANest(f"a zero point of the shape {list(tensor.shape)}")
        found[name] = replace(found[name], zero=View(tensor.name, 0, strides))
    return found


def _operand(node: Node, position: int) -> Operand:
    """Name and shape of an input that a nest of integers can read."""
    tensor = node.input(position)
    if tensor is None:
        raise node.error("an input is missing")
    if (integer_bits(tensor.dtype) or 64) > MOST_BITS or tensor.dtype in ("int4", "uint4", "int2", "uint2"):
        raise NotANest(f"{tensor.dtype or 'unknown type'}: no nest of integers")
    if tensor.shape is None:
        raise NotANest(f"the shape of '{tensor.name}' is only known at run time")
    if 0 in tensor.shape:
        raise NotANest(f"'{tensor.name}' has no elements")
    return tensor.name, tensor.shape


def _bias(node: Node, position: int, size: int) -> str | None:
    """A row of sums to begin from."""
    tensor = node.input(position)
    if tensor is None:
        return None
    if tensor.dtype != SUMS or tensor.shape != (size,):
        raise NotANest(f"a bias of {tensor.dtype} and the shape {list(tensor.shape or ())}")
    return tensor.name


def _shape(node: Node) -> tuple[int, ...]:
    tensor = node.outputs[0]
    if tensor is None or tensor.shape is None:
        raise NotANest("the shape of its result is only known at run time")
    return tensor.shape


def _sums(node: Node, build: Builder) -> str:
    return build.add_tensor(f"{node.proto.output[0]}_sums", SUMS, _shape(node))


def _scale(node: Node, build: Builder, factors: tuple[int, int], divisor: int | None, alpha: float = 1.0) -> str:
    """The factors multiplied, and divided by the scale of the output, in float32 and in this order; its tensor."""
    places, output = [*factors, *([] if divisor is None else [divisor])], node.proto.output[0]
    values = [node.constant(position) for position in places]
    known = [value.astype(np.float32) for value in values if value is not None and value.ndim <= 1]
    if len(known) == len(places):
        with np.errstate(all="ignore"):
            scale = np.float32(alpha) * known[0] * known[1]
            for value in known[2:]:
                scale = scale / value
        return build.add_constant(f"{output}_scale", scale.reshape(()) if scale.size == 1 else scale)
    return _computed_scale(node, build, places, alpha)


def _computed_scale(node: Node, build: Builder, places: list[int], alpha: float) -> str:
    """The same from tensors that are only known at run time."""
    tensors = [tensor for position in places if (tensor := node.input(position)) is not None]
    shapes = [tensor.shape for tensor in tensors if tensor.shape is not None and len(tensor.shape) <= 1]
    if len(shapes) < len(places) or alpha != 1.0:
        raise NotANest("scales of unknown shape, or for blocks")
    names = []
    for tensor in tensors:
        names.append(tensor.name)
        if tensor.dtype != "float32":
            names[-1] = build.add_tensor(f"{tensor.name}_float32", "float32", tensor.shape)
            build.add_node("Cast", f"{node.name}_cast", (tensor.name,), names[-1], to=TensorProto.FLOAT)
    total = names[0]
    for number, (op, name) in enumerate(zip(("Mul", "Div"), names[1:]), 2):
        shape = np.broadcast_shapes(*shapes[:number])
        result = build.add_tensor(f"{node.proto.output[0]}_scale", "float32", shape)
        build.add_node(op, f"{node.name}_{op.lower()}", (total, name), result)
        total = result
    return total


def _dequantise(node: Node, build: Builder, sums: str, scale: str, axis: int, output: str) -> None:
    """Sums times a scale."""
    build.add_node("DequantizeLinear", f"{node.name}_scale", (sums, scale), output, axis=axis)


def _requantise(node: Node, build: Builder, sums: str, scale: str, axis: int, zero: int) -> None:
    """Sums times a scale, rounded, shifted and saturated to the type of the output."""
    y = node.proto.output[0]
    real = build.add_tensor(f"{y}_real", "float32", build.tensors[sums].shape)
    _dequantise(node, build, sums, scale, axis, real)
    one, point = build.add_constant(f"{y}_one", np.array(1, np.float32)), node.input(zero)
    inputs = (real, one) if point is None else (real, one, point.name)
    build.add_node("QuantizeLinear", f"{node.name}_requantise", inputs, y)
