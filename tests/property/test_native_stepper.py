"""The compiled stepper, for whole layers, gives the values and counts of the stepper in random cases."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import native_stepper
import numpy as np
import pytest
from c_compiler import needs_compiler
from cases import random_case, reference
from test_epilogues import as_floats, cases, fused
from test_integers import drawn

from effc.backends.accel import stepper
from effc.backends.accel.stepper import Finish, Stepper
from effc.compiler.cost import count

pytestmark = needs_compiler


def check_sums(seeds: range, macs: int, instances: int) -> None:
    for seed in seeds:
        case = random_case(Random(seed), macs, instances)
        expected, steps = stepper.run(case.nest, case.schedule, case.target, case.arrays)
        found, counters = native_stepper.run(case.nest, case.schedule, case.target, case.arrays)
        assert np.array_equal(found, expected), seed
        assert counters.difference(steps) == [], seed


def check_epilogues(first: int, last: int) -> None:
    for case, random in cases(first, last):
        graph, op = fused(case, random)
        arrays, shape = as_floats(case.arrays), case.nest.output.shape
        finish = Finish(op.epilogue, op.uses["O"], shape, graph.constants)
        _, steps = Stepper(case.nest, case.schedule, case.target, arrays, finish).run()
        found, counters = native_stepper.run(case.nest, case.schedule, case.target, arrays, finish)
        assert np.array_equal(found, reference(case))
        assert counters.difference(steps) == []


def check_integers(seeds: range) -> None:
    for seed in seeds:
        integers = drawn(seed)
        case, (op,) = integers.case, integers.graph.nests
        constants = integers.graph.constants
        finish = Finish(op.epilogue, op.uses["O"], case.nest.output.shape, constants, "int32") if op.epilogue else None
        _, steps = Stepper(case.nest, case.schedule, case.target, integers.centred, finish).run()
        found, counters = native_stepper.run(case.nest, case.schedule, case.target, integers.centred, finish)
        assert np.array_equal(found, reference(replace(case, arrays=integers.centred)))
        assert counters.difference(steps) == []


def test_sums() -> None:
    check_sums(range(20), macs=400, instances=12)


def test_more_sums() -> None:
    """Beside the cost model and the definition, which the stepper has been compared with."""
    for case in (random_case(Random(seed), macs=400) for seed in range(20, 220)):
        found, counters = native_stepper.run(case.nest, case.schedule, case.target, case.arrays)
        assert np.array_equal(found, reference(case))
        assert counters.difference(count(case.nest, case.schedule, case.target).counters) == []


def test_epilogues() -> None:
    check_epilogues(0, 10)


def test_integers() -> None:
    check_integers(range(6))


@pytest.mark.validate
@pytest.mark.parametrize("first", range(1000, 5000, 400))
def test_sums_of_many(first: int) -> None:
    check_sums(range(first, first + 400), macs=1500, instances=16)


@pytest.mark.validate
def test_epilogues_of_many() -> None:
    check_epilogues(1000, 1300)


@pytest.mark.validate
def test_integers_of_many() -> None:
    check_integers(range(1000, 1200))
