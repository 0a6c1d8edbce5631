"""The networks that come with onnx, whose weights are ConstantOfShape nodes: all of them lower."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from effc.backends.reference import reference_run
from effc.compiler.frontend.from_onnx import lower, read_model
from effc.compiler.passes.fold_batchnorm import FoldBatchNorm
from effc.ir.graph import Graph
from effc.ir.verify import verify_graph

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

NESTS = {
    "light_bvlc_alexnet": 8,
    "light_densenet121": 121,
    "light_inception_v1": 58,
    "light_inception_v2": 70,
    "light_resnet50": 54,
    "light_shufflenet": 50,
    "light_squeezenet": 26,
    "light_vgg19": 19,
    "light_zfnet512": 8,
}
"""The convolutions and fully connected layers of each."""


def light(name: str) -> Graph:
    graph = lower(read_model(LIGHT / f"{name}.onnx"))
    verify_graph(graph)
    return graph


def test_all_are_known() -> None:
    assert sorted(NESTS) == sorted(path.stem for path in LIGHT.glob("*.onnx"))


@pytest.mark.parametrize("name", ["light_squeezenet", "light_vgg19"])
def test_two_lower(name: str) -> None:
    graph = light(name)
    assert len(graph.nests) == NESTS[name]
    weights = [graph.constants[op.uses["W"].tensor] for op in graph.nests]
    assert all(array.size == 1 or not any(array.strides) for array in weights)  # one word of memory each


@pytest.mark.validate
@pytest.mark.parametrize("name", NESTS)
def test_all_lower_and_run(name: str) -> None:
    graph = FoldBatchNorm().run(light(name))
    assert len(graph.nests) == NESTS[name]
    values = reference_run(
        graph, {name: np.zeros(graph.tensors[name].shape or (), np.float32) for name in graph.inputs}
    )
    expected = numpy_helper.to_array(onnx.TensorProto.FromString((LIGHT / f"{name}_output_0.pb").read_bytes()))
    assert values[graph.outputs[0]].shape == expected.shape
