"""Models that are not all layers on the array: what is refused, random, unknown to onnxruntime, or no tensor."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small import TINY, remembered_search, small_model

import effc
from effc.compiler import comparison
from effc.compiler.cli import main
from effc.compiler.cli_output import write_json
from effc.compiler.inputs import random_inputs

FLOAT = TensorProto.FLOAT


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    yield


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "odd", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def value(name: str, *shape: int | str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def tiny(text: str = TINY) -> effc.Target:
    return effc.parse_target(text)


def test_what_the_target_cannot_hold_goes_to_the_host_with_the_reason() -> None:
    """The buffer must keep a word of inputs and one of partial sums, but has room for one."""
    compiled = effc.compile(small_model(), tiny(TINY.replace("size 1 KiB", "size 1 word")))
    reasons = {op.name: op.reason for op in compiled.report.host}
    assert set(reasons) == {"conv1", "conv2", "conv3", "fc"}
    assert "conv3" in reasons["conv3"]
    assert "conv2" not in reasons["conv3"]
    assert compiled.verify().ok


def test_a_nest_that_no_node_stands_for_cannot_go_to_the_host() -> None:
    from dataclasses import dataclass, replace

    @dataclass(frozen=True)
    class Anonymous(effc.Pass):
        name = "anonymous"

        def run(self, graph: effc.Graph) -> effc.Graph:
            renamed = (replace(op, origin="") if isinstance(op, effc.NestOp) else op for op in graph.ops)
            return graph.with_ops(tuple(renamed))

    small = tiny(TINY.replace("size 1 KiB", "size 1 word"))
    with pytest.raises(effc.InputError, match="nest conv1"):
        effc.compile(small_model(), small, passes=[Anonymous()])


def test_random_numbers_are_not_compared() -> None:
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["y"], "dice")]
    verification = effc.compile(model(nodes, [value("x", 2)], [value("y", 2)]), tiny()).verify()
    assert verification.ok
    assert verification.notes == ("the outputs are not compared: 'dice' draws random numbers",)


def test_what_onnxruntime_cannot_run_is_compared_with_the_reference_of_onnx() -> None:
    """onnxruntime has no Relu of 16-bit integers."""
    nodes = [helper.make_node("Relu", ["x"], ["y"], "relu")]
    kinds = {"kind": TensorProto.INT16}
    verification = effc.compile(model(nodes, [value("x", 4, **kinds)], [value("y", 4, **kinds)]), tiny()).verify()
    assert verification.ok
    assert "the reference implementation of onnx" in verification.notes[0]


def test_sequences_are_compared_but_not_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = helper.make_tensor_sequence_value_info("parts", FLOAT, None)
    nodes = [helper.make_node("SplitToSequence", ["x"], ["parts"], "split", axis=0)]
    compiled = effc.compile(model(nodes, [value("x", 3, 2)], [parts]), tiny())
    assert compiled.verify().ok
    compiled.save(tmp_path / "s.effx")
    np.savez(tmp_path / "x.npz", x=np.ones((3, 2), np.float32))
    run = ["run", str(tmp_path / "s.effx"), "--input", str(tmp_path / "x.npz")]
    assert main(run) == 0
    assert capsys.readouterr().out == "parts: type Sequence\n"
    assert main([*run, "-o", str(tmp_path / "y.npz")]) == 2
    assert "no .npz file can hold it" in capsys.readouterr().err
    assert not (tmp_path / "y.npz").exists()


def test_texts_in_and_out(tmp_path: Path) -> None:
    texts = numpy_helper.from_array(np.array(["a", "b", "c"], dtype=object), "texts")
    index = value("i", 2, kind=TensorProto.INT64)
    nodes = [helper.make_node("Gather", ["texts", "i"], ["y"], "pick")]
    compiled = effc.compile(model(nodes, [index], [value("y", 2, kind=TensorProto.STRING)], [texts]), tiny())
    compiled.save(tmp_path / "t.effx")
    np.savez(tmp_path / "i.npz", i=np.array([2, 0]))
    out = tmp_path / "y.npz"
    assert main(["run", str(tmp_path / "t.effx"), "--input", str(tmp_path / "i.npz"), "-o", str(out)]) == 0
    assert np.load(out)["y"].tolist() == ["c", "a"]


def test_no_inputs_and_no_layers(tmp_path: Path) -> None:
    nodes = [helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.float32([1, 2])))]
    compiled = effc.compile(model(nodes, [], [value("y", 2)]), tiny())
    compiled.save(tmp_path / "c.effx")
    for verb in ("run", "verify", "report", "show"):
        assert main([verb, str(tmp_path / "c.effx")]) == 0


def test_random_inputs_depend_on_the_seed_alone() -> None:
    graph = effc.compile(small_model(), tiny()).graph
    first, again, other = (random_inputs(graph, seed)["x"] for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.5], [1.0, 2.0], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([1.0, 0.0], [0.0, 0.0], math.inf),
        ([math.nan, 1.0], [math.nan, 1.0], 0.0),
        ([math.nan, 1.0], [0.0, 1.0], math.inf),
        ([math.inf, 1.0], [math.inf, 2.0], 0.5),
        ([math.inf], [-math.inf], math.inf),
        ([], [], 0.0),
    ],
)
def test_errors_are_relative_to_the_largest_value(found: list[float], expected: list[float], error: float) -> None:
    assert comparison.relative_error(np.array(found, np.float32), np.array(expected, np.float32)) == error


def test_values_of_other_kinds_must_be_equal() -> None:
    three = np.arange(3)
    assert comparison.compare("y", "", "output", three, three, 1e-4).ok
    assert comparison.compare("y", "", "output", three, three + 1, 1e-4).differences == ("3 of 3 values differ",)
    assert not comparison.compare("y", "", "output", three, three[:2], 1e-4).ok
    assert not comparison.compare("y", "", "output", {"a": 1}, {"a": 2}, 1e-4).ok
    assert not comparison.compare("y", "", "output", [np.float32([1])], [np.float32([2])], 1e-4).ok


def test_json_has_no_infinities(capsys: pytest.CaptureFixture[str]) -> None:
    write_json("-", {"error": math.inf, "list": (math.nan, 1)})
    assert json.loads(capsys.readouterr().out) == {"error": None, "list": [None, 1]}


@pytest.mark.parametrize("first_found", [False, True])
def test_an_interrupted_map_prints_what_it_has(
    first_found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = tmp_path / "layers.json"
    layers.write_text(json.dumps([{"name": name, "M": m, "K": 2, "N": 2} for name, m in (("a", 2), ("b", 3))]))
    (tmp_path / "tiny.hw").write_text(TINY)

    def search(nest: effc.Nest, *rest: Any, progress: Callable[[effc.Best], None], **options: Any) -> effc.Best:
        best = remembered_search(nest, *rest, **options)
        if nest.name == "b":
            if first_found:
                progress(
                    replace(best, certificate=replace(best.certificate, status="bounded", lower_bound=Fraction(0)))
                )
            raise KeyboardInterrupt
        return best

    monkeypatch.setattr("effc.compiler.search.search", search)
    words = ["map", str(layers), "--target", str(tmp_path / "tiny.hw"), "--jobs", "1", "--no-cache", "--json", "-"]
    assert main(words) == 130
    shown = capsys.readouterr()
    found = {layer["name"]: layer["certificate"]["gap"] for layer in json.loads(shown.out)["layers"]}
    assert list(found) == (["a", "b"] if first_found else ["a"])
    assert found.get("b", 1) == 1
    assert shown.err == "effc: interrupted: 1 of 2 layers are done\n"
