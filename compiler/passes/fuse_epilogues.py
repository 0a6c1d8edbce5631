"""Fuses elementwise operators into the nest that produces their operand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from operator import itemgetter

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import reads
from effc.compiler.passes.registry import register_pass
from effc.ir.epilogue_rules import fits_step, is_elementwise
from effc.ir.graph import Graph, NestOp, NodeOp, Op
from effc.ir.nest import OUTPUT_NAME


@register_pass
@dataclass(frozen=True)
class FuseEpilogues(Pass):
    """Fuse elementwise operators of the vector unit into the nest before them, so that its sums never come to DRAM.

    nest conv1 (...) ... uses I = x, W = w, O = t
    op Add "add1" (t, r) -> (u) @ vector
    op Relu "relu1" (u) -> (y) @ vector

    nest conv1 (...) ... uses I = x, W = w, O = t epilogue {
      op Add "add1" (t, r) -> (u) @ vector
      op Relu "relu1" (u) -> (y) @ vector
    }
    """

    name = "fuse-epilogues"

    def run(self, graph: Graph) -> Graph:
        writers = Counter(name for op in graph.ops for name in op.outputs)
        readers = _readers(graph)
        gone: set[int] = set()
        fused: dict[int, Op] = {}  # in the place of the last op that they stand for
        for number, op in reversed(list(enumerate(graph.ops))):
            if isinstance(op, NestOp) and not op.epilogue and _is_whole(op, graph, writers):
                steps = _steps(op, graph, readers, gone)
                if steps:
                    gone.update((number, *steps))
                    fused[max(steps)] = replace(op, epilogue=tuple(steps.values()))
        ops = {number: op for number, op in enumerate(graph.ops) if number not in gone} | fused
        return graph.with_ops(tuple(op for _, op in sorted(ops.items(), key=itemgetter(0))))


def _readers(graph: Graph) -> dict[str, list[int]]:
    """The numbers of the ops that read each tensor, as often as they do; outside of the graph is behind all of them."""
    found: dict[str, list[int]] = {}
    for number, op in enumerate(graph.ops):
        for name in reads(op):
            found.setdefault(name, []).append(number)
    parts = (name for names in graph.parts.values() for name in names)
    for name in (*graph.outputs, *parts, *graph.slices):
        found.setdefault(name, []).append(len(graph.ops))
    return found


def _is_whole(op: NestOp, graph: Graph, writers: Mapping[str, int]) -> bool:
    """Whether the nest alone writes all of a tensor."""
    tensor = op.uses[OUTPUT_NAME].tensor
    return writers[tensor] == 1 and graph.tensors[tensor].words == op.nest.output.words


def _steps(op: NestOp, graph: Graph, readers: Mapping[str, list[int]], gone: Set[int]) -> dict[int, NodeOp]:
    """The longest row of steps after which nothing but the last result is needed, by their numbers."""
    tensor = op.uses[OUTPUT_NAME].tensor
    ahead = set(readers.get(tensor, ()))
    open_reads = Counter(readers.get(tensor, ()))
    steps: dict[int, NodeOp] = {}
    best: dict[int, NodeOp] = {}
    while ahead:
        number = min(ahead)
        ahead.remove(number)
        if number in gone or number == len(graph.ops) or not _is_step(graph.ops[number], tensor, graph):
            break
        step = graph.ops[number]
        assert isinstance(step, NodeOp)
        steps[number] = step
        del open_reads[number]
        if not open_reads:
            best = dict(steps)
        later = readers.get(step.outputs[0], ())
        ahead.update(later)
        open_reads.update(later)
    return best


def _is_step(op: Op, tensor: str, graph: Graph) -> bool:
    """Whether an op that reads sums of the shape of ``tensor`` makes a word of that shape of each."""
    if not isinstance(op, NodeOp) or not is_elementwise(op) or op.where != "vector":
        return False
    shape, inputs = graph.tensors[tensor].shape, filter(None, op.inputs)
    fits = all(fits_step(op, graph.tensors[name].shape, shape) for name in inputs)
    return fits and len(op.outputs) == 1 and graph.tensors[op.outputs[0]].shape == shape
