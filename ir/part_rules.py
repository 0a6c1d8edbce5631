"""The rules of parts: tensors that lie in others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from effc.ir.graph import Graph, NestOp, Tensor, View
from effc.ir.layouts import placed
from effc.ir.rules import Place, Rule, Violation

COUNTABLE = 2**28
"""Tensors up to so many words are checked word by word."""


def _parts(graph: Graph) -> Iterator[Violation]:
    for name, tensor in graph.tensors.items():
        if tensor.place is not None:
            place: Place = ("tensors", name, "place")
            yield from (Violation(place, found, "let it be a tensor of its own") for found in _part(tensor, graph))


def _part(tensor: Tensor, graph: Graph) -> Iterator[str]:
    """What is wrong with the place of a part."""
    assert tensor.place is not None
    name, place = tensor.name, tensor.place
    whole = graph.tensors.get(place.tensor)
    if whole is None or whole.shape is None or tensor.shape is None or whole.dtype != tensor.dtype or place.zero:
        yield f"{place.tensor!r} is no tensor of the type of {name!r}, with a known shape"
    elif whole.name in graph.constants or whole.name == name:
        yield f"{whole.name!r} is a constant, or {name!r} itself"
    elif name in graph.made and whole.name in graph.inputs:
        yield f"{whole.name!r} is an input"
    elif tensor.name in [*graph.wholes(whole.name)]:
        yield f"{name!r} is a part of itself"
    elif len(place.strides) != len(tensor.shape) or not _reaches(tensor.shape, place, whole.words):
        yield f"{name!r} lies outside of {whole.name!r}"


def _reaches(shape: tuple[int, ...], place: View, words: int) -> bool:
    """Whether every word of a part is one of the whole."""
    spans = [stride * (size - 1) for stride, size in zip(place.strides, shape)]
    low, high = (place.offset + sum(f(span, 0) for span in spans) for f in (min, max))
    return 0 <= low <= high < words


def _wholes(graph: Graph) -> Iterator[Violation]:
    written = {name for op in graph.ops for name in op.outputs}
    inner = {name for op in graph.nests for name in op.inner}
    for whole, parts in graph.parts.items():
        place: Place = ("tensors", whole)
        if whole in written:
            yield Violation(place, f"{whole!r} is written by an op, too", "write its parts")
        if inner.intersection((whole, *parts)):
            yield Violation(place, f"a part of {whole!r} never leaves an epilogue", "let it be a tensor of its own")
        words = graph.tensors[whole].words
        if words > COUNTABLE:
            yield Violation(place, f"{whole!r} is too large to check its parts", "write it as one")
            continue
        if sum(graph.tensors[name].words for name in parts) != words:
            yield Violation(place, f"{whole!r} has {words} words, and not as many as its parts", "place all of it")
            continue
        count = np.zeros(words, np.int8)
        for name in parts:
            tensor = graph.tensors[name]
            assert tensor.place is not None and tensor.shape is not None
            as_strided(count[tensor.place.offset :], tensor.shape, tensor.place.strides)[...] += 1
        if not (count == 1).all():
            yield Violation(place, f"words of {whole!r} are in no part, or in two", "check offsets and strides")


def _rows(graph: Graph) -> Iterator[Violation]:
    for i, op in enumerate(graph.ops):
        if isinstance(op, NestOp):
            for name, view in op.uses.items():
                tensor = op.outputs[0] if name == op.nest.output.name else view.tensor
                if placed(View(tensor, view.offset, view.strides), op.nest.operands[name].shape, graph.tensors) is None:
                    found = f"{name} does not lie in rows of the tensor that {tensor!r} is a part of"
                    yield Violation(("ops", i, "uses", name), found, "let it be a tensor of its own")


PART_RULES: tuple[Rule[Graph], ...] = (
    Rule("parts", "A part lies in a tensor of its type: no constant, and no input unless it is a slice.", _parts),
    Rule("wholes", "A tensor whose parts are written has no other words, and no other op writes it.", _wholes),
    Rule("rows", "An operand that lies in a part has strides in the whole, too.", _rows),
)
