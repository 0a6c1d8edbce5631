"""The stepper for whole layers, ``native/stepper.c``: tells it a nest, its schedule and its target as numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.backends.accel.stepper import Finish, axis_of
from effc.backends.cpu.build import build
from effc.compiler.target.model import Target
from effc.ir.counters import EPILOGUE_NAME, Counters
from effc.ir.epilogue_rules import QUANTISING
from effc.ir.nest import Nest, Operand
from effc.ir.schedule import Par, Schedule, trips

Array = npt.NDArray[Any]

SOURCES = ("walk.c", "set_up.c", "stepper.c")
NAMES = ("I", "W", "O", "B", EPILOGUE_NAME)
MULTICAST = ("none", "tiles", "words")
LEVELS = 8


def run(
    nest: Nest, schedule: Schedule, target: Target, arrays: Mapping[str, Array], finish: Finish | None = None
) -> tuple[Array, Counters]:
    """Execute a legal schedule: the sums, before any epilogue, and what was counted, that of the epilogue included.

    Operands are taken as float32, and added up in float64.
    """
    reads = [padded(nest.operands[name], nest, arrays[name]) if name in arrays else (ONE, None) for name in NAMES[:4]]
    places = [] if finish is None else wanted_by(finish, nest.output)
    assert len(places) <= 16, "see the sizes in walk.c"
    description = np.array(describe(nest, schedule, target), np.int64)
    sizes = np.array([words for _, words in places], np.int64)
    output, counted = np.zeros(nest.output.shape), np.zeros(3 * LEVELS * len(NAMES) + 3, np.int64)
    folder = Path(__file__).parent / "native"
    lacking = build("".join((folder / name).read_text(encoding="ascii") for name in SOURCES)).run(
        pointer(description),
        pointers([words for words, _ in reads]),
        pointers([inside for _, inside in reads]),
        ctypes.c_int64(0 if finish is None else len(finish.steps)),
        ctypes.c_int64(len(places)),
        pointers([place for place, _ in places]),
        pointer(sizes),
        pointer(output),
        pointer(counted),
    )
    assert lacking == 0, f"{lacking} words of the output lack products"
    return output, counters(counted.tolist(), target)


ONE = np.ones(1, np.float32)


def describe(nest: Nest, schedule: Schedule, target: Target) -> list[int]:
    """Levels, dims, loops, and of every operand its axes and where it is kept, as ``read_description`` reads them."""
    loops = list(schedule.loops(nest))
    assert len(loops) <= 96 and len(nest.dims) <= 12 and len(target.levels) <= LEVELS, "see the sizes in walk.c"
    found = [len(target.levels)]
    for level in target.levels:
        found += [level.fanout is not None, level.padding == "stored", level.sliding]
    dims = {dim: number for number, dim in enumerate(nest.bounds)}
    found += [len(dims), *nest.bounds.values()]
    found.append(len(loops))
    for _, loop, extent in loops:
        found += [dims[loop.dim], *mesh_of(loop, target), loop.step, trips(extent, loop.step)]
    for name in NAMES[:4]:
        operand = nest.operands.get(name)
        if operand is None:
            found += [0, 0]
            continue
        extents = [last - first for first, last in reached(operand, nest)]
        found.append(len(operand.axes))
        for number, axis in enumerate(operand.axes):
            found += [prod(extents[number + 1 :]), extents[number], len(axis.terms)]
            for coefficient, dim in axis.terms:
                found += [dims[dim], coefficient]
        marks = schedule.keeps(name)
        found += [1 + len(marks), 0, 0]
        for mark, level_name in marks:
            found += [target.index[level_name], sum(position < mark for position, _, _ in loops)]
    return found


def mesh_of(loop: object, target: Target) -> tuple[int, int]:
    """The level above the fan-out of a par, and what its axis multicasts; (-1, 0) for a loop in time."""
    if not isinstance(loop, Par):
        return -1, 0
    fanout = target.level(loop.level).fanout
    assert fanout is not None
    multicast = next(axis.multicast for axis in fanout.axes if axis.name == loop.axis)
    return target.index[loop.level], MULTICAST.index(multicast)


def reached(operand: Operand, nest: Nest) -> list[tuple[int, int]]:
    """The range of indices of each axis that any point of the nest has, padding included."""
    ranges = []
    for axis in operand.axes:
        reach = sum(coefficient * (nest.bounds[dim] - 1) for coefficient, dim in axis.terms)
        ranges.append((axis.offset, axis.offset + reach + 1))
    return ranges


def padded(operand: Operand, nest: Nest, words: Array) -> tuple[Array, Array | None]:
    """The words that the nest reaches, zeros for padding, and which of them are none; None: all."""
    words = np.asarray(words)
    indices = [np.arange(first, last) for first, last in reached(operand, nest)]
    inside = [(index >= 0) & (index < size) for index, size in zip(indices, operand.shape)]
    if all(map(np.all, inside)):
        return np.ascontiguousarray(words[np.ix_(*indices)], np.float32), None
    found = np.zeros([len(index) for index in indices], np.float32)
    found[np.ix_(*inside)] = words[np.ix_(*(index[real] for index, real in zip(indices, inside)))]
    real = np.zeros(found.shape, np.uint8)
    real[np.ix_(*inside)] = 1
    return found, real


def wanted_by(finish: Finish, output: Operand) -> list[tuple[Array, int]]:
    """For every other tensor of an epilogue the word that each output word wants, and how many words it has."""
    offsets = [np.arange(size) * stride for size, stride in zip(output.shape, finish.view.strides)]
    addresses = finish.view.offset + sum(np.ix_(*offsets), np.zeros((), int)).ravel()
    found, made = {}, {finish.view.tensor}
    for step in finish.steps:
        for name in step.inputs:
            if name and name not in made:
                words = np.arange(finish.others[name].size).reshape(finish.others[name].shape)
                if step.op in QUANTISING and words.ndim == 1:
                    words = words.reshape([-1 if i == axis_of(step) else 1 for i in range(len(finish.shape))])
                places = np.broadcast_to(words, finish.shape).ravel()[addresses]
                found[name] = (np.ascontiguousarray(places, np.int64), words.size)
        made.update(step.outputs)
    return list(found.values())


def pointer(array: Array | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def pointers(arrays: list[Any]) -> Any:
    return (ctypes.c_void_p * max(1, len(arrays)))(*(pointer(array) for array in arrays))


def counters(counted: list[int], target: Target) -> Counters:
    found = Counters()
    for level, at in enumerate(target.levels):
        for number, name in enumerate(NAMES):
            places = [counted[(what * LEVELS + level) * len(NAMES) + number] for what in range(3)]
            for note, moved in zip((found.read, found.write, found.hop), places):
                note(at.name, name, moved)
    found.macs, found.cycles, found.results = counted[-3:]
    return found
