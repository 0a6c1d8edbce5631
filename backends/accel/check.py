"""What a program must obey before it runs; what breaks it is a fault of the program."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import (
    Drain,
    End,
    Fill,
    Loop,
    LoopDigit,
    Mac,
    MeshDigit,
    Move,
    NestLayer,
    NodeLayer,
    Open,
    Program,
    Region,
    Slot,
)
from effc.compiler.target.model import Target

MOVES = (Fill, Open, Drain)


def check_program(program: Program, target: Target) -> None:
    """Raise the first fault of what a program declares: its target, its tensors, and where its layers find them."""
    if (program.target, program.word_bits) != (target.name, target.word_bits):
        raise MachineFault(
            f"the program is for {program.target}, {program.word_bits} bit",
            expected=f"a program for {target.name}, {target.word_bits} bit",
        )
    for message, expected in _tensors(program):
        raise MachineFault(message, level=target.levels[0].name, expected=expected)


def _tensors(program: Program) -> Iterator[tuple[str, str]]:
    slots = {slot.name: slot for slot in program.slots}
    if len(slots) < len(program.slots):
        yield "two slots have one name", "distinct names"
    for slot in program.slots:
        if slot.address is None:
            continue
        if slot.shape is None or min(slot.shape, default=0) < 0:
            yield f"slot {slot.name} is in DRAM without a shape", "a known shape, or a place with the host"
        elif slot.address < 0 or slot.address + prod(slot.shape) > program.dram_words:
            yield f"slot {slot.name} does not fit", f"{program.dram_words} words at most"
    for layer in program.layers:
        if isinstance(layer, NodeLayer):
            node = layer.node
            names = [name for name in (*node.inputs, *node.outputs, *node.captures) if name]
        else:
            names = [operand.tensor for operand in layer.operands]
            yield from _in_dram(layer, slots, program.dram_words)
        for name in names:
            if name not in slots:
                yield f"layer {layer.name} uses {name}", "a tensor that has a slot"
    for name in (*program.inputs, *program.outputs):
        if name not in slots:
            yield f"the program has no tensor {name}", "a tensor that has a slot"


def _in_dram(layer: NestLayer, slots: dict[str, Slot], words: int) -> Iterator[tuple[str, str]]:
    for operand in layer.operands:
        if operand.tensor in slots and slots[operand.tensor].address is None:
            yield f"layer {layer.name} uses {operand.tensor}", "a tensor in DRAM"
        steps = [stride * (axis.size - 1) for axis, stride in zip(operand.axes, operand.strides)]
        first = operand.base + sum(step for step in steps if step < 0)
        last = operand.base + sum(step for step in steps if step > 0)
        if first < 0 or last >= words or min((axis.size for axis in operand.axes), default=1) < 1:
            yield f"operand {operand.name} of layer {layer.name} lies at {first} to {last}", f"0 to {words - 1}"


def check_layer(layer: NestLayer, target: Target) -> None:
    """Raise the first fault of a layer."""
    for message, level, expected in _problems(layer, target):
        raise MachineFault(message, layer.name, level=level, expected=expected)


Problem = tuple[str, str, str]


def _problems(layer: NestLayer, target: Target) -> Iterator[Problem]:
    yield from _dims(layer, target)
    yield from _operands(layer)
    yield from _regions(layer, target)
    yield from _code(layer, target)


def _dims(layer: NestLayer, target: Target) -> Iterator[Problem]:
    axes = {(target.levels[i].name, axis.name): axis.size for i, axis in target.axes()}
    registers: list[int] = []
    for dim in layer.dims:
        extent = dim.bound
        for digit in dim.digits:
            if not 1 <= digit.step <= extent:
                yield f"dim {dim.name}: step {digit.step} in a range of {extent}", "", "1 <= step <= range"
            elif isinstance(digit, MeshDigit):
                if (digit.level, digit.axis) not in axes:
                    yield f"dim {dim.name}: there is no axis {digit.level}.{digit.axis}", digit.level, "an axis"
                elif (-(-extent // digit.step) - 1) * digit.stride >= axes[digit.level, digit.axis]:
                    size = axes[digit.level, digit.axis]
                    yield f"dim {dim.name} needs more instances than there are", digit.level, f"{size} at most"
            extent = digit.step
        if extent != 1 or dim.bound < 1:
            yield f"dim {dim.name}: the innermost digit has step {extent}", "", "step 1"
        own = [digit.register for digit in dim.digits if isinstance(digit, LoopDigit)]
        if own != sorted(set(own)):
            yield f"dim {dim.name}: its registers are not in order", "", "registers from the outermost in"
        registers += own
    if sorted(registers) != list(range(len(registers))):
        yield "a register counts no dim, or two", "", f"t0 .. t{len(registers) - 1}, one dim each"


def _operands(layer: NestLayer) -> Iterator[Problem]:
    dims = {dim.name for dim in layer.dims}
    kinds = [operand.kind for operand in layer.operands]
    names = [operand.name for operand in layer.operands]
    if kinds.count("read") not in (1, 2) or kinds.count("write") != 1 or kinds.count("bias") > 1:
        yield "operands: " + ", ".join(kinds), "", "one or two reads, one write, at most one bias"
    if len(set(names)) < len(names):
        yield "two operands have one name", "", "distinct names"
    for operand in layer.operands:
        used = [name for axis in operand.axes for name in axis.dims]
        if len(set(used)) < len(used) or not dims.issuperset(used) or len(operand.axes) != len(operand.strides):
            yield (
                f"operand {operand.name}: its axes are malformed",
                "",
                "every dim in one axis at most, one stride each",
            )


def _regions(layer: NestLayer, target: Target) -> Iterator[Problem]:
    operands = {operand.name: operand for operand in layer.operands}
    registers = {d.register: dim.name for dim in layer.dims for d in dim.digits if isinstance(d, LoopDigit)}
    seen: set[tuple[str, str]] = set()
    for region in layer.regions:
        name = f"region of {region.operand} at {region.level}"
        if region.level not in target.index or target.index[region.level] == 0 or region.operand not in operands:
            yield f"{name}: no such place or operand", region.level, "a level on chip and an operand"
            continue
        if (region.operand, region.level) in seen:
            yield f"{name}: given twice", region.level, "one region"
        seen.add((region.operand, region.level))
        if target.level(region.level).bank(region.operand) is None:
            yield f"{name}: the level cannot hold it", region.level, "a bank for it"
        if len(region.extents) != len(operands[region.operand].axes) or min(region.extents, default=1) < 0:
            yield f"{name}: extents {list(region.extents)}", region.level, "one for each axis"
        if not 0 <= region.window <= region.loops <= len(registers) or region.base < 0:
            yield f"{name}: loops {region.loops} window {region.window}", region.level, "window <= loops <= registers"
            continue
        slides = {registers[register] for register in range(region.loops - region.window, region.loops)}
        used = {dim for axis in operands[region.operand].axes for dim in axis.dims}
        if len(slides) > 1 or not slides <= used:
            yield f"{name}: slides along {', '.join(sorted(slides))}", region.level, "one dim of the operand"
    for level in target.levels[1:]:
        for bank in level.banks:
            mine = [r for r in layer.regions if r.level == level.name and r.operand in bank.operands]
            usable = None if bank.bits is None else bank.bits // (2 if level.double_buffered else 1)
            yield from _layout(mine, level.name, None if usable is None else usable // target.word_bits)


def _layout(regions: list[Region], level: str, words: int | None) -> Iterator[Problem]:
    """Regions of one bank lie side by side inside it."""
    end = 0
    for region in sorted(regions, key=lambda region: (region.base, prod(region.extents))):
        if region.base < end:
            yield f"the region of {region.operand} overlaps another one", level, f"a base of at least {end}"
        end = region.base + prod(region.extents)
    if words is not None and end > words:
        yield f"the regions need {end} words", level, f"{words} words at most"


def _code(layer: NestLayer, target: Target) -> Iterator[Problem]:
    registers = sum(isinstance(digit, LoopDigit) for dim in layer.dims for digit in dim.digits)
    loops = {(region.operand, region.level): region.loops for region in layer.regions}
    needed = max(loops.values(), default=0)
    depth = 0
    for pc, instruction in enumerate(layer.code):
        if isinstance(instruction, Loop):
            if instruction.register != depth or depth >= registers:
                yield f"instruction {pc}: loop t{instruction.register}", "", f"t{depth}: loops nest in order"
            depth += 1
        elif isinstance(instruction, End):
            depth -= 1
            if depth < 0:
                yield f"instruction {pc}: end without loop", "", "a loop for every end"
        elif isinstance(instruction, Mac):
            if depth < needed:
                yield f"instruction {pc}: mac inside {depth} loops", "", f"{needed} loops, which select its tiles"
        else:
            yield from _move(layer, target, loops, instruction, pc, depth)
    if depth:
        yield "a loop has no end", "", "an end for every loop"


def _move(
    layer: NestLayer, target: Target, loops: dict[tuple[str, str], int], move: Move, pc: int, depth: int
) -> Iterator[Problem]:
    place = f"instruction {pc}"
    kinds = {operand.name: operand.kind for operand in layer.operands}
    at = (move.operand, move.level)
    outermost = target.levels[0].name
    if at not in loops:
        yield f"{place}: {move.operand} has no region there", move.level, "a region"
    elif move.parent != outermost and (move.operand, move.parent) not in loops:
        yield f"{place}: {move.operand} has no region there", move.parent, "a region"
    elif target.index[move.parent] >= target.index[move.level]:
        yield f"{place}: the parent is no outer level", move.parent, f"a level outside {move.level}"
    elif (kinds[move.operand] == "write") == isinstance(move, Fill):
        yield (
            f"{place}: {move.operand} is a {kinds[move.operand]} operand",
            move.level,
            "fill reads, open and drain psums",
        )
    elif loops.get((move.operand, move.parent), 0) > loops[at]:
        yield (
            f"{place}: more loops select the parent's tile than the child's",
            move.parent,
            f"{loops[at]} loops at most",
        )
    elif depth < loops[at]:
        yield f"{place}: it stands inside {depth} loops", move.level, f"{loops[at]} loops, which select the tile"
    elif isinstance(move, Fill) and move.sweep and not _window(layer, move):
        yield f"{place}: a sweep of a region that does not slide", move.level, "a window"


def _window(layer: NestLayer, move: Fill) -> int:
    return next(r.window for r in layer.regions if (r.operand, r.level) == (move.operand, move.level))
