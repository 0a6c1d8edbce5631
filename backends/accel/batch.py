"""What the simulator runs at once: which loops of a program can be batched, and up to which size.

The iterations of hardware loops are independent if no partial sum that one of them drains returns to another. The
machine then executes them all together, with a version of the moved tiles for each. Only programs in the form that the
emitter writes are batched: one chain of loops around one `mac`, every region moved in one place.

A loop that is too long for one batch is split in two, which changes nothing that is counted:

    loop t0                               loop t0        ; chunks of 100 steps
      ..                   -->              loop t1      ; the steps of a chunk
    end                                       ..
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod

from effc.backends.accel.digits import Dimension
from effc.backends.accel.isa import (
    DimSetting,
    Drain,
    End,
    Fill,
    Instruction,
    Loop,
    LoopDigit,
    Mac,
    MeshDigit,
    Move,
    NestLayer,
    Open,
    Region,
    Take,
    Token,
)
from effc.backends.accel.stores import NO_BATCH
from effc.compiler.target.model import Target

POINTS = 1 << 20
"""The number of multiply-accumulates that are executed at once, about."""


def batched(layer: NestLayer, target: Target) -> tuple[NestLayer, int]:
    """The layer, with a loop split where that helps, and the outermost register that is batched with all inside it."""
    if not is_chain(layer):
        return layer, NO_BATCH
    dims = _dims(layer, target)
    start = _start(layer, dims)
    if start and _independent(layer, dims, start - 1):
        trips = next(digit.trips for dim in dims.values() for digit in dim.digits if digit.register == start - 1)
        chunk = _even(trips, POINTS // points(dims, start))
        if 1 < chunk < trips:
            layer = split(layer, start - 1, chunk)
            start = _start(layer, _dims(layer, target))
    return layer, start


def points(dims: dict[str, Dimension], low: int) -> int:
    """The multiply-accumulates of all registers from ``low`` on, on all lanes."""
    return prod(dim.batch(low, NO_BATCH) * dim.lanes() for dim in dims.values())


def is_chain(layer: NestLayer) -> bool:
    """Whether the code is a chain of loops around one mac, each region being moved once, inside its own loops."""
    loops = {(region.operand, region.level): region.loops for region in layer.regions}
    depth, passes, seen = 0, 0, Counter[tuple[type[Move | Token], str, str]]()
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
            early = isinstance(instruction, (Fill, Open, Take))
            if early == bool(passes) or depth != loops[instruction.operand, instruction.level]:
                return False
    opened = {key[1:] for key in seen if key[0] is Open}
    drained = {key[1:] for key in seen if key[0] is Drain}
    return passes == 1 and max(seen.values(), default=1) == 1 and opened == drained


def split(layer: NestLayer, register: int, chunk: int) -> NestLayer:
    """The same layer with a loop as two: chunks of ``chunk`` values, and the values of a chunk."""
    return replace(
        layer,
        dims=tuple(_split_dim(dim, register, chunk) for dim in layer.dims),
        regions=tuple(_split_region(region, register) for region in layer.regions),
        code=_split_code(layer.code, register),
    )


def _dims(layer: NestLayer, target: Target) -> dict[str, Dimension]:
    return {setting.name: Dimension(setting, target) for setting in layer.dims}


def _start(layer: NestLayer, dims: dict[str, Dimension]) -> int:
    """The outermost register that can be batched; the depth of the mac if there is none."""
    depth = sum(isinstance(instruction, Loop) for instruction in layer.code)
    start = depth
    while start > 0 and _independent(layer, dims, start - 1) and points(dims, start - 1) <= POINTS:
        start -= 1
    return start


def _independent(layer: NestLayer, dims: dict[str, Dimension], start: int) -> bool:
    """Whether the iterations of the registers from ``start`` on depend on no earlier one among them."""
    output = next(operand for operand in layer.operands if operand.kind == "write")
    relevant = {name for axis in output.axes for name in axis.dims}
    returning = [register for name, dim in dims.items() if name not in relevant for register in dim.registers]
    last = max((region.loops for region in layer.regions if region.operand == output.name), default=0)
    return not any(start <= register < last for register in returning)


def _even(trips: int, most: int) -> int:
    """The size of chunks of nearly equal size, at most ``most``."""
    return -(-trips // -(-trips // most)) if most else 0


def _split_dim(dim: DimSetting, register: int, chunk: int) -> DimSetting:
    digits: list[LoopDigit | MeshDigit] = []
    for digit in dim.digits:
        if isinstance(digit, MeshDigit) or digit.register < register:
            digits.append(digit)
            continue
        if digit.register == register:
            digits.append(LoopDigit(register, digit.step * chunk))
        digits.append(LoopDigit(digit.register + 1, digit.step))
    return DimSetting(dim.name, dim.bound, tuple(digits))


def _split_region(region: Region, register: int) -> Region:
    if region.loops <= register:
        return region
    slides = region.loops - region.window <= register
    return replace(region, loops=region.loops + 1, window=region.window + slides)


def _split_code(code: tuple[Instruction, ...], register: int) -> tuple[Instruction, ...]:
    """Two loops and two ends in place of those of the register; later registers move on."""
    result: list[Instruction] = []
    depth = 0
    for instruction in code:
        if isinstance(instruction, Loop):
            if instruction.register == register:
                result.append(instruction)
            moved = instruction.register + (instruction.register >= register)
            result.append(replace(instruction, register=moved))
            depth += 1
        elif isinstance(instruction, End):
            depth -= 1
            result += [instruction] * (2 if depth == register else 1)
        else:
            result.append(instruction)
    return tuple(result)
