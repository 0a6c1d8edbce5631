"""The artefact: what is saved is what is loaded, damage is noticed, and nothing in a file is trusted."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small import TINY, remembered_search, small_model, write_small

import effc
from effc.compiler import container, original
from effc.compiler.artefact import load
from effc.compiler.container import Container, write_container
from effc.compiler.files import Outflow, atomic_file
from effc.ir.bodies import every_constant
from effc.ir.constants import StoredConstant, array_bytes

Entries = dict[str, bytes]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefact")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("effc.compiler.search.search", remembered_search)
        model, target = write_small(folder)
        effc.compile(model, target).save(folder / "small.effx")
    return folder / "small.effx"


def test_what_is_loaded_is_what_was_saved(saved: Path, tmp_path: Path) -> None:
    compiled = effc.compile(saved.with_name("small.onnx"), saved.with_name("tiny.hw"))
    loaded = effc.load(saved)
    assert effc.print_graph(loaded.graph) == effc.print_graph(compiled.graph)
    assert (loaded.target, loaded.program, loaded.backend) == (compiled.target, compiled.program, compiled.backend)
    assert loaded.report == compiled.report.stored()
    assert loaded.show() == compiled.show()
    loaded.save(tmp_path / "again.effx")
    assert (tmp_path / "again.effx").read_bytes() == saved.read_bytes()


def test_a_loaded_program_runs_and_verifies_without_the_model(saved: Path) -> None:
    loaded = effc.load(saved)
    x = np.linspace(-1, 1, 18, dtype=np.float32).reshape(1, 2, 3, 3)
    assert loaded.run({"x": x})["y"].shape == (1, 12)
    verification = loaded.verify({"x": x})
    assert verification.ok, verification.failed
    assert {check.where for check in verification.checks} == {"output", "accel", "vector"}
    assert sum(check.counters for check in verification.checks) > 50


def test_weights_are_stored_once_and_the_archive_is_a_model(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        archive.extractall(tmp_path)
    files = list((tmp_path / "data").iterdir())
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in files)
    assert sorted(path.stat().st_size for path in files) == sorted(4 * n for n in (72, 4, 108, 108, 324, 12))
    with_data = onnx.load(tmp_path / "model.onnx")
    assert numpy_helper.to_array(with_data.graph.initializer[3]).shape == (12, 27)


def test_equal_inputs_give_equal_bytes_whatever_the_run(saved: Path, tmp_path: Path) -> None:
    """Another process, another hash seed, another folder, a parallel search, and one whose answers are on disk."""
    model, target, out = saved.with_name("small.onnx"), saved.with_name("tiny.hw"), tmp_path / "other.effx"
    for seed, jobs in (("1", "2"), ("2", "1")):
        command = ["compile", str(model), "--target", str(target), "-o", str(out), "--jobs", jobs]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "EFFC_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-m", "effc", *command], check=True, env=environment, stdout=subprocess.DEVNULL)
        assert out.read_bytes() == saved.read_bytes()
        assert (tmp_path / "nests.sqlite").exists()


def refused(path: Path) -> str:
    """The message for a file that must not load."""
    with pytest.raises(effc.InputError) as caught:
        effc.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert len(message) < 2000
    return message


def test_every_damage_is_noticed(saved: Path, tmp_path: Path) -> None:
    good, path = saved.read_bytes(), tmp_path / "bad.effx"
    chance = random.Random(1)
    cuts = {*range(100), *chance.sample(range(len(good)), 150), *range(len(good) - 120, len(good))}
    for cut in sorted(cuts):
        path.write_bytes(good[:cut])
        refused(path)
    for _ in range(400):
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        refused(path)
    for tail in (b"\0", b"x" * 100, good):
        path.write_bytes(good + tail)
        refused(path)


def test_the_message_says_what_to_do(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.effx"
    path.write_bytes(saved.read_bytes().replace(b"manifest", b"manifesT"))
    assert refused(path) == (
        f"{path}: error: damaged file: its checksum does not fit its contents\n"
        "  expected: a .effx file, as `effc compile -o` writes it\n"
        "  remedy:   compile the model again"
    )
    path.write_bytes(b"hello")
    assert "this is no .effx file, or its end is damaged" in refused(path)
    assert "no such file" in refused(tmp_path / "none.effx")
    assert "this is a folder" in refused(tmp_path)


# Files whose seal is in order, but which no compiler wrote


def entries(path: Path) -> Entries:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def reseal(path: Path, contents: Entries) -> Path:
    """Write a container with these contents, and its manifest and seal in order."""
    data = {name.removeprefix("data/"): content for name, content in contents.items() if name.startswith("data/")}
    texts = {name: content for name, content in contents.items() if not name.startswith(("data/", "manifest"))}
    write_container(path, texts, data)
    return path


def edited(name: str, old: bytes, new: bytes) -> Callable[[Entries], None]:
    def edit(contents: Entries) -> None:
        assert old in contents[name]
        contents[name] = contents[name].replace(old, new)

    return edit


def without(name: str) -> Callable[[Entries], None]:
    return lambda contents: contents.__delitem__(name)


def first_data(contents: Entries) -> str:
    return next(name for name in contents if name.startswith("data/"))


def swap_data(contents: Entries) -> None:
    contents[first_data(contents)] += b"\0\0\0\0"


def lose_data(contents: Entries) -> None:
    del contents[first_data(contents)]


HOSTILE: dict[str, tuple[Callable[[Entries], None], str]] = {
    "no graph": (without("graph.txt"), "the entry graph.txt is missing"),
    "no model": (without("model.onnx"), "the entry model.onnx is missing"),
    "no program": (without("program.asm"), "the entry program.asm is missing"),
    "no backend": (edited("artefact.json", b"accel", b"magic"), "names no backend"),
    "graph": (edited("graph.txt", b"nest conv1 (", b"nest conv1 [("), "unexpected"),
    "graph with another constant": (edited("graph.txt", b"float32[4, 2, 3, 3]", b"float64[4, 2, 3, 3]"), ""),
    "graph with a type of objects": (edited("graph.txt", b"b1 : float32", b"b1 : object"), "constant 'b1'"),
    "graph with a type that is none": (edited("graph.txt", b"b1 : float32", b'b1 : "f4,f4"'), "constant 'b1'"),
    "graph with a function of numpy": (edited("graph.txt", b"b1 : float32", b"b1 : finfo"), "constant 'b1'"),
    "graph in another encoding": (edited("graph.txt", b"graph", b"gr\xffph"), "no text in UTF-8"),
    "target": (edited("target.hw", b"KiB", b"KiBs"), "unknown unit"),
    "report": (edited("report.json", b'"schema": 1', b'"schema": "1"'), "damaged report"),
    "report that nests": (edited("report.json", b"{", b"[" * 5000 + b"{"), "damaged report"),
    "program": (edited("program.asm", b"nest ", b"nets "), ""),
    "program of other layers": (edited("program.asm", b'"conv2"', b'"conv9"'), "other layers than the graph"),
    "program of other tensors": (edited("program.asm", b"float32", b"float16"), "another tensor"),
    "program of other ops": (
        edited("program.asm", b'vector "softmax" op "Softmax"', b'vector "softmax" op "Hardmax"'),
        "another op 'softmax'",
    ),
    "program of other steps": (
        edited("program.asm", b'op "Relu"', b'op "Selu"'),
        "layer 'conv1' of the program has another epilogue",
    ),
    "schedule of another target": (edited("target.hw", b"GLB", b"LLB"), "tiny has no level GLB"),
    "data of another digest": (swap_data, "is not what its name says"),
    "data missing": (lose_data, "is missing"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_sealed_file_is_not_trusted(what: str, saved: Path, tmp_path: Path) -> None:
    edit, message = HOSTILE[what]
    contents = entries(saved)
    edit(contents)
    assert message in refused(reseal(tmp_path / "hostile.effx", contents))


def seal(path: Path) -> None:
    """Put the right checksum at the end of a zip file with a comment of the right length."""
    with path.open("r+b") as file, suppress(zipfile.BadZipFile):
        holes = container._contents(file, zipfile.ZipFile(file).infolist())
        digest = container._digest(file, 0, size := file.seek(0, 2) - 64, holes)
        file.seek(size)
        file.write(digest.encode())


Members = list[tuple[str | zipfile.ZipInfo, bytes, int]]

ARCHIVES: dict[str, tuple[Members, str]] = {
    "a path that escapes": ([("../../evil.txt", b"x", zipfile.ZIP_DEFLATED)], "has no name of this format"),
    "an absolute path": ([("/etc/passwd", b"x", zipfile.ZIP_DEFLATED)], "has no name of this format"),
    "no manifest": ([("graph.txt", b"x", zipfile.ZIP_DEFLATED)], "the entry manifest.json is missing"),
    "another method": ([("graph.txt", b"x", zipfile.ZIP_BZIP2)], "compressed in another way"),
    "a bomb": ([("graph.txt", bytes(2**28), 8), ("b.txt", b"x", 8)], "its entries overlap or are too large"),
    "the same name twice": ([("graph.txt", b"x", 8), ("graph.txt", b"y", 8)], "its entries overlap"),
    "a manifest that is none": ([("manifest.json", b"[]", 8)], "its manifest cannot be read"),
    "a manifest that nests": ([("manifest.json", b"[" * 10**5, 8)], "its manifest cannot be read"),
    "a newer schema": ([("manifest.json", b'{"schema": 3, "sha256": {}}', 8)], "written by a newer effc: schema 3"),
    "an older schema": ([("manifest.json", b'{"schema": 1, "sha256": {}}', 8)], "written by an older effc: schema 1"),
    "an odd schema": ([("manifest.json", b'{"schema": "1", "sha256": {}}', 8)], "its manifest is none of effc's"),
}


@pytest.mark.parametrize("what", ARCHIVES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_sealed_archive_is_not_trusted(what: str, tmp_path: Path) -> None:
    members, message = ARCHIVES[what]
    path = tmp_path / "hostile.effx"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, method in members:
            archive.writestr(name, content, compress_type=method)
        archive.comment = b"effx sha256 " + b"0" * 64
    seal(path)
    assert message in refused(path)


def test_a_file_that_is_sealed_as_it_once_was(saved: Path, tmp_path: Path) -> None:
    """Over every byte, those of data included."""
    content = saved.read_bytes()[:-64]
    path = tmp_path / "older.effx"
    path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
    assert "written by an older effc: schema 1" in refused(path)


def test_a_size_that_lies_is_not_believed(saved: Path, tmp_path: Path) -> None:
    """The declared sizes of an entry, in the directory of the zip."""
    good = saved.read_bytes()
    directory = good.index(b"PK\x01\x02")
    for offset in (20, 24, 42):  # compressed size, size, position of the entry
        for value in (0, 1, 2**31, 2**32 - 1):
            bad = bytearray(good)
            bad[directory + offset : directory + offset + 4] = value.to_bytes(4, "little")
            if bad != good:
                path = tmp_path / "lie.effx"
                path.write_bytes(bad)
                seal(path)
                refused(path)


# Models


def test_a_large_model_goes_through_files(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original, "IN_MEMORY", 100)
    assert effc.load(saved).verify().ok


def test_a_model_given_as_a_message_keeps_its_weights() -> None:
    model = small_model()
    before = model.SerializeToString(deterministic=True)
    compiled = effc.compile(model, effc.parse_target(TINY))
    assert model.SerializeToString(deterministic=True) == before
    assert compiled.verify().ok


def test_weights_as_floats_and_strings_and_narrow_types_survive(tmp_path: Path) -> None:
    rows = np.arange(600, dtype=np.float32).reshape(20, 30)
    as_floats = helper.make_tensor("w", TensorProto.FLOAT, [20, 30], rows.reshape(-1).tolist())
    texts = helper.make_tensor("texts", TensorProto.STRING, [3], [b"a", "ü".encode(), b""])
    narrow = numpy_helper.from_array(rows.reshape(-1)[:5].astype(np.float16), "half")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Gather", ["texts", "i"], ["t"]),
        helper.make_node("Gather", ["half", "i"], ["h"]),
        helper.make_node("Cast", ["h"], ["b"], to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["b"], ["f"], to=TensorProto.FLOAT),
    ]
    inputs = [("x", TensorProto.FLOAT, [1, 20]), ("i", TensorProto.INT64, [2])]
    outputs = [("y", TensorProto.FLOAT, [1, 30]), ("t", TensorProto.STRING, [2]), ("f", TensorProto.FLOAT, [2])]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [as_floats, texts, narrow],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    compiled = effc.compile(model, effc.parse_target(TINY))
    compiled.save(tmp_path / "mixed.effx")
    loaded = effc.load(tmp_path / "mixed.effx")
    for name, value in compiled.graph.constants.items():
        assert loaded.graph.constants[name].dtype == value.dtype
        assert loaded.graph.constants[name].tolist() == value.tolist()
    assert loaded.verify().ok, loaded.verify().failed


def test_the_bytes_of_an_array_do_not_depend_on_how_it_lies() -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    for other in (array.astype(">i4"), np.asfortranarray(array), array[::1, ::-1][:, ::-1]):
        assert bytes(array_bytes(other)) == array.tobytes()


def test_a_failure_leaves_the_old_file_and_nothing_else(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "kept.effx"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    broken = replace(effc.load(saved), target="no target")  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        broken.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.effx"]
    with pytest.raises(effc.InputError, match="cannot be written"):
        effc.load(saved).save(tmp_path / "no folder" / "x.effx")


def test_a_large_file_goes_to_the_disk_in_parts(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outflow, "PART", 50)
    effc.load(saved).save(tmp_path / "parts.effx")
    assert (tmp_path / "parts.effx").read_bytes() == saved.read_bytes()
    if hasattr(os, "fdatasync"):
        monkeypatch.setattr(os, "fdatasync", lambda file: os.write(-1, b""))
        with pytest.raises(effc.InputError, match="cannot be written"):
            effc.load(saved).save(tmp_path / "full.effx")
        assert [path.name for path in tmp_path.iterdir()] == ["parts.effx"]


def test_the_container_lists_what_it_holds(saved: Path) -> None:
    with Container(saved) as held:
        assert len(held.digests) == 6
        manifest = json.loads(entries(saved)["manifest.json"])
        assert manifest["schema"] == 2
        assert set(manifest["sha256"]) == {name for name in entries(saved) if not re.match("data/|manifest", name)}


def normalised_model() -> onnx.ModelProto:
    """A convolution and the normalisation behind it, whose weights are much of the file."""
    rng = np.random.default_rng(11)
    values = {"w": rng.standard_normal((64, 32, 3, 3)), "g": rng.random(64), "b": rng.random(64), "m": rng.random(64)}
    values["v"] = 0.5 + rng.random(64)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"], "conv"),
        helper.make_node("BatchNormalization", ["t", "g", "b", "m", "v"], ["y"], "norm"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *size]) for name, size in SIZES.items()]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    made = helper.make_graph(nodes, "normalised", ends[:1], ends[1:], tensors)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


SIZES = {"x": (32, 3, 3), "y": (64, 1, 1)}


def test_weights_that_are_scaled_are_held_once(tmp_path: Path) -> None:
    """Those of the model, and factors: what the program reads follows from them, to the bit."""
    made = normalised_model()
    compiled = effc.compile(made, "eyeriss_like", time_limit=0.2)
    path = tmp_path / "a.effx"
    compiled.save(path)
    assert path.stat().st_size < 1.2 * made.ByteSize()
    loaded = effc.load(path)
    for name, value in compiled.graph.constants.items():
        assert np.array_equal(loaded.graph.constants[name], value)
    assert loaded.verify().ok
    loaded.save(tmp_path / "b.effx")
    assert (tmp_path / "b.effx").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("wrong", [[[8, 8], [8, 1]], [[64, 288], [1, 288]], [[64, 288], [2, 1]], ["", 0]])
def test_a_recipe_that_is_nonsense_is_damage(tmp_path: Path, wrong: list[object]) -> None:
    path = tmp_path / "a.effx"
    effc.compile(normalised_model(), "eyeriss_like", time_limit=0.2).save(path)
    contents = entries(path)
    head = json.loads(contents["artefact.json"])
    (recipe,) = head["scaled"].values()
    recipe[2:] = wrong
    reseal(path, {**contents, "artefact.json": json.dumps(head).encode()})
    with pytest.raises(effc.InputError, match="damaged"):
        effc.load(path)


def recurrent_model() -> onnx.ModelProto:
    """An LSTM, whose weights are read gate by gate and transposed, and a weight that is read both ways."""
    rng = np.random.default_rng(1)
    shapes = {"w": (2, 64, 24), "r": (2, 64, 16), "m": (32, 32)}
    tensors = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), name) for name, s in shapes.items()]
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["", "h", ""], "lstm", hidden_size=16, direction="bidirectional"),
        helper.make_node("Reshape", ["h", "size"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "m"], ["a"], "plain"),
        helper.make_node("Transpose", ["m"], ["t"], "turned", perm=[1, 0]),
        helper.make_node("MatMul", ["a", "t"], ["y"], "other"),
    ]
    size = numpy_helper.from_array(np.array([1, 32], np.int64), "size")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (3, 1, 24)), ("y", (1, 32)))]
    made = helper.make_graph(nodes, "recurrent", ends[:1], ends[1:], [*tensors, size])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_parts_of_weights_are_held_once(tmp_path: Path) -> None:
    made = recurrent_model()
    compiled = effc.compile(made, "eyeriss_like", time_limit=0.2)
    path = tmp_path / "a.effx"
    compiled.save(path)
    data = [name for name in entries(path) if name.startswith("data/")]
    assert sum(len(entries(path)[name]) for name in data) < 1.01 * made.ByteSize()
    loaded = effc.load(path)
    assert every_constant(loaded.graph).keys() == every_constant(compiled.graph).keys()
    for name, value in every_constant(compiled.graph).items():
        assert np.array_equal(every_constant(loaded.graph)[name], value)
    assert loaded.verify().ok
    loaded.save(tmp_path / "b.effx")
    assert (tmp_path / "b.effx").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda source, offset, strides: [source, offset + 1, strides],
        lambda source, offset, strides: [source, offset, [strides[0], 2**70]],
        lambda source, offset, strides: [source, offset, [0, 0]],
        lambda source, offset, strides: [source, -1, strides],
        lambda source, offset, strides: [source, 2**70, strides],
        lambda source, offset, strides: [source, offset, strides[:1]],
        lambda source, offset, strides: [source, float(offset), strides],
        lambda source, offset, strides: ["0" * 64, offset, strides],
        lambda source, offset, strides: [source, offset],
    ],
)
def test_a_part_that_is_nonsense_is_damage(tmp_path: Path, recurrent: Path, change: Callable[..., list[Any]]) -> None:
    contents = entries(recurrent)
    head = json.loads(contents["artefact.json"])
    head["parts"] = {key: change(*row) for key, row in head["parts"].items()}
    path = tmp_path / "a.effx"
    reseal(path, {**contents, "artefact.json": json.dumps(head).encode()})
    with pytest.raises(effc.InputError, match="damaged"):
        effc.load(path)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recurrent") / "a.effx"
    effc.compile(recurrent_model(), "eyeriss_like", time_limit=0.2).save(path)
    return path


def test_constants_may_stay_in_the_file(saved: Path, recurrent: Path) -> None:
    for path in (saved, recurrent):
        stored, loaded = load(path, "stored"), load(path)
        for name, value in every_constant(stored.graph).items():
            assert isinstance(value, StoredConstant)
            assert np.array_equal(np.asarray(value), every_constant(loaded.graph)[name])
        assert stored.verify() == loaded.verify()


@pytest.mark.parametrize("change", [lambda file: file.truncate(100), lambda file: file.write(b"x")])
def test_a_file_that_changes_while_its_constants_are_in_use(
    tmp_path: Path, saved: Path, change: Callable[[Any], None]
) -> None:
    path = tmp_path / "a.effx"
    path.write_bytes(saved.read_bytes())
    stored = load(path, "stored")
    with path.open("ab") as file:
        change(file)
    with pytest.raises(effc.InputError, match="has changed since it was opened"):
        stored.verify()
