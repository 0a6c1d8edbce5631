"""Tiles as Timeloop sees them: boxes of one size that shift from step to step, and the words that are new in each.

A *box* is a tile's length along each axis of its tensor. The loops in time that stand outside a tile are its steps:
each iteration of a loop shifts the box by the loop's ``stride``. When a loop goes on, the loops inside it start anew:
the box shifts by the stride of the one, and back by all that the others had gone.

Nothing here looks at single steps: the number of steps that move a tile in the same way follows from the loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

Vector = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop in time, outside a tile: its iterations (at least two), and by how much each shifts the tile."""

    trips: int
    stride: Vector


def new_words(box: Vector, shift: Vector) -> int:
    """The words of a shifted tile that count as new: a slice if it moved along one axis, the whole if along more."""
    axes = [axis for axis, distance in enumerate(shift) if distance]
    if not axes:
        return 0
    if len(axes) > 1:
        return prod(box)
    slice_ = min(abs(shift[axes[0]]), box[axes[0]])
    return prod(box) // box[axes[0]] * slice_


def every_step(box: Vector, loops: Sequence[Loop]) -> int:
    """The words that a buffer receives if every step compares the tile with that of the step before."""
    total, before = prod(box), 1
    for loop, shift in zip(loops, _shifts(loops, [loop.trips - 1 for loop in loops])):
        total += before * (loop.trips - 1) * new_words(box, shift)
        before *= loop.trips
    return total


def first_steps(box: Vector, loops: Sequence[Loop]) -> int:
    """The words that a buffer receives by Timeloop's own reckoning, which saves steps.

    Of every loop only the first two iterations are run. The second stands for all further ones, and what it leaves
    behind is what the step after the loop is compared with. A tile that changes its stride counts as a new one, and the
    step after that may take any stride.
    """
    shifts = _shifts(loops, [1] * len(loops))
    known: dict[tuple[int, Vector | None], tuple[int, Vector | None]] = {}

    def run(i: int, stride: Vector | None) -> tuple[int, Vector | None]:
        """The words that arrive while the loops from ``i`` run once, and the stride after it; ``stride``: before."""
        if i == len(loops):
            return 0, stride
        if (i, stride) not in known:
            first, after = run(i + 1, stride)
            words, after = _shifted(box, shifts[i], after)
            rest, after = run(i + 1, after)
            known[i, stride] = first + (loops[i].trips - 1) * (words + rest), after
        return known[i, stride]

    return prod(box) + run(0, None)[0]


def _shifted(box: Vector, shift: Vector, stride: Vector | None) -> tuple[int, Vector | None]:
    """The words that a shift brings, and the stride that the tile has then; None: any."""
    if not any(shift):
        return 0, stride
    if stride is None or shift == stride:
        return new_words(box, shift), shift
    return prod(box), None


def _shifts(loops: Sequence[Loop], gone: Sequence[int]) -> list[Vector]:
    """For each loop: the shift when it goes on by one, and those inside it go back by the iterations they had gone."""
    result: list[Vector] = []
    back: Vector = (0,) * (len(loops[0].stride) if loops else 0)
    for loop, iterations in zip(reversed(loops), reversed(gone)):
        result.append(tuple(step - distance for step, distance in zip(loop.stride, back)))
        back = tuple(distance + iterations * step for step, distance in zip(loop.stride, back))
    return result[::-1]


def distinct_origins(digits: Iterable[tuple[int, Vector]]) -> int:
    """How many different tiles the instances of an array have: ``digits`` are the (trips, stride) of its loops.

    The strides of different axes are independent: no dim stands in two axes of a tensor.
    """
    used = [(trips, stride) for trips, stride in digits if any(stride)]
    axes = len(used[0][1]) if used else 0
    return prod(_sums([(trips, stride[axis]) for trips, stride in used if stride[axis]]) for axis in range(axes))


def _sums(digits: Sequence[tuple[int, int]]) -> int:
    """How many values ``sum(digit * step)`` takes."""
    reached = {0}
    for trips, step in digits:
        reached = {value + digit * step for value in reached for digit in range(trips)}
    return len(reached)
