"""Models with control flow, products in its bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model, node, random

STEPS = 6


def scan_model(steps: int = STEPS) -> onnx.ModelProto:
    """``s' = relu(s v + e)`` over the rows e of a sequence; the last state, and all of them."""
    inner = graph(
        [node("MatMul", "s v", "t"), node("Add", "t e", "u"), node("Relu", "u", "r"), node("Identity", "r", "q")],
        {"s": ([2, 3], TensorProto.FLOAT), "e": ([3], TensorProto.FLOAT)},
        {"r": TensorProto.FLOAT, "q": TensorProto.FLOAT},
        v=random((3, 3)),
    )
    return with_node(
        node("Scan", "x e", "y z", body=inner, num_scan_inputs=1), {"x": (2, 3), "e": (steps, 3)}, outputs="y z"
    )


def while_model() -> onnx.ModelProto:
    """``s' = s v w`` until the sum of s is large: w comes from outside, and how often is known to nobody."""
    inner = graph(
        [
            node("MatMul", "s v", "t"),
            node("MatMul", "t w", "u"),
            node("ReduceSum", "u", "n", keepdims=0),
            node("Less", "n most", "goes"),
        ],
        {"i": ([], TensorProto.INT64), "c": ([], TensorProto.BOOL), "s": ([2, 3], TensorProto.FLOAT)},
        {"goes": TensorProto.BOOL, "u": TensorProto.FLOAT, "t": TensorProto.FLOAT},
        v=1 + np.abs(random((3, 3))),
        most=np.array(100, np.float32),
    )
    return with_node(node("Loop", ". . x", "y z", body=inner), {"x": (2, 3), "w": (3, 3)}, outputs="y z")


def counted_model(trips: int = 4) -> onnx.ModelProto:
    """``s' = s v`` while a number that is carried along is small, as exporters of TensorFlow write it; all of them
    times w.
    """
    inner = graph(
        [
            node("MatMul", "s v", "t"),
            node("Add", "n one", "m"),
            node("Cast", "m", "f", to=TensorProto.FLOAT),
            node("Less", "f end", "less"),
            node("Less", "i many", "few"),
            node("And", "less few", "goes"),
        ],
        {
            "i": ([], TensorProto.INT64),
            "c": ([], TensorProto.BOOL),
            "n": ([], TensorProto.INT32),
            "s": ([2, 3], TensorProto.FLOAT),
        },
        {"goes": TensorProto.BOOL, "m": TensorProto.INT32, "t": TensorProto.FLOAT, "s": TensorProto.FLOAT},
        v=random((3, 3)),
        one=np.array(1, np.int32),
        end=np.array(trips, np.float32),
        many=np.array(99),
    )
    constants = {"most": np.array(20), "true": np.array(True), "zero": np.array(0, np.int32), "w": random((3, 4))}
    made = with_node(node("Loop", "most true zero x", "last y states", body=inner), {"x": (2, 3)}, constants, "y z")
    made.graph.node.append(node("MatMul", "states w", "z"))
    return made


def growing_model() -> onnx.ModelProto:
    """``s' = s v``, which is put behind all before it, until the sum of s is large."""
    inner = graph(
        [
            node("MatMul", "s v", "t"),
            node("Concat", "rows t", "more", axis=0),
            node("ReduceSum", "t", "n", keepdims=0),
            node("Less", "n most", "goes"),
        ],
        {
            "i": ([], TensorProto.INT64),
            "c": ([], TensorProto.BOOL),
            "s": ([2, 3], TensorProto.FLOAT),
            "rows": ([None, 3], TensorProto.FLOAT),
        },
        {"goes": TensorProto.BOOL, "t": TensorProto.FLOAT, "more": TensorProto.FLOAT},
        v=1 + np.abs(random((3, 3))),
        most=np.array(100, np.float32),
    )
    return with_node(node("Loop", ". . x x", "y z", body=inner), {"x": (2, 3)}, outputs="y z")


def if_model() -> onnx.ModelProto:
    """``x v`` or ``x w`` with ``v``, ``w`` from outside."""
    branches = {
        f"{name}_branch": graph([node("MatMul", f"x {weights}", f"r{weights}")], {}, {f"r{weights}": TensorProto.FLOAT})
        for name, weights in (("then", "v"), ("else", "w"))
    }
    made = with_node(node("If", "c", "y", **branches), {"x": (2, 3), "v": (3, 4)}, {"w": random((3, 4))})
    made.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, [1]))
    return made


def graph(
    nodes: list[onnx.NodeProto], inputs: dict[str, tuple[list[int], int]], outputs: dict[str, int], **weights: Any
) -> onnx.GraphProto:
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (shape, kind) in inputs.items()]
    results = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    return helper.make_graph(nodes, "body", given, results, [numpy_helper.from_array(v, k) for k, v in weights.items()])


def with_node(
    proto: onnx.NodeProto, inputs: dict[str, tuple[int, ...]], constants: Any = None, outputs: str = "y"
) -> onnx.ModelProto:
    proto.name = "control"
    placeholder = node("Split", "x", outputs) if " " in outputs else node("Relu", "x", outputs)
    made = model([placeholder], inputs, constants, outputs)
    made.graph.node[0].CopyFrom(proto)
    return made
