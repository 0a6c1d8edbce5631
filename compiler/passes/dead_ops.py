"""Removes what does not contribute to an output of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Graph, NestOp, NodeOp, Op


@register_pass
@dataclass(frozen=True)
class DeadOps(Pass):
    """Remove ops whose results nobody reads, and tensors that no op uses.

    op Relu "a" (x) -> (y)
    op Exp "b" (x) -> (z)       # z is neither read nor an output of the graph: gone
    """

    name = "dead-ops"

    def run(self, graph: Graph) -> Graph:
        wanted = set(_with_parts(graph, graph.outputs))
        ops: list[Op] = []
        for op in reversed(graph.ops):
            if wanted.intersection(op.outputs):
                wanted.update(_with_parts(graph, reads(op)))
                ops.append(op)
        return without_unused_tensors(graph.with_ops(tuple(reversed(ops))))


def _with_parts(graph: Graph, names: Iterable[str]) -> Iterator[str]:
    """The tensors, of slices those that they are slices of, and all parts of them."""
    for name in names:
        source = graph.source(name)
        yield from (name, source)
        yield from _with_parts(graph, graph.parts.get(source, ()))


def reads(op: Op) -> Iterator[str]:
    """The tensors that an op reads, those of its subgraphs included; one may come more than once."""
    yield from filter(None, op.inputs)
    if isinstance(op, NodeOp):
        yield from op.captures


def without_unused_tensors(graph: Graph) -> Graph:
    """The same graph without the tensors and constants that no op uses."""
    used = {*graph.inputs, *graph.outputs}
    for op in graph.ops:
        used.update(reads(op), op.outputs, op.inner if isinstance(op, NestOp) else ())
    used.update([whole for name in used for whole in graph.wholes(name)])
    used.update([name for name in graph.constants if used.intersection(graph.wholes(name))])
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
    constants = {name: value for name, value in graph.constants.items() if name in used}
    return replace(graph, tensors=tensors, constants=constants)
