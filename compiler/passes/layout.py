"""Operators that only say where words lie: the index map of each; `ir/layouts.py` has what it means."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from effc.ir.graph import Graph, NodeOp
from effc.ir.layouts import Layout as Layout
from effc.ir.layouts import Shape
from effc.ir.layouts import digits as digits
from effc.ir.layouts import through as through
from effc.ir.printer import row_major as row_major

SAME_WORDS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
"""Operators that give the same words another shape."""


def layout_of(op: NodeOp, graph: Graph, output: str) -> Layout | None:
    """The layout of an output over the first input; None if the op is none of layout, or not known well enough."""
    if op.domain or not op.inputs or op.op not in _LAYOUTS:
        return None
    source, result = graph.tensors[op.inputs[0]], graph.tensors[output]
    if source.shape is None or result.shape is None or 0 in result.shape or source.dtype != result.dtype:
        return None
    found = _LAYOUTS[op.op](op, graph, source.shape, result.shape)
    if found is None:
        return None
    offset, strides = found
    return Layout(op.inputs[0], result.shape, offset, strides)


# The layouts of operators

Found = tuple[int, Shape] | None
"""The offset and the strides of an output."""


def _same(op: NodeOp, graph: Graph, source: Shape, result: Shape) -> Found:
    return (0, row_major(result)) if prod(source) == prod(result) else None


def _transposed(op: NodeOp, graph: Graph, source: Shape, result: Shape) -> Found:
    permutation = attributes(op).get("perm") or list(range(len(source)))[::-1]
    strides = row_major(source)
    return 0, tuple(strides[axis] for axis in permutation)


def _expanded(op: NodeOp, graph: Graph, source: Shape, result: Shape) -> Found:
    if len(source) > len(result):
        return None
    old = (1,) * (len(result) - len(source)) + source
    return 0, tuple(s if n == m else 0 for s, n, m in zip(row_major(old), old, result))


def _sliced(op: NodeOp, graph: Graph, source: Shape, result: Shape) -> Found:
    given = _slice_arguments(op, graph, len(source))
    if given is None:
        return None
    strides, offset, steps = row_major(source), 0, [1] * len(source)
    for start, end, axis, step in zip(*given):
        if not -len(source) <= axis < len(source) or step == 0:
            return None
        places = range(source[axis])[slice(start, end if end > -(1 << 62) else None, step)]
        if len(places) != result[axis]:
            return None
        offset += places.start * strides[axis]
        steps[axis] = places.step
    return offset, tuple(stride * step for stride, step in zip(strides, steps))


def _slice_arguments(op: NodeOp, graph: Graph, rank: int) -> list[list[int]] | None:
    """Starts, ends, axes and steps, if they are known."""
    if op.version < 10:
        known = attributes(op)
        starts = list(known.get("starts", ()))
        axes = list(known.get("axes", range(len(starts))))
        return [starts, list(known.get("ends", ())), axes, [1] * len(starts)]
    values = [graph.constants.get(name) if name else None for name in (*op.inputs[1:], *[""] * (5 - len(op.inputs)))]
    if any(name and value is None for name, value in zip(op.inputs[1:], values)) or values[0] is None:
        return None
    if any(value is not None and (value.ndim != 1 or value.dtype.kind not in "iu") for value in values):
        return None
    starts = np.asarray(values[0]).tolist()
    defaults = [starts, starts, list(range(len(starts))), [1] * len(starts)]
    return [default if value is None else np.asarray(value).tolist() for value, default in zip(values, defaults)]


def _gathered(op: NodeOp, graph: Graph, source: Shape, result: Shape) -> Found:
    """Rows at constant places that are evenly spaced, or one row."""
    places = graph.constants.get(op.inputs[1])
    axis = int(attributes(op).get("axis", 0)) % max(1, len(source))
    if places is None or places.ndim > 1 or not places.size:
        return None
    rows = [int(row) % source[axis] for row in places.reshape(-1)]
    step = rows[1] - rows[0] if len(rows) > 1 else 0
    if any(b - a != step for a, b in pairwise(rows)):
        return None
    strides = row_major(source)
    kept = (strides[axis] * step,) if places.ndim else ()
    return rows[0] * strides[axis], (*strides[:axis], *kept, *strides[axis + 1 :])


_LAYOUTS: dict[str, Callable[[NodeOp, Graph, Shape, Shape], Found]] = {
    **dict.fromkeys(sorted(SAME_WORDS), _same),
    "Transpose": _transposed,
    "Expand": _expanded,
    "Slice": _sliced,
    "Gather": _gathered,
}


LAYOUT_OPS = frozenset({*_LAYOUTS, "Split"})
"""Operators that only say where words lie."""


def split_layouts(op: NodeOp, graph: Graph) -> dict[str, Layout]:
    """The layout of every output of a ``Split``."""
    source = graph.tensors[op.inputs[0]]
    shapes = {name: graph.tensors[name].shape for name in op.outputs if name}
    if source.shape is None or any(shape is None or 0 in shape for shape in shapes.values()) or "" in op.outputs:
        return {}
    axis = int(attributes(op).get("axis", 0)) % max(1, len(source.shape))
    strides, start, found = row_major(source.shape), 0, {}
    for name, shape in shapes.items():
        assert shape is not None
        found[name] = Layout(op.inputs[0], shape, start * strides[axis], strides)
        start += shape[axis]
    return found if start == source.shape[axis] else {}


def layouts(op: NodeOp, graph: Graph) -> dict[str, Layout]:
    """The layout of every output that has one."""
    if op.op == "Split" and not op.domain:
        return split_layouts(op, graph)
    found = {name: layout_of(op, graph, name) for name in op.outputs[:1] if name}
    return {name: layout for name, layout in found.items() if layout is not None}


def attributes(op: NodeOp) -> dict[str, Any]:
    """The attributes of a node by name."""
    import onnx

    node = onnx.NodeProto.FromString(op.node)
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
