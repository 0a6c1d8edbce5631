"""What the simulator runs at once counts and computes the same as what it runs step by step."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from cases import Case, random_case

from effc.backends.accel import batch, engine
from effc.backends.accel.check_layer import check_layer
from effc.backends.accel.emit import emit
from effc.backends.accel.isa import Loop, NestLayer, Program
from effc.backends.accel.limits import Limits
from effc.backends.accel.machine import Machine, graph_of, run_nest
from effc.ir.counters import Counters


def program_of(case: Case) -> tuple[Program, NestLayer]:
    program = emit(graph_of(case.nest, case.schedule, case.arrays), case.target)
    (layer,) = program.layers
    assert isinstance(layer, NestLayer)
    return program, layer


def run(program: Program, case: Case, exact: bool) -> tuple[list[float], Counters]:
    result = Machine(case.target, exact=exact).run(program, {}, case.arrays)
    return result.outputs[case.nest.output.name].reshape(-1).tolist(), result.counters[case.nest.name]


@pytest.mark.parametrize("points", [1, 30, 10**9])
@pytest.mark.parametrize("seed", range(20))
def test_batches_equal_steps(seed: int, points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batch, engine):
        monkeypatch.setattr(module, "POINTS", points)
    case = random_case(Random(seed), macs=300)
    program, _ = program_of(case)
    (fast, counted), (slow, expected) = run(program, case, False), run(program, case, True)
    assert fast == slow
    assert counted.difference(expected) == []


@pytest.mark.parametrize("seed", range(30))
def test_a_loop_that_is_split_counts_the_same(seed: int) -> None:
    case = random_case(Random(seed), macs=200)
    program, layer = program_of(case)
    values, expected = run(program, case, True)
    loops = [instruction.register for instruction in layer.code if isinstance(instruction, Loop)]
    for register in loops:
        trips = next(
            digit.trips
            for dim in batch._dims(layer, case.target).values()
            for digit in dim.digits
            if digit.register == register
        )
        for chunk in {2, trips - 1} & set(range(2, trips)):
            parts = batch.split(layer, register, chunk)
            check_layer(parts, case.target, Limits())
            found, counted = run(replace(program, layers=(parts,)), case, True)
            assert found == values
            assert counted.difference(expected) == []


def test_most_programs_are_batched() -> None:
    cases = [random_case(Random(seed), macs=300) for seed in range(20)]
    starts = [(batch.batched(program_of(case)[1], case.target)[1], program_of(case)[1]) for case in cases]
    with_loops = [(start, layer) for start, layer in starts if any(isinstance(i, Loop) for i in layer.code)]
    depths = [sum(isinstance(i, Loop) for i in layer.code) for _, layer in with_loops]
    assert sum(start < depth for (start, _), depth in zip(with_loops, depths)) > len(depths) // 2


def test_a_large_pass_runs_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(Random(3), macs=300)
    whole, counted = run_nest(case.nest, case.schedule, case.target, case.arrays)
    monkeypatch.setattr(engine, "POINTS", 1)
    parts, again = run_nest(case.nest, case.schedule, case.target, case.arrays, exact=True)
    assert np.array_equal(whole, parts)
    assert counted.difference(again) == []
