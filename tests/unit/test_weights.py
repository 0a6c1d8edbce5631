"""Large initializers stay in the file: what the message lacks is there, whoever wrote it, and whatever is damaged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from small import TINY, remembered_search, small_model
from test_onnx_errors import mutated

import effc
from effc.compiler.errors import InputError
from effc.compiler.frontend import weights
from effc.compiler.frontend.read import read_model
from effc.compiler.frontend.weights import split
from effc.ir.constants import is_fixed


def large_model() -> onnx.ModelProto:
    """A product with weights of 1200 bytes, others of 24, and some that are written as floats."""
    rng = np.random.default_rng(5)
    w, b = rng.standard_normal((10, 30)).astype(np.float32), np.ones(6, np.float32)
    floats = helper.make_tensor("f", TensorProto.FLOAT, [30, 30], rng.standard_normal(900).tolist())
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["t"]),
        helper.make_node("MatMul", ["t", "f"], ["u"]),
        helper.make_node("MatMul", ["u", "h"], ["y"]),
    ]
    half = numpy_helper.from_array(rng.standard_normal((30, 40)).astype(np.float32), "h")
    half.doc_string = "a text"
    ends = [helper.make_tensor_value_info(*end) for end in (("x", 1, [2, 10]), ("y", 1, [2, 40]))]
    tensors = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b"), floats, half]
    graph = helper.make_graph(nodes, "large", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def joined(message: bytes, parts: dict[int, memoryview]) -> onnx.ModelProto:
    """The model that was split."""
    model = onnx.ModelProto.FromString(message)
    for position, data in parts.items():
        assert not model.graph.initializer[position].raw_data
        model.graph.initializer[position].raw_data = bytes(data)
    return model


def test_a_model_in_two_parts_is_the_model() -> None:
    made = large_model()
    content = made.SerializeToString()
    message, parts = split(memoryview(content))
    assert list(parts) == [0, 3]
    assert len(message) < len(content) - sum(map(len, parts.values())) + 20
    assert joined(message, parts) == made


def test_damage_is_what_it_was() -> None:
    """Of a damaged file the parts make what protobuf reads of the whole, or protobuf refuses both."""
    content = large_model().SerializeToString()
    seen = set()
    for seed in range(1500):
        damaged = mutated(content, random.Random(seed))
        message, parts = split(memoryview(damaged))
        try:
            whole = onnx.ModelProto.FromString(damaged)
        except DecodeError:
            with pytest.raises(DecodeError):
                joined(message, parts)
            seen.add("refused")
            continue
        assert joined(message, parts).SerializeToString() == whole.SerializeToString()
        seen.add(f"{len(parts)} parts")
    assert {"refused", "1 parts", "2 parts"} <= seen


def test_what_is_written_twice_is_left_to_protobuf() -> None:
    content = large_model().SerializeToString()
    assert split(memoryview(content + content)) == (content + content, {})
    assert split(memoryview(b"")) == (b"", {})


def test_many_fields_are_left_to_protobuf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MOST_FIELDS", 1000)
    content = large_model().SerializeToString() + b"\x28\x01" * 1000  # a version, again and again
    assert split(memoryview(content)) == (content, {})


def test_weights_of_another_size_are_an_error(tmp_path: Path) -> None:
    made = large_model()
    made.graph.initializer[0].dims[0] = 11
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match="the model is not valid ONNX: cannot reshape"):
        read_model(tmp_path / "m.onnx")


def test_a_file_and_a_message_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the weights are: in the file, in another one, or in memory."""
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    made, target = large_model(), effc.parse_target(TINY)
    path = tmp_path / "large.onnx"  # the name that the model has
    path.write_bytes(made.SerializeToString(deterministic=True))
    effc.compile(made, target).save(tmp_path / "message.effx")
    compiled = effc.compile(path, target, in_place=True)
    assert is_fixed(compiled.graph.constants["w"])
    assert compiled.verify().ok
    compiled.save(tmp_path / "file.effx")
    assert (tmp_path / "message.effx").read_bytes() == (tmp_path / "file.effx").read_bytes()
    onnx.save(made, tmp_path / "e.onnx", save_as_external_data=True, location="e.bin", size_threshold=0)
    for in_place in (False, True):
        outside = effc.compile(tmp_path / "e.onnx", target, in_place=in_place)
        assert is_fixed(outside.graph.constants["w"])
        for name, value in compiled.graph.constants.items():
            assert np.array_equal(outside.graph.constants[name], value)
        assert outside.verify().ok


def test_a_file_may_change_behind_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    path = tmp_path / "m.onnx"
    path.write_bytes(large_model().SerializeToString())
    compiled = effc.compile(path, effc.parse_target(TINY))
    path.write_bytes(b"")
    assert compiled.verify().ok


CUT = """
import os, sys
from pathlib import Path
from effc.compiler import api, cli

model, when = Path(sys.argv[1]), sys.argv[2]
place, name = {"read": (api, "find_target"), "saved": (api.CompiledProgram, "saving")}[when]
plain = getattr(place, name)

def cut(*given):
    os.truncate(model, 5000)
    return plain(*given)

setattr(place, name, cut)
options = ["--target", "eyeriss_like", "--no-cache", "-o", str(model.with_suffix(".effx"))]
sys.exit(cli.main(["compile", str(model), *options]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be cut")
@pytest.mark.parametrize("when", ["read", "saved"])
def test_a_file_that_is_cut_while_it_is_used_is_one_error(tmp_path: Path, when: str) -> None:
    weights = np.random.default_rng(0).standard_normal((2000, 300)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (1, 2000)), ("y", (1, 300)))]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    command = [sys.executable, "-c", CUT, str(path), when]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}: error: the file has changed since it was opened")
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_a_program_whose_model_was_written_to_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    path = tmp_path / "m.onnx"
    path.write_bytes(large_model().SerializeToString())
    compiled = effc.compile(path, effc.parse_target(TINY), in_place=True)
    with path.open("r+b") as file:
        file.write(path.read_bytes()[:10])
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match="the file has changed"):
        compiled.save(tmp_path / "m.effx")
    assert not (tmp_path / "m.effx").exists()


def test_small_models_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(small_model().SerializeToString())
    assert read_model(tmp_path / "m.onnx").proto.graph.name == small_model().graph.name
