"""Products that onnxruntime's optimiser fuses with what is around them, in the domain ``com.microsoft``: taken apart.

op com.microsoft.FusedMatMul (a, b) -> (y)     y = alpha * MatMul(a', b')
op com.microsoft.FusedConv (x, w, b, z) -> (y) y = activation(Conv(x, w, b) + z)
op com.microsoft.FusedGemm (a, b, c) -> (y)    y = activation(Gemm(a, b, c))
op com.microsoft.QLinearConv (x, ...) -> (y)   y = QLinearConv(x', ...)', its channels last
"""

from __future__ import annotations

from typing import Any

import onnx

from effc.compiler.frontend import activated
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer

DOMAIN = "com.microsoft"


def fused_matmul(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A product of matrices that are transposed first, with the batch between or not, times a number."""
    write = Writer(node, fresh)
    names = list(node.proto.input)
    for position, side in enumerate("AB"):
        order = plain = list(range(len(node.operand(position)[1])))
        if node.attributes.get(f"transBatch{side}", 0) and len(plain) > 2:
            order = [*order[1:-1], order[0], order[-1]]
        if node.attributes.get(f"trans{side}", 0) and len(plain) > 1:
            order = [*order[:-2], order[-1], order[-2]]
        if order != plain:
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
    return _activated(node, fresh, "Conv", kept, activated.numbers(node))


def fused_gemm(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A Gemm and an activation."""
    return _activated(node, fresh, "Gemm", ("alpha", "beta", "transA", "transB"), activated.named(node))


SIXTEEN_BITS = 21
"""The operator set since which ONNX's own quantisers take what onnxruntime's take: integers of 16 bits and of 4."""


def quantiser(node: Node, fresh: Fresh) -> tuple[list[onnx.NodeProto], int]:
    """A QuantizeLinear or a DequantizeLinear that onnxruntime had before ONNX."""
    return [plain_quantiser(node.proto, SIXTEEN_BITS)], SIXTEEN_BITS


def plain_quantiser(proto: onnx.NodeProto, version: int) -> onnx.NodeProto:
    """A quantiser of onnxruntime's as ONNX's, if this operator set has it; any other node as it is."""
    own = proto.domain == DOMAIN and proto.op_type in ("QuantizeLinear", "DequantizeLinear")
    if not own or version < SIXTEEN_BITS:
        return proto
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    copy.domain = ""
    return copy


def qlinear_conv(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A convolution of integers, as ONNX has it; or with the channels last."""
    tensor = node.input(0)
    if tensor is None or tensor.shape is None:
        raise NotANest("a shape is only known at run time")
    write, rank = Writer(node, fresh), len(tensor.shape)
    attributes: dict[str, Any] = {name: value for name, value in node.attributes.items() if name != "channels_last"}
    names, output = list(node.proto.input), node.proto.output[0]
    if not node.attributes.get("channels_last", 0):
        write("QLinearConv", *names, output=output, **attributes)
        return write.nodes
    names[0] = write("Transpose", names[0], perm=[0, rank - 1, *range(1, rank - 1)])
    result = write("QLinearConv", *names, hint="convolved", **attributes)
    write("Transpose", result, perm=[0, *range(2, rank), 1], output=output)
    return write.nodes


def _activated(
    node: Node, fresh: Fresh, op: str, kept: tuple[str, ...], parameters: list[float | None]
) -> list[onnx.NodeProto]:
    write = Writer(node, fresh)
    attributes: dict[str, Any] = {name: value for name, value in node.attributes.items() if name in kept}
    names = list(node.proto.input)
    total = write(op, *names[:3], hint="product", **attributes)
    if names[3:] and names[3]:
        total = write("Add", total, names[3])
    activated.activate(write, activated.activation(node), parameters, total)
    return write.nodes
