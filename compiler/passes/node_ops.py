"""Nodes that passes make, and nodes between other tensors."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any, Literal

from effc.ir.graph import NodeOp

OPSET = 13
"""The operator set of ONNX that nodes are made in: of the first QuantizeLinear along an axis."""


def node_op(
    op: str,
    name: str,
    inputs: tuple[str, ...],
    output: str,
    where: Literal["vector", "host"] = "host",
    **attributes: Any,
) -> NodeOp:
    """An operator of ONNX with one output."""
    import onnx

    proto = onnx.helper.make_node(op, inputs, [output], name=name, **attributes)
    return NodeOp(name, op, inputs, (output,), _bytes(proto), version=OPSET, where=where)


def between(op: NodeOp, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> NodeOp:
    """The same operator between other tensors."""
    import onnx

    proto = onnx.NodeProto.FromString(op.node)
    del proto.input[:], proto.output[:]
    proto.input.extend(inputs)
    proto.output.extend(outputs)
    return replace(op, inputs=inputs, outputs=outputs, node=_bytes(proto))


def unused(name: str, taken: Container[str]) -> str:
    """The name, or with a number behind it, that is not taken."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def _bytes(proto: Any) -> bytes:
    return bytes(proto.SerializeToString(deterministic=True))
