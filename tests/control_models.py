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
