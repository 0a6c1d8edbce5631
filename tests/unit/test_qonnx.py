"""QONNX's quantisers: what they mean, computed in integers of 1 to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import effc
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import lower

DOMAIN = "qonnx.custom_op.general"


def model(nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: list[int]) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    known = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "qonnx", inputs, outputs, known)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return made


def quant(x: Any, scale: Any, bits: int, signed: bool, narrow: bool = False) -> Any:
    low = -(1 << bits - 1) + narrow if signed else 0
    high = (1 << bits - 1) - 1 if signed else (1 << bits) - 1 - narrow
    return np.clip(np.rint(np.float32(x) / np.float32(scale)), low, high) * np.float32(scale)


def product(bits: int, bipolar: bool) -> tuple[onnx.ModelProto, Any]:
    """Activations times weights of so many bits, a scale for each column; and what they stand for."""
    rng = np.random.default_rng(bits)
    w, scale = rng.standard_normal((6, 4)).astype(np.float32), np.full((1, 4), 0.25, np.float32)
    constants = {"s": 0.125, "z": 0, "b": bits, "w": w, "ws": scale, "wz": 0, "bs": 0.5}
    weights = helper.make_node("Quant", ["w", "ws", "wz", "b"], ["wq"], domain=DOMAIN, signed=1, narrow=1)
    if bipolar:
        weights = helper.make_node("BipolarQuant", ["w", "bs"], ["wq"], domain=DOMAIN)
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b"], ["xq"], domain=DOMAIN, signed=0, rounding_mode="ROUND"),
        weights,
        helper.make_node("MatMul", ["xq", "wq"], ["y"]),
    ]
    x = rng.standard_normal((3, 6)).astype(np.float32)
    wide = np.where(w >= 0, 0.5, -0.5) if bipolar else quant(w, scale, bits, True, narrow=True)
    return model(nodes, constants, [3, 6]), (x, quant(x, 0.125, bits, False) @ wide)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_products_of_few_bits(bits: int) -> None:
    made, (x, expected) = product(max(bits, 1), bipolar=bits == 1)
    graph = lower(made)
    (op,) = graph.nests
    types = [graph.tensors[op.uses[name].tensor].dtype for name in ("I", "W")]
    names = {1: ["unsigned1", "signed1"], 8: ["uint8", "int8"]}
    assert types == names.get(bits, [f"unsigned{bits}", f"signed{bits}"])
    program = effc.compile(made, "gemmini")
    assert np.allclose(program.run({"x": x})["y"], expected, rtol=1e-6)
    assert all(check.ok for check in program.verify({"x": x}).checks if check.where != "output")


def test_what_is_kept_of_it(tmp_path: Any) -> None:
    made, (x, expected) = product(3, bipolar=False)
    effc.compile(made, "gemmini").save(tmp_path / "m.effx")
    assert np.allclose(effc.load(tmp_path / "m.effx").run({"x": x})["y"], expected, rtol=1e-6)


def test_trunc_drops_the_lowest_bits() -> None:
    constants = {"s": 0.5, "z": 0, "wide": 8, "few": 4}
    nodes = [helper.make_node("Trunc", ["x", "s", "z", "wide", "few"], ["y"], domain=DOMAIN)]
    x = np.array([[-7.5, -0.5, 0, 0.5, 31.5, 100]], np.float32)
    found = effc.compile(model(nodes, constants, [1, 6]), "gemmini").run({"x": x})["y"]
    assert np.array_equal(found, [[-8, -8, 0, 0, 24, 56]])


def test_a_width_of_nine_bits_is_refused() -> None:
    nodes = [helper.make_node("Quant", ["x", "s", "z", "b"], ["y"], "q", domain=DOMAIN)]
    with pytest.raises(InputError, match="Quant 'q': error: a bit width of 9"):
        lower(model(nodes, {"s": 1, "z": 0, "b": 9}, [1, 2]))
