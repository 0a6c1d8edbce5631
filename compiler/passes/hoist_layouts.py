"""Moves layouts in front of elementwise operators, where nests can write what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import reads, without_unused_tensors
from effc.compiler.passes.layout import attributes, layouts, through
from effc.compiler.passes.node_ops import between, node_op, unused
from effc.compiler.passes.registry import register_pass
from effc.ir.epilogue_rules import QUANTISING, is_elementwise
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Op, Tensor
from effc.ir.layouts import Layout
from effc.ir.nest import OUTPUT_NAME

MOST = 1 << 24
"""Words of a tensor whose order is looked at."""


@register_pass
@dataclass(frozen=True)
class HoistLayouts(Pass):
    """Move Transpose, Reshape and the like from behind elementwise operators into the nests before these.

    Only one that would be a copy otherwise: what it gives is an output of the graph, or a part of one tensor.

    nest conv1 ... uses I = x, W = w, O = t
    op Sigmoid "sigmoid1" (t) -> (u)
    op Transpose "transpose1" (u) -> (y)

    nest conv1 ... uses I = x, W = w, O = t strides (64, 1, 8)
    op Sigmoid "sigmoid1" (t) -> (y)
    """

    name = "hoist-layouts"

    def run(self, graph: Graph) -> Graph:
        while (hoisted := next(_hoisted(graph), None)) is not None:
            graph = hoisted
        return graph


def _hoisted(graph: Graph) -> Iterator[Graph]:
    """The graphs with one layout moved."""
    places = _Places.of(graph)
    for op in graph.ops:
        inverse = _inverse(op, graph)
        if isinstance(op, NodeOp) and inverse is not None and _is_copied(op, graph, places):
            moved = _Region(graph, places, op, inverse).moved()
            if moved is not None:
                yield moved


def _inverse(op: Op, graph: Graph) -> Layout | None:
    """Where the words of what a layout reads lie in what it gives; None unless each occurs exactly once."""
    if not isinstance(op, NodeOp) or len(op.outputs) != 1:
        return None
    layout = layouts(op, graph).get(op.outputs[0])
    return None if layout is None else layout.inverse(op.outputs[0], graph.tensors[op.inputs[0]].words)


@dataclass(frozen=True)
class _Places:
    """The numbers of the ops that write and that read each tensor; outside of the graph is -1."""

    writers: Mapping[str, list[int]]
    readers: Mapping[str, set[int]]

    @classmethod
    def of(cls, graph: Graph) -> _Places:
        writers: dict[str, list[int]] = {}
        readers: dict[str, set[int]] = {name: {-1} for name in graph.outputs}
        for number, op in enumerate(graph.ops):
            for name in op.outputs:
                writers.setdefault(name, []).append(number)
            for name in reads(op):
                readers.setdefault(name, set()).add(number)
        return cls(writers, readers)


def _is_copied(op: NodeOp, graph: Graph, places: _Places) -> bool:
    """Whether what a layout gives has to be in memory: behind it there are at most other layouts."""
    name = op.outputs[0]
    while name not in graph.outputs:
        behind = [graph.ops[number] for number in places.readers.get(name, ())]
        if any(isinstance(reader, NodeOp) and reader.op == "Concat" for reader in behind):
            return True
        if len(behind) != 1 or _inverse(behind[0], graph) is None:
            return False
        name = behind[0].outputs[0]
    return True


@dataclass
class _Region:
    """A layout, and the elementwise operators before it of which nothing else reads anything."""

    graph: Graph
    places: _Places
    layout: NodeOp
    inverse: Layout
    steps: set[int] = field(default_factory=set)  # the numbers of the operators
    nests: set[int] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)  # the tensors between them, all of one shape
    tensors: dict[str, Tensor] = field(default_factory=dict)  # that are new, or have another shape
    constants: dict[str, Array] = field(default_factory=dict)

    def moved(self) -> Graph | None:
        """The graph in which the layout is in front of the operators; None where no nest can write what it gives."""
        source = self.layout.inputs[0]
        if len(self.places.readers[source]) > 1:
            return None
        self._gather(source)
        if not self.nests or not self.steps:
            return None
        shape = self.graph.tensors[self.layout.outputs[0]].shape
        self.tensors = {name: replace(self.graph.tensors[name], shape=shape) for name in self.inside - {source}}
        ops: list[Op] = []
        for number, op in enumerate(self.graph.ops):
            found = [op]
            if op is self.layout:
                found = []
            elif number in self.nests and isinstance(op, NestOp):
                found = self._nest(op)
            elif number in self.steps and isinstance(op, NodeOp):
                found = self._step(op)
            if not found and op is not self.layout:
                return None
            ops += found
        tensors = {**self.graph.tensors, **self.tensors}
        constants = {**self.graph.constants, **self.constants}
        return without_unused_tensors(replace(self.graph, tensors=tensors, constants=constants, ops=tuple(ops)))

    def _gather(self, source: str) -> None:
        """Find the operators and the nests, from the last one back."""
        shape, waiting = self.graph.tensors[source].shape, [source]
        while waiting:
            name = waiting.pop()
            writers = self.places.writers.get(name, [])
            ops = [self.graph.ops[number] for number in writers]
            if ops and all(isinstance(op, NestOp) for op in ops):
                self.nests.update(writers)
            elif len(ops) == 1 and isinstance(ops[0], NodeOp) and _is_step(ops[0]):
                self.steps.update(writers)
            else:
                continue
            self.inside.add(name)
            given = {name for number in self.steps for name in self.graph.ops[number].inputs if name} - self.inside
            waiting = [
                name
                for name in sorted(given)
                if self.graph.tensors[name].shape == shape and self.places.readers[name] <= self.steps
            ]
            waiting = [name for name in waiting if self.places.writers.get(name)]

    def _nest(self, op: NestOp) -> list[Op]:
        """The nest with its output where the layout would put it."""
        written = op.uses[OUTPUT_NAME]
        view = through(written, op.nest.output.shape, replace(self.inverse, source=written.tensor))
        return [] if view is None else [replace(op, uses={**op.uses, OUTPUT_NAME: view})]

    def _step(self, op: NodeOp) -> list[Op]:
        """An operator on what has another shape now, behind layouts of what it reads from outside; or nothing."""
        ops: list[Op] = []
        inputs = list(op.inputs)
        for position, name in enumerate(op.inputs):
            if not name or name in self.inside or self._is_word(name):
                continue
            inputs[position] = self._turned(name, ops)
            if not inputs[position]:
                return []
        last = {self.layout.inputs[0]: self.layout.outputs[0]}
        return [*ops, between(op, tuple(inputs), tuple(last.get(name, name) for name in op.outputs))]

    def _is_word(self, name: str) -> bool:
        """Whether a tensor is one word, whatever it is added to or multiplied with."""
        tensor = self.graph.tensors[name]
        return tensor.shape is not None and tensor.words == 1 and len(tensor.shape) <= len(self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        """The shape of what the layout gives."""
        return self.graph.tensors[self.layout.outputs[0]].shape or ()

    def _turned(self, name: str, ops: list[Op]) -> str:
        """The name of an operand as it is in front of the layout; empty where it cannot be had."""
        old, full = self.graph.tensors[name], self.graph.tensors[self.layout.inputs[0]].shape
        constant = self.graph.constants.get(name)
        order = self._order(old.shape) if constant is not None or old.shape != full else None
        new = unused(f"{name}.{self.layout.name}", {*self.graph.tensors, *self.tensors})
        title = unused(f"{self.layout.name}.{name}", {other.name for other in (*self.graph.ops, *ops)})
        shape = self._shape if order is None else order.shape
        if constant is not None and order is not None:
            self.constants[new] = constant.reshape(-1)[order]
        elif constant is None and (old.shape == full or (self.layout.op == "Transpose" and self._has_rank(old))):
            ops.append(replace(between(self.layout, (name, *self.layout.inputs[1:]), (new,)), name=title))
        elif order is not None and bool((order.reshape(-1) == np.arange(order.size)).all()):
            sizes = unused(f"{new}.shape", {*self.graph.tensors, *self.tensors})
            self.constants[sizes] = np.array(shape, np.int64)
            self.tensors[sizes] = Tensor(sizes, "int64", (len(shape),))
            ops.append(node_op("Reshape", title, (name, sizes), new))
        else:
            return ""
        self.tensors[new] = replace(old, name=new, shape=shape)
        return new

    def _has_rank(self, tensor: Tensor) -> bool:
        """Whether a tensor has as many axes as what the layout reads."""
        return len(tensor.shape or ()) == len(self.graph.tensors[self.layout.inputs[0]].shape or ())

    def _order(self, shape: tuple[int, ...] | None) -> Array | None:
        """The numbers of the words of an operand of this shape, in the shape that broadcasts as it does behind the
        layout; None where there is none.
        """
        full = self.graph.tensors[self.layout.inputs[0]].shape or ()
        if shape is None or len(shape) > len(full) or prod(full) > MOST:
            return None
        numbers = np.arange(prod(shape)).reshape((1,) * (len(full) - len(shape)) + shape)
        if self.layout.op == "Transpose":
            return numbers.transpose(attributes(self.layout).get("perm") or list(range(len(full)))[::-1])
        numbers = np.broadcast_to(numbers, full).reshape(self._shape)
        for axis in range(numbers.ndim):
            first = numbers.take([0], axis)
            numbers = first if bool((numbers == first).all()) else numbers
        return numbers if numbers.size == prod(shape) else None


def _is_step(op: NodeOp) -> bool:
    """Whether a word of what an operator gives depends on no other place of what it reads."""
    return is_elementwise(op) and not op.domain and op.op not in QUANTISING and len(op.outputs) == 1
