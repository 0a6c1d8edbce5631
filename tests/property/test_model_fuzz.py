"""Real models with random faults in their structure: one clear error or a well-formed graph, never anything else."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import onnx
import pytest
from control_models import counted_model, growing_model, if_model, scan_model, while_model
from hypothesis import given, settings
from hypothesis import strategies as st

from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import check, lower
from effc.compiler.frontend.subgraphs import subgraphs
from effc.compiler.pipeline import placing_passes, standard_passes
from effc.compiler.target import load_target
from effc.ir.bodies import everywhere
from effc.ir.verify import verify_graph

MODELS_FOLDER = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS_FOLDER))  # a folder of scripts, not a package

import build  # noqa: E402

CONTROL = {
    "scan": scan_model,
    "while": while_model,
    "counted": counted_model,
    "growing": growing_model,
    "if": if_model,
}
NAMES = [*(f"{name}_tiny" for name in build.NETWORKS), *CONTROL]
DIMS = {"gpt2_tiny": {"sequence": 2, "past": 3}, "llama_tiny": {"sequence": 2, "past": 3}}

EXTREMES = (0, 1, -1, 2, 3, 7, 255, 1 << 16, 1 << 31, -(1 << 31), (1 << 62), -(1 << 63), (1 << 63) - 1)
# fmt: off
OPERATORS = [
    "Attention", "Add", "Concat", "ConstantOfShape", "Conv", "ConvTranspose", "DFT", "Einsum", "Expand", "GRU",
    "Gather", "Gemm", "If", "LSTM", "Loop", "MatMul", "MaxPool", "QLinearConv", "RNN", "Range", "Reshape", "Resize",
    "STFT", "Scan", "Slice", "Softmax", "Split", "Transpose", "Where",
]
# fmt: on

Fault = Callable[[onnx.GraphProto, random.Random], None]


def rewire(graph: onnx.GraphProto, rng: random.Random) -> None:
    """A node reads another tensor: cycles and wrong types come of it."""
    names = [name for node in graph.node for name in node.output] + [t.name for t in graph.initializer]
    node = rng.choice(graph.node)
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice([*names, "", "nowhere"])


def drop(graph: onnx.GraphProto, rng: random.Random) -> None:
    field = rng.choice([graph.node, graph.initializer, graph.input, rng.choice(graph.node).attribute, graph.output])
    if field:
        del field[rng.randrange(len(field))]


def double(graph: onnx.GraphProto, rng: random.Random) -> None:
    field = rng.choice([graph.node, graph.initializer, graph.output, graph.input])
    field.append(rng.choice(field))


def number(graph: onnx.GraphProto, rng: random.Random) -> None:
    """An attribute takes an extreme value."""
    attributes = [a for node in graph.node for a in node.attribute if a.ints or a.type == a.INT]
    if attributes:
        attribute = rng.choice(attributes)
        if attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(EXTREMES)
        else:
            attribute.i = rng.choice(EXTREMES)


def size(graph: onnx.GraphProto, rng: random.Random) -> None:
    """A dim of an input, of an output or of an initializer takes an extreme value."""
    value = rng.choice([*graph.input, *graph.output])
    if value.type.tensor_type.shape.dim and rng.random() < 0.7:
        rng.choice(value.type.tensor_type.shape.dim).dim_value = rng.choice(EXTREMES)
    else:
        tensor = rng.choice(graph.initializer)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(EXTREMES)


def element(graph: onnx.GraphProto, rng: random.Random) -> None:
    """A tensor takes another type."""
    kind = rng.randrange(0, 24)
    if rng.random() < 0.5:
        rng.choice(graph.input).type.tensor_type.elem_type = kind
    else:
        rng.choice(graph.initializer).data_type = kind


def operator(graph: onnx.GraphProto, rng: random.Random) -> None:
    rng.choice(graph.node).op_type = rng.choice(OPERATORS)


def words(graph: onnx.GraphProto, rng: random.Random) -> None:
    """A small constant, a shape perhaps, gets other values."""
    small = [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT64 and 0 < len(t.raw_data) <= 64]
    if small:
        tensor = rng.choice(small)
        count = len(tensor.raw_data) // 8
        value = [rng.choice(EXTREMES) for _ in range(count)]
        tensor.raw_data = b"".join(word.to_bytes(8, "little", signed=True) for word in value)


FAULTS: list[Fault] = [rewire, drop, double, number, size, element, operator, words]


@cache
def original(name: str) -> bytes:
    made = CONTROL[name]() if name in CONTROL else build.build(name)
    return bytes(made.SerializeToString(deterministic=True))


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, and those of its bodies."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from graphs(inner)


def faulty(name: str, seed: int) -> onnx.ModelProto:
    """The model with one to three faults."""
    rng = random.Random(f"{name} {seed}")
    model = onnx.ModelProto.FromString(original(name))
    for _ in range(rng.randrange(1, 4)):
        whole = [graph for graph in graphs(model.graph) if graph.node and graph.initializer and graph.output]
        if whole and model.graph.input:
            with suppress(IndexError):  # nothing of the kind is there
                rng.choice(FAULTS)(rng.choice(whole), rng)
    return model


def survives(name: str, seed: int) -> bool:
    """Whether the model becomes a graph; else it is refused with an InputError. Nothing else may happen."""
    model = faulty(name, seed)
    target = load_target("eyeriss")
    try:
        check(model)
        graph = lower(model, dims=DIMS.get(name))
        for item in (*standard_passes(), *placing_passes(target)):
            graph = everywhere(item.run, graph)
    except InputError as error:
        assert str(error).strip()
        return False
    verify_graph(graph)
    return True


@pytest.mark.parametrize("name", NAMES)
def test_faults(name: str) -> None:
    outcomes = [survives(name, seed) for seed in range(8)]
    assert not all(outcomes)


@pytest.mark.validate
@settings(max_examples=2000, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(NAMES), st.integers(0, 1 << 32))
def test_many_faults(name: str, seed: int) -> None:
    survives(name, seed)
