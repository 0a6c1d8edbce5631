"""A writer of ONNX graphs of any kind, with parameters drawn from a seed.

Where `layers.py` knows the shapes of images, this one only writes nodes: the shapes of sequences are left to ONNX.
Parameters are scaled so that activations neither vanish nor explode: a product keeps the deviation of its input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

IR_VERSION = 8
OPSET = 17
SEED = 20170612

Shape = Sequence[int | str]


class Network:
    """Appends nodes to a graph; methods return the name of the tensor that they produce, which is that of the node."""

    def __init__(self, name: str) -> None:
        self.model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="effc-models")
        self.model.opset_import.add(domain="", version=OPSET)
        self.graph = self.model.graph  # filled in place: large initializers are never copied
        self.graph.name = name
        self._rng = np.random.Generator(np.random.PCG64(SEED))
        self._constants: dict[bytes, str] = {}

    def input(self, name: str, shape: Shape, element: int = TensorProto.FLOAT) -> str:
        """An input; dims that are text are symbolic."""
        self.graph.input.append(helper.make_tensor_value_info(name, element, list(shape)))
        return name

    def output(self, tensor: str, name: str, shape: Shape) -> None:
        """Makes a tensor an output of the graph under a name of its own."""
        self.graph.node.append(helper.make_node("Identity", [tensor], [name], name=f"{name}.identity"))
        self.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def __call__(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        """A node of one output."""
        return self.many(op, name, [name], *inputs, **attributes)[0]

    def many(self, op: str, name: str, outputs: list[str], *inputs: str, **attributes: Any) -> list[str]:
        """A node of several outputs."""
        self.graph.node.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        return outputs

    def weight(self, name: str, shape: Sequence[int], fan_in: int, gain: float = 1.0) -> str:
        """Gaussian weights for sums of `fan_in` products."""
        return self.parameter(name, self._rng.standard_normal(shape, np.float32) * np.float32(gain / math.sqrt(fan_in)))

    def vector(self, name: str, size: int, mean: float = 0.0, deviation: float = 0.1) -> str:
        """Biases, or scales around `mean`."""
        value = mean + deviation * self._rng.standard_normal(size, np.float32)
        return self.parameter(name, value.astype(np.float32))

    def parameter(self, name: str, value: Any) -> str:
        """An initializer with this value."""
        element = helper.np_dtype_to_tensor_dtype(value.dtype)
        tensor = self.graph.initializer.add(name=name, data_type=element, dims=value.shape)
        tensor.raw_data = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        return name

    def integers(self, *values: int) -> str:
        """A list of integers: a shape, axes."""
        return self._constant(np.array(values, np.int64))

    def integer(self, value: int) -> str:
        """An integer without axes: an index."""
        return self._constant(np.array(value, np.int64))

    def number(self, value: float) -> str:
        """A number without axes."""
        return self._constant(np.array(value, np.float32))

    def linear(self, name: str, x: str, inputs: int, outputs: int, bias: bool = True, gain: float = 1.0) -> str:
        """A product with weights [inputs, outputs] along the last axis, as a MatMul and an Add."""
        product = self(
            "MatMul",
            f"{name}.matmul" if bias else name,
            x,
            self.weight(f"{name}.weight", (inputs, outputs), inputs, gain),
        )
        return self("Add", name, product, self.vector(f"{name}.bias", outputs)) if bias else product

    def conv(
        self, name: str, x: str, inputs: int, outputs: int, taps: Sequence[int], *, groups: int = 1, **attributes: Any
    ) -> str:
        """A convolution of any number of spatial axes with a bias; "same" padding unless `pads` are given."""
        reach = [(tap - 1) * dilation for tap, dilation in zip(taps, attributes.get("dilations", [1] * len(taps)))]
        attributes.setdefault("pads", [r // 2 for r in reach] + [r - r // 2 for r in reach])
        shape = (outputs, inputs // groups, *taps)
        weight = self.weight(f"{name}.weight", shape, math.prod(shape[1:]), 1.4)
        return self("Conv", name, x, weight, self.vector(f"{name}.bias", outputs), group=groups, **attributes)

    def layer_norm(self, name: str, x: str, size: int) -> str:
        """Layer normalisation over the last axis."""
        scale, shift = self.vector(f"{name}.weight", size, 1.0), self.vector(f"{name}.bias", size)
        return self("LayerNormalization", name, x, scale, shift, axis=-1, epsilon=1e-5)

    def gelu(self, name: str, x: str) -> str:
        """x * Phi(x), as exporters write it without the operator."""
        half = self("Mul", f"{name}.half", x, self.number(0.5))
        erf = self("Erf", f"{name}.erf", self("Div", f"{name}.scaled", x, self.number(math.sqrt(2))))
        return self("Mul", name, half, self("Add", f"{name}.phi", erf, self.number(1.0)))

    def _constant(self, value: Any) -> str:
        key = value.dtype.str.encode() + repr(value.shape).encode() + value.tobytes()
        if key not in self._constants:
            self._constants[key] = self.parameter(f"constant{len(self._constants)}", value)
        return self._constants[key]
