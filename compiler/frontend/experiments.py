"""Operators that were experiments of ONNX's first years, which converters of those years wrote: taken apart.

op ImageScaler (x) { scale, bias } -> (y)    y = scale * x + bias
op Affine (x) { alpha, beta } -> (y)         y = alpha * x + beta
op Crop (x) { border, scale } -> (y)         y = Slice(x)
"""

from __future__ import annotations

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Array


def image_scaler(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A factor for all words of an image [batch, channels, rows, columns], and a number to add for each channel."""
    bias = np.array(node.attributes.get("bias", ()), np.float32)
    return _affine(node, fresh, float(node.attributes.get("scale", 1.0)), bias.reshape(-1, 1, 1))


def affine(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A factor, and a number to add."""
    factor, term = (float(node.attributes.get(name, default)) for name, default in (("alpha", 1.0), ("beta", 0.0)))
    return _affine(node, fresh, factor, np.array(term, np.float32))


def scale(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A factor."""
    return _affine(node, fresh, float(node.attributes.get("scale", 1.0)), np.zeros((), np.float32))


def crop(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """An image without its borders (left, top, right, bottom); or rows and columns of it, from two of these on."""
    tensor, border = node.input(0), list(node.attributes.get("border", ()))
    if tensor is None or tensor.shape is None or len(tensor.shape) != 4 or len(border) != 4:
        raise NotANest("an image whose borders are not known")
    (rows, columns), (left, top, right, bottom) = tensor.shape[2:], border
    ends = [rows - bottom, columns - right]
    if sizes := list(node.attributes.get("scale", ())):
        ends = [top + sizes[0], left + sizes[1]]
    write = Writer(node, fresh)
    places = (write.integers(top, left), write.integers(*ends), write.integers(2, 3))
    write("Slice", node.proto.input[0], *places, output=node.proto.output[0])
    return write.nodes


def dynamic_slice(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """What Slice is since operator set 10."""
    write = Writer(node, fresh)
    write("Slice", *node.proto.input, output=node.proto.output[0])
    return write.nodes


def _affine(node: Node, fresh: Fresh, factor: float, term: Array) -> list[onnx.NodeProto]:
    write = Writer(node, fresh)
    scaled = write("Mul", node.proto.input[0], write.scalar(factor))
    write("Add", scaled, write.constant(term.astype(write.dtype)), output=node.proto.output[0])
    return write.nodes
