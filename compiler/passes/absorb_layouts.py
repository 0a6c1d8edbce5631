"""Takes operators that only say where words lie into the views of the nests around them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import DeadOps, reads
from effc.compiler.passes.layout import Layout, layouts, through
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Graph, NestOp, NodeOp, Op, View
from effc.ir.nest import OUTPUT_NAME


@register_pass
@dataclass(frozen=True)
class AbsorbLayouts(Pass):
    """Let nests read and write through Reshape, Transpose, Slice, Split, Expand and the like: no word is copied.

    op Transpose "t" (k) -> (kt)
    nest scores ... uses I = q, W = kt, O = s

    nest scores ... uses I = q, W = k strides (1, 64), O = s
    """

    name = "absorb-layouts"

    def run(self, graph: Graph) -> Graph:
        return DeadOps().run(_writing_through(_reading_through(graph)))


def _reading_through(graph: Graph) -> Graph:
    """Every read of a nest looks at the tensor that its words come from."""
    known: dict[str, Layout] = {}
    ops: list[Op] = []
    for op in graph.ops:
        if isinstance(op, NodeOp):
            known |= layouts(op, graph)
            ops.append(op)
        else:
            ops.append(replace(op, uses={name: _source(op, name, view, known) for name, view in op.uses.items()}))
    return graph.with_ops(tuple(ops))


def _source(op: NestOp, name: str, view: View, known: dict[str, Layout]) -> View:
    if name == OUTPUT_NAME:
        return view
    sizes = op.nest.operands[name].shape
    while view.tensor in known and (further := through(view, sizes, known[view.tensor])) is not None:
        view = further
    return view


def _writing_through(graph: Graph) -> Graph:
    """A nest whose output only one layout reads, which keeps every word, writes what that gives."""
    readers = Counter([*graph.outputs, *(name for op in graph.ops for name in reads(op))])
    writers: dict[str, list[int]] = {}
    ops: list[Op | None] = []
    for op in graph.ops:
        ops.append(op)
        if isinstance(op, NestOp):
            writers.setdefault(op.outputs[0], []).append(len(ops) - 1)
            continue
        source = op.inputs[0] if op.inputs else ""
        if source not in writers or readers[source] != 1 or len(op.outputs) != 1:
            continue
        redirected = _redirected([ops[i] for i in writers[source]], op, graph)
        if redirected:
            for i, nest in zip(writers[source], redirected):
                ops[i] = nest
            writers[op.outputs[0]] = writers.pop(source)
            ops[-1] = None
    return graph.with_ops(tuple(op for op in ops if op is not None))


def _redirected(nests: list[Op | None], op: NodeOp, graph: Graph) -> list[NestOp]:
    """The nests with their outputs where ``op`` would put them; empty where that is not possible."""
    layout = layouts(op, graph).get(op.outputs[0])
    inverse = None if layout is None else layout.inverse(op.outputs[0], graph.tensors[op.inputs[0]].words)
    if inverse is None:
        return []
    results = []
    for nest in nests:
        assert isinstance(nest, NestOp)
        view = through(nest.uses[OUTPUT_NAME], nest.nest.output.shape, inverse)
        if view is None:
            return []
        results.append(replace(nest, uses={**nest.uses, OUTPUT_NAME: view}))
    return results
