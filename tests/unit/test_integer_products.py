"""Products of integers are nests of integers: bit for bit what onnxruntime gives, on the machine too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import effc
from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.frontend.from_onnx import lower


def one_node(op: str, values: dict[str, Any], constants: set[str], output: int, **attributes: Any) -> onnx.ModelProto:
    """A model of one node, whose inputs are constants or not."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in values.items()
        if name not in constants
    ]
    known = [numpy_helper.from_array(values[name], name) for name in values if name in constants]
    result = helper.make_tensor_value_info("y", output, None)
    made = helper.make_graph(
        [helper.make_node(op, list(values), ["y"], **attributes)], "integers", inputs, [result], known
    )
    imports = [helper.make_opsetid("", 13)]
    complete: onnx.ModelProto = helper.make_model(made, opset_imports=imports, ir_version=8)
    return complete


def random_case(seed: int) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """One of the four operators, with zero points and scales for all or for each filter."""
    rng = np.random.default_rng(seed)

    def integers(dtype: str, *shape: int) -> Any:
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)

    op = str(rng.choice(["MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"]))
    conv, quantised = "Conv" in op, "QLinear" in op
    left, right = "uint8", str(rng.choice(["uint8", "int8"]))
    words, columns = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    attributes: dict[str, Any] = {}
    if conv:
        groups = int(rng.choice([1, 2]))
        columns *= groups
        a, b = integers(left, 2, groups * words, 5, 6), integers(right, columns, words, 2, 3)
        attributes = {"group": groups, "pads": [0, 1, 1, 0], "strides": [1, 2]}
    else:
        a, b = integers(left, *([2] * int(rng.integers(2))), 3, words), integers(right, words, columns)
    wide = (columns,) if quantised and rng.integers(2) else ()
    zero = np.full(wide, integers(right), right)
    values = {"a": a, "b": b, "za": integers(left), "zb": zero}
    if quantised:
        scale = rng.uniform(0.01, 0.1, wide).astype(np.float32)
        values = {"a": a, "sa": np.array(0.03, np.float32), "za": values["za"], "b": b, "sb": scale, "zb": zero}
        values |= {"sy": np.array(rng.uniform(0.5, 2), np.float32), "zy": integers(left)}
        if conv and rng.integers(2):
            values["bias"] = rng.integers(-5000, 5000, columns).astype(np.int32)
    constants = set(values) - ({"a"} if rng.integers(2) else {"a", "b"})
    output = TensorProto.UINT8 if quantised else TensorProto.INT32
    made = one_node(op, values, constants, output, **attributes)
    return made, {name: value for name, value in values.items() if name not in constants}


@pytest.mark.parametrize("seed", range(40))
def test_random_integer_products(seed: int) -> None:
    made, inputs = random_case(seed)
    graph = lower(made)
    assert graph.nests
    expected = run_model(made, inputs)["y"]
    found = reference_run(graph, inputs)["y"]
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_the_machine_computes_in_integers(seed: int) -> None:
    made, inputs = random_case(seed)
    program = effc.compile(made, "gemmini")
    assert program.report.layers[0].where == "accel"
    assert np.array_equal(program.run(inputs)["y"], run_model(made, inputs)["y"])
    assert program.verify(inputs).ok


def test_zero_points_that_are_computed() -> None:
    """As onnxruntime's dynamic quantisation has them."""
    rng = np.random.default_rng(0)
    weights = {"b": rng.integers(-128, 128, (6, 5)).astype(np.int8), "zb": np.array(3, np.int8)}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["a", "s", "za"]),
        helper.make_node("MatMulInteger", ["a", "b", "za", "zb"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "s"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 6])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    known = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "dynamic", inputs, outputs, known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    x = {"x": rng.standard_normal((4, 6)).astype(np.float32)}
    program = effc.compile(model, "gemmini")
    assert [layer.op for layer in program.report.layers if layer.where == "accel"] == ["MatMulInteger"]
    assert np.array_equal(program.run(x)["y"], run_model(model, x)["y"])
    assert program.verify(x).ok
