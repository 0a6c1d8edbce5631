"""What a user may get wrong on the command line: exit code 2, and exactly one message."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small import remembered_search, write_small

import effc
from effc.compiler import cli
from effc.compiler.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its target, its artefact, and inputs of every kind."""
    folder = tmp_path_factory.mktemp("errors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("effc.compiler.search.search", remembered_search)
        model, target = write_small(folder)
        effc.compile(model, target).save(folder / "m.effx")
    x = np.zeros((1, 2, 3, 3), np.float32)
    np.savez(folder / "none.npz")
    np.savez(folder / "wrong_name.npz", X=x)
    np.savez(folder / "extra.npz", x=x, z=x)
    np.savez(folder / "shape.npz", x=x[:, :1])
    np.savez(folder / "dtype.npz", x=x.astype(np.float64))
    np.savez(folder / "pickled.npz", x=np.array([{}], dtype=object))
    np.save(folder / "plain.npy", x)
    (folder / "text.npz").write_text("hello")
    good = io.BytesIO()
    np.savez(good, x=x)
    (folder / "cut.npz").write_bytes(good.getvalue()[:-30])
    (folder / "flipped.npz").write_bytes(good.getvalue().replace(b"\x93NUMPY", b"\x93NUMPX"))
    with zipfile.ZipFile(folder / "short.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00")
    (folder / "damaged.effx").write_bytes((folder / "m.effx").read_bytes()[:-1])
    (folder / "bad.hw").write_text("target t { word 16 bits }")
    (folder / "bad.py").write_text("1 / 0")
    (folder / "good.ir").write_text(
        'graph g (x) -> (y) {\n  tensor x : float32[2]\n  tensor y : float32[2]\n  op Relu "r" (x) -> (y) @ host\n}\n'
    )
    (folder / "bad.ir").write_text("graph g (x) -> (y) {\n  tensr x : float32[2]\n}\n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00")
    write_layers(folder)
    return folder


CONV = {"name": "c", "N": 1, "K": 2, "C": 2, "P": 3, "Q": 3, "R": 2, "S": 2, "stride": 1}
LAYERS: dict[str, object] = {
    "empty": [],
    "no_list": {"name": "c"},
    "no_layer": [3],
    "no_name": [{"N": 1}],
    "missing": [{key: value for key, value in CONV.items() if key != "Q"}],
    "unknown": [{**CONV, "strides": 1}],
    "zero": [{**CONV, "K": 0}],
    "huge": [{**CONV, "K": 2**31}],
    "float": [{**CONV, "K": 2.5}],
    "flag": [{**CONV, "K": True}],
    "groups": [{**CONV, "groups": 3}],
    "twice": [CONV, CONV],
    "gemm": [{"name": "g", "M": 1, "K": 2, "N": 3, "stride": 1}],
    "words": [{**CONV, "N": 2**30, "K": 2**30, "C": 2**30}],
}


def write_layers(folder: Path) -> None:
    for name, value in LAYERS.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "comma.json").write_text('[{"name": "c",}]')
    (folder / "deep.json").write_text("[" * 10**5)
    (folder / "long.json").write_text('[{"name": "c", "N": ' + "1" * 10**4 + "}]")


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    yield


COMPILE = "compile small.onnx --target tiny.hw"
MAP = "--target tiny.hw"

CASES = {
    "": "effc: error: no command",
    "bogus": "effc: error: unknown command: 'bogus'",
    "compil": "remedy:   did you mean 'compile'?",
    "compile": "effc compile: error: missing: MODEL.onnx, --target",
    "compile small.onnx": "effc compile: error: missing: --target",
    "compile small.onnx --traget tiny.hw": "remedy:   did you mean '--target'?",
    f"{COMPILE} --outptu x": "effc compile: error: unknown option '--outptu'",
    f"{COMPILE} --obj energy": "effc compile: error: unknown option '--obj'",
    f"{COMPILE} -x": "effc compile: error: unknown option '-x'",
    f"{COMPILE} other.onnx": "effc compile: error: unexpected argument 'other.onnx'",
    f"{COMPILE} --objective time": "expected: energy, latency, edp, dram",
    f"{COMPILE} --objective": "effc compile: error: --objective: expected one argument",
    f"{COMPILE} --batch 0": "effc compile: error: --batch: '0' is less than 1",
    f"{COMPILE} --batch many": "effc compile: error: --batch: 'many' is no whole number",
    f"{COMPILE} --jobs -1": "effc compile: error: --jobs:",
    f"{COMPILE} --dim N": "effc compile: error: --dim: 'N' is not NAME=VALUE",
    f"{COMPILE} --dim M=3": "error: no input has a dim 'M'",
    f"{COMPILE} --time-limit soon": "effc compile: error: --time-limit: 'soon' is no number of seconds",
    f"{COMPILE} --time-limit 0": "effc compile: error: --time-limit: '0' is no positive number of seconds",
    f"{COMPILE} --backend gpu": "effc compile: error: the gpu backend is not supported yet",
    f"{COMPILE} --numeric target": "error: tiny declares no types of its MACs",
    f"{COMPILE} --constrain ws": "ws: error: no such file",
    f"{COMPILE} -o no/such/folder.effx": "no/such/folder.effx: error: cannot be written: the folder does not exist",
    f"{COMPILE} -o .": ".: error: this is a folder",
    f"{COMPILE} --json - --csv -": "error: --json and --csv cannot share stdout",
    f"{COMPILE} --dump-after lowr": "remedy:   did you mean 'lower'?",
    f"{COMPILE} --passes nope": "--passes:1:1: error: no pass is called 'nope'",
    f"{COMPILE} --load none.py": "none.py: error: no such file",
    f"{COMPILE} --load bad.py": "bad.py: error: the file failed: ZeroDivisionError: division by zero",
    "compile none.onnx --target tiny.hw": "none.onnx: error: there is no such file",
    "compile . --target tiny.hw": ".: error: this is not a file",
    "compile m.effx --target tiny.hw": "m.effx: error: this is not an ONNX model",
    "compile small.onnx --target bad.hw": "bad.hw:1:",
    "compile small.onnx --target none.hw": "none.hw: error: no such file",
    "compile small.onnx --target eyerisss": "remedy:   did you mean 'eyeriss'?",
    "run": "effc run: error: missing: OUT.effx",
    "run none.effx": "none.effx: error: no such file",
    "run small.onnx": "small.onnx: error: this is no .effx file, or its end is damaged",
    "run damaged.effx": "damaged.effx: error: this is no .effx file, or its end is damaged",
    "run m.effx": "effc run: error: no inputs",
    "run m.effx --mode fast": "expected: functional, cycle",
    "run m.effx --trace no/such/t.json": "no/such/t.json: error: cannot be written",
    "run m.effx --input none2.npz": "none2.npz: error: no such file",
    "run m.effx --input text.npz": "text.npz: error: this is no .npz file",
    "run m.effx --input plain.npy": "plain.npy: error: this is no .npz file",
    "run m.effx --input cut.npz": "cut.npz: error: this is no .npz file",
    "run m.effx --input flipped.npz": "flipped.npz: error: damaged file: ",
    "run m.effx --input short.npz": "short.npz: error: damaged file: ",
    "run m.effx --input none.npz": "none.npz: error: the input 'x' is missing",
    "run m.effx --input wrong_name.npz": "wrong_name.npz: error: the model has no input 'X'",
    "run m.effx --input extra.npz": "extra.npz: error: the model has no input 'z'",
    "run m.effx --input shape.npz": "shape.npz: error: the input 'x' has shape [1, 1, 3, 3]",
    "run m.effx --input dtype.npz": "dtype.npz: error: the input 'x' is float64",
    "run m.effx --input pickled.npz": "pickled.npz: error: the array 'x' is pickled Python, which is not read",
    "verify m.effx --input dtype.npz": "expected: float32[1, 2, 3, 3]",
    "verify m.effx --seed -1": "effc verify: error: --seed:",
    "report m.effx --json no/such/r.json": "no/such/r.json: error: cannot be written",
    "show m.effx --layer cnv1": "remedy:   did you mean 'conv1'?",
    "show m.effx --layer zzz": "expected: conv1, conv2, conv3, fc, softmax",
    "show m.effx --as xml": "expected: loops, ir, asm",
    "opt good.ir": "effc opt: error: missing: --passes",
    "opt none.ir --passes dead-ops": "none.ir: error: no such file",
    "opt bad.ir --passes dead-ops": "bad.ir:2:3: error: ",
    "opt binary.txt --passes dead-ops": "binary.txt: error: not a text in UTF-8",
    "opt good.ir --passes place-ops": "--passes:1:1: error: the pass 'place-ops' needs a target",
    "opt good.ir --passes dead-ops{x=1}": "error: the pass 'dead-ops' has no option 'x'",
    "passes nope": "error: no pass is called 'nope'",
    "targets nope": "error: unknown target 'nope'",
    "evaluate good.ir --target tiny.hw": "good.ir:1:1: error: ",
    f"map none.json {MAP}": "none.json: error: no such file",
    f"map empty.json {MAP}": "empty.json: error: not a list of layers",
    f"map no_list.json {MAP}": "no_list.json: error: not a list of layers",
    f"map no_layer.json {MAP}": "no_layer.json: layer 1: error: 3 is no layer",
    f"map no_name.json {MAP}": "no_name.json: layer 1: error: the layer has no name",
    f"map missing.json {MAP}": "missing.json: layer 1, 'c': error: 'Q' is missing",
    f"map unknown.json {MAP}": "remedy:   did you mean 'stride'?",
    f"map zero.json {MAP}": "zero.json: layer 1, 'c': error: 'K' is 0",
    f"map huge.json {MAP}": "error: 'K' is 2147483648",
    f"map float.json {MAP}": "error: 'K' is 2.5",
    f"map flag.json {MAP}": "error: 'K' is true",
    f"map groups.json {MAP}": "error: no such layer: k=2 channels cannot be divided into 3 groups",
    f"map twice.json {MAP}": "twice.json: error: two layers are called 'c'",
    f"map gemm.json {MAP}": "error: unknown key 'stride'",
    f"map words.json {MAP}": "words.json: layer 1, 'c': error: no such layer: ",
    f"map comma.json {MAP}": "comma.json:1:15: error: not JSON: ",
    f"map deep.json {MAP}": "deep.json: error: not JSON: ",
    f"map long.json {MAP}": "long.json: error: not JSON: ",
    f"map binary.txt {MAP}": "binary.txt: error: not a text in UTF-8",
}


@pytest.mark.parametrize("command", CASES)
def test_one_clear_message(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert CASES[command] in shown.err
    assert "Traceback" not in shown.err
    assert len(re.findall(r"\berror: ", shown.err)) == 1
    assert shown.err.endswith("\n")
    assert not shown.err.endswith("\n\n")


def test_eyeriss_hw_is_the_bundled_target_where_no_file_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "none.onnx", "--target", "eyeriss.hw"]) == 2
    assert capsys.readouterr().err.startswith("none.onnx: error:")


def test_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EFFC_DEBUG", "9")
    assert main(COMPILE.split()) == 2
    assert "EFFC_DEBUG is '9'" in capsys.readouterr().err


def test_an_error_of_effc_itself_is_no_error_of_the_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, code in ((ZeroDivisionError("oops"), 70), (MemoryError(), 2), (KeyboardInterrupt(), 130)):

        def fail(argv: object, error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr(cli, "run", fail)
        assert main([]) == code
    assert "internal error: ZeroDivisionError: oops" in capsys.readouterr().err


def test_the_api_raises_what_the_commands_print(folder: Path) -> None:
    for wrong in (
        lambda: effc.compile("small.onnx", "tiny.hw", objective="speed"),  # type: ignore[arg-type]
        lambda: effc.compile("small.onnx", "tiny.hw", backend="gpu"),  # type: ignore[arg-type]
        lambda: effc.load("m.effx").run({}),
        lambda: effc.load("m.effx").run({"x": 3}),
        lambda: effc.load("m.effx").show(as_="xml"),  # type: ignore[arg-type]
        lambda: effc.evaluate(effc.nests.gemm(1, 1, 1), "tiny.hw", "", convention="other"),
        lambda: effc.search(effc.nests.gemm(1, 1, 1), "tiny.hw", "speed"),  # type: ignore[arg-type]
    ):
        with pytest.raises(effc.InputError):
            wrong()
