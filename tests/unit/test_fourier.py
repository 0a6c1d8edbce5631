"""Fourier transforms as products: verified against onnxruntime's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import model, node

import effc

TARGET = "eyeriss_like"


@pytest.mark.parametrize(
    ("shape", "axis", "points", "inverse", "onesided"),
    [
        ((2, 8, 1), 1, 8, 0, 1),
        ((2, 5, 7, 2), 1, 5, 0, 0),
        ((2, 5, 7, 2), -2, 7, 1, 0),
        ((2, 6, 1), 1, 9, 0, 0),
        ((2, 9, 1), 1, 6, 0, 1),
        ((2, 5, 2), 1, 8, 1, 1),
        ((2, 5, 2), 1, 9, 1, 1),
    ],
)
@pytest.mark.parametrize("opset", [17, 20])
def test_dft(shape: tuple[int, ...], axis: int, points: int, inverse: int, onesided: int, opset: int) -> None:
    attributes: dict[str, Any] = {"inverse": inverse, "onesided": onesided}
    constants = {"n": np.array(points), "a": np.array(axis)}
    if opset < 20:
        made = node("DFT", "x n", "y", axis=axis, **attributes)
    else:
        made = node("DFT", "x n a", "y", **attributes)
    assert_a_nest(model([made], {"x": shape}, constants, opset=opset), "DFT")


@pytest.mark.parametrize(
    ("shape", "inputs", "onesided"), [((2, 40, 1), "x s w", 1), ((2, 40), "x s . n", 1), ((1, 40, 2), "x s w n", 0)]
)
def test_stft(shape: tuple[int, ...], inputs: str, onesided: int) -> None:
    constants = {"s": np.array(5), "w": np.hanning(12).astype(np.float32), "n": np.array(12)}
    assert_a_nest(model([node("STFT", inputs, "y", onesided=onesided)], {"x": shape}, constants), "STFT")


def assert_a_nest(made: Any, op: str) -> None:
    program = effc.compile(made, TARGET, time_limit=0.2)
    assert len(program.graph.nests) == 1
    assert op not in {entry.op for entry in program.report.host}
    assert program.verify().ok


def test_long_transforms_are_the_hosts() -> None:
    """A fast transform is better then."""
    program = effc.compile(model([node("DFT", "x", "y")], {"x": (1, 4096, 1)}), TARGET)
    assert [entry.reason for entry in program.report.host] == ["a transform of 4096 points: products of up to 2048"]
