"""A small builder of ONNX graphs from the layers that convolutional networks are made of.

The networks of this folder are benchmarks of structure: their weights are random, but drawn so that
activations keep their scale from the first layer to the last and outputs differ between inputs.  This is
He initialisation ("Delving Deep into Rectifiers", ICCV 2015) with centred filters and the gain that goes
with them (Brock, De, Smith, "Characterizing Signal Propagation to Close the Performance Gap in Unnormalized
ResNets", ICLR 2021).  Inputs are meant to have about zero mean and unit variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

OPSET = 17
IR_VERSION = 8
BATCH = "N"
SEED = 20150206
RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))  # what ReLU takes from the deviation of a unit Gaussian

Array = NDArray[np.float32]
Shape = tuple[int, ...]


class Builder:
    """Appends named layers to an ONNX graph; every method returns the name of the tensor it produces.

    With `weights=False` parameters become graph inputs of the right shape instead of initializers: the
    same graph without its data, for counting and shape inference.  With `trained`, parameters are taken
    from that mapping by name instead of being drawn.
    """

    def __init__(
        self, name: str, image: Shape, *, weights: bool = True, trained: Mapping[str, Array] | None = None
    ) -> None:
        self.model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="effc-models")
        self.model.opset_import.add(domain="", version=OPSET)
        self.graph = self.model.graph  # filled in place: large initializers are never copied
        self.graph.name = name
        self.graph.input.append(_tensor_info("input", (BATCH, *image)))
        self.shapes: dict[str, Shape] = {"input": image}  # of each tensor, without the batch dimension
        self.input = "input"
        self._weights = weights
        self._trained = trained
        self._rng = np.random.Generator(np.random.PCG64(SEED))

    def conv(
        self,
        name: str,
        x: str,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = True,
        gain: float = 1.0,
    ) -> str:
        """2-D convolution with square kernels; `gain` multiplies the scale of its weights."""
        channels, *image = self.shapes[x]
        inputs = [x, self._filters(f"{name}.weight", (filters, channels // groups, kernel, kernel), gain)]
        if bias:
            inputs.append(self._normal(f"{name}.bias", filters, 0.1 * gain))
        shape = (filters, *_windows(image, kernel, stride, pad))
        return self._node(
            "Conv", name, inputs, shape, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=groups
        )

    def batch_norm(self, name: str, x: str, scale: float = 1.0) -> str:
        """Inference batch normalisation with a scale around `scale` and statistics away from 0 and 1."""
        channels = self.shapes[x][0]
        inputs = [
            x,
            self._uniform(f"{name}.weight", channels, 0.7 * scale, 1.2 * scale),
            self._normal(f"{name}.bias", channels, 0.2 * scale),
            self._normal(f"{name}.running_mean", channels, 0.2),
            self._uniform(f"{name}.running_var", channels, 0.5, 1.5),
        ]
        return self._node("BatchNormalization", name, inputs, self.shapes[x], epsilon=1e-5)

    def relu(self, name: str, x: str) -> str:
        """Rectified linear unit."""
        return self._node("Relu", name, [x], self.shapes[x])

    def relu6(self, name: str, x: str) -> str:
        """Rectified linear unit saturating at 6, as a Clip."""
        bounds = [self._scalar("relu6.min", 0.0), self._scalar("relu6.max", 6.0)]
        return self._node("Clip", name, [x, *bounds], self.shapes[x])

    def max_pool(self, name: str, x: str, kernel: int, stride: int, pad: int = 0) -> str:
        """Max pooling over square windows."""
        channels, *image = self.shapes[x]
        shape = (channels, *_windows(image, kernel, stride, pad))
        return self._node("MaxPool", name, [x], shape, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def global_average_pool(self, name: str, x: str) -> str:
        """Mean over each channel's image."""
        return self._node("GlobalAveragePool", name, [x], (self.shapes[x][0], 1, 1))

    def lrn(self, name: str, x: str, size: int, alpha: float, beta: float, bias: float) -> str:
        """Local response normalisation across `size` neighbouring channels."""
        return self._node("LRN", name, [x], self.shapes[x], size=size, alpha=alpha, beta=beta, bias=bias)

    def add(self, name: str, x: str, y: str) -> str:
        """Element-wise sum: the join of a residual block."""
        return self._node("Add", name, [x, y], self.shapes[x])

    def concat(self, name: str, tensors: Sequence[str]) -> str:
        """Concatenation along the channels."""
        channels = sum(self.shapes[x][0] for x in tensors)
        return self._node("Concat", name, tensors, (channels, *self.shapes[tensors[0]][1:]), axis=1)

    def flatten(self, name: str, x: str) -> str:
        """All features of a sample in one row."""
        return self._node("Flatten", name, [x], (math.prod(self.shapes[x]),), axis=1)

    def linear(self, name: str, x: str, features: int, gain: float = 1.0) -> str:
        """Fully connected layer, its weights stored [outputs, inputs]."""
        weight = self._filters(f"{name}.weight", (features, *self.shapes[x]), gain)
        bias = self._normal(f"{name}.bias", features, 0.1 * gain)
        return self._node("Gemm", name, [x, weight, bias], (features,), transB=1)

    def softmax(self, name: str, x: str) -> str:
        """Class probabilities."""
        return self._node("Softmax", name, [x], self.shapes[x], axis=1)

    def finish(self, x: str) -> onnx.ModelProto:
        """The finished model; `x`, the last layer's tensor, becomes its output."""
        last = self.graph.node[-1]
        if last.output[0] != x:
            raise ValueError(f"{x} is not the output of the last layer, {last.name}")
        last.output[0] = "output"
        self.graph.output.append(_tensor_info("output", (BATCH, *self.shapes[x])))
        return self.model

    def _node(self, op: str, name: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
        self.graph.node.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.shapes[name] = shape
        return name

    def _filters(self, name: str, shape: Shape, gain: float) -> str:
        """Gaussian filters [filters, ...] of zero mean: they pass what differs between inputs, not the
        constant that ReLU adds, so that depth does not make all outputs alike."""
        axes = tuple(range(1, len(shape)))
        deviation = np.float32(gain * RELU_GAIN / math.sqrt(math.prod(shape[1:])))

        def draw() -> Array:
            value = self._rng.standard_normal(shape, np.float32)
            value -= value.mean(axis=axes, keepdims=True)
            value *= deviation
            return value

        return self._parameter(name, shape, draw)

    def _normal(self, name: str, size: int, deviation: float) -> str:
        return self._parameter(
            name, (size,), lambda: self._rng.standard_normal(size, np.float32) * np.float32(deviation)
        )

    def _uniform(self, name: str, size: int, low: float, high: float) -> str:
        return self._parameter(name, (size,), lambda: self._rng.uniform(low, high, size).astype(np.float32))

    def _scalar(self, name: str, value: float) -> str:
        if all(tensor.name != name for tensor in self.graph.initializer):
            self._initializer(name, np.asarray(value, np.float32))
        return name

    def _parameter(self, name: str, shape: Shape, draw: Callable[[], Array]) -> str:
        if not self._weights:
            self.graph.input.append(_tensor_info(name, shape))
            return name
        value = draw() if self._trained is None else self._trained[name]
        if value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape}, not {shape}")
        self._initializer(name, value)
        return name

    def _initializer(self, name: str, value: Array) -> None:
        tensor = self.graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=value.shape)
        tensor.raw_data = value.astype("<f4", copy=False).tobytes()


def _windows(image: Sequence[int], kernel: int, stride: int, pad: int) -> list[int]:
    """Positions of a sliding window along each axis of an image."""
    return [(size + 2 * pad - kernel) // stride + 1 for size in image]


def _tensor_info(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
