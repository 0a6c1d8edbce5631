"""Products that onnxruntime's optimiser fuses with what is around them, in the domain ``com.microsoft``: taken apart.

op com.microsoft.FusedMatMul (a, b) -> (y)     y = alpha * MatMul(a', b')
op com.microsoft.FusedConv (x, w, b, z) -> (y) y = activation(Conv(x, w, b) + z)
op com.microsoft.FusedGemm (a, b, c) -> (y)    y = activation(Gemm(a, b, c))
"""

from __future__ import annotations

from typing import Any

import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer

DOMAIN = "com.microsoft"

PLAIN = ("Relu", "Sigmoid", "Tanh")
"""Activations without parameters."""


def fused_matmul(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A product of matrices that are transposed first, times a number."""
    if node.attributes.get("transBatchA", 0) or node.attributes.get("transBatchB", 0):
        raise NotANest("transposed batches")
    write = Writer(node, fresh)
    names = list(node.proto.input)
    for position, attribute in enumerate(("transA", "transB")):
        rank = len(node.operand(position)[1])
        if node.attributes.get(attribute, 0) and rank > 1:
            order = [*range(rank - 2), rank - 1, rank - 2]
            names[position] = write("Transpose", names[position], perm=order)
    alpha, output = float(node.attributes.get("alpha", 1.0)), node.proto.output[0]
    if alpha == 1.0:
        write("MatMul", *names, output=output)
    else:
        write("Mul", write("MatMul", *names, hint="product"), write.scalar(alpha), output=output)
    return write.nodes


def fused_conv(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A convolution, a sum perhaps, and an activation."""
    kept = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    return _activated(node, fresh, "Conv", kept)


def fused_gemm(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A Gemm and an activation."""
    return _activated(node, fresh, "Gemm", ("alpha", "beta", "transA", "transB"))


def _activated(node: Node, fresh: Fresh, op: str, kept: tuple[str, ...]) -> list[onnx.NodeProto]:
    activation = node.attributes.get("activation", b"").decode(errors="replace")
    if activation not in ("", *PLAIN):
        raise NotANest(f"the activation {activation}")
    node.operand(0)
    write = Writer(node, fresh)
    attributes: dict[str, Any] = {name: value for name, value in node.attributes.items() if name in kept}
    names = list(node.proto.input)
    total = write(op, *names[:3], hint="product", **attributes)
    if names[3:] and names[3]:
        total = write("Add", total, names[3])
    write(activation or "Identity", total, output=node.proto.output[0])
    return write.nodes
