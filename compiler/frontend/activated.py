"""The activations that onnxruntime's optimiser fuses with a product: written as operators of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.writer import Writer

PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Softsign"), ()),
    **dict.fromkeys(("LeakyRelu", "Elu", "ThresholdedRelu"), ("alpha",)),
    "HardSigmoid": ("alpha", "beta"),
    "Selu": ("alpha", "gamma"),
}
"""Activations, and the attributes that their parameters are."""

FORMS = "with Clip or an activation of one input, or with none"


def activate(write: Writer, kind: str, numbers: Sequence[float | None], total: str) -> None:
    """Write the activation ``kind`` of a sum, with its parameters in their order, None where one is left to ONNX."""
    output = write.node.proto.output[0]
    if not kind:
        write("Identity", total, output=output)
    elif kind == "Clip" and len(numbers) == 2:
        write("Clip", total, *("" if n is None else write.scalar(n) for n in numbers), output=output)
    elif kind in PARAMETERS and len(PARAMETERS[kind]) <= len(numbers):
        known: dict[str, Any] = {name: n for name, n in zip(PARAMETERS[kind], numbers) if n is not None}
        write(kind, total, output=output, **known)
    else:
        raise NotANest(f"the activation {kind}")


def activation(node: Node) -> str:
    """The name of the activation; empty if there is none."""
    return str(node.attributes.get("activation", b"").decode(errors="replace"))


def numbers(node: Node) -> list[float | None]:
    """The parameters of the activation of a convolution."""
    return [float(number) for number in node.attributes.get("activation_params", ())]


def named(node: Node) -> list[float | None]:
    """The same of a Gemm, which has them under their names."""
    names = PARAMETERS.get(activation(node), ())
    return [node.attributes.get(f"activation_{name}") for name in names]
