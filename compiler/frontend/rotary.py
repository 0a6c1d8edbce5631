"""Rotary positions: every pair of words is turned by an angle that grows with the step."""

from __future__ import annotations

import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer


def rotary_embedding(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """``com.microsoft.RotaryEmbedding`` of [batch, steps, heads * words] or of a tensor in heads."""
    write, (name, shape) = Writer(node, fresh), node.operand(0)
    position = node.input(1)
    if float(node.attributes.get("scale", 1.0)) != 1.0 or node.attributes.get("is_packed_batching", 0):
        raise NotANest("rotary positions of this form")
    if position is None or position.shape is None:
        raise NotANest("positions of a shape that is only known at run time")
    cosines = node.operand(2)[1]
    size = int(node.attributes.get("rotary_embedding_dim", 0))
    words = 2 * cosines[1] if not size else shape[-1] // int(node.attributes["num_heads"])
    steps = shape[-2]
    if len(shape) == 3:
        split = write("Reshape", name, write.integers(0, 0, shape[2] // words, words))
        name = write("Transpose", split, perm=[0, 2, 1, 3])
    places = position.name
    if len(position.shape) == 1:
        places = write("Add", write("Reshape", places, write.integers(1, 1)), write.integers(*range(steps)))
    interleaved = bool(node.attributes.get("interleaved", 0))
    cosine_table, sine_table = node.proto.input[2:4]
    turned = rotated(write, name, places, cosine_table, sine_table, words, interleaved, size)
    if len(shape) == 3:
        turned = write("Transpose", turned, perm=[0, 2, 1, 3])
        turned = write("Reshape", turned, write.integers(0, 0, -1))
    write("Identity", turned, output=node.proto.output[0])
    return write.nodes


def rotated(
    write: Writer, x: str, positions: str, cosines: str, sines: str, words: int, interleaved: bool, size: int = 0
) -> str:
    """``x``, [batch, heads, steps, words], turned at ``positions``, [batch, steps]; of ``size`` words, if not of all.

    ``cosines`` and ``sines``, [positions, size / 2].
    """
    size, rest = size or words, ""
    if size < words:
        parts = [write.fresh("turned"), write.fresh("rest")]
        x, rest = write.many("Split", x, write.integers(size, words - size), outputs=parts, axis=-1)
    cos, sin = (
        write("Unsqueeze", write("Gather", table, positions, axis=0), write.integers(1)) for table in (cosines, sines)
    )
    if interleaved:
        pairs = write("Reshape", x, write.integers(0, 0, 0, size // 2, 2))
        halves = write.many("Split", pairs, write.integers(1, 1), outputs=[write.fresh("half") for _ in "ab"], axis=-1)
        a, b = (write("Squeeze", half, write.integers(-1)) for half in halves)
    else:
        half = write.integers(size // 2, size // 2)
        a, b = write.many("Split", x, half, outputs=[write.fresh("half") for _ in "ab"], axis=-1)
    real = write("Sub", write("Mul", a, cos), write("Mul", b, sin))
    imaginary = write("Add", write("Mul", a, sin), write("Mul", b, cos))
    if interleaved:
        columns = [write("Unsqueeze", part, write.integers(-1)) for part in (real, imaginary)]
        turned = write("Reshape", write("Concat", *columns, axis=-1), write.integers(0, 0, 0, size))
    else:
        turned = write("Concat", real, imaginary, axis=-1)
    return write("Concat", turned, rest, axis=-1) if rest else turned
