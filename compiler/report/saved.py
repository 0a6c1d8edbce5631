"""The words that need not move since operators were taken into the nests around them."""

from __future__ import annotations

from effc.compiler.cost.vector import counted_words
from effc.compiler.passes.layout import SAME_WORDS
from effc.ir.bodies import every_op
from effc.ir.graph import Graph, NodeOp


def saved_words(before: Graph, after: Graph) -> int:
    """What operators beside the nests would have moved without the passes, as the vector unit counts it."""
    return moved_words(before) - moved_words(after)


def moved_words(graph: Graph) -> int:
    """The words that operators beside the nests read and write; a new shape alone moves none."""
    return sum(
        counted_words(scope.graph, (*op.inputs, *op.outputs)) * (scope.runs or 1)
        for op, scope in every_op(graph)
        if isinstance(op, NodeOp) and op.op not in SAME_WORDS and _is_known(op, scope.graph)
    )


def _is_known(op: NodeOp, graph: Graph) -> bool:
    return all(graph.tensors[name].shape is not None for name in (*op.inputs, *op.outputs) if name)
