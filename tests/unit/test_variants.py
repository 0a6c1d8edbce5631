"""One artefact for several sizes of symbolic dims: weights are shared, a run takes the program that fits."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import assert_close, model, node, random

import effc
from effc.backends.host import run_model
from effc.compiler.cli import main


@pytest.fixture(scope="module")
def made() -> onnx.ModelProto:
    nodes = [node("MatMul", "x w", "t"), node("Relu", "t", "y")]
    return model(nodes, {"x": ("N", "seq", 16)}, {"w": random((16, 64))})


@pytest.fixture(scope="module")
def path(made: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("variants") / "model.effx"
    effc.compile(made, "eyeriss", dims={"seq": [3, 5]}, time_limit=0.5).save(path)
    return path


@pytest.mark.parametrize("size", [3, 5])
def test_a_run_takes_the_program_that_fits(made: onnx.ModelProto, path: Path, size: int) -> None:
    program = effc.load(path)
    assert [variant.sizes for variant in program.variants] == ["seq=3", "seq=5"]
    x = random((1, size, 16))
    assert_close(program.run({"x": x})["y"], run_model(made, {"x": x})["y"])
    assert program.fitting({"x": x}).sizes == f"seq={size}"


def test_every_program_is_verified(path: Path) -> None:
    verification = effc.load(path).verify()
    assert verification.ok
    assert {name.partition(" ")[2] for name in (check.name for check in verification.checks)} == {"(seq=3)", "(seq=5)"}


def test_weights_are_stored_once(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert len([name for name in names if name.startswith("data/")]) == 1
    assert {"graph.txt", "graph_1.txt", "program.asm", "program_1.asm", "report_1.json"} <= set(names)


def test_inputs_that_fit_no_program(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(effc.InputError, match="has shape"):
        effc.load(path).run({"x": random((1, 4, 16))})
    np.savez(tmp_path / "x.npz", x=random((1, 4, 16)))
    assert main(["run", str(path), "--input", str(tmp_path / "x.npz")]) == 2
    assert "the input 'x' has shape [1, 4, 16], nor do other sizes fit" in capsys.readouterr().err


def test_on_the_command_line(made: onnx.ModelProto, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(made, tmp_path / "model.onnx")
    out = tmp_path / "model.effx"
    command = ["compile", str(tmp_path / "model.onnx"), "--target", "eyeriss", "--dim", "seq=3,5", "--no-cache"]
    assert main([*command, "--jobs", "1", "--time-limit", "1", "--json", "-", "-o", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    (other,) = report["variants"]
    assert (report["sizes"], other["sizes"]) == ("seq=3", "seq=5")
    assert (report["totals"]["macs"], other["report"]["totals"]["macs"]) == (3 * 16 * 64, 5 * 16 * 64)
    np.savez(tmp_path / "x.npz", x=random((1, 5, 16)))
    for verb in ("run", "verify"):
        assert main([verb, str(out), "--input", str(tmp_path / "x.npz")]) == 0
    capsys.readouterr()
    assert main(["report", str(out)]) == 0
    assert "seq=5" in capsys.readouterr().out


def test_every_combination_of_sizes() -> None:
    from effc.compiler.api import bindings

    assert bindings({"a": [1, 2], "b": 3}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    assert bindings({}) == [{}]
    with pytest.raises(effc.InputError, match="65 combinations of sizes"):
        bindings({"a": range(65)})
    with pytest.raises(effc.InputError, match="a has no value"):
        bindings({"a": []})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seq=-3", "seq is -3: a size is 0 or more"),
        ("seq=3,", "'' is no whole number"),
        ("seq=x", "'x' is no whole number"),
        ("seq", "'seq' is not NAME=VALUE"),
    ],
)
def test_sizes_that_are_none(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "model.onnx", "--target", "eyeriss", "--dim", text]) == 2
    assert message in capsys.readouterr().err
