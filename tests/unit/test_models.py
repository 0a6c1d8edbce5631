"""The shipped models: structure as published, files deterministic, the digits network accurate."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import shape_inference

MODELS_FOLDER = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS_FOLDER))  # a folder of scripts, not a package

import build  # noqa: E402
import digits  # noqa: E402

# Parameters are weights, biases and the scale and offset of batch norms.  They are torchvision's counts, but for
# AlexNet, whose torchvision version is another network: 60,965,224 is that of the Caffe reference.
PARAMETERS = {
    "alexnet": 60_965_224,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenetv2": 3_504_872,
    "squeezenet": 1_235_496,
    "digits": 6_090,
}
# Multiply-accumulates of convolutions and fully connected layers for one image.
MACS = {
    "alexnet": 724_406_816,
    "vgg16": 15_470_264_320,
    "resnet18": 1_814_073_344,
    "resnet50": 4_089_184_256,
    "mobilenetv2": 300_774_272,
    "squeezenet": 349_151_936,
    "digits": 84_224,
}
SMALL = ("squeezenet", "mobilenetv2", "digits")

Array = NDArray[np.float32]
Shapes = dict[str, list[int]]


def shapes_without_batch(model: onnx.ModelProto) -> Shapes:
    """The shape of every tensor by ONNX's own inference, 1 in place of the batch."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes: Shapes = {}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shapes[value.name] = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
    return shapes


def parameters_of(model: onnx.ModelProto, shapes: Shapes) -> int:
    learned = {"Conv": slice(1, None), "Gemm": slice(1, None), "BatchNormalization": slice(1, 3)}
    names = {name for node in model.graph.node if node.op_type in learned for name in node.input[learned[node.op_type]]}
    return sum(math.prod(shapes[name]) for name in names)


def macs_of(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Each output of a Conv or Gemm takes as many as there are weights in one filter."""
    return sum(
        math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm")
    )


def run(model: onnx.ModelProto, images: Array) -> Array:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: Array = session.run(["output"], {"input": images})[0]
    return result


@pytest.mark.parametrize("name", build.MODELS)
def test_counts_are_the_published_ones(name: str) -> None:
    model = build.build(name, weights=False)
    shapes = shapes_without_batch(model)
    assert parameters_of(model, shapes) == PARAMETERS[name]
    assert macs_of(model, shapes) == MACS[name]


@pytest.mark.parametrize("name", build.MODELS)
def test_interface(name: str) -> None:
    model = build.build(name, weights=False)
    onnx.checker.check_model(model)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    nodes = [node.name for node in model.graph.node]
    assert all(nodes) and len(set(nodes)) == len(nodes)
    for value in (model.graph.input[0], model.graph.output[0]):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"


def test_alexnet_is_the_original() -> None:
    nodes = {node.name: node for node in build.build("alexnet", weights=False).graph.node}
    attributes = {
        (name, a.name): onnx.helper.get_attribute_value(a) for name, node in nodes.items() for a in node.attribute
    }
    assert [attributes[f"conv{i}", "group"] for i in range(1, 6)] == [1, 2, 1, 2, 2]
    assert [node.op_type for node in nodes.values()][:4] == ["Conv", "Relu", "LRN", "MaxPool"]
    assert nodes["prob"].op_type == "Softmax"


@pytest.mark.parametrize("name", SMALL)
def test_two_builds_are_the_same_file(name: str, tmp_path: Path) -> None:
    first, second = (build.write(name, tmp_path / copy).read_bytes() for copy in "ab")
    assert first == second


@pytest.mark.parametrize("name", SMALL)
def test_weights_change_nothing_in_the_structure(name: str) -> None:
    full, bare = build.build(name), build.build(name, weights=False)
    assert list(full.graph.node) == list(bare.graph.node)
    assert len(full.graph.input) == 1


@pytest.mark.parametrize("name", [*SMALL, "resnet18", "resnet50"])
def test_outputs_are_finite_and_depend_on_the_input(name: str) -> None:
    model = build.build(name)
    onnx.checker.check_model(model, full_check=True)
    image = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    outputs = run(model, np.random.default_rng(0).standard_normal((3, *image), np.float32))
    assert np.isfinite(outputs).all()
    assert 0.1 < outputs.std() < 30
    assert outputs.std(axis=0).mean() > 0.05 * outputs.std()


def test_digits_accuracy() -> None:
    images, labels = digits.test_set()
    assert images.dtype == np.float32 and images.shape == (359, 1, 8, 8)
    assert images.min() >= 0 and images.max() <= 1
    assert (run(build.build("digits"), images).argmax(1) == labels).mean() >= 0.97


def test_digits_test_set_is_the_documented_split() -> None:
    pytest.importorskip("sklearn")
    import train_digits

    images, labels = train_digits.dataset()
    training, test = train_digits.split(len(images))
    assert not set(training) & set(test) and len(training) + len(test) == len(images)
    shipped = digits.test_set()
    np.testing.assert_array_equal(shipped[0], images[test])
    np.testing.assert_array_equal(shipped[1], labels[test])
