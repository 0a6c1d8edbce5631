"""Removes operators that give back what they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import reads, without_unused_tensors
from effc.compiler.passes.layout import LAYOUT_OPS, attributes, layouts
from effc.compiler.passes.node_ops import between
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Op, View


@register_pass
@dataclass(frozen=True)
class RemoveIdentities(Pass):
    """Remove operators that give back what they get, whatever that is.

    Identity, Dropout but in training, Cast to the same type, Reshape to the same shape, the addition of zeros, the
    product with ones, Pad without any words, Where with a known condition that always picks the same side.

    op Relu "relu1" (x) -> (t)
    op Dropout "drop1" (t) -> (u)
    op Exp "exp1" (u) -> (y)

    op Relu "relu1" (x) -> (t)
    op Exp "exp1" (t) -> (y)
    """

    name = "remove-identities"

    def run(self, graph: Graph) -> Graph:
        names = _names(graph)
        ops = tuple(_renamed(op, names.final) for op in graph.ops if id(op) not in names.removed)
        return without_unused_tensors(graph.with_ops(ops))


@dataclass
class _Names:
    """The ops to remove, and the names that replace others."""

    removed: set[int] = field(default_factory=set)
    instead: dict[str, str] = field(default_factory=dict)

    def final(self, name: str) -> str:
        while name in self.instead:
            name = self.instead[name]
        return name


def _names(graph: Graph) -> _Names:
    names = _Names()
    fixed = {*graph.inputs, *graph.constants}
    captured = {name for op in graph.ops if isinstance(op, NodeOp) for name in op.captures}
    read = {name for op in graph.ops for name in reads(op)} | {*graph.outputs}
    for op in graph.ops:
        if not isinstance(op, NodeOp) or not _source(op, graph, read):
            continue
        source, copy = names.final(_source(op, graph, read)), op.outputs[0]
        if copy not in graph.outputs and copy not in captured:
            names.instead[copy] = source
        elif source not in fixed and source not in graph.outputs and source not in captured and copy not in captured:
            names.instead[source] = copy  # the copy is an output of the graph and keeps its name
        else:
            continue
        names.removed.add(id(op))
    return names


def _source(op: NodeOp, graph: Graph, read: set[str]) -> str:
    """The input that an op gives back as it is; empty if it gives anything else."""
    if op.domain or any(name in read for name in op.outputs[1:]):
        return ""
    if op.op == "Identity" or (op.op == "Dropout" and _does_not_train(op, graph)):
        return op.inputs[0]
    if op.op in _NEUTRAL or op.op in ("Where", "Cast", "Pad") or op.op in LAYOUT_OPS:
        return next((name for name in op.inputs if name and _is_copy(op, name, graph)), "")
    return ""


def _does_not_train(op: NodeOp, graph: Graph) -> bool:
    training = op.inputs[2] if len(op.inputs) > 2 else ""
    known = graph.constants.get(training)
    return op.version >= 7 and (not training or (known is not None and not known.any()))


_NEUTRAL = {"Add": (0, (0, 1)), "Sub": (0, (0,)), "Mul": (1, (0, 1)), "Div": (1, (0,))}
"""What changes nothing as the other operand, and the places of those that it leaves alone."""


def _is_copy(op: NodeOp, name: str, graph: Graph) -> bool:
    """Whether the only output of an op is its input ``name``."""
    source, result = graph.tensors[name], graph.tensors[op.outputs[0]]
    if source.shape is None or (source.dtype, source.shape) != (result.dtype, result.shape):
        return False
    if op.op in _NEUTRAL:
        neutral, places = _NEUTRAL[op.op]
        place = op.inputs.index(name)
        other = graph.constants.get(op.inputs[1 - place])
        return place in places and other is not None and _is_all(other, neutral)
    if op.op == "Where":
        condition = graph.constants.get(op.inputs[0])
        return condition is not None and _is_all(condition, 1 if op.inputs.index(name) == 1 else 0)
    if op.op == "Cast":
        return True
    if op.op == "Pad":
        return op.inputs[0] == name and _pads_nothing(op, graph)
    layout = layouts(op, graph).get(op.outputs[0])
    return op.inputs[0] == name and layout is not None and layout.is_plain


def _pads_nothing(op: NodeOp, graph: Graph) -> bool:
    """Whether a Pad is known to add no word and to take none away."""
    known = graph.constants.get(op.inputs[1]) if op.version >= 11 else np.array(attributes(op).get("pads", 1))
    return known is not None and not known.any()


def _is_all(value: Array, number: int) -> bool:
    """Whether every word is that number; not looked at where there are very many."""
    return value.size <= SMALL and value.dtype.kind in "biuf" and bool((value == number).all())


SMALL = 1 << 20
"""Words of a constant that is compared with a number."""


def _renamed(op: Op, final: Callable[[str], str]) -> Op:
    """The op with other names for its tensors."""
    if not any(final(name) != name for name in (*op.inputs, *op.outputs)):
        return op
    if isinstance(op, NestOp):
        return replace(op, uses={key: _followed(view, final) for key, view in op.uses.items()})
    return between(op, tuple(map(final, op.inputs)), tuple(map(final, op.outputs)))


def _followed(view: View, final: Callable[[str], str]) -> View:
    """A view, and that of its zero point, of other tensors."""
    zero = None if view.zero is None else _followed(view.zero, final)
    return replace(view, tensor=final(view.tensor), zero=zero)
