"""What an op of the vector unit costs: each input word is read once and each output word written once, outermost."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil

from effc.compiler.cost.counts import Counts
from effc.compiler.cost.energy import energy_by, outermost_bits
from effc.compiler.cost.evaluate import Evaluation
from effc.compiler.cost.latency import Latency, bank_loads, busiest
from effc.compiler.target.model import Target, Way
from effc.compiler.target.widths import Widths
from effc.ir.counters import Counters
from effc.ir.graph import Graph, NodeOp

INPUT, OUTPUT = "I", "O"
"""The operand names that words of a vector op are counted under."""


def counted_words(graph: Graph, names: Iterable[str]) -> int:
    """The elements of tensors that hold data, constants included; shapes and indices are not counted."""
    return sum(graph.tensors[name].words for name in names if name in graph.data)


def vector_target(op: NodeOp, graph: Graph, target: Target) -> Target:
    """The target as an op of the vector unit sees it: its elements take what they take on average."""
    names = {INPUT: op.inputs, OUTPUT: op.outputs}
    averages = tuple((kind, average_bits(graph, used, target)) for kind, used in names.items())
    return target.with_widths(Widths(averages, average=True))


def average_bits(graph: Graph, names: Iterable[str], target: Target) -> Fraction:
    """The bits of an element of some tensors, on average."""
    tensors = [graph.tensors[name] for name in names if name in graph.data]
    words = sum(tensor.words for tensor in tensors)
    bits = sum(tensor.words * target.stored_bits(tensor.dtype) for tensor in tensors)
    return Fraction(bits, words) if words else Fraction(target.word_bits)


def count_vector(op: NodeOp, graph: Graph, target: Target) -> Counters:
    """Predict the counters of an op of the vector unit; ``cycles`` are those that its lanes work."""
    counters = Counters()
    results = counted_words(graph, op.outputs)
    counters.read(target.levels[0].name, INPUT, counted_words(graph, op.inputs))
    counters.write(target.levels[0].name, OUTPUT, results)
    counters.results = results
    counters.cycles = ceil(Fraction(results, target.vector.lanes)) if target.vector else 0
    return counters


def vector_latency(target: Target, counters: Counters) -> Latency:
    """The busiest of the lanes and the outermost level's ports; loads and stores overlap the work."""
    ways: dict[Way, dict[tuple[str, str], int]] = {"read": counters.reads, "write": counters.writes}
    moved = [
        load
        for way, table in ways.items()
        for (_, operand), words in table.items()
        for load in bank_loads(target, 0, operand, way, words)
    ]
    longest, bound_by, ports = busiest(moved, counters.cycles)
    return Latency(ceil(longest), bound_by, ports)


def evaluate_vector(op: NodeOp, graph: Graph, target: Target) -> Evaluation:
    """The cost of an op of the vector unit; ``utilization`` is that of its lanes."""
    target = vector_target(op, graph, target)
    assert target.vector is not None
    counters = count_vector(op, graph, target)
    time = vector_latency(target, counters)
    results = counters.results
    return Evaluation(
        Counts(counters, ()),
        energy_by(target, counters, time.cycles),
        time,
        Fraction(results, time.cycles * target.vector.lanes) if time.cycles else Fraction(0),
        sum(counters.reads.values()) + results,
        outermost_bits(target, counters),
        target.word_bits,
    )
