"""Folds Pad into the padding of the nests that read what it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from effc.compiler.passes.absorb_layouts import AbsorbLayouts
from effc.compiler.passes.base import Pass
from effc.compiler.passes.layout import attributes, digits, row_major
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Graph, NestOp, NodeOp, View
from effc.ir.nest import Axis, Nest, Operand
from effc.ir.nest_rules import NEST_RULES
from effc.ir.rules import violations


@register_pass
@dataclass(frozen=True)
class FoldPads(Pass):
    """Fold Pad with zeros into the nests behind it: what lies beyond the tensor is padding, which has no address.

    op Pad "pad1" (x, pads) -> (t)
    nest conv1 ... read I[N < 1, C < 3, 2*P + R < 226, ...] ... uses I = t

    nest conv1 ... read I[N < 1, C < 3, 2*P + R - 1 < 224, ...] ... uses I = x
    """

    name = "fold-pads"

    def run(self, graph: Graph) -> Graph:
        pads = {op.outputs[0]: op for op in graph.ops if isinstance(op, NodeOp) and op.op == "Pad" and not op.domain}
        margins = {name: found for name, op in pads.items() if (found := _margins(op, graph)) is not None}
        if not margins:
            return graph
        ops = (_folded(op, margins) if isinstance(op, NestOp) else op for op in graph.ops)
        return AbsorbLayouts().run(graph.with_ops(tuple(ops)))


@dataclass(frozen=True, slots=True)
class _Margins:
    """A tensor with zeros around it: the shape of the source, and of the whole, and where the source begins in it."""

    source: str
    inner: tuple[int, ...]
    outer: tuple[int, ...]
    before: tuple[int, ...]


def _margins(op: NodeOp, graph: Graph) -> _Margins | None:
    """What a Pad adds to its input; None if that is not known, or not zeros."""
    source, result = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    known = attributes(op)
    if source.shape is None or result.shape is None or 0 in source.shape or "float" not in source.dtype:
        return None
    if known.get("mode", b"constant") != b"constant":
        return None
    axes = list(range(len(source.shape)))
    if op.version < 11:
        pads, value = known.get("pads", known.get("paddings")), known.get("value", 0.0)
    else:
        given = [graph.constants.get(name) if name else None for name in (*op.inputs[1:], *[""] * (4 - len(op.inputs)))]
        if any(name and constant is None for name, constant in zip(op.inputs[1:], given)) or given[0] is None:
            return None
        pads, value = given[0].tolist(), 0.0 if given[1] is None else given[1].item()
        axes = axes if given[2] is None else [axis % len(axes) for axis in given[2].tolist()]
    if pads is None or value != 0 or min(pads, default=0) < 0 or np.signbit(value):
        return None
    before = [0] * len(source.shape)
    for axis, count in zip(axes, pads):
        before[axis] = count
    return _Margins(op.inputs[0], source.shape, result.shape, tuple(before))


def _folded(op: NestOp, margins: dict[str, _Margins]) -> NestOp:
    """The nest with every read that can of the tensor inside the margins."""
    for name in [read.name for read in op.nest.reads]:
        view = op.uses[name]
        while view.tensor in margins and (further := _inside(op.nest, name, view, margins[view.tensor])) is not None:
            operand, view = further
            nest = _with(op.nest, operand)
            if list(violations(NEST_RULES, nest)):
                break
            op = replace(op, nest=nest, uses={**op.uses, name: view})
    return op


def _inside(nest: Nest, name: str, view: View, margins: _Margins) -> tuple[Operand, View] | None:
    """The operand and its view of the source; None unless each axis with margins is an axis of the operand."""
    operand = nest.operands[name]
    steps, tight = row_major(margins.outer), row_major(margins.inner)
    start = digits(view.offset, steps)
    padded = {axis for axis, (n, m) in enumerate(zip(margins.inner, margins.outer)) if n != m}
    axes, strides, found = [], [], set[int]()
    for axis, stride in zip(operand.axes, view.strides):
        places = [place for place, digit in enumerate(digits(abs(stride), steps)) if digit and axis.size > 1]
        if not padded.intersection(places):
            axes.append(axis)
            strides.append(int(np.sign(stride)) * sum(d * t for d, t in zip(digits(abs(stride), steps), tight)))
            continue
        (place, *others) = places
        if others or stride != steps[place] or place in found or start[place] or axis.size != margins.outer[place]:
            return None
        found.add(place)
        axes.append(Axis(axis.terms, axis.offset - margins.before[place], margins.inner[place]))
        strides.append(tight[place])
    if found != padded or view.zero is not None:
        return None
    offset = sum(digit * step for digit, step in zip(start, tight))
    return Operand(name, tuple(axes)), View(margins.source, offset, tuple(strides))


def _with(nest: Nest, operand: Operand) -> Nest:
    return replace(nest, reads=tuple(operand if read.name == operand.name else read for read in nest.reads))
