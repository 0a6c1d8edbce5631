"""Operators of ``ai.onnx.ml`` that multiply or scale, as exporters of scikit-learn write them: taken apart.

op ai.onnx.ml.LinearRegressor (x) -> (y)      y = Gemm(x, w, b)
op ai.onnx.ml.LinearClassifier (x) -> (l, s)  s = Softmax(Gemm(x, w, b));  l = labels[ArgMax(Gemm(x, w, b))]
op ai.onnx.ml.Scaler (x) -> (y)               y = (x - offset) * scale
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer

DOMAIN = "ai.onnx.ml"

SAME_SHAPE = ("Binarizer", "Imputer", "LabelEncoder", "Normalizer", "Scaler")
"""Operators of the domain whose result has the shape of what they read, which ONNX does not infer."""

TRANSFORMS = {"SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}


def linear_regressor(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A product with known weights, and what makes of it probabilities perhaps."""
    write, x, shape = inputs(node, fresh)
    sums = _sums(node, write, x, shape, int(node.attributes.get("targets", 1)))
    _transformed(node, write, sums, node.proto.output[0])
    return write.nodes


def linear_classifier(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Scores as those of a regressor, and the label of the largest; of one score, a label for each of its signs."""
    write, x, shape = inputs(node, fresh)
    count = len(node.attributes.get("intercepts", ()))
    sums = _sums(node, write, x, shape, count)
    texts, numbers = node.attributes.get("classlabels_strings", ()), node.attributes.get("classlabels_ints", ())
    labels = np.array([text.decode() for text in texts], object) if texts else np.array(numbers, np.int64)
    if labels.size != max(count, 2):
        raise NotANest(f"{labels.size} labels for {count} scores")
    label, scores = [*node.proto.output, ""][:2]
    if count > 1:
        place = write("ArgMax", sums, axis=1, keepdims=0)
    else:
        signs = write("Greater", write("Squeeze", sums, write.integers(1)), write.scalar(0.0))
        place = write("Cast", signs, to=onnx.TensorProto.INT64)
    if label:
        write("Gather", write.constant(labels, "labels"), place, output=label)
    if scores and count > 1:
        _transformed(node, write, sums, scores)
    elif scores:
        _two_scores(node, write, sums, scores)
    return write.nodes


def scaler(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A difference and a product with a number for each column."""
    x, shape = node.operand(0)
    write = Writer(node, fresh)
    if write.dtype == "float64":
        raise NotANest("numbers of float64")
    factors = [np.array(node.attributes.get(name, ()), np.float32) for name in ("offset", "scale")]
    if any(values.size not in (1, shape[-1] if shape else 1) for values in factors):
        raise NotANest("numbers for other columns than there are")
    offset, scale = (write.constant(values, "column") for values in factors)
    write("Mul", write("Sub", x, offset), scale, output=node.proto.output[0])
    return write.nodes


def inputs(node: Node, fresh: Fresh) -> tuple[Writer, str, tuple[int, ...]]:
    """A writer, and the rows of inputs, made float32 as onnxruntime does; their shape."""
    tensor = node.input(0)
    if tensor is None or tensor.shape is None or 0 in tensor.shape:
        raise NotANest("a shape is only known at run time, or nothing to multiply")
    write = Writer(node, fresh, dtype="float32")
    plain = tensor.dtype == "float32"
    return write, tensor.name if plain else write("Cast", tensor.name, to=onnx.TensorProto.FLOAT), tensor.shape


def _sums(node: Node, write: Writer, x: str, shape: tuple[int, ...], rows: int) -> str:
    """The product with the weights, [batch, rows]."""
    weights = np.array(node.attributes.get("coefficients", ()), np.float32)
    biases = np.array(node.attributes.get("intercepts", ()), np.float32)
    if len(shape) != 2 or rows < 1 or weights.size != rows * shape[1] or biases.size not in (0, rows):
        raise NotANest(f"{weights.size} coefficients for {rows} results of the shape {list(shape)}")
    names = [write.constant(weights.reshape(rows, -1), "coefficients")]
    if biases.size:
        names.append(write.constant(biases, "intercepts"))
    return write("Gemm", x, *names, transB=1, hint="sums")


def _transform(node: Node) -> str:
    return str(node.attributes.get("post_transform", b"NONE").decode())


def _transformed(node: Node, write: Writer, sums: str, output: str) -> None:
    kind = _transform(node)
    if kind not in ("NONE", *TRANSFORMS):
        raise NotANest(f"the transformation {kind}")
    attributes: dict[str, Any] = {"axis": -1} if kind == "SOFTMAX" else {}
    write(TRANSFORMS.get(kind, "Identity"), sums, output=output, **attributes)


def _two_scores(node: Node, write: Writer, sums: str, output: str) -> None:
    """Of one sum the scores of both classes."""
    kind = _transform(node)
    if kind == "LOGISTIC":
        parts = [write("Sigmoid", write("Neg", sums)), write("Sigmoid", sums)]
    elif kind in ("NONE", "SOFTMAX"):
        parts = [write("Sub", write.scalar(1.0), sums), sums]
    else:
        raise NotANest(f"the transformation {kind}")
    write("Concat", *parts, output=output, axis=1)
