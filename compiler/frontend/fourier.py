"""Fourier transforms as products with sines and cosines, whose bounds a nest can have.

op DFT (x) -> (y)                y = MatMul(x, w)         w[n, k] = exp(-2 pi i n k / N), real and imaginary parts
op STFT (x, step, window) -> (y) y = Conv(x, w) strides   a filter for each part of each frequency

A product takes ``N`` multiplications for each word of its result where a fast transform takes ``log N``; it is what an
array of multipliers can do. Transforms of more points than ``LONGEST`` stay on the host.
"""

from __future__ import annotations

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Array

LONGEST = 2048
"""Points of a transform that becomes a product."""

AXIS_INPUT = 20
"""The operator set since which DFT has its axis as an input."""


def dft(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Along one axis of [..., 1] or, complex, [..., 2]."""
    x, shape = node.operand(0)
    rank, parts = len(shape), shape[-1]
    axis = _axis(node, rank)
    inverse, onesided = (bool(node.attributes.get(name, 0)) for name in ("inverse", "onesided"))
    to_real = inverse and onesided
    points = _number(node, 1, 2 * (shape[axis] - 1) if to_real else shape[axis])
    if parts not in (1, 2) or (onesided and (parts == 2) != inverse):
        raise NotANest("a transform of this form")
    _require_moderate(points)
    half = points // 2 + 1
    if to_real and shape[axis] != half:
        raise NotANest(f"{shape[axis]} frequencies for {points} points")
    write, given = Writer(node, fresh), min(points, shape[axis])
    if given < shape[axis]:
        x = write("Slice", x, *(write.integers(value) for value in (0, given, axis)))
    order = [*(i for i in range(rank - 1) if i != axis), axis, rank - 1]
    outer = [shape[i] for i in order[:-2]]
    rows = write("Reshape", write("Transpose", x, perm=order), write.integers(*outer, given * parts))
    weights = transform(points, half if onesided and not inverse else points, inverse)[:given, :parts]
    if to_real:
        weights = weights[..., :1] * _mirrored(points)[:, None, None, None]
    count, results = weights.shape[2:]
    flat = np.ascontiguousarray(weights.reshape(given * parts, count * results).astype(_dtype(node)))
    product = write("MatMul", rows, write.constant(flat, "transform"), hint="product")
    parted = write("Reshape", product, write.integers(*outer, count, results))
    write("Transpose", parted, perm=[order.index(i) for i in range(rank)], output=node.proto.output[0])
    return write.nodes


def stft(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Of overlapping frames of [batch, samples, 1] or, complex, [batch, samples, 2]."""
    x, shape = node.operand(0)
    step = _number(node, 1, 0)
    window = node.constant(2)
    if node.input(2) is not None and window is None:
        raise NotANest("a window that is only known at run time")
    points = _number(node, 3, window.size if window is not None else 0)
    batch, samples, parts = (*shape, 1)[:3]
    onesided = bool(node.attributes.get("onesided", 1))
    if parts not in (1, 2) or (onesided and parts == 2) or (window is not None and window.shape != (points,)):
        raise NotANest("a transform of this form")
    if step < 1 or not 0 < points <= samples:
        raise node.error(f"frames of {points} samples, {step} apart, of {samples}", "a frame at least")
    _require_moderate(points)
    write = Writer(node, fresh)
    count = points // 2 + 1 if onesided else points
    weights = transform(points, count)[:, :parts] * (1.0 if window is None else window[:, None, None, None])
    filters = np.ascontiguousarray(weights.reshape(points, parts, 2 * count).T.astype(_dtype(node)))
    if parts == 2:
        signal = write("Transpose", x, perm=[0, 2, 1])
    else:
        signal = write("Reshape", x, write.integers(batch, 1, samples))
    bands = write("Conv", signal, write.constant(filters, "transform"), strides=[step], hint="bands")
    parted = write("Reshape", bands, write.integers(batch, count, 2, -1))
    write("Transpose", parted, perm=[0, 3, 1, 2], output=node.proto.output[0])
    return write.nodes


def transform(points: int, count: int, inverse: bool = False) -> Array:
    """[point, its part, frequency, its part]: what a point adds to each of the first ``count`` frequencies."""
    turns = np.outer(np.arange(points), np.arange(count)) % points / points
    wave = np.exp((2j if inverse else -2j) * np.pi * turns) / (points if inverse else 1)
    real, imaginary = wave.real, wave.imag
    words: Array = np.stack([np.stack([real, imaginary], -1), np.stack([-imaginary, real], -1)], 1)
    return words


def _mirrored(points: int) -> Array:
    """How often each frequency of the first half is in the spectrum of a real signal: twice, but at both ends."""
    times = np.full(points // 2 + 1, 2.0)
    times[0] = 1.0
    if points % 2 == 0:
        times[-1] = 1.0
    return times


def _axis(node: Node, rank: int) -> int:
    """The axis, which the last one, of the parts, cannot be."""
    axis = int(node.attributes.get("axis", 1))
    if node.version >= AXIS_INPUT:
        axis = _number(node, 2, -2)
    if not -rank <= axis < rank or axis % rank == rank - 1:
        raise node.error(f"axis {axis} of {rank}", f"an axis before the last, {-rank} to {rank - 2}")
    return axis % rank


def _number(node: Node, position: int, default: int) -> int:
    """An input that is one number."""
    if node.input(position) is None:
        return default
    value = node.constant(position)
    if value is None or value.size != 1:
        raise NotANest("a transform whose size is only known at run time")
    return int(value.item())


def _dtype(node: Node) -> str:
    tensor = node.inputs[0]
    return tensor.dtype if tensor is not None else "float32"


def _require_moderate(points: int) -> None:
    if not 0 < points <= LONGEST:
        raise NotANest(f"a transform of {points} points: products of up to {LONGEST}")
