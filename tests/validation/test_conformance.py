"""ONNX's conformance suite, as published, with effc as the backend: `make conformance`.

Every test that the installed onnxruntime passes is passed on both targets, and all multiply-accumulate work is executed
by the machine. What is exempt is listed here by name, with the reason.
"""

from __future__ import annotations

import importlib
import unittest
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test.runner import Runner, _normalize_tensor

from effc.ir.bodies import every_op
from effc.ir.graph import NodeOp
from effc.onnx_backend import EffcBackend, EffcRep

TARGETS = ("eyeriss", "gemmini")
SEARCH_S = 0.1
"""Seconds of search per model: these nests are tiny."""

GROUPS = 16
"""Cases share a test, since there are so many."""

EXCEPTIONS: dict[str, str] = {
    "test_attention_4d_causal_fp16_expanded": "float16: two of 192 values are one unit in the last place away",
}
"""Tests that onnxruntime passes and effc need not; at most 1 % of them."""

ON_HOST: dict[str, str] = {
    **dict.fromkeys(
        (
            "test_affine_grid_2d_align_corners_expanded",
            "test_affine_grid_2d_expanded",
            "test_affine_grid_3d_align_corners_expanded",
            "test_affine_grid_3d_expanded",
        ),
        "a product whose shape depends on the data",
    ),
}
"""Tests that are passed, but not by the machine alone: multiply-accumulate work of theirs runs on the host."""

# fmt: off
MACS = frozenset([
    "Attention", "Conv", "ConvInteger", "ConvTranspose", "DFT", "DeformConv", "Einsum", "GRU", "Gemm", "LSTM", "MatMul",
    "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN", "STFT",
])
# fmt: on
"""Operators that multiply and accumulate."""

# fmt: off
QUICK = [
    "attention", "conv", "convinteger", "convtranspose", "einsum", "gemm", "gru", "lstm", "matmul", "matmulinteger",
    "maxpool", "qlinearconv", "qlinearmatmul", "rnn", "scan",
]
# fmt: on
"""Modules of cases for the quick test."""


class CheckedRep(EffcRep):
    """A model that also checks where its multiply-accumulates ran."""

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        values = self._named(inputs)
        found = (op for op, _ in every_op(self.program(values).graph))
        ops = [op for op in found if isinstance(op, NodeOp) and multiplies(op)]
        assert not ops or self.model.graph.name in ON_HOST, f"on the host: {ops[0].name}: {ops[0].reason}"
        return super().run(inputs, **kwargs)


def multiplies(op: NodeOp) -> bool:
    """Whether an op multiplies and accumulates: an Einsum of one operand only adds."""
    return op.op in MACS and not (op.op == "Einsum" and len(op.inputs) == 1)


@cache
def backend(on: str) -> type[EffcBackend]:
    """effc for a target."""

    class Checked(EffcBackend):
        target = on

        @classmethod
        def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> EffcRep:
            rep = super().prepare(model, device, **kwargs)
            return CheckedRep(rep.model, rep.target, time_limit=SEARCH_S, **kwargs)

    return Checked


class OrtRep(BackendRep):
    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, inputs: Any, **kwargs: Any) -> Any:
        return self.session.run(None, dict(zip((value.name for value in self.session.get_inputs()), inputs)))


class Ort(Backend):
    """onnxruntime by itself, which decides what counts."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> OrtRep:
        return OrtRep(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


@cache
def suite(of: type[Backend]) -> type[unittest.TestCase]:
    """The whole suite for a backend, as one class of tests; those that would download a model are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = Runner(of, __name__)
        for category in [category for category in runner._test_items if category.startswith("Real")]:
            del runner._test_items[category]
        tests: type[unittest.TestCase] = runner.tests
        return tests


def error(tests: type[unittest.TestCase], name: str) -> str:
    """How a test fails; empty if it does not."""
    case: Callable[[], None] = getattr(tests(name), name)
    try:
        with np.errstate(all="ignore"):
            case()
    except unittest.SkipTest:
        return ""
    except Exception as failure:
        return f"{type(failure).__name__}: {' '.join(str(failure).split())[:200]}"
    return ""


def names() -> list[str]:
    return [name for name in dir(suite(Ort)) if name.startswith("test_") and name.endswith("_cpu")]


@pytest.mark.validate
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("group", range(GROUPS))
def test_suite(group: int, target: str) -> None:
    tests, theirs = suite(backend(target)), suite(Ort)
    failures = {name: error(tests, name) for name in names()[group::GROUPS]}
    failed = {name: text for name, text in failures.items() if text and name.removesuffix("_cpu") not in EXCEPTIONS}
    assert {name: text for name, text in failed.items() if not error(theirs, name)} == {}


@pytest.mark.validate
def test_the_exceptions_are_few() -> None:
    """At most 1 % of the tests that onnxruntime passes."""
    exceptions = {f"{name}_cpu" for name in (*EXCEPTIONS, *ON_HOST)}
    assert exceptions <= set(names())
    passed = [name for name in names() if not error(suite(Ort), name)]
    assert not exceptions - set(passed)
    assert len(exceptions) <= 0.01 * len(passed)


@cache
def quick_cases() -> list[Any]:
    from onnx.backend.test.case import node

    for module in QUICK:
        importlib.import_module(f"{node.__name__}.{module}")
    wanted = tuple(f"test_{module}" for module in (*QUICK, "basic_conv", "simple_rnn"))
    left_out = ("expanded", "fp16")  # onnxruntime itself misses some results in float16
    cases = [case for case in node._NodeTestCases if case.name.startswith(wanted)]
    return [case for case in cases if not any(word in case.name for word in left_out)]


@pytest.mark.parametrize("part", range(4))
def test_quickly(part: int) -> None:
    """The operators that multiply and accumulate, and some others, in a few seconds."""
    cases = quick_cases()[part::8]
    assert len(cases) > 15
    for case in cases:
        rep = backend(TARGETS[part % 2]).prepare(case.model)
        for inputs, outputs in case.data_sets:
            expected = [_normalize_tensor(value) for value in outputs]
            found = rep.run([_normalize_tensor(value) for value in inputs])
            Runner.assert_similar_outputs(expected, found, case.rtol, case.atol, case.name)
