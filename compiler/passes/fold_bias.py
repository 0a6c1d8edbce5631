"""Folds the addition of a constant into the bias of the nest before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import reads, without_unused_tensors
from effc.compiler.passes.layout import Layout, row_major, through
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Op, View
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, Operand


@register_pass
@dataclass(frozen=True)
class FoldBias(Pass):
    """Fold the addition of a constant row into the nest before it, which starts its sums from there.

    nest matmul1 ... uses I = x, W = w, O = t
    op Add "add1" (t, b) -> (y)

    nest matmul1 ... bias B[N < 768] ... uses I = x, W = w, B = b, O = y
    """

    name = "fold-bias"

    def run(self, graph: Graph) -> Graph:
        readers = Counter([*graph.outputs, *(name for op in graph.ops for name in reads(op))])
        ops: list[Op] = []
        writers: dict[str, list[int]] = {}
        for op in graph.ops:
            if isinstance(op, NestOp):
                writers.setdefault(op.outputs[0], []).append(len(ops))
            elif op.op == "Add" and not op.domain and len(op.inputs) == 2:
                for product, constant in (op.inputs, op.inputs[::-1]):
                    places = writers.get(product, [])
                    if len(places) != 1 or readers[product] != 1 or constant not in graph.constants:
                        continue
                    nest = ops[places[0]]
                    folded = _folded(nest, op, constant, graph) if isinstance(nest, NestOp) else None
                    if folded is not None:
                        ops[places[0]] = folded
                        writers[op.outputs[0]] = places
                        break
                else:
                    ops.append(op)
                continue
            ops.append(op)
        return without_unused_tensors(graph.with_ops(tuple(ops)))


def _folded(op: NestOp, add: NodeOp, constant: str, graph: Graph) -> NestOp | None:
    """The nest that begins from the constant and writes the sum; None where that cannot be."""
    product, total = graph.tensors[op.outputs[0]], graph.tensors[add.outputs[0]]
    value = graph.constants[constant]
    if op.nest.bias is not None or product.shape != total.shape or total.shape is None or value.dtype != total.dtype:
        return None
    broadcast = _broadcast(value, constant, total.shape)
    view = None if broadcast is None else through(op.uses[OUTPUT_NAME], op.nest.output.shape, broadcast)
    if view is None:
        return None
    axes = list(zip(op.nest.output.axes, view.strides))
    kept = [(axis, stride) for axis, stride in axes if stride] or axes[-1:]
    bias = Operand(BIAS_NAME, tuple(axis for axis, _ in kept))
    output = replace(op.uses[OUTPUT_NAME], tensor=total.name)
    uses = {**op.uses, BIAS_NAME: View(constant, view.offset, tuple(stride for _, stride in kept)), OUTPUT_NAME: output}
    return replace(op, nest=replace(op.nest, bias=bias), uses=uses)


def _broadcast(value: Array, name: str, shape: tuple[int, ...]) -> Layout | None:
    """How a constant lies over a tensor of this shape; None if it is as large as the tensor, or larger."""
    if value.ndim > len(shape) or not value.size or value.size > max(shape, default=1):
        return None
    own = (1,) * (len(shape) - value.ndim) + value.shape
    strides = tuple(s if n == m else 0 for s, n, m in zip(row_major(own), own, shape))
    return Layout(name, shape, 0, strides)
