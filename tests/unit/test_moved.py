"""Constants that numpy computes while compiling, against onnxruntime on the same node."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto

from effc.backends.host import run_node
from effc.compiler.frontend.moved import moved
from effc.compiler.frontend.node import Node
from effc.ir.graph import NodeOp, Tensor

Values = list[npt.NDArray[Any]]


def words(*shape: int, dtype: str = "float32") -> npt.NDArray[Any]:
    return (np.arange(np.prod(shape, dtype=int)).reshape(shape) * 3 - 7).astype(dtype)


def ints(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


NAN = np.array([1.0, np.nan, -0.0, np.inf], np.float32)
LARGE = np.array([2**63 - 1, -(2**63), 2**53 + 1, 2**31], np.int64)

CASES: list[tuple[str, Values, dict[str, Any]]] = [
    ("Reshape", [words(2, 6), ints(3, -1)], {}),
    ("Flatten", [words(2, 3, 2)], {"axis": 2}),
    ("Squeeze", [words(1, 3, 1), ints(0, -1)], {}),
    ("Squeeze", [words(1), ints(0)], {}),
    ("Unsqueeze", [words(3), ints(0, 2)], {}),
    ("Identity", [words(3)], {}),
    ("Expand", [words(1, 3), ints(2, 1, 1)], {}),
    ("Transpose", [words(2, 3, 4)], {}),
    ("Transpose", [words(2, 3, 4)], {"perm": [1, 2, 0]}),
    ("Concat", [words(2, 3), words(2, 1)], {"axis": -1}),
    ("Concat", [np.array(["a"], object), np.array(["b"], object)], {"axis": 0}),
    ("Gather", [words(4, 3), np.array(-1, np.int64)], {"axis": 1}),
    ("Gather", [words(4), np.array(2, np.int32)], {}),
    ("Gather", [words(2, 4, 3), np.array([[0, -1], [2, 1]], np.int64)], {"axis": -2}),
    ("Slice", [words(5, 4), ints(1, -3), ints(2**63 - 1, -1)], {}),
    ("Slice", [words(5, 4), ints(-1), ints(-(2**63) + 1), ints(-2), ints(-2)], {}),
    ("Slice", [words(5, 4), ints(4), ints(2), ints(0)], {}),
    ("Range", [np.array(value, np.int64) for value in (9, 0, -2)], {}),
    ("Range", [np.array(value, np.int32) for value in (0, 5, 2)], {}),
    ("Cast", [LARGE], {"to": TensorProto.INT32}),
    ("Cast", [LARGE], {"to": TensorProto.FLOAT}),
    ("Cast", [np.array([True, False])], {"to": TensorProto.INT64}),
    ("Where", [np.array([True, False, True, True]), NAN[[0, 1, 1, 3]], words(1)], {}),  # its -0.0 is 0.0 elsewhere
    ("Add", [LARGE, ints(1)], {}),
    ("Add", [NAN, words(3, 1)], {}),
    ("Sub", [np.array(3, np.int32), np.array(5, np.int32)], {}),
    ("Mul", [LARGE, ints(3)], {}),
    ("Mul", [np.array([1e-30, 3.0], np.float32), np.array([1e-10, 1 / 3], np.float32)], {}),
    ("Equal", [NAN, NAN], {}),
    ("Greater", [NAN, words(2, 1)], {}),
    ("Less", [LARGE, LARGE[::-1].copy()], {}),
]


def computed(op: str, inputs: Values, attributes: dict[str, Any], shape: tuple[int, ...] | None = None) -> Values:
    """What onnxruntime makes of a node, and what numpy makes of it, if it does."""
    names = [f"i{number}" for number in range(len(inputs))]
    proto = onnx.helper.make_node(op, names, ["y"], op, **attributes)
    (expected,) = run_node(NodeOp(op, op, tuple(names), ("y",), proto.SerializeToString(), "", 18), inputs)
    constants = dict(zip(names, inputs))
    tensors = tuple(Tensor(name, value.dtype.name, value.shape) for name, value in constants.items())
    found = moved(Node(proto, op, 18, tensors, (), constants), inputs, shape or expected.shape)
    return [expected] if found is None else [expected, found]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_numpy_computes_what_onnxruntime_does(number: int) -> None:
    expected, found = computed(*CASES[number])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, strict=True)
    assert found.dtype.kind != "f" or np.array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("seed", range(30))
def test_random_slices(seed: int) -> None:
    random = Random(seed)
    starts, ends, steps = (
        [random.choice(values) for _ in range(2)]
        for values in ([-5, -3, 0, 1, 4, 9], [-(2**62), -4, -1, 0, 3, 9, 2**62], [-3, -1, 1, 2])
    )
    expected, found = computed("Slice", [words(5, 6), ints(*starts), ints(*ends), ints(1, 0), ints(*steps)], {})
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Cast", [words(3)], {"to": TensorProto.INT32}),
        ("Add", [words(3, dtype="float16"), words(3, dtype="float16")], {}),
        ("Range", [np.array(value, np.float32) for value in (0, 1, 0.1)], {}),
    ],
)
def test_the_rest_is_left_to_onnxruntime(op: str, inputs: Values, attributes: dict[str, Any]) -> None:
    assert len(computed(op, inputs, attributes)) == 1


def test_what_moves_takes_no_memory() -> None:
    weights = words(2, 3, 4)
    for op, inputs, attributes in [
        ("Transpose", [weights], {}),
        ("Gather", [weights, np.array(1, np.int64)], {"axis": 1}),
        ("Slice", [weights, ints(1), ints(2), ints(1)], {}),
        ("Reshape", [weights, ints(4, 6)], {}),
    ]:
        assert np.shares_memory(computed(op, inputs, attributes)[1], weights)


def test_a_shape_that_does_not_fit_is_left_to_onnxruntime() -> None:
    assert len(computed("Reshape", [words(6), ints(2, 3)], {}, (5,))) == 1
