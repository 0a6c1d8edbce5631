"""The latency formula beside the machine's clock, which follows every tile of whole networks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import native_stepper
import numpy as np
import pytest
from c_compiler import missing

import effc
from effc.backends.accel import Program, decode_program, encode_program, parse_program, print_program
from effc.backends.accel.layer_clock import timings
from effc.backends.accel.machine import run_nest
from effc.backends.accel.stepper import Finish
from effc.backends.accel.timing import Timing
from effc.compiler.cost import evaluate_op
from effc.compiler.inputs import random_inputs
from effc.compiler.target import bundled_targets
from effc.ir.counters import Counters
from effc.ir.graph import Graph, NestOp

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models"))  # a folder of scripts, not a package

from build import MODELS, build  # noqa: E402

QUICK = [("digits", target) for target in ("eyeriss", "tpu_v1", "vta")]
OTHERS = sorted({*bundled_targets()} - {"eyeriss"})
LONG = [
    *(("digits", target) for target in ("gemmini", "nvdla_full", "simba_chiplet", "shidiannao", "eyeriss_like")),
    *(("squeezenet", target) for target in OTHERS if "_like" not in target),
]
BOTH_MODES = [*((name, "eyeriss") for name in MODELS), *product(("resnet18", "mobilenetv2"), OTHERS)]


@pytest.mark.parametrize(
    ("name", "target"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.validate) for case in LONG)]
)
def test_latency_is_that_of_the_clock(name: str, target: str) -> None:
    compiled = effc.compile(build(name, weights=False), target)
    assert compiled.program is not None
    check_latency(compiled, timings(compiled.program, compiled.target))
    if not missing:
        costs = {op.name: evaluate_op(op, compiled.graph, compiled.target) for op in compiled.graph.nests}
        check_stepper(compiled, {layer: cost.counters for layer, cost in costs.items()})


def check_latency(compiled: effc.CompiledProgram, clock: Mapping[str, Timing]) -> None:
    """Within 2 % of the total, and within 5 % of every layer on the array; more only where steps of a ragged loop are
    bound by a port and others by the array: the formula takes the longest of both in all.
    """
    predicted, followed = 0, 0
    for op in compiled.graph.nests:
        timing = clock[op.name]
        cost = evaluate_op(op, compiled.graph, compiled.target)
        assert cost.cycles == pytest.approx(timing.cycles, rel=0.05) or is_uneven(op, cost.cycles, timing.cycles), (
            op.name
        )
        assert timing.compute == cost.counters.cycles
        assert timing.ports == pytest.approx({port: float(busy) for port, busy in cost.latency.ports.items() if busy})
        predicted, followed = predicted + cost.cycles, followed + timing.cycles
    assert predicted == pytest.approx(followed, rel=0.02)


def is_uneven(op: NestOp, predicted: int, followed: int) -> bool:
    assert op.schedule is not None
    return predicted < followed < predicted * 1.1 and any(n % loop.step for _, loop, n in op.schedule.loops(op.nest))


@pytest.mark.validate
@pytest.mark.parametrize(("name", "target"), BOTH_MODES)
def test_both_modes(name: str, target: str) -> None:
    """Products on the array; in both modes onnxruntime's values and the cost model's counters, which are those of the
    stepper; cycles as predicted.
    """
    model = build(name)
    compiled = effc.compile(model, target, time_limit=60)
    products = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in model.graph.node)
    assert len(compiled.graph.nests) == sum(layer.where == "accel" for layer in compiled.report.layers) == products
    assert compiled.verify().ok
    inputs = random_inputs(compiled.graph, 0)
    plain, timed = (compiled.execute(inputs, cycles=cycles) for cycles in (False, True))
    assert all(np.array_equal(value, timed.outputs[output]) for output, value in plain.outputs.items())
    assert plain.counters.keys() == timed.counters.keys()
    assert not any(counters.difference(timed.counters[layer]) for layer, counters in plain.counters.items())
    check_latency(compiled, timed.timings)
    assert compiled.program is not None
    check_forms(compiled.program)
    if missing:
        pytest.skip(f"the stepper was left out: {missing}")
    check_stepper(compiled, plain.counters)


def check_stepper(compiled: effc.CompiledProgram, counters: Mapping[str, Counters]) -> None:
    """The stepper counts the same in every layer, word by word, and computes what the machine computes from small
    integers, whose sums are exact.
    """
    generator = np.random.default_rng(0)
    for op in compiled.graph.nests:
        nest, schedule, target = op.nest, op.schedule, compiled.target
        assert schedule is not None
        shapes = {name: operand.shape for name, operand in nest.operands.items() if operand is not nest.output}
        arrays = {name: generator.integers(-4, 5, shape).astype(np.float32) for name, shape in shapes.items()}
        sums, steps = native_stepper.run(nest, schedule, target, arrays, finish_of(op, compiled.graph))
        assert steps.difference(counters[op.name]) == [], op.name
        assert np.array_equal(sums, run_nest(nest, schedule, target, arrays)[0]), op.name


def finish_of(op: NestOp, graph: Graph) -> Finish | None:
    """The epilogue of a nest; of the tensors that it reads beside the sums the shapes matter alone."""
    view = op.uses[op.nest.output.name]
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    names = {name for step in op.epilogue for name in step.inputs if name}
    others = {name: np.empty(shapes[name], np.bool_) for name in names}
    return Finish(op.epilogue, view, shapes[view.tensor], others) if op.epilogue else None


def check_forms(program: Program) -> None:
    """The text and the binary form hold all of it; a layer takes a few KB in either."""
    text, binary = print_program(program), encode_program(program)
    assert print_program(parse_program(text)) == print_program(decode_program(binary)) == text
    for layer in program.layers:
        alone = replace(program, layers=(layer,), slots=(), inputs=(), outputs=())
        assert len(encode_program(alone)) < 4096 and len(print_program(alone)) < 8192


def test_the_report_says_what_the_clock_says() -> None:
    """On `tpu_v1` the digits network spends its time on filling and emptying the machine."""
    compiled = effc.compile(build("digits", weights=False), "tpu_v1")
    assert compiled.program is not None
    clock = timings(compiled.program, compiled.target)
    assert {name: compiled.report.layer(name).bound_by for name in clock} == {n: t.bound_by for n, t in clock.items()}
    assert "ramp-up" in {timing.bound_by for timing in clock.values()}
