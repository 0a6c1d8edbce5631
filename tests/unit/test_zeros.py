"""Zeros: codes word by word, MACs that are gated, and what they save; executed equals predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from effc.backends.accel import Machine, emit
from effc.backends.accel.machine import graph_of, run_zeros
from effc.backends.accel.timing import Clock
from effc.compiler.cost import evaluate
from effc.compiler.cost.zeros import mac_density
from effc.compiler.search import search
from effc.compiler.target import load_target, parse_target, print_target
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.zeros import Code, Density, measured

EYERISS = load_target("eyeriss")
RLC, BITMASK = Code(5), Code()


def pairs_of(values: Sequence[int], longest: int) -> list[tuple[int, int]]:
    """The pairs of a run-length code, written the obvious way."""
    pairs, run = [], 0
    for value in values:
        if value == 0 and run < longest:
            run += 1
        else:
            pairs.append((run, value))
            run = 0
    return [*pairs, (run - 1, 0)] if run else pairs


def decoded(pairs: Sequence[tuple[int, int]]) -> list[int]:
    return [value for run, last in pairs for value in (*[0] * run, last)]


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("run_bits", [1, 2, 5])
def test_run_lengths(run_bits: int, density: float) -> None:
    numbers = np.random.default_rng(1)
    for size in (1, 7, 31, 32, 33, 400):
        values = np.where(numbers.random(size) < density, numbers.integers(1, 9, size), 0)
        pairs = pairs_of(values.tolist(), 2**run_bits - 1)
        assert decoded(pairs) == values.tolist()
        found = Code(run_bits).encode(values, 16)
        packed = -(-len(pairs) // (64 // (16 + run_bits))) * 64
        assert found.bits == min(packed, 16 * size)
        assert found.nonzero == np.count_nonzero(values)
        assert found.metadata == (found.bits - 16 * found.nonzero if packed < 16 * size else 0)


def test_three_runs_and_words_of_eyeriss_take_64_bits() -> None:
    values = np.array([0, 0, 12, 0, 0, 0, 0, 53, 0, 0, 22])
    assert RLC.encode(values, 16).bits == 64
    assert RLC.encode(np.append(values, 1), 16).bits == 128


def test_bitmask() -> None:
    found = BITMASK.encode(np.array([0, 3, 0, 0, 5, 0, 0, 0]), 16)
    assert (found.bits, found.metadata, found.nonzero) == (8 + 2 * 16, 8, 2)
    assert BITMASK.encode(np.ones(8), 16).bits == 8 * 16


@pytest.mark.parametrize("code", [RLC, Code(2), BITMASK])
@pytest.mark.parametrize("percent", [1, 20, 60, 99, 100])
def test_estimates(code: Code, percent: int) -> None:
    """Zeros that come as they like take what is expected, within noise; of a bitmask, exactly."""
    values = np.zeros(100_000, np.int64)
    values[np.random.default_rng(2).permutation(values.size)[: 1000 * percent]] = 1
    estimate = code.estimate(values.size, Fraction(percent, 100), 16)
    found = code.encode(values, 16)
    assert estimate.bits == pytest.approx(found.bits, rel=0.03)
    assert code.run_bits is not None or estimate == found


def data(nest: Nest, density: float = 0.4) -> dict[str, npt.NDArray[np.float32]]:
    numbers = np.random.default_rng(3)
    shapes = {name: operand.shape for name, operand in nest.operands.items() if operand is not nest.output}
    return {
        name: np.where(numbers.random(shape) < density, numbers.integers(1, 5, shape), 0).astype(np.float32)
        for name, shape in shapes.items()
    }


NESTS = {
    "padded": nests.conv2d(n=1, k=5, c=3, p=7, q=6, r=3, s=3, pad=1),
    "strided": nests.conv2d(n=2, k=4, c=3, p=5, q=3, r=3, s=2, stride=2, bias=True),
    "groups": nests.conv2d(n=1, k=6, c=4, p=4, q=4, r=3, s=3, pad=1, groups=2),
    "gemm": nests.gemm(m=3, n=20, k=40),
}


def gated_by_hand(nest: Nest, arrays: dict[str, npt.NDArray[np.float32]], gates: tuple[str, ...]) -> int:
    """MAC by MAC."""
    total = 0
    for point in product(*(range(dim.bound) for dim in nest.dims)):
        at = dict(zip((dim.name for dim in nest.dims), point))
        values = []
        for name in gates:
            axes = nest.operands[name].axes
            index = tuple(sum(c * at[d] for c, d in axis.terms) + axis.offset for axis in axes)
            inside = all(0 <= i < axis.size for i, axis in zip(index, axes))
            values.append(arrays[name][index] if inside else 0)
        total += not all(values)
    return total


@pytest.mark.parametrize("gates", [("I",), ("I", "W")])
@pytest.mark.parametrize("name", NESTS)
def test_gated_macs(name: str, gates: tuple[str, ...]) -> None:
    nest, target = NESTS[name], replace(EYERISS, mac=replace(EYERISS.mac, gates=gates))
    arrays, schedule = data(nest), search(nest, target, time_limit=0.2).schedule
    assert run_zeros(nest, schedule, target, arrays).gated == gated_by_hand(nest, arrays, gates)


@pytest.mark.parametrize("name", NESTS)
def test_executed_equals_predicted(name: str) -> None:
    """The density of the MACs follows from the tensor; what a run gates is what the cost model then takes off."""
    nest = NESTS[name]
    arrays, schedule = data(nest), search(nest, EYERISS, time_limit=0.2).schedule
    found = run_zeros(nest, schedule, EYERISS, arrays)
    density = mac_density(nest, nest.operands["I"], arrays["I"])
    coded = RLC.encode(arrays["I"], 16)
    mine = {"I": Density(Fraction(coded.nonzero, coded.words), density, {"DRAM": Fraction(coded.bits, coded.words)})}
    predicted = evaluate(nest, schedule, EYERISS, mine).savings
    executed = evaluate(nest, schedule, EYERISS, measured(found, nest.macs, EYERISS.mac.gates)).savings
    assert predicted.gated == executed.gated == found.gated > 0
    assert predicted.reads == executed.reads == {("spad", "W"): found.gated}
    assert predicted.coded["DRAM", "I"] == executed.coded["DRAM", "I"]
    assert found.stored["DRAM", "I"] == coded


def test_what_is_saved() -> None:
    """Half of the ifmap zero: half of the MACs and of the filter reads; in DRAM 4/3 of the words that are left."""
    nest = NESTS["gemm"]
    schedule = search(nest, EYERISS, time_limit=0.2).schedule
    plain, half = evaluate(nest, schedule, EYERISS), evaluate(nest, schedule, EYERISS, {"I": Fraction(1, 2)})
    assert half.savings.gated == nest.macs // 2
    assert half.energy_by["MAC"] == plain.energy_by["MAC"] / 2
    assert plain.energy_by["spad"] - half.energy_by["spad"] == nest.macs // 2
    assert half.savings.coded["DRAM", "I"] == (-(-nest.operands["I"].words // 2 // 3) * 64, 0)
    assert half.cycles == plain.cycles


def test_skipping_takes_no_cycles() -> None:
    nest = nests.gemm(m=8, n=16, k=32)
    target = replace(load_target("eyeriss_like"), mac=replace(EYERISS.mac, skips=True))
    schedule = search(nest, target, time_limit=0.2).schedule
    cycles = [evaluate(nest, schedule, target, {"I": Fraction(share, 4)}).cycles for share in (4, 1)]
    assert cycles == [cycles[0], -(-cycles[0] // 4)]


def test_no_zeros_save_nothing() -> None:
    nest = NESTS["gemm"]
    schedule = search(nest, EYERISS, time_limit=0.2).schedule
    dense = {"I": Fraction(1), "O": Fraction(1)}
    assert evaluate(nest, schedule, EYERISS, dense).energy_by == evaluate(nest, schedule, EYERISS).energy_by


@pytest.mark.parametrize("bandwidth", ["unlimited", "16 bit/cycle"])
def test_the_clock_skips_what_the_formula_skips(bandwidth: str) -> None:
    """Zeros measured in a run shorten the passes of the array, and nothing else."""
    nest = NESTS["padded"]
    text = print_target(load_target("eyeriss_like")).replace("bandwidth unlimited", f"bandwidth {bandwidth}", 1)
    target = replace(parse_target(text), mac=replace(EYERISS.mac, skips=True))
    arrays, schedule = data(nest), search(nest, target, time_limit=0.2).schedule
    result = Machine(target, cycles=True).run(emit(graph_of(nest, schedule, arrays), target), {}, arrays)
    timing, found = result.timings[nest.name], result.zeros[nest.name]
    cost = evaluate(nest, schedule, target, measured(found, nest.macs, ("I",)))
    dense = Clock(emit(graph_of(nest, schedule, arrays), target).layers[0], target).run()
    assert abs(timing.compute - cost.counters.cycles * (1 - found.gated / nest.macs)) <= 1 + dense.compute / 1024
    assert timing.cycles == pytest.approx(cost.cycles, abs=2, rel=0.05)
    assert timing.ports == dense.ports
    assert timing.cycles <= dense.cycles
