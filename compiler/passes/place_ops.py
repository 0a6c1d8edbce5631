"""Decides where the ops run that are no nests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.registry import register_pass
from effc.compiler.target.model import Target
from effc.ir.graph import ControlOp, Graph, NodeOp

TYPES = ("float32", "float16", "bfloat16")
"""Types of elements of the vector unit, which computes in float32."""


@register_pass
@dataclass(frozen=True)
class PlaceOps(Pass):
    """Run an operator on the target's vector unit where it can, or else on the host, with the reason.

    op Relu "relu1" (t) -> (u) @ host
    op NonZero "nonzero1" (u) -> (v) @ host

    op Relu "relu1" (t) -> (u) @ vector
    op NonZero "nonzero1" (u) -> (v) @ host "the shape of its result depends on the data"
    """

    name = "place-ops"
    target: Target

    def run(self, graph: Graph) -> Graph:
        return graph.with_ops(tuple(self._placed(op, graph) if isinstance(op, NodeOp) else op for op in graph.ops))

    def _placed(self, op: NodeOp, graph: Graph) -> NodeOp:
        reason = self._obstacle(op, graph)
        return replace(op, where="host" if reason else "vector", reason=reason)

    def _obstacle(self, op: NodeOp, graph: Graph) -> str:
        """What keeps an op from the vector unit; empty if nothing does."""
        unit = self.target.vector
        if isinstance(op, ControlOp):
            return op.reason
        if op.domain and not (op.domain == "com.microsoft" and op.op.startswith("QLinear")):
            return op.reason or f"an operator of {op.domain}"
        if unit is None or not unit.takes(op.op):
            return op.reason or (f"no {op.op} on the vector unit" if unit else f"{self.target.name} has no vector unit")
        if op.captures or op.context:
            return "control flow"
        return next(filter(None, (_unfit(name, graph) for name in (*op.inputs, *op.outputs) if name)), "")


def _unfit(name: str, graph: Graph) -> str:
    """What the vector unit cannot do with a tensor.

    Constants of other types are parameters (axes, for example); without elements, parameters that are left out.
    """
    tensor = graph.tensors[name]
    if tensor.shape is None:
        return f"the shape of '{name}' is only known at run time"
    if 0 in tensor.shape and name not in graph.constants:
        return f"'{name}' has no elements"
    if tensor.dtype not in TYPES and name not in graph.constants and (name not in graph.data or "64" in tensor.dtype):
        return f"'{name}' is {tensor.dtype}: the vector unit computes in float32"
    return ""
