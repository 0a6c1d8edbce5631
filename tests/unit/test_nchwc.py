"""Models as onnxruntime's optimiser saves them for a processor, channels in blocks: every convolution is a nest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_models import model, node, random

import effc
from effc.compiler.errors import InputError
from effc.compiler.frontend.nchwc import DOMAIN


def optimised(folder: Path, made: onnx.ModelProto) -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimised.onnx")


def residual() -> onnx.ModelProto:
    """Three channels, a depthwise convolution, one in groups, a sum, and twice as many rows."""
    nodes = [
        node("Conv", "x w1 b1", "a", pads=[1, 1, 1, 1]),
        node("Clip", "a low high", "b"),
        node("Conv", "b w2", "c", group=32, pads=[1, 1, 1, 1]),
        node("Conv", "c w3 b1", "d", group=2),
        node("Add", "d b", "e"),
        node("Relu", "e", "f"),
        node("MaxPool", "f", "g", kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", "g . scales", "h", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        node("Conv", "h w4", "i"),
        node("LeakyRelu", "i", "y", alpha=0.2),
    ]
    constants = {
        **{"w1": random((32, 3, 3, 3)), "b1": random((32,)), "w2": random((32, 1, 3, 3)), "w3": random((32, 16, 1, 1))},
        **{"w4": random((12, 32, 1, 1)), "low": np.float32(-1), "high": np.float32(2)},
        "scales": np.float32([1, 1, 2, 2]),
    }
    return model(nodes, {"x": (1, 3, 6, 6)}, constants)


def test_blocks_of_channels(tmp_path: Path) -> None:
    program = effc.compile(optimised(tmp_path, residual()), "eyeriss_like", time_limit=0.2)
    assert len(program.graph.nests) == 4
    assert not [op for op in program.report.host if "Conv" in op.op]
    assert program.verify().ok


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    """On the host it would read words in an order that nothing else has."""
    made = optimised(tmp_path, residual())
    blocked = [proto for proto in made.graph.node if proto.domain == DOMAIN and proto.op_type == "Conv"]
    if not blocked:
        pytest.skip("onnxruntime has no blocks of channels on this processor")
    for attribute in blocked[0].attribute:
        if attribute.name == "activation":
            attribute.s = b"Sine"
    with pytest.raises(InputError, match=r"it has the activation Sine\n.*ORT_ENABLE_EXTENDED"):
        effc.compile(made, "eyeriss_like")
