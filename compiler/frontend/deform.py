"""DeformConv: taps that the data move, read by GridSample, and a product of what they read with the filters.

op DeformConv (x, w, offset, b, mask) -> (y)

s = GridSample(x, places of the taps + offset) * mask    # [batch, channels, taps, points]
y = MatMul(w, s) + b
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Array


def deform_conv(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A deformable convolution of two dims, in any groups."""
    (x, shape), (w, filters), (offset, given) = (node.operand(position) for position in range(3))
    if len(shape) != 4 or len(filters) != 4 or len(given) != 4:
        raise NotANest("a deformable convolution of other than two dims")
    (batch, channels, *plane), (count, each, *window) = shape, filters
    points, taps = list(given[2:]), prod(window)
    groups, moved = (int(node.attributes.get(name, 1)) for name in ("group", "offset_group"))
    if channels != groups * each or count % groups or channels % moved or given[1] != moved * taps * 2:
        raise NotANest("groups that do not divide the channels")
    write = Writer(node, fresh)
    # The places of all taps, (row, column), in GridSample's units and order
    offsets = write("Reshape", offset, write.integers(batch, moved, taps, 2, *points))
    places = write("Add", offsets, write.constant(_places(node, window, points).astype(_dtype(node)), "places"))
    sizes = np.array(plane, np.float64).reshape(1, 1, 1, 2, 1, 1)
    scaled = write("Mul", places, write.constant((2 / sizes).astype(_dtype(node)), "scale"))
    units = write("Add", scaled, write.constant((1 / sizes - 1).astype(_dtype(node)), "shift"))
    turned = write("Gather", units, write.integers(1, 0), axis=3)
    grid = write("Transpose", turned, perm=[0, 1, 2, 4, 5, 3])
    grid = write("Reshape", grid, write.integers(batch * moved, taps * points[0], points[1], 2))
    # What they read there
    images = write("Reshape", x, write.integers(batch * moved, channels // moved, *plane))
    read = write("GridSample", images, grid, align_corners=0, mode="bilinear", padding_mode="zeros")
    if len(node.proto.input) > 4 and node.proto.input[4]:
        read = write("Reshape", read, write.integers(batch, moved, channels // moved, taps, *points))
        mask = write("Reshape", node.proto.input[4], write.integers(batch, moved, 1, taps, *points))
        read = write("Mul", read, mask)
    columns = write("Reshape", read, write.integers(batch, groups, each * taps, prod(points)))
    rows = write("Reshape", w, write.integers(groups, count // groups, each * taps))
    product = write("MatMul", rows, columns, hint="product")
    bias = node.proto.input[3] if len(node.proto.input) > 3 else ""
    result = write(
        "Reshape", product, write.integers(batch, count, *points), output="" if bias else node.proto.output[0]
    )
    if bias:
        write("Add", result, write("Reshape", bias, write.integers(1, count, 1, 1)), output=node.proto.output[0])
    return write.nodes


def _places(node: Node, window: list[int], points: list[int]) -> Array:
    """Row and column of every tap at every point, before it is moved: [1, 1, taps, 2, rows, columns]."""
    strides, dilations = (node.integers(name, (1, 1)) for name in ("strides", "dilations"))
    pads = node.integers("pads", (0, 0, 0, 0))
    taps = np.indices(window).reshape(2, -1).T * dilations  # [taps, 2]
    corners = np.indices(points) * np.reshape(strides, (2, 1, 1)) - np.reshape(
        pads[:2], (2, 1, 1)
    )  # [2, rows, columns]
    places: Array = (taps[:, :, None, None] + corners)[None, None]
    return places


def _dtype(node: Node) -> str:
    tensor = node.inputs[0]
    return tensor.dtype if tensor is not None else "float32"
