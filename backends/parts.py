"""Tensors that are parts or slices of others, where each has an array of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from effc.ir.graph import Array, Graph, View


def keep_parts(graph: Graph, names: Iterable[str], values: dict[str, Any]) -> None:
    """Write new values into the tensors that they are parts of, which begin with zeros; and cut slices out of all."""
    for name in names:
        _cut(graph, name, values)
        for whole in graph.wholes(name) if name else ():
            part, place = values[name], graph.tensors[name].place
            assert place is not None
            array = values.setdefault(whole, np.zeros(graph.tensors[whole].shape or (), part.dtype))
            _words(array, place, part.shape)[...] = part
            name = whole
            _cut(graph, name, values)


def _cut(graph: Graph, name: str, values: dict[str, Any]) -> None:
    """The slices of a tensor, and of those."""
    for part in graph.slices.get(name, ()):
        tensor = graph.tensors[part]
        assert tensor.place is not None
        values[part] = _words(np.ascontiguousarray(values[name]), tensor.place, tensor.shape or ()).copy()
        _cut(graph, part, values)


def _words(array: Array, place: View, shape: tuple[int, ...]) -> Array:
    strides = [stride * array.itemsize for stride in place.strides]
    return as_strided(array.reshape(-1)[place.offset :], shape, strides)
