"""Traces: the rules of Chrome's trace event format that Perfetto reads, and that slices add up to the cycles."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from cases import random_case
from mutants import program_of
from small import remembered_search, write_small
from test_timing import limited

import effc
from effc.backends.accel import Machine, Trace
from effc.backends.accel.trace import LIMIT, WINDOWS
from effc.compiler.cli import main

Event = dict[str, Any]


def check_format(trace: dict[str, Any]) -> None:
    """The rules of the "Trace Event Format"."""
    assert json.loads(json.dumps(trace, allow_nan=False)) == trace
    assert trace["displayTimeUnit"] in ("ms", "ns")
    tracks = {e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert len(set(tracks.values())) == len(tracks)
    before = 0.0
    for event in trace["traceEvents"]:
        assert event["ph"] in "MXC" and event["pid"] == 1 and event["name"]
        if event["ph"] == "M":  # metadata: names of processes and tracks
            assert "ts" not in event
            continue
        assert event["ts"] >= before  # in the order of time, in microseconds
        before = event["ts"]
        if event["ph"] == "X":  # a complete slice
            assert event["dur"] >= 0 and event["tid"] in tracks and event["cat"]
        else:  # a counter: its args are series of numbers
            assert all(value >= 0 for value in event["args"].values())


def slices(trace: dict[str, Any]) -> dict[str, list[Event]]:
    tracks = {e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    found = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            found[tracks[event["tid"]]].append(event)
    return found


def check_slices(trace: dict[str, Any], clock_mhz: float) -> None:
    """No two slices of a track overlap; those of the array fill each of its layers, and layers the run."""
    found = slices(trace)
    for track in found.values():
        for one, after in pairwise(track):
            assert one["ts"] + one["dur"] <= after["ts"] + 1e-6 * (1 + after["ts"])
    cycles = trace["otherData"]["cycles"]
    assert sum(e["dur"] for e in found["layers"]) * clock_mhz == pytest.approx(cycles)
    for layer in found["layers"]:
        if layer["args"]["where"] == "array":
            parts = [e["dur"] for e in found["array"] if e["cat"] == layer["name"]]
            assert sum(parts) == pytest.approx(layer["dur"])


@pytest.mark.parametrize("seed", range(20))
def test_traces_of_random_programs(seed: int) -> None:
    random = Random(seed)
    case = limited(random_case(random, macs=20_000), random)
    trace = Trace("random", case.target.clock_mhz)
    result = Machine(case.target, np.float64, trace=trace).run(program_of(case), {}, case.arrays)
    document = trace.to_json()
    check_format(document)
    check_slices(document, float(case.target.clock_mhz))
    timing = result.timings[case.nest.name]
    assert trace.cycles == timing.cycles
    shares = [e["args"]["percent"] for e in document["traceEvents"] if e["name"] == "array utilization"]
    assert len(shares) == WINDOWS and max(shares) <= 100
    if sum(map(len, slices(document).values())) < LIMIT:
        assert sum(shares) / WINDOWS == pytest.approx(100 * timing.utilization, rel=0.02, abs=0.5)
    found = slices(document)
    engines = len(found) - 1
    assert sum(map(len, found.values())) <= 1 + LIMIT + engines
    assert (
        timing
        == Machine(case.target, np.float64, cycles=True).run(program_of(case), {}, case.arrays).timings[case.nest.name]
    )


def test_run_writes_a_trace_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    model, target = write_small(tmp_path)
    effc.compile(model, target).save(tmp_path / "small.effx")
    np.savez(tmp_path / "x.npz", x=np.ones((1, 2, 3, 3), np.float32))
    run = ["run", str(tmp_path / "small.effx"), "--input", str(tmp_path / "x.npz")]
    assert main([*run, "--trace", str(tmp_path / "t.json"), "--json", str(tmp_path / "r.json")]) == 0
    assert "the array waits for" in capsys.readouterr().out
    trace = json.loads((tmp_path / "t.json").read_text())
    check_format(trace)
    check_slices(trace, 100)
    assert {"layers", "array", "vector unit", "load W spad", "store O GLB"} <= slices(trace).keys()
    assert {e["name"] for e in trace["traceEvents"] if e["ph"] == "C"} >= {"I GLB", "W spad"}
    layers = json.loads((tmp_path / "r.json").read_text())["layers"]
    times = {layer["name"]: layer["cycles"] for layer in layers if "cycles" in layer}
    assert sum(times.values()) == trace["otherData"]["cycles"]
    assert {e["name"] for e in slices(trace)["layers"]} >= times.keys()
    assert main([*run, "--mode", "cycle", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == layers
    assert main([*run, "--json", "-"]) == 0
    functional = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["counters"] for layer in functional] == [layer["counters"] for layer in layers]
    assert "cycles" not in functional[0]


@pytest.mark.validate
def test_the_trace_of_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-18 on eyeriss: a file in the format, whose slices add up to the cycles that the run reports."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "models"))
    from build import write

    effc.compile(write("resnet18", tmp_path), "eyeriss", time_limit=10).save(tmp_path / "net.effx")
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    np.savez(tmp_path / "x.npz", input=image)
    files = [
        "--input",
        str(tmp_path / "x.npz"),
        "--trace",
        str(tmp_path / "t.json"),
        "--json",
        str(tmp_path / "r.json"),
    ]
    assert main(["run", str(tmp_path / "net.effx"), *files]) == 0
    assert (tmp_path / "t.json").stat().st_size < 20e6
    trace = json.loads((tmp_path / "t.json").read_text())
    check_format(trace)
    check_slices(trace, 200)
    layers = json.loads((tmp_path / "r.json").read_text())["layers"]
    times = {layer["name"]: layer["cycles"] for layer in layers if "cycles" in layer}
    assert len(times) >= 21
    assert sum(times.values()) == trace["otherData"]["cycles"]
    shown = {layer["name"]: layer["dur"] for layer in slices(trace)["layers"]}
    assert {name: shown[name] * 200 for name in times} == pytest.approx(times)
