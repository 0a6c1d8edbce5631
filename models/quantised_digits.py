"""The digits network with weights and activations of 8, 4, 2 or 1 bits, in QONNX: `digits_4bit` and so on.

`digits_quantised.npz` holds what `train_quantised_digits.py` found. Images have 8 bits in all of them, sums of products
are turned into floating point before the bias is added, and the result is not quantised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PARAMETERS = Path(__file__).resolve().parent / "digits_quantised.npz"
BITS = (8, 4, 2, 1)
DOMAIN = "qonnx.custom_op.general"
LEVELS = 16
"""Of the images, between 0 and 1."""


class _Writer:
    def __init__(self, bits: int) -> None:
        with np.load(PARAMETERS, allow_pickle=False) as file:
            suffix = f".{bits}"
            self.values = {name.removesuffix(suffix): file[name] for name in file.files if name.endswith(suffix)}
        self.bits = bits
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Any] = {"zero": np.float32(0)}

    def constant(self, name: str, value: Any) -> str:
        self.constants[name] = np.asarray(value, np.float32)
        return name

    def node(self, op: str, name: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, domain=domain, **attributes))
        return name

    def quant(self, name: str, x: str, scale: Any, bits: int, signed: bool) -> str:
        step, width = self.constant(f"{name}.scale", scale), self.constant(f"{name}.bits", bits)
        kinds = {"signed": int(signed), "narrow": int(signed), "rounding_mode": "ROUND"}
        return self.node("Quant", name, x, step, "zero", width, domain=DOMAIN, **kinds)

    def weights(self, layer: str, transposed: bool = False) -> str:
        value, scale = self.values[f"{layer}.weight"].astype(np.float32), self.values[f"{layer}.scale"]
        real = self.constant(f"{layer}.weight", (value.T if transposed else value) * scale)
        if self.bits == 1:
            step = self.constant(f"{layer}.weight_scale", scale)
            return self.node("BipolarQuant", f"{layer}.weights", real, step, domain=DOMAIN)
        return self.quant(f"{layer}.weights", real, scale, self.bits, signed=True)

    def conv(self, layer: str, x: str) -> str:
        bias = self.constant(f"{layer}.bias", self.values[f"{layer}.bias"])
        return self.node("Conv", layer, x, self.weights(layer), bias, pads=[1, 1, 1, 1], kernel_shape=[3, 3])


def quantised_digits(bits: int) -> onnx.ModelProto:
    """The network of so many bits."""
    net = _Writer(bits)
    x = net.quant("image", "input", 1 / LEVELS, 8, signed=False)
    for number in (1, 2):
        real = net.node("Relu", f"relu{number}", net.conv(f"conv{number}", x))
        few = net.quant(f"quant{number}", real, net.values[f"conv{number}.step"], bits, signed=False)
        x = net.node("MaxPool", f"pool{number}", few, kernel_shape=[2, 2], strides=[2, 2])
    scores = net.node("MatMul", "fc", net.node("Flatten", "flatten", x), net.weights("fc", transposed=True))
    net.node("Add", "logits", scores, net.constant("fc.bias", net.values["fc.bias"]))
    known = [numpy_helper.from_array(np.asarray(value), name) for name, value in net.constants.items()]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])]
    graph = helper.make_graph(net.nodes, f"digits_{bits}bit", inputs, outputs, known)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return model
