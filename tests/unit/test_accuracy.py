"""The accuracy of classifiers on labelled samples."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from onnx_models import model, node

import effc
from effc.compiler.accuracy import accuracy, read_samples, with_accuracy
from effc.compiler.cli import main

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="module")
def program() -> effc.CompiledProgram:
    """Of two samples at a time; the class is the larger of two inputs."""
    made = model([node("MatMul", "x w", "y")], {"x": (2, 2)}, {"w": np.eye(2, dtype=np.float32)})
    return effc.compile(made, "eyeriss_like")


def test_the_last_batch_is_filled_up(program: effc.CompiledProgram) -> None:
    samples = np.array([[1, 0], [0, 1], [2, 3], [5, 4], [1, 2]], np.float32)
    assert accuracy(program, {"x": samples}, np.array([0, 1, 0, 0, 1])) == Fraction(4, 5)
    assert accuracy(program, {"x": samples}, np.array([0, 1, 1, 0, 0])) == Fraction(4, 5)


def test_an_output_of_classes() -> None:
    made = model([node("ArgMax", "x", "y", axis=1, keepdims=0)], {"x": (1, 3)})
    samples = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    assert accuracy(effc.compile(made, "eyeriss_like"), {"x": samples}, np.array([0, 2])) == 1


def test_the_digits_network(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sys.path.insert(0, str(MODELS))
    import build
    from onnx import save

    save(build.build("digits"), tmp_path / "digits.onnx")
    data, artefact = str(MODELS / "digits_test.npz"), str(tmp_path / "digits.effx")
    command = [
        "compile",
        str(tmp_path / "digits.onnx"),
        "--target",
        "eyeriss_like",
        "--batch",
        "359",
        "--time-limit",
        "2",
    ]
    assert main([*command, "--data", data, "-o", artefact]) == 0
    assert "task accuracy 98.61%" in capsys.readouterr().out
    assert main(["report", artefact]) == 0
    assert "task accuracy 98.61%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((3, 2), np.float32)}, "the array 'labels' is missing"),
        ({"labels": np.arange(3)}, "the array 'x' is missing"),
        ({"x": np.ones((3, 2), np.float32), "labels": np.zeros(4, int)}, r"'x' has shape \[3, 2\]"),
        ({"x": np.ones((3, 3), np.float32), "labels": np.zeros(3, int)}, r"'x' has shape \[3, 3\]"),
        ({"x": np.ones((3, 2)), "labels": np.zeros(3, int)}, "'x' is float64"),
        ({"x": np.ones((3, 2), np.float32), "labels": np.zeros(3)}, "'labels' is float64"),
        ({"x": np.ones((0, 2), np.float32), "labels": np.zeros(0, int)}, "there are no samples"),
        ({"x": np.ones((3, 2), np.float32), "labels": np.zeros(3, int), "z": np.zeros(3)}, "no input 'z'"),
    ],
)
def test_samples_that_do_not_fit(
    program: effc.CompiledProgram, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(effc.InputError, match=message):
        read_samples(tmp_path / "data.npz", program.graph)


def test_outputs_that_are_no_scores(tmp_path: Path) -> None:
    made = model([node("ReduceSum", "x", "y", keepdims=0)], {"x": (2, 2)})
    np.savez(tmp_path / "data.npz", x=np.ones((2, 2), np.float32), labels=np.zeros(2, int))
    with pytest.raises(effc.InputError, match="the output 'y' has no score"):
        with_accuracy(effc.compile(made, "eyeriss_like"), tmp_path / "data.npz")
