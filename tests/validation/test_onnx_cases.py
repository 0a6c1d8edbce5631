"""ONNX's own test cases, some 1900 models of one operator or a few: each lowers, and runs as onnxruntime runs it.

Each twice: as it is, and with its inputs as constants, so that all is computed while compiling that can be.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from effc import ir
from effc.backends.host import NoValue, run_model
from effc.backends.reference import reference_run
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import check, lower
from effc.ir.bodies import every_constant

RANDOM = ("bernoulli", "training_dropout", "random")
"""Cases whose results differ from run to run."""

GROUPS = 16
"""Cases share a test, since there are so many."""


@cache
def cases() -> list[Any]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases(None) if not any(word in case.name for word in RANDOM)]


def values_of(model: onnx.ModelProto, arrays: list[Any]) -> dict[str, Any]:
    """The inputs of a case by name."""
    values = [numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else a for a in arrays]
    return dict(zip((value.name for value in model.graph.input), values))


def with_constants(model: onnx.ModelProto, inputs: dict[str, Any]) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model with its tensors as initializers, and the inputs that remain."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {name: value for name, value in inputs.items() if isinstance(value, (np.ndarray, np.generic))}
    copy.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in known.items())
    rest = [value for value in model.graph.input if value.name not in known]
    del copy.graph.input[:]
    copy.graph.input.extend(rest)
    copy.ir_version = max(copy.ir_version, 4)
    return copy, {name: value for name, value in inputs.items() if name not in known}


def outcome(run: Any, model: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any] | None:
    """The outputs, or None where they cannot be computed."""
    try:
        values = run(model, inputs)
    except InputError:
        return None
    return [values[output.name] for output in model.graph.output]


def lowered(model: onnx.ModelProto, inputs: dict[str, Any]) -> dict[str, Any]:
    graph = lower(model)
    ir.verify_graph(graph)
    text = ir.print_graph(graph)
    assert ir.print_graph(ir.parse_graph(text, every_constant(graph))) == text
    return reference_run(graph, inputs)


def equal(actual: Any, expected: Any) -> bool:
    if expected is None or isinstance(actual, NoValue):
        return expected is None and isinstance(actual, NoValue)
    if isinstance(expected, list):
        return len(actual) == len(expected) and all(map(equal, actual, expected))
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.dtype.kind in "OSU":
        return actual.tolist() == expected.tolist()
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    numbers = [a if a.dtype.kind in "iubc" else a.astype(np.float64) for a in (actual, expected)]
    return bool(np.allclose(*numbers, rtol=1e-3, atol=1e-5, equal_nan=True))


@pytest.mark.validate
@pytest.mark.parametrize("constant", [False, True], ids=["inputs", "constants"])
@pytest.mark.parametrize("group", range(GROUPS))
def test_cases(group: int, constant: bool) -> None:
    different = []
    for case in cases()[group::GROUPS]:
        for arrays, outputs in case.data_sets or []:
            model, inputs = case.model, values_of(case.model, arrays)
            if constant:
                model, inputs = with_constants(model, inputs)
            check(model)
            actual = outcome(lowered, model, inputs)
            expected = [numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else a for a in outputs]
            if actual is None or not equal(actual, expected):
                theirs = outcome(run_model, model, inputs)
                if (actual is None) != (theirs is None) or (theirs is not None and not equal(actual, theirs)):
                    different.append(case.name)
    assert different == []
