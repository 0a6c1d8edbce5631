"""Arrays with named axes: what lists of addresses are built from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Name = tuple[str, str]
"""A group of digits and the dim (or, for "n", the axis) that they belong to: ("l", "K")."""


class Frame:
    """An ordered set of named axes with their sizes."""

    def __init__(self, axes: Iterable[tuple[Name, int]]) -> None:
        self.axes = dict(axes)
        self._place = {name: place for place, name in enumerate(self.axes)}

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.axes.values())

    def expand(self, array: npt.NDArray[Any], names: Sequence[Name]) -> npt.NDArray[Any]:
        """An array with the axes ``names``, laid out so that it broadcasts in this frame."""
        order = sorted(range(len(names)), key=lambda i: self._place[names[i]])
        shape = [1] * len(self.axes)
        for i in order:
            shape[self._place[names[i]]] = array.shape[i]
        return np.transpose(array, order).reshape(shape)


def served(words: npt.NDArray[np.int64]) -> int:
    """How many words a parent reads to serve ``words[group, tiles, words]``, the ids of what is wanted, -1 for nothing.

    Within a group the sets of one ``tiles`` coordinate are united, and identical ones of several are read once.
    """
    rows = np.sort(words, axis=2)
    first = rows >= 0
    first[..., 1:] &= rows[..., 1:] != rows[..., :-1]
    if words.shape[1] == 1:
        return int(np.count_nonzero(first))
    sets = np.sort(np.where(first, rows, -1), axis=2)
    group = np.broadcast_to(np.arange(len(words))[:, None, None], (*words.shape[:2], 1))
    flat = np.concatenate([group, sets], axis=2).reshape(-1, words.shape[2] + 1)
    return int(np.count_nonzero(np.unique(flat, axis=0)[:, 1:] >= 0))
