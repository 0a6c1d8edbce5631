"""Constraints: what they mean, their text, and the search under them against brute force."""

from __future__ import annotations

import doctest
import re
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from drawn import random_nest, random_target
from oracle import Costs, schedules, space

import effc
from effc.compiler.cli import main
from effc.compiler.search import kernels, search
from effc.compiler.search.constraint_text import parse_constraints, read_constraints
from effc.compiler.search.constraints import DATAFLOWS, Bypass, Rules, Unroll, narrowed, satisfies
from effc.compiler.target.model import Target
from effc.ir import nests
from effc.ir.errors import InputError
from effc.ir.nest import Nest
from effc.ir.schedule import For, Keep, Par, Schedule

EYERISS = effc.load_target("eyeriss_like")
CONV = nests.conv2d(n=2, k=4, c=3, p=6, q=5, r=3, s=3)


def rules_of(text: str) -> Rules:
    return parse_constraints(text).of("nest")


def least(nest: Nest, target: Target, objective: str, rules: Rules, perfect: bool = False) -> Fraction | None:
    """Brute force over the schedules that satisfy the rules."""
    costs, narrow = Costs(nest, target, objective), narrowed(nest, target, rules)
    values = (costs.value(s) for s in schedules(nest, target, perfect) if satisfies(nest, narrow, rules, s))
    return min((value for value in values if value is not None), default=None)


def proven(first: int, last: int, most: int) -> list[bool]:
    """With steps that divide, whether the best schedule in which an operand stays is proven; it is the best then."""
    found = []
    for seed in range(first, last):
        random = Random(seed)
        nest, target = random_nest(random), random_target(random, sliding=False)
        if space(nest, target, perfect=True) > most:
            continue
        rules = rules_of(f"dataflow {random.choice(['weight', 'input', 'output'])}-stationary")
        try:
            optimum = least(nest, target, "energy", rules, perfect=True)
            best = search(nest, target, "energy", perfect_factors=True, constraints=rules)
        except InputError:
            continue
        assert optimum is not None, seed
        assert best.certificate.lower_bound <= optimum <= best.certificate.value, seed
        found.append(best.certificate.status == "optimal")
    return found


@pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")
def test_operands_that_stay_are_proven() -> None:
    found = proven(0, 180, 500)
    assert len(found) >= 20
    assert sum(found) >= 0.85 * len(found)


@pytest.mark.validate
@pytest.mark.parametrize("part", range(10))
def test_many_operands_that_stay(part: int) -> None:
    assert sum(proven(20_000 + 400 * part, 20_400 + 400 * part, 5000)) > 20


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_dataflow_on_a_layer(dataflow: str) -> None:
    free, bound = effc.search(CONV, EYERISS), effc.search(CONV, EYERISS, constraints=dataflow)
    assert bound.energy >= free.energy
    assert bound.certificate.relative_to == f"dataflow {dataflow}"
    assert satisfies(CONV, EYERISS, rules_of(f"dataflow {dataflow}"), bound.schedule)


def test_weights_that_stay_are_filled_once() -> None:
    best = effc.search(CONV, EYERISS, constraints="weight-stationary")
    copies = best.counts.counters.writes["spad", "W"]
    fills = best.schedule
    pars = [loop for _, loop, _ in fills.loops(CONV) if isinstance(loop, Par) and loop.dim in "NPQ"]
    assert copies == 4 * 3 * 3 * 3 if not pars else copies > 4 * 3 * 3 * 3


def test_psums_that_stay_are_drained_once_and_finished() -> None:
    best = effc.search(CONV, EYERISS, constraints="output-stationary")
    words = CONV.output.words
    assert best.counts.counters.reads.get(("DRAM", "O"), 0) == 0
    assert best.counts.counters.writes["GLB", "O"] == best.counts.counters.writes["DRAM", "O"] == words


@pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")
def test_what_is_known_of_axes_is_proven() -> None:
    """Rules of axes and levels alone make another target, whose optimum is the search's own."""
    nest = nests.gemm(m=8, n=8, k=8)
    best = effc.search(nest, EYERISS, perfect_factors=True, constraints="unroll none @ GLB.x\nbypass W @ GLB")
    assert best.certificate.status == "optimal"
    assert best.target == EYERISS
    assert not [i for i in best.schedule.items if isinstance(i, Par) and i.axis == "x"]
    assert [level for _, level in best.schedule.keeps("W")] == ["spad"]


def test_a_partial_schedule() -> None:
    text = "...\npar K by ... @ GLB.x\n...\nkeep O @ GLB\n..."
    best = effc.search(CONV, EYERISS, constraints=text)
    kinds = [(type(item).__name__, getattr(item, "dim", getattr(item, "operand", ""))) for item in best.schedule.items]
    assert kinds.index(("Par", "K")) < kinds.index(("Keep", "O"))


def test_a_whole_schedule_is_costed_not_searched() -> None:
    nest = nests.gemm(m=4, n=4, k=4)
    items = [Keep("I", "GLB"), Keep("O", "GLB"), For("M", 1), For("N", 1), For("K", 1)]
    schedule = Schedule((*items, Keep("I", "spad"), Keep("W", "spad"), Keep("O", "spad")))
    best = effc.search(nest, EYERISS, constraints=effc.print_schedule(schedule))
    assert best.schedule == schedule
    assert best.evaluation == effc.evaluate(nest, EYERISS, schedule)
    assert (best.certificate.space, best.certificate.status) == (1, "optimal")


def test_text_and_back() -> None:
    text = (
        'dataflow row-stationary\nunroll K, "N!" @ GLB.x\nunroll none @ GLB.y\nbypass W @ GLB\n'
        "for K in 0..64 by 16\n...\npar P by ... @ GLB.x\nkeep O @ spad\nfor Q"
    )
    rules = rules_of(text)
    assert "\n".join(map(str, rules)) == text
    assert rules[1:4] == (Unroll(("K", "N!"), "GLB", "x"), Unroll((), "GLB", "y"), Bypass("W", "GLB"))


def test_the_page_about_mapping() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "mapping.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried > 5) == (0, True)
    (sample,) = re.findall(r"```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(parse_constraints(sample).of("conv1")) == 4
    assert all(f"`{name}`" in page.read_text(encoding="utf-8") for name in DATAFLOWS)


def test_rules_for_one_nest() -> None:
    found = parse_constraints("dataflow weight-stationary\nnest a\nbypass W @ GLB  # here only\nnest b/c\n...\n")
    assert [len(found.of(name)) for name in ("a", "b/c", "other")] == [2, 2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataflow no-such", "no dataflow is called 'no-such'"),
        ("keep W at GLB", "not understood after 'keep'"),
        ("  while K", "no statement begins with 'while'"),
        ("par K by 4", "not understood after 'par'"),
    ],
)
def test_what_is_no_constraint(text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_constraints(f"# first\n{text}", "c.txt")
    assert message in str(raised.value)
    assert str(raised.value).startswith("c.txt:2:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unroll K @ GLB.z", "has no axis GLB.z"),
        ("bypass I @ GLB", "I cannot bypass GLB"),
        ("...\nfor X\n...", "has no dim X"),
        ("...\npar K by 1 @ GLB.x\npar C by 1 @ GLB.x\n...\nunroll K @ GLB.x", "was found that satisfies"),
        ("for K", "was found that satisfies"),
    ],
)
def test_constraints_that_nothing_satisfies(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        effc.search(CONV, EYERISS, constraints=text)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "l.json").write_text('[{"name": "a", "M": 8, "K": 8, "N": 8}, {"name": "b", "M": 8, "K": 8, "N": 8}]')
    (tmp_path / "c.txt").write_text("nest a\nunroll none @ GLB.x\nunroll none @ GLB.y\n")
    command = ["map", str(tmp_path / "l.json"), "--target", "eyeriss_like", "--jobs", "1"]
    assert main([*command, "--constrain", str(tmp_path / "c.txt"), "--json", "-"]) == 0
    printed = capsys.readouterr().out
    assert printed.count('"relative_to": "unroll none') == 1
    assert printed.count("par ") > 0
    assert main([*command, "--constrain", "weight-stationry"]) == 2
    assert "weight-stationary" in capsys.readouterr().err
    assert read_constraints("weight-stationary") == "dataflow weight-stationary"
