"""The sizes, attributes and activations of LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.writer import Writer

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FUNCTIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}

DEFAULTS: dict[str, tuple[float | None, float | None]] = {
    "LeakyRelu": (0.01, None),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, None),
}
"""alpha and beta of the activations that have defaults."""

PLAIN = ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")
"""Activations that have neither."""

EXPLICIT = ("Affine", "ScaledTanh")
"""Activations for which ONNX gives none."""

Activation = Callable[[str], str]

QUANTISED = "DynamicQuantizeLSTM"
"""onnxruntime's, in ``com.microsoft``; scales and zero points of its weights are inputs 8 to 11."""


@dataclass(frozen=True)
class Form:
    """The sizes and attributes of a recurrent node."""

    node: Node
    op: str
    layout: int
    directions: int
    steps: int
    batch: int
    hidden: int
    quantised: bool

    @classmethod
    def of(cls, node: Node) -> Form:
        quantised, layout = node.proto.op_type == QUANTISED, int(node.attributes.get("layout", 0))
        op = "LSTM" if quantised else node.proto.op_type
        x, w, r = node.operand(0)[1], *(_weights(node, i) if quantised else node.operand(i)[1] for i in (1, 2))
        direction = node.attributes.get("direction", b"forward").decode(errors="replace")
        if direction not in ("forward", "reverse", "bidirectional"):
            raise node.error(f"direction is '{direction}'", "forward, reverse, bidirectional")
        directions = 1 + (direction == "bidirectional")
        if len(x) != 3 or len(w) != 3 or len(r) != 3:
            raise node.error(f"its inputs have {len(x)}, {len(w)} and {len(r)} axes", "three each")
        hidden = r[2]
        gates = GATES[op] * hidden
        if w != (directions, gates, x[2]) or r != (directions, gates, hidden):
            raise node.error(
                f"the weights have the shapes {list(w)} and {list(r)}",
                f"[{directions}, {gates}, {x[2]}] and [{directions}, {gates}, {hidden}]",
            )
        steps, batch = (x[1], x[0]) if layout else (x[0], x[1])
        state = (batch, directions, hidden) if layout else (directions, batch, hidden)
        others = {"bias": (directions, 2 * gates), "sequence_lens": (batch,), "initial_h": state, "initial_c": state}
        for position, (name, shape) in enumerate({**others, "peepholes": (directions, 3 * hidden)}.items(), 3):
            tensor = node.input(position)
            if tensor is not None and tensor.shape not in (None, shape):
                raise node.error(f"{name} has the shape {list(tensor.shape or ())}", str(list(shape)))
        if quantised and node.input(4) is not None:
            raise NotANest("a quantised recurrence over sequences of several lengths")
        return cls(node, op, layout, directions, steps, batch, hidden, quantised)

    @property
    def lengths(self) -> str:
        """The tensor of the lengths of the sequences; empty where all have every step."""
        given = self.node.input(4)
        known = self.node.constant(4)
        return "" if given is None or (known is not None and bool(np.all(known == self.steps))) else given.name

    def reverse(self, direction: int) -> bool:
        return direction == 1 or self.node.attributes.get("direction") == b"reverse"

    def activations(self, write: Writer, direction: int) -> list[Activation]:
        """The functions of a direction, behind the clipping of their inputs."""
        count = len(FUNCTIONS[self.op])
        names = [name.decode() for name in self.node.attributes.get("activations", ())]
        names = names or list(FUNCTIONS[self.op]) * self.directions
        if len(names) != count * self.directions:
            raise self.node.error(f"it has {len(names)} activations", f"{count * self.directions}")
        alphas = iter(self.node.attributes.get("activation_alpha", ()))
        betas = iter(self.node.attributes.get("activation_beta", ()))
        functions = list(self._functions(write, names, alphas, betas))
        return functions[direction * count : (direction + 1) * count]

    def _functions(
        self, write: Writer, names: list[str], alphas: Iterator[float], betas: Iterator[float]
    ) -> Iterator[Activation]:
        clip = float(self.node.attributes.get("clip", 0.0))
        gates = 2 if self.op == "LSTM" else len(FUNCTIONS[self.op])  # what the cell becomes is not clipped
        known = {
            name.lower(): name for name in (*DEFAULTS, *EXPLICIT, "Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")
        }
        for i, name in enumerate(names):
            if name.lower() not in known:
                raise NotANest(f"the activation {name}")
            name = known[name.lower()]
            alpha, beta = DEFAULTS.get(name, (None, None))
            if name in DEFAULTS or name in EXPLICIT:
                alpha = next(alphas, alpha)
            if beta is not None or name in EXPLICIT:
                beta = next(betas, beta)
            if name in EXPLICIT and (alpha is None or beta is None):
                raise NotANest(f"the activation {name} without alpha or beta, for which ONNX has no default")
            limit = clip if i % len(FUNCTIONS[self.op]) < gates else 0.0
            yield partial(_activated, write, name, alpha, beta, limit)


def _weights(node: Node, position: int) -> tuple[int, ...]:
    """The shape of quantised weights, in ONNX's order."""
    tensor = node.input(position)
    if tensor is None or tensor.shape is None or len(tensor.shape) != 3 or node.input(11) is None:
        raise NotANest("weights that are only known at run time")
    return tensor.shape[0], tensor.shape[2], tensor.shape[1]


def _activated(write: Writer, name: str, alpha: float | None, beta: float | None, clip: float, x: str) -> str:
    if clip > 0:
        x = write("Clip", x, write.scalar(-clip), write.scalar(clip))
    if name == "Affine":
        return write("Add", write("Mul", x, write.scalar(alpha or 0.0)), write.scalar(beta or 0.0))
    if name == "ScaledTanh":
        scaled = write("Tanh", write("Mul", x, write.scalar(beta or 0.0)))
        return write("Mul", scaled, write.scalar(alpha or 0.0))
    attributes: dict[str, Any] = {k: value for k, value in (("alpha", alpha), ("beta", beta)) if value is not None}
    return write(name, x, **attributes)
