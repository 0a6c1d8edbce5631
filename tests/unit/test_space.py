"""The size of the space against a count of its schedules."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby

import pytest
from oracle import schedules, space

import effc
from effc.compiler.search.space import factors, size, steps
from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.schedule import For, Keep, Schedule

ONE = Fraction(1)


def machine(keeps: str, may: str, axes: int) -> Target:
    """A DRAM, with an array below it, and one memory."""
    outer = Bank(("I", "W", "O"), (), None, ONE, ONE)
    inner = Bank(tuple(keeps), tuple(may), 160, ONE, ONE)
    mesh = FanOut("A", tuple(MeshAxis(name, 4) for name in "xy"[:axes])) if axes else None
    return Target("small", 16, ONE, (Level("L0", (outer,), fanout=mesh), Level("L1", (inner,))), Mac(ONE))


@pytest.mark.parametrize("bound", range(1, 10))
@pytest.mark.parametrize("perfect", [False, True])
@pytest.mark.parametrize("target", [machine("I", "", 0), machine("IO", "W", 0), machine("W", "O", 1)])
def test_one_dim(bound: int, perfect: bool, target: Target) -> None:
    """There is but one order of loops in each slot."""
    nest = nests.gemm(1, bound, 1)
    assert size(nest, target, perfect) == space(nest, target, perfect)


def sorted_slots(schedule: Schedule) -> tuple[object, ...]:
    """The schedule with the loops of each slot in one order."""
    runs = groupby(schedule.items, lambda item: isinstance(item, For))
    return tuple(frozenset(run) if loops else tuple(run) for loops, run in runs)


@pytest.mark.parametrize("target", [machine("I", "", 0), machine("", "IO", 0), machine("IWO", "", 0)])
@pytest.mark.parametrize("sizes", [(3, 2, 1), (2, 2, 2), (4, 3, 1)])
def test_several_dims(target: Target, sizes: tuple[int, int, int]) -> None:
    nest = nests.gemm(*sizes)
    found = {sorted_slots(schedule) for schedule in schedules(nest, target)}
    assert size(nest, target) == len(found)
    assert any(isinstance(item, Keep) for schedule in schedules(nest, target) for item in schedule.items)


def test_chains() -> None:
    assert [steps(4, n) for n in (1, 2, 3)] == [1, 4, 10]  # 4, 3>1, 2>1, ...
    assert [factors(12, n) for n in (1, 2, 3)] == [1, 6, 18]
    assert factors(1, 5) == steps(1, 5) == 1
    assert factors(97 * 97 * 2, 2) == 6


def test_the_space_of_a_layer_of_resnet() -> None:
    """More than anyone can look at."""
    nest, target = nests.conv2d(n=1, k=64, c=64, p=56, q=56, r=3, s=3), effc.load_target("eyeriss_like")
    assert 10**18 < size(nest, target, perfect_factors=True) < 10**30 < size(nest, target)
    best = effc.search(nests.gemm(m=4, n=4, k=4), target, perfect_factors=True)
    assert best.certificate.space == size(nests.gemm(m=4, n=4, k=4), target, perfect_factors=True)
