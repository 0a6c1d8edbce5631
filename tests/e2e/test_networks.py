"""Real networks, compiled, run and verified by the command a user types; the light models of onnx's wheel, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

ROOT = Path(__file__).resolve().parents[2]
LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx"))
MODELS = ["digits", pytest.param("squeezenet", marks=pytest.mark.validate), "resnet18"]


def run(*command: str | Path) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def compile_and_verify(model: Path, *options: str) -> dict[str, Any]:
    """The JSON report of ``effc compile --verify``; it exits 0 only if values and every counter agree."""
    text = run("-m", "effc", "compile", model, "--target", "eyeriss.hw", "--verify", "--json", "-", *options)
    report: dict[str, Any] = json.loads(text)
    return report


def check_places(model: Path, report: dict[str, Any]) -> None:
    """Every convolution and matrix product of the model is a layer on the array."""
    nodes = onnx.load(model, load_external_data=False).graph.node
    expected = [node.op_type for node in nodes if node.op_type in ("Conv", "Gemm", "MatMul")]
    layers = [layer["op"] for layer in report["layers"] if layer["where"] == "accel"]
    assert sorted(layers) == sorted(expected)
    assert report["totals"]["macs"] == sum(layer["macs"] for layer in report["layers"])


def check_model(name: str, folder: Path, *options: str) -> None:
    run("models/build.py", name, "-o", folder)
    model = folder / f"{name}.onnx"
    check_places(model, compile_and_verify(model, *options))


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, tmp_path: Path) -> None:
    check_model(name, tmp_path, "--time-limit", "20")


@pytest.mark.validate
@pytest.mark.parametrize("model", LIGHT, ids=lambda path: path.stem)
def test_light_model(model: Path) -> None:
    compile_and_verify(model)
