"""Types of floating point: what is rounded when it is written, and what is not."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from c_compiler import needs_compiler
from onnx import TensorProto, helper
from onnx_models import model, node
from small import TINY

import effc
from effc.backends.accel.tensors import word_type
from effc.backends.host import run_model
from effc.compiler.target import parse_target

TARGET = parse_target(TINY)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_a_finished_sum_is_rounded_once(name: str) -> None:
    """Between two products, as storage of 16 bits does it: every sum here is exact in float32, and none in the type."""
    kind, element = word_type(name), {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}[name]
    rng = np.random.default_rng(4)
    sizes = ((40, (3, 5)), (40, (5, 4)), (2, (4, 2)))
    x, w, v = (rng.integers(-most, most + 1, shape).astype(kind) for most, shape in sizes)
    made = model(
        [node("MatMul", "x w", "t"), node("MatMul", "t v", "y")], {"x": (3, 5)}, {"w": w, "v": v}, element=element
    )
    program = effc.compile(made, TARGET, time_limit=0.3)
    result = program.execute({"x": x}, keep={"t"})
    sums = x.astype(np.float32) @ w.astype(np.float32)
    t = sums.astype(kind)
    assert (t.astype(np.float32) != sums).any()
    assert np.array_equal(result.tensors["t"], t)
    assert np.array_equal(result.outputs["y"], (t.astype(np.float32) @ v.astype(np.float32)).astype(kind))


def test_tensors_of_64_bits_keep_them() -> None:
    """They pass from the host to the host."""
    values: dict[str, Any] = {"one": np.array(1e-12)}
    made = model([node("Add", "x one", "t"), node("Mul", "t t", "y")], {"x": (3,)}, values, element=TensorProto.DOUBLE)
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.DOUBLE, [3]))
    x = np.array([1.0, 1 / 3, -2.5])
    found = effc.compile(made, TARGET, time_limit=0.3).run({"x": x})["y"]
    assert np.array_equal(found, run_model(made, {"x": x})["y"])
    assert not np.array_equal(found, x * x)


@pytest.mark.parametrize("backend", ["accel", pytest.param("cpu", marks=needs_compiler)])
def test_sums_of_64_bits(backend: Literal["accel", "cpu"]) -> None:
    """A product, its batch normalisation and another product: none of it goes through words of fewer bits."""
    rng = np.random.default_rng(7)
    x, w, v = (rng.standard_normal(shape) for shape in ((4, 6), (6, 3), (3, 5)))
    row = {name: rng.uniform(1, 2, 3) for name in ("b", "scale", "shift", "mean", "variance")}
    nodes = [
        node("Gemm", "x w b", "c"),
        node("BatchNormalization", "c scale shift mean variance", "n"),
        node("MatMul", "n v", "y"),
    ]
    constants: dict[str, Any] = {"w": w, "v": v, **row}
    made = model(nodes, {"x": x.shape}, constants, element=TensorProto.DOUBLE)
    program = effc.compile(made, TARGET, backend=backend, time_limit=0.3)
    assert [op.op for op in program.graph.ops] == ["Gemm", "MatMul"]
    (found,), (expected,) = program.run({"x": x}).values(), run_model(made, {"x": x}).values()
    assert found.dtype == np.float64
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()
    if backend == "accel":
        assert program.verify({"x": x}).ok
