"""Walks through the whole space: how good what they find is, and that they find the same each time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice

import pytest
from drawn import Draw, Question, with_bandwidths, with_padding, with_windows, without_windows
from oracle import Costs, schedules
from test_search_oracle import questions

from effc.compiler.cost import evaluate
from effc.compiler.search import find, kernels, search
from effc.compiler.search.perfect import first
from effc.compiler.search.problem import without_windows as without_sliding
from effc.compiler.search.proof import Proof
from effc.compiler.search.walk import walked
from effc.compiler.target import load_target
from effc.ir import nests

pytestmark = pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")

LAYER = nests.conv2d(n=1, k=128, c=64, p=28, q=28, r=1, s=1, stride=2)


def begun(question: Question) -> Proof:
    """The schedule that is found at once."""
    nest, target, objective = question.nest, question.target, question.objective
    schedule = first(nest, without_sliding(target), objective)
    assert schedule is not None
    return Proof(schedule, evaluate(nest, schedule, target).value(objective), Fraction(0), 0)


def least(question: Question) -> Fraction:
    """The least value of all schedules."""
    costs = Costs(question.nest, question.target, question.objective)
    values = (costs.value(schedule) for schedule in schedules(question.nest, question.target))
    return min(value for value in values if value is not None)


@pytest.mark.parametrize("draw", [without_windows, with_windows, with_padding, with_bandwidths])
def test_they_find_most_optima_of_small_nests(draw: Draw) -> None:
    missed = far = 0
    for question in islice(questions(draw, 5000, 500), 25):
        best, start = least(question), begun(question)
        found = walked(question.nest, question.target, question.objective, start)
        assert found.schedule is not None
        assert best <= found.value <= start.value, question
        assert evaluate(question.nest, found.schedule, question.target).value(question.objective) == found.value
        missed, far = missed + (found.value > best), far + (start.value > best)
    assert missed <= 2, missed
    assert far > missed, far


@pytest.mark.parametrize("target", ["eyeriss", "eyeriss_isca16", "shidiannao"])
def test_what_is_found_depends_on_the_question_alone(target: str) -> None:
    machine = load_target(target)
    start = begun(Question(0, LAYER, machine, "energy"))
    found = walked(LAYER, machine, "energy", start)
    assert found.value < start.value
    assert walked(LAYER, machine, "energy", start) == found


def test_the_search_returns_what_they_find(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = load_target("eyeriss")
    best = search(LAYER, machine).certificate
    monkeypatch.setattr(find, "walked", lambda nest, target, objective, start, deadline: start)
    before = search(LAYER, machine).certificate
    assert before.lower_bound <= best.value < before.value


def test_nothing_is_below_a_bound() -> None:
    question = Question(0, LAYER, load_target("eyeriss"), "energy")
    start = begun(question)
    with pytest.raises(AssertionError, match="below the bound"):
        walked(LAYER, question.target, "energy", replace(start, lower_bound=start.value))
