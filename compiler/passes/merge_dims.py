"""Makes one dim of two that every operand runs through in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations

from effc.compiler.passes.base import Pass
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Graph, NestOp, View
from effc.ir.nest import Axis, Dim, Nest, Operand


@register_pass
@dataclass(frozen=True)
class MergeDims(Pass):
    """Merge dims of a role that are neighbours in every operand that has them: batches of products, most of all.

    nest scores (G0=2, G1=12, M=128, ...) ... uses I = q strides (98304, 8192, 64, 1), ...

    nest scores (G=24, M=128, ...) ... uses I = q strides (8192, 64, 1), ...
    """

    name = "merge-dims"

    def run(self, graph: Graph) -> Graph:
        return graph.with_ops(tuple(_merged(op) if isinstance(op, NestOp) else op for op in graph.ops))


def _merged(op: NestOp) -> NestOp:
    while pair := next((pair for pair in permutations(op.nest.dims, 2) if _in_a_row(op, *pair)), None):
        op = _joined(op, *pair)
    return op


def _in_a_row(op: NestOp, outer: Dim, inner: Dim) -> bool:
    """Whether every operand with one dim has both, each alone on an axis, and a step of one is all of the other."""
    if outer.role != inner.role:
        return False
    if any(view.zero is not None and any(view.zero.strides) for view in op.uses.values()):
        return False  # a zero point for each index of a dim
    for name, operand in op.nest.operands.items():
        if not operand.dims & {outer.name, inner.name}:
            continue
        strides = _alone(operand, op.uses[name])
        if outer.name not in strides or strides[outer.name] != inner.bound * strides.get(inner.name, 0):
            return False
    return True


def _alone(operand: Operand, view: View) -> dict[str, int]:
    """The strides of the dims that are the index of an axis, neither scaled nor shifted; a stride of zero has none."""
    plain = [(axis, stride) for axis, stride in zip(operand.axes, view.strides) if stride]
    return {axis.terms[0][1]: stride for axis, stride in plain if _is_index(axis)}


def _is_index(axis: Axis) -> bool:
    return len(axis.terms) == 1 and axis.terms[0][0] == 1 and axis.offset == 0


def _joined(op: NestOp, outer: Dim, inner: Dim) -> NestOp:
    """The nest with one dim in the place of the two, called after the outer one."""
    others = [dim.name for dim in op.nest.dims if dim not in (outer, inner)]
    stem = outer.name.rstrip("0123456789")
    name = stem if stem and stem not in others and not any(_numbered(other, stem) for other in others) else outer.name
    dim = Dim(name, outer.bound * inner.bound, outer.role)
    dims = tuple(dim if old == outer else old for old in op.nest.dims if old != inner)
    operands = {key: _without(operand, outer, inner, dim) for key, operand in op.nest.operands.items()}
    uses = {key: _tight(op.nest.operands[key], view, outer) for key, view in op.uses.items()}
    return replace(op, nest=_with(op.nest, dims, operands), uses=uses)


def _numbered(name: str, stem: str) -> bool:
    return name.startswith(stem) and name[len(stem) :].isdigit()


def _without(operand: Operand, outer: Dim, inner: Dim, dim: Dim) -> Operand:
    axes = [axis for axis in operand.axes if axis.dims != (outer.name,)]
    merged = Axis(((1, dim.name),), 0, dim.bound)
    return Operand(operand.name, tuple(merged if axis.dims == (inner.name,) else axis for axis in axes))


def _tight(operand: Operand, view: View, outer: Dim) -> View:
    kept = [stride for axis, stride in zip(operand.axes, view.strides) if axis.dims != (outer.name,)]
    zero = None if view.zero is None else _tight(operand, view.zero, outer)
    return replace(view, strides=tuple(kept), zero=zero)


def _with(nest: Nest, dims: tuple[Dim, ...], operands: Mapping[str, Operand]) -> Nest:
    bias = None if nest.bias is None else operands[nest.bias.name]
    reads = tuple(operands[read.name] for read in nest.reads)
    return replace(nest, dims=dims, reads=reads, bias=bias, output=operands[nest.output.name])
