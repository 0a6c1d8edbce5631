"""Whatever is wrong with an ONNX file is one clear message: never a traceback, never another exception."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import assert_close, model, node, random_inputs
from onnx_models import random as random_array

from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.errors import InputError
from effc.compiler.frontend import trial
from effc.compiler.frontend.from_onnx import lower, read_model
from effc.compiler.frontend.trial import require_survival
from effc.ir.verify import verify_graph

CONSTANTS = {
    "w": random_array((4, 2, 3, 3)),
    "b": random_array((4,)),
    "m": random_array((36, 3)),
    "zero": np.array(0),
    "axes": np.array([0]),
    "rest": np.array([-1]),
}


def small_model() -> onnx.ModelProto:
    """A model with a bit of everything: a Conv, shapes, a Gemm, a subgraph."""
    value = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    then = helper.make_graph([node("Relu", "v", "r")], "then", [], [value])
    other = helper.make_graph([node("Neg", "v", "r")], "else", [], [value])
    nodes = [
        node("Conv", "x w b", "t", pads=[1, 1, 1, 1], strides=[2, 2], name="first"),
        node("Shape", "t", "shape"),
        node("Gather", "shape zero", "rows"),
        node("Unsqueeze", "rows axes", "rows1"),
        node("Concat", "rows1 rest", "target", axis=0),
        node("Reshape", "t target", "flat"),
        node("Gemm", "flat m", "v", alpha=0.5),
        node("ReduceSum", "v", "s", keepdims=0),
        node("Cast", "s", "c", to=TensorProto.BOOL),
        node("If", "c", "y", then_branch=then, else_branch=other),
    ]
    return model(nodes, {"x": ("N", 2, 6, 6)}, CONSTANTS)


def saved(folder: Path, made: onnx.ModelProto | bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path


def message(path: Path) -> str:
    """The error for a file, without the folder it is in."""
    with pytest.raises(InputError) as caught:
        lower(read_model(path))
    return str(caught.value).replace(f"{path.parent}/", "")


def test_the_model_is_fine(tmp_path: Path) -> None:
    made = read_model(saved(tmp_path, small_model()))
    graph = lower(made, batch=2)
    inputs = random_inputs(graph)
    assert_close(reference_run(graph, inputs)["y"], run_model(made.proto, inputs)["y"])


def test_no_file(tmp_path: Path) -> None:
    assert message(tmp_path / "model.onnx") == "model.onnx: error: there is no such file"
    (tmp_path / "folder").mkdir()
    assert message(tmp_path / "folder") == "folder: error: this is not a file"
    assert "cannot be read" in message(tmp_path / "a\0b") or "no such file" in message(tmp_path / "a\0b")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "model.onnx: error: the file is empty\n  expected: an ONNX model"),
        (b"once upon a time", "model.onnx: error: this is not an ONNX model, or a damaged one: "),
        (b"PK\x03\x04" * 20, "model.onnx: error: this is not an ONNX model, or a damaged one: "),
        (b"\x08\x08", "model.onnx: error: this is not an ONNX model: it has no graph"),
    ],
)
def test_no_model(tmp_path: Path, content: bytes, expected: str) -> None:
    assert message(saved(tmp_path, content)).startswith(expected)


def without_tensor(made: onnx.ModelProto) -> None:
    del made.graph.initializer[0]


def with_cycle(made: onnx.ModelProto) -> None:
    made.graph.node[0].input[0] = "y"


def with_unknown_op(made: onnx.ModelProto) -> None:
    made.graph.node[0].op_type = "Convolve"


def with_unknown_domain(made: onnx.ModelProto) -> None:
    made.graph.node[0].domain = "com.example"


def with_newer_opset(made: onnx.ModelProto) -> None:
    made.opset_import[0].version = 9999


def with_wrong_channels(made: onnx.ModelProto) -> None:
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5


def with_wrong_product(made: onnx.ModelProto) -> None:
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 8


def with_short_data(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[:-4]


def with_short_bias(made: onnx.ModelProto) -> None:
    made.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(random_array((3,)), "b"))


def with_wrong_kernel(made: onnx.ModelProto) -> None:
    made.graph.node[0].attribute.append(helper.make_attribute("kernel_shape", [5, 5]))


def with_groups(made: onnx.ModelProto) -> None:
    made.graph.node[0].attribute.append(helper.make_attribute("group", 3))


def with_unknown_padding(made: onnx.ModelProto) -> None:
    made.graph.node[0].attribute.append(helper.make_attribute("auto_pad", b"SAM\xff"))


def without_outputs(made: onnx.ModelProto) -> None:
    del made.graph.output[:]


def with_a_large_axis(made: onnx.ModelProto) -> None:
    made.graph.node[4].attribute[0].i = 1 << 40


def with_a_large_tensor(made: onnx.ModelProto) -> None:
    for dim in made.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_value = 1 << 30


def with_a_name_that_is_no_text(made: onnx.ModelProto) -> None:
    made.ParseFromString(made.SerializeToString().replace(b"first", b"\xffirst"[:5]))


def with_three_strides(made: onnx.ModelProto) -> None:
    made.graph.node[0].attribute[1].ints.append(1)


def without_operator_set(made: onnx.ModelProto) -> None:
    del made.opset_import[:]


INVALID = r"model.onnx: error: the model is not valid ONNX: "
DAMAGES = {
    without_tensor: INVALID + r"Nodes in a graph must be topologically sorted, .*'w'",
    with_cycle: INVALID + r"Nodes in a graph must be topologically sorted, .*'y'",
    with_unknown_op: INVALID + r"No Op registered for Convolve",
    with_unknown_domain: INVALID + r".*domain",
    with_newer_opset: r"model.onnx: error: the model uses operator set 9999; the newest that is known here is \d+\n"
    r"  remedy:   install a newer onnx",
    with_wrong_channels: r"Conv 'first': error: the input has 5 channels, the weights have 2 per group",
    with_wrong_product: r"Gemm 'gemm1': error: ",
    with_short_data: INVALID + r".*|error: the initializer 'w' cannot be read",
    with_short_bias: r"Conv 'first': error: the bias has the shape \[3\]\n  expected: \[4\], a word per filter",
    with_wrong_kernel: r"Conv 'first': error: kernel_shape is \[5, 5\]\n  expected: \[3, 3\], as the weights are",
    with_groups: r"Conv 'first': error: 4 filters cannot be divided into 3 groups",
    with_unknown_padding: r"Conv 'first': error: ",
    without_outputs: r"model.onnx: error: the model has no outputs",
    with_a_large_axis: r"Concat 'concat1': error: the attribute axis has the value 1099511627776\n  expected: one of",
    with_a_large_tensor: r"error: the tensor 'x' of shape \[1073741824, .*\] is too large",
    with_a_name_that_is_no_text: INVALID + r"a name is no text: ",
    with_three_strides: r"Conv 'first': error: ",
    without_operator_set: INVALID + r"model with IR version >= 3 must specify opset",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_model(tmp_path: Path, damage: Any) -> None:
    made = small_model()
    damage(made)
    assert re.match(DAMAGES[damage], message(saved(tmp_path, made)))


# External data


def external(folder: Path, **entries: str) -> Path:
    """The model with its largest tensor in another file, ``weights.bin`` unless ``location`` says otherwise."""
    made = small_model()
    tensor = made.graph.initializer[2]
    (folder / "weights.bin").write_bytes(b"head" + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "weights.bin", "offset": "4"} | entries).items():
        tensor.external_data.add(key=key, value=value)
    return saved(folder, made)


def test_external_data(tmp_path: Path) -> None:
    made = read_model(external(tmp_path))
    graph = lower(made)
    inputs = random_inputs(graph)
    assert_close(reference_run(graph, inputs)["y"], run_model(small_model(), inputs)["y"])


@pytest.mark.parametrize("location", ["../secret", "a/../../secret", "/etc/passwd", "C:\\secret", "..\\secret", ""])
def test_external_data_somewhere_else(tmp_path: Path, location: str) -> None:
    assert message(external(tmp_path, location=location)) == (
        f"model.onnx: tensor 'm': error: its external data is at '{location}'\n"
        "  expected: a file in the folder of the model, or below it"
    )


def test_external_data_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(432))
    folder = tmp_path / "models"
    folder.mkdir()
    try:
        (folder / "link").symlink_to(tmp_path / "secret")
        (folder / "up").symlink_to(tmp_path)
    except OSError:
        pytest.skip("no symbolic links on this machine")
    for location in ("link", "up/secret"):
        assert "leads out of the folder of the model" in message(external(folder, location=location, offset="0"))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"location": "none.bin"}, "its external data, 'none.bin', cannot be found: "),
        ({"location": "."}, "its external data, '.', is not a file"),
        ({"offset": "-4"}, "the offset of its external data is '-4'"),
        ({"length": "many"}, "the length of its external data is 'many'"),
        ({"length": "8"}, "its external data has 8 bytes"),
        ({"offset": "0"}, "its external data has 436 bytes"),
        ({"offset": "8", "length": "432"}, "its external data ends at byte 440 of a file of 436"),
    ],
)
def test_external_data_that_is_wrong(tmp_path: Path, entries: dict[str, str], expected: str) -> None:
    assert message(external(tmp_path, **entries)).startswith(f"model.onnx: tensor 'm': error: {expected}")


def test_what_stops_the_process() -> None:
    """The C++ of onnx aborts on some damaged models; a process that is lost is a message too."""
    if sys.platform != "linux":
        pytest.skip("tried in a fork, on Linux alone")
    with pytest.raises(InputError) as caught:
        require_survival(os.abort, "check the model", "model.onnx")
    assert str(caught.value) == (
        "model.onnx: error: onnx cannot check the model: its C++ code ends with SIGABRT\n"
        "  expected: a model that is not damaged"
    )


def test_what_does_not_stop_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    require_survival(lambda: None, "do nothing")
    require_survival(lambda: sys.exit(1), "go away")
    monkeypatch.setattr(trial, "PATIENCE", 0.05)
    require_survival(lambda: time.sleep(60), "sleep", seconds=1)


def test_what_does_not_come_to_an_end() -> None:
    if sys.platform != "linux":
        pytest.skip("tried in a fork, on Linux alone")
    with pytest.raises(InputError, match="onnx cannot count: it does not come to an end"):
        require_survival(lambda: [0 for _ in iter(int, 1)], "count", seconds=1)


def test_what_the_caller_left_behind_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage that would wait for a thread, as sessions of onnxruntime do: the process of the trial has none."""
    if sys.platform != "linux":
        pytest.skip("tried in a fork, on Linux alone")
    here = os.getpid()

    class Waits:
        def __del__(self) -> None:
            if os.getpid() != here:
                time.sleep(60)

    one, other = Waits(), Waits()
    one.other, other.other = other, one  # type: ignore[attr-defined]
    monkeypatch.setattr(trial, "PATIENCE", 30)
    del one, other
    began = time.monotonic()
    require_survival(lambda: [[] for _ in range(100_000)], "make garbage", seconds=1)
    assert time.monotonic() - began < 20


# Random damage


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The file with some bits flipped, a stretch of it changed, doubled or lost, or its end cut off."""
    damaged = bytearray(data)
    kind = rng.randrange(5)
    if kind < 2:
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        return bytes(damaged)
    start = rng.randrange(len(damaged))
    end = start + rng.randint(1, 30)
    if kind == 2:
        return bytes(damaged[:start])
    if kind == 3:
        return bytes(damaged[:start] + rng.randbytes(rng.randint(0, 30)) + damaged[end:])
    return bytes(damaged[:end] + damaged[start:])


def attempt(path: Path) -> str:
    """What becomes of a file: a graph, or one message."""
    try:
        graph = lower(read_model(path))
    except InputError as error:
        assert len(str(error)) < 1000
        return "refused"
    verify_graph(graph)
    return "lowered"


def fuzz(folder: Path, seeds: range) -> set[str]:
    structure = small_model()
    for tensor in structure.graph.initializer[:3]:  # so that most damage hits what means something
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(tuple(tensor.dims), np.float32), tensor.name))
    data = structure.SerializeToString()
    return {attempt(saved(folder, mutated(data, random.Random(seed)))) for seed in seeds}


def test_random_damage(tmp_path: Path) -> None:
    assert fuzz(tmp_path, range(300)) == {"refused", "lowered"}


@pytest.mark.validate
def test_much_random_damage(tmp_path: Path) -> None:
    assert fuzz(tmp_path, range(300, 15_000)) == {"refused", "lowered"}
