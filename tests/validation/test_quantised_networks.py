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
from effc.compiler.target import load_target
from effc.ir.graph import Graph, NestOp

MODELS = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS))  # a folder of scripts, not a package

import build  # noqa: E402
from quantise import quantised  # noqa: E402

TARGETS = ("gemmini", "tpu_v1", "nvdla_full", "vta", "simba_chiplet")
NETWORKS = ("squeezenet", "resnet18", "mobilenetv2", "bert")


@cache
def model(name: str) -> onnx.ModelProto:
    return build.build(name)


def check_native(whole: onnx.ModelProto, target: str, asked: set[str]) -> None:
    """Every product on the array in its own types, every word as onnxruntime's; float work only where it is asked."""
    program = effc.compile(whole, target, numeric="target", time_limit=20)
    graph, totals = program.graph, program.report.totals
    assert sum(op.nest.macs for op in graph.nests) == totals.macs
    assert not [op for op in program.report.host if "Conv" in op.op or "MatMul" in op.op or "Gemm" in op.op]
    native = load_target(target).numeric.types
    assert {graph.tensors[op.uses[read.name].tensor].dtype for op in graph.nests for read in op.nest.reads} <= {*native}
    floats = {name for name, tensor in graph.tensors.items() if "float" in tensor.dtype and name not in graph.constants}
    nodes = [op for op in graph.ops if not isinstance(op, NestOp)]
    assert {op.op for op in nodes if floats.intersection((*op.inputs, *op.outputs))} <= asked
    found = program.verify()
    assert found.ok
    assert all(check.error == 0 for check in found.checks if check.where in ("accel", "output"))


@pytest.mark.validate
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["qdq", "qop"])
@pytest.mark.parametrize("name", NETWORKS)
def test_bit_for_bit(name: str, form: str, target: str) -> None:
    check_native(model(f"{name}_{form}"), target, {node.op_type for node in model(f"{name}_qop").graph.node})


@pytest.mark.validate
@pytest.mark.parametrize("form", ["qdq", "qop"])
def test_unsigned_bytes(form: str) -> None:
    """What onnxruntime's quantiser makes if it is asked for nothing else, on a machine that has signed bytes only."""
    check_native(
        quantised(build.build("squeezenet"), form, unsigned=True), "gemmini", {"QuantizeLinear", "DequantizeLinear"}
    )


def sources(op: NestOp, graph: Graph) -> list[str]:
    """The tensors that a nest and its epilogue read, constants left out."""
    return [name for name in dict.fromkeys(op.inputs) if name not in graph.constants]


def steps_away(whole: onnx.ModelProto) -> dict[str, int]:
    """By how many steps each quantised product differs from onnxruntime's node by node, on the machine's own inputs;
    less those of the additions in its epilogue.
    """
    program = effc.compile(whole, "gemmini", time_limit=20)
    graph, inputs = program.graph, random_inputs(program.graph, 0)
    nests = [op for op in graph.nests if graph.tensors[op.outputs[0]].dtype == "int8"]
    kept = {name for op in nests for name in (*sources(op, graph), *op.outputs)}
    result = program.execute(inputs, kept)
    values: dict[str, Any] = {**inputs, **result.tensors}
    inferred, found = onnx.shape_inference.infer_shapes(whole), {}
    extractor, typed = Extractor(inferred), inferred.graph
    known = {value.name for value in (*typed.value_info, *typed.input, *typed.output)}
    for op in nests:
        names, output = sources(op, graph), op.outputs[0]
        if not {*names, output} <= known & values.keys():
            continue
        part = extractor.extract_model(names, [output])
        expected = run_model(part, {name: values[name] for name in names})[output]
        added = sum(step.op == "QLinearAdd" for step in op.epilogue)
        found[op.name] = int(np.max(np.abs(expected.astype(int) - values[output].astype(int)))) - added
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
