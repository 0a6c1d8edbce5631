"""Programs as text: ``print_program``; ``parse_program`` gives the same program back.

A line holds one thing; two spaces indent the layers' content and once more the body of every loop. Names that are no
plain identifiers are JSON strings; what stands behind ``;`` is a note.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

from effc.backends.accel.isa import (
    VERSION,
    ControlLayer,
    DimSetting,
    Drain,
    End,
    Epilogue,
    Fill,
    Give,
    Instruction,
    Layer,
    Loop,
    LoopDigit,
    Mac,
    MeshDigit,
    NestLayer,
    NodeLayer,
    Open,
    OperandSetting,
    Program,
    Region,
    Slot,
    Take,
)
from effc.ir.graph import NodeOp
from effc.ir.nest import Axis

NOTE_COLUMN = 48


def print_program(program: Program) -> str:
    """The whole program."""
    return "\n".join(_program_lines(program)) + "\n"


def print_layer(layer: Layer) -> str:
    """One layer."""
    return "\n".join(_layer_lines(layer)) + "\n"


def instruction_text(instruction: Instruction) -> str:
    """``fill I GLB from DRAM sweep``, without its note."""
    match instruction:
        case Loop(register):
            return f"loop t{register}"
        case End():
            return "end"
        case Fill(operand, level, parent, sweep):
            return f"fill {_name(operand)} {_name(level)} from {_name(parent)}" + " sweep" * sweep
        case Open(operand, level, parent):
            return f"open {_name(operand)} {_name(level)} from {_name(parent)}"
        case Drain(operand, level, parent):
            return f"drain {_name(operand)} {_name(level)} to {_name(parent)}"
        case Take(operand, level):
            return f"take {_name(operand)} {_name(level)}"
        case Give(operand, level):
            return f"give {_name(operand)} {_name(level)}"
        case Mac():
            return "mac"


def _program_lines(program: Program) -> Iterator[str]:
    yield f"effc {VERSION}"
    yield from _body_lines(program)


def _body_lines(program: Program) -> Iterator[str]:
    yield f"program {_quoted(program.name)} target {_quoted(program.target)} word {program.word_bits}"
    yield f"dram {program.dram_words}"
    yield from (_slot(slot) for slot in program.slots)
    yield from (f"input {_quoted(name)}" for name in program.inputs)
    yield from (f"output {_quoted(name)}" for name in program.outputs)
    for layer in program.layers:
        yield ""
        yield from _layer_lines(layer)


def _slot(slot: Slot) -> str:
    shape = "unknown" if slot.shape is None else str(list(slot.shape))
    place = "host" if slot.address is None else f"at {slot.address}"
    constant = " constant" if slot.constant else ""
    part = f" in {_quoted(slot.within)} strides {list(slot.strides)}" if slot.within else ""
    life = f"layers {slot.first} to {slot.last}"
    return f"slot {_quoted(slot.name)} {_quoted(slot.dtype)} {shape} {place}{part}{constant} {life}"


def _layer_lines(layer: Layer) -> Iterator[str]:
    if isinstance(layer, NodeLayer):
        yield from _node_lines(layer.node, layer.node.where)
        return
    if isinstance(layer, ControlLayer):
        yield from _node_lines(layer.node, "control")
        for body in layer.bodies:
            yield "  body"
            yield from (f"  {line}" if line else line for line in _body_lines(body))
            yield "  end body"
        return
    yield f"nest {_quoted(layer.name)} op {_quoted(layer.op)} from {_quoted(layer.origin)}"
    yield from (f"  {_dim(dim)}" for dim in layer.dims)
    yield from (f"  {_operand(operand)}" for operand in layer.operands)
    yield from (f"  {_region(region)}" for region in layer.regions)
    if layer.epilogue is not None:
        yield from (f"  {line}" for line in _epilogue_lines(layer.epilogue))
    yield from _code_lines(layer)


def _code_lines(layer: NestLayer) -> Iterator[str]:
    depth = 1
    for instruction in layer.code:
        depth -= isinstance(instruction, End)
        line = "  " * depth + instruction_text(instruction)
        yield f"{line:<{NOTE_COLUMN}}; {instruction.note}" if instruction.note else line
        depth += isinstance(instruction, Loop)


def _epilogue_lines(epilogue: Epilogue) -> Iterator[str]:
    yield f"epilogue {_quoted(epilogue.tensor)} {_quoted(epilogue.dtype)}"
    for step in epilogue.steps:
        yield from _node_lines(step, "step")


def _node_lines(node: NodeOp, word: str) -> Iterator[str]:
    yield f"{word} {_quoted(node.name)} op {_quoted(node.op)}"
    yield "  inputs" + "".join(f" {_quoted(name)}" for name in node.inputs)
    yield "  outputs" + "".join(f" {_quoted(name)}" for name in node.outputs)
    yield "  captures" + "".join(f" {_quoted(name)}" for name in node.captures)
    yield f"  domain {_quoted(node.domain)} version {node.version}"
    yield f"  reason {_quoted(node.reason)}"
    yield f"  node {_bytes(node.node)}"
    yield f"  context {_bytes(node.context)}"


def _dim(dim: DimSetting) -> str:
    digits = "".join(f" {_digit(digit)}" for digit in dim.digits)
    return f"dim {_name(dim.name)} {dim.bound} ={digits}"


def _digit(digit: LoopDigit | MeshDigit) -> str:
    if isinstance(digit, LoopDigit):
        return f"t{digit.register}*{digit.step}"
    return f"{_name(digit.level)}.{_name(digit.axis)}/{digit.stride}*{digit.step}"


def _operand(operand: OperandSetting) -> str:
    axes = ", ".join(f"{_axis(axis)} @ {stride}" for axis, stride in zip(operand.axes, operand.strides))
    line = f"{operand.kind} {_name(operand.name)} {_quoted(operand.tensor)} at {operand.base} [{axes}]"
    if operand.zero is None:
        return line
    return f"{line} zero {_quoted(operand.zero.tensor)} at {operand.zero.base} {list(operand.zero.strides)}"


def _axis(axis: Axis) -> str:
    terms = [f"{coefficient}*{_name(dim)}" for coefficient, dim in axis.terms]
    return " + ".join([*terms, str(axis.offset)]) + f" < {axis.size}"


def _region(region: Region) -> str:
    line = f"region {_name(region.operand)} {_name(region.level)} at {region.base} {list(region.extents)}"
    return line + f" loops {region.loops} window {region.window} buffers {region.buffers}"


def _quoted(text: str) -> str:
    return json.dumps(text)


def _name(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII) else _quoted(text)


def _bytes(data: bytes) -> str:
    return _quoted(base64.b64encode(data).decode("ascii"))
