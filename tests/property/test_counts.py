"""Stepper, machine and cost model agree to the last word, and in value with the definition, on random cases.

So does the compiled stepper, where C can be compiled.
"""

from random import Random

import native_stepper
import numpy as np
import pytest
from c_compiler import missing
from cases import Case, random_case, reference
from hypothesis import given, settings
from hypothesis import strategies as st

from effc.backends.accel import machine, stepper
from effc.compiler.cost import count

SETTINGS = settings(derandomize=True, deadline=None, database=None)
SEEDS = st.integers(0, 2**32)


def check(case: Case) -> None:
    expected = reference(case)
    predicted = count(case.nest, case.schedule, case.target).counters
    stepped, steps = stepper.run(case.nest, case.schedule, case.target, case.arrays)
    assert np.array_equal(stepped, expected)
    assert steps.difference(predicted) == []
    if not missing:
        stepped, steps = native_stepper.run(case.nest, case.schedule, case.target, case.arrays)
        assert np.array_equal(stepped, expected)
        assert steps.difference(predicted) == []
    executed, counters = machine.run_nest(case.nest, case.schedule, case.target, case.arrays, np.float64)
    assert np.array_equal(executed, expected)
    assert counters.difference(predicted) == []


@settings(SETTINGS, max_examples=300)
@given(SEEDS)
def test_three_ways_to_count(seed: int) -> None:
    check(random_case(Random(seed), macs=400))


@pytest.mark.validate
@settings(SETTINGS, max_examples=4000)
@given(SEEDS)
def test_three_ways_to_count_long(seed: int) -> None:
    check(random_case(Random(seed), macs=1500, instances=16))
