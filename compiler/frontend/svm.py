"""Support vector machines of ``ai.onnx.ml``: products with the support vectors, and of what the kernel makes of them.

op ai.onnx.ml.SVMRegressor (x) -> (y)      y = Gemm(kernel(x, s), w, rho)
op ai.onnx.ml.SVMClassifier (x) -> (l, p)  t = Gemm(kernel(x, s), w, rho);  l, p = SVMClassifier(t)

kernel LINEAR   Gemm(x, s)
kernel POLY     Pow(Gemm(gamma * x, s, coef0), degree)
kernel SIGMOID  Tanh(Gemm(gamma * x, s, coef0))
kernel RBF      Exp(-gamma * |x - s|^2)

The classifier that is left has the sums of all pairs of classes, and decides: votes, probabilities, labels. Its support
vectors are the rows of the identity, one for each sum.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from effc.compiler.frontend.classical import DOMAIN, inputs
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Array

Rows = npt.NDArray[np.float64]

EXPANDED = 16.0
"""``|x - s|^2`` is ``|x|^2 - 2xs + |s|^2`` where gamma times the largest ``|s|^2``, around their mean, is no more: what
rounding then adds to the exponent is some 1e-6 of it, and further away from the support vectors the kernel vanishes.
"""


def svm_regressor(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A weighted sum of what the kernel gives for each support vector; of one class, its sign."""
    write, x, shape = inputs(node, fresh)
    if node.attributes.get("post_transform", b"NONE") != b"NONE":
        raise NotANest("a transformation of the sum")
    weights = _numbers(node, "coefficients")
    count = int(node.attributes.get("n_supports", 0))
    values = _kernels(node, write, x, shape, count) if count else x
    if weights.size != (count or shape[-1]):
        raise NotANest(f"{weights.size} coefficients for {count or shape[-1]} values")
    one_class, output = bool(node.attributes.get("one_class", 0)), node.proto.output[0]
    column = write.constant(weights.reshape(-1, 1), "coefficients")
    rho = write.constant(_numbers(node, "rho")[:1], "rho")
    total = write("Gemm", values, column, rho, hint="sums", output="" if one_class else output)
    if one_class:
        positive = write("Greater", total, write.scalar(0.0))
        write("Where", positive, write.scalar(1.0), write.scalar(-1.0), output=output)
    return write.nodes


def svm_classifier(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The sums that decide between each pair of classes; a classifier of these decides."""
    write, x, shape = inputs(node, fresh)
    per_class = [int(count) for count in node.attributes.get("vectors_per_class", ())]
    pairs, vectors = list(combinations(range(len(per_class)), 2)), _numbers(node, "support_vectors")
    if _kernel(node)[0] == "LINEAR" and np.array_equal(vectors, np.eye(len(pairs)).ravel()):
        raise NotANest("votes, probabilities and labels of sums that are given")
    weights, rho = _numbers(node, "coefficients"), _numbers(node, "rho")
    if not pairs or weights.size != (len(per_class) - 1) * sum(per_class) or rho.size != len(pairs):
        raise NotANest(f"{weights.size} coefficients for {len(pairs)} pairs of classes")
    values = _kernels(node, write, x, shape, sum(per_class))
    sign = 1.0 if np.all(weights >= 0) else -1.0  # of two classes, it decides which threshold is taken
    matrix = sign * _of_pairs(weights.reshape(len(per_class) - 1, -1), per_class, pairs)
    names = [write.constant(value.astype(np.float32), "coefficients") for value in (matrix, sign * rho)]
    sums = write("Gemm", values, *names, hint="sums")
    _decide(node, sums, pairs, sign, write)
    return write.nodes


def _of_pairs(weights: Array, per_class: list[int], pairs: list[tuple[int, int]]) -> Array:
    """The weight of every support vector in the sum of each pair. A row has those of each class with another one."""
    ends = np.cumsum(per_class)
    matrix = np.zeros((weights.shape[1], len(pairs)))
    for column, (i, j) in enumerate(pairs):
        for own, other in ((i, j - 1), (j, i)):
            rows = slice(ends[own] - per_class[own], ends[own])
            matrix[rows, column] = weights[other, rows]
    return matrix


def _decide(node: Node, sums: str, pairs: list[tuple[int, int]], sign: float, write: Writer) -> None:
    """The classifier of ``sign`` times the sums: each is a support vector of the first class of its pair."""
    classes = 1 + max(j for _, j in pairs)
    weights = np.zeros((classes - 1, len(pairs)))
    for column, (_, j) in enumerate(pairs):
        weights[j - 1, column] = sign
    given: dict[str, Any] = {
        "kernel_type": "LINEAR",
        "kernel_params": [0.0, 0.0, 0.0],
        "support_vectors": np.eye(len(pairs)).ravel().tolist(),
        "vectors_per_class": list(range(classes - 1, -1, -1)),
        "coefficients": weights.ravel().tolist(),
        "rho": [0.0] * len(pairs),
    }
    proto = onnx.helper.make_node("SVMClassifier", [sums], node.proto.output, node.name, domain=DOMAIN, **given)
    proto.attribute.extend(attribute for attribute in node.proto.attribute if attribute.name not in given)
    write.nodes.append(proto)


def _kernels(node: Node, write: Writer, x: str, shape: tuple[int, ...], count: int) -> str:
    """The kernel of each row of ``x`` with each of the ``count`` support vectors."""
    words = _numbers(node, "support_vectors")
    if len(shape) != 2 or words.size != count * shape[1]:
        raise NotANest(f"{words.size} words of {count} support vectors for inputs of the shape {list(shape)}")
    vectors: Rows = words.reshape(count, -1).astype(np.float64)
    kind, (gamma, addend, degree) = _kernel(node)
    if kind == "RBF":
        return _gaussian(write, x, vectors, gamma)
    if kind == "LINEAR":
        return write("Gemm", x, _float32(write, vectors), transB=1, hint="products")
    if kind not in ("POLY", "SIGMOID"):
        raise NotANest(f"the kernel {kind}")
    products = write(
        "Gemm", x, _float32(write, gamma * vectors), write.constant(np.array([addend], np.float32)), transB=1
    )
    return write("Tanh", products) if kind == "SIGMOID" else write("Pow", products, write.scalar(degree))


def _gaussian(write: Writer, x: str, vectors: Rows, gamma: float) -> str:
    """``exp(-gamma * |x - s|^2)``."""
    middle = vectors.mean(axis=0).astype(np.float32)
    around = vectors - middle
    lengths = gamma * np.sum(around**2, axis=1)
    if lengths.max() > EXPANDED:
        apart = write("Sub", write("Unsqueeze", x, write.integers(1)), _float32(write, vectors))
        square = write("Einsum", apart, apart, equation="nsf,nsf->ns")
        return write("Exp", write("Mul", square, write.scalar(-gamma)))
    centred = write("Sub", x, write.constant(middle, "middle"))
    products = write("Gemm", centred, _float32(write, 2 * gamma * around), _float32(write, -lengths), transB=1)
    squares = write("ReduceSum", write("Mul", centred, centred), write.integers(1), keepdims=1)
    length = write("Mul", squares, write.scalar(gamma))
    return write("Exp", write("Min", write("Sub", products, length), write.scalar(0.0)))


def _kernel(node: Node) -> tuple[str, list[float]]:
    """The kind of the kernel, and its gamma, coef0 and degree."""
    return node.attributes.get("kernel_type", b"LINEAR").decode(), [*node.attributes.get("kernel_params", ()), 0, 0, 0][
        :3
    ]


def _float32(write: Writer, values: Rows) -> str:
    return write.constant(values.astype(np.float32))


def _numbers(node: Node, name: str) -> npt.NDArray[np.float32]:
    return np.array(node.attributes.get(name, ()), np.float32)
