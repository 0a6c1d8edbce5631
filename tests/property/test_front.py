"""Fronts over energy and cycles against brute force."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from drawn import Question, random_nest, random_target, that_divide, without_windows
from oracle import schedules, space

import effc
from effc.compiler.cli import main
from effc.compiler.cost import try_schedule
from effc.compiler.search import kernels, search
from effc.compiler.search.cache import Cache
from effc.compiler.search.front import edp_bound
from effc.compiler.search.problem import without_windows as without_sliding
from effc.compiler.search.task import Task
from effc.compiler.target.model import Target
from effc.ir import nests
from effc.ir.errors import InputError
from effc.ir.nest import Nest

EYERISS = effc.load_target("eyeriss_like")

pytestmark = pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")


def costs(nest: Nest, target: Target, perfect: bool = False) -> set[tuple[Fraction, int]]:
    """Energy and cycles of every schedule."""
    found = (try_schedule(nest, schedule, target) for schedule in schedules(nest, target, perfect))
    return {(cost.energy, cost.cycles) for cost in found if not isinstance(cost, list)}


def test_against_brute_force() -> None:
    compared = proven = 0
    for seed in range(180):
        random = Random(seed)
        nest, target = random_nest(random), random_target(random, sliding=True)
        if space(nest, target) > 250:
            continue
        try:
            best = search(nest, target, "pareto")
        except InputError:
            continue
        everything = costs(nest, target)
        for point in best.front:
            energy, cycles = point.evaluation.energy, point.evaluation.cycles
            if point.proven:
                worse = (energy, cycles)
                assert not any(e <= energy and c <= cycles and (e, c) != worse for e, c in everything), seed
            proven += point.proven
        least = min(energy * cycles for energy, cycles in everything)
        assert best.certificate.lower_bound <= least <= best.certificate.value
        compared += 1
    assert compared >= 20
    assert proven >= compared / 2


TRADING = (1219, 1347, 1459, 1555, 1562, 1564, 1588, 1591, 1598)
"""Seeds of plain nests whose fronts have more than one point."""


@pytest.mark.parametrize(("draw", "seeds"), [(that_divide, range(1000, 1060)), (without_windows, TRADING)])
def test_whole_fronts_against_brute_force(draw: Callable[[int], Question], seeds: Iterable[int]) -> None:
    """Where cycles are those of compute every point is found, those above the lines between others, too."""
    whole = points = 0
    for seed in seeds:
        question = draw(seed)
        nest, target, perfect = question.nest, question.target, question.perfect
        if question.rules or target.bandwidths or space(nest, target, perfect) > 300:
            continue
        try:
            best = search(nest, target, "pareto", perfect_factors=perfect)
        except InputError:
            continue
        expected: list[tuple[Fraction, int]] = []
        for energy, cycles in sorted(costs(nest, best_machine(question), perfect), key=lambda cost: cost[::-1]):
            if not expected or energy < expected[-1][0]:
                expected.append((energy, cycles))
        if best.certificate.status == "optimal" and all(point.proven for point in best.front):
            assert [(p.evaluation.energy, p.evaluation.cycles) for p in best.front] == expected, seed
            whole += 1
            points += len(expected)
    assert whole >= len(TRADING)
    assert points > 1.05 * whole


def best_machine(question: Question) -> Target:
    return without_sliding(question.target) if question.perfect else question.target


def test_a_front_has_a_trade_off() -> None:
    nest = nests.conv2d(n=1, k=11, c=13, p=5, q=5, r=1, s=1)
    front = effc.search(nest, EYERISS, "pareto", perfect_factors=True).front
    energies, cycles = [p.evaluation.energy for p in front], [p.evaluation.cycles for p in front]
    assert len(front) > 1
    assert cycles == sorted(set(cycles))
    assert energies == sorted(set(energies), reverse=True)
    assert energies[-1] == effc.search(nest, EYERISS, perfect_factors=True).energy


def test_what_is_known_of_a_front_on_the_way() -> None:
    nest, news = nests.gemm(m=6, n=8, k=8), list[effc.Best]()
    best = search(nest, EYERISS, "pareto", progress=news.append)
    assert len(news) > 1
    values = [known.certificate.value for known in news]
    assert values == sorted(values, reverse=True)
    assert news[-1].front == best.front
    for known in news:
        assert known.target == EYERISS
        assert known.evaluation == effc.evaluate(nest, EYERISS, known.schedule)
        assert known.certificate.lower_bound <= best.certificate.value


def test_a_front_is_kept_on_disk(tmp_path: Path) -> None:
    task = Task(nests.gemm(m=2, n=3, k=2), EYERISS, "pareto")
    best = search(task.nest, EYERISS, "pareto")
    Cache(tmp_path).keep(task, best)
    found = Cache(tmp_path).find(task)
    assert found is not None
    assert (found.front, found.certificate.lower_bound) == (best.front, best.certificate.lower_bound)


def test_least_product_above_lines() -> None:
    """E >= 10 and E + C >= 14 with C >= 2: (12, 2) is better than the corner (10, 4)."""
    assert edp_bound([(Fraction(0), Fraction(10)), (Fraction(1), Fraction(14))], 2) == 24
    assert edp_bound([(Fraction(0), Fraction(10)), (Fraction(1), Fraction(14))], 4) == 40


def test_fronts_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = tmp_path / "l.json"
    layers.write_text(json.dumps([{"name": "a", "M": 2, "K": 2, "N": 3}]))
    words = ["map", str(layers), "--target", "eyeriss_like", "--objective", "pareto", "--jobs", "1"]
    assert main([*words, "--csv", str(tmp_path / "f.csv")]) == 0
    assert "Energy against cycles" in capsys.readouterr().out
    rows = (tmp_path / "f.csv").read_text().splitlines()
    assert rows[0] == "layer,cycles,energy [x],proven,schedule"
    assert main([*words, "--json", "-"]) == 0
    (layer,) = json.loads(capsys.readouterr().out)["layers"]
    assert [str(point["cycles"]) for point in layer["front"]] == [r.split(",")[1] for r in rows if r.startswith("a,")]


DEARER = (2001, 2006, 2011, 2032, 2070, 2074, 2079, 2081, 2087, 2088, 2095, 2101, 2107, 2121)
"""Seeds of nests without windows whose fastest schedules are not all of one energy."""


def test_of_the_fastest_schedules_that_of_least_energy() -> None:
    for seed in DEARER:
        question = that_divide(seed)
        nest, target = question.nest, without_sliding(question.target)
        best = search(nest, target, "latency", perfect_factors=True)
        fastest = [energy for energy, cycles in costs(nest, target, True) if cycles == best.evaluation.cycles]
        assert best.evaluation.energy == min(fastest) < max(fastest), seed


@pytest.mark.parametrize("seed", [3016, 3043, 3185, 3192, 3268, 3376])
def test_of_the_fastest_schedules_of_the_whole_space(seed: int) -> None:
    """Where none whose steps divide is as fast, or takes as little."""
    question = without_windows(seed)
    best = search(question.nest, question.target, "latency")
    fastest = [energy for energy, cycles in costs(question.nest, question.target) if cycles == best.evaluation.cycles]
    assert best.evaluation.energy == min(fastest) < max(fastest)
