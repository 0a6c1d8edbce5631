"""The search against brute force over the whole space, on random nests, targets and objectives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, islice

import pytest
from drawn import (
    Draw,
    Question,
    of_square_images,
    of_square_images_and_others,
    that_divide,
    that_divide_with_bandwidths,
    that_share_tiles,
    with_bandwidths,
    with_constraints,
    with_padding,
    with_windows,
    without_windows,
)
from oracle import Costs, kept_levels, schedules, space

from effc.backends.accel import stepper
from effc.compiler.cost import evaluate, try_schedule
from effc.compiler.cost.energy import energy_by
from effc.compiler.search import Best, search
from effc.compiler.search.climb import divides
from effc.compiler.search.constraints import narrowed, satisfies
from effc.compiler.search.problem import without_windows as without_sliding
from effc.compiler.search.space import size
from effc.compiler.search.windows import windows_of
from effc.ir.errors import InputError
from effc.ir.schedule import Keep, Par, Schedule


@dataclass(frozen=True)
class Compared:
    """A question, the least value by brute force (None: nothing is legal), and the search's answer, if it has one."""

    question: Question
    least: Fraction | None
    schedules: int
    best: Best | None


def least(question: Question) -> tuple[Fraction | None, int]:
    """The least value of a legal schedule, None if there is none, and how many schedules there are."""
    nest, target, rules = question.nest, question.target, question.rules
    costs, best, number = Costs(nest, target, question.objective), None, 0
    narrow = narrowed(nest, target, rules)
    for schedule in schedules(nest, target, question.perfect):
        number += 1
        if rules and not satisfies(nest, narrow, rules, schedule):
            continue
        value = costs.value(schedule)
        if value is not None and (best is None or value < best):
            best = value
    return best, number


def questions(draw: Draw, seed: int, most: int) -> Iterator[Question]:
    """The questions from a seed on whose space has no more than ``most`` schedules."""
    for number in count(seed):
        question = draw(number)
        nest, target, perfect = question.nest, question.target, question.perfect
        if size(nest, target, perfect) <= most and space(nest, target, perfect) <= most:
            yield question


def comparisons(draw: Draw, seed: int, most: int) -> Iterator[Compared]:
    """Both answers to each question whose constraints the target does not refuse."""
    for question in questions(draw, seed, most):
        try:
            value, number = least(question)
        except InputError:
            continue
        yield Compared(question, value, number, answer(question))


def answer(question: Question) -> Best | None:
    """The search's; None if it finds nothing."""
    nest, target, objective = question.nest, question.target, question.objective
    try:
        return search(nest, target, objective, perfect_factors=question.perfect, constraints=question.rules)
    except InputError:
        return None


def check(compared: Compared) -> None:
    """What has to hold, whatever was found: bound <= optimum <= value, and a value that the schedule has."""
    question, best = compared.question, compared.best
    nest, target, rules = question.nest, question.target, question.rules
    if compared.least is None:
        assert best is None, question
        return
    if best is None:  # under constraints a search may find nothing
        assert rules, question
        return
    certificate = best.certificate
    assert certificate.lower_bound <= compared.least <= certificate.value, question
    assert (certificate.status == "optimal") == (certificate.lower_bound == certificate.value), question
    machine = without_sliding(target) if question.perfect else target
    assert evaluate(nest, best.schedule, machine).value(question.objective) == certificate.value, question
    assert not question.perfect or divides(nest, best.schedule), question
    assert satisfies(nest, narrowed(nest, target, rules), rules, best.schedule), question


def features(compared: Compared) -> Iterator[str]:
    """What is in the best schedule, and in the nest."""
    best, nest, target = compared.best, compared.question.nest, compared.question.target
    assert best is not None
    items, levels = best.schedule.items, target.index
    marks = [item for item in items if isinstance(item, Keep)]
    pars = [item for item in items if isinstance(item, Par)]
    if not divides(nest, best.schedule):
        yield "ragged"
    if any(p.level == q.level and p.axis != q.axis for p in pars for q in pars):
        yield "two axes"
    if any((p.level, p.axis) == (q.level, q.axis) and p.dim != q.dim for p in pars for q in pars):
        yield "two dims on an axis"
    if len(marks) < max(sum(map(len, chosen)) for chosen in kept_levels(nest, target)):
        yield "bypass"
    if any(levels[m.level] > levels[n.level] for i, m in enumerate(marks) for n in marks[i:]):
        yield "uneven"
    if evaluate(nest, best.schedule, without_sliding(target)).energy > best.energy:
        yield "sliding"
    sharing = {(target.levels[at].name, axis.name) for at, axis in target.axes() if axis.multicast == "tiles"}
    spread = {par.dim for par in pars if (par.level, par.axis) in sharing}
    if any(len(spread & set(window.names)) > 1 for window in windows_of(nest)):
        yield "identical tiles"
    if any(bound > 1 and all(dim in o.dims for o in nest.operands.values()) for dim, bound in nest.bounds.items()):
        yield "groups"


def survey(draw: Draw, seed: int, number: int, most: int) -> tuple[Counter[str], int]:
    """Checks so many cases; what they have, and how many schedules they have in all."""
    found: Counter[str] = Counter()
    schedules = 0
    for compared in islice(comparisons(draw, seed, most), number):
        check(compared)
        schedules += compared.schedules
        found["legal"] += compared.least is not None
        if compared.best is not None:
            found["optimal"] += compared.best.certificate.status == "optimal"
            found.update(features(compared))
    return found, schedules


@dataclass(frozen=True)
class Class:
    """A class of questions: how many, how large, which share of them is proven at least, and what occurs how often."""

    draw: Draw
    number: int
    most: int
    proven: float
    occurs: dict[str, int]


CLASSES = {
    "without windows": Class(
        without_windows, 200, 1500, 0.9, {"ragged": 8, "bypass": 20, "groups": 20, "two axes": 5, "uneven": 2}
    ),
    "with windows": Class(
        with_windows, 140, 1000, 0.9, {"sliding": 2, "bypass": 10, "groups": 10, "two axes": 2, "uneven": 2}
    ),
    "with padding": Class(with_padding, 60, 1000, 0.9, {"sliding": 2, "bypass": 3, "ragged": 4}),
    "with bandwidths": Class(with_bandwidths, 60, 300, 0.7, {"bypass": 7, "ragged": 1, "sliding": 1}),
    "with constraints": Class(with_constraints, 60, 1000, 0.85, {"bypass": 5, "ragged": 1, "two axes": 1}),
    "steps that divide": Class(that_divide, 40, 1500, 0.9, {"bypass": 6, "uneven": 2, "two axes": 2}),
    "square images": Class(of_square_images, 20, 1500, 0.9, {"bypass": 2}),
    "square images, any steps": Class(of_square_images_and_others, 16, 800, 0.85, {"bypass": 2}),
    "identical tiles": Class(that_share_tiles, 20, 1500, 0.9, {"identical tiles": 3}),
    "bandwidths, steps that divide": Class(that_divide_with_bandwidths, 50, 600, 0.9, {"bypass": 6, "uneven": 1}),
}


@pytest.mark.parametrize("name", CLASSES)
def test_against_brute_force(name: str) -> None:
    """666 cases, 536 of them over the whole space, some 300 schedules each."""
    group = CLASSES[name]
    found, schedules = survey(group.draw, 0, group.number, group.most)
    assert 100 * group.number <= schedules <= 2000 * group.number
    assert found["legal"] >= 0.7 * group.number
    assert found["optimal"] >= group.proven * found["legal"]
    assert not {what: found[what] for what, least in group.occurs.items() if found[what] < least}


@pytest.mark.validate
@pytest.mark.parametrize("part", range(25))
@pytest.mark.parametrize("name", CLASSES)
def test_against_brute_force_at_length(name: str, part: int) -> None:
    """25,000 cases."""
    group = CLASSES[name]
    found, _ = survey(group.draw, 100_000 + 1000 * part, 100, 2 * group.most)
    assert found["optimal"] >= 0.8 * group.proven * found["legal"]


@pytest.mark.validate
@pytest.mark.parametrize("name", ["without windows", "with windows"])
def test_against_brute_force_costed_by_the_stepper(name: str) -> None:
    """50 cases: every schedule is executed word by word, and its words are what it costs."""
    for question in islice(questions(CLASSES[name].draw, 50_000, 250), 25):
        nest, target, best = question.nest, question.target, answer(question)
        values = [stepped(question, schedule) for schedule in schedules(nest, target)]
        least = min((value for value in values if value is not None), default=None)
        check(Compared(question, least, len(values), best))


def stepped(question: Question, schedule: Schedule) -> Fraction | None:
    """What a schedule costs by the counters of its execution; None if it is not legal."""
    nest, target = question.nest, question.target
    if isinstance(try_schedule(nest, schedule, target), list):
        return None
    _, counters = stepper.run(nest, schedule, target)
    energy = sum(energy_by(target, counters, counters.cycles).values(), Fraction(0))
    moved = [*counters.reads.items(), *counters.writes.items()]
    return {
        "energy": energy,
        "latency": Fraction(counters.cycles),
        "edp": energy * counters.cycles,
        "dram": Fraction(sum(words for (level, _), words in moved if level == target.levels[0].name)),
    }[question.objective]
