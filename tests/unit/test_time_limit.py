"""Searches under a time limit: in time, never without a good schedule, and honest about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib import import_module

import pytest
from time_limit import NESTS

from effc.compiler.search import Best, kernels, perfect, proof, search, whole
from effc.compiler.search.constraint_text import parse_constraints
from effc.compiler.search.constraints import Rules
from effc.compiler.target import load_target
from effc.ir import nests

OPTIMA = {"3x3": 692990208, "7x7": 796892160, "1x1": 475394048, "product": 8815902720}
"""Least energies on `eyeriss_like` with steps that divide."""


@pytest.mark.parametrize("target", ["eyeriss_like", "eyeriss"])
@pytest.mark.parametrize("objective", ["energy", "latency", "edp"])
@pytest.mark.parametrize("name", NESTS)
def test_out_of_time_nothing_more_is_begun(
    name: str, objective: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: what is done when there is no time at all is what a search may take beyond its limit."""
    done = Counter[str]()

    def counted(what: str, function: Callable[..., object]) -> Callable[..., object]:
        return lambda *given: (done.update([what]), function(*given))[1]

    evaluation = import_module("effc.compiler.cost.evaluate")
    monkeypatch.setattr(evaluation, "count", counted("schedules", evaluation.count))
    for room in (proof, perfect, whole):
        monkeypatch.setattr(room, "kernel", counted("kernel", kernels.kernel))
    best = search(NESTS[name], load_target(target), objective, time_limit=1e-9)
    assert best.certificate.expanded == 0
    assert done["kernel"] <= 5
    assert done["schedules"] <= 8
    assert best.certificate.lower_bound <= best.certificate.value


@pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")
@pytest.mark.parametrize("name", NESTS)
def test_a_good_schedule_comes_first(name: str) -> None:
    best = search(NESTS[name], load_target("eyeriss_like"), time_limit=0.05)
    assert best.certificate.value <= 1.25 * OPTIMA[name]
    assert best.certificate.lower_bound <= OPTIMA[name]


@pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")
@pytest.mark.parametrize("rules", [(), parse_constraints("dataflow weight-stationary").of("nest")])
def test_news_on_the_way(rules: Rules) -> None:
    """A good schedule is known before the exact search begins; each of them is a schedule of the question asked."""
    nest, target, news = nests.gemm(m=64, n=96, k=48), load_target("eyeriss_like"), list[Best]()
    best = search(nest, target, "energy", constraints=rules, progress=news.append)
    assert news
    assert news[0].certificate.value <= 1.3 * best.certificate.value
    for known in news:
        assert (known.target, known.certificate.relative_to) == (target, best.certificate.relative_to)
        assert known.certificate.lower_bound <= best.certificate.value <= known.certificate.value


@pytest.mark.validate
def test_more_time_is_no_worse_on_average() -> None:
    totals = [
        sum(search(nest, load_target("eyeriss"), time_limit=limit).certificate.value for nest in NESTS.values())
        for limit in (0.1, 0.5, 2.5)
    ]
    assert totals == sorted(totals, reverse=True)
