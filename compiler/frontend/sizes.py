"""Sizes that are known of a tensor others of whose sizes are not: what reads only these reads numbers.

s = Shape(t);  n = Gather(s, 1)    n = 256, where t is [?, 256]

Exporters of PyTorch write so whatever asks for a size, behind a choice of rows too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from effc.compiler.frontend.infer import sizes_of
from effc.compiler.frontend.node import Node
from effc.compiler.frontend.subgraphs import Fresh


class Sizes:
    """The shapes that are partly known, by the names of the tensors that hold them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int | None, ...]] = {}

    def note(self, node: Node, types: Mapping[str, onnx.TypeProto]) -> None:
        """Note what a ``Shape`` gives."""
        if node.key != ("", "Shape") or (sizes := sizes_of(types.get(node.proto.input[0], onnx.TypeProto()))) is None:
            return
        self._known[node.proto.output[0]] = sizes[node.attributes.get("start", 0) : node.attributes.get("end")]

    def read(self, node: Node, fresh: Fresh) -> list[onnx.NodeProto] | None:
        """A constant in the place of a node that takes known sizes; None if it does not."""
        sizes = self._known.get(next(iter(node.proto.input), ""))
        taken = None if sizes is None else _taken(node, sizes)
        if taken is None or None in taken:
            return None
        like = node.constant(1) if node.proto.op_type == "Gather" else None
        value = np.array(taken, np.int64).reshape(-1 if like is None else like.shape)
        given = numpy_helper.from_array(value)
        return [helper.make_node("Constant", [], node.proto.output, fresh(f"{node.name}/size"), value=given)]


def _taken(node: Node, sizes: tuple[int | None, ...]) -> list[int | None] | None:
    """The sizes that a ``Gather`` or a ``Slice`` takes; None where nobody knows which."""
    known = [node.constant(position) for position in range(1, len(node.inputs))]
    numbers = [value for value in known if value is not None and value.dtype.kind == "i"]
    if not numbers or len(numbers) < len(known):
        return None
    if node.key == ("", "Gather"):
        places = [int(place) for place in numbers[0].flat]
        fits = all(-len(sizes) <= place < len(sizes) for place in places)
        return [sizes[place] for place in places] if fits else None
    if node.key == ("", "Slice") and len(numbers) > 1 and all(value.size == 1 for value in numbers):
        start, end, *rest = (int(value.item()) for value in numbers)  # behind them the axis, of which there is one
        step = rest[1] if len(rest) > 1 else 1
        return list(sizes[start:end:step]) if step > 0 else None
    return None
