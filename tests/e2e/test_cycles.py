"""The latency formula beside the machine's clock, which follows every tile of whole networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import effc
from effc.backends.accel.layer_clock import timings
from effc.compiler.cost import evaluate_op
from effc.compiler.target import bundled_targets

ROOT = Path(__file__).resolve().parents[2]

QUICK = [("digits", target) for target in ("eyeriss", "tpu_v1", "vta")]
LONG = [
    *(("digits", target) for target in ("gemmini", "nvdla_full", "simba_chiplet", "shidiannao", "eyeriss_like")),
    *((name, target) for name in ("squeezenet", "resnet18") for target in bundled_targets() if "_like" not in target),
]


@pytest.mark.parametrize(
    ("name", "target"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.validate) for case in LONG)]
)
def test_latency_is_that_of_the_clock(name: str, target: str, tmp_path: Path) -> None:
    """Within 2 % of the total, and within 5 % of every layer on the array."""
    subprocess.run([sys.executable, "models/build.py", name, "-o", tmp_path], cwd=ROOT, check=True)
    compiled = effc.compile(tmp_path / f"{name}.onnx", target)
    assert compiled.program is not None
    followed_layers = timings(compiled.program, compiled.target)
    predicted, followed = 0, 0
    for op in compiled.graph.nests:
        timing = followed_layers[op.name]
        cost = evaluate_op(op, compiled.graph, compiled.target)
        assert cost.cycles == pytest.approx(timing.cycles, rel=0.05), op.name
        assert timing.compute == cost.counters.cycles
        assert timing.ports == pytest.approx({port: float(busy) for port, busy in cost.latency.ports.items() if busy})
        predicted, followed = predicted + cost.cycles, followed + timing.cycles
    assert predicted == pytest.approx(followed, rel=0.02)


def test_the_report_says_what_the_clock_says(tmp_path: Path) -> None:
    """On `tpu_v1` the digits network spends its time on filling and emptying the machine."""
    subprocess.run([sys.executable, "models/build.py", "digits", "-o", tmp_path], cwd=ROOT, check=True)
    compiled = effc.compile(tmp_path / "digits.onnx", "tpu_v1")
    assert compiled.program is not None
    clock = timings(compiled.program, compiled.target)
    assert {name: compiled.report.layer(name).bound_by for name in clock} == {n: t.bound_by for n, t in clock.items()}
    assert "ramp-up" in {timing.bound_by for timing in clock.values()}
