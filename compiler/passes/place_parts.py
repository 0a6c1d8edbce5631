"""Places what is concatenated inside the result, and what is cut out or turned inside what it is taken from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.layout import LAYOUT_OPS, attributes, layouts, row_major
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Graph, NodeOp, Op, Tensor, View
from effc.ir.layouts import placed
from effc.ir.nest import OUTPUT_NAME
from effc.ir.part_rules import COUNTABLE
from effc.ir.types import is_data

Views = dict[str, list[tuple[View, Sequence[int]]]]
"""How nests look at tensors: views, and the sizes of their axes."""


@register_pass
@dataclass(frozen=True)
class PlaceParts(Pass):
    """Write what Concat puts together where it belongs, read what Split, Slice, Transpose, ... give where it is.

    tensor a : float32[1, 2, 8, 8]
    tensor y : float32[1, 6, 8, 8]
    op Concat "cat" (a, b) -> (y) { axis = 1 }

    tensor a : float32[1, 2, 8, 8] in y strides (384, 64, 8, 1)
    tensor y : float32[1, 6, 8, 8]
    """

    name = "place-parts"

    def run(self, graph: Graph) -> Graph:
        tensors, views, gone = dict(graph.tensors), _views(graph), set[str]()
        inside: dict[str, tuple[str, ...]] = {}  # of each tensor that has parts, these
        made = {name for op in graph.ops for name in op.outputs}
        for op in graph.ops:
            if not isinstance(op, NodeOp) or op.op != "Concat" or op.domain:
                continue
            if not made.intersection(op.inputs) or not made.union(graph.inputs, graph.constants).issuperset(op.inputs):
                continue
            if parts := _parts(op, tensors):
                trial = {**tensors, **parts}
                seen = (pair for name in _within(op.inputs, inside) for pair in views.get(name, ()))
                if all(placed(view, sizes, trial) is not None for view, sizes in seen):
                    tensors, inside[op.outputs[0]] = trial, op.inputs
                    gone.add(op.name)
        joined = replace(graph, tensors=tensors, ops=tuple(op for op in graph.ops if op.name not in gone))
        return _sliced(joined, views)


def _sliced(graph: Graph, views: Views) -> Graph:
    """The graph without operators that say where words lie, whose results are slices of what they read."""
    tensors, ops = dict(graph.tensors), list[Op]()
    for op in graph.ops:
        slices = _slices(op, graph, tensors) if isinstance(op, NodeOp) and op.op in LAYOUT_OPS else {}
        trial = {**tensors, **slices}
        pairs = (pair for name in slices for pair in views.get(name, ()))
        if slices and all(placed(view, sizes, trial) is not None for view, sizes in pairs):
            tensors = trial
        else:
            ops.append(op)
    return replace(graph, tensors=tensors, ops=tuple(ops))


def _slices(op: NodeOp, graph: Graph, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an operator gives, as slices of its input; empty where it is none, or is needed as a tensor of its own."""
    found, layout = dict[str, Tensor](), layouts(op, graph)
    for name in filter(None, op.outputs):
        tensor = tensors[name]
        if name in graph.outputs or name not in layout or tensor.place is not None or not is_data(tensor.dtype):
            return {}
        lies, source = layout[name], tensors[layout[name].source]
        spread = any(size > 1 and not stride for size, stride in zip(lies.shape, lies.strides))
        if spread or source.name in graph.constants or source.dtype != tensor.dtype or not is_data(source.dtype):
            return {}
        found[name] = replace(tensor, place=View(source.name, lies.offset, lies.strides))
        if placed(View(name, 0, row_major(lies.shape)), lies.shape, {**tensors, **found}) is None:
            return {}
    return found


def _views(graph: Graph) -> Views:
    """How nests look at each tensor, with the sizes of the axes."""
    found: Views = {}
    for op in graph.nests:
        for name, view in op.uses.items():
            tensor = op.outputs[0] if name == OUTPUT_NAME else view.tensor
            found.setdefault(tensor, []).append((replace(view, tensor=tensor), op.nest.operands[name].shape))
    return found


def _parts(op: NodeOp, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a Concat joins, in its places; empty where a tensor has a place already, or is not known well enough."""
    whole, parts = tensors[op.outputs[0]], [tensors[name] for name in op.inputs]
    if whole.shape is None or not is_data(whole.dtype) or len({*op.inputs}) < len(parts) or whole.words > COUNTABLE:
        return {}
    axis = int(attributes(op).get("axis", 1)) % len(whole.shape)
    strides, start, found = row_major(whole.shape), 0, {}
    for part in parts:
        if part.place is not None or part.shape is None or 0 in part.shape or part.dtype != whole.dtype:
            return {}
        found[part.name] = replace(part, place=View(whole.name, start * strides[axis], strides))
        start += part.shape[axis]
    return found


def _within(names: Iterable[str], inside: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The tensors, and all that are parts of them."""
    for name in names:
        yield name
        yield from _within(inside.get(name, ()), inside)
