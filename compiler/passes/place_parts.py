"""Places what is concatenated inside the result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from effc.compiler.passes.base import Pass
from effc.compiler.passes.layout import attributes, row_major
from effc.compiler.passes.registry import register_pass
from effc.ir.graph import Graph, NodeOp, Tensor, View
from effc.ir.layouts import placed
from effc.ir.nest import OUTPUT_NAME
from effc.ir.types import is_data


@register_pass
@dataclass(frozen=True)
class PlaceParts(Pass):
    """Let what Concat puts together be written where it belongs in the result: no word is copied.

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
            if not made.intersection(op.inputs) or not made.union(graph.inputs).issuperset(op.inputs):
                continue
            if parts := _parts(op, tensors):
                trial = {**tensors, **parts}
                seen = (pair for name in _within(op.inputs, inside) for pair in views.get(name, ()))
                if all(placed(view, sizes, trial) is not None for view, sizes in seen):
                    tensors, inside[op.outputs[0]] = trial, op.inputs
                    gone.add(op.name)
        return replace(graph, tensors=tensors, ops=tuple(op for op in graph.ops if op.name not in gone))


def _views(graph: Graph) -> dict[str, list[tuple[View, Sequence[int]]]]:
    """How nests look at each tensor, with the sizes of the axes."""
    found: dict[str, list[tuple[View, Sequence[int]]]] = {}
    for op in graph.nests:
        for name, view in op.uses.items():
            tensor = op.outputs[0] if name == OUTPUT_NAME else view.tensor
            found.setdefault(tensor, []).append((replace(view, tensor=tensor), op.nest.operands[name].shape))
    return found


def _parts(op: NodeOp, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a Concat joins, in its places; empty where a tensor has a place already, or is not known well enough."""
    whole, parts = tensors[op.outputs[0]], [tensors[name] for name in op.inputs]
    if whole.shape is None or not is_data(whole.dtype) or len({*op.inputs}) < len(parts):
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
