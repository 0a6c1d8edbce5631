"""Operators that put words in other places, or repeat them: as those that are views, or that a vector unit has.

op DepthToSpace (x) -> (y)   y = Reshape(Transpose(Reshape(x)))
op SpaceToDepth (x) -> (y)   y = Reshape(Transpose(Reshape(x)))
op Tile (x, times) -> (y)    y = Reshape(Expand(Reshape(x)))
op Upsample (x, scales) -> (y)   y = Resize(x, scales)
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.rules import LIMIT


def depth_to_space(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Blocks of channels as blocks of an image; the channels are the last of its three axes, or the first (CRD)."""
    n, c, h, w = _image(node)
    size = _block(node, c)
    inner = c // size**2
    if node.attributes.get("mode", b"DCR") == b"CRD":
        parts, order = (n, inner, size, size, h, w), (0, 1, 4, 2, 5, 3)
    else:
        parts, order = (n, size, size, inner, h, w), (0, 3, 4, 1, 5, 2)
    return _rearranged(node, fresh, parts, order, (n, inner, h * size, w * size))


def space_to_depth(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Blocks of an image as channels; these are the last of the three axes, or the first (CRD)."""
    n, c, h, w = _image(node)
    size = _block(node, h, w)
    parts = (n, c, h // size, size, w // size, size)
    order = (0, 1, 3, 5, 2, 4) if node.attributes.get("mode", b"DCR") == b"CRD" else (0, 3, 5, 1, 2, 4)
    return _rearranged(node, fresh, parts, order, (n, c * size**2, h // size, w // size))


def tile(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A known number of repetitions along each axis."""
    shape, times = _shape(node), node.constant(1)
    if times is None or times.shape != (len(shape),) or (times < 1).any():
        raise NotANest("repetitions that are only known at run time, or none")
    counts = [int(count) for count in times]
    if prod(shape) * prod(counts) >= LIMIT:
        raise NotANest("too many words to count")
    before, after = list[int](), list[int]()
    for size, count in zip(shape, counts):
        split = size > 1 and count > 1
        before += [1, size] if split else [size]
        after += [count, size] if split else [size * count]
    write, x, output = Writer(node, fresh), node.proto.input[0], node.proto.output[0]
    if len(before) == len(shape):
        write("Expand", x, write.integers(*after), output=output)
        return write.nodes
    repeated = write("Expand", write("Reshape", x, write.integers(*before)), write.integers(*after))
    write("Reshape", repeated, write.integers(*(n * m for n, m in zip(shape, counts))), output=output)
    return write.nodes


def upsample(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The Resize that it was before it had that name: the word to the left of a place, or between its neighbours."""
    write, mode = Writer(node, fresh, dtype="float32"), node.attributes.get("mode", b"nearest")
    scales = [node.attributes["scales"]] if "scales" in node.attributes else list[list[float]]()
    names = [write.constant(np.array(values, np.float32)) for values in scales] or [*node.proto.input[1:]]
    write(
        "Resize",
        node.proto.input[0],
        "",
        *names,
        output=node.proto.output[0],
        coordinate_transformation_mode="asymmetric",
        mode=mode,
        nearest_mode="floor",
    )
    return write.nodes


def _rearranged(
    node: Node, fresh: Fresh, parts: tuple[int, ...], order: tuple[int, ...], result: tuple[int, ...]
) -> list[onnx.NodeProto]:
    """The axes divided into ``parts``, transposed, and put together."""
    write = Writer(node, fresh)
    divided = write("Reshape", node.proto.input[0], write.integers(*parts))
    moved = write("Transpose", divided, perm=list(order))
    write("Reshape", moved, write.integers(*result), output=node.proto.output[0])
    return write.nodes


def _shape(node: Node) -> tuple[int, ...]:
    tensor = node.input(0)
    if tensor is None or tensor.shape is None or 0 in tensor.shape:
        raise NotANest("a shape is only known at run time, or there are no words")
    return tensor.shape


def _image(node: Node) -> tuple[int, ...]:
    shape = _shape(node)
    if len(shape) != 4:
        raise node.error(f"its input has the shape {list(shape)}", "four axes: batch, channels, height, width")
    return shape


def _block(node: Node, *sizes: int) -> int:
    """The size of a block, which divides an image; or its square, the channels."""
    size = int(node.attributes.get("blocksize", 0))
    whole = size**2 if node.proto.op_type == "DepthToSpace" else size
    if size < 1 or any(n % whole for n in sizes):
        raise node.error(f"blocks of {size} in {' x '.join(map(str, sizes))}", "a size that divides these")
    return size
