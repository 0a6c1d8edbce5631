"""A model: ops in topological order over named tensors.

    graph "digits" (x) -> (y) {
      tensor x : float32[1, 1, 8, 8]
      const  w : float32[16, 1, 3, 3] = sha256:...
      tensor t : float32[1, 16, 8, 8]
      tensor y : float32[1, 16, 8, 8]
      nest conv1 (N=1, K=16, C=1, P=8, Q=8, R=3, S=3) of Conv {
        read  I[N < 1, C < 1, P + R - 1 < 8, Q + S - 1 < 8]
        read  W[K < 16, C < 1, R < 3, S < 3]
        write O[N < 1, K < 16, P < 8, Q < 8]
      } uses I = x, W = w, O = t
      op MaxPool "pool1" (t) -> (y) opset 17 @ vector { kernel_shape = [1, 1] }
    }

A *nest op* runs a nest on the array; each of its operands is a *view* of a tensor: an offset and a stride in words per
axis, so that reshapes and transposes around a nest cost nothing. Its *epilogue* are elementwise ONNX nodes that the
vector unit runs on every finished word of the output, on its way to the outermost level. Any other op is an ONNX node,
with the place where it runs: the target's vector unit, or the host with the reason.

A *control op* is an ONNX node, too: an If, Loop or Scan whose bodies are graphs of their own. The host runs them, as
often as the node says; what a body reads from outside are inputs of it by the same name.

A tensor is written before it is read, and once; several nests may write disjoint parts of one. A tensor that is
declared to lie in another is a part of it: what the one holds, the other does. Either the parts are written, all of
them, or the whole, of which the parts are slices then: what ONNX concatenates or cuts out need not be copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Literal

import numpy.typing as npt

from effc.ir.nest import Nest
from effc.ir.schedule import Schedule
from effc.ir.types import is_data

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the model.

    ``dtype`` is numpy's name for it (``float32``, ``int64``, ``object`` for strings), or ONNX's name for a value that
    is no tensor (``seq(tensor(float))``), or empty where nobody knows. ``shape`` is None where it is only known at run
    time. Whatever a nest uses has a shape. ``place``: it is a part of another tensor, and where its words are there.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    place: View | None = None

    @property
    def words(self) -> int:
        """The number of words, of a tensor that has a shape."""
        if self.shape is None:
            raise ValueError(f"the shape of {self.name} is only known at run time")
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class View:
    """How an operand lies in a tensor: word ``offset + sum(stride * index)``; an index per axis of the operand.

    Of integers, the operand is what they are above their ``zero`` point, a tensor that is viewed with the same axes.
    """

    tensor: str
    offset: int
    strides: tuple[int, ...]
    zero: View | None = None

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensor, and that of the zero point if there is one."""
        return (self.tensor,) if self.zero is None else (self.tensor, *self.zero.tensors)


@dataclass(frozen=True)
class NestOp:
    """An operator on the array. ``uses`` maps each operand of the nest to its view; ``origin`` names the ONNX node.

    The steps of the ``epilogue`` follow each other. They read the tensor that the output's view names, each other's
    results, and tensors from outside, as ONNX broadcasts them. Only the result of the last one is written.
    """

    nest: Nest
    uses: Mapping[str, View]
    op: str  # the ONNX operator it came from
    origin: str
    schedule: Schedule | None = None
    epilogue: tuple[NodeOp, ...] = ()

    @property
    def name(self) -> str:
        return self.nest.name

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors of the operands that are read, and of their zero points."""
        views = [view for name, view in self.uses.items() if name != self.nest.output.name]
        return tuple(name for view in views for name in view.tensors)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.reads, *self.epilogue_inputs)

    @property
    def epilogue_inputs(self) -> tuple[str, ...]:
        """What the steps of the epilogue read from outside, each tensor once."""
        made = {*self.inner, *self.outputs}
        return tuple(dict.fromkeys(name for step in self.epilogue for name in step.inputs if name and name not in made))

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.epilogue[-1].outputs if self.epilogue else (self.uses[self.nest.output.name].tensor,)

    @property
    def inner(self) -> tuple[str, ...]:
        """The tensors that never come to a memory: the sums, and what all steps but the last make of them."""
        made = (self.uses[self.nest.output.name].tensor, *(name for step in self.epilogue for name in step.outputs))
        return made[:-1]


@dataclass(frozen=True)
class NodeOp:
    """Any other operator: an ONNX node, run by the vector unit or by the host.

    ``node`` is a serialised ``NodeProto``: operator, domain, attributes. The names in ``inputs`` and ``outputs`` count,
    by position; those in ``node`` do not.
    """

    name: str
    op: str
    inputs: tuple[str, ...]  # "" for an omitted optional input
    outputs: tuple[str, ...]  # "" for one that nobody wants
    node: bytes = field(repr=False)
    domain: str = ""
    version: int = 0  # of the operator set of its domain
    where: Literal["vector", "host"] = "host"
    reason: str = ""
    captures: tuple[str, ...] = ()  # tensors that its subgraphs read from outside
    context: bytes = field(default=b"", repr=False)  # operator sets and functions that it needs, a ``ModelProto``

    @property
    def origin(self) -> str:
        return self.name


@dataclass(frozen=True)
class ControlOp(NodeOp):
    """An ``If`` (its two branches), a ``Loop`` or a ``Scan`` (one body each) on the host, the bodies compiled.

    The inputs of a body are those that ONNX gives it, in order, then what it captures; its outputs are ONNX's. The node
    has no subgraphs. ``trips``: how often the body of a loop runs; None where the data decide.
    """

    bodies: tuple[Graph, ...] = ()
    trips: int | None = None


Op = NestOp | NodeOp


@dataclass(frozen=True)
class Graph:
    """A model. ``constants`` hold the values of the tensors that are known before the run."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    constants: Mapping[str, Array] = field(default_factory=dict, repr=False)

    @cached_property
    def nests(self) -> tuple[NestOp, ...]:
        """The nests of this graph itself; ``effc.ir.bodies`` has those of bodies, too."""
        return tuple(op for op in self.ops if isinstance(op, NestOp))

    @cached_property
    def data(self) -> frozenset[str]:
        """The tensors that hold data: of floating point, of integers of few bits, and whatever nests and epilogues use.

        Wider integers are shapes and indices.
        """
        nests = {name for op in self.nests for name in (*op.inputs, *op.inner, *op.outputs)}
        return frozenset(name for name, tensor in self.tensors.items() if name in nests or is_data(tensor.dtype))

    @cached_property
    def made(self) -> frozenset[str]:
        """The tensors that are given, or written by ops, as a whole or in parts; any other one is a slice of these."""
        names = {*self.inputs, *self.constants, *(name for op in self.ops for name in op.outputs if name)}
        return frozenset(names.union(*(self.wholes(name) for name in names)))

    @cached_property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """Of each tensor that is written in parts, these."""
        return self._placed(lambda name: name in self.made)

    @cached_property
    def slices(self) -> Mapping[str, tuple[str, ...]]:
        """Of each tensor that others are slices of, these."""
        return self._placed(lambda name: name not in self.made)

    def _placed(self, wanted: Callable[[str], bool]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for name, tensor in self.tensors.items():
            if tensor.place is not None and wanted(name):
                found[tensor.place.tensor] = (*found.get(tensor.place.tensor, ()), name)
        return found

    def source(self, name: str) -> str:
        """The tensor that one is a slice of, and that is made; the tensor itself, if it is no slice."""
        return next((tensor for tensor in (name, *self.wholes(name)) if tensor in self.made), name)

    def wholes(self, name: str) -> Iterator[str]:
        """The tensors that one is a part of, from the innermost out."""
        seen = {name}
        while name in self.tensors and (place := self.tensors[name].place) is not None and place.tensor not in seen:
            name = place.tensor
            seen.add(name)
            yield name

    def with_ops(self, ops: tuple[Op, ...]) -> Graph:
        """The same graph with other ops."""
        return replace(self, ops=ops)
