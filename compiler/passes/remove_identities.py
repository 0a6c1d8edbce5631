"""Removes operators that give back what they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import reads, without_unused_tensors
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Graph, NestOp, NodeOp, Op


@register_pass
@dataclass(frozen=True)
class RemoveIdentities(Pass):
    """Remove Identity, and Dropout where it does nothing, which is everywhere but in training.

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
        if not isinstance(op, NodeOp) or not _is_identity(op, graph, read):
            continue
        source, copy = names.final(op.inputs[0]), op.outputs[0]
        if copy not in graph.outputs and copy not in captured:
            names.instead[copy] = source
        elif source not in fixed and source not in graph.outputs and source not in captured and copy not in captured:
            names.instead[source] = copy  # the copy is an output of the graph and keeps its name
        else:
            continue
        names.removed.add(id(op))
    return names


def _is_identity(op: NodeOp, graph: Graph, read: set[str]) -> bool:
    if op.domain or op.op not in ("Identity", "Dropout") or any(name in read for name in op.outputs[1:]):
        return False
    training = op.inputs[2] if len(op.inputs) > 2 else ""
    known = graph.constants.get(training)
    return op.op == "Identity" or (op.version >= 7 and (not training or (known is not None and not known.any())))


def _renamed(op: Op, final: Callable[[str], str]) -> Op:
    """The op with other names for its tensors."""
    if not any(final(name) != name for name in (*op.inputs, *op.outputs)):
        return op
    if isinstance(op, NestOp):
        return replace(op, uses={key: replace(view, tensor=final(view.tensor)) for key, view in op.uses.items()})
    inputs, outputs = tuple(map(final, op.inputs)), tuple(map(final, op.outputs))
    return replace(op, inputs=inputs, outputs=outputs, node=_node(op, inputs, outputs))


def _node(op: NodeOp, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    import onnx

    node = onnx.NodeProto.FromString(op.node)
    del node.input[:], node.output[:]
    node.input.extend(inputs)
    node.output.extend(outputs)
    return bytes(node.SerializeToString(deterministic=True))
