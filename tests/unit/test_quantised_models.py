"""Quantised models: products of integers on the array, and onnxruntime's values bit for bit."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import effc
from effc.backends.host import run_model
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.target import load_target
from effc.compiler.target.widths import Widths
from effc.ir.graph import Graph, NestOp

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.mark.parametrize("form", ["qdq", "qop"])
def test_the_digits_network(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(MODELS))
    from digits import digits
    from quantise import quantised

    program = effc.compile(quantised(digits(), form), "gemmini")
    assert [layer.op for layer in program.report.layers if layer.where == "accel"] == ["QLinearConv"] * 2 + ["QGemm"]
    assert {op.op for op in program.report.host} <= {"Flatten"}
    found = program.verify()
    assert found.ok
    assert all(check.error == 0 for check in found.checks if check.where != "vector")
    for name in ("digits", "quantise", "layers"):
        sys.modules.pop(name, None)


def between_quantisers(nodes: list[onnx.NodeProto], zero: int, outputs: int = 1) -> onnx.ModelProto:
    """Nodes that read xf and write yf, of 8 bits with a scale of 0.5 and this zero point on both sides."""
    points = {"s": np.array(0.5, np.float32), "z": np.array(zero, np.int8), "w": np.eye(4, dtype=np.int8) * 3}
    points |= {"ws": np.array(0.25, np.float32), "wz": np.array(0, np.int8)}
    around = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        *nodes,
        helper.make_node("QuantizeLinear", ["yf", "s", "z"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT8, [2, 4])]
    made = [helper.make_tensor_value_info("y", TensorProto.INT8, None)]
    graph = helper.make_graph(around, "qdq", inputs, made, [numpy_helper.from_array(v, k) for k, v in points.items()])
    imports = [helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return model


CASES = {
    "MatMul": ([helper.make_node("MatMul", ["xf", "wf"], ["yf"])], ["QLinearMatMul"]),
    "Relu": (
        [helper.make_node("MatMul", ["xf", "wf"], ["t"]), helper.make_node("Relu", ["t"], ["yf"])],
        ["QLinearMatMul"],
    ),
    "Add": ([helper.make_node("Add", ["xf", "xf"], ["yf"])], ["QLinearAdd"]),
    "Concat": ([helper.make_node("Concat", ["xf", "xf"], ["yf"], axis=1)], ["QLinearConcat"]),
    "Transpose": ([helper.make_node("Transpose", ["xf"], ["yf"], perm=[1, 0])], ["Transpose"]),
    "Sigmoid": ([helper.make_node("Sigmoid", ["xf"], ["yf"])], ["QLinearSigmoid"]),
    "Exp": ([helper.make_node("Exp", ["xf"], ["yf"])], ["DequantizeLinear", "Exp", "QuantizeLinear"]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_stands_between_quantisers(name: str) -> None:
    nodes, expected = CASES[name]
    model = between_quantisers(nodes, -128)
    ops = [op.op for op in lower(model).ops]
    assert [op for op in ops if op not in ("DequantizeLinear", "QuantizeLinear")] == [
        op for op in expected if op not in ("DequantizeLinear", "QuantizeLinear")
    ]
    x = np.arange(-128, 120, 31, dtype=np.int8).reshape(2, 4)
    program = effc.compile(model, "gemmini")
    assert np.array_equal(program.run({"x": x})["y"], run_model(model, {"x": x}, integers=True)["y"])


def test_a_relu_that_saturation_does_not_do_stays() -> None:
    """With a zero point of zero negative values have a place of their own."""
    nodes, _ = CASES["Relu"]
    model = between_quantisers(nodes, 0)
    assert "Relu" in [op.op for op in lower(model).ops]
    x = np.arange(-128, 120, 31, dtype=np.int8).reshape(2, 4)
    assert np.array_equal(effc.compile(model, "gemmini").run({"x": x})["y"], run_model(model, {"x": x})["y"])


def test_weights_of_four_bits() -> None:
    """ONNX keeps two of them in a byte; they take 4 bits where the target packs."""
    values = np.arange(-8, 8).reshape(4, 4)
    known = [helper.make_tensor("w", TensorProto.INT4, [4, 4], values.reshape(-1).tolist())]
    known += [numpy_helper.from_array(np.array(0.5, np.float32), "s"), numpy_helper.from_array(np.int8([3])[0], "z")]
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "s"], ["wf"]),
        helper.make_node("MatMul", ["xf", "wf"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT8, [2, 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])]
    graph = helper.make_graph(nodes, "int4", inputs, outputs, known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    program = effc.compile(model, "gemmini")
    (op,) = program.graph.nests
    assert program.graph.tensors[op.uses["W"].tensor].dtype == "signed4"
    x = {"x": np.arange(-100, 100, 25, dtype=np.int8).reshape(2, 4)}
    assert np.allclose(program.run(x)["y"], run_model(model, x)["y"], rtol=1e-6)
    widths = {packs: bits_of(op, program.graph, packs) for packs in (True, False)}
    assert widths == {True: 4, False: 8}


def bits_of(op: NestOp, graph: Graph, packs: bool) -> Fraction:
    target = load_target("gemmini")
    target = replace(target, numeric=replace(target.numeric, packing=packs))
    return target.with_widths(Widths.of_nest(op, graph.tensors)).bits(1, "W")


def test_sixteen_bits_are_computed_between_quantisers_in_floating_point() -> None:
    """There is no operator of ONNX for products of them."""
    known = {"w": np.full((3, 4), 5, np.int8), "s": np.array(0.01, np.float32), "z": np.array(0, np.int16)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "s"], ["wf"]),
        helper.make_node("MatMul", ["xf", "wf"], ["yf"]),
        helper.make_node("QuantizeLinear", ["yf", "s", "z"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in known.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    assert effc.compile(model, "gemmini").verify().ok
