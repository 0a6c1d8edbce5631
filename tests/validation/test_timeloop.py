"""Timeloop's own counts, to the last word; and the fast counter against one that looks at every word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_brute import Brute
from replay_documents import random_document

from effc.backends.accel import stepper
from effc.compiler.cli import main
from effc.compiler.errors import InputError
from effc.compiler.replay import (
    CONVENTIONS,
    Case,
    TimeloopCounts,
    Words,
    load_cases,
    parse_cases,
    replay,
    timeloop_counts,
    to_json,
)
from effc.compiler.target import FanOut, MeshAxis, load_target
from effc.ir import nests, parse_schedule
from effc.ir.nest import Nest
from effc.ir.schedule import Keep, Par, Schedule

GOLDEN = Path(__file__).parent / "timeloop_golden.json"
TIMELOOP = {case["id"]: case["timeloop"] for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]}
SETTINGS = settings(derandomize=True, deadline=None, database=None)
SEEDS = st.integers(0, 2**32)

ERRORS = {"H04_toy_slide_Q_spad": 7680, "H24_toys_stride2_glb_tiles": 5040}
"""Timeloop's known errors, and the words of inputs that really move from the GLB to the spads."""


def corrected(name: str) -> Any:
    """What Timeloop reports, its known errors mended."""
    expected = deepcopy(TIMELOOP[name])
    if name in ERRORS:
        levels = expected["levels"]
        expected["energy"] += (ERRORS[name] - levels["GLB"]["Inputs"]["reads"]) * (1 + 6)
        levels["GLB"]["Inputs"]["reads"] = levels["IfmapSpad"]["Inputs"]["fills"] = ERRORS[name]
    return expected


def counted(steps: str, convention: str = "timeloop") -> dict[str, Any]:
    cases = load_cases(GOLDEN)
    found = to_json(cases, [replay(case, convention, steps) for case in cases])["cases"]
    assert all(case.pop("steps", "") in ("all", "first", "") for case in found.values())
    return found


@pytest.mark.parametrize("name", TIMELOOP)
def test_golden(name: str, auto: Mapping[str, Any]) -> None:
    assert auto[name] == corrected(name)


@pytest.fixture(scope="module")
def auto() -> Mapping[str, Any]:
    return counted("auto")


def test_the_steps_that_timeloop_looks_at_give_its_errors_too() -> None:
    assert counted("first") == TIMELOOP


def test_timeloop_agrees_with_all_steps_where_it_was_checked() -> None:
    found = counted("all")
    assert {name for name in TIMELOOP if found[name] != corrected(name)} == {
        "R17_resnet50_b1_c3_3x3s2",
        "R19_resnet50_b1_c3_3x3s2",
        "B_alexnet_b1_CONV5",
        "B_alexnet_b4_CONV2",
    }


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(GOLDEN), "--convention", "timeloop", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)["cases"]
    assert list(found) == list(TIMELOOP)
    assert found["H13_toy_spatial_KC"] == {**corrected("H13_toy_spatial_KC"), "steps": "all"}
    assert main(["replay", str(GOLDEN)]) == 0
    out = capsys.readouterr().out
    assert "H13_toy_spatial_KC" in out and "PsumSpad" in out


def test_the_command_refuses_steps_that_effc_does_not_choose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(GOLDEN), "--steps", "all"]) == 2
    assert "--convention timeloop" in capsys.readouterr().err


# The fast counter and brute force


def check(document: dict[str, Any], steps: str) -> None:
    (case,) = parse_cases(json.dumps(document))
    assert words_of(case, steps) == Brute(document["arch"], document["cases"][0], steps).run()


def words_of(case: Case, steps: str) -> dict[tuple[str, str], dict[str, int]]:
    found = to_json([case], [replay(case, "timeloop", steps)])["cases"][case.name]
    return {(level, tensor): words for level, tensors in found["levels"].items() for tensor, words in tensors.items()}


@settings(SETTINGS, max_examples=200)
@given(SEEDS, st.sampled_from(["all", "first"]))
def test_brute_force(seed: int, steps: str) -> None:
    check(random_document(Random(seed), macs=150), steps)


def with_another_array(random: Random, case: Case, brute: Brute) -> Case:
    """Turn the innermost loops in time of a level into pars of a second array, below that level."""
    level = random.choice([level for level in brute.levels if level != brute.array])
    chosen = [i for i, loop in enumerate(brute.loops) if loop[3] == level][-random.randint(1, 2) :]
    items = list(case.schedule.items)
    positions = [i for i, item in enumerate(items) if not isinstance(item, Keep)]
    for i in chosen:
        dim, factor, step, _, _ = brute.loops[i]
        brute.loops[i] = (dim, factor, step, level, True)
        items[positions[i]] = Par(dim, step, level, "z")
    mesh = FanOut("A2", (MeshAxis("z", 64, multicast="tiles"),))
    levels = tuple(replace(kept, fanout=mesh) if kept.name == level else kept for kept in case.target.levels)
    return replace(case, schedule=Schedule(tuple(items)), target=replace(case.target, levels=levels))


@settings(SETTINGS, max_examples=60)
@given(SEEDS, st.sampled_from(["all", "first"]))
def test_brute_force_with_two_arrays(seed: int, steps: str) -> None:
    random = Random(seed)
    document = random_document(random, macs=100)
    brute = Brute(document["arch"], document["cases"][0], steps)
    if len(brute.levels) > 1:
        case = with_another_array(random, parse_cases(json.dumps(document))[0], brute)
        assert words_of(case, steps) == brute.run()


@pytest.mark.validate
@settings(SETTINGS, max_examples=1000)
@given(SEEDS, st.sampled_from(["all", "first"]))
def test_brute_force_long(seed: int, steps: str) -> None:
    check(random_document(Random(seed), macs=400), steps)


# effc's convention


@SETTINGS
@given(SEEDS)
def test_under_its_own_convention_effc_counts_what_the_stepper_counts(seed: int) -> None:
    (case,) = parse_cases(json.dumps(random_document(Random(seed), macs=150)))
    result = replay(case)
    _, counters = stepper.run(case.nest, case.schedule, case.target)
    assert {key: words.reads for key, words in result.words.items()} == {
        key: counters.reads.get(key, 0) for key in result.words
    }
    assert {key: words.fills + words.updates for key, words in result.words.items()} == {
        key: counters.writes.get(key, 0) for key in result.words
    }
    assert all(min(words.reads, words.fills, words.updates) >= 0 for words in result.words.values())
    prices = {level.name: level.banks[0].read_energy for level in case.target.levels}
    moved = sum(prices[key[0]] * (w.reads + w.fills + w.updates) for key, w in result.words.items())
    assert result.energy == moved + case.nest.macs
    assert result.cycles == counters.cycles


def test_the_conventions_differ_in_drains_and_returns() -> None:
    """A drain reads the child; a returning psum goes to one of the PEs that add up."""
    name = "R07_alexnet_b4_CONV2"  # C over six rows; psums are kept in the spads and in the DRAM
    mine, theirs = (counted("auto", convention)[name]["levels"]["PsumSpad"]["Outputs"] for convention in CONVENTIONS)
    first = TIMELOOP[name]["macs"] - theirs["reads"]  # touches of words that no spad held before
    assert mine["updates"] == theirs["updates"] == TIMELOOP[name]["macs"]
    assert theirs["fills"] == 6 * mine["fills"]
    drained = theirs["fills"] + first
    assert mine["reads"] == mine["updates"] - (drained - mine["fills"]) + drained


# Schedules from elsewhere

GEMM = nests.gemm(m=4, n=6, k=2)
LOOPS = """
for M by 1
keep I @ GLB
keep O @ GLB
for N by 3
par N by 1 @ GLB.x
par K by 1 @ GLB.y
keep I @ spad
keep W @ spad
keep O @ spad
"""


def counts_of(loops: str, nest: Nest = GEMM) -> TimeloopCounts:
    return timeloop_counts(nest, parse_schedule(loops, nest), load_target("eyeriss_like"))


def test_a_schedule_on_a_target() -> None:
    found = counts_of(LOOPS)
    assert (found.macs, found.cycles, found.steps) == (48, 8, "all")
    assert found.words["DRAM", "W"] == Words(reads=48)  # past the GLB, in every iteration, for six PEs
    assert found.words["GLB", "I"] == Words(reads=8, fills=8)  # three columns share a read; they keep it for all N
    assert found.words["spad", "I"] == Words(reads=48, fills=24)
    assert found.words["GLB", "O"] == Words(updates=24)  # two rows add up
    assert found.words["spad", "O"] == Words(updates=48)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("for N by 3", "for N by 4", "a loop over N steps by 4 in 0..6: its last tile is smaller"),
        ("keep W @ spad", "", "spad has to keep filter: add `keep W @ spad`"),
        ("keep I @ GLB", "", "GLB has to keep ifmap"),
        ("par K by 1 @ GLB.y", "par K by 1 @ GLB.z", "no such axis"),
        ("par K by 1 @ GLB.y", "", "no loop runs over K"),
        ("for M by 1\nkeep I @ GLB\n", "keep I @ GLB\nkeep I @ spad\nfor M by 1\n", "I is kept at spad already"),
    ],
)
def test_what_timeloop_cannot_be_given(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        counts_of(LOOPS.replace(old, new, 1))
    assert message in error.value.message and error.value.expected and error.value.remedy


def test_marks_do_not_stand_outside_the_pars_above_their_level() -> None:
    moved = LOOPS.replace("keep I @ spad\n", "").replace("for N by 3\n", "for N by 3\nkeep I @ spad\n")
    with pytest.raises(InputError, match=r"par N @ GLB\.x does not stand outside `keep I @ spad`"):
        counts_of(moved)


def test_no_bias_and_no_padding() -> None:
    loops = "keep I @ GLB\nkeep O @ GLB\nkeep I @ spad\nkeep W @ spad\nkeep O @ spad\nfor P by 1\nfor R by 1\n"
    plain = nests.conv2d(1, 1, 1, 4, 1, 3, 1)
    assert counts_of(loops, plain).macs == 12
    with pytest.raises(InputError, match="the nest has a bias"):
        counts_of(loops, nests.conv2d(1, 1, 1, 4, 1, 3, 1, bias=True))
    with pytest.raises(InputError, match="I is padded"):
        counts_of(loops, nests.conv2d(1, 1, 1, 4, 1, 3, 1, pad=(1, 0, 1, 0)))


def test_a_tile_that_does_not_fit() -> None:
    loops = "keep I @ GLB\nkeep O @ GLB\nkeep I @ spad\nkeep W @ spad\nkeep O @ spad\nfor P by 1\n"
    assert counts_of(loops, nests.conv2d(1, 1, 1, 6, 1, 1, 1, stride=2)).macs == 6
    with pytest.raises(InputError, match="spad: tiles of 13 of I words do not fit"):
        counts_of(loops, nests.conv2d(1, 1, 1, 7, 1, 1, 1, stride=2))
