"""The latency formula beside the machine's clock, which follows every tile of whole networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import effc
from effc.backends.accel.isa import NestLayer
from effc.backends.accel.timing import Clock
from effc.compiler.cost import evaluate_op

ROOT = Path(__file__).resolve().parents[2]

LONG = [pytest.param(name, marks=pytest.mark.validate) for name in ("squeezenet", "resnet18")]


@pytest.mark.parametrize("name", ["digits", *LONG])
def test_latency_is_that_of_the_clock(name: str, tmp_path: Path) -> None:
    """Within 2 % of the total, and within 5 % of every layer on the array."""
    subprocess.run([sys.executable, "models/build.py", name, "-o", tmp_path], cwd=ROOT, check=True)
    compiled = effc.compile(tmp_path / f"{name}.onnx", "eyeriss")
    assert compiled.program is not None
    layers = {layer.name: layer for layer in compiled.program.layers}
    predicted, followed = 0, 0
    for op in compiled.graph.nests:
        layer = layers[op.name]
        assert isinstance(layer, NestLayer)
        others = {name: compiled.graph.tensors[name].words for name in op.epilogue_inputs}
        timing = Clock(layer, compiled.target, others=others).run()
        cost = evaluate_op(op, compiled.graph, compiled.target)
        assert cost.cycles == pytest.approx(timing.cycles, rel=0.05), op.name
        assert timing.compute == cost.counters.cycles
        assert timing.ports == pytest.approx({port: float(busy) for port, busy in cost.latency.ports.items() if busy})
        predicted, followed = predicted + cost.cycles, followed + timing.cycles
    assert predicted == pytest.approx(followed, rel=0.02)
