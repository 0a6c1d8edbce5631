"""The search: legal, deterministic, and honest about its bound."""

from dataclasses import replace
from random import Random

import pytest
from cases import random_case

from effc.compiler.cost import OBJECTIVES, evaluate
from effc.compiler.errors import KernelWarning
from effc.compiler.search import kernels, search
from effc.compiler.search.bounds import lower_bound
from effc.compiler.search.constraint_text import parse_constraints
from effc.compiler.search.tally import RULES
from effc.compiler.search.task import Task
from effc.compiler.search.workers import solve
from effc.compiler.target import load_target
from effc.ir import nests
from effc.ir.errors import InputError
from effc.ir.nest import Nest

CONV = nests.conv2d(n=1, k=6, c=4, p=7, q=5, r=3, s=3, stride=2, pad=1, bias=True)
DEPTHWISE = nests.conv2d(n=1, k=8, c=8, p=6, q=6, r=3, s=3, pad=1, groups=8)
WHOLE = parse_constraints(
    "keep I @ GLB\nkeep O @ GLB\nfor M\nfor N\nfor K\nkeep I @ spad\nkeep W @ spad\nkeep O @ spad"
).of("nest")
GEMM = nests.gemm(m=1, n=30, k=17)


@pytest.mark.parametrize(
    ("nest", "name", "objective"),
    [
        (CONV, "eyeriss", "energy"),
        (CONV, "eyeriss_like", "latency"),
        (DEPTHWISE, "eyeriss", "edp"),
        (GEMM, "eyeriss", "dram"),
        (GEMM, "eyeriss_like", "energy"),
        (nests.gemm(m=4, n=6, k=8), "eyeriss", "energy"),
    ],
)
def test_result_is_legal_and_its_certificate_true(nest: Nest, name: str, objective: str) -> None:
    target = load_target(name)
    best = search(nest, target, objective)
    again = evaluate(nest, best.schedule, target)
    assert again.value(objective) == best.certificate.value
    assert best.certificate.lower_bound <= best.certificate.value
    assert (best.certificate.status == "optimal") == (best.certificate.gap == 0)


def test_two_searches_agree() -> None:
    target = load_target("eyeriss")
    assert search(CONV, target).schedule == search(CONV, target).schedule


@pytest.mark.skipif(not kernels.COMPILED, reason="the kernel was not compiled")
def test_without_the_compiled_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same schedule with the same certificate, after a warning."""
    pytest.importorskip("pycparser")
    nest, target = nests.gemm(m=6, n=10, k=4), load_target("eyeriss_like")
    known = search(nest, target)
    monkeypatch.setattr(kernels, "COMPILED", False)
    kernels.translated.cache_clear()
    with pytest.warns(KernelWarning, match="was not compiled"):
        found = search(nest, target)
    assert found.schedule == known.schedule
    assert replace(found.certificate, search_s=0.0) == replace(known.certificate, search_s=0.0)


@pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")
def test_what_rules_discard_is_counted() -> None:
    nest, target = nests.gemm(m=24, n=30, k=17), load_target("eyeriss_like")
    best = search(nest, target)
    counted = best.certificate.discarded
    assert set(counted) == set(RULES)
    assert all(counted[rule] for rule in ("capacity", "bound", "dominance"))
    assert search(nest, target).certificate.discarded == counted
    assert sum(search(nest, target, perfect_factors=True).certificate.discarded.values()) < sum(counted.values())
    assert search(nest, target, constraints=WHOLE).certificate.discarded == {}


def test_bound_holds_for_random_schedules() -> None:
    for seed in range(150):
        case = random_case(Random(seed))
        found = evaluate(case.nest, case.schedule, case.target)
        for objective in OBJECTIVES:
            assert lower_bound(case.nest, case.target, objective) <= found.value(objective), (seed, objective)


def test_unknown_objective() -> None:
    with pytest.raises(InputError, match="unknown objective 'speed'"):
        search(GEMM, load_target("eyeriss"), "speed")


@pytest.mark.skipif(not kernels.COMPILED, reason="the kernel was not compiled")
def test_a_kernel_of_other_sources_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.current()
    monkeypatch.setattr(kernels, "DIGEST", "other")
    kernels.current.cache_clear()
    gemm, target = nests.gemm(m=2, n=2, k=2), load_target("eyeriss_like")
    with pytest.raises(InputError, match="built from other sources"):
        search(gemm, target)
    with pytest.raises(InputError, match="built from other sources"):
        solve(Task(gemm, target), None)  # not an answer that says that the nest has no schedule
    kernels.current.cache_clear()
