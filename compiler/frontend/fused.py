"""What onnxruntime's optimiser makes of activations, normalisations, embeddings and integers: taken apart.

op com.microsoft.SkipLayerNormalization (x, s, g, b) -> (y)    y = LayerNormalization(x + s, g, b)
op com.microsoft.BiasGelu (x, b) -> (y)                        y = Gelu(x + b)
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Array

GELU_OPSET = 20
"""The operator set that has Gelu."""

Nodes = tuple[list[onnx.NodeProto], int]


def gelu(node: Node, fresh: Fresh) -> Nodes:
    """Gelu, BiasGelu, FastGelu: a bias perhaps, and Gelu."""
    write, x = Writer(node, fresh), node.operand(0)[0]
    if len(node.proto.input) > 1 and node.proto.input[1]:
        x = write("Add", x, node.proto.input[1])
    form = "tanh" if node.proto.op_type == "FastGelu" else "none"
    write("Gelu", x, approximate=form, output=node.proto.output[0])
    return write.nodes, GELU_OPSET


def quick_gelu(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """``x * Sigmoid(alpha * x)``."""
    write, x = Writer(node, fresh), node.operand(0)[0]
    gate = write("Sigmoid", write("Mul", x, write.scalar(float(node.attributes.get("alpha", 1.702)))))
    write("Mul", x, gate, output=node.proto.output[0])
    return write.nodes


def skip_layer_norm(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A residual addition, a bias perhaps, and a normalisation, with a mean or without."""
    write, names = Writer(node, fresh), [*node.proto.input, "", ""]
    simplified = node.proto.op_type == "SkipSimplifiedLayerNormalization"
    gamma, *rest = names[2:]
    beta, bias = ("", rest[0]) if simplified else rest[:2]
    node.operand(0)
    total = write("Add", names[0], names[1], hint="sum")
    total = write("Add", total, bias) if bias else total
    _only(node, 0, 3)
    if len(node.proto.output) > 3 and node.proto.output[3]:
        write("Identity", total, output=node.proto.output[3])
    _normalised(write, total, gamma, beta, simplified, node.proto.output[0])
    return write.nodes


def simplified_layer_norm(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A normalisation without a mean."""
    write, (name, shape) = Writer(node, fresh), node.operand(0)
    if node.attributes.get("axis", -1) not in (-1, len(shape) - 1):
        raise NotANest("a normalisation over several axes")
    _only(node, 0)
    _normalised(write, name, node.proto.input[1], "", True, node.proto.output[0])
    return write.nodes


def _normalised(write: Writer, x: str, gamma: str, beta: str, simplified: bool, output: str) -> None:
    epsilon = float(write.node.attributes.get("epsilon", 1e-12 if write.node.proto.domain else 1e-5))
    if not simplified:
        scales = [gamma, beta] if beta else [gamma]
        write("LayerNormalization", x, *scales, axis=-1, epsilon=epsilon, output=output)
        return
    mean = write("ReduceMean", write("Mul", x, x), axes=[-1], keepdims=1)
    root = write("Sqrt", write("Add", mean, write.scalar(epsilon)))
    write("Mul", write("Div", x, root), gamma, output=output)


def embed_layer_norm(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The rows of two or three tables, added and normalised."""
    ids = node.input(0)
    if ids is None or ids.shape is None:
        raise NotANest("the shape of the tokens is only known at run time")
    names, steps = [*node.proto.input, *[""] * 9][:9], ids.shape[1]
    write = Writer(node, fresh, dtype=node.inputs[2].dtype if node.inputs[2] is not None else "")
    _, segments, words, positions, kinds, gamma, beta, mask, places = names
    places = places or write.integers(*range(steps))
    total = write("Add", write("Gather", words, names[0], axis=0), write("Gather", positions, places, axis=0))
    if segments and kinds:
        total = write("Add", total, write("Gather", kinds, segments, axis=0))
    outputs = [*node.proto.output, "", ""]
    if outputs[1] and mask:
        counts = write("ReduceSum", mask, write.integers(1), keepdims=0)
        write("Cast", counts, to=onnx.TensorProto.INT32, output=outputs[1])
    elif outputs[1]:
        zeros = np.zeros(ids.shape[0], np.int32)
        write("Constant", value=numpy_helper.from_array(zeros), output=outputs[1])
    if outputs[2]:
        write("Identity", total, output=outputs[2])
    _normalised(write, total, gamma, beta, False, outputs[0])
    return write.nodes


def dynamic_matmul(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """DynamicQuantizeMatMul and MatMulIntegerToFloat: a product of integers, scaled."""
    write, names = Writer(node, fresh, dtype="float32"), [*node.proto.input, *[""] * 5]
    if node.proto.op_type == "DynamicQuantizeMatMul":
        node.operand(0)
        a, scale, zero = write.many("DynamicQuantizeLinear", names[0], outputs=[write.fresh(hint) for hint in "asz"])
        weights, factor, zeros, bias = names[1:5]
    else:
        a, weights, scale, factor, zero, zeros, bias = names[:7]
    if zeros and not zero:
        first = node.input(0)
        zero = write.constant(np.zeros((), first.dtype if first is not None else "uint8"), "zero")
    product = write("MatMulInteger", a, weights, *filter(None, (zero, zeros)))
    scaled = write("Mul", write("Cast", product, to=onnx.TensorProto.FLOAT), write("Mul", scale, factor))
    write(*(("Add", scaled, bias) if bias else ("Identity", scaled)), output=node.proto.output[0])
    return write.nodes


def matmul_nbits(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A product with weights of few bits in blocks with a scale each, [columns, blocks, bytes]: written out."""
    node.operand(0)
    packed, scales, zeros = (node.constant(position) for position in (1, 2, 3))
    bits, block = int(node.attributes["bits"]), int(node.attributes["block_size"])
    columns, rows = int(node.attributes["N"]), int(node.attributes["K"])
    if packed is None or scales is None or (zeros is None and node.input(3) is not None) or node.input(4) is not None:
        raise NotANest("weights that are only known at run time, or in another order")
    if bits not in (2, 4, 8):
        raise NotANest(f"weights of {bits} bits")
    blocks = -(-rows // block)
    values = _unpacked(packed.reshape(columns, blocks, -1), bits)[..., :block]
    middle = np.full((columns, blocks), 1 << (bits - 1), np.float32)
    if zeros is not None:
        whole = zeros.dtype == np.uint8
        found = _unpacked(zeros.reshape(columns, -1), bits)[:, :blocks] if whole else zeros
        middle = np.asarray(found, np.float32).reshape(columns, blocks)
    table = (values - middle[..., None]) * scales.reshape(columns, blocks, 1).astype(np.float32)
    weights = np.ascontiguousarray(table.reshape(columns, -1)[:, :rows].T)
    write = Writer(node, fresh)
    names = [node.proto.input[0], write.constant(weights.astype(scales.dtype), "weights")]
    bias = node.proto.input[5] if len(node.proto.input) > 5 else ""
    product = write("MatMul", *names, output="" if bias else node.proto.output[0])
    if bias:
        write("Add", product, bias, output=node.proto.output[0])
    return write.nodes


def _unpacked(data: Array, bits: int) -> Array:
    """The values in bytes, the lowest bits first."""
    parts = [data >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)]
    values: Array = np.stack(parts, axis=-1).reshape(*data.shape[:-1], -1).astype(np.float32)
    return values


def _only(node: Node, *positions: int) -> None:
    """Raise unless no other output is wanted."""
    if any(name for i, name in enumerate(node.proto.output) if name and i not in positions):
        raise NotANest("the mean and the deviation are wanted, too")
