"""For each rule that discards schedules a case in which its precondition fails: there the rule would miss the optimum.

A rule is written as what it leaves of the space. In each case brute force finds less in the whole space than in what
the rule leaves, and the search finds as little as brute force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from c_compiler import needs_compiler
from drawn import (
    Question,
    random_target,
    that_divide,
    that_divide_with_bandwidths,
    with_padding,
    without_windows,
)
from kernels import compiled
from oracle import Costs, kept_levels, schedules

from effc.compiler.cost.factors import EVENTS, Use, valid
from effc.compiler.search import kernels, search
from effc.compiler.search.climb import divides
from effc.compiler.search.encode import Encoder, groups_of
from effc.compiler.search.perfect import perfect
from effc.compiler.search.problem import Problem
from effc.compiler.search.problem import without_windows as without_sliding
from effc.compiler.search.proof import MOST, solved
from effc.compiler.search.space import size
from effc.compiler.target import load_target
from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.schedule import For, Keep, Par, Schedule, trips

Rule = Callable[[Question, Schedule], bool]


def in_the_order_of_levels(question: Question, schedule: Schedule) -> bool:
    """The marks of an outer level stand outside those of inner levels."""
    levels = [question.target.index[item.level] for item in schedule.items if isinstance(item, Keep)]
    return levels == sorted(levels)


def needed_loops_outside(question: Question, schedule: Schedule) -> bool:
    """No loop stands directly inside the mark of an operand that needs it: outside, as many words, a smaller tile."""
    return not any(
        isinstance(mark, Keep) and isinstance(loop, For) and loop.dim in question.nest.operands[mark.operand].dims
        for mark, loop in pairwise(schedule.items)
    )


def steps_that_divide(question: Question, schedule: Schedule) -> bool:
    return divides(question.nest, schedule)


def smallest_tiles(question: Question, schedule: Schedule) -> bool:
    """Of the tiles that make the same number of trips, the smallest."""
    return all(
        trips(extent, loop.step - 1) > trips(extent, loop.step)
        for _, loop, extent in schedule.loops(question.nest)
        if loop.step > 1
    )


def no_bypass(question: Question, schedule: Schedule) -> bool:
    """Every operand is kept wherever it may be."""
    marks = sum(isinstance(item, Keep) for item in schedule.items)
    return marks == max(sum(map(len, chosen)) for chosen in kept_levels(question.nest, question.target))


def one_dim_on_an_axis(question: Question, schedule: Schedule) -> bool:
    axes = [(item.level, item.axis) for item in schedule.items if isinstance(item, Par)]
    return len(axes) == len(set(axes))


def one_axis(question: Question, schedule: Schedule) -> bool:
    """A dim is unrolled on one axis of a fan-out."""
    spots = [(item.dim, item.level) for item in schedule.items if isinstance(item, Par)]
    return len(spots) == len(set(spots))


def first_outside(question: Question, schedule: Schedule) -> bool:
    """A dim that a mark needs has no loop inside it without one outside it."""
    outside: set[str] = set()
    needed: set[str] = set()
    for item in schedule.items:
        if isinstance(item, Keep):
            needed |= question.nest.operands[item.operand].dims - outside
        elif isinstance(item, For):
            if item.dim in needed:
                return False
            outside.add(item.dim)
    return True


def behind_pars() -> Question:
    """Instances have every second row of a filter, and run through them inside a loop that it does not need."""

    def bank(keeps: tuple[str, ...], bits: int | None, read: int, write: int) -> Bank:
        return Bank(keeps, (), bits, Fraction(read), Fraction(write))

    axes = (MeshAxis("x", 2, None, "words", False), MeshAxis("y", 2, None, "tiles", True))
    levels = (
        Level("L0", (bank(("I", "W", "O"), None, 60, 40),)),
        Level("L1", (bank(("W",), 128, 2, 6),), fanout=FanOut("A1", axes)),
    )
    nest = nests.conv1d(n=1, k=1, c=1, p=3, r=3, stride=2, pad=(1, 3))
    return Question(0, nest, Target("behind", 16, Fraction(1), levels, Mac(Fraction(1)), energy_unit="x"), "energy")


def values(question: Question, rule: Rule) -> tuple[Fraction | None, Fraction | None]:
    """The least value of all schedules, and of those that the rule leaves; None if there is none."""
    costs = Costs(question.nest, question.target, question.objective)
    found = [(costs.value(s), rule(question, s)) for s in schedules(question.nest, question.target, question.perfect)]
    return (
        min((value for value, _ in found if value is not None), default=None),
        min((value for value, left in found if value is not None and left), default=None),
    )


@pytest.mark.parametrize(
    ("rule", "question"),
    [
        (in_the_order_of_levels, that_divide(973)),
        (needed_loops_outside, that_divide(1751)),
        (needed_loops_outside, that_divide_with_bandwidths(350)),  # phases
        (first_outside, behind_pars()),
        (steps_that_divide, without_windows(1132)),
        (no_bypass, that_divide(599)),
        (one_dim_on_an_axis, that_divide(837)),
        (one_axis, that_divide(1041)),
    ],
)
def test_a_rule_whose_precondition_fails(rule: Rule, question: Question) -> None:
    least, left = values(question, rule)
    assert left is None or left > least
    best = search(question.nest, question.target, question.objective, perfect_factors=question.perfect)
    assert best.certificate.value == least
    assert best.certificate.status == "optimal"


@pytest.mark.validate
@pytest.mark.parametrize("rule", [smallest_tiles])
def test_a_rule_about_steps_whose_precondition_fails(rule: Rule) -> None:
    question = of_one_dim(529)
    least, left = values(question, rule)
    assert left is not None
    assert left > least == search(question.nest, question.target, question.objective).certificate.value


def of_one_dim(seed: int) -> Question:
    """A matrix product with one large dim."""
    random = Random(seed)
    large = [(1, 10, 1), (1, 11, 1), (11, 1, 1), (10, 1, 1), (1, 1, 10), (1, 1, 11), (1, 9, 1), (1, 1, 9), (1, 7, 1)]
    nest = nests.gemm(*random.choice([*large, (1, 10, 2), (2, 10, 1), (2, 1, 10), (10, 2, 1)]))
    target = random_target(random, sliding=False)
    return Question(seed, nest, target, random.choice(["energy", "dram"]))


def test_an_event_covers_what_axes_outside_do_not_tell_apart() -> None:
    """A chain goes on where too few events seem to be left, if instances of an axis placed later share each of them."""
    question = with_padding(180)
    best = search(question.nest, question.target, question.objective)
    least, _ = values(question, lambda *_: True)
    assert least is not None
    assert best.certificate.lower_bound <= least <= best.certificate.value


@pytest.mark.parametrize(
    ("bound", "steps", "tiles"),
    [
        (10, (5, 2), 6),  # the smallest tile that makes two trips
        (10, (6, 2), 5),
        (11, (8, 4), 3),  # a multiple of the inner tile
        (11, (7, 4), 3),  # as many in less room
        (10, (5, 3, 2), 6),  # 4 of 3; in tiles of 3 alone, 4 of 3 and 7 of 2
        (10, (3, 2), 7),
        (14, (6, 2), 7),  # of three steps of three each only the first ones have all
    ],
)
def test_tiles_of_any_size(bound: int, steps: tuple[int, ...], tiles: int) -> None:
    """Smallest tiles, multiples, merged loops: none of these rules holds for steps of any size."""
    assert valid(bound, tuple((step, Use.TIME) for step in steps), EVENTS) == tiles


def exact_value(question: Question) -> Fraction:
    """What the kernel finds if it is not told that its rules do not hold."""
    problem = Problem(question.nest, question.target, question.objective)
    groups = groups_of(problem)
    assert groups is not None
    return solved(problem, Encoder(problem, groups), MOST).value


def scattered() -> Question:
    """Dilated windows: instances that hold every second row share more words than those that hold neighbours."""
    free = Fraction(0)
    outside = Level("L0", (Bank(("I", "W", "O"), (), None, free, free),))
    banks = tuple(Bank((operand,), (), 16 * words, free, free) for operand, words in (("I", 3), ("W", 2), ("O", 4)))
    inside = Level("L1", banks, fanout=FanOut("PE", (MeshAxis("x", 2, ("P",)),)))
    target = Target("scattered", 16, Fraction(1), (outside, inside), Mac(free), energy_unit="x")
    return Question(0, nests.conv1d(n=1, k=1, c=1, p=4, r=2, dilation=2), target, "dram", perfect=True)


def with_bias(seed: int) -> Question:
    """A bias that has to be kept on chip takes room that others need further out."""
    random = Random(seed)
    nest = nests.gemm(*random.choice([(2, 2, 1), (4, 2, 1), (2, 4, 1), (2, 3, 2), (1, 4, 2)]), bias=True)
    target = random_target(random, sliding=False)
    levels = list(target.levels)
    position = random.randrange(1, len(levels))
    first, *others = levels[position].banks or (Bank((), (), 64, Fraction(2), Fraction(2)),)
    banks = (replace(first, keeps=(*first.keeps, "B")), *others)
    levels[position] = replace(levels[position], banks=banks)
    return Question(seed, nest, replace(target, levels=tuple(levels)), "energy", perfect=True)


@pytest.mark.parametrize("question", [scattered(), that_divide(712), with_bias(131)])
def test_what_the_kernel_does_not_count_is_not_claimed(question: Question) -> None:
    """Scattered tiles of windows, identical tiles shared, room for a bias: then the optimum is only bounded."""
    least, _ = values(question, steps_that_divide)
    assert exact_value(question) > least
    best = search(question.nest, question.target, question.objective, perfect_factors=True)
    assert best.certificate.lower_bound <= least <= best.certificate.value
    assert best.certificate.status == "bounded" or best.certificate.value == least


@needs_compiler
def test_rows_left_out_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles down to single rows change neither what is found nor what is proven."""
    questions = [that_divide(seed) for seed in range(60)]
    conv = nests.conv2d(n=1, k=24, c=12, p=12, q=12, r=3, s=3, bias=True)
    questions += [Question(0, conv, load_target(name), "energy") for name in ("eyeriss_like", "gemmini")]
    targets = [without_sliding(question.target) for question in questions]

    def proofs() -> list[tuple[Schedule | None, Fraction, Fraction]]:
        found = [perfect(q.nest, target, q.objective) for q, target in zip(questions, targets)]
        return [(proof.schedule, proof.value, proof.lower_bound) for proof in found]

    known = proofs()
    monkeypatch.setattr(kernels, "solve", compiled(tmp_path, BUNDLED="1"))
    assert proofs() == known


@pytest.mark.parametrize("perfect", [True, False])
def test_a_bias_anywhere(perfect: bool) -> None:
    """Where its room matters, the marks of a bias need not stand outside all others."""
    compared = inside = 0
    for question in map(with_bias, range(100, 140)):
        if size(question.nest, question.target, perfect) > 600:
            continue
        least, _ = values(question, steps_that_divide if perfect else lambda *_: True)
        if least is None:
            continue
        best = search(question.nest, question.target, question.objective, perfect_factors=perfect)
        assert (best.certificate.value, best.certificate.status) == (least, "optimal"), question.seed
        compared, inside = compared + 1, inside + (exact_value(question) > least)
    assert compared > 5
    assert inside > 1
