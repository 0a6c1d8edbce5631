"""Stepper and cost model count the same words, and the stepper computes the right values, on random cases."""

from random import Random

import numpy as np
import pytest
from cases import Case, random_case, reference
from hypothesis import given, settings
from hypothesis import strategies as st

from effc.backends.accel import stepper
from effc.compiler.cost import count

SETTINGS = settings(derandomize=True, deadline=None, database=None)
SEEDS = st.integers(0, 2**32)


def check(case: Case) -> None:
    output, counters = stepper.run(case.nest, case.schedule, case.target, case.arrays)
    assert np.array_equal(output, reference(case))
    assert counters.difference(count(case.nest, case.schedule, case.target).counters) == []


@settings(SETTINGS, max_examples=300)
@given(SEEDS)
def test_stepper_equals_cost_model(seed: int) -> None:
    check(random_case(Random(seed), macs=400))


@pytest.mark.validate
@settings(SETTINGS, max_examples=4000)
@given(SEEDS)
def test_stepper_equals_cost_model_long(seed: int) -> None:
    check(random_case(Random(seed), macs=1500, instances=16))
