"""Models in 8 bits by onnxruntime's quantiser: `resnet18_qdq`, `resnet18_qop` and so on.

Weights and activations are int8: weights symmetric, one scale for each filter of a convolution and one for each matrix;
activations with a zero point, their ranges those of a few random inputs from a seed. `qdq`: QuantizeLinear and
DequantizeLinear around the operators; `qop`: QLinearConv and the like in their place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

SEED = 1
CALIBRATION = 4
"""Inputs that the ranges of activations are taken from."""

FORMS = ("qdq", "qop")


def quantised(
    model: onnx.ModelProto, form: str, inputs: Iterator[dict[str, Any]] | None = None, unsigned: bool = False
) -> onnx.ModelProto:
    """A model of float32 in 8 bits. ``inputs``: what to calibrate with; random ones if none are given.

    ``unsigned``: uint8 in the place of int8, weights with zero points, too.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.data = inputs or random_inputs(model)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.data, None)

    bytes_of = QuantType.QUInt8 if unsigned else QuantType.QInt8
    logging.getLogger().setLevel(logging.ERROR)
    with TemporaryDirectory() as folder:
        source, prepared, result = (str(Path(folder, f"{name}.onnx")) for name in ("source", "prepared", "result"))
        onnx.save(model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            Reader(),
            quant_format=QuantFormat.QDQ if form == "qdq" else QuantFormat.QOperator,
            activation_type=bytes_of,
            weight_type=bytes_of,
            per_channel=True,
            extra_options={"WeightSymmetric": not unsigned, "ActivationSymmetric": False},
        )
        return onnx.load(result)


def random_inputs(model: onnx.ModelProto) -> Iterator[dict[str, Any]]:
    """Inputs for calibration: images from a normal distribution, tokens from a uniform one, all attended to."""
    rng = np.random.default_rng(SEED)
    for _ in range(CALIBRATION):
        yield {value.name: _value(value, rng) for value in model.graph.input}


def _value(given: onnx.ValueInfoProto, rng: np.random.Generator) -> Any:
    kind = given.type.tensor_type
    shape = [dim.dim_value or 1 for dim in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if "mask" in given.name:
        return np.ones(shape, dtype)
    return rng.integers(0, 2 if "type" in given.name else 1000, shape).astype(dtype)
