"""The commands, end to end, on a small model and a tiny target."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from c_compiler import needs_compiler
from onnx_models import model, node
from small import remembered_search, write_small

import effc
from effc.compiler.cli import main

ROOT = Path(__file__).resolve().parents[2]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``small.onnx``, ``tiny.hw``, ``small.effx``, ``x.npz``."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("effc.compiler.search.search", remembered_search)
        model, target = write_small(folder)
        effc.compile(model, target).save(folder / "small.effx")
    np.savez(folder / "x.npz", x=np.linspace(-1, 1, 18, dtype=np.float32).reshape(1, 2, 3, 3))
    return folder


def effc_(*words: str | Path, jobs: bool = False) -> int:
    """Run a command in this process."""
    return main([*map(str, words), *(["--jobs", "1"] if jobs else [])])


def compile_(folder: Path, *words: str | Path) -> int:
    return effc_("compile", folder / "small.onnx", "--target", folder / "tiny.hw", *words, jobs=True)


def test_compile_verifies_and_reports(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out.effx"
    files = {form: tmp_path / f"r.{form}" for form in ("json", "csv", "html")}
    forms = [word for form, path in files.items() for word in (f"--{form}", path)]
    assert compile_(folder, "--verify", "-o", out, *forms) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "small on tiny: schedules of least energy" in shown.out
    assert "equal to the cost model" in shown.out
    assert out.read_bytes() == (folder / "small.effx").read_bytes()
    report = json.loads(files["json"].read_text())
    assert report["schema"] == 1
    assert report["verification"]["ok"]
    assert [layer["where"] for layer in report["layers"]].count("accel") == 4
    assert files["csv"].read_text().startswith("layer,op,where,")
    assert "<html" in files["html"].read_text()


@pytest.fixture(scope="module")
def gating(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model for a target that gates, and compresses in two memories."""
    text = (folder / "tiny.hw").read_text().replace("mac { energy 1 pJ", "mac { energy 1 pJ; gate on ifmap")
    text = text.replace("64 bit/cycle }", "64 bit/cycle; compress ifmap, psum rlc 5 bit }")
    text = text.replace("keeps ifmap, psum;", "keeps ifmap, psum; compress ifmap bitmask;")
    target = effc.parse_target(text)
    path = tmp_path_factory.mktemp("gating") / "small.effx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("effc.compiler.search.search", remembered_search)
        effc.compile(folder / "small.onnx", target).save(path)
    return path


def test_a_run_measures_zeros(folder: Path, gating: Path, capsys: Capture) -> None:
    assert effc_("run", gating, "--input", folder / "x.npz", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    second = next(layer for layer in found["layers"] if layer["name"] == "conv2")["zeros"]
    tensor = effc.load(gating).execute(dict(np.load(folder / "x.npz")), ["t2"]).tensors["t2"]
    coded = {level: second["coded"][level]["I"] for level in ("DRAM", "GLB")}
    assert 0 < np.count_nonzero(tensor) == coded["DRAM"]["nonzero"] == coded["GLB"]["nonzero"] < tensor.size
    assert coded["GLB"]["metadata_bits"] == tensor.size
    assert second["gated_macs"] == second["gated_reads"]["spad"]["W"] > 0
    assert found["zeros"]["gated_macs"] == sum(
        layer["zeros"]["gated_macs"] for layer in found["layers"] if "zeros" in layer
    )
    assert effc_("run", gating, "--input", folder / "x.npz") == 0
    assert "bits by the size of a word" in " ".join(capsys.readouterr().out.split())


def test_a_report_of_zeros(folder: Path, gating: Path, tmp_path: Path, capsys: Capture) -> None:
    assert effc_("report", gating, "--input", folder / "x.npz", "--csv", tmp_path / "r.csv", "--json", "-") == 0
    report = json.loads(capsys.readouterr().out)
    layer = next(layer for layer in report["layers"] if layer["name"] == "conv2")
    assert layer["zeros"]["energy"] < layer["energy"]
    assert report["totals"]["zeros"]["energy"] < report["totals"]["energy"]
    assert "gated [MACs]" in (tmp_path / "r.csv").read_text()
    assert effc_("report", folder / "small.effx", "--input", folder / "x.npz") == 2
    assert "tiny neither gates nor compresses" in capsys.readouterr().err


def test_zeros_of_a_density(folder: Path, gating: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "gating.hw"
    target.write_text(effc.print_target(effc.load(gating).target))
    (tmp_path / "nest.txt").write_text(effc.load(gating).show("conv2"))
    command = ("evaluate", tmp_path / "nest.txt", "--target", target)
    assert effc_(*command, "--density", "I=0.25", "--json", "-") == 0
    (layer,) = json.loads(capsys.readouterr().out)["layers"]
    assert layer["zeros"]["gated_macs"] == layer["macs"] * 3 // 4
    assert layer["zeros"]["coded"]["GLB"]["I"]["nonzero"] == layer["operands"]["I"]["words"] // 4
    assert layer["zeros"]["energy"] < layer["energy"]
    assert effc_(*command, "--density", "I=0.25") == 0
    assert "gated MACs" in capsys.readouterr().out
    for wrong in ("I", "I=2", "I=1/0", "X=0.5"):
        assert effc_(*command, "--density", wrong) == 2


def test_json_alone_goes_to_stdout(folder: Path, capsys: Capture) -> None:
    assert compile_(folder, "--json", "-") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["objective"] == "energy"
    assert report["totals"]["search_s"] is not None
    assert effc_("report", folder / "small.effx", "--json", "-") == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["totals"]["search_s"] is None
    assert stored["model"]["sha256"] == report["model"]["sha256"]
    assert effc_("report", folder / "small.effx", "--csv", "-") == 0
    assert capsys.readouterr().out.startswith("layer,op,where,")


def test_report_prints_tables(folder: Path, capsys: Capture) -> None:
    assert effc_("report", folder / "small.effx") == 0
    assert "Five metrics" in capsys.readouterr().out


def test_run_gives_what_onnxruntime_gives(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    import onnxruntime

    out = tmp_path / "y.npz"
    assert effc_("run", folder / "small.effx", "--input", folder / "x.npz", "-o", out) == 0
    assert re.match(r"y: dtype float32 shape \[1, 12\] min ", capsys.readouterr().out)
    session = onnxruntime.InferenceSession(folder / "small.onnx")
    expected = session.run(None, {"x": np.load(folder / "x.npz")["x"]})[0]
    np.testing.assert_allclose(np.load(out)["y"], expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))
    assert effc_("run", folder / "small.effx", "--input", folder / "x.npz", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["layers"][0]["counters"]["MACs"] == 4 * 2 * 9 * 9
    assert result["outputs"]["y"]["shape"] == [1, 12]


def test_verify_compares_everything(folder: Path, capsys: Capture) -> None:
    assert effc_("verify", folder / "small.effx", "--input", folder / "x.npz") == 0
    assert "conv1    Conv" in capsys.readouterr().out
    assert effc_("verify", folder / "small.effx", "--seed", "3", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["ok"]


def test_show_prints_what_can_be_parsed(folder: Path, capsys: Capture) -> None:
    compiled = effc.load(folder / "small.effx")
    for op in compiled.graph.nests:
        assert effc_("show", folder / "small.effx", "--layer", op.name) == 0
        nest, schedule = effc.parse_scheduled(capsys.readouterr().out)
        assert (nest, schedule) == (op.nest, op.schedule)
    assert effc_("show", folder / "small.effx", "--as", "ir") == 0
    text = capsys.readouterr().out
    assert effc.print_graph(effc.parse_graph(text)) == text
    assert effc_("show", folder / "small.effx", "--layer", "conv1", "--as", "ir") == 0
    assert [op.name for op in effc.parse_graph(capsys.readouterr().out).ops] == ["conv1"]
    assert effc_("show", folder / "small.effx", "--layer", "softmax") == 0
    assert capsys.readouterr().out == '# op Softmax "softmax" (t7) -> (y) opset 17 @ vector\n'
    assert effc_("show", folder / "small.effx", "--layer", "relu1") == 0
    assert capsys.readouterr().out.endswith('# epilogue: op Relu "relu1" (t1) -> (t2) opset 17 @ vector\n')
    assert effc_("show", folder / "small.effx", "--as", "asm") == 0
    from effc.backends.accel import parse_program

    assert parse_program(capsys.readouterr().out) == compiled.program
    assert effc_("show", folder / "small.effx") == 0
    assert capsys.readouterr().out.count("nest ") == 4


def test_programs_as_text_and_as_bytes(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    text, binary = tmp_path / "small.asm", tmp_path / "small.bin"
    assert effc_("disasm", folder / "small.effx", "-o", text) == 0
    assert effc_("asm", text, "-o", binary) == 0
    assert effc_("disasm", binary) == 0
    assert capsys.readouterr().out == text.read_text()
    assert effc_("asm", text, "-o", "-") == 2
    binary.write_bytes(binary.read_bytes()[:99])
    assert effc_("disasm", binary) == 2
    assert "small.bin:byte 9" in capsys.readouterr().err


def test_what_was_shown_can_be_evaluated(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert effc_("show", folder / "small.effx", "--layer", "conv2") == 0
    text = tmp_path / "conv2.txt"
    text.write_text(capsys.readouterr().out)
    assert effc_("evaluate", text, "--target", folder / "tiny.hw", "--json", "-") == 0
    layer = json.loads(capsys.readouterr().out)["layers"][0]
    found = effc.load(folder / "small.effx").report.layers[1]
    assert (layer["energy"], layer["cycles"]) == (found.energy, found.cycles)
    assert effc_("evaluate", text, "--target", folder / "tiny.hw") == 0
    assert "Where the words moved" in capsys.readouterr().out


def test_opt_runs_passes_over_text(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert compile_(folder, "--dump-after", "lower", "--dump-dir", tmp_path) == 0
    capsys.readouterr()
    lowered, out = tmp_path / "01-lower.ir", tmp_path / "out.ir"
    passes = ["--passes", "dead-ops,place-ops", "--target", str(folder / "tiny.hw")]
    assert effc_("opt", lowered, *passes) == 0
    text = capsys.readouterr().out
    assert "@ vector" in text
    assert effc_("opt", lowered, *passes, "-o", out) == 0
    assert out.read_text() == text
    assert effc_("opt", out, "--passes", "schedule{objective=latency}", "--target", folder / "tiny.hw") == 0
    assert "for " in capsys.readouterr().out


def test_map_needs_no_model(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    layers = tmp_path / "layers.json"
    conv = {
        "name": "c",
        "N": 1,
        "K": 2,
        "C": 2,
        "P": 3,
        "Q": 3,
        "R": 2,
        "S": 2,
        "stride": 2,
        "groups": 2,
        "dilation": 2,
    }
    layers.write_text(json.dumps([conv, {"name": "g", "M": 2, "K": 3, "N": 4}]))
    words = ["map", layers, "--target", folder / "tiny.hw", "--jobs", "1"]
    assert effc_(*words, "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)["layers"]
    assert [(layer["name"], layer["macs"]) for layer in found] == [("c", 72), ("g", 24)]
    assert found[0]["dims"] == {"N": 1, "G": 2, "K": 1, "C": 1, "P": 3, "Q": 3, "R": 2, "S": 2}
    nest = effc.nests.conv2d(1, 2, 2, 3, 3, 2, 2, stride=2, dilation=2, groups=2)
    cost = effc.evaluate(nest, effc.load_target(folder / "tiny.hw"), found[0]["schedule"])
    assert (cost.energy, cost.cycles) == (found[0]["energy"], found[0]["cycles"])
    assert effc_(*words, "--objective", "latency", "--perfect-factors") == 0
    assert "Layers" in capsys.readouterr().out


def test_lists(capsys: Capture) -> None:
    for verb, word in (("targets", "eyeriss"), ("passes", "fold-batchnorm"), ("ops", "MatMul")):
        assert effc_(verb) == 0
        assert re.search(rf"^{word} ", capsys.readouterr().out, re.MULTILINE)
    assert effc_("targets", "eyeriss") == 0
    assert effc.parse_target(capsys.readouterr().out) == effc.load_target("eyeriss")


@needs_compiler
def test_the_cpu_backend(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "cpu.effx"
    assert compile_(folder, "--backend", "cpu", "--verify", "-o", out) == 0
    assert "1 outputs with onnxruntime: equal" in capsys.readouterr().out
    assert effc_("verify", out) == 0
    assert effc_("show", out, "--as", "asm") == 0
    assert "for (" in capsys.readouterr().out


def test_symbolic_dims_and_batches(folder: Path, capsys: Capture) -> None:
    assert compile_(folder, "--batch", "2", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["dims"]["N"] == 2


def test_a_verification_that_fails_is_exit_1(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from effc.backends.accel import run

    honest = run.Run.nest

    def lying(self: run.Run, layer: run.NestLayer) -> effc.ir.counters.Counters:  # type: ignore[name-defined]
        counters = honest(self, layer)
        counters.read("GLB", "O", 1)
        return counters

    monkeypatch.setattr(run.Run, "nest", lying)
    assert effc_("verify", folder / "small.effx") == 1
    shown = capsys.readouterr()
    assert re.search(r"conv1: O read at GLB: \d+ predicted, \d+ counted", shown.err)
    assert "verification failed: 4 of " in shown.err
    assert "4 layers DIFFER" in shown.out


def test_a_wrong_value_is_exit_1(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from effc.backends.accel import tensors

    honest = tensors.Tensors.fetch

    def lying(self: tensors.Tensors, name: str, dtype: str = "") -> object:
        return honest(self, name, dtype) * (1.001 if name in ("t3", "y") else 1)

    monkeypatch.setattr(tensors.Tensors, "fetch", lying)
    assert effc_("verify", folder / "small.effx") == 1
    shown = capsys.readouterr()
    assert re.search(r"^y: at \[0, \d+\] .*, expected .*: error .*, limit 1e-04$", shown.err, re.MULTILINE)
    assert re.search(r"^conv2: at ", shown.err, re.MULTILINE)
    assert "NOT EQUAL" in shown.out


def test_the_digits_network(tmp_path: Path, capsys: Capture) -> None:
    """The trained network of ``models/``, on the chip, with an image of the test set."""
    sys.path.insert(0, str(ROOT / "models"))
    try:
        import digits
    finally:
        sys.path.pop(0)
    path, out = tmp_path / "digits.onnx", tmp_path / "digits.effx"
    onnx.save(digits.digits(True), path)
    assert effc_("compile", path, "--target", "eyeriss.hw", "--verify", "--json", "-", "-o", out) == 0
    report = json.loads(capsys.readouterr().out)
    assert {layer["where"] for layer in report["layers"] if layer["op"] in ("Conv", "Gemm")} == {"accel"}
    assert report["verification"]["ok"]


# Processes


def start(*words: str | Path) -> subprocess.Popen[str]:
    """A command that obeys Ctrl-C, even if the tests run in the background of a shell, where it is ignored."""
    command = [sys.executable, "-m", "effc", *map(str, words)]
    pipe, heed = subprocess.PIPE, partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=heed)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, jobs: str) -> None:
    """Interrupted in the middle of the search, which takes long for these layers."""
    products = [(509 + 2 * i, 1021, 1031) for i in range(4)]
    shapes = {
        f"{name}{i}": shape for i, (m, k, n) in enumerate(products) for name, shape in (("a", (m, k)), ("b", (k, n)))
    }
    nodes = [node("MatMul", f"a{i} b{i}", f"y{i}") for i in range(len(products))]
    long = tmp_path_factory.mktemp("long") / "long.onnx"
    onnx.save(model(nodes, shapes, outputs=" ".join(f"y{i}" for i in range(len(products)))), long)
    dumps, out = tmp_path / "dumps", tmp_path / "out.effx"
    words = ("compile", long, "--target", "eyeriss", "-o", out, "--json", tmp_path / "r.json", "--no-cache")
    process = start(*words, "--jobs", jobs, "--objective", "edp", "--dump-after", "place-ops", "--dump-dir", dumps)
    deadline = time.monotonic() + 30
    while not list(dumps.glob("*-place-ops.ir")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert (output, errors) == ("", "effc: interrupted\n")
    assert list(tmp_path.iterdir()) == [dumps]


def test_an_interruption_inside_of_an_exec_ends_with_the_same_code(tmp_path: Path) -> None:
    """CPython remembers one, as of a dataclass that is being made, beyond the handler that catches it."""
    (tmp_path / "tried.py").write_text(
        "import sys\nfrom effc.compiler import cli\n"
        "cli.run = lambda words: exec('raise KeyboardInterrupt')\nsys.exit(cli.main([]))\n"
    )
    done = subprocess.run([sys.executable, "-m", "tried"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "effc: interrupted\n")


def test_an_interruption_waits_for_an_import(tmp_path: Path) -> None:
    """An extension module that is imported by half may crash, or say that it is not installed."""
    (tmp_path / "half.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nprint('whole', flush=True)\n")
    (tmp_path / "tried.py").write_text(
        "import sys, time\nfrom effc.compiler import cli\n\n"
        "def run(words):\n    import half\n    time.sleep(20)\n\ncli.run = run\nsys.exit(cli.main([]))\n"
    )
    done = subprocess.run([sys.executable, "-m", "tried"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "whole\n", "effc: interrupted\n")


def test_a_reader_that_stops_is_no_error(folder: Path) -> None:
    process = start("show", folder / "small.effx", "--as", "asm")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_import_and_help_are_quick() -> None:
    """Nothing heavy is loaded before it is needed."""
    code = (
        "import sys, effc; effc.InputError; print([m for m in ('numpy', 'onnx', 'lark', 'rich') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    command = [sys.executable, "-X", "importtime", "-m", "effc", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert loaded.isdisjoint({"numpy", "onnx", "onnxruntime", "lark", "rich"})
    assert "exit codes:" in done.stdout


def test_every_public_name_can_be_had() -> None:
    for name in effc.__all__:
        assert getattr(effc, name) is not None
    assert set(effc.__all__) <= set(dir(effc))
    with pytest.raises(AttributeError, match="no attribute 'compil'"):
        effc.compil  # type: ignore[attr-defined]  # noqa: B018


def test_progress_is_shown_on_a_terminal_only(folder: Path, tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "effc", "report", str(folder / "small.effx"), "--json", str(tmp_path / "r.json")]
    run = [sys.executable, "-m", "effc", "verify", str(folder / "small.effx")]
    try:
        done = subprocess.run(run, stdout=subprocess.PIPE, stderr=follower, check=True, text=True)
        assert "run: layer" in os.read(leader, 10000).decode()
        assert "\x1b" not in done.stdout
        subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    finally:
        os.close(leader)
        os.close(follower)
