"""Tensors that are parts of others, where each has an array of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from effc.ir.graph import Graph


def keep_parts(graph: Graph, names: Iterable[str], values: dict[str, Any]) -> None:
    """Write new values into the tensors that they are parts of; these begin with zeros."""
    for name in names:
        while name and (place := graph.tensors[name].place) is not None:
            part, whole = values[name], graph.tensors[place.tensor]
            array = values.setdefault(whole.name, np.zeros(whole.shape or (), part.dtype))
            strides = [stride * array.itemsize for stride in place.strides]
            as_strided(array.reshape(-1)[place.offset :], part.shape, strides)[...] = part
            name = whole.name
