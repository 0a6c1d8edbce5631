"""docs/validation.md says what the code says, and what must hold of it."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cycles
import numpy as np
import published
import pytest

from effc.backends.accel import run_zeros
from effc.compiler.cost import evaluate
from effc.compiler.dataflows import Layer, read_table, row_stationary
from effc.compiler.target import load_target
from effc.ir.zeros import measured

LAYERS = read_table(published.TABLE, published.EYERISS)
NAMES = [layer.name for layer in LAYERS]
FOUND = json.loads(published.FOUND.read_text(encoding="utf-8"))


def test_the_page_says_what_the_code_says() -> None:
    assert published.PAGE.read_text(encoding="utf-8") == published.page(), "run `make validation`"
    assert published.PLOT.read_text(encoding="utf-8") == published.plot(), "run `make validation`"


def test_the_plot_is_an_image() -> None:
    bars = ElementTree.fromstring(published.PLOT.read_text(encoding="utf-8")).findall("{*}rect")
    assert len(bars) == len(published.SERIES) * (len(LAYERS) + 1)


@pytest.mark.parametrize("target", ["gemmini", "nvdla_full"])
def test_no_schedule_is_faster_than_its_macs(target: str) -> None:
    lanes = load_target(target).instances(len(load_target(target).levels))
    for cost in cycles.costs(target, FOUND[target]).values():
        assert cost.cycles >= cost.counters.macs / lanes


@pytest.mark.parametrize("name", ["256 x 256 x 256", "512 x 512 x 512"])
def test_cycles_of_large_products(name: str) -> None:
    row = next(row for row in cycles.tables()["gemmini"]["gemms"] if name == f"{row['M']} x {row['K']} x {row['N']}")
    assert cycles.costs("gemmini", FOUND["gemmini"])[name].cycles == pytest.approx(row["cycles"], rel=0.1)


def test_bounds_bound_the_published_mapping() -> None:
    for layer in LAYERS:
        *costs, bound = published.energies(layer, FOUND["eyeriss"][layer.name], FOUND["eyeriss, free"][layer.name])
        assert all(published.millijoules(cost, layer) >= bound for cost in costs)


@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_figures_of_the_mapping_are_exact(layer: Layer) -> None:
    assert layer.exact() == layer.published_exact()


@pytest.mark.parametrize("figure", ["DRAM_MB", "GLB_MB", "processing_ms", "total_ms", "power_mW"])
@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_measured_figures(layer: Layer, figure: str) -> None:
    limit = {"DRAM_MB": 0.15, "GLB_MB": 0.15, "processing_ms": 0.1, "total_ms": 0.1, "power_mW": 0.25}[figure]
    close = layer.measured()[figure] == pytest.approx(layer.row[figure], rel=limit)
    assert close != (figure == "GLB_MB" and layer.name == "CONV3"), "the anomaly of CONV3 is the only one"


@pytest.mark.parametrize("layer", LAYERS[2:], ids=NAMES[2:])
def test_zeros_are_found_in_a_run(layer: Layer) -> None:
    """A synthetic ifmap on the machine: it gates the MACs and takes the bits that the page is written from."""
    nest, filters = layer.nest, layer.nest.operands["W"].shape
    arrays = {"I": layer.tensor("I").astype(np.float32), "W": np.ones(filters, np.float32)}
    found, predicted = run_zeros(nest, layer.schedule, layer.target, arrays), layer.coded.savings
    executed = evaluate(nest, layer.schedule, layer.target, measured(found, nest.macs, ("I",))).savings
    assert executed.gated == predicted.gated == found.gated
    assert executed.coded["DRAM", "I"] == predicted.coded["DRAM", "I"]
    assert executed.reads == predicted.reads == {("spad", "W"): found.gated}


@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_synthetic_tensors_take_what_is_expected(layer: Layer) -> None:
    estimated, coded = (layer.megabytes("DRAM", cost) for cost in (layer.cost, layer.coded))
    assert coded == pytest.approx(estimated, rel=0.01)


@pytest.mark.parametrize(("figure", "limit"), [("DRAM_MB", 0.03), ("processing_ms", 0.1), ("total_ms", 0.1)])
def test_sums(figure: str, limit: float) -> None:
    _, expected, found = published.total(figure, LAYERS)
    assert found == pytest.approx(expected, rel=limit)


@pytest.mark.parametrize("layer", published.isca_layers(), ids=lambda layer: layer.name)
def test_energies_of_isca_2016(layer: Layer) -> None:
    parameters = FOUND["eyeriss_isca16"][layer.name]
    schedule = row_stationary(layer.nest, **parameters, target=layer.target)
    found = published.isca_energies(layer, evaluate(layer.nest, schedule, layer.target))
    for part in ("ALU", "RF"):
        assert found[part] == pytest.approx(layer.row["published"][part], abs=0.1)


def test_another_network(tmp_path: Path) -> None:
    """A table of layers that nobody has published: its figures come out in the same way."""
    rows: list[dict[str, Any]] = [
        {"name": "first", "H": 34, "pad": 1, "R": 3, "E": 32, "C": 3, "M": 32, "U": 1, "groups": 1},
        {"name": "last", "H": 34, "pad": 1, "R": 3, "E": 16, "C": 32, "M": 48, "U": 2, "groups": 2},
    ]
    rows[0] |= {"mapping": {"m": 32, "n": 1, "e": 14, "p": 16, "q": 3, "r": 1, "t": 2}, "ifmap_zeros_percent": 0}
    rows[1] |= {"mapping": {"m": 24, "n": 2, "e": 14, "p": 12, "q": 4, "r": 2, "t": 2}, "ifmap_zeros_percent": 40}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"batch": 2, "layers": rows}), encoding="utf-8")
    first, last = read_table(path, published.EYERISS)
    assert first.exact()["active_PEs"] == 3 * 14 * 2
    assert first.exact()["glb_psum_KB"] == 32 * 14 * 32 * 2 / 1024
    assert first.megabytes("DRAM", first.cost) < first.megabytes("DRAM", first.dense)
    assert last.ofmap_zeros == Fraction(40, 100)
    assert last.measured()["total_ms"] > last.measured()["processing_ms"] > 0
    assert last.power_mw() < replace(last, row={**last.row, "ifmap_zeros_percent": 0}).power_mw()


NETWORK = read_table(published.VGG, published.EYERISS)


@pytest.mark.parametrize("layer", NETWORK, ids=[layer.name for layer in NETWORK])
def test_vgg16(layer: Layer) -> None:
    """What the chip was measured to do on another network, its mappings assumed; CONV1-2's rows were cut."""
    found = layer.measured()
    assert layer.exact()["active_PEs"] == layer.row["active_PEs"]
    for figure, limit in {"processing_ms": 0.1, "total_ms": 0.15, "GLB_MB": 0.105, "DRAM_MB": 0.16}.items():
        if (layer.name, figure) != ("CONV1-2", "DRAM_MB"):
            assert found[figure] == pytest.approx(layer.row[figure], rel=limit), figure


@pytest.mark.validate
@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_mappings_are_the_best_of_their_kind(layer: Layer) -> None:
    assert published.best_row_stationary(layer.nest, layer.target).parameters == FOUND["eyeriss"][layer.name]
