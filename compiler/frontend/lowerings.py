"""The table of lowerings: which ONNX operators become nests, and why others do not.

    def conv(node: Node, build: Builder) -> None: ...

A lowering adds nests, tensors and constants to the builder, or raises ``NotANest`` with the reason before it has added
an op. Then, as for every operator without a lowering, the ONNX node itself becomes an op.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import NamedTuple

from effc.compiler.errors import InputError
from effc.compiler.frontend.builder import Builder
from effc.compiler.frontend.conv import conv
from effc.compiler.frontend.gemm import gemm
from effc.compiler.frontend.matmul import matmul
from effc.compiler.frontend.node import Node

GROUP = "effc.lowerings"
"""The entry points under which other packages offer lowerings."""

Lower = Callable[[Node, Builder], None]


class Lowering(NamedTuple):
    """A row of the table: the function, and the forms of the operator that become nests."""

    function: Lower
    forms: str


LOWERINGS: dict[tuple[str, str], Lowering] = {
    ("", "Conv"): Lowering(conv, "1-D, 2-D; groups, strides, dilations, any padding; float32"),
    ("", "Gemm"): Lowering(gemm, "any; a constant row C is a bias, other C an Add; float32"),
    ("", "MatMul"): Lowering(matmul, "any rank, batched, broadcast; float32"),
}
"""By domain and operator."""

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
"""Operators of ONNX's own domain that give the same words another shape."""

REASONS: dict[str, str] = {
    **dict.fromkeys(sorted(VIEWS), "shape only: no words move"),
    **dict.fromkeys(("Shape", "Size"), "integers about shapes"),
    **dict.fromkeys(
        ("NonZero", "Unique", "Compress", "NonMaxSuppression"), "the shape of its result depends on the data"
    ),
    **dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"), "control flow"),
    **dict.fromkeys(("ConvTranspose", "DeformConv"), "no nest for this kind of convolution"),
    **dict.fromkeys(("ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul"), "quantised: nests are float32"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "no nest for recurrent operators"),
    **dict.fromkeys(("Attention", "Einsum"), "no nest for this kind of product"),
}
"""Why operators of ONNX's own domain are no nests, where there is more to say than that they are none."""


def register_lowering(op: str, forms: str = "", domain: str = "") -> Callable[[Lower], Lower]:
    """A decorator: the function becomes the lowering of an operator, in the place of an earlier one."""

    def register(function: Lower) -> Lower:
        LOWERINGS[domain, op] = Lowering(function, forms)
        return function

    return register


@cache
def load_offered() -> None:
    """Load the lowerings of other packages: modules that register them when they are imported."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            entry.load()
        except Exception as error:  # whatever another package raises
            problem = f"the lowerings '{entry.name}' cannot be loaded: {type(error).__name__}: {error}"
            raise InputError(problem, remedy=f"repair or remove the package that offers {entry.value}") from error


class Row(NamedTuple):
    """A line of ``effc ops``."""

    op: str
    forms: str
    where: str


def operator_table() -> list[Row]:
    """What becomes of ONNX's operators: the nests, then what never is one and why, then the rest."""
    load_offered()
    nests = [Row(f"{domain}.{op}" if domain else op, entry.forms, "accel") for (domain, op), entry in LOWERINGS.items()]
    others = [Row(op, reason, "host") for op, reason in REASONS.items() if ("", op) not in LOWERINGS]
    return [*sorted(nests), *sorted(others), Row("any other", "as the target's vector unit can", "vector or host")]
