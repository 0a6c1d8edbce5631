"""Quantisers of QONNX, of 1 to 8 bits, as those of ONNX: integers, and what they stand for.

    y = Quant(x, s, z, 4)           -->     q = Clip(QuantizeLinear(x, s, z), -8, 7)
                                            y = DequantizeLinear(q, s, z)

Integers of fewer than 8 bits are kept in bytes; their tensors say how many bits they have. A constant is quantised
while compiling. Trunc, which drops the lowest bits of a sum, becomes a Quant with a coarser scale that rounds down.
(Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks", 2022; the domain
``qonnx.custom_op.general``.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from effc.compiler.errors import InputError
from effc.compiler.frontend.subgraphs import Fresh
from effc.ir.graph import Array
from effc.ir.types import limits, narrow, storage

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")

ROUNDING = {"ROUND": np.rint, "ROUND_TO_ZERO": np.trunc, "CEIL": np.ceil, "FLOOR": np.floor, "HALF_EVEN": np.rint}


def quantised(
    nodes: Iterable[onnx.NodeProto], known: Mapping[str, Array], fresh: Fresh
) -> tuple[list[onnx.NodeProto], dict[str, str]]:
    """The nodes without QONNX's operators, and the types of integers of fewer than 8 bits by the names of tensors."""
    given = list(nodes)
    if not any(node.domain in DOMAINS for node in given):
        return given, {}
    found: list[onnx.NodeProto] = []
    types: dict[str, str] = {}
    for node in given:
        if node.domain not in DOMAINS:
            found.append(node)
            continue
        quantiser = _Quantiser(node, known, fresh, types)
        found += quantiser.nodes()
    return found, types


class _Quantiser:
    """One node of QONNX."""

    def __init__(self, node: onnx.NodeProto, known: Mapping[str, Array], fresh: Fresh, types: dict[str, str]) -> None:
        self.node, self.known, self.fresh, self.types = node, known, fresh, types
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.extra: list[onnx.NodeProto] = []

    def nodes(self) -> list[onnx.NodeProto]:
        """What takes its place."""
        if self.node.op_type == "BipolarQuant":
            return self.bipolar()
        if self.node.op_type == "Quant":
            return self.quant()
        if self.node.op_type == "Trunc":
            return self.trunc()
        raise self.error(f"the operator {self.node.op_type}", "Quant, BipolarQuant or Trunc")

    def value(self, position: int, what: str) -> Array:
        """A parameter, which has to be known."""
        value = self.known.get(self.node.input[position])
        if value is None:
            raise self.error(f"{what} is only known at run time", "a constant")
        return np.asarray(value, np.float32)

    def error(self, message: str, expected: str) -> InputError:
        return InputError(message, f"{self.node.op_type} '{self.node.name}'", expected)

    def quant(self) -> list[onnx.NodeProto]:
        scale, zero, bits = (self.value(i, what) for i, what in enumerate(("the scale", "zeropt", "bitwidth"), 1))
        width = int(bits.reshape(-1)[0])
        if bits.size != 1 or width != bits.reshape(-1)[0] or not 1 <= width <= 8:
            raise self.error(f"a bit width of {bits.reshape(-1)[0]:g}", "one of 1 to 8")
        signed = bool(self.attributes.get("signed", 1))
        low, high = limits(narrow(width, signed)) if width > 1 or not signed else (-1, 0)
        if self.attributes.get("narrow", 0):
            low, high = (low + 1, high) if signed else (low, high - 1)
        return self.integers(scale, zero, width, signed, (low, high), self.rounding("ROUND"))

    def bipolar(self) -> list[onnx.NodeProto]:
        """-1 below zero, else 1, times the scale."""
        scale, x = self.value(1, "the scale"), self.known.get(self.node.input[0])
        if x is not None:
            return self.constant(np.where(x >= 0, 1, -1).astype(np.int8), "signed1", scale, np.zeros(1, np.float32))
        point = self.fixed(np.zeros((), np.float32))
        positive, sign = (self.fresh(f"{self.node.output[0]}/{part}") for part in ("positive", "sign"))
        plus, minus = (self.fixed(np.array(number, np.int8)) for number in (1, -1))
        self.types[sign] = "signed1"
        real = self.real(sign, scale, np.zeros(1, np.float32), np.dtype(np.int8))
        return [
            *self.extra,
            helper.make_node("GreaterOrEqual", [self.node.input[0], point], [positive]),
            helper.make_node("Where", [positive, plus, minus], [sign], self.node.name),
            real,
        ]

    def trunc(self) -> list[onnx.NodeProto]:
        """The lowest ``in - out`` bits of ``x / scale`` dropped."""
        scale, zero, wide, bits = (self.value(i, "a parameter") for i in range(1, 5))
        coarse = scale * np.float32(2.0 ** (wide.reshape(-1)[0] - bits.reshape(-1)[0]))
        signed, width = bool(self.attributes.get("signed", 1)), int(bits.reshape(-1)[0])
        if not 2 <= width <= 8:
            raise self.error(f"{width} bits", "2 to 8")
        span = limits(narrow(width, signed))
        return self.integers(coarse, zero, width, signed, span, self.rounding("FLOOR"))

    def rounding(self, default: str) -> str:
        mode = self.attributes.get("rounding_mode", default.encode()).decode().upper()
        if mode not in ROUNDING:
            raise self.error(f"the rounding mode {mode}", ", ".join(ROUNDING))
        return str(mode)

    def integers(
        self, scale: Array, zero: Array, width: int, signed: bool, span: tuple[int, int], rounding: str
    ) -> list[onnx.NodeProto]:
        """Quantised to integers within a span, and what these stand for."""
        dtype, kind = narrow(width, signed), storage(narrow(width, signed))
        x = self.known.get(self.node.input[0])
        if x is not None:
            rounded = ROUNDING[rounding](np.asarray(x, np.float32) / scale + zero)
            return self.constant(np.clip(rounded, *span).astype(kind), dtype, scale, zero)
        if zero.size != 1 or int(zero.reshape(-1)[0]) != zero.reshape(-1)[0]:
            raise self.error("a zero point that is no whole number", "a whole number for all")
        if ROUNDING[rounding] is not np.rint:
            return self.rounded(scale, zero, dtype, span, rounding)
        axis, row = self.row(scale)
        point = self.fixed(np.broadcast_to(zero.astype(kind).reshape(()), row.shape).copy())
        byte = self.fresh(f"{self.node.output[0]}/integers")
        inputs = [self.node.input[0], self.fixed(row), point]
        steps = [helper.make_node("QuantizeLinear", inputs, [byte], self.node.name, axis=axis)]
        if span != (np.iinfo(kind).min, np.iinfo(kind).max):
            clipped = self.fresh(f"{self.node.output[0]}/clipped")
            bounds = [self.fixed(np.array(bound, kind)) for bound in span]
            steps.append(helper.make_node("Clip", [byte, *bounds], [clipped], f"{self.node.name}_clip"))
            byte = clipped
            self.types[byte] = dtype
        real = self.real(byte, scale, zero, kind)
        return [*self.extra, *steps, real]

    def rounded(
        self, scale: Array, zero: Array, dtype: str, span: tuple[int, int], rounding: str
    ) -> list[onnx.NodeProto]:
        """Quantised step by step, rounded in another way than to the nearest."""
        if rounding not in ("FLOOR", "CEIL"):
            raise self.error(f"{rounding} of activations", "ROUND, FLOOR or CEIL")
        steps: list[onnx.NodeProto] = []

        def step(op: str, *inputs: str, **attributes: Any) -> str:
            output = self.fresh(f"{self.node.output[0]}/{op.lower()}")
            steps.append(helper.make_node(op, inputs, [output], **attributes))
            return output

        shifted = step("Add", step("Div", self.node.input[0], self.fixed(scale)), self.fixed(zero.reshape(())))
        bounds = [self.fixed(np.array(bound, np.float32)) for bound in span]
        clipped = step("Clip", step(rounding.capitalize(), shifted), *bounds)
        kind = storage(dtype)
        byte = step("Cast", clipped, to=helper.np_dtype_to_tensor_dtype(kind))
        if dtype != str(kind):
            self.types[byte] = dtype
        real = self.real(byte, scale, zero, kind)
        return [*self.extra, *steps, real]

    def constant(self, values: Array, dtype: str, scale: Array, zero: Array) -> list[onnx.NodeProto]:
        """A constant of integers, and what it stands for."""
        name = self.fixed(values)
        if dtype != str(values.dtype):
            self.types[name] = dtype
        real = self.real(name, scale, zero, values.dtype)
        return [*self.extra, real]

    def real(self, integers: str, scale: Array, zero: Array, kind: np.dtype[Any]) -> onnx.NodeProto:
        axis, row = self.row(scale)
        points = np.broadcast_to(zero.reshape(-1)[0].astype(kind), row.shape).copy()
        inputs = [integers, self.fixed(row), self.fixed(points)]
        return helper.make_node("DequantizeLinear", inputs, [self.node.output[0]], f"{self.node.name}_real", axis=axis)

    def row(self, scale: Array) -> tuple[int, Array]:
        """A scale for all, or along the one axis that it has."""
        if scale.size == 1:
            return 0, scale.reshape(())
        axes = [axis for axis, size in enumerate(scale.shape) if size > 1]
        if len(axes) != 1:
            raise self.error(f"a scale of the shape {list(scale.shape)}", "one for all, or along one axis")
        return axes[0], scale.reshape(-1)

    def fixed(self, value: Array) -> str:
        name = self.fresh(f"{self.node.output[0]}/constant")
        self.extra.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
        return name


def constants(nodes: Iterable[onnx.NodeProto]) -> Iterator[tuple[str, Array]]:
    """The values of nodes that are constants."""
    for node in nodes:
        if node.op_type == "Constant" and not node.domain and node.attribute and node.attribute[0].name == "value":
            yield node.output[0], np.asarray(numpy_helper.to_array(node.attribute[0].t))
