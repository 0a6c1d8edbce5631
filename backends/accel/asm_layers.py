"""Reads the layers of programs in their text form: nests with their settings and code, and ONNX nodes."""

from __future__ import annotations

from typing import Literal

from effc.backends.accel.asm_lines import Line, Lines
from effc.backends.accel.isa import (
    DimSetting,
    Drain,
    End,
    Epilogue,
    Fill,
    Give,
    Instruction,
    Loop,
    LoopDigit,
    Mac,
    MeshDigit,
    NestLayer,
    Open,
    OperandSetting,
    Region,
    Take,
    ZeroSetting,
)
from effc.ir.graph import NodeOp
from effc.ir.nest import Axis

LAYERS = ("nest", "vector", "host", "control")
"""The words that layers begin with."""


def parse_nest(lines: Lines) -> NestLayer:
    line = lines.next("nest")
    name = line.name()
    line.expect("op")
    op = line.name()
    line.expect("from")
    origin = line.name()
    line.finish()
    dims = []
    while lines.ahead() == "dim":
        dims.append(_dim(lines.rest.pop()))
    operands = []
    while lines.ahead() in ("read", "bias", "write"):
        operands.append(_operand(lines.rest.pop()))
    regions = []
    while lines.ahead() == "region":
        regions.append(_region(lines.rest.pop()))
    epilogue = _epilogue(lines) if lines.ahead() == "epilogue" else None
    code: list[Instruction] = []
    while lines.rest and lines.ahead() not in LAYERS and not lines.rest[-1].says("end", "body"):
        code.append(_instruction(lines.rest.pop()))
    return NestLayer(name, op, origin, tuple(dims), tuple(operands), tuple(regions), tuple(code), epilogue)


def parse_node(lines: Lines, word: str, where: Literal["vector", "host"]) -> NodeOp:
    line = lines.next(word)
    name = line.name()
    line.expect("op")
    op = line.name()
    line.finish()
    inputs, outputs, captures = (lines.next(word).names() for word in ("inputs", "outputs", "captures"))
    line = lines.next("domain")
    domain = line.name()
    line.expect("version")
    version = line.integer()
    line.finish()
    reason = lines.next("reason").name()
    node, context = lines.next("node").data(), lines.next("context").data()
    return NodeOp(name, op, inputs, outputs, node, domain, version, where, reason, captures, context)


def _epilogue(lines: Lines) -> Epilogue:
    line = lines.next("epilogue")
    tensor, dtype = line.name(), line.name()
    line.finish()
    steps = []
    while lines.ahead() == "step":
        steps.append(parse_node(lines, "step", "vector"))
    return Epilogue(tensor, dtype, tuple(steps))


def _dim(line: Line) -> DimSetting:
    line.expect("dim")
    name, bound = line.name(), line.integer()
    line.expect("=")
    digits: list[LoopDigit | MeshDigit] = []
    while not line.done():
        digits.append(_digit(line))
    return DimSetting(name, bound, tuple(digits))


def _operand(line: Line) -> OperandSetting:
    kind: Literal["read", "bias", "write"] = line.name()  # type: ignore[assignment]
    name, tensor = line.name(), line.name()
    line.expect("at")
    base = line.integer()
    line.expect("[")
    axes: list[Axis] = []
    strides: list[int] = []
    while not line.accept("]"):
        if axes:
            line.expect(",")
        axes.append(_axis(line))
        line.expect("@")
        strides.append(line.integer())
    zero = _zero(line) if line.accept("zero") else None
    line.finish()
    return OperandSetting(name, kind, tuple(axes), tensor, base, tuple(strides), zero)


def _region(line: Line) -> Region:
    line.expect("region")
    operand, level = line.name(), line.name()
    line.expect("at")
    base, extents = line.integer(), line.numbers()
    line.expect("loops")
    loops = line.integer()
    line.expect("window")
    window = line.integer()
    line.expect("buffers")
    buffers = line.integer()
    line.finish()
    return Region(level, operand, base, extents, loops, window, buffers)


def _zero(line: Line) -> ZeroSetting:
    tensor = line.name()
    line.expect("at")
    return ZeroSetting(tensor, line.integer(), line.numbers())


def _digit(line: Line) -> LoopDigit | MeshDigit:
    following = line.tokens[line.place + 1].text if line.place + 1 < len(line.tokens) else ""
    if following == "*":
        register = line.register()
        line.expect("*")
        return LoopDigit(register, line.integer())
    level = line.name()
    line.expect(".")
    axis = line.name()
    line.expect("/")
    stride = line.integer()
    line.expect("*")
    return MeshDigit(level, axis, stride, line.integer())


def _axis(line: Line) -> Axis:
    terms = []
    while True:
        number = line.integer()
        if not line.accept("*"):
            break
        terms.append((number, line.name()))
        line.expect("+")
    line.expect("<")
    return Axis(tuple(terms), number, line.integer())


def _instruction(line: Line) -> Instruction:
    instruction = _operation(line)
    line.finish()
    return instruction


def _operation(line: Line) -> Instruction:
    word = line.peek()
    if word not in ("loop", "end", "mac", "fill", "open", "drain", "take", "give"):
        line.fail("an instruction: `loop`, `end`, `fill`, `open`, `take`, `mac`, `give` or `drain`")
    line.place += 1
    if word == "loop":
        return Loop(line.register(), line.note)
    if word == "end":
        return End(line.note)
    if word == "mac":
        return Mac(line.note)
    operand, level = line.name(), line.name()
    if word in ("take", "give"):
        return Take(operand, level, line.note) if word == "take" else Give(operand, level, line.note)
    line.expect("to" if word == "drain" else "from")
    parent = line.name()
    if word == "fill":
        return Fill(operand, level, parent, line.accept("sweep"), line.note)
    return Open(operand, level, parent, line.note) if word == "open" else Drain(operand, level, parent, line.note)
