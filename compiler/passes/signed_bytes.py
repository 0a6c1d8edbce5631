"""Makes signed bytes of unsigned ones, for targets whose MACs multiply signed ones only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from effc.compiler.passes.base import Pass
from effc.compiler.passes.dead_ops import without_unused_tensors
from effc.compiler.passes.layout import attributes
from effc.compiler.passes.node_ops import between, node_op, unused
from effc.compiler.passes.registry import register_pass
from effc.compiler.target.model import Target
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Op, Tensor, View

UNSIGNED, SIGNED, SHIFT = "uint8", "int8", 128

_CONTRIBUTED = "com.microsoft"

ZERO_POINTS: dict[tuple[str, str], tuple[int, ...]] = {
    ("", "QuantizeLinear"): (2,),
    ("", "DequantizeLinear"): (2,),
    **dict.fromkeys(((_CONTRIBUTED, f"QLinear{op}") for op in ("Add", "Mul")), (2, 5, 7)),
    **dict.fromkeys(
        (
            (_CONTRIBUTED, f"QLinear{op}")
            for op in ("AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Softmax")
        ),
        (2, 4),
    ),
    (_CONTRIBUTED, "QLinearConcat"): (1, 4),
    **dict.fromkeys(
        (
            ("", op)
            for op in "Concat Expand Flatten Gather Identity MaxPool Reshape Slice Split Squeeze Transpose"  # noqa: SIM905
            " Unsqueeze".split()
        ),
        (),
    ),
}
"""Operators that mean the same of shifted integers with shifted zero points, by domain and name; the places of their
zero points, each behind its scale. Without one it is zero. QLinearConcat has as many as inputs.
"""


@register_pass
@dataclass(frozen=True)
class SignedBytes(Pass):
    """Shift unsigned bytes that nests read by 128, their zero points, too: what they stand for stays the same.

    Only where the MACs of the target multiply int8 but not uint8, and before `fuse-epilogues`. What comes from or goes
    to other operators is converted.

    op QuantizeLinear "quantise" (t, s, zx) -> (x)                                        x, zx: uint8
    nest conv1 ... uses I = x ... zero zx ..., W = w, O = y

    op QuantizeLinear "quantise" (t, s, zx_signed) -> (x_signed)                          x_signed, zx_signed: int8
    nest conv1 ... uses I = x_signed ... zero zx_signed ..., W = w, O = y
    """

    name = "signed-bytes"
    target: Target

    def run(self, graph: Graph) -> Graph:
        types = self.target.numeric.types
        if SIGNED not in types or UNSIGNED in types or any(op.epilogue for op in graph.nests):
            return graph
        shifted = _shifted(graph)
        return without_unused_tensors(_Shift(graph, shifted).run()) if shifted else graph


def _shifted(graph: Graph) -> frozenset[str]:
    """The unsigned bytes that nests read, and those that operators which can be shifted make of them or them of."""
    shifted: set[str] = set()
    groups = [names for op in graph.ops if (names := _bytes_of(op, graph)) and _can_shift(op, graph)]
    for op in graph.nests:
        shifted.update(_bytes_of(op, graph))
    size = -1
    while size < len(shifted):
        size = len(shifted)
        shifted.update(*(names for names in groups if not shifted.isdisjoint(names)))
    return frozenset(shifted)


def _bytes_of(op: Op, graph: Graph) -> set[str]:
    """The unsigned bytes that an op reads or makes, constants left out."""
    names = filter(None, (*op.inputs, *op.outputs))
    return {name for name in names if graph.tensors[name].dtype == UNSIGNED and name not in graph.constants}


def _can_shift(op: Op, graph: Graph) -> bool:
    if isinstance(op, NestOp):
        return True
    if (op.domain, op.op) not in ZERO_POINTS or op.captures or attributes(op).get("output_dtype"):
        return False
    return all(graph.tensors[op.inputs[place - 1]].shape is not None for place in _zero_points(op))


def _zero_points(op: NodeOp) -> tuple[int, ...]:
    """The places of the zero points among the inputs of an op."""
    if op.op == "QLinearConcat":
        return (1, *range(4, len(op.inputs), 3))
    return ZERO_POINTS[op.domain, op.op]


@dataclass
class _Shift:
    """One rewrite: the signed tensors by the names of the unsigned ones, and the ops so far."""

    graph: Graph
    shifted: frozenset[str]
    signed: dict[str, str] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)

    def run(self) -> Graph:
        graph = self.graph
        self.tensors, self.constants = dict(graph.tensors), dict(graph.constants)
        for name in self.shifted.intersection(graph.inputs):
            self.convert(name, self.twin(name), SIGNED)
        for op in graph.ops:
            if isinstance(op, NestOp):
                self.ops.append(self.nest(op))
            elif _can_shift(op, graph) and not self.shifted.isdisjoint(_bytes_of(op, graph)):
                self.ops.append(self.node(op))
            else:
                self.other(op)
        for name in self.shifted.intersection(graph.outputs).difference(graph.inputs):
            self.unsigned(name)
        return replace(graph, ops=tuple(self.ops), tensors=self.tensors, constants=self.constants)

    def twin(self, name: str) -> str:
        """The signed tensor in the place of an unsigned one; of a constant its value."""
        if name not in self.signed:
            twin = self.signed[name] = self.new(f"{name}_signed", SIGNED, self.graph.tensors[name].shape)
            if name in self.constants:
                self.constants[twin] = (self.constants[name].astype(np.int16) - SHIFT).astype(np.int8)
        return self.signed[name]

    def new(self, name: str, dtype: str, shape: tuple[int, ...] | None) -> str:
        found = unused(name, self.tensors)
        self.tensors[found] = Tensor(found, dtype, shape)
        return found

    def constant(self, name: str, value: Array) -> str:
        found = self.new(name, value.dtype.name, value.shape)
        self.constants[found] = value
        return found

    def least(self, shape: tuple[int, ...]) -> str:
        """The zero point where there was none."""
        return self.constant("least", np.full(shape, -SHIFT, np.int8))

    def nest(self, op: NestOp) -> NestOp:
        """A nest above shifted zero points."""
        return replace(op, uses={name: self.view(view) for name, view in op.uses.items()})

    def view(self, view: View) -> View:
        if self.graph.tensors[view.tensor].dtype != UNSIGNED:
            return view
        zero = View(self.least(()), 0, (0,) * len(view.strides))
        if view.zero is not None:
            zero = replace(view.zero, tensor=self.twin(view.zero.tensor))
        return replace(view, tensor=self.twin(view.tensor), zero=zero)

    def node(self, op: NodeOp) -> NodeOp:
        """An operator between shifted tensors, with shifted zero points."""
        names = [self.twin(name) if name and self.is_unsigned(name) else name for name in op.inputs]
        for place in _zero_points(op):
            names += [""] * (place + 1 - len(names))
            names[place] = names[place] or self.least(self.graph.tensors[op.inputs[place - 1]].shape or ())
        outputs = [self.twin(name) if name and self.is_unsigned(name) else name for name in op.outputs]
        return between(op, tuple(names), tuple(outputs))

    def is_unsigned(self, name: str) -> bool:
        return self.graph.tensors[name].dtype == UNSIGNED

    def other(self, op: NodeOp) -> None:
        """An operator between the unsigned bytes themselves."""
        for name in (*op.inputs, *op.captures):
            if name in self.shifted:
                self.unsigned(name)
        self.ops.append(op)
        for name in self.shifted.intersection(op.outputs):
            self.convert(name, self.twin(name), SIGNED)

    def unsigned(self, name: str) -> None:
        """Make the unsigned bytes of signed ones, unless they are there."""
        made = {output for op in self.ops for output in op.outputs} | {*self.graph.inputs}
        if name not in made:
            self.convert(self.twin(name), name, UNSIGNED)

    def convert(self, source: str, target: str, dtype: str) -> None:
        """Two ops on the way: exact in float32."""
        points = {SIGNED: np.array(0, np.int8), UNSIGNED: np.array(SHIFT, np.uint8)}
        before, after = (points[UNSIGNED], points[SIGNED]) if dtype == SIGNED else (points[SIGNED], points[UNSIGNED])
        one, real = self.constant("one", np.array(1, np.float32)), self.new(f"{target}_real", "float32", None)
        self.tensors[real] = replace(self.tensors[real], shape=self.tensors[source].shape)
        inputs = (source, one, self.constant("from", before)), (real, one, self.constant("to", after))
        self.ops.append(node_op("DequantizeLinear", f"{target}_real", inputs[0], real))
        self.ops.append(node_op("QuantizeLinear", f"{target}_bytes", inputs[1], target))
