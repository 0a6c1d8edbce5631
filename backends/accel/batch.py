"""What the simulator runs at once: which loops of a program can be batched, and up to which size.

The iterations of a hardware loop are independent if each moves every tile from a parent that stays as it is, and no
partial sum that one of them drains returns to another. The machine then executes them all together, with a version of
the moved tiles for each. Only programs in the form that the emitter writes are batched: one chain of loops around one
`mac`, every region moved in one place.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from effc.backends.accel.digits import Dimension
from effc.backends.accel.isa import Drain, End, Fill, Loop, Mac, Move, NestLayer, Open
from effc.backends.accel.stores import NO_BATCH

POINTS = 1 << 21
"""The number of multiply-accumulates that are executed at once, about; more are split where a loop allows it."""


def points(dims: dict[str, Dimension], low: int) -> int:
    """The multiply-accumulates of all registers from ``low`` on, on all lanes."""
    return prod(dim.batch(low, NO_BATCH) * dim.lanes() for dim in dims.values())


def is_chain(layer: NestLayer) -> bool:
    """Whether the code is a chain of loops around one mac, each region being moved once, inside its own loops."""
    loops = {(region.operand, region.level): region.loops for region in layer.regions}
    depth, passes, seen = 0, 0, Counter[tuple[type[Move], str, str]]()
    for instruction in layer.code:
        if isinstance(instruction, Loop):
            depth += 1
            if passes:
                return False
        elif isinstance(instruction, End):
            depth -= 1
            if not passes:
                return False
        elif isinstance(instruction, Mac):
            passes += 1
        else:
            seen[type(instruction), instruction.operand, instruction.level] += 1
            early = isinstance(instruction, (Fill, Open))
            if early == bool(passes) or depth != loops[instruction.operand, instruction.level]:
                return False
    opened = {key[1:] for key in seen if key[0] is Open}
    drained = {key[1:] for key in seen if key[0] is Drain}
    return passes == 1 and max(seen.values(), default=1) == 1 and opened == drained


def batch_start(layer: NestLayer, dims: dict[str, Dimension]) -> int:
    """The outermost register that can be batched, with all inside it; at least the depth of the mac if none can."""
    if not is_chain(layer):
        return NO_BATCH
    depth = sum(isinstance(instruction, Loop) for instruction in layer.code)
    start = depth
    while start > 0 and _independent(layer, dims, start - 1) and points(dims, start - 1) <= POINTS:
        start -= 1
    while any(region.loops > start > region.loops - region.window for region in layer.regions):
        start += 1  # a sweep is batched whole or not at all
    return start


def _independent(layer: NestLayer, dims: dict[str, Dimension], start: int) -> bool:
    """Whether the iterations of the registers from ``start`` on depend on no earlier one among them."""
    moved = [region for region in layer.regions if region.loops > start]
    if len({region.operand for region in moved}) < len(moved):
        return False  # a parent would change
    output = next(operand for operand in layer.operands if operand.kind == "write")
    relevant = {name for axis in output.axes for name in axis.dims}
    returning = [register for name, dim in dims.items() if name not in relevant for register in dim.registers]
    last = max((region.loops for region in moved if region.operand == output.name), default=0)
    return not any(start <= register < last for register in returning)
