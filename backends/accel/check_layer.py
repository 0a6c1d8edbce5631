"""What a nest layer must obey before it runs; what breaks it is a fault of the program."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from effc.backends.accel.assembler import instruction_text
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import (
    MAX_BUFFERS,
    End,
    Fill,
    Give,
    Loop,
    LoopDigit,
    Mac,
    MeshDigit,
    Move,
    NestLayer,
    OperandSetting,
    Region,
    Take,
    Token,
)
from effc.backends.accel.limits import Limits, over_limits, over_size
from effc.compiler.target.model import Target
from effc.ir.epilogue_rules import is_elementwise

Faults = Iterator[MachineFault]


def check_layer(layer: NestLayer, target: Target, limits: Limits) -> None:
    """Raise the first fault of a layer."""
    for fault in _faults(layer, target, limits):
        fault.layer = layer.name
        if fault.pc >= 0:
            fault.instruction = instruction_text(layer.code[fault.pc])
        raise fault


def _faults(layer: NestLayer, target: Target, limits: Limits) -> Faults:
    yield from over_size(layer)
    yield from _dims(layer, target)
    yield from _operands(layer)
    yield from _mesh(layer, target)
    yield from _registers(layer)
    yield from _regions(layer, target)
    yield from _code(layer, target)
    yield from _epilogue(layer)
    yield from over_limits(layer, target, limits)


def _epilogue(layer: NestLayer) -> Faults:
    """Steps are elementwise, have one result, and read the sums or what a step before them made."""
    if layer.epilogue is None:
        return
    known = {layer.epilogue.tensor}
    made = {name for step in layer.epilogue.steps for name in step.outputs}
    for step in layer.epilogue.steps:
        if not is_elementwise(step) or step.captures or step.context:
            yield MachineFault(f"step {step.name} is a {step.op}", expected="an elementwise operator")
        if len(step.outputs) != 1 or not step.outputs[0] or step.outputs[0] in known:
            yield MachineFault(f"step {step.name} gives {list(step.outputs)}", expected="a tensor of its own")
        if not known.intersection(step.inputs) or (made - known).intersection(step.inputs):
            yield MachineFault(
                f"step {step.name} reads {', '.join(step.inputs)}",
                expected="the sums, or what a step before it makes",
            )
        known.update(step.outputs)


def _dims(layer: NestLayer, target: Target) -> Faults:
    axes = {(target.levels[i].name, axis.name) for i, axis in target.axes()}
    names = [dim.name for dim in layer.dims]
    if len(set(names)) < len(names):
        yield MachineFault("two dims have one name", expected="distinct names")
    for dim in layer.dims:
        extent = dim.bound
        for digit in dim.digits:
            if not 1 <= digit.step <= extent:
                yield MachineFault(
                    f"dim {dim.name}: step {digit.step} in a range of {extent}", expected="1 <= step <= range"
                )
            elif isinstance(digit, MeshDigit) and (digit.level, digit.axis) not in axes:
                yield MachineFault(
                    f"dim {dim.name}: there is no axis {digit.level}.{digit.axis}",
                    level=digit.level,
                    expected="an axis",
                )
            extent = digit.step
        if extent != 1 or dim.bound < 1:
            yield MachineFault(f"dim {dim.name}: the innermost digit has step {extent}", expected="step 1")


def _registers(layer: NestLayer) -> Faults:
    registers: list[int] = []
    for dim in layer.dims:
        own = [digit.register for digit in dim.digits if isinstance(digit, LoopDigit)]
        if own != sorted(set(own)):
            yield MachineFault(
                f"dim {dim.name}: its registers are not in order", expected="registers from the outermost in"
            )
        registers += own
    if sorted(registers) != list(range(len(registers))):
        yield MachineFault("a register counts no dim, or two", expected=f"t0 .. t{len(registers) - 1}, one dim each")


def _operands(layer: NestLayer) -> Faults:
    bounds = {dim.name: dim.bound for dim in layer.dims}
    kinds = [operand.kind for operand in layer.operands]
    names = [operand.name for operand in layer.operands]
    if kinds.count("read") not in (1, 2) or kinds.count("write") != 1 or kinds.count("bias") > 1:
        yield MachineFault("operands: " + ", ".join(kinds), expected="one or two reads, one write, at most one bias")
    if len(set(names)) < len(names):
        yield MachineFault("two operands have one name", expected="distinct names")
    for operand in layer.operands:
        used = [name for axis in operand.axes for name in axis.dims]
        if (
            len(set(used)) < len(used)
            or not bounds.keys() >= set(used)
            or any(coefficient < 1 for axis in operand.axes for coefficient, _ in axis.terms)
        ):
            yield MachineFault(
                f"operand {operand.name}: its axes are malformed",
                expected="every dim in one axis at most, times a positive number",
            )
        if operand.kind != "read":
            yield from _plain(operand, bounds)
    written = {name for o in layer.operands if o.kind == "write" for axis in o.axes for name in axis.dims}
    for operand in layer.operands:
        if operand.kind == "bias" and not written.issuperset(name for axis in operand.axes for name in axis.dims):
            yield MachineFault(f"operand {operand.name} has a dim of its own", expected="dims of the output")


def _plain(operand: OperandSetting, bounds: dict[str, int]) -> Faults:
    """An output or bias has no padding, and a word of it one index in each dim."""
    for axis in operand.axes:
        last = axis.offset + sum(coefficient * (bounds[name] - 1) for coefficient, name in axis.terms)
        if len(axis.terms) > 1 or axis.offset < 0 or last >= axis.size:
            yield MachineFault(
                f"operand {operand.name}: an axis of {len(axis.terms)} dims runs from {axis.offset} to {last}",
                expected=f"one dim at most, within 0 to {axis.size - 1}",
            )


def _mesh(layer: NestLayer, target: Target) -> Faults:
    """Instances: no two on one place, none beside the mesh, sums only where the mesh adds."""
    written = {name for o in layer.operands if o.kind == "write" for axis in o.axes for name in axis.dims}
    for position, axis in target.axes():
        level, span = target.levels[position].name, 1
        found: list[tuple[int, int, str]] = []
        for dim in layer.dims:
            extent = dim.bound
            for digit in dim.digits:
                if isinstance(digit, MeshDigit) and (digit.level, digit.axis) == (level, axis.name):
                    found.append((digit.stride, -(-extent // digit.step), dim.name))
                extent = digit.step
        for stride, trips, name in sorted(found):
            if trips > 1 and stride < span:
                yield MachineFault(
                    f"dim {name} puts instances {stride} apart on axis {axis.name}",
                    level=level,
                    expected=f"at least {span}: no two on one place",
                )
            if trips > 1 and name not in written and not axis.reduce:
                yield MachineFault(
                    f"dim {name} is summed along axis {axis.name}", level=level, expected="an axis that reduces"
                )
            span += stride * (trips - 1)
        if span > axis.size:
            names = ", ".join(name for _, _, name in found)
            yield MachineFault(
                f"dim {names} needs more instances than there are", level=level, expected=f"{axis.size} at most"
            )


def _regions(layer: NestLayer, target: Target) -> Faults:
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


def _code(layer: NestLayer, target: Target) -> Faults:
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
