"""What a program may ask of the simulator: bounds of the memory and of the work that a program can take.

The work of a layer is known before it runs: the trip counts of the loops around an instruction say how often it is
executed at most, and settings say how many words or products each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from effc.backends.accel.digits import Dimension
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import Drain, End, Fill, Loop, Mac, NestLayer, Open, Region
from effc.compiler.target.model import Target
from effc.ir.nest import Axis

MAX_DIMS, MAX_DIGITS, MAX_AXES, MAX_TERMS = 16, 24, 16, 4
"""Of the instruction set: dims of a layer, digits of a dim, axes of an operand, dims of an axis."""

STEP = 256
"""The work of executing an instruction once, beside the words or products that it handles."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``words``: of the DRAM, and of all other memories of a layer together; ``table``: entries of a table of indices.

    ``work``: words moved and products added by a layer, idle ones included; each instruction executed counts STEP.
    ``trips``: how often bodies run, all together.
    """

    words: int = 2**31
    table: int = 2**27
    work: int = 2**45
    trips: int = 2**24


def over_size(layer: NestLayer) -> Iterator[MachineFault]:
    """What has more parts than the instruction set allows."""
    if len(layer.dims) > MAX_DIMS:
        yield MachineFault(f"{len(layer.dims)} dims", expected=f"{MAX_DIMS} at most")
    for dim in layer.dims:
        if len(dim.digits) > MAX_DIGITS:
            yield MachineFault(f"dim {dim.name} has {len(dim.digits)} digits", expected=f"{MAX_DIGITS} at most")
    for operand in layer.operands:
        terms = max((len(axis.terms) for axis in operand.axes), default=0)
        if len(operand.axes) > MAX_AXES or terms > MAX_TERMS:
            yield MachineFault(
                f"operand {operand.name} has {len(operand.axes)} axes of {terms} dims",
                expected=f"{MAX_AXES} axes of {MAX_TERMS} dims at most",
            )


def over_limits(layer: NestLayer, target: Target, limits: Limits) -> Iterator[MachineFault]:
    """What would take too much of the simulator; the layer obeys every other rule."""
    dims = {setting.name: Dimension(setting, target) for setting in layer.dims}
    for operand in layer.operands:
        for axis in operand.axes:
            if (entries := _entries(axis, dims)) > limits.table:
                yield MachineFault(
                    f"an axis of operand {operand.name} needs a table of {entries} indices",
                    expected=f"{limits.table} at most",
                )
    regions = {(region.operand, region.level): _words(region, dims, target) for region in layer.regions}
    words = sum(regions.values())
    if words > limits.words:
        yield MachineFault(f"the layer needs {words} words on chip", expected=f"{limits.words} at most")
    if (work := _work(layer, dims, regions)) > limits.work:
        yield MachineFault(f"the layer takes {work} steps", expected=f"{limits.work} at most")


def _entries(axis: Axis, dims: dict[str, Dimension]) -> int:
    """The points of an axis, or where they are further apart the indices between them, in every lane."""
    reach = sum(coefficient * (dims[name].bound - 1) for coefficient, name in axis.terms) + 1
    points = prod(dims[name].batch(0, MAX_DIMS * MAX_DIGITS) for name in axis.dims)
    lanes = prod(dims[name].lanes() for name in axis.dims)
    return max(points, reach) * lanes


def _words(region: Region, dims: dict[str, Dimension], target: Target) -> int:
    """The words of a region in all instances."""
    position = target.index[region.level]
    return prod(max(1, extent) for extent in region.extents) * prod(dim.lanes(position) for dim in dims.values())


def _work(layer: NestLayer, dims: dict[str, Dimension], words: dict[tuple[str, str], int]) -> int:
    """The steps of all instructions, had every loop its full trip count."""
    trips = {d.register: d.trips for dim in dims.values() for d in dim.digits if d.register >= 0}
    points = prod(trips.values()) * prod(dim.lanes() for dim in dims.values())
    work, times, depth = 0, [1], 0
    for instruction in layer.code:
        if isinstance(instruction, Loop):
            times.append(times[-1] * trips[depth])
            depth += 1
        elif isinstance(instruction, End):
            times.pop()
            depth -= 1
        elif isinstance(instruction, Mac):
            work += points
        elif isinstance(instruction, (Fill, Open, Drain)):
            work += times[-1] * words[instruction.operand, instruction.level]
        work += times[-1] * STEP
    return work
