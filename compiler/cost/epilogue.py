"""What an op on the array costs, its epilogue included."""

from __future__ import annotations

from dataclasses import replace

from effc.compiler.cost.counts import Counts, Epilogue, count
from effc.compiler.cost.evaluate import Evaluation, Zeros, price
from effc.compiler.cost.vector import average_bits, counted_words
from effc.compiler.target.model import Target
from effc.compiler.target.widths import Widths
from effc.ir.counters import EPILOGUE_NAME
from effc.ir.graph import Graph, NestOp


def count_op(op: NestOp, graph: Graph, target: Target) -> Counts:
    """Predict every count of a nest op under its schedule, which must be legal."""
    assert op.schedule is not None
    counts = count(op.nest, op.schedule, target)
    if not op.epilogue:
        return counts
    finished = op.nest.output.words
    epilogue = Epilogue(finished, counted_words(graph, op.epilogue_inputs), finished * len(op.epilogue))
    counts.counters.read(target.levels[0].name, EPILOGUE_NAME, epilogue.words)
    counts.counters.results = epilogue.results
    return replace(counts, epilogue=epilogue)


def op_target(op: NestOp, graph: Graph, target: Target) -> Target:
    """The target as a nest op sees it, with the widths of its elements."""
    widths = Widths.of_nest(op, graph.tensors)
    return target.with_widths(replace(widths, epilogue=average_bits(graph, op.epilogue_inputs, target)))


def evaluate_op(op: NestOp, graph: Graph, target: Target, zeros: Zeros | None = None) -> Evaluation:
    """The cost of a nest op under its schedule, which must be legal."""
    return price(op.nest, op_target(op, graph, target), count_op(op, graph, target), zeros)


def saved_words(op: NestOp, graph: Graph) -> int:
    """The words that ops of their own would move in the place of the epilogue, and that it does not."""
    alone = sum(counted_words(graph, (*step.inputs, *step.outputs)) for step in op.epilogue)
    return alone - counted_words(graph, op.epilogue_inputs)
