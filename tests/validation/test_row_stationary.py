"""Eyeriss's published mapping of AlexNet: what its tables say of the buffer, the scratchpads and the PEs, exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from effc.backends.accel import run_nest
from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.dataflows import active_pes, row_stationary
from effc.compiler.errors import InputError
from effc.compiler.target import Target, load_target
from effc.ir import Nest, nests, parse_schedule, print_schedule

TABLES = json.loads((Path(__file__).parent / "eyeriss_jssc2017.json").read_text(encoding="utf-8"))
LAYERS = {layer["name"]: layer for layer in TABLES["layers"]}
EYERISS = load_target("eyeriss")
SPADS = {"filter": "W", "ifmap": "I", "psum": "O"}


def nest_of(layer: dict[str, Any], pads: bool = False, groups: int = 1) -> Nest:
    """One group of a layer, or ``groups`` of them. Its padding is part of the ifmap, or made on the way (``pads``)."""
    taps, outs, stride, padded = layer["R"], layer["E"], layer["U"], layer["H"]
    pad = {"CONV1": 0, "CONV2": 2}.get(layer["name"], 1) if pads else 0
    planes, size = layer["C"] * groups, padded - 2 * pad
    filters = layer["M"] // layer["groups"] * groups
    return nests.conv2d(
        TABLES["batch"],
        filters,
        planes,
        outs,
        outs,
        taps,
        taps,
        stride,
        pad=pad,
        groups=groups,
        name=layer["name"],
        h=size,
        w=size,
    )


def evaluated(nest: Nest, layer: dict[str, Any]) -> Evaluation:
    return evaluate(nest, row_stationary(nest, **layer["mapping"], target=EYERISS), EYERISS)


def megabytes(found: Evaluation, level: str) -> float:
    moved = (*found.counters.reads.items(), *found.counters.writes.items())
    return 2e-6 * sum(words for (where, _), words in moved if where == level)


def arrays_of(nest: Nest) -> dict[str, npt.NDArray[np.float32]]:
    """Small integers, of which sums are exact."""
    numbers = np.random.default_rng(0)
    operands = [operand for operand in nest.operands.values() if operand is not nest.output]
    return {operand.name: numbers.integers(-4, 5, operand.shape).astype(np.float32) for operand in operands}


def convolved(nest: Nest, arrays: dict[str, npt.NDArray[np.float32]], stride: int) -> npt.NDArray[np.float32]:
    window = (nest.bounds["R"], nest.bounds["S"])
    windows = np.lib.stride_tricks.sliding_window_view(arrays["I"], window, axis=(2, 3))[:, :, ::stride, ::stride]
    result: npt.NDArray[np.float32] = np.einsum("ncpqrs,kcrs->nkpq", windows, arrays["W"], optimize=True)
    return result + arrays["B"][:, None, None] if nest.bias else result


@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize("name", LAYERS)
class TestTables:
    def test_global_buffer(self, name: str, pads: bool) -> None:
        layer = LAYERS[name]
        tiles = evaluated(nest_of(layer, pads), layer).counts.tiles
        found = {operand: round(tiles["GLB", operand] * 2 / 1024, 1) for operand in "IO"}
        assert found == {"I": layer["glb_ifmap_KB"], "O": layer["glb_psum_KB"]}

    def test_scratchpads(self, name: str, pads: bool) -> None:
        layer = LAYERS[name]
        tiles = evaluated(nest_of(layer, pads), layer).counts.tiles
        assert {pad: tiles["spad", operand] for pad, operand in SPADS.items()} == layer["spad_words"]

    def test_active_pes(self, name: str, pads: bool) -> None:
        layer = LAYERS[name]
        nest = nest_of(layer, pads)
        assert active_pes(nest, row_stationary(nest, **layer["mapping"], target=EYERISS)) == layer["active_PEs"]


@pytest.mark.parametrize("name", LAYERS)
def test_the_machine_runs_every_layer_and_counts_the_same(name: str) -> None:
    layer = LAYERS[name]
    nest = nest_of(layer)
    schedule = row_stationary(nest, **layer["mapping"], target=EYERISS)
    arrays = arrays_of(nest)
    output, counters = run_nest(nest, schedule, EYERISS, arrays)
    assert counters.difference(evaluate(nest, schedule, EYERISS).counters) == []
    assert (output == convolved(nest, arrays, layer["U"])).all()
    busy = counters.macs / counters.cycles
    assert busy == layer["active_PEs"] if layer["E"] == layer["mapping"]["e"] else busy < layer["active_PEs"]


@pytest.mark.parametrize("name", LAYERS)
def test_traffic_is_of_the_published_size(name: str) -> None:
    """The chip compresses its DRAM traffic, so that there effc's words are more."""
    layer = LAYERS[name]
    found = evaluated(nest_of(layer), layer)
    assert 1 < layer["groups"] * megabytes(found, "DRAM") / layer["DRAM_MB"] < 2.1
    assert 1 < layer["groups"] * megabytes(found, "GLB") / layer["GLB_MB"] < 1.5


@pytest.mark.parametrize("name", LAYERS)
def test_latency(name: str) -> None:
    """Processing is what the chip does once its data are there: latency with a DRAM that never keeps it waiting."""
    layer = LAYERS[name]
    nest = nest_of(layer, pads=True)
    schedule = row_stationary(nest, **layer["mapping"], target=EYERISS)
    processing, total = (evaluate(nest, schedule, target) for target in (without_dram(EYERISS), EYERISS))
    per_ms = 1000 * EYERISS.clock_mhz / layer["groups"]
    assert processing.cycles > processing.counters.cycles == pytest.approx(processing.cycles, rel=0.2)
    assert float(processing.cycles / per_ms) == pytest.approx(layer["processing_ms"], rel=0.1)
    assert float(total.cycles / per_ms) == pytest.approx(layer["total_ms"], rel=0.1)


def without_dram(target: Target) -> Target:
    """The target with an outermost level of unlimited bandwidth."""
    outermost = target.levels[0]
    banks = (replace(bank, read_bandwidth=None, write_bandwidth=None, shared_port=False) for bank in outermost.banks)
    return replace(target, levels=(replace(outermost, banks=tuple(banks)), *target.levels[1:]))


def test_groups_run_one_after_another() -> None:
    layer = LAYERS["CONV5"]
    one, two = (evaluated(nest_of(layer, groups=groups), layer) for groups in (1, 2))
    assert dict(two.counters.entries()) == {what: 2 * words for what, words in one.counters.entries()}
    assert one.counts.tiles == two.counts.tiles


def test_the_example_of_the_page() -> None:
    layer = LAYERS["CONV2"]
    nest = nest_of(layer)
    schedule = row_stationary(nest, **layer["mapping"], target=EYERISS)
    page = (row_stationary.__globals__["__doc__"] or "").splitlines()
    example = "\n".join(line for line in page if line.startswith("    ") and line.split()[0] in ("for", "par", "keep"))
    assert schedule == parse_schedule(example, nest), print_schedule(schedule, nest)


OTHERS = {
    "all of it in one set": ({"p": 5, "q": 5, "r": 3, "s": 3}, (2, 1, 5, 2, 1, 1, 1), 15),
    "folded in four": ({"p": 50, "q": 3, "r": 3, "s": 3}, (8, 2, 50, 4, 2, 1, 1), 150),
    "folded, the last narrower": ({"p": 40, "q": 3, "r": 3, "s": 2}, (8, 1, 29, 4, 3, 1, 1), 87),
    "five filter sets, two by two": ({"p": 6, "q": 4, "r": 3, "s": 3}, (10, 2, 6, 2, 3, 1, 5), 90),
    "sets of channels, a ragged tile": ({"p": 9, "q": 4, "r": 2, "s": 3, "stride": 2}, (12, 2, 4, 3, 2, 3, 3), 72),
    "a bias": ({"p": 6, "q": 4, "r": 3, "s": 3, "bias": True}, (4, 1, 6, 2, 2, 2, 2), 72),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers(name: str) -> None:
    """Layers and parameters that no table has, with ragged passes (7 channels, 13 filters, 3 images)."""
    sizes, parameters, busy = OTHERS[name]
    nest = nests.conv2d(n=3, k=13, c=7, **sizes)
    schedule = row_stationary(nest, *parameters, EYERISS)
    m, n, e, p, q, r, _ = parameters
    tiles = evaluate(nest, schedule, EYERISS).counts.tiles
    arrays = arrays_of(nest)
    output, counters = run_nest(nest, schedule, EYERISS, arrays, exact=True)
    stride, taps, outs = sizes.get("stride", 1), (sizes["r"], sizes["s"]), sizes["q"]
    assert counters.difference(evaluate(nest, schedule, EYERISS).counters) == []
    assert (output == convolved(nest, arrays, stride)).all()
    assert active_pes(nest, schedule) == busy
    assert tiles["GLB", "O"] == n * m * e * outs
    assert tiles["GLB", "I"] == n * q * r * ((e - 1) * stride + taps[0]) * ((outs - 1) * stride + taps[1])
    assert [tiles["spad", operand] for operand in "WIO"] == [p * q * taps[1], q * taps[1], p]


def test_a_fully_connected_layer() -> None:
    """A matrix product has no window: its rows go across, and a PE reuses a word of the ifmap for p filters."""
    nest = nests.gemm(m=4, n=64, k=48)
    schedule = row_stationary(nest, m=64, n=1, e=4, p=16, q=4, r=6, t=4, target=EYERISS)
    assert active_pes(nest, schedule) == 96


SMALL = {"m": 16, "n": 2, "e": 6, "p": 4, "q": 2, "r": 1, "t": 2}
MISFITS = {
    "no images": ({"n": 0}, "a parameter of m=16 n=0 e=6 p=4 q=2 r=1 t=2 is less than one"),
    "images": ({"n": 5}, "n=5 exceeds the 4 images of the batch"),
    "ofmap channels": ({"m": 17}, "m=17 exceeds the 16 ofmap channels of a group"),
    "ofmap rows": ({"e": 31}, "e=31 exceeds the 30 ofmap rows"),
    "filters": ({"t": 5}, "p*t=4*5 exceeds the 16 ofmap channels m of the buffer"),
    "channels": ({"r": 3}, "q*r=2*3 exceeds the 4 ifmap channels of a group"),
    "rows": ({"e": 28, "t": 4}, "1 x 4 sets of 3 x 28 PEs take 24 rows of the array, eyeriss has 12"),
    "scratchpad": ({"q": 4, "p": 16, "t": 1}, "spad: tiles of I 20 words need 20 words, 12 fit"),
    "psums": ({"m": 16, "n": 4, "e": 30, "t": 1}, "GLB: tiles of I "),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit(name: str) -> None:
    changes, message = MISFITS[name]
    nest = nests.conv2d(n=4, k=16, c=4, p=30, q=30, r=3, s=5)
    with pytest.raises(InputError) as caught:
        row_stationary(nest, **{**SMALL, **changes}, target=EYERISS)
    assert message in caught.value.message
    assert caught.value.message.startswith("the row-stationary mapping of conv2d does not fit: ")
    assert caught.value.expected
    assert caught.value.remedy


def test_what_is_no_convolution() -> None:
    nest = nests.einsum("abk,kn->abn", a=2, b=2, k=4, n=16)
    with pytest.raises(InputError, match="einsum is no convolution"):
        row_stationary(nest, **{**SMALL, "e": 1}, target=EYERISS)


def test_a_target_that_is_not_built_like_eyeriss() -> None:
    target = replace(EYERISS, name="plain", levels=EYERISS.levels[:2])
    with pytest.raises(InputError, match="plain has no place for the row-stationary mapping"):
        row_stationary(nests.gemm(4, 4, 4), **SMALL, target=target)
