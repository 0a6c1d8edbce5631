"""The compiled stepper, with epilogues and on integers; test_counts.py has all the rest of it."""

from __future__ import annotations

from dataclasses import replace

import native_stepper
import numpy as np
import pytest
from c_compiler import needs_compiler
from cases import reference
from test_epilogues import as_floats, cases, fused
from test_integers import drawn

from effc.backends.accel.stepper import Finish, Stepper

pytestmark = needs_compiler


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


def test_epilogues() -> None:
    check_epilogues(0, 10)


def test_integers() -> None:
    check_integers(range(6))


@pytest.mark.validate
def test_epilogues_of_many() -> None:
    check_epilogues(1000, 1300)


@pytest.mark.validate
def test_integers_of_many() -> None:
    check_integers(range(1000, 1200))
