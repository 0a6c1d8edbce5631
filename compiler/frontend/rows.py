"""Products with as many rows as the data say: some rows at a time, in a loop whose body is compiled once.

y = Gemm(x, w)      with x of [?, 8]

t = Pad(x, 15 rows of zeros)
s = Loop(ceil(? / 16)) { Gemm(t[16 * i .. 16 * i + 16], w) }        [turns, 16, n]
y = the first ? rows of s

Detectors multiply so what is left of their boxes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from effc.compiler.frontend.infer import sizes_of
from effc.compiler.frontend.node import NEST_TYPES, Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer

Sizes = tuple[int | None, ...]

AT_ONCE = {"Gemm": 16, "MatMul": 16, "Conv": 1, "ConvTranspose": 1}
"""Rows per turn, by operator: of matrices several, which share the weights; the last turn may compute some of zeros."""


def by_rows(node: Node, types: list[onnx.TypeProto], fresh: Fresh) -> list[onnx.NodeProto]:
    """The loop; ``types`` are those of the node's inputs and of its output."""
    shape, others = _rows(node, types[0]), [tensor for tensor in node.inputs[1:] if tensor is not None]
    result = sizes_of(types[-1])
    if result is None or None in result[1:] or any(tensor.shape is None for tensor in others):
        raise NotANest("more than the number of rows is only known at run time")
    write, x, count = Writer(node, fresh), node.proto.input[0], AT_ONCE[node.proto.op_type]
    rows = write("Slice", write("Shape", x), write.integers(0), write.integers(1))
    turns = write("Div", write("Add", rows, write.integers(count - 1)), write.integers(count))
    if count > 1:
        inner = [0] * len(shape)
        x = write("Pad", x, write.integers(0, *inner, count - 1, *inner))
    turn, goes_on = write.fresh("turn"), write.fresh("goes_on")
    inside = write.inside()
    start = inside("Mul", turn, inside.integers(count))
    taken = inside("Slice", x, start, inside("Add", start, inside.integers(count)))
    given = inside("Reshape", taken, inside.integers(count, *shape))
    attributes: dict[str, Any] = dict(node.attributes)
    product = inside(node.proto.op_type, given, *node.proto.input[1:], hint="product", **attributes)
    goes = inside("Identity", goes_on)
    body = helper.make_graph(
        inside.nodes,
        fresh(f"{node.name}/rows"),
        [
            helper.make_tensor_value_info(turn, TensorProto.INT64, []),
            helper.make_tensor_value_info(goes_on, TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info(goes, TensorProto.BOOL, []),
            helper.make_tensor_value_info(product, types[-1].tensor_type.elem_type, [count, *result[1:]]),
        ],
    )
    once = write("Squeeze", turns, write.integers(0))
    stacked = write("Loop", once, write.constant(np.array(True), "true"), body=body)
    sizes = write.integers(-1, *(size or 0 for size in result[1:]))
    found = write("Slice", write("Reshape", stacked, sizes), write.integers(0), rows, write.integers(0))
    write("Reshape", found, sizes, output=node.proto.output[0])  # for its shape
    return write.nodes


def _rows(node: Node, kind: onnx.TypeProto) -> tuple[int, ...]:
    """The shape of a row of the first input, of which the number is not known; of a matrix, as the other one has it."""
    sizes, op = sizes_of(kind), node.proto.op_type
    tensor, weights = node.input(0), node.input(1)
    if sizes is None or len(sizes) < 2 or None not in sizes or op not in AT_ONCE:
        raise NotANest("the number of rows is known")
    if tensor is None or tensor.dtype not in NEST_TYPES or weights is None or weights.shape is None:
        raise NotANest("more than the number of rows is only known at run time")
    addend, matrix = node.input(2) if op == "Gemm" else None, len(weights.shape) == 2
    mixed = op == "Gemm" and (node.attributes.get("transA", 0) or (addend is not None and not _is_row(addend.shape)))
    if mixed or (op == "MatMul" and not matrix):
        raise NotANest("rows that do not stand for themselves")
    inner = weights.shape[int(node.attributes.get("transB", 0))] if matrix else sizes[-1]
    shape = tuple(size for size in (*sizes[1:-1], inner) if size)
    if len(shape) < len(sizes) - 1:
        raise NotANest("more than the number of rows is only known at run time")
    return shape


def _is_row(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and (len(shape) < 2 or shape[0] == 1)
