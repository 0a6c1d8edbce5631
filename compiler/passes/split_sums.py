"""Divides products of integers whose sums the target's own type does not hold."""

from __future__ import annotations

from dataclasses import dataclass, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.node_ops import node_op, unused
from effc.compiler.passes.registry import register_pass
from effc.compiler.passes.type_sums import WIDE, largest_sum, most
from effc.compiler.target.model import Target
from effc.ir.graph import Graph, NestOp, Op, Tensor, View
from effc.ir.nest import OUTPUT_NAME, Axis, Operand
from effc.ir.types import integer_bits


@register_pass
@dataclass(frozen=True)
class SplitSums(Pass):
    """Divide an integer nest whose sums may leave the target's type along a summed dim, and add up the parts in int32.

    A nest that cannot be divided stays as it is.

    nest conv1 (..., C=512, ...) ... uses I = x, W = w, O = sums              on a target with `types int8 -> int24`

    nest conv1_part1 (..., C=256, ...) ... uses I = x, W = w, O = sums_part1
    nest conv1_part2 (..., C=256, ...) ... uses I = x[256 ...], W = w[256 ...], O = sums_part2
    op Add "conv1_add2" (sums_part1, sums_part2) -> (sums) @ vector
    """

    name = "split-sums"
    target: Target

    def run(self, graph: Graph) -> Graph:
        numeric, unit = self.target.numeric, self.target.vector
        if not numeric.types or unit is None or not unit.takes("Add"):
            return graph
        ops: list[Op] = []
        tensors = dict(graph.tensors)
        for op in graph.ops:
            parts = _parts(op, graph, most(numeric.sums)) if isinstance(op, NestOp) else []
            ops += _added(op, parts, numeric.sums, tensors) if isinstance(op, NestOp) and parts else [op]
        return replace(graph, ops=tuple(ops), tensors=tensors)


def _parts(op: NestOp, graph: Graph, limit: int) -> list[NestOp]:
    """As few nests as can be over parts of a summed dim, no sum of which exceeds the limit; none if one is enough."""
    types = [graph.tensors[op.uses[read.name].tensor].dtype for read in op.nest.reads]
    if op.epilogue or not all(map(integer_bits, types)) or largest_sum(op, graph) <= limit:
        return []
    dim = max(
        filter(lambda name: _divides(op, name), op.nest.reduction_dims), key=op.nest.bounds.__getitem__, default=""
    )
    size = op.nest.bounds.get(dim, 1)
    for count in range(2, size + 1):
        step = -(-size // count)
        found = [_part(op, dim, start, min(step, size - start)) for start in range(0, size, step)]
        if all(largest_sum(part, graph) <= limit for part in found):
            return found
    return []


def _divides(op: NestOp, dim: str) -> bool:
    """Whether a dim is an axis of its own wherever it is used."""
    whole = Axis(((1, dim),), 0, op.nest.bounds[dim])
    return all(axis == whole for operand in op.nest.operands.values() for axis in operand.axes if dim in axis.dims)


def _part(op: NestOp, dim: str, start: int, size: int) -> NestOp:
    """The nest over some values of a dim; only the first begins from the bias."""
    nest = replace(op.nest, dims=tuple(replace(d, bound=size) if d.name == dim else d for d in op.nest.dims))
    nest = replace(nest, reads=tuple(_cut(read, dim, size) for read in nest.reads), bias=None if start else nest.bias)
    uses = {name: _moved(op.uses[name], op.nest.operands[name], dim, start) for name in nest.operands}
    return replace(op, nest=nest, uses=uses)


def _cut(operand: Operand, dim: str, size: int) -> Operand:
    return replace(operand, axes=tuple(replace(a, size=size) if dim in a.dims else a for a in operand.axes))


def _moved(view: View, operand: Operand, dim: str, start: int) -> View:
    """The view from a value of a dim on, that of its zero point, too."""
    along = sum(stride for axis, stride in zip(operand.axes, view.strides) if dim in axis.dims)
    zero = None if view.zero is None else _moved(view.zero, operand, dim, start)
    return replace(view, offset=view.offset + start * along, zero=zero)


def _added(op: NestOp, parts: list[NestOp], dtype: str, tensors: dict[str, Tensor]) -> list[Op]:
    """The parts, each with sums of its own, and what adds these up to those of the nest."""
    output, ops = op.uses[OUTPUT_NAME], list[Op]()
    total = ""
    for number, part in enumerate(parts, 1):
        sums = unused(f"{output.tensor}_part{number}", tensors)
        tensors[sums] = replace(tensors[output.tensor], name=sums, dtype=dtype)
        nest = replace(part.nest, name=f"{op.name}_part{number}")
        ops.append(replace(part, nest=nest, uses={**part.uses, OUTPUT_NAME: replace(output, tensor=sums)}))
        if not total:
            total = sums
            continue
        result = output.tensor if number == len(parts) else unused(f"{output.tensor}_sum{number}", tensors)
        tensors[result] = replace(tensors[output.tensor], name=result, dtype=WIDE)
        ops.append(node_op("Add", f"{op.name}_add{number}", (sums, total), result, "vector"))
        total = result
    return ops
