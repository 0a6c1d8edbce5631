"""Damaged programs of whole networks: control flow, recurrent layers, integers. A result or a typed fault, no more."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
import onnx
import pytest
from control_models import if_model, scan_model, while_model
from mutants import mutated
from onnx_models import model, node, random
from small import TINY
from test_machine_fuzz import LIMITS, binary_outcome, outcome

import effc
from effc.backends.accel import Machine, print_program
from effc.compiler.inputs import random_inputs
from effc.compiler.target import parse_target
from effc.ir.bodies import every_constant

INTEGERS = TINY.replace("word 16 bit", "word 16 bit\n  numeric { types int8 -> int32 }").replace(
    "ops Relu", "ops QuantizeLinear, DequantizeLinear, Relu"
)


def recurrent(op: str, gates: int) -> onnx.ModelProto:
    """A recurrent layer of two words: a Scan."""
    weights = {"w": (1, gates * 2, 3), "r": (1, gates * 2, 2), "b": (1, gates * 4)}
    constants = {name: random(shape) for name, shape in weights.items()}
    return model([node(op, "x w r b", "y h", hidden_size=2)], {"x": (4, 1, 3)}, constants, "y h")


def quantised() -> onnx.ModelProto:
    """Two convolutions of integers, the first with scales by channel."""
    constants = {
        "s": np.array(0.5, np.float32),
        "z": np.array(3, np.uint8),
        "w": np.arange(54, dtype=np.int8).reshape(3, 2, 3, 3),
        "t": np.array([0.1, 0.2, 0.3], np.float32),
        "o": np.zeros(3, np.int8),
        "b": np.array([1, 2, 3], np.int32),
        "v": np.arange(-4, 5, dtype=np.int8).reshape(3, 3, 1, 1),
    }
    first = node("QLinearConv", "x s z w t o s z b", "m", pads=[1, 1, 1, 1])
    second = node("QLinearConv", "m s z v t o s z", "y")
    return model([first, second], {"x": (1, 2, 4, 4)}, constants, element=onnx.TensorProto.UINT8)


def dynamic() -> onnx.ModelProto:
    """A product of integers, whose scale the data decide."""
    nodes = [node("DynamicQuantizeLinear", "x", "q s z"), node("MatMulInteger", "q w z", "i")]
    nodes += [node("Cast", "i", "f", to=1), node("Mul", "f s", "y")]
    return model(nodes, {"x": (3, 4)}, {"w": np.arange(-10, 10, dtype=np.int8).reshape(4, 5)})


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "scan": (lambda: scan_model(3), TINY),
    "while": (while_model, TINY),
    "if": (if_model, TINY),
    "lstm": (lambda: recurrent("LSTM", 4), TINY),
    "gru": (lambda: recurrent("GRU", 3), TINY),
    "rnn": (lambda: recurrent("RNN", 1), TINY),
    "quantised": (quantised, INTEGERS),
    "dynamic": (dynamic, INTEGERS),
}


@dataclass(frozen=True)
class Base:
    """A program that is right, and what it runs on."""

    machine: Machine
    text: str
    inputs: Mapping[str, Any]
    constants: Mapping[str, Any]


@cache
def base(name: str) -> Base:
    make, target = MODELS[name]
    compiled = effc.compile(make(), parse_target(target), time_limit=0.2)
    assert compiled.program is not None
    inputs = {
        name: value if value.dtype == np.bool_ else abs(value) + 1  # large enough for loops to end
        for name, value in random_inputs(compiled.graph, 0).items()
    }
    machine = Machine(compiled.target, limits=LIMITS)
    return Base(machine, print_program(compiled.program), inputs, every_constant(compiled.graph))


def outcomes(name: str, seeds: range) -> Counter[str]:
    whole, found = base(name), Counter[str]()
    for seed in seeds:
        random = Random(f"{name} {seed}")
        mutant = mutated(whole.text, random)
        try:
            found[outcome(whole.machine, mutant, whole.constants, whole.inputs)] += 1
            found[binary_outcome(whole.machine, whole.text, whole.constants, random, whole.inputs)] += 1
        except Exception:
            print(f"seed {seed} of {name}:\n{mutant}", file=sys.stderr)
            raise
    return found


@pytest.mark.parametrize("name", MODELS)
def test_damaged_networks(name: str) -> None:
    whole = base(name)
    assert outcome(whole.machine, whole.text, whole.constants, whole.inputs) == "ran"
    assert outcomes(name, range(8)).total() == 16


@pytest.mark.validate
@pytest.mark.parametrize("name", MODELS)
def test_thousands_of_damaged_networks(name: str) -> None:
    found = outcomes(name, range(1000, 2000))
    assert min(found[kind] for kind in ("rejected", "faulted", "ran")) > 100
