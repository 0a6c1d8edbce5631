"""Index maps between tensors: where the words of one lie in another, and how a view is taken through that.

A *layout* of a tensor y over a tensor x says that word ``i`` of y is word ``offset + sum(stride * i)`` of x:

    op Transpose "t" (x) -> (y)      x [2, 3, 4], perm [0, 2, 1]      y [2, 4, 3] at 0 strides (12, 1, 4) of x
    op Slice "s" (x) -> (y)          x [6, 4], rows 1, 3, 5           y [3, 4]    at 4 strides (8, 1) of x
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from effc.ir.graph import Tensor, View
from effc.ir.printer import row_major

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Where in ``source`` the words of a tensor of this ``shape`` lie."""

    source: str
    shape: Shape
    offset: int
    strides: Shape

    @property
    def merged(self) -> Layout:
        """The same with as few axes as possible: neighbours that are in a row are one axis."""
        shape: list[int] = []
        strides: list[int] = []
        for size, stride in zip(self.shape, self.strides):
            if size == 1:
                continue
            if shape and strides[-1] == size * stride:
                shape[-1] *= size
                strides[-1] = stride
            else:
                shape.append(size)
                strides.append(stride)
        return replace(self, shape=tuple(shape), strides=tuple(strides))

    @property
    def is_plain(self) -> bool:
        """Whether the words lie in the same order, from the first on."""
        merged = self.merged
        return self.offset == 0 and merged.strides in ((), (1,))

    def inverse(self, name: str, words: int) -> Layout | None:
        """Where the words of the source lie in the tensor, called ``name``; None unless each occurs exactly once."""
        axes = [(s, n, own) for s, n, own in zip(self.strides, self.shape, row_major(self.shape)) if n > 1]
        axes.sort(reverse=True)
        shape = tuple(n for _, n, _ in axes)
        if self.offset or tuple(s for s, _, _ in axes) != row_major(shape) or prod(shape) != words:
            return None
        return Layout(name, shape, 0, tuple(own for _, _, own in axes))


def through(view: View, sizes: Sequence[int], layout: Layout) -> View | None:
    """The view of the source that shows the words that ``view``, of axes of these sizes, shows of the tensor.

    None where an axis of the view would have to change its stride on the way.
    """
    tight = layout.merged
    steps = row_major(tight.shape)
    start = digits(view.offset, steps)
    low, high = list(start), list(start)
    strides = []
    for stride, size in zip(view.strides, sizes):
        moved = digits(abs(stride), steps) if size > 1 else [0] * len(steps)
        sign = 1 if stride >= 0 else -1
        for axis, digit in enumerate(moved):
            reach = sign * digit * (size - 1)
            low[axis], high[axis] = low[axis] + min(0, reach), high[axis] + max(0, reach)
        strides.append(sign * sum(digit * step for digit, step in zip(moved, tight.strides)))
    if any(first < 0 or last >= size for first, last, size in zip(low, high, tight.shape)):
        return None
    offset = tight.offset + sum(digit * step for digit, step in zip(start, tight.strides))
    return View(layout.source, offset, tuple(strides), view.zero)


def digits(number: int, steps: Shape) -> list[int]:
    """The index of a word, in a tensor with these strides."""
    found = []
    for step in steps:
        found.append(number // step)
        number %= step
    return found


def placed(view: View, sizes: Sequence[int], tensors: Mapping[str, Tensor]) -> View | None:
    """The view of a tensor that is a part of others as one of the tensor that is in memory; None if there is none."""
    found: View | None = view
    while found is not None and (tensor := tensors[found.tensor]).place is not None:
        place = tensor.place
        found = through(found, sizes, Layout(place.tensor, tensor.shape or (), place.offset, place.strides))
    return found


def place_of(tensor: Tensor, tensors: Mapping[str, Tensor]) -> View:
    """Where the words of a tensor are in memory: in a tensor that is no part of another."""
    shape = tensor.shape or ()
    found = placed(View(tensor.name, 0, row_major(shape)), shape, tensors)
    if found is None:
        raise ValueError(f"{tensor.name} does not lie in rows of the tensor that it is a part of")
    return found
