"""Rules of the boxes of the whole space, each where its precondition fails: held against brute force.

The search starts from the worst schedule there is, so that nothing but these rules keeps it from the best one. Each
case was chosen as one that fails if the kernel no longer asks for what it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import pytest
from c_compiler import needs_compiler
from drawn import (
    Question,
    limited,
    padded_nest,
    plain_nest,
    random_nest,
    random_target,
    window_nest,
    with_padding,
    with_windows,
    without_windows,
)
from kernels import compiled
from oracle import Costs, schedules

from effc.compiler.search import kernels, search, whole
from effc.compiler.search.proof import Proof
from effc.compiler.target import load_target
from effc.compiler.target.model import Bank, FanOut, Level, Link, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.schedule import Schedule

pytestmark = pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")


def with_ports(seed: int) -> Question:
    """Ports and networks of limited bandwidth, so that cycles are bounded."""
    random = Random(seed)
    target = limited(random, random_target(random, sliding=True))
    nest = random.choice([padded_nest, random_nest, window_nest, plain_nest])(random)
    return Question(seed, nest, target, random.choice(["energy", "latency"]))


def with_shares(seed: int) -> Question:
    """A window whose words instances share, over a network of limited bandwidth."""
    random = Random(seed)
    pick = random.choice
    (p, r), k, stride = (
        pick([(4, 2), (6, 2), (4, 3), (6, 3), (5, 2), (8, 2), (3, 2), (2, 2)]),
        pick([1, 1, 2]),
        pick([1, 1, 2]),
    )

    def rate() -> Fraction | None:
        return pick([Fraction(2), Fraction(4), Fraction(8), None])

    def bank(keeps: tuple[str, ...], words: int | None) -> Bank:
        read, write = Fraction(pick([1, 2, 6])), Fraction(pick([1, 2, 6]))
        bits = None if words is None else 16 * words
        return Bank(keeps, (), bits, read, write, read_bandwidth=rate(), write_bandwidth=rate())

    axes = tuple(
        MeshAxis(name, pick([2, 2, 3, 4]), None, pick(["words", "words", "none"])) for name in "xy"[: pick([1, 1, 2])]
    )
    mesh, outer = FanOut("A", axes, Fraction(pick([0, 1])), (Link(("I",), rate(), None),)), pick([True, False])
    inside = tuple(bank((operand,), pick([2, 3, 4, 6])) for operand in pick(["I", "IO", "IW", "O"]))
    levels = (
        Level("L0", (bank(("I", "W", "O"), None),), fanout=mesh if outer else None),
        Level("L1", inside, sliding=pick([True, False]), fanout=None if outer else mesh),
    )
    target = Target(
        "shares", 16, Fraction(1), levels, Mac(Fraction(1)), leakage=Fraction(pick([0, 1, 20])), energy_unit="x"
    )
    return Question(seed, nests.conv1d(n=1, k=k, c=1, p=p, r=r, stride=stride), target, pick(["latency", "energy"]))


@cache
def extremes(draw: Callable[[int], Question], seed: int) -> tuple[Fraction, Fraction, Schedule]:
    """The least value of all schedules, the greatest, and a schedule that has it: by brute force."""
    question = draw(seed)
    costs = Costs(question.nest, question.target, question.objective)
    least: Fraction | None = None
    worst: tuple[Fraction, Schedule] | None = None
    for schedule in schedules(question.nest, question.target):
        value = costs.value(schedule)
        if value is None:
            continue
        least = value if least is None else min(least, value)
        worst = (value, schedule) if worst is None or value > worst[0] else worst
    assert least is not None
    assert worst is not None
    return least, *worst


def proof_of(question: Question, value: Fraction, schedule: Schedule) -> Proof:
    """What the boxes prove if this is all that is known."""
    return whole.ragged(question.nest, question.target, question.objective, Proof(schedule, value, Fraction(0), 0))


@pytest.mark.parametrize(
    ("draw", "seed"),
    [
        pytest.param(
            with_ports, 1218, id="trips of one axis, where all axes have fewer digits than the product of theirs"
        ),
        pytest.param(without_windows, 104, id="tiles cover events times the trips that these do not tell apart"),
        pytest.param(with_ports, 55, id="tiles and events that differ in axes differ by their trips"),
        pytest.param(with_windows, 2, id="events of a window are as many only where axes have no trips"),
        pytest.param(with_ports, 7, id="the last of an axis' steps is not full, and trips outside share what is left"),
        pytest.param(with_windows, 229, id="of the tiles that loops outside make not all are full"),
        pytest.param(with_ports, 276, id="tiles without trips: of one more than the loops one is full"),
        pytest.param(
            with_windows, 1397, id="loops beside another of their slot, inner slots behind pars, chains by segments"
        ),
        pytest.param(with_windows, 346, id="chains elsewhere stand for others with no fewer trips only"),
        pytest.param(with_padding, 363, id="a box needs one chain only if none of its counts is above the least"),
        pytest.param(with_windows, 259, id="a box is left out only if some count of that chain is below"),
        pytest.param(with_padding, 182, id="words outside are none of the words of a window"),
        pytest.param(with_padding, 117, id="neighbours share words outside; tiles at the border on an axis"),
        pytest.param(with_padding, 56, id="tiles of which none has nothing outside"),
        pytest.param(with_padding, 29, id="pieces of tiles that are not of neighbours"),
        pytest.param(with_windows, 174, id="all but one of the inner indices have a word less"),
        pytest.param(with_windows, 355, id="windows that do not sweep"),
        pytest.param(with_ports, 23, id="the first tile of an instance may be padding"),
        pytest.param(without_windows, 62, id="events that others tell apart further; what two have in common"),
        pytest.param(
            without_windows, 157, id="what two counts of events leave open; trips on axes that are not theirs"
        ),
        pytest.param(with_shares, 293, id="the busiest of the instances that share a window has a part of it"),
        pytest.param(with_shares, 496, id="as many instances share a window as there may be in the box"),
    ],
)
def test_a_rule_of_boxes_whose_precondition_fails(draw: Callable[[int], Question], seed: int) -> None:
    least, worst, schedule = extremes(draw, seed)
    proof = proof_of(draw(seed), worst, schedule)
    assert (proof.lower_bound, proof.value) == (least, least)


def test_a_limit_that_is_a_whole_number_may_be_computed_as_a_little_less() -> None:
    """The best tile of the ifmap has all of the 256 words that the other two leave; 254 / 158 x 158 is below 254."""
    nest, target = nests.gemm(m=1, n=4096, k=25088), load_target("eyeriss_isca16")
    best = search(nest, target)
    assert (best.certificate.status, best.energy) == ("optimal", 21381639680)


def test_height_and_width_are_alike_only_if_the_mesh_allows_the_same_of_them() -> None:
    """Where height alone may be unrolled, the best schedule is the mirror image of that where width alone may be."""
    nest, machine = nests.conv2d(n=1, k=2, c=2, p=6, q=6, r=2, s=2), load_target("eyeriss_like")
    found = []
    for dims in ("K", "P", "R"), ("K", "Q", "S"):
        levels = []
        for level in machine.levels:
            mesh = level.fanout
            axes = () if mesh is None else tuple(replace(axis, unroll=dims) for axis in mesh.axes)
            levels.append(level if mesh is None else replace(level, fanout=replace(mesh, axes=axes)))
        found.append(search(nest, replace(machine, levels=tuple(levels))).certificate)
    assert [each.status for each in found] == ["optimal", "optimal"]
    assert found[0].value == found[1].value


@pytest.fixture(scope="module")
def best_first(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The kernel without rounds, so that boxes bounded by geometric programs, the least bound first, do all."""
    return compiled(tmp_path_factory.mktemp("kernel"), ROUNDS="0.0")


@needs_compiler
@pytest.mark.parametrize(
    ("draw", "seed"),
    [
        pytest.param(with_ports, 98, id="weights of the sums of cycles add up to one"),
        pytest.param(with_ports, 23, id="psums that return; one of several loads that stop the work"),
        pytest.param(with_ports, 47, id="what a port waits for beside its own work"),
        pytest.param(with_ports, 55, id="planes of events and tiles that differ in axes"),
        pytest.param(with_ports, 49, id="planes of events that hold without trips only"),
        pytest.param(with_ports, 314, id="words outside as a part of a window's"),
        pytest.param(with_ports, 29, id="residues of a tile"),
        pytest.param(with_ports, 285, id="a tile of a window as a sum"),
        pytest.param(with_shares, 293, id="the busiest of instances that share a window"),
        pytest.param(with_ports, 295, id="the halves of a box cover it"),
        pytest.param(with_ports, 397, id="the other half of a box that is halved to the end"),
        pytest.param(with_ports, 167, id="the box of the least bound comes first"),
    ],
)
def test_geometric_bounds_whose_precondition_fails(
    draw: Callable[[int], Question], seed: int, best_first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all of the budget the best schedule is proven; out of budget the bound is true."""
    monkeypatch.setattr(kernels, "solve", best_first)
    question, (least, worst, schedule) = draw(seed), extremes(draw, seed)
    proof = proof_of(question, worst, schedule)
    assert (proof.lower_bound, proof.value) == (least, least)
    for budget in range(10, 200, 30):
        monkeypatch.setattr(whole, "BOUNDED", budget)
        monkeypatch.setattr(whole, "SLID", budget)
        proof = proof_of(question, worst, schedule)
        assert proof.lower_bound <= least <= proof.value
