"""The report: its numbers, its JSON, its tables."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from effc.compiler.cost import evaluate
from effc.compiler.cost.vector import evaluate_vector
from effc.compiler.report import Report, build_report, from_json, model_info, to_json
from effc.compiler.report import text as shown
from effc.compiler.report.csv_ import to_csv
from effc.compiler.report.html import to_html
from effc.compiler.report.model import Access, Units
from effc.compiler.report.rows import moved
from effc.compiler.report.tables import console_for, print_report
from effc.compiler.search import search
from effc.compiler.search.result import Best
from effc.compiler.target import Target, load_target
from effc.ir import nests
from effc.ir.errors import InputError
from effc.ir.graph import Graph, NestOp, NodeOp, Tensor, View
from effc.ir.nest import Nest
from effc.ir.parser import parse_schedule
from effc.ir.printer import row_major


def uses(nest: Nest, tensors: dict[str, str]) -> dict[str, View]:
    return {name: View(tensors[name], 0, row_major(nest.operands[name].shape)) for name in nest.operands}


def small_graph() -> Graph:
    """A convolution on the array, an addition of a constant on the vector unit, a shape on the host."""
    nest = nests.conv2d(n=1, k=4, c=3, p=6, q=6, r=3, s=3, pad=1, name="conv <1>")
    tensors = {
        "x": Tensor("x", "float32", (1, 3, 6, 6)),
        "w": Tensor("w", "float32", (4, 3, 3, 3)),
        "t": Tensor("t", "float32", (1, 4, 6, 6)),
        "c": Tensor("c", "float32", (4, 1, 1)),
        "y": Tensor("y", "float32", (1, 4, 6, 6)),
        "s": Tensor("s", "int64", (4,)),
    }
    ops = (
        NestOp(nest, uses(nest, {"I": "x", "W": "w", "O": "t"}), "Conv", "conv"),
        NodeOp("add", "Add", ("t", "c"), ("y",), b"", where="vector"),
        NodeOp("shape", "Shape", ("y",), ("s",), b"", where="host", reason="the target has no unit for Shape"),
    )
    constants = {"w": np.ones((4, 3, 3, 3), np.float32), "c": np.ones((4, 1, 1), np.float32)}
    return Graph("small", ("x",), ("y", "s"), tensors, ops, constants)


def report_of(target: Target, graph: Graph | None = None) -> tuple[Report, Best]:
    graph = graph or small_graph()
    best = search(graph.nests[0].nest, target, objective="energy")
    report = build_report(
        model=model_info(graph, "0" * 64, "small.onnx"),
        target=target,
        objective="energy",
        graph=graph,
        results={graph.nests[0].name: best},
        search_s=1.5,
        compile_s=2.5,
    )
    return report, best


@pytest.fixture(scope="module")
def eyeriss() -> tuple[Report, Best]:
    return report_of(load_target("eyeriss"))


def test_a_layer_for_every_op_in_order(eyeriss: tuple[Report, Best]) -> None:
    report, best = eyeriss
    assert [(layer.name, layer.op, layer.where) for layer in report.layers] == [
        ("conv <1>", "Conv", "accel"),
        ("add", "Add", "vector"),
        ("shape", "Shape", "host"),
    ]
    assert report.host[0].reason == "the target has no unit for Shape"
    assert report.model.macs == best.nest.macs == 4 * 3 * 36 * 9
    assert report.model.parameters == 4 * 27 + 4


def test_the_counters_come_back_as_they_were(eyeriss: tuple[Report, Best]) -> None:
    report, best = eyeriss
    assert report.layers[0].counters(report.target).difference(best.counts.counters) == []


def test_the_schedule_parses_to_the_one_that_was_found(eyeriss: tuple[Report, Best]) -> None:
    report, best = eyeriss
    assert report.layers[0].schedule is not None
    schedule = parse_schedule(report.layers[0].schedule, best.nest)
    assert schedule == best.schedule
    assert evaluate(best.nest, schedule, best.target).energy == report.layers[0].energy


def test_energy_adds_up_by_level_and_by_operand(eyeriss: tuple[Report, Best]) -> None:
    report, _ = eyeriss
    for layer in report.layers[:2]:
        assert sum(layer.energy_by.values()) == layer.energy == layer.energy_pj
        assert sum(layer.energy_by_operand.values()) == layer.energy
    assert report.totals.energy == sum(layer.energy or 0 for layer in report.layers)
    assert sum(report.totals.energy_by.values()) == report.totals.energy


def test_totals_follow_from_the_layers(eyeriss: tuple[Report, Best]) -> None:
    totals = eyeriss[0].totals
    assert totals.cycles == sum(layer.cycles or 0 for layer in eyeriss[0].layers)
    assert totals.latency_ms == pytest.approx(totals.cycles / 200e3)
    assert totals.fps == pytest.approx(200e6 / totals.cycles)
    assert totals.dram_bytes == 2 * totals.dram_words
    assert totals.power_mw == pytest.approx(totals.energy / totals.cycles * 0.2)  # pJ per cycle x 200 MHz
    assert (totals.fps_target, totals.accuracy) == (30, None)
    assert totals.area_mm2 == pytest.approx(12.25, rel=0.15)  # the core, as published


def test_energy_in_a_unit_of_unknown_size_is_not_in_pj() -> None:
    report, _ = report_of(load_target("eyeriss_like"))
    assert report.totals.energy_pj is None
    assert report.totals.power_mw is None
    assert report.layers[0].energy_pj is None
    assert report.totals.energy > 0


def test_a_vector_op_reads_and_writes_each_word_once() -> None:
    target, graph = load_target("eyeriss"), small_graph()
    cost = evaluate_vector(graph.ops[1], graph, target)  # type: ignore[arg-type]
    assert cost.counters.reads == {("DRAM", "I"): 144 + 4}
    assert cost.counters.writes == {("DRAM", "O"): 144}
    assert cost.cycles == -(-(148 + 144) * 16 * 10 // 192)  # 19.2 bits per core cycle, both ways in turns
    assert cost.latency.bound_by == "DRAM port"
    assert cost.energy == (148 + 144) * 460 + 144 * 2 + 700 * cost.cycles  # 140 mW at 200 MHz
    assert evaluate_vector(graph.ops[1], graph, load_target("eyeriss_like")).cycles == 36  # type: ignore[arg-type]


def test_json_and_back(eyeriss: tuple[Report, Best]) -> None:
    text = to_json(eyeriss[0])
    assert from_json(text) == eyeriss[0]
    assert to_json(from_json(text)) == text
    assert json.loads(text)["schema"] == 1


def test_the_names_of_schema_1(eyeriss: tuple[Report, Best]) -> None:
    data = json.loads(to_json(eyeriss[0]))
    assert list(data) == ["schema", "effc", "model", "target", "objective", "totals", "layers", "host"]
    assert data["model"].keys() >= {"path", "sha256", "macs", "parameters"}
    assert data["target"].keys() >= {"name", "sha256", "units"}
    totals = "macs energy_pj cycles latency_ms fps dram_words dram_bytes area_mm2 power_mw accuracy fps_target"
    assert data["totals"].keys() >= {*totals.split(), "search_s", "compile_s"}
    layer = "name op where dims macs schedule energy_pj energy_by cycles bound_by utilization accesses certificate"
    assert all(entry.keys() >= set(layer.split()) for entry in data["layers"])
    certificate = "status value lower_bound gap floor_dram_words space expanded discarded search_s"
    assert data["layers"][0]["certificate"].keys() >= set(certificate.split())
    assert data["layers"][0]["dims"] == {"N": 1, "K": 4, "C": 3, "P": 6, "Q": 6, "R": 3, "S": 3}
    assert data["layers"][0]["accesses"]["DRAM"]["W"] == {"read": 108, "write": 0}
    assert data["host"] == [{"name": "shape", "op": "Shape", "reason": "the target has no unit for Shape"}]


def test_what_is_stored_holds_no_times_and_no_paths(eyeriss: tuple[Report, Best]) -> None:
    stored = eyeriss[0].stored()
    text = to_json(stored)
    assert "small.onnx" not in text
    assert json.loads(text)["totals"]["search_s"] is json.loads(text)["layers"][0]["certificate"]["expanded"] is None
    assert stored == replace(eyeriss[0], totals=replace(eyeriss[0].totals, search_s=9.0)).stored()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema": 1,', '"schema": 2,', "schema is 2"),
        ('"objective": "energy"', '"objective": 3', "objective is 3\n  expected: text"),
        ('"objective": "energy",', "", "objective is missing"),
        ('"objective": "energy"', '"speed": 1, "objective": "energy"', "unknown key speed"),
        (
            '"where": "accel"',
            '"where": "moon"',
            "layers[0].where is \"moon\"\n  expected: 'accel' or 'vector' or 'host'",
        ),
        ('"macs": 3888', '"macs": true', "model.macs is true\n  expected: a whole number"),
        ('"macs": 3888', '"macs": 1.5', "model.macs is 1.5\n  expected: a whole number"),
        ('"search_s": 1.5', '"search_s": NaN', "totals.search_s is nan\n  expected: a finite number"),
        ('"search_s": 1.5', '"search_s": "fast"', 'totals.search_s is "fast"\n  expected: a number'),
        ('{\n "schema"', "{\n schema", "not JSON"),
        ('"host": [', '"host": ' + "[" * 3000 + "[", "nested more than 20 deep"),
    ],
)
def test_a_damaged_report(eyeriss: tuple[Report, Best], old: str, new: str, message: str) -> None:
    text = to_json(eyeriss[0])
    assert old in text
    with pytest.raises(InputError) as error:
        from_json(text.replace(old, new, 1), "a.effx")
    assert str(error.value).startswith("a.effx: error: damaged report: ")
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '"a"', "{}", "\x00", "{" * 50000, '{"schema": true}'])
def test_no_report_at_all(text: str) -> None:
    with pytest.raises(InputError):
        from_json(text)


def test_a_truncated_report(eyeriss: tuple[Report, Best]) -> None:
    text = to_json(eyeriss[0])
    for end in range(0, len(text) - 2, 97):
        with pytest.raises(InputError):
            from_json(text[:end])


def printed(report: Report, width: int) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=width), ["outputs equal onnxruntime"])
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 100, 132, 160])
@pytest.mark.parametrize("target", ["eyeriss", "eyeriss_like"])
def test_the_tables_fit_the_terminal(width: int, target: str) -> None:
    text = printed(report_of(load_target(target))[0], width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in text
    layers = lines[lines.index("Layers") + 1]
    for head in ("layer", "energy", "cycles", "util", "gap"):
        assert head in layers
    assert (" bound by " in layers) == (width >= 100)


def test_a_very_narrow_terminal_still_shows_every_layer(eyeriss: tuple[Report, Best]) -> None:
    assert "add" in printed(eyeriss[0], 40)


def test_the_tables_say_what_moved_and_what_it_costs(eyeriss: tuple[Report, Best]) -> None:
    text = printed(eyeriss[0], 132)
    for words in (
        "Where the words moved",
        "vector out",
        "the target has no unit for Shape",
        "460 pJ",
        "1 ops on the array, 1 on the vector unit, 1 on the host",
        "goal of 30 frames/s reached",
        "search 1.5 s, compile 2.5 s",
        "outputs equal onnxruntime",
    ):
        assert words in text


def test_the_words_of_the_net_account_for_its_energy(eyeriss: tuple[Report, Best]) -> None:
    report = eyeriss[0]
    elsewhere = sum(report.totals.energy_by[part] for part in ("MAC", "vector", "leakage", "clock"))
    assert sum(entry.energy for entry in moved(report)) == report.totals.energy - elsewhere


def test_a_terminal_obeys_no_name(eyeriss: tuple[Report, Best]) -> None:
    layer = replace(eyeriss[0].layers[0], name="\x1b[31m[bold]red[/bold]\n\u202e")
    text = printed(replace(eyeriss[0], layers=(layer,)), 132)
    assert "[bold]red[/bold]??" in text


def test_output_that_is_no_terminal_is_plain_and_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console_for(io.StringIO()).width == 132
    monkeypatch.setenv("COLUMNS", "99")
    assert console_for(io.StringIO()).width == 99


def test_csv_has_a_row_per_layer(eyeriss: tuple[Report, Best]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(eyeriss[0]))))
    assert [row["layer"] for row in rows] == ["conv <1>", "add", "shape"]
    assert rows[0]["energy [pJ]"] == str(eyeriss[0].layers[0].energy)
    assert rows[1]["DRAM I read [words]"] == "148"
    assert rows[2]["reason"] == "the target has no unit for Shape"
    assert rows[2]["energy [pJ]"] == ""


class Tags(HTMLParser):
    """The tags of a page; every one that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {"src", "href", "onload"} & {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_escapes_everything(eyeriss: tuple[Report, Best]) -> None:
    hostile = '<script>alert(1)</script>&"'
    report = replace(eyeriss[0], layers=tuple(replace(layer, name=hostile) for layer in eyeriss[0].layers))
    report = replace(report, host=tuple(replace(op, name=hostile, reason=hostile) for op in report.host))
    page, tags = to_html(report), Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.seen >= {"svg", "table", "details", "rect"}
    assert "script" not in tags.seen
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_chart_has_a_bar_for_every_layer_as_long_as_its_energy(eyeriss: tuple[Report, Best]) -> None:
    chart = ElementTree.fromstring(re.findall(r"<svg.*</svg>", to_html(eyeriss[0]), re.DOTALL)[0])
    rows: dict[str, float] = {}
    for bar in chart.findall("rect"):
        if bar.find("title") is not None:
            rows[bar.attrib["y"]] = rows.get(bar.attrib["y"], 0) + float(bar.attrib["width"])
    first, second = rows.values()
    conv, add = (layer.energy or 0 for layer in eyeriss[0].layers[:2])
    assert second / first == pytest.approx(add / conv, rel=1e-3)


def field_names(value: Any) -> Iterator[str]:
    """The names of all fields of a dataclass and of the dataclasses in it."""
    if is_dataclass(value):
        for field in fields(value):
            yield field.name
            yield from field_names(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from field_names(item)
    elif isinstance(value, dict):
        yield from field_names(list(value.values()))


def test_every_field_is_documented(eyeriss: tuple[Report, Best]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(?:units\.)?(\w+)`", page))
    assert set(field_names(eyeriss[0])) >= {field.name for field in fields(Access)}
    assert set(field_names(eyeriss[0])) <= documented | {"units"}


@pytest.mark.parametrize(
    ("energy", "text"),
    [(0, "0.00 pJ"), (999, "999.00 pJ"), (999_999, "1.00 uJ"), (12_345_678, "12.35 uJ"), (2e12, "2.00 J"), (None, "-")],
)
def test_energies_have_units(energy: float | None, text: str) -> None:
    assert shown.energy(Units("pJ", 1, 16, 200), energy) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1000, "1.0 k"), (999_960, "1.0 M"), (12_345_678, "12.3 M")]
)
def test_large_numbers_are_short(value: int, text: str) -> None:
    assert shown.short(value) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(286.48, "286.5 ms"), (0.09091, "90.91 us"), (8.143e-5, "81.43 ns"), (12345, "12,345 ms")],
)
def test_durations_have_units(milliseconds: float, text: str) -> None:
    assert shown.duration(milliseconds) == text


def test_little_is_not_nothing() -> None:
    assert [shown.percent(share) for share in (0, 0.0001, 0.004, 0.006, 1, None)] == [
        "0%",
        "<1%",
        "<1%",
        "1%",
        "100%",
        "-",
    ]
