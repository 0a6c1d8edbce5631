"""Cycle mode: small programs whose times are worked out by hand, and random ones followed step by step."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from cases import Case, random_case
from mutants import program_of

from effc.backends.accel.demands import Table
from effc.backends.accel.digits import Dimension
from effc.backends.accel.emit import emit
from effc.backends.accel.isa import NestLayer
from effc.backends.accel.machine import Machine, graph_of
from effc.backends.accel.ports import Calendar
from effc.backends.accel.timing import Clock, Timing
from effc.compiler.target.model import Bank, FanOut, Level, Link, Mac, MeshAxis, Prefetch, Target
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule

WORD = 16


def level(name: str, words: float | None = None, *axes: MeshAxis, **habits: Any) -> Level:
    """A level with one port of ``words`` per cycle."""
    rate = None if words is None else Fraction(words) * WORD
    bank = Bank((), ("I", "W", "O", "B"), None, Fraction(1), Fraction(1), rate, rate, shared_port=rate is not None)
    fanout = FanOut("mesh", axes, links=habits.pop("links", ())) if axes else None
    return Level(name, (bank,), fanout=fanout, **habits)


def time(nest: Nest, items: tuple[Item, ...], *levels: Level) -> Timing:
    target = Target("small", WORD, Fraction(100), levels, Mac(Fraction(1)))
    (layer,) = emit(graph_of(nest, Schedule(items), dict.fromkeys(nest.operands, 0)), target).layers
    assert isinstance(layer, NestLayer)
    timing = Clock(layer, target).run()
    assert timing.compute + sum(timing.stalls.values()) == pytest.approx(timing.cycles)
    return timing


PRODUCT = nests.gemm(1, 8, 4)  # 8 columns of W, 4 words each
COLUMNS = (For("N", 1), Keep("W", "L1"), For("K", 1))


def test_without_limits_there_is_only_compute() -> None:
    timing = time(PRODUCT, COLUMNS, level("DRAM"), level("L1"))
    assert (timing.cycles, timing.bound_by, timing.utilization) == (32, "compute", 1)


def test_a_port_that_is_never_idle() -> None:
    """Columns come one after another while those before are used, whose bias comes through the same port."""
    nest = nests.gemm(1, 8, 32, bias=True)
    items = (Keep("I", "L1"), For("N", 1), Keep("W", "L1"), Keep("O", "L2"), For("K", 1), Keep("W", "L2"))
    levels = level("DRAM", 1), level("L1", 4, double_buffered=True), level("L2", double_buffered=True)
    timing = time(nest, items, *levels)
    assert timing.ports["DRAM port"] == 32 + 8 * 32 + 8 + 8
    assert timing.cycles == timing.ports["DRAM port"] + 32, "the last column is used once it is there"


@pytest.mark.parametrize(
    ("habits", "cycles"),
    [
        ({}, 8 * (4 + 4)),  # single buffered: a column comes, 4 cycles, and is used, 4 cycles
        ({"double_buffered": True}, 4 + 8 * 4),  # the next one comes meanwhile
        ({"buffets": ("W",)}, 4 + 8 * 4),
        ({"buffets": ("I",)}, 8 * (4 + 4)),
    ],
)
def test_buffering(habits: dict[str, Any], cycles: int) -> None:
    # Both other operands are on chip, beside L1's port: only W uses the DRAM's port, one word per cycle.
    free = level("L2")
    items = (Keep("I", "L2"), Keep("O", "L2"), *COLUMNS)
    slow = replace(level("DRAM", 1), banks=tuple(_only("W", level("DRAM", 1))))
    timing = time(PRODUCT, items, slow, level("L1", **habits), free)
    assert timing.cycles == cycles
    assert timing.ports == {"DRAM W port": 32}
    assert timing.stalls == ({"ramp-up": 4} if cycles == 36 else {"ramp-up": 4, "W L1": 28})


def _only(operand: str, limited: Level) -> list[Bank]:
    """A limited bank for one operand, and an unlimited one for the others."""
    (bank,) = limited.banks
    others = tuple(name for name in bank.operands if name != operand)
    return [replace(bank, may_keep=(operand,)), Bank((), others, None, Fraction(1), Fraction(1))]


def test_a_port_that_is_too_slow_bounds_a_double_buffered_loop() -> None:
    # Half a word per cycle: a column takes 8 cycles, its use 4.
    slow = replace(level("DRAM", 0.5), banks=tuple(_only("W", level("DRAM", 0.5))))
    items = (Keep("I", "L2"), Keep("O", "L2"), *COLUMNS)
    timing = time(PRODUCT, items, slow, level("L1", double_buffered=True), level("L2"))
    assert timing.cycles == 8 * 8 + 4
    assert timing.bound_by == "DRAM W port"
    assert timing.stalls == {"ramp-up": 8, "W L1": 7 * 4}


def test_words_of_the_array_itself_wait_at_the_port() -> None:
    # Per cycle the lane reads a word of W in DRAM, at half a word per cycle.
    slow = replace(level("DRAM", 0.5), banks=tuple(_only("W", level("DRAM", 0.5))))
    timing = time(PRODUCT, (Keep("I", "L1"), Keep("O", "L1"), For("N", 1), For("K", 1)), slow, level("L1"))
    assert (timing.cycles, timing.stalls) == (64, {"DRAM W port of the array": 32})


def test_partial_sums_leave_while_the_next_ones_are_made() -> None:
    # O is drained, 1 word in 2 cycles, after 4 cycles of work on each; buffered twice, only the last drain shows.
    slow = replace(level("DRAM", 0.5), banks=tuple(_only("O", level("DRAM", 0.5))))
    items = (For("N", 1), Keep("O", "L1"), For("K", 1))
    assert time(PRODUCT, items, slow, level("L1")).cycles == 8 * (4 + 2)
    twice = time(PRODUCT, items, slow, level("L1", double_buffered=True))
    assert (twice.cycles, twice.stalls) == (8 * 4 + 2, {"run-down": 2})


def test_a_network_is_passed_as_often_as_the_level_above_reads() -> None:
    # Two lanes share each word of I; W comes for each of them: per step 2 words of W over one word per cycle.
    links = (Link(("W",), Fraction(WORD), Fraction(WORD), True), Link(("I",), Fraction(WORD), Fraction(WORD), True))
    mesh = level("DRAM", None, MeshAxis("x", 2), links=links)
    items = (For("K", 1), Par("N", 4, "DRAM", "x"), Keep("W", "L1"), Keep("I", "L1"), For("N", 1))
    timing = time(PRODUCT, items, mesh, level("L1"))
    assert timing.ports == {"mesh W port": 32, "mesh I port": 4}
    assert timing.cycles == 4 * (8 + 1 + 4)


def test_a_fifo_takes_the_next_fill_beforehand() -> None:
    # Columns of W pass L1 with its FIFO of 3 words: of 4 words from DRAM, 3 came while the column before was used.
    slow = replace(level("DRAM", 1), banks=tuple(_only("W", level("DRAM", 1))))
    fifo = level("L1", prefetch=Prefetch(("W",), 3 * WORD))
    items = (Keep("I", "L3"), Keep("O", "L3"), For("N", 1), Keep("W", "L2"), For("K", 1))
    timing = time(PRODUCT, items, slow, fifo, level("L2"), level("L3"))
    assert timing.cycles == 4 + 4 + 7 * (1 + 4)


def test_a_tile_that_returns_waits_until_it_has_arrived() -> None:
    # Two words, summed over K in 4 steps: each goes 4 times and comes back 3 times, over 1 word per cycle.
    slow = replace(level("DRAM", 1), banks=tuple(_only("O", level("DRAM", 1))))
    nest = nests.gemm(1, 2, 4)
    items = (For("K", 1), For("N", 1), Keep("O", "L1"))
    timing = time(nest, items, slow, level("L1", double_buffered=True))
    assert timing.ports == {"DRAM O port": 8 + 6}
    assert timing.cycles >= 14


def limited(case: Case, random: Random) -> Case:
    """The case on a target some of whose ports are limited, and some of whose levels overlap."""

    def rate() -> Fraction | None:
        return random.choice([None, Fraction(8), Fraction(16), Fraction(24), Fraction(80, 3)])

    def bank(bank: Bank) -> Bank:
        return replace(bank, read_bandwidth=rate(), write_bandwidth=rate(), shared_port=False)

    levels = [
        replace(
            level,
            banks=tuple(map(bank, level.banks)),
            double_buffered=place > 0 and random.random() < 0.4,
            buffets=tuple(name for name in "IWOB" if place and random.random() < 0.4),
        )
        for place, level in enumerate(case.target.levels)
    ]
    return replace(case, target=replace(case.target, levels=tuple(levels)))


@pytest.mark.parametrize("seed", range(60))
def test_steps_that_are_skipped_take_as_long_as_those_that_are_followed(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    case = limited(random_case(random, macs=1500), random)
    (layer,) = program_of(case).layers
    assert isinstance(layer, NestLayer)
    quick = Clock(layer, case.target).run()
    monkeypatch.setattr(Clock, "_may_skip", lambda clock: False)
    slow = Clock(layer, case.target).run()
    assert quick.cycles == slow.cycles
    assert quick.ports == slow.ports
    assert quick.stalls == pytest.approx(slow.stalls)
    assert slow.compute + sum(slow.stalls.values()) == pytest.approx(slow.cycles)
    assert slow.cycles >= max(slow.compute, *slow.ports.values(), 0)


@pytest.mark.parametrize("seed", range(20))
def test_ports_are_busy_with_the_words_that_were_counted(seed: int) -> None:
    """On a chain of single instances, where the busiest is the only one."""
    random = Random(seed)
    while True:
        case = limited(random_case(random, macs=600), random)
        if not any(level.fanout for level in case.target.levels):
            break
    result = Machine(case.target, np.float64, cycles=True).run(program_of(case), {}, case.arrays)
    counters, timing = result.counters[case.nest.name], result.timings[case.nest.name]
    assert timing.compute == counters.cycles
    for place in case.target.levels:
        (bank,) = place.banks
        for way, rate, table in (
            ("read", bank.read_bandwidth, counters.reads),
            ("write", bank.write_bandwidth, counters.writes),
        ):
            words = sum(n for (name, _), n in table.items() if name == place.name)
            found = timing.ports.get(f"{place.name} {way}", 0)
            assert found == pytest.approx(0 if rate is None else float(words * WORD / rate))


def test_calendars_fill_gaps() -> None:
    calendar = Calendar()
    assert calendar.reserve(10, 5) == 15
    assert calendar.reserve(20, 5) == 25
    assert calendar.reserve(12, 8) == 28  # 15 to 20, and 25 to 28
    assert calendar.taken == [(10, 28, 18)]
    calendar = Calendar()
    calendar.replace(0, ((0, 100, 50),))  # half taken
    assert calendar.reserve(20, 10) == 40
    assert calendar.busy(0, 20) == 10 and calendar.busy(20, 40) == 20 and calendar.busy(40, 100) == 30
    assert calendar.reserve(90, 20) == 115


@pytest.mark.parametrize("seed", range(12))
def test_demands_are_worked_out_for_the_first_and_the_last_tiles_alone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of all tiles, one by one."""
    case = random_case(Random(seed), macs=3000)
    quick = demanded(case, monkeypatch)
    monkeypatch.setattr(Dimension, "representative", Dimension.key)
    assert demanded(case, monkeypatch) == quick


def demanded(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[list[object]]:
    """The values of every table of a layer; trips that are not made are no trips."""
    tables: list[Table] = []
    made = Table.__init__
    with monkeypatch.context() as patch:
        patch.setattr(Table, "__init__", lambda table, *given: (made(table, *given), tables.append(table))[0])
        (layer,) = emit(graph_of(case.nest, case.schedule, case.arrays), case.target).layers
        assert isinstance(layer, NestLayer)
        Clock(layer, case.target)
    found = [[table.values[number] for number in table.prefixes[-1].reshape(-1)] for table in tables]
    return [[max(value, 0) if isinstance(value, int) else value for value in values] for values in found]
