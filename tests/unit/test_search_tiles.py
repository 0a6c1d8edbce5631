"""Identical tiles of windows that instances share: where it matters among which loops pars stand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from oracle import optimum, schedules

from effc.compiler.cost import try_schedule
from effc.compiler.search import kernels, search
from effc.compiler.search.problem import Problem
from effc.compiler.search.tiles import shared_tiles, sharing_fanout
from effc.compiler.target import load_target
from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.schedule import Keep, Par, Schedule

pytestmark = pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")


def machine(mesh: tuple[int, int], words: dict[str, int], multicast: tuple[str, str] = ("tiles", "tiles")) -> Target:
    """A scratchpad for each of the operands given, in each of the instances below the outermost level."""
    axes = tuple(MeshAxis(name, size, None, how) for name, size, how in zip("xy", mesh, multicast))
    levels = (
        Level("DRAM", (Bank(("I", "W", "O"), (), None, Fraction(120), Fraction(40)),), fanout=FanOut("PE", axes)),
        Level("spad", tuple(Bank((o,), (), 16 * n, Fraction(2), Fraction(3)) for o, n in words.items())),
    )
    return Target("tiles", 16, Fraction(1), levels, Mac(Fraction(1)), energy_unit="x")


def contiguous_tiles(nest: Nest, target: Target) -> Fraction:
    """The least energy of schedules whose pars stand directly outside the mark of the ifmap, or else innermost."""

    def beside_the_mark(schedule: Schedule) -> bool:
        pars = [i for i, item in enumerate(schedule.items) if isinstance(item, Par)]
        marks = [i for i, item in enumerate(schedule.items) if isinstance(item, Keep) and item.operand == "I"]
        return not pars or pars[-1] + 1 == (marks[0] if marks else len(schedule.items))

    found = (try_schedule(nest, s, target) for s in schedules(nest, target, True) if beside_the_mark(s))
    return min(cost.energy for cost in found if not isinstance(cost, list))


INSIDE = nests.conv1d(n=1, k=1, c=1, p=6, r=2, pad=1), machine((3, 2), {"I": 3})
"""Of a tile, instances have every third word: neighbours would want fewer words, but share fewer tiles."""

CUT = nests.conv1d(n=1, k=1, c=1, p=6, r=3, stride=2, pad=2), machine((4, 3), {"I": 3, "O": 2})
"""Padding leaves the same words of tiles that stand apart."""


@pytest.mark.parametrize(("nest", "target"), [INSIDE, CUT])
def test_against_brute_force(nest: Nest, target: Target) -> None:
    best = search(nest, target, perfect_factors=True)
    assert (best.energy, best.certificate.status) == (optimum(nest, target, "energy", perfect=True)[0], "optimal")


def test_tiles_that_are_not_of_neighbours_may_be_best() -> None:
    nest, target = INSIDE
    assert search(nest, target, perfect_factors=True).energy < contiguous_tiles(nest, target)


def test_a_front_of_shared_tiles_is_whole() -> None:
    nest, target = INSIDE
    best = search(nest, target, "pareto", perfect_factors=True)
    assert best.certificate.status == "optimal"
    assert all(point.proven for point in best.front)


def test_a_layer_of_a_network() -> None:
    nest, target = nests.conv2d(n=1, k=1, c=1, p=14, q=14, r=3, s=3, pad=1), load_target("eyeriss_like_tiles")
    best = search(nest, target, perfect_factors=True)
    words = search(nest, load_target("eyeriss_like"), perfect_factors=True)
    assert (best.certificate.status, words.certificate.status) == ("optimal", "optimal")
    assert best.energy > words.energy


@pytest.mark.parametrize(
    ("target", "level"),
    [
        (machine((2, 3), {"I": 2}), 0),
        (machine((2, 3), {"I": 2}, ("tiles", "words")), None),  # two kinds of axes
        (machine((2, 3), {"I": 2}, ("words", "words")), None),
        (machine((2, 1), {"I": 2}, ("tiles", "words")), 0),  # of one instance
    ],
)
def test_where_tiles_are_counted(target: Target, level: int | None) -> None:
    problem = Problem(nests.conv1d(n=1, k=1, c=1, p=4, r=2), target, "energy")
    assert sharing_fanout(problem) == level
    assert shared_tiles(problem) == (
        target.levels[0].fanout is not None and "tiles" in str(target.levels[0].fanout.axes)
    )


def test_nothing_is_counted_where_two_fan_outs_spread_windows() -> None:
    first = machine((2, 1), {"I": 2})
    second = replace(first.levels[1], fanout=FanOut("lanes", (MeshAxis("x", 2),)))
    target = replace(first, levels=(first.levels[0], second))
    problem = Problem(nests.conv1d(n=1, k=1, c=1, p=4, r=2), target, "energy")
    assert shared_tiles(problem)
    assert sharing_fanout(problem) is None
