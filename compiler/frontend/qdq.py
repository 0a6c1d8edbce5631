"""Operators between DequantizeLinear and QuantizeLinear, as operators of integers.

    xf = DequantizeLinear(x, sx, zx)
    wf = DequantizeLinear(w, sw, zw)
    bf = DequantizeLinear(b, sx * sw)
    yf = Conv(xf, wf, bf)
    y = QuantizeLinear(yf, sy, zy)              -->      y = QLinearConv(x, sx, zx, w, sw, zw, sy, zy, b)

What onnxruntime's optimiser does, so that the results are those of its optimised run: Relu in between is the saturation
where the zero point is the least value, an operator that only moves words moves integers. A product whose result is not
quantised becomes one of integers that is dequantised. Nodes that nobody reads any more are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from effc.compiler.frontend.contrib import DOMAIN
from effc.compiler.frontend.quantisers import DEQUANTIZE, Quantisers, attributes_of
from effc.compiler.frontend.subgraphs import Fresh, captured
from effc.ir.graph import Array
from effc.ir.types import narrow, storage

_FEW_BITS = re.compile("(u?)int([24])")

SAME_VALUES = frozenset(
    "Expand Flatten Gather MaxPool Reshape Resize Slice Squeeze Transpose Unsqueeze".split()  # noqa: SIM905
)
"""Operators whose results are some of the values of their first input, whatever these mean; Resize where it says so."""

UNARY = {"Sigmoid": "QLinearSigmoid", "LeakyRelu": "QLinearLeakyRelu"}
POOLS = {"AveragePool": "QLinearAveragePool", "GlobalAveragePool": "QLinearGlobalAveragePool"}
BINARY = {"Add": "QLinearAdd", "Mul": "QLinearMul"}
"""Operators of ``com.microsoft`` that take the place of others."""


def fused(
    nodes: Iterable[onnx.NodeProto],
    known: Mapping[str, Array],
    outputs: Iterable[str],
    fresh: Fresh,
    types: dict[str, str],
) -> list[onnx.NodeProto]:
    """The nodes with operators of integers in the place of those between DequantizeLinear and QuantizeLinear.

    ``types`` are those of integers of fewer than 8 bits, by the names of tensors; more come to it.
    """
    given = list(nodes)
    if not any(node.op_type == DEQUANTIZE and not node.domain for node in given):
        return given
    widened = [part for node in given for part in _in_bytes(node, known, fresh, types)]
    return _Fusion(widened, known, set(outputs), fresh, types).run()


def _in_bytes(
    node: onnx.NodeProto, known: Mapping[str, Array], fresh: Fresh, types: dict[str, str]
) -> list[onnx.NodeProto]:
    """A DequantizeLinear of a constant of 4 or 2 bits, and the constant in bytes, as nests keep such integers."""
    value = known.get(node.input[0]) if node.op_type == DEQUANTIZE and not node.domain else None
    found = _FEW_BITS.fullmatch(str(value.dtype)) if value is not None else None
    if found is None:
        return [node]
    dtype = narrow(int(found[2]), signed=not found[1])
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    constants = []
    for position, name in ((0, node.input[0]), *([(2, node.input[2])] if len(node.input) > 2 else [])):
        if name not in known:
            return [node]
        copy.input[position] = fresh(f"{name}/bytes")
        content = numpy_helper.from_array(np.asarray(known[name]).astype(storage(dtype)))
        constants.append(helper.make_node("Constant", [], [copy.input[position]], value=content))
        types[copy.input[position]] = dtype
    return [*constants, copy]


class _Fusion(Quantisers):
    """The rules: what takes the place of a node."""

    def run(self) -> list[onnx.NodeProto]:
        found: list[onnx.NodeProto] = []
        for node in self.nodes:
            if id(node) not in self.gone:
                made = self.rewritten(node)
                found += [*self.extra, *made] if made else [node]
                self.extra.clear()
        return _alive([node for node in found if id(node) not in self.gone], self.outputs)

    def rewritten(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """What takes the place of a node; nothing if it stays."""
        rules: dict[str, Callable[[onnx.NodeProto], list[onnx.NodeProto]]] = {
            "Conv": self.conv,
            "MatMul": self.matmul,
            "Gemm": self.gemm,
            "Concat": self.concat,
            "Softmax": self.softmax,
            **dict.fromkeys(SAME_VALUES, self.same_values),
            **dict.fromkeys(UNARY, self.unary),
            **dict.fromkeys(POOLS, self.pool),
            **dict.fromkeys(BINARY, self.binary),
        }
        return rules[node.op_type](node) if not node.domain and node.op_type in rules else []

    # Products

    def bias(self, name: str, left: list[str], right: list[str]) -> str | None:
        """The sums that a bias is dequantised from, if their scale is that of the products."""
        found = self.source(name, ("int32",))
        scales = [self.scale(s) for s in (left[1], right[1])]
        if found is None or any(scale is None for scale in scales) or self.known.get(found[2], np.zeros(1)).any():
            return None
        scale, own = scales[0] * scales[1], self.scale(found[1])  # type: ignore[operator]
        same = own is not None and np.allclose(own, scale if own.size == scale.size else scale.max(), rtol=1e-3)
        return found[0] if same else None

    def operands(self, node: onnx.NodeProto, axis: int | None) -> tuple[list[str], list[str]] | None:
        """What both operands of a product are dequantised from; the right one along ``axis`` or as a whole."""
        left, right = self.source(node.input[0]), self.source(node.input[1])
        if left is None or right is None or self.axis(node.input[0]) is not None:
            return None
        along = self.axis(node.input[1])
        return (left, right) if along is None or along == axis else None

    def conv(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        found = self.operands(node, 0)
        if found is None:
            return []
        left, right = found
        bias = [""] if len(node.input) < 3 or not node.input[2] else [self.bias(node.input[2], left, right)]
        result = self.result(node.output[0])
        self.complete(left, right)
        if bias[0] is None or result is None:
            return self.real_conv(node, left, right)
        scale, name = self.take(node.output[0], result)
        return [_node("QLinearConv", [*left, *right, *scale, *filter(None, bias)], name, node)]

    def real_conv(self, node: onnx.NodeProto, left: list[str], right: list[str]) -> list[onnx.NodeProto]:
        """A convolution of integers whose sums are dequantised; its bias is added to what they stand for."""
        biased = len(node.input) > 2 and bool(node.input[2])
        value = self.known.get(node.input[2]) if biased else None
        if biased and value is None:
            return []
        (x, sx, zx), (w, sw, zw) = left, right
        sums = self.fresh(f"{node.output[0]}/sums")
        name = self.fresh(f"{node.output[0]}/product") if biased else node.output[0]
        made = [_node("ConvInteger", [x, w, zx, zw], sums, node)]
        made.append(self.dequantised(sums, sx, sw, name, 1, node))
        if value is not None:
            row = self.constant(value.reshape(-1, *[1] * (self.known[w].ndim - 2)) if w in self.known else value)
            made.append(helper.make_node("Add", [name, row], [node.output[0]], f"{node.name}_bias"))
        return made if value is None or w in self.known else []

    def dequantised(
        self, sums: str, left: str, right: str, output: str, axis: int, like: onnx.NodeProto
    ) -> onnx.NodeProto:
        """What sums of products of integers with two scales stand for."""
        product = np.asarray(self.known[left] * self.known[right], np.float32)
        scale = self.constant(product.reshape(self.known[right].shape))
        return helper.make_node(DEQUANTIZE, [sums, scale], [output], f"{like.name}_scale", axis=axis)

    def matmul(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        right = self.writer.get(node.input[1])
        value = self.known.get(right.input[0]) if right is not None and right.input else None
        found = self.operands(node, None if value is None else value.ndim - 1)
        if found is None:
            return []
        result = self.result(node.output[0])
        self.complete(*found)
        if result is not None:
            scale, name = self.take(node.output[0], result)
            return [_node("QLinearMatMul", [*found[0], *found[1], *scale], name, node)]
        sums = self.fresh(f"{node.output[0]}/sums")
        (x, sx, zx), (w, sw, zw) = found
        product = _node("MatMulInteger", [x, w, zx, zw], sums, node)
        return [product, self.dequantised(sums, sx, sw, node.output[0], -1, node)]

    def gemm(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        attributes = attributes_of(node)
        across = bool(attributes.get("transB", 0))
        found = self.operands(node, 0 if across else 1)
        if found is None or attributes.get("beta", 1.0) != 1.0 or attributes.get("alpha", 1.0) != 1.0:
            return []
        left, right = found
        bias = "" if len(node.input) < 3 or not node.input[2] else self.bias(node.input[2], left, right)
        if bias is None:
            return []
        result = self.result(node.output[0])
        self.complete(left, right)
        kept = {name: attributes.get(name, 0) for name in ("transA", "transB")}
        inputs = [*left, *right, bias]
        name = node.output[0]
        if result is not None:
            scale, name = self.take(name, result)
            inputs += scale
        return [helper.make_node("QGemm", inputs, [name], node.name, domain=DOMAIN, alpha=1.0, **kept)]

    # Other operators

    def around(self, node: onnx.NodeProto, positions: Iterable[int]) -> tuple[list[list[str]], onnx.NodeProto] | None:
        """What inputs are dequantised from and how the result is quantised, one scale each, 8 bits."""
        places = list(positions)
        sources = [self.source(node.input[i], ("int8", "uint8")) for i in places]
        result = self.result(node.output[0])
        if result is None or any(s is None or self.axis(node.input[i]) is not None for i, s in zip(places, sources)):
            return None
        found = [source for source in sources if source is not None]
        self.complete(*found)
        types = {self.known[source[2]].dtype for source in found} | {np.dtype(self.dtype(result))}
        return (found, result) if len(types) == 1 else None

    def same_values(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Between equal scales and zero points, only words are chosen."""
        mode = attributes_of(node).get("mode", b"nearest")
        if len(node.output) > 1 or (node.op_type == "Resize" and mode != b"nearest"):
            return []
        found = self.around(node, [0])
        if found is None:
            return self.moved(node)
        (source,), result = found
        zero = result.input[2] if len(result.input) > 2 and result.input[2] else self.point(result)
        pairs = ((source[1], result.input[1]), (source[2], zero))
        if any(self.known.get(b) is None or not np.array_equal(self.known[a], self.known[b]) for a, b in pairs):
            return []
        _, name = self.take(node.output[0], result)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0], copy.output[0] = source[0], name
        return [copy]

    def moved(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """On integers that are dequantised behind the operator."""
        source, dequantiser = self.source(node.input[0]), self.writer.get(node.input[0])
        if source is None or dequantiser is None or self.axis(node.input[0]) is not None:
            return []
        name = self.fresh(f"{node.output[0]}/integers")
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0], copy.output[0] = source[0], name
        inputs = list(filter(None, [name, *source[1:]]))
        real = helper.make_node(DEQUANTIZE, inputs, [node.output[0]], f"{node.name}_real")
        self.writer[node.output[0]] = real
        if source[0] in self.types:
            self.types[name] = self.types[source[0]]
        return [copy, real]

    def unary(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return self.contributed(node, UNARY[node.op_type], [0])

    def pool(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return self.contributed(node, POOLS[node.op_type], [0])

    def binary(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return self.contributed(node, BINARY[node.op_type], [0, 1])

    def softmax(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return self.contributed(node, "QLinearSoftmax", [0], opset=13)

    def contributed(
        self, node: onnx.NodeProto, op: str, positions: list[int], **attributes: Any
    ) -> list[onnx.NodeProto]:
        """An operator of ``com.microsoft`` on integers."""
        found = self.around(node, positions)
        if found is None:
            return []
        sources, result = found
        scale, name = self.take(node.output[0], result)
        inputs = [name for source in sources for name in source] + scale
        return [_node(op, inputs, name, node, DOMAIN, **attributes)]

    def concat(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        found = self.around(node, range(len(node.input)))
        if found is None:
            return []
        sources, result = found
        scale, name = self.take(node.output[0], result)
        inputs = [*scale, *(name for source in sources for name in source)]
        return [_node("QLinearConcat", inputs, name, node, DOMAIN)]


def _node(
    op: str, inputs: list[str], output: str, like: onnx.NodeProto, domain: str = "", **more: Any
) -> onnx.NodeProto:
    """A node with the name and the attributes of another one."""
    made = helper.make_node(op, inputs, [output], like.name, domain=domain, **more)
    made.attribute.extend(like.attribute)
    return made


def _alive(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes without those dequantisers whose result nobody reads any more."""
    read = {name for node in nodes for name in (*node.input, *captured(node))} | outputs
    return [node for node in nodes if node.op_type != DEQUANTIZE or node.output[0] in read]
