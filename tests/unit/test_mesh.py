"""The fewest iterations: what sharing out the instances allows, against every schedule there is."""

from __future__ import annotations

from itertools import islice

import pytest
from drawn import that_divide, without_windows
from oracle import schedules, space

from effc.compiler.cost import try_schedule
from effc.compiler.search.mesh import fewest_iterations
from effc.compiler.search.problem import Problem, Unroll
from effc.ir import nests


def axis(size: int, *dims: str) -> Unroll:
    return Unroll(0, "x", size, frozenset(dims), "words")


@pytest.mark.parametrize(
    ("axes", "divide", "fewest"),
    [
        ([axis(2, "M"), axis(3, "M")], False, 8),  # 7 of M on 6 instances: twice
        ([axis(2, "M"), axis(3, "M")], True, 28),
        ([axis(4, "M", "N")], False, 7),
        ([axis(4, "K"), axis(4, "N")], True, 7),
        ([], False, 28),
        ([axis(100_000, "M", "N")], False, 1),  # too many ways: as if all were busy
    ],
)
def test_how_instances_are_shared_out(axes: list[Unroll], divide: bool, fewest: int) -> None:
    assert fewest_iterations(nests.matmul(7, 4, 1), axes, divide) == fewest


def test_no_schedule_has_fewer() -> None:
    equal = number = 0
    for draw in (that_divide, without_windows):
        questions = (draw(seed) for seed in range(400))
        for question in islice((q for q in questions if space(q.nest, q.target, q.perfect) < 300), 20):
            nest, target = question.nest, question.target
            costs = [try_schedule(nest, schedule, target) for schedule in schedules(nest, target, question.perfect)]
            cycles = [cost.counters.cycles for cost in costs if not isinstance(cost, list)]
            fewest = fewest_iterations(nest, Problem(nest, target, "latency").unrolls, question.perfect)
            if cycles:
                assert fewest <= min(cycles)
                equal, number = equal + (fewest == min(cycles)), number + 1
    assert number >= 20
    assert equal >= 0.7 * number
