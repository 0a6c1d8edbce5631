"""Networks in int8 on every machine whose MACs multiply int8: native types, values, counters; each node for itself."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.utils import Extractor

import effc
from effc.backends.host import run_model
from effc.compiler.inputs import random_inputs

MODELS = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS))  # a folder of scripts, not a package

import build  # noqa: E402

TARGETS = ("gemmini", "tpu_v1", "nvdla_full", "vta", "simba_chiplet")
NETWORKS = ("squeezenet", "resnet18", "mobilenetv2")


@cache
def model(name: str) -> onnx.ModelProto:
    return build.build(name)


@pytest.mark.validate
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [f"{name}_{form}" for name in NETWORKS for form in ("qdq", "qop")])
def test_bit_for_bit(name: str, target: str) -> None:
    program = effc.compile(model(name), target, numeric="target", time_limit=60)
    assert all(layer.where == "accel" for layer in program.report.layers if "Conv" in layer.op or "Gemm" in layer.op)
    found = program.verify()
    assert found.ok
    assert all(check.error == 0 for check in found.checks if check.where in ("accel", "output"))


def steps_away(whole: onnx.ModelProto) -> dict[str, int]:
    """By how many steps each quantised product differs from onnxruntime's node by node, on the machine's own inputs."""
    program = effc.compile(whole, "gemmini", time_limit=60)
    inputs = random_inputs(program.graph, 0)
    nests = [op for op in program.graph.nests if program.graph.tensors[op.outputs[0]].dtype == "int8"]
    kept = {name for op in nests for name in (op.uses["I"].tensor, *op.outputs)}
    result = program.execute(inputs, kept)
    values: dict[str, Any] = {**inputs, **result.tensors}
    extractor, found = Extractor(onnx.shape_inference.infer_shapes(whole)), {}
    for op in nests:
        source, output = op.uses["I"].tensor, op.outputs[0]
        if source not in values:
            continue
        part = extractor.extract_model([source], [output])
        expected = run_model(part, {source: values[source]})[output]
        found[op.name] = int(np.max(np.abs(expected.astype(int) - values[output].astype(int))))
    return found


def test_each_node_of_the_digits_network() -> None:
    found = steps_away(model("digits_qdq"))
    assert len(found) >= 2
    assert max(found.values()) <= 1


@pytest.mark.validate
@pytest.mark.parametrize("name", NETWORKS)
def test_each_node(name: str) -> None:
    """Within one step of what onnxruntime gives without optimisation, in floating point between quantisers."""
    found = steps_away(model(f"{name}_qdq"))
    assert len(found) >= 20
    assert max(found.values()) <= 1
