"""What the regions of a nest layer, and the code that moves tiles between them, must obey before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import (
    MAX_BUFFERS,
    End,
    Fill,
    Give,
    Loop,
    LoopDigit,
    Mac,
    Move,
    NestLayer,
    Region,
    Take,
    Token,
)
from effc.compiler.target.model import Target

Faults = Iterator[MachineFault]


def region_faults(layer: NestLayer, target: Target) -> Faults:
    operands = {operand.name: operand for operand in layer.operands}
    registers = {d.register: dim.name for dim in layer.dims for d in dim.digits if isinstance(d, LoopDigit)}
    seen: set[tuple[str, str]] = set()
    for region in layer.regions:
        name, at = f"region of {region.operand} at {region.level}", region.level
        if target.index.get(at, 0) == 0 or region.operand not in operands:
            yield MachineFault(f"{name}: no such place or operand", level=at, expected="a level on chip and an operand")
        elif (region.operand, at) in seen:
            yield MachineFault(f"{name}: given twice", level=at, expected="one region")
        elif target.level(at).bank(region.operand) is None:
            yield MachineFault(f"{name}: the level cannot hold it", level=at, expected="a bank for it")
        elif len(region.extents) != len(operands[region.operand].axes) or min(region.extents, default=1) < 0:
            yield MachineFault(f"{name}: extents {list(region.extents)}", level=at, expected="one for each axis")
        elif not 1 <= region.buffers <= (MAX_BUFFERS if target.level(at).overlaps(region.operand) else 1):
            yield MachineFault(
                f"{name}: {region.buffers} buffers",
                level=at,
                expected=f"1, or up to {MAX_BUFFERS} where the level is double buffered or the operand in a buffet",
            )
        elif not 0 <= region.window <= region.loops <= len(registers) or region.base < 0:
            yield MachineFault(
                f"{name}: loops {region.loops} window {region.window}",
                level=at,
                expected="window <= loops <= registers",
            )
        else:
            slides = {registers[register] for register in range(region.loops - region.window, region.loops)}
            used = {dim for axis in operands[region.operand].axes for dim in axis.dims}
            if len(slides) > 1 or not slides <= used:
                yield MachineFault(
                    f"{name}: slides along {', '.join(sorted(slides))}", level=at, expected="one dim of the operand"
                )
        seen.add((region.operand, at))
    for level in target.levels[1:]:
        for bank in level.banks:
            mine = [r for r in layer.regions if r.level == level.name and r.operand in bank.operands]
            usable = None if bank.bits is None else bank.bits // (2 if level.double_buffered else 1)
            yield from _layout(mine, level.name, usable, target)


def _layout(regions: list[Region], level: str, bits: int | None, target: Target) -> Faults:
    """Regions of one bank lie side by side inside it."""
    end = 0
    for region in sorted(regions, key=lambda region: (region.base, prod(region.extents))):
        each = target.bits(target.index[level], region.operand)
        if region.base < end:
            yield MachineFault(
                f"the region of {region.operand} overlaps another one",
                level=level,
                expected=f"a base of at least {end}",
            )
        end = region.base + int(prod(region.extents) * each)
    if bits is not None and end > bits:
        yield MachineFault(f"the regions need {end} bits", level=level, expected=f"{bits} bits at most")


def code_faults(layer: NestLayer, target: Target) -> Faults:
    registers = sum(isinstance(digit, LoopDigit) for dim in layer.dims for digit in dim.digits)
    loops = {(region.operand, region.level): region.loops for region in layer.regions}
    needed = max(loops.values(), default=0)
    depth = 0
    for pc, instruction in enumerate(layer.code):
        if isinstance(instruction, Loop):
            if instruction.register != depth or depth >= registers:
                yield MachineFault(
                    f"loop t{instruction.register}", pc=pc, expected=f"t{depth} of {registers}: loops nest in order"
                )
            depth += 1
        elif isinstance(instruction, End):
            depth -= 1
            if depth < 0:
                yield MachineFault("end without loop", pc=pc, expected="a loop for every end")
        elif isinstance(instruction, Mac):
            if depth < needed:
                yield MachineFault(
                    f"mac inside {depth} loops", pc=pc, expected=f"{needed} loops, which select its tiles"
                )
        elif isinstance(instruction, (Take, Give)):
            for fault in _token(loops, instruction, depth):
                fault.pc = pc
                yield fault
        else:
            for fault in _move(layer, target, loops, instruction, depth):
                fault.pc = pc
                yield fault
    if depth:
        yield MachineFault("a loop has no end", expected="an end for every loop")


def _token(loops: dict[tuple[str, str], int], token: Token, depth: int) -> Faults:
    if (token.operand, token.level) not in loops:
        yield MachineFault(f"{token.operand} has no region there", level=token.level, expected="a region")
    elif depth != (needed := loops[token.operand, token.level]):
        yield MachineFault(
            f"it stands inside {depth} loops", level=token.level, expected=f"{needed} loops, which select the tile"
        )


def _move(layer: NestLayer, target: Target, loops: dict[tuple[str, str], int], move: Move, depth: int) -> Faults:
    kinds = {operand.name: operand.kind for operand in layer.operands}
    at, above = (move.operand, move.level), (move.operand, move.parent)
    if at not in loops:
        yield MachineFault(f"{move.operand} has no region there", level=move.level, expected="a region")
    elif move.parent != target.levels[0].name and above not in loops:
        yield MachineFault(f"{move.operand} has no region there", level=move.parent, expected="a region")
    elif target.index[move.parent] >= target.index[move.level]:
        yield MachineFault("the parent is no outer level", level=move.parent, expected=f"a level outside {move.level}")
    elif (kinds[move.operand] == "write") == isinstance(move, Fill):
        yield MachineFault(
            f"{move.operand} is a {kinds[move.operand]} operand",
            level=move.level,
            expected="fill reads, open and drain psums",
        )
    elif loops.get(above, 0) > loops[at]:
        yield MachineFault(
            "more loops select the parent's tile than the child's",
            level=move.parent,
            expected=f"{loops[at]} loops at most",
        )
    elif depth < loops[at]:
        yield MachineFault(
            f"it stands inside {depth} loops", level=move.level, expected=f"{loops[at]} loops, which select the tile"
        )
    elif isinstance(move, Fill) and move.sweep and not _window(layer, move):
        yield MachineFault("a sweep of a region that does not slide", level=move.level, expected="a window")


def _window(layer: NestLayer, move: Fill) -> int:
    return next(r.window for r in layer.regions if (r.operand, r.level) == (move.operand, move.level))
