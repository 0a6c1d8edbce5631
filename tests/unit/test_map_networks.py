"""The shipped networks, tiny, in all their structure: equal to onnxruntime, and every product a nest."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import effc
from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.comparison import relative_error
from effc.compiler.frontend.from_onnx import check, lower
from effc.compiler.frontend.lowerings import EXPANSIONS, LOWERINGS
from effc.compiler.inputs import random_inputs
from effc.compiler.pipeline import standard_passes
from effc.ir.bodies import every_op
from effc.ir.graph import ControlOp, Graph, NodeOp
from effc.ir.verify import verify_graph

MODELS_FOLDER = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS_FOLDER))  # a folder of scripts, not a package

import build  # noqa: E402

DIMS = {"gpt2": {"sequence": 3, "past": 4}, "llama": {"sequence": 3, "past": 4}}
PARAMETERS = {"bert": 109_482_240, "gpt2": 124_439_808, "vit": 86_567_656}
"""The published counts, embeddings included."""


def graph_of(model: onnx.ModelProto, name: str) -> Graph:
    graph = lower(model, dims=DIMS.get(name))
    for item in standard_passes():
        graph = item.run(graph)
    verify_graph(graph)
    return graph


def on_host(graph: Graph) -> list[str]:
    """The products that are no nests, in bodies, too."""
    products = {op for domain, op in (*LOWERINGS, *EXPANSIONS) if not domain}
    nodes = (op for op, _ in every_op(graph) if isinstance(op, NodeOp) and not isinstance(op, ControlOp))
    return [op.name for op in nodes if op.op in products]


@pytest.mark.parametrize("name", build.NETWORKS)
def test_a_tiny_network_equals_onnxruntime(name: str) -> None:
    model = build.build(f"{name}_tiny")
    check(model)
    graph = graph_of(model, name)
    assert on_host(graph) == []
    inputs = random_inputs(graph)
    values = reference_run(graph, inputs)
    for output, expected in run_model(model, inputs).items():
        assert relative_error(np.asarray(values[output]), expected) < 1e-5
        assert 0.001 < np.abs(expected).mean() < 10


def parameters(name: str, size: Any, places: int, patch: int) -> int:
    """The weights of a transformer, by its sizes."""
    layer = 4 * size.width * size.width + 2 * size.width * size.inner + 9 * size.width + size.inner
    outside = {
        "bert": (size.words + places + 2 + 2) * size.width + (size.width + 1) * size.width,
        "gpt2": (size.words + places + 2) * size.width,
        "vit": (3 * patch * patch + 1 + 1 + places + 2) * size.width + (size.width + 1) * size.words,
    }
    return int(size.layers * layer + outside[name])


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name: str) -> None:
    """By a formula, which holds for the tiny network, too: the full-sized one takes seconds to build."""
    size = getattr(importlib.import_module("transformers"), name.upper())
    assert parameters(name, size, 512 if name == "bert" else size.tokens, 16) == PARAMETERS[name]
    initializers = build.build(f"{name}_tiny").graph.initializer
    found = sum(math.prod(t.dims) for t in initializers if t.data_type == onnx.TensorProto.FLOAT and t.dims)
    assert found == parameters(name, size.tiny(), 10, 8)


def test_two_builds_are_equal() -> None:
    first, second = (build.build("bert_tiny").SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_attention_moves_no_words_but_for_its_products_and_softmax() -> None:
    """A layer of a ViT: what is between its products is arithmetic, no layout."""
    graph = graph_of(build.build("vit_tiny"), "vit")
    block = [op.op for op in graph.ops if op.name.startswith("block0")]
    assert set(block) == {"LayerNormalization", "MatMul", "Div", "Softmax", "Add", "Erf", "Mul"}
    assert block.count("Add") == 3  # two residuals and the one in GELU: biases are those of the nests


def test_a_tiny_network_on_the_machine() -> None:
    assert effc.compile(build.build("ds_cnn_tiny"), "eyeriss", time_limit=0.5).verify().ok


@pytest.mark.validate
@pytest.mark.parametrize("target", ["eyeriss", "gemmini"])
@pytest.mark.parametrize("name", build.NETWORKS)
def test_tiny_networks_on_the_machine(name: str, target: str) -> None:
    dims: dict[str, Any] = DIMS.get(name, {})
    program = effc.compile(build.build(f"{name}_tiny"), target, dims=dims, time_limit=5)
    assert program.verify().ok
    assert on_host(program.graph) == []


@pytest.mark.validate
@pytest.mark.parametrize("name", build.NETWORKS)
def test_networks_on_the_machine(name: str) -> None:
    dims: dict[str, Any] = {"sequence": 16, "past": 48} if name in DIMS else {}
    program = effc.compile(build.build(name), "eyeriss", dims=dims, time_limit=20)
    assert program.verify().ok
    assert on_host(program.graph) == []
