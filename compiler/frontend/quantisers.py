"""What stands in front of an operator and behind it: the quantisers of its inputs and of its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from effc.compiler.frontend.qonnx import constants
from effc.compiler.frontend.subgraphs import Fresh, captured
from effc.ir.graph import Array

TYPES = ("int8", "uint8")
"""Types of integers that ONNX and onnxruntime have operators of products for."""

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class Quantisers:
    """Who writes and who reads each tensor; ``gone`` are nodes whose work another one does."""

    def __init__(
        self,
        nodes: list[onnx.NodeProto],
        known: Mapping[str, Array],
        outputs: set[str],
        fresh: Fresh,
        types: dict[str, str],
    ) -> None:
        self.nodes, self.outputs, self.fresh, self.types = nodes, outputs, fresh, types
        self.known = {**known, **dict(constants(nodes))}
        self.writer = {name: node for node in nodes for name in node.output if name}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in nodes:
            for name in (*node.input, *captured(node)):
                self.readers.setdefault(name, []).append(node)
        self.gone: set[int] = set()
        self.extra: list[onnx.NodeProto] = []  # constants for the nodes that are being written

    def source(self, name: str, types: Iterable[str] = TYPES) -> list[str] | None:
        """The integers, scale and zero point that a tensor is dequantised from."""
        node = self.writer.get(name)
        if node is None or node.op_type != DEQUANTIZE or node.domain or attributes_of(node).get("block_size", 0):
            return None
        zero = node.input[2] if len(node.input) > 2 else ""
        dtype = self.dtype(node)
        return [*node.input[:2], zero] if dtype in types and self.scale(node.input[1]) is not None else None

    def dtype(self, node: onnx.NodeProto) -> str:
        """The type of integers of a QuantizeLinear or a DequantizeLinear, as far as its inputs say."""
        for name in node.input[2:3] if node.op_type == QUANTIZE else [node.input[0], *node.input[2:3]]:
            if name in self.known:
                return self.known[name].dtype.name
        return "uint8" if node.op_type == QUANTIZE else ""

    def scale(self, name: str) -> Array | None:
        value = self.known.get(name)
        return value if value is not None and value.dtype == np.float32 and value.ndim <= 1 else None

    def axis(self, name: str) -> int | None:
        """Along which axis a dequantised tensor has several scales; None if it has one."""
        node = self.writer[name]
        scale = self.scale(node.input[1])
        return None if scale is None or scale.size == 1 else int(attributes_of(node).get("axis", 1))

    def result(self, name: str) -> onnx.NodeProto | None:
        """The QuantizeLinear that alone reads a tensor, behind a Relu that its saturation does, too."""
        readers = self.readers.get(name, [])
        if len(readers) != 1 or name in self.outputs:
            return None
        (node,) = readers
        if node.op_type == "Relu" and not node.domain:
            behind = self.result(node.output[0])
            if behind is None or not self.starts_at_zero(behind):
                return None
            return behind
        scale = self.scale(node.input[1]) if node.op_type == QUANTIZE and not node.domain else None
        return node if scale is not None and scale.size == 1 and self.dtype(node) in TYPES else None

    def starts_at_zero(self, node: onnx.NodeProto) -> bool:
        """Whether the least value of a quantised tensor stands for zero."""
        dtype = self.dtype(node)
        value = self.known.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1)
        return value is not None and dtype in np.sctypeDict and int(value.reshape(-1)[0]) == int(np.iinfo(dtype).min)

    def take(self, name: str, result: onnx.NodeProto) -> tuple[list[str], str]:
        """Scale and zero point of a result, and its name; what stands before it is done with it."""
        while (reader := self.readers[name][0]) is not result:
            self.gone.add(id(reader))
            name = reader.output[0]
        self.gone.add(id(result))
        zero = result.input[2] if len(result.input) > 2 else ""
        return [result.input[1], zero or self.point(result)], result.output[0]

    def point(self, node: onnx.NodeProto) -> str:
        """A zero point of zero, of a node that has none."""
        return self.constant(np.zeros((), np.dtype(self.dtype(node))))

    def constant(self, value: Array) -> str:
        name = self.fresh("quantised/constant")
        self.extra.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
        self.known[name] = value
        return name

    def complete(self, *operands: list[str]) -> None:
        """Give operands without a zero point one of zero."""
        for operand in operands:
            if not operand[2]:
                node = next(n for n in self.nodes if n.op_type == DEQUANTIZE and n.input[0] == operand[0])
                operand[2] = self.constant(
                    np.zeros((), self.known.get(operand[0], np.zeros(1, self.dtype(node))).dtype)
                )


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
