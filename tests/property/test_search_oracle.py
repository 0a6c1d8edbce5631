"""The exact search against brute force, on random nests and targets whose whole space is small."""

from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import pytest
from oracle import optimum, space

from effc.compiler.cost import evaluate
from effc.compiler.search import exact, find, search
from effc.compiler.search.encode import Encoder, groups_of
from effc.compiler.search.find import without_windows
from effc.compiler.search.problem import Problem
from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.errors import InputError
from effc.ir.nest import Nest

GEMMS = [(2, 2, 2), (4, 2, 1), (2, 4, 1), (1, 2, 4), (4, 1, 2), (3, 2, 1), (6, 1, 1), (2, 1, 3), (2, 3, 1), (1, 8, 1)]
WINDOWS = [(4, 2), (2, 2), (3, 2), (2, 3), (3, 3), (4, 3), (6, 2), (2, 4), (5, 2), (4, 4), (3, 1)]
CHANNELS = [(1, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (3, 1, 1)]
MULTICAST = ["words", "words", "none", "tiles"]
UNROLL = [None, None, ("K", "P", "C", "Q"), ("K", "R")]


def random_nest(random: Random) -> Nest:
    pick = random.choice
    if random.random() < 0.35:
        return nests.gemm(*pick(GEMMS), bias=False)
    (p, r), (k, c, n) = pick(WINDOWS), pick(CHANNELS)
    pad = pick([0, 0, 0, 1])
    stride, dilation = pick([1, 1, 1, 2, 3]), pick([1, 1, 1, 2])
    return nests.conv1d(n=n, k=k, c=c, p=p, r=r, stride=stride, dilation=dilation, pad=(pad, pick([0, pad])))


def random_fanout(random: Random, name: str) -> FanOut:
    pick = random.choice
    axes = tuple(
        MeshAxis(
            axis, pick([2, 2, 3, 4]), pick(UNROLL), pick(["words", "words", "none", "tiles"]), random.random() < 0.7
        )
        for axis in "xy"[: pick([1, 1, 2])]
    )
    return FanOut(name, axes, Fraction(random.randint(0, 2)))


def random_bank(random: Random, keeps: list[str], may: list[str], words: list[int], scale: int) -> Bank:
    read, write = (Fraction(random.choice([1, 2, 3, 6]) * scale) for _ in range(2))
    return Bank(tuple(keeps), tuple(may), 16 * random.choice(words), read, write)


def random_target(random: Random, sliding: bool) -> Target:
    """Two or three levels with one to three marks in all."""
    pick, size = random.choice, random.choice([2, 2, 2, 3])
    fanout = pick([None, 0, 1, size - 1])
    spots = [(i, operand) for i in range(1, size) for operand in "IWO"]
    random.shuffle(spots)
    spots = spots[: pick([1, 2, 2, 3])]
    levels = []
    for i in range(size):
        mesh = random_fanout(random, f"A{i}") if fanout == i or random.random() < 0.1 else None
        mine = [operand for level, operand in spots if level == i]
        keeps = [operand for operand in mine if random.random() < 0.7]
        may = [operand for operand in mine if operand not in keeps]
        scale = 20 if i == 0 else 4 if i == size - 2 else 1
        if i == 0:
            banks = (replace(random_bank(random, ["I", "W", "O", "B"], [], [1], scale), bits=None),)
        elif random.random() < 0.5:
            banks = (random_bank(random, keeps, may, [3, 4, 6, 8, 12], scale),)
        else:
            banks = tuple(
                random_bank(random, [o] if o in keeps else [], [o] if o in may else [], [1, 2, 3, 4, 6, 8], scale)
                for o in mine
            )
        slides = sliding and i > 0 and random.random() < 0.6
        levels.append(Level(f"L{i}", banks, pick(["free", "stored"]), random.random() < 0.1, slides, mesh))
    return Target("random", 16, Fraction(1), tuple(levels), Mac(Fraction(1)), energy_unit="x")


@dataclass(frozen=True)
class Case:
    nest: Nest
    target: Target
    objective: str
    least: Fraction | None
    schedules: int


def cases(first: int, last: int, perfect: bool, most: int) -> list[Case]:
    """The cases of the seeds given whose space has no more than ``most`` schedules."""
    found = []
    for seed in range(first, last):
        random = Random(seed)
        nest, target = random_nest(random), random_target(random, sliding=not perfect)
        objective = random.choice(["energy", "energy", "energy", "dram"])
        if space(nest, target, perfect) <= most:
            found.append(Case(nest, target, objective, *optimum(nest, target, objective, perfect)))
    return found


PLAIN = [*GEMMS, (5, 2, 1), (7, 1, 1), (5, 1, 2), (3, 3, 1), (1, 10, 1), (1, 11, 1), (11, 1, 1), (10, 1, 2), (1, 2, 6)]


def plain_nest(random: Random) -> Nest:
    """A matrix product, or a convolution of 1 x 1 with a stride, in groups or depthwise: no index is shared."""
    pick = random.choice
    if random.random() < 0.7:
        return nests.gemm(*pick(PLAIN), bias=False)
    groups = pick([1, 1, 2, 3])
    k, c = pick([(1, 1), (2, 1), (1, 2)]) if groups == 1 else (groups, groups)
    return nests.conv2d(
        n=pick([1, 1, 2]), k=k, c=c, p=pick([1, 2, 3, 5]), q=1, r=1, s=1, stride=pick([1, 2]), groups=groups
    )


def plain_cases(first: int, last: int, most: int) -> list[Case]:
    found = []
    for seed in range(first, last):
        random = Random(seed)
        nest, target = plain_nest(random), random_target(random, sliding=True)
        objective = random.choice(["energy", "energy", "dram", "latency"])
        if space(nest, target) <= most:
            found.append(Case(nest, target, objective, *optimum(nest, target, objective)))
    return found


def check_plain(case: Case) -> None:
    """In the whole space of a nest without windows: the optimum, proven wherever anything is."""
    if case.least is None:
        with pytest.raises(InputError):
            find.search(case.nest, case.target, case.objective)
        return
    best = find.search(case.nest, case.target, case.objective)
    assert best.certificate.value == case.least >= best.certificate.lower_bound
    assert best.certificate.status == "optimal" or not monotone(case)


def monotone(case: Case) -> bool:
    """Whether no cost falls when more moves, which every proof needs."""
    problem = Problem(case.nest, case.target, case.objective)
    groups = groups_of(problem)
    return groups is not None and Encoder(problem, groups).monotone


def check_perfect(case: Case) -> None:
    """With steps that divide: equal where the certificate says so, and the certificate true in any case."""
    if case.least is None:
        with pytest.raises(InputError):
            search(case.nest, case.target, case.objective, perfect_factors=True)
        return
    best = search(case.nest, case.target, case.objective, perfect_factors=True)
    value = evaluate(case.nest, best.schedule, without_windows(case.target)).value(case.objective)
    assert best.certificate.value == value >= case.least >= best.certificate.lower_bound
    assert (best.certificate.status == "optimal") == (value == best.certificate.lower_bound)


def check_bound(case: Case) -> bool:
    """In the whole space: the lower bound holds. Returns whether it is the optimum."""
    if case.least is None:
        return True
    found = exact.relaxed_bound(case.nest, case.target, case.objective, case.least + 1000)
    assert found.lower_bound <= case.least
    return found.lower_bound == case.least


needs_kernel = pytest.mark.skipif(not exact.COMPILED, reason="the kernel was not compiled")


@pytest.mark.parametrize("part", range(4))
def test_steps_that_divide(part: int) -> None:
    drawn = cases(150 * part, 150 * part + 150, True, 1500)
    proven = 0
    for case in drawn:
        check_perfect(case)
        if exact.COMPILED and case.least is not None:
            proven += exact.perfect(case.nest, case.target, case.objective).lower_bound == case.least
    assert len(drawn) >= 95
    assert not exact.COMPILED or proven >= 0.9 * sum(case.least is not None for case in drawn)


@needs_kernel
@pytest.mark.parametrize("part", range(4))
def test_bound_of_the_whole_space(part: int) -> None:
    drawn = cases(80 * part, 80 * part + 80, False, 2500)
    tight = [check_bound(case) for case in drawn]
    assert len(drawn) >= 30
    assert sum(tight) >= 0.85 * len(tight)


@needs_kernel
@pytest.mark.parametrize("part", range(4))
def test_steps_of_any_size(part: int) -> None:
    drawn = plain_cases(100_000 + 60 * part, 100_000 + 60 * part + 60, 1200)
    assert len(drawn) >= 25
    for case in drawn:
        check_plain(case)


@needs_kernel
@pytest.mark.validate
@pytest.mark.parametrize("part", range(50))
def test_many_steps_of_any_size(part: int) -> None:
    for case in plain_cases(200_000 + 200 * part, 200_000 + 200 * part + 200, 10_000):
        check_plain(case)


@pytest.mark.validate
@pytest.mark.parametrize("part", range(50))
def test_many_steps_that_divide(part: int) -> None:
    for case in cases(10_000 + 500 * part, 10_000 + 500 * part + 500, True, 6000):
        check_perfect(case)


@needs_kernel
@pytest.mark.validate
@pytest.mark.parametrize("part", range(50))
def test_many_bounds_of_the_whole_space(part: int) -> None:
    for case in cases(50_000 + 200 * part, 50_000 + 200 * part + 200, False, 10_000):
        check_bound(case)
