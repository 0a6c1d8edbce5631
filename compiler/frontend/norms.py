"""Norms and means that no vector unit has, as several operators which it has.

op ReduceL2 (x) -> (y)           y = Sqrt(ReduceSum(x * x))
op LpNormalization (x) -> (y)    y = x / Sqrt(ReduceSum(x * x))
op Mean (a, b) -> (y)            y = Sum(a, b) / 2

ONNX has functions for the first of these since operator set 18; exporters still write older ones.
"""

from __future__ import annotations

import numpy as np
import onnx

from effc.compiler.frontend import bodies
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import OPSET, Writer

FUNCTIONS = 18
"""The operator set since which ONNX defines these reductions by functions."""


def reduction(node: Node, fresh: Fresh) -> tuple[list[onnx.NodeProto], int]:
    """ReduceL1, ReduceL2, ReduceSumSquare."""
    if node.version >= FUNCTIONS:
        return bodies.steps(node, fresh)
    write = _writer(node, fresh)
    _sum(write, node.proto.op_type, list(node.attributes.get("axes", ())), node.attributes.get("keepdims", 1))
    return write.nodes, OPSET


def normalization(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """LpNormalization: rows of norm one; zeros stay zeros."""
    write, p = _writer(node, fresh), node.attributes.get("p", 2)
    if p not in (1, 2):
        raise NotANest(f"a norm of order {p}")
    norm = _sum(write, f"ReduceL{p}", [node.attributes.get("axis", -1)], 1, write.fresh("norm"))
    smallest = write.scalar(float(np.finfo(np.float32).tiny))
    write("Div", node.proto.input[0], write("Max", norm, smallest), output=node.proto.output[0])
    return write.nodes


def mean(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The mean of tensors, word by word."""
    write, count = _writer(node, fresh), len(node.proto.input)
    total = write("Sum", *node.proto.input)
    write("Div", total, write.scalar(float(count)), output=node.proto.output[0])
    return write.nodes


def _sum(write: Writer, op: str, axes: list[int], keepdims: int, output: str = "") -> str:
    """A sum of magnitudes, of squares, or the root of this, of the node's input."""
    x, output = write.node.proto.input[0], output or write.node.proto.output[0]
    terms = write("Abs", x) if op == "ReduceL1" else write("Mul", x, x)
    places = [write.integers(*axes)] if axes else []
    total = write("ReduceSum", terms, *places, keepdims=keepdims, output="" if op == "ReduceL2" else output)
    return write("Sqrt", total, output=output) if op == "ReduceL2" else total


def _writer(node: Node, fresh: Fresh) -> Writer:
    tensor = node.input(0)
    if tensor is None or tensor.dtype != "float32":
        raise NotANest(f"{node.proto.op_type} of another type than float32")
    return Writer(node, fresh)
