"""Epilogues in C: what is done to the finished words of a nest, one after the other, in a function of its own loops.

op Relu "relu1" (t) -> (u)      for (long i = 0; i < 16; i++) {
op Add "add1" (u, r) -> (y)       const float relu1 = O[i] < 0 ? 0 : O[i];
                                  const float add1 = relu1 + r[i];
                                  O[i] = add1;
                                }

Operators of float32 that C has, or that are short: the others stay steps of the host, and with them all of their nest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from effc.ir.graph import NestOp, NodeOp, Tensor
from effc.ir.printer import row_major

EXPRESSIONS: dict[str, str] = {
    "Abs": "fabsf({0})",
    "Add": "{0} + {1}",
    "Div": "{0} / {1}",
    "Erf": "erff({0})",
    "Exp": "expf({0})",
    "Mul": "{0} * {1}",
    "Neg": "-{0}",
    "Reciprocal": "1 / {0}",
    "Relu": "{0} < 0 ? 0 : {0}",
    "Sigmoid": "1 / (1 + expf(-{0}))",
    "Sqrt": "sqrtf({0})",
    "Sub": "{0} - {1}",
    "Tanh": "tanhf({0})",
}
"""A word of the result from a word of each input; what compares lets NaN pass."""

CLIP = {1: "{0} < {1} ? {1} : {0}", 2: "{0} > {2} ? {2} : {0}"}
"""The bounds of Clip, each of which may be left out."""

FUNCTIONS = ("erff", "expf", "fabsf", "sqrtf", "tanhf")
"""Those of C's own library that the expressions call."""


@dataclass(frozen=True)
class Finish:
    """The steps of an epilogue: expressions of words, by the tensor that each makes; the shapes of all tensors."""

    shape: tuple[int, ...]
    inputs: Mapping[str, tuple[int, ...]]
    steps: tuple[tuple[str, str, tuple[str, ...]], ...]  # the result, its expression, what stands in it

    def address(self, name: str, index: tuple[str, ...]) -> list[tuple[int, str]]:
        """Where a word of an input is, as strides of indices: it is broadcast to the shape of the output."""
        shape = self.inputs.get(name, self.shape)
        strides = zip(shape, row_major(shape), index[len(index) - len(shape) :])
        return [(stride, variable) for size, stride, variable in strides if size > 1]


def finish(op: NestOp, tensors: Mapping[str, Tensor]) -> Finish | None:
    """The epilogue of a nest, if C can run all of it."""
    shape = tensors[op.inner[0]].shape if op.epilogue else None
    names = (*op.inner, *op.outputs, *op.epilogue_inputs)
    if shape is None or any(tensors[name].dtype != "float32" for name in names):
        return None
    expressions = [_expression(step) for step in op.epilogue]
    steps = [(s.outputs[0], text, s.inputs) for s, text in zip(op.epilogue, expressions) if text is not None]
    inputs = {name: found for name in op.epilogue_inputs if (found := tensors[name].shape) is not None}
    if len(steps) < len(op.epilogue) or len(inputs) < len(op.epilogue_inputs):
        return None
    return Finish(shape, inputs, tuple(steps))


def _expression(step: NodeOp) -> str | None:
    """What a step computes; None where C is not told."""
    if step.domain:
        return None
    if step.op == "Clip" and step.version >= 11:
        bounds = [position for position in CLIP if position < len(step.inputs) and step.inputs[position]]
        return CLIP[bounds[0]] if len(bounds) == 1 else "{0} < {1} ? {1} : {0} > {2} ? {2} : {0}" if bounds else "{0}"
    return EXPRESSIONS.get(step.op)
