"""The kernel translated into Python against the compiled one: the same answers, to the last digit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import onnx
import pytest
from c_compiler import needs_compiler
from drawn import (
    Draw,
    that_divide,
    that_divide_with_bandwidths,
    that_share_tiles,
    with_bandwidths,
    with_constraints,
    with_padding,
    with_windows,
    without_windows,
)
from kernels import compiled
from onnx_models import model, node, random
from oracle import space
from small import small_model, write_small

import effc
from effc.compiler.cli import main
from effc.compiler.search import kernels, search
from effc.compiler.search.space import size
from effc.ir.errors import InputError

pytest.importorskip("pycparser")

from effc.compiler.search.translated.kernel import Kernel, kernel

pytestmark = pytest.mark.skipif(not kernels.COMPILED, reason="the kernel was not compiled")
quietly = pytest.mark.filterwarnings("ignore::effc.compiler.errors.KernelWarning")

DRAWS = {
    "without windows": without_windows,
    "with windows": with_windows,
    "with padding": with_padding,
    "with bandwidths": with_bandwidths,
    "with constraints": with_constraints,
    "steps that divide": that_divide,
    "identical tiles": that_share_tiles,
    "bandwidths, steps that divide": that_divide_with_bandwidths,
}


@dataclass(frozen=True)
class Call:
    """Of the kernel: its arguments, what it asked and was told, its answer."""

    arguments: tuple[bytes, float, int, float]
    judged: bool
    asked: list[tuple[tuple[Any, ...], float]]
    answer: kernels.Solution


class Recorder:
    """The compiled kernel, which remembers what it is asked."""

    def __init__(self, solve: Callable[..., kernels.Solution]) -> None:
        self.calls: list[Call] = []
        self.compiled = solve

    def __call__(
        self, problem: bytes, most: float, budget: int, deadline: float, judge: kernels.Asked | None = None
    ) -> kernels.Solution:
        asked: list[tuple[tuple[Any, ...], float]] = []

        def ask(*given: Any) -> float:
            assert judge is not None
            told = judge(*given)
            asked.append((given, told))
            return told

        answer = self.compiled(problem, most, budget, deadline, None if judge is None else ask)
        self.calls.append(Call((bytes(problem), most, budget, deadline), judge is not None, asked, answer))
        return answer


def replayed(call: Call, solve: Callable[..., kernels.Solution]) -> None:
    """Asks another kernel the same; it has to ask the same, too."""
    rest = iter(call.asked)

    def judge(*given: Any) -> float:
        expected, told = next(rest)
        assert given == expected
        return told

    found = solve(*call.arguments, judge if call.judged else None)
    assert found == call.answer
    assert list(map(type, found)) == list(map(type, call.answer))
    assert next(rest, None) is None


def calls(
    draw: Draw,
    seed: int,
    number: int,
    patch: pytest.MonkeyPatch,
    objective: str | None = None,
    solve: Callable[..., kernels.Solution] | None = None,
) -> list[Call]:
    """Those of the searches for so many small questions; ``solve``: of another kernel than that of effc."""
    recorder = Recorder(solve or kernels.solve)
    patch.setattr(kernels, "solve", recorder)
    for question in islice(questions(draw, seed), number):
        nest, target = question.nest, question.target
        try:
            search(
                nest,
                target,
                objective or question.objective,
                perfect_factors=question.perfect,
                constraints=question.rules,
            )
        except InputError:
            continue
    patch.undo()
    return recorder.calls


def questions(draw: Draw, seed: int) -> Any:
    for number in range(seed, seed + 100_000):
        question = draw(number)
        nest, target, perfect = question.nest, question.target, question.perfect
        if size(nest, target, perfect) <= 1000 and space(nest, target, perfect) <= 1000:
            yield question


@pytest.mark.parametrize("name", DRAWS)
def test_small_questions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = calls(DRAWS[name], 700_000, 6, monkeypatch)
    assert len(found) >= 6
    for call in found:
        replayed(call, kernel().solve)


def test_a_front(monkeypatch: pytest.MonkeyPatch) -> None:
    found = calls(that_divide, 710_000, 1, monkeypatch, "pareto")
    assert found
    for call in found:
        replayed(call, kernel().solve)


def artefact(source: onnx.ModelProto, target: str | Path, path: Path) -> bytes:
    effc.compile(source, target).save(path)
    return path.read_bytes()


@quietly
def test_an_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = model([node("MatMul", "x w", "y")], {"x": (2, 6)}, {"w": random((6, 4))})
    expected = artefact(product, "eyeriss_like", tmp_path / "compiled.effx")
    monkeypatch.setattr(kernels, "COMPILED", False)
    assert artefact(product, "eyeriss_like", tmp_path / "translated.effx") == expected


@pytest.mark.filterwarnings("always")
def test_the_command_line_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernels, "COMPILED", False)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    kernels.translated.cache_clear()
    layers = tmp_path / "layers.json"
    layers.write_text('[{"name": "a", "M": 2, "K": 3, "N": 4}, {"name": "b", "M": 4, "K": 2, "N": 2}]')
    assert main(["map", str(layers), "--target", "eyeriss_like", "--jobs", "1", "--no-cache"]) == 0
    assert capsys.readouterr().err.count("effc: warning: the search's kernel was not compiled") == 1


@quietly
@pytest.mark.validate
def test_an_artefact_of_several_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, target = write_small(tmp_path)
    expected = artefact(small_model(1), target, tmp_path / "compiled.effx")
    monkeypatch.setattr(kernels, "COMPILED", False)
    assert artefact(small_model(1), target, tmp_path / "translated.effx") == expected


@pytest.mark.validate
@pytest.mark.parametrize("objective", [None, "edp", "latency", "pareto"])
@pytest.mark.parametrize("name", DRAWS)
def test_many_questions(name: str, objective: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = calls(DRAWS[name], 720_000, 25, monkeypatch, objective)
    assert len(found) >= 25
    for call in found:
        replayed(call, kernel().solve)


@pytest.fixture(scope="module")
def without_rounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The kernel, compiled and translated, where geometric programs bound all boxes if ports are limited."""
    return compiled(tmp_path_factory.mktemp("kernel"), ROUNDS="0.0"), Kernel({"ROUNDS": "0.0"}).solve


@pytest.mark.validate
@needs_compiler
@pytest.mark.parametrize("seed", range(730_000, 730_100, 10))
def test_geometric_programs(seed: int, without_rounds: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    solve, translated = without_rounds
    for call in calls(with_bandwidths, seed, 5, monkeypatch, solve=solve):
        replayed(call, translated)
