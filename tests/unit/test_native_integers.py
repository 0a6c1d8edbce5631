"""`--numeric target` where integers are not native as they are: unsigned bytes, sums of too many bits, no integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import effc
from effc.backends.host import run_model
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.passes.signed_bytes import ZERO_POINTS, SignedBytes
from effc.compiler.passes.type_sums import largest_sum
from effc.compiler.target import load_target
from effc.ir.graph import NestOp

RNG = np.random.default_rng(7)
SCALE, SMALL = np.array(0.05, np.float32), np.array(0.002, np.float32)


def model(
    nodes: Sequence[onnx.NodeProto], known: dict[str, Any], x: Any, made: str = "UINT8", others: Sequence[str] = ()
) -> onnx.ModelProto:
    """Nodes that read x and write y, and other bytes."""
    inputs = [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)]
    outputs = [helper.make_tensor_value_info("y", getattr(TensorProto, made), None)]
    outputs += [helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in others]
    graph = helper.make_graph(nodes, "net", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in known.items()])
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def same_as_onnxruntime(made: onnx.ModelProto, x: Any, target: str) -> effc.CompiledProgram:
    """The program, whose outputs and counters are verified for random inputs and for ``x``."""
    program = effc.compile(made, target, numeric="target", time_limit=0.1)
    assert program.verify().ok
    expected = run_model(made, {"x": x})
    assert all(np.array_equal(value, expected[name]) for name, value in program.run({"x": x}).items())
    return program


PRODUCTS = (
    helper.make_node("QLinearMatMul", ["x", "s", "zx", "w", "s", "zw", "sy", "zy"], ["t"], "product"),
    helper.make_node("QLinearMatMul", ["t", "s", "zy", "v", "s", "none", "sy", "zy"], ["z"], "another"),
)
KNOWN = {
    "w": RNG.integers(0, 256, (6, 8)).astype(np.uint8),
    "v": RNG.integers(0, 256, (8, 3)).astype(np.uint8),
    "zx": np.uint8(120),
    "zw": RNG.integers(100, 150, 8).astype(np.uint8),
    "zy": np.uint8(9),
    "s": SCALE,
    "sy": np.array(1.5, np.float32),
    "none": np.uint8(0),
    "row": np.array([1, 4, 2, -1], np.int64),
    "axis": np.array([0], np.int64),
    "end": np.array([3], np.int64),
    "picked": np.array([2, 0], np.int64),
}
"""Of the first product a zero point for each column."""

INPUTS = {
    "QLinearAdd": ["t", "sy", "zy", "t", "s", "zx", "sy", "zy"],
    "QLinearMul": ["t", "sy", "none", "t", "s", "zx", "sy", "zy"],
    "QLinearLeakyRelu": ["t", "s", "zx", "sy", "zy"],
    "QLinearSigmoid": ["t", "s", "zx", "sy", "zy"],
    "QLinearSoftmax": ["t", "s", "zx", "s", "zy"],
    "QLinearAveragePool": ["image", "s", "zx", "s", "zy"],
    "QLinearGlobalAveragePool": ["image", "s", "zx", "s", "zy"],
    "QLinearConcat": ["sy", "zy", "t", "s", "zx", "t", "sy", "zy"],
    "MaxPool": ["image"],
    "Concat": ["t", "t"],
    "Expand": ["t", "wide"],
    "Gather": ["t", "picked"],
    "Reshape": ["t", "row"],
    "Slice": ["t", "axis", "end"],
    "Squeeze": ["image", "axis"],
    "Unsqueeze": ["t", "axis"],
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "QLinearAveragePool": {"kernel_shape": [2, 1]},
    "QLinearSoftmax": {"opset": 13, "axis": -1},
    "MaxPool": {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]},
    "Concat": {"axis": 1},
    "QLinearConcat": {"axis": 1},
}


def test_unsigned_bytes_are_shifted() -> None:
    """Every operator on what two products have between them; inputs and outputs stay unsigned: equal to onnxruntime."""
    nodes = [
        *PRODUCTS,
        helper.make_node("Reshape", ["t", "square"], ["image"], "image"),
        helper.make_node("DequantizeLinear", ["t", "sy", "zy"], ["DequantizeLinear"], "DequantizeLinear"),
        helper.make_node("QuantizeLinear", ["DequantizeLinear", "sy"], ["QuantizeLinear"], "QuantizeLinear"),
        helper.make_node(
            "QLinearMatMul", ["QuantizeLinear", "s", "none", "v", "s", "none", "sy", "zy"], ["y"], "third"
        ),
    ]
    others = [(domain, op) for domain, op in ZERO_POINTS if not op.endswith("uantizeLinear")]
    for domain, op in others:
        nodes.append(helper.make_node(op, INPUTS.get(op, ["t"]), [op], op, domain=domain, **ATTRIBUTES.get(op, {})))
    known = {**KNOWN, "square": np.array([1, 4, 4, 2]), "wide": np.array([2, 4, 8])}
    x = RNG.integers(0, 256, (4, 6)).astype(np.uint8)
    made = model(nodes, known, x, "UINT8", ["z", "QuantizeLinear", *(op for _, op in others)])
    program = same_as_onnxruntime(made, x, "gemmini")
    assert types_of_products(program) == {"int8"}
    shifted = SignedBytes(load_target("gemmini")).run(lower(made))
    found = {item.name: (*item.inputs, *item.outputs) for item in shifted.ops}
    assert not [op for _, op in ZERO_POINTS if "uint8" in {shifted.tensors[name].dtype for name in found[op]}]


def types_of_products(program: effc.CompiledProgram) -> set[str]:
    return {
        program.graph.tensors[op.uses[read.name].tensor].dtype for op in program.graph.nests for read in op.nest.reads
    }


@pytest.mark.parametrize("form", ["qop", "qdq"])
def test_a_network_of_unsigned_bytes(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "models"))
    from digits import digits
    from quantise import quantised

    program = effc.compile(quantised(digits(), form, unsigned=True), "gemmini", numeric="target", time_limit=0.1)
    found = program.verify()
    assert found.ok
    assert all(check.error == 0 for check in found.checks if check.where in ("output", "accel"))
    assert types_of_products(program) == {"int8"}


def product(words: int, columns: int = 3) -> onnx.ModelProto:
    """A row of int8 above -128 times columns of int8, requantised."""
    known = {
        "w": RNG.integers(60, 128, (words, columns)).astype(np.int8),
        "zx": np.int8(-128),
        "zw": np.int8(0),
        "sx": SCALE,
        "sy": np.array(5.0 * words, np.float32),
    }
    node = helper.make_node("QLinearMatMul", ["x", "sx", "zx", "w", "sx", "zw", "sy", "zx"], ["y"], "product")
    return model([node], known, np.zeros((2, words), np.int8), "INT8")


@pytest.mark.parametrize(("words", "parts"), [(300, 1), (600, 2), (1000, 3)])
def test_sums_of_more_bits_than_the_target_has_are_made_in_parts(words: int, parts: int) -> None:
    made = product(words)
    program = same_as_onnxruntime(made, RNG.integers(90, 128, (2, words)).astype(np.int8), "simba_chiplet")
    nests, graph = program.graph.nests, program.graph
    assert len(nests) == parts
    assert {graph.tensors[op.uses["O"].tensor].dtype for op in nests} == {"int24"}
    assert all(largest_sum(op, graph) < 2**23 for op in nests)
    assert sum(step.op == "Add" for op in nests for step in op.epilogue) == parts - 1
    assert not [op for op in graph.ops if not isinstance(op, NestOp)]


def test_a_convolution_is_divided_along_its_channels() -> None:
    """Windows beyond the image are padding in every part; the bias belongs to one of them."""
    known = {
        "w": RNG.integers(-128, 128, (4, 200, 3, 3)).astype(np.int8),
        "b": RNG.integers(-1000, 1000, 4).astype(np.int32),
        "zx": np.int8(-128),
        "zw": np.int8(0),
        "s": SMALL,
        "sy": np.array(0.1, np.float32),
    }
    inputs = ["x", "s", "zx", "w", "s", "zw", "sy", "zw", "b"]
    node = helper.make_node("QLinearConv", inputs, ["y"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = RNG.integers(-128, 128, (1, 200, 4, 4)).astype(np.int8)
    program = same_as_onnxruntime(model([node], known, x, "INT8"), x, "simba_chiplet")
    assert [op.nest.bounds["C"] for op in program.graph.nests] == [100, 100]
    assert [op.nest.bias is not None for op in program.graph.nests] == [True, False]


def test_products_of_one_sign_bound_sums_of_that_sign() -> None:
    """Above a zero point of -128 words are 0 to 255: sums of weights of both signs reach half as far."""
    known = {"w": np.array([[100], [-100]], np.int8), "zx": np.int8(-128), "zw": np.int8(0), "s": SCALE}
    node = helper.make_node("QLinearMatMul", ["x", "s", "zx", "w", "s", "zw", "s", "zw"], ["y"])
    made = lower(model([node], known, np.zeros((2, 2), np.int8), "INT8"))
    assert largest_sum(made.nests[0], made) == 255 * 100


def test_additions_of_integers_are_steps_of_an_epilogue() -> None:
    """A residual addition of bytes behind a product: requantised, added, and only then written."""
    known = {"w": RNG.integers(-128, 128, (6, 6)).astype(np.int8), "z": np.int8(3), "zw": np.int8(0), "s": SCALE}
    known["sy"] = np.array(0.9, np.float32)
    nodes = [
        helper.make_node("QLinearMatMul", ["x", "s", "z", "w", "s", "zw", "sy", "z"], ["t"], "product"),
        helper.make_node(
            "QLinearAdd", ["t", "sy", "z", "x", "s", "z", "sy", "zw"], ["u"], "add", domain="com.microsoft"
        ),
        helper.make_node("QLinearSigmoid", ["u", "sy", "zw", "s", "z"], ["y"], "sigmoid", domain="com.microsoft"),
    ]
    x = RNG.integers(-128, 128, (5, 6)).astype(np.int8)
    program = same_as_onnxruntime(model(nodes, known, x, "INT8"), x, "gemmini")
    ((op),) = program.graph.ops
    assert isinstance(op, NestOp)
    assert [step.op for step in op.epilogue] == ["DequantizeLinear", "QuantizeLinear", "QLinearAdd", "QLinearSigmoid"]
    text = effc.print_graph(program.graph)
    assert effc.print_graph(effc.parse_graph(text)) == text


def test_the_cpu_backend_refuses_integers_when_it_compiles() -> None:
    with pytest.raises(InputError, match="computes in int32 and int8, which the CPU backend cannot"):
        effc.compile(product(8), "gemmini", backend="cpu")


def test_bytes_that_are_quantised_at_run_time() -> None:
    """DynamicQuantizeLinear makes uint8 and its zero point: both are converted."""
    known = {"w": RNG.integers(-128, 128, (6, 4)).astype(np.int8), "zw": np.int8(0)}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], "quantise"),
        helper.make_node("MatMulInteger", ["q", "w", "z", "zw"], ["y"], "product"),
    ]
    x = RNG.standard_normal((3, 6)).astype(np.float32)
    program = same_as_onnxruntime(model(nodes, known, x, "INT32"), x, "gemmini")
    assert types_of_products(program) == {"int8"}


def test_sums_that_nothing_can_add_up_are_an_error() -> None:
    """Without an Add on the vector unit the sums of 600 products are too large for int24."""
    target = effc.parse_target(load_target("simba_chiplet").source.replace(" Add,", ""))
    with pytest.raises(InputError, match="at most 8,388,607, which int24 holds"):
        effc.compile(product(600), target, numeric="target")
