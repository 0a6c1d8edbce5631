"""Types of floating point: what is rounded when it is written, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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
