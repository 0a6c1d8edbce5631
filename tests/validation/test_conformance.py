"""ONNX's conformance suite, as published, with effc as the backend: `make conformance`.

Every test that the installed onnxruntime passes is passed on both targets, and all multiply-accumulate work is executed
by the machine. What is exempt is listed here by name, with the reason.
"""

from __future__ import annotations

import importlib
import re
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

from effc.ir.graph import NodeOp
from effc.onnx_backend import EffcBackend, EffcRep

TARGETS = ("eyeriss", "gemmini")
SEARCH_S = 0.1
"""Seconds of search per model: these nests are tiny."""

GROUPS = 16
"""Cases share a test, since there are so many."""

EXCEPTIONS: dict[str, str] = {
    "test_ai_onnx_ml_tree_ensemble_single_tree": "float64: a threshold that no float32 of the machine's memory meets",
    **dict.fromkeys(
        ("test_attention_4d_causal_fp16", "test_attention_4d_causal_fp16_expanded"),
        "float16: two of 192 values are one unit in the last place away",
    ),
}
"""Tests that onnxruntime passes and effc need not; at most 1 % of them."""

ON_HOST: dict[str, str] = {
    r"qlinearmatmul|qlinearconv|matmulinteger|convinteger": "integer products: nests compute in floating point",
    r"double|einsum_(inner_prod|batch_matmul)": "float64: nests compute in float32",
    r"deform_conv": "every tap of a deformable convolution is an interpolation at a place that depends on the data",
    r"affine_grid": "a product whose shape depends on the data",
}
"""Tests, by a pattern of their names, in which multiply-accumulate work may run on the host."""

# fmt: off
MACS = frozenset([
    "Attention", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum", "GRU", "Gemm", "LSTM", "MatMul",
    "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN",
])
# fmt: on
"""Operators that multiply and accumulate."""

QUICK = ["attention", "conv", "convtranspose", "einsum", "gemm", "gru", "lstm", "matmul", "rnn", "scan", "maxpool"]
"""Modules of cases for the quick test."""


class CheckedRep(EffcRep):
    """A model that also checks where its multiply-accumulates ran."""

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        values = self._named(inputs)
        ops = [op for op in self.program(values).graph.ops if isinstance(op, NodeOp) and multiplies(op)]
        assert not ops or exempt(self.model.graph.name), f"on the host: {ops[0].name}: {ops[0].reason}"
        return super().run(inputs, **kwargs)


def multiplies(op: NodeOp) -> bool:
    """Whether an op multiplies and accumulates: an Einsum of one operand only adds."""
    return op.op in MACS and not (op.op == "Einsum" and len(op.inputs) == 1)


def exempt(name: str) -> bool:
    return any(re.search(pattern, name) for pattern in ON_HOST)


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
    known = {name.removesuffix("_cpu") for name in names()}
    assert set(EXCEPTIONS) <= known
    assert len(EXCEPTIONS) + sum(map(exempt, known)) <= 0.01 * len(known)


@cache
def quick_cases() -> list[Any]:
    from onnx.backend.test.case import node

    for module in QUICK:
        importlib.import_module(f"{node.__name__}.{module}")
    wanted = tuple(f"test_{module}" for module in (*QUICK, "basic_conv", "simple_rnn"))
    cases = [case for case in node._NodeTestCases if case.name.startswith(wanted) and "expanded" not in case.name]
    return [case for case in cases if case.name not in EXCEPTIONS]


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
