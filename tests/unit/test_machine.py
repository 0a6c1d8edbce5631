"""The machine on small targets: counts worked out by hand, values against numpy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import native_stepper
import numpy as np
import pytest
from c_compiler import missing

from effc.backends.accel import stepper
from effc.backends.accel.machine import run_nest
from effc.backends.reference import run_nest as reference
from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.graph import NestOp, View
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.schedule import For, Item, Keep, Par, Schedule

OPERANDS = ("I", "W", "O", "B")


def level(name: str, *axes: MeshAxis, words: int | None = None, **habits: Any) -> Level:
    bits = None if words is None else 16 * words
    fanout = FanOut(f"{name} mesh", axes) if axes else None
    return Level(name, (Bank((), OPERANDS, bits, Fraction(1), Fraction(1)),), fanout=fanout, **habits)


def target(*levels: Level) -> Target:
    return Target("small", 16, Fraction(100), levels, Mac(Fraction(1)), energy_unit="x")


def integers(nest: Nest) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    operands = [operand for operand in nest.operands.values() if operand is not nest.output]
    return {operand.name: generator.integers(-4, 5, operand.shape).astype(np.float32) for operand in operands}


def by_definition(nest: Nest, arrays: Mapping[str, Any]) -> Any:
    uses = {}
    for name, operand in nest.operands.items():
        strides = [int(np.prod(operand.shape[axis + 1 :])) for axis in range(len(operand.axes))]
        uses[name] = View(name, 0, tuple(strides))
    return reference(NestOp(nest, uses, "Nest", nest.name), arrays, np.float64)


def check(nest: Nest, items: tuple[Item, ...], machine: Target, expected: dict[str, int]) -> None:
    """The counters are as expected, and the output is right; run at once, step by step, and on integers; the steppers
    agree, one of them where C can be compiled.
    """
    arrays = integers(nest)
    value = by_definition(nest, arrays)
    for dtype, exact in ((np.float32, False), (np.float32, True), (np.int64, False)):
        output, counters = run_nest(nest, Schedule(items), machine, arrays, dtype, exact)
        assert np.array_equal(output, value)
        assert dict(counters.entries()) == expected
    for run in (stepper.run, native_stepper.run)[: 1 if missing else 2]:
        output, counters = run(nest, Schedule(items), machine, arrays)
        assert np.array_equal(output, value)
        assert dict(counters.entries()) == expected


def test_a_matrix_product_with_every_operand_on_chip() -> None:
    # I: a row of 4 for each M. W: a column of 4 for each (M, N). O: rows of 3, each drained once, never returned.
    nest = nests.gemm(2, 3, 4)
    items = (For("M", 1), Keep("I", "L1"), Keep("O", "L1"), For("N", 1), Keep("W", "L1"), For("K", 1))
    expected = {
        "I read at DRAM": 8,
        "I write at L1": 8,
        "I read at L1": 24,
        "W read at DRAM": 24,
        "W write at L1": 24,
        "W read at L1": 24,
        "O write at L1": 24,  # one for each of 24 updates
        "O read at L1": 18 + 6,  # updates but the first of 6 words; 6 words drained
        "O write at DRAM": 6,
        "MACs": 24,
        "cycles": 24,
    }
    check(nest, items, target(level("DRAM"), level("L1")), expected)


@pytest.mark.parametrize(("multicast", "reads"), [("words", 3), ("tiles", 3), ("none", 12)])
def test_a_ragged_par(multicast: Any, reads: int) -> None:
    # N = 7 by 2 on 4 instances: 2, 2, 2, 1. Each wants the same 3 words of I, and 6, 6, 6, 3 of W.
    nest = nests.gemm(1, 7, 3)
    marks = (Keep("I", "spad"), Keep("W", "spad"), Keep("O", "spad"))
    items = (Par("N", 2, "DRAM", "x"), *marks, For("N", 1), For("K", 1))
    expected = {
        "I read at DRAM": reads,
        "I write at spad": 12,
        "I hop at DRAM": 12,
        "I read at spad": 21,
        "W read at DRAM": 21,
        "W write at spad": 21,
        "W hop at DRAM": 21,
        "W read at spad": 21,
        "O write at spad": 21,
        "O read at spad": 21 - 7 + 7,
        "O write at DRAM": 7,
        "O hop at DRAM": 7,
        "MACs": 21,
        "cycles": 6,
    }
    check(nest, items, target(level("DRAM", MeshAxis("x", 4, multicast=multicast)), level("spad")), expected)


def test_reduction_and_returning_psums() -> None:
    # K = 6 by 4: first both instances work on 2 each, then instance 0 alone on 2. Per N, the first residence starts
    # from zero in both and drains 2 words as 1; the second returns to instance 0 and drains 1.
    nest = nests.gemm(1, 2, 6)
    items = (For("K", 4), Par("K", 2, "DRAM", "y"), For("N", 1), Keep("O", "spad"), For("K", 1))
    expected = {
        "O read at DRAM": 2,
        "O write at DRAM": 2 + 2,
        "O write at spad": 2 + (8 + 4),  # returned, updates
        "O read at spad": (4 + 4) + (4 + 2),  # updates but the first ones, drained
        "O hop at DRAM": 2 + (4 + 2),  # returned, drained
        "I read at DRAM": 12,
        "I hop at DRAM": 12,
        "W read at DRAM": 12,
        "W hop at DRAM": 12,
        "MACs": 12,
        "cycles": 8,
    }
    check(nest, items, target(level("DRAM", MeshAxis("y", 2)), level("spad")), expected)


@pytest.mark.parametrize(
    ("loops", "sliding", "words"),
    [
        ((For("P", 1),), True, 3 + 4),
        ((For("P", 1),), False, 5 * 3),
        ((For("P", 2), For("P", 1)), True, 3 + 4),  # both loops are of P: one sweep
        ((For("P", 2), For("K", 1), For("P", 1)), True, 2 * ((3 + 1) + (3 + 1) + 3)),  # K starts the sweep again
    ],
)
def test_sliding_windows(loops: tuple[Item, ...], sliding: bool, words: int) -> None:
    nest = nests.conv1d(1, 2, 1, p=5, r=3)
    rest = () if For("K", 1) in loops else (For("K", 1),)
    expected = {
        "I read at DRAM": words,
        "I write at L1": words,
        "I read at L1": 30,
        "W read at DRAM": 30,
        "O write at DRAM": 30,
        "O read at DRAM": 30 - 10,
        "MACs": 30,
        "cycles": 30,
    }
    machine = target(level("DRAM"), level("L1", sliding=sliding))
    check(nest, (*loops, Keep("I", "L1"), *rest, For("R", 1)), machine, expected)


def test_padding_that_is_free() -> None:
    # P = 4, R = 3, one word of padding on each side: two of the 12 MACs are on padding and read nothing.
    nest = nests.conv1d(1, 1, 1, p=4, r=3, pad=1)
    expected = {
        "I read at DRAM": 4,
        "I write at L1": 4,
        "I read at L1": 10,
        "W read at DRAM": 12,
        "O write at DRAM": 12,
        "O read at DRAM": 8,
        "MACs": 12,
        "cycles": 12,
    }
    check(nest, (Keep("I", "L1"), For("P", 1), For("R", 1)), target(level("DRAM"), level("L1")), expected)


def test_padding_that_is_stored_on_two_levels() -> None:
    # L1 makes the 2 words of padding itself; L2 gets all 6 words from L1.
    nest = nests.conv1d(1, 1, 1, p=4, r=3, pad=1)
    items = (Keep("I", "L1"), Keep("I", "L2"), For("P", 1), For("R", 1))
    expected = {
        "I read at DRAM": 4,
        "I write at L1": 4,
        "I read at L1": 6,
        "I write at L2": 6,
        "I read at L2": 12,
        "W read at DRAM": 12,
        "O write at DRAM": 12,
        "O read at DRAM": 8,
        "MACs": 12,
        "cycles": 12,
    }
    check(nest, items, target(level("DRAM"), level("L1", padding="stored"), level("L2", padding="stored")), expected)


def test_groups() -> None:
    # 2 groups of 2 x 2 filters: W comes once per group, 4 words at a time.
    nest = nests.conv2d(1, 4, 4, 2, 1, 1, 1, groups=2)
    expected = {
        "W read at DRAM": 8,
        "W write at L1": 8,
        "W read at L1": 16,
        "I read at DRAM": 16,
        "O write at DRAM": 16,
        "O read at DRAM": 8,
        "MACs": 16,
        "cycles": 16,
    }
    items = (For("G", 1), Keep("W", "L1"), For("P", 1), For("K", 1), For("C", 1))
    check(nest, items, target(level("DRAM"), level("L1")), expected)


def test_macs_below_a_fan_out() -> None:
    # 2 x 2 lanes share I along y and W along x, but y has no multicast: per iteration 2 x 2 reads of I, 2 of W.
    nest = nests.gemm(2, 2, 2)
    marks = (Keep("I", "L1"), Keep("W", "L1"), Keep("O", "L1"))
    items = (*marks, Par("M", 1, "L1", "x"), Par("N", 1, "L1", "y"), For("K", 1))
    expected = {
        **{f"{operand} read at DRAM": 4 for operand in "IW"},
        **{f"{operand} write at L1": 4 for operand in "IW"},
        "I read at L1": 2 * 4,
        "W read at L1": 2 * 2,
        **{f"{operand} hop at L1": 8 for operand in "IWO"},
        "O write at L1": 8,
        "O read at L1": 4 + 4,
        "O write at DRAM": 4,
        "MACs": 8,
        "cycles": 2,
    }
    machine = target(level("DRAM"), level("L1", MeshAxis("x", 2), MeshAxis("y", 2, multicast="none")))
    check(nest, items, machine, expected)


def test_products_that_are_added_on_the_way() -> None:
    # The two lanes of K arrive as one update of one of 4 words.
    nest = nests.gemm(2, 2, 2)
    items = (Keep("O", "L1"), Par("K", 1, "L1", "x"), For("M", 1), For("N", 1))
    expected = {
        **{f"{operand} read at DRAM": 8 for operand in "IW"},
        **{f"{operand} hop at L1": 8 for operand in "IWO"},
        "O write at L1": 4,
        "O read at L1": 4,
        "O write at DRAM": 4,
        "MACs": 8,
        "cycles": 4,
    }
    check(nest, items, target(level("DRAM"), level("L1", MeshAxis("x", 2))), expected)


@pytest.mark.parametrize(("multicast", "reads"), [("words", 3), ("none", 6)])
def test_two_fan_outs_and_a_bypass(multicast: Any, reads: int) -> None:
    # I and W go past L1: each word crosses both fan-outs. All four instances of L2 want the same 3 words of I.
    nest = nests.gemm(1, 4, 3)
    pars = (Par("N", 2, "DRAM", "x"), Par("N", 1, "L1", "y"))
    items = (Keep("O", "L1"), *pars, Keep("I", "L2"), Keep("W", "L2"), Keep("O", "L2"), For("K", 1))
    expected = {
        "I read at DRAM": reads,
        "W read at DRAM": 12,
        **{f"{operand} hop at {level}": 12 for operand in "IW" for level in ("DRAM", "L1")},
        **{f"{operand} {what} at L2": 12 for operand in "IW" for what in ("read", "write")},
        "O write at L2": 12,
        "O read at L2": 8 + 4,
        "O hop at L1": 4,
        "O write at L1": 4,
        "O read at L1": 4,
        "O hop at DRAM": 4,
        "O write at DRAM": 4,
        "MACs": 12,
        "cycles": 3,
    }
    machine = target(level("DRAM", MeshAxis("x", 2, multicast=multicast)), level("L1", MeshAxis("y", 2)), level("L2"))
    check(nest, items, machine, expected)


def test_uneven_placement() -> None:
    # W enters L2, past L1, before O enters L1. Per C: W of 2 words; O of 2 words for each P, back from the second C on.
    nest = nests.conv1d(1, 2, 2, p=3, r=1)
    items = (For("C", 1), Keep("W", "L2"), For("P", 1), Keep("O", "L1"), For("K", 1))
    expected = {
        "W read at DRAM": 4,
        "W write at L2": 4,
        "W read at L2": 12,
        "I read at DRAM": 12,
        "O read at DRAM": 6,
        "O write at DRAM": 6 + 6,
        "O write at L1": 6 + 12,
        "O read at L1": (12 - 6) + 12,
        "MACs": 12,
        "cycles": 12,
    }
    check(nest, items, target(level("DRAM"), level("L1"), level("L2")), expected)


def test_a_bias_is_read_once_per_output_word() -> None:
    nest = nests.gemm(2, 2, 3, bias=True)
    items = (Keep("B", "L1"), For("K", 1), For("M", 1), Par("N", 1, "L1", "x"))
    expected = {
        "B read at DRAM": 2,
        "B write at L1": 2,
        "B read at L1": 4,
        "B hop at L1": 4,
        "I read at DRAM": 6,  # both lanes of N take the same word
        "W read at DRAM": 12,
        **{f"{operand} hop at L1": 12 for operand in "IWO"},
        "O write at DRAM": 12,
        "O read at DRAM": 12 - 4,
        "MACs": 12,
        "cycles": 6,
    }
    check(nest, items, target(level("DRAM"), level("L1", MeshAxis("x", 2))), expected)


def test_a_stride_leaves_holes_in_the_tile() -> None:
    # P = 3 at stride 3 with R = 2 touches 6 of 8 words.
    nest = nests.conv1d(1, 1, 1, p=3, r=2, stride=3)
    items = (Keep("I", "L1"), For("P", 1), For("R", 1))
    arrays = integers(nest)
    output, counters = run_nest(nest, Schedule(items), target(level("DRAM"), level("L1", words=6)), arrays)
    assert counters.writes["L1", "I"] == 6
    assert np.array_equal(output, by_definition(nest, arrays))


def test_a_word_that_is_nan_by_right_is_no_fault() -> None:
    nest = nests.gemm(2, 2, 2)
    arrays = integers(nest)
    arrays["I"][0, 1] = np.nan
    items = (Keep("I", "L1"), For("M", 1), For("N", 1), For("K", 1))
    output, counters = run_nest(nest, Schedule(items), target(level("DRAM"), level("L1")), arrays)
    assert np.isnan(output[0]).all()
    assert not np.isnan(output[1]).any()
    assert counters.macs == 8


def test_the_machine_does_not_load_the_cost_model() -> None:
    script = (
        "import sys, effc.backends.accel.machine, effc.backends.accel.stepper; "
        "print([name for name in sys.modules if name.startswith(('effc.compiler.cost', 'effc.compiler.search'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_nest_with_one_read_adds_it_up() -> None:
    # Every row of 4 words, in 2 lanes that are added on the way.
    plain = {dim: Axis(((1, dim),), 0, bound) for dim, bound in (("M", 3), ("K", 4))}
    dims = (Dim("M", 3, "P"), Dim("K", 4, "C"))
    nest = Nest("rows", dims, (Operand("I", (plain["M"], plain["K"])),), Operand("O", (plain["M"],)))
    expected = {
        "I read at DRAM": 12,
        "I hop at DRAM": 12,
        "O write at DRAM": 6,
        "O read at DRAM": 6 - 3,
        "O hop at DRAM": 12,
        "MACs": 12,
        "cycles": 6,
    }
    check(nest, (Par("K", 2, "DRAM", "x"), For("M", 1), For("K", 1)), target(level("DRAM", MeshAxis("x", 2))), expected)
