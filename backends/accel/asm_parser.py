"""Reads the text form of programs, line by line; an error names its line and column."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Literal, NoReturn

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
    ZeroSetting,
    other_version,
)
from effc.ir.control_rules import DEEPEST
from effc.ir.errors import source_error
from effc.ir.graph import NodeOp
from effc.ir.nest import Axis

TOKEN = re.compile(r"""\s*(?:(?P<note>;.*)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>\w+)|(?P<sign>[^\s\w]))""", re.ASCII)

LAYERS = ("nest", "vector", "host", "control")
"""The words that layers begin with."""


def parse_program(text: str, filename: str = "program") -> Program:
    """The program that ``print_program`` printed."""
    return _Parser(text, filename).program()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


class _Line:
    """The tokens of one line, read from left to right."""

    def __init__(self, parser: _Parser, number: int, text: str) -> None:
        self.parser, self.number = parser, number
        self.tokens = [
            _Token(str(found.lastgroup), found[found.lastgroup or 0], found.start(found.lastgroup or 0) + 1)
            for found in TOKEN.finditer(text)
        ]
        self.note = ""
        if self.tokens and self.tokens[-1].kind == "note":
            self.note = self.tokens.pop().text[1:].strip()
        self.place = 0

    def fail(self, expected: str) -> NoReturn:
        token = self.tokens[self.place] if self.place < len(self.tokens) else None
        column = token.column if token else len(self.parser.lines[self.number - 1]) + 1
        found = repr(token.text) if token else "the end of the line"
        self.parser.fail(self.number, column, len(token.text) if token else 1, f"unexpected {found}", expected)

    def peek(self) -> str:
        return self.tokens[self.place].text if self.place < len(self.tokens) else ""

    def done(self) -> bool:
        return self.place >= len(self.tokens)

    def finish(self) -> None:
        if not self.done():
            self.fail("the end of the line")

    def expect(self, *words: str) -> None:
        for word in words:
            if self.peek() != word:
                self.fail(f"`{word}`")
            self.place += 1

    def says(self, *words: str) -> bool:
        """Whether these words are the line."""
        return [token.text for token in self.tokens] == [*words]

    def accept(self, word: str) -> bool:
        found = self.peek() == word
        self.place += found
        return found

    def number_(self) -> int:
        sign = -1 if self.accept("-") else 1
        text = self.peek()
        if not re.fullmatch(r"[0-9]{1,18}", text):
            self.fail("a number")
        self.place += 1
        return sign * int(text)

    def name(self) -> str:
        """An identifier or a JSON string."""
        token = self.tokens[self.place] if not self.done() else None
        if token is None or token.kind not in ("word", "string"):
            self.fail("a name")
        self.place += 1
        if token.kind == "word":
            return token.text
        try:
            text = str(json.loads(token.text))
            text.encode()
            return text
        except ValueError:
            self.place -= 1
            self.fail("a JSON string")

    def names(self) -> tuple[str, ...]:
        names = []
        while not self.done():
            names.append(self.name())
        return tuple(names)

    def numbers(self) -> tuple[int, ...]:
        """``[1, 2, 3]``."""
        self.expect("[")
        values: list[int] = []
        while not self.accept("]"):
            if values:
                self.expect(",")
            values.append(self.number_())
        return tuple(values)

    def register(self) -> int:
        found = re.fullmatch(r"t([0-9]{1,4})", self.peek())
        if not found:
            self.fail("a loop register")
        self.place += 1
        return int(found[1])

    def data(self) -> bytes:
        text = self.name()
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.place -= 1
            self.fail("base64")


class _Parser:
    def __init__(self, text: str, filename: str) -> None:
        self.text, self.filename = text, filename
        self.lines = text.split("\n")
        filled = [(number, line) for number, line in enumerate(self.lines, start=1) if line.strip()]
        self.rest = [_Line(self, number, line) for number, line in filled]
        self.rest = [line for line in self.rest if line.tokens]
        self.rest.reverse()

    def fail(self, line: int, column: int, length: int, message: str, expected: str) -> NoReturn:
        raise source_error(self.filename, self.text, line, column, length, message, expected)

    def ahead(self) -> str:
        return self.rest[-1].peek() if self.rest else ""

    def next(self, *words: str) -> _Line:
        """The next line, which begins with these words."""
        if not self.rest:
            self.fail(len(self.lines) + 1, 1, 1, "unexpected end of the program", f"`{' '.join(words)}`")
        line = self.rest.pop()
        line.expect(*words)
        return line

    def program(self) -> Program:
        line = self.next("effc")
        token, version = line.tokens[line.place :][:1], line.number_()
        line.finish()
        if version != VERSION:
            raise source_error(
                self.filename,
                self.text,
                line.number,
                token[0].column,
                len(token[0].text),
                *other_version(version),
            )
        program = self.body()
        if self.rest:
            self.rest[-1].fail("a layer")
        return program

    def body(self, depth: int = 0) -> Program:
        line = self.next("program")
        if depth > DEEPEST:
            line.fail(f"bodies up to {DEEPEST} deep in each other")
        name = line.name()
        line.expect("target")
        target = line.name()
        line.expect("word")
        word_bits = line.number_()
        line.finish()
        line = self.next("dram")
        words = line.number_()
        line.finish()
        slots = []
        while self.ahead() == "slot":
            slots.append(self.slot())
        inputs, outputs = (self.tensors(word) for word in ("input", "output"))
        layers: list[Layer] = []
        while self.rest and self.ahead() != "end":
            layers.append(self.layer(depth))
        return Program(name, target, word_bits, words, inputs, outputs, tuple(slots), tuple(layers))

    def tensors(self, word: str) -> tuple[str, ...]:
        names = []
        while self.ahead() == word:
            line = self.next(word)
            names.append(line.name())
            line.finish()
        return tuple(names)

    def slot(self) -> Slot:
        line = self.next("slot")
        name, dtype = line.name(), line.name()
        shape = None if line.accept("unknown") else line.numbers()
        address = None
        if not line.accept("host"):
            line.expect("at")
            address = line.number_()
        within, strides = "", tuple[int, ...]()
        if line.accept("in"):
            within = line.name()
            line.expect("strides")
            strides = line.numbers()
        constant = line.accept("constant")
        line.expect("layers")
        first = line.number_()
        line.expect("to")
        last = line.number_()
        line.finish()
        return Slot(name, dtype, shape, address, constant, first, last, within, strides)

    def layer(self, depth: int = 0) -> Layer:
        if self.ahead() == "nest":
            return self.nest()
        if self.ahead() == "control":
            return self.control(depth)
        for where in ("vector", "host"):
            if self.ahead() == where:
                return NodeLayer(self.node(where, where))
        return self.rest[-1].fail("`nest`, `vector`, `host` or `control`")

    def control(self, depth: int) -> ControlLayer:
        node, bodies = self.node("control", "host"), []
        while self.ahead() == "body":
            self.next("body").finish()
            bodies.append(self.body(depth + 1))
            self.next("end", "body").finish()
        return ControlLayer(node, tuple(bodies))

    def node(self, word: str, where: Literal["vector", "host"]) -> NodeOp:
        line = self.next(word)
        name = line.name()
        line.expect("op")
        op = line.name()
        line.finish()
        inputs, outputs, captures = (self.next(word).names() for word in ("inputs", "outputs", "captures"))
        line = self.next("domain")
        domain = line.name()
        line.expect("version")
        version = line.number_()
        line.finish()
        reason = self.next("reason").name()
        node, context = self.next("node").data(), self.next("context").data()
        return NodeOp(name, op, inputs, outputs, node, domain, version, where, reason, captures, context)

    def nest(self) -> NestLayer:
        line = self.next("nest")
        name = line.name()
        line.expect("op")
        op = line.name()
        line.expect("from")
        origin = line.name()
        line.finish()
        dims = []
        while self.ahead() == "dim":
            dims.append(self.dim())
        operands = []
        while self.ahead() in ("read", "bias", "write"):
            operands.append(self.operand())
        regions = []
        while self.ahead() == "region":
            regions.append(self.region())
        epilogue = self.epilogue() if self.ahead() == "epilogue" else None
        code: list[Instruction] = []
        while self.rest and self.ahead() not in LAYERS and not self.rest[-1].says("end", "body"):
            code.append(_instruction(self.rest.pop()))
        return NestLayer(name, op, origin, tuple(dims), tuple(operands), tuple(regions), tuple(code), epilogue)

    def epilogue(self) -> Epilogue:
        line = self.next("epilogue")
        tensor, dtype = line.name(), line.name()
        line.finish()
        steps = []
        while self.ahead() == "step":
            steps.append(self.node("step", "vector"))
        return Epilogue(tensor, dtype, tuple(steps))

    def dim(self) -> DimSetting:
        line = self.next("dim")
        name, bound = line.name(), line.number_()
        line.expect("=")
        digits: list[LoopDigit | MeshDigit] = []
        while not line.done():
            digits.append(_digit(line))
        return DimSetting(name, bound, tuple(digits))

    def operand(self) -> OperandSetting:
        line = self.rest.pop()
        kind: Literal["read", "bias", "write"] = line.name()  # type: ignore[assignment]
        name, tensor = line.name(), line.name()
        line.expect("at")
        base = line.number_()
        line.expect("[")
        axes: list[Axis] = []
        strides: list[int] = []
        while not line.accept("]"):
            if axes:
                line.expect(",")
            axes.append(_axis(line))
            line.expect("@")
            strides.append(line.number_())
        zero = _zero(line) if line.accept("zero") else None
        line.finish()
        return OperandSetting(name, kind, tuple(axes), tensor, base, tuple(strides), zero)

    def region(self) -> Region:
        line = self.next("region")
        operand, level = line.name(), line.name()
        line.expect("at")
        base, extents = line.number_(), line.numbers()
        line.expect("loops")
        loops = line.number_()
        line.expect("window")
        window = line.number_()
        line.expect("buffers")
        buffers = line.number_()
        line.finish()
        return Region(level, operand, base, extents, loops, window, buffers)


def _zero(line: _Line) -> ZeroSetting:
    tensor = line.name()
    line.expect("at")
    return ZeroSetting(tensor, line.number_(), line.numbers())


def _digit(line: _Line) -> LoopDigit | MeshDigit:
    following = line.tokens[line.place + 1].text if line.place + 1 < len(line.tokens) else ""
    if following == "*":
        register = line.register()
        line.expect("*")
        return LoopDigit(register, line.number_())
    level = line.name()
    line.expect(".")
    axis = line.name()
    line.expect("/")
    stride = line.number_()
    line.expect("*")
    return MeshDigit(level, axis, stride, line.number_())


def _axis(line: _Line) -> Axis:
    terms = []
    while True:
        number = line.number_()
        if not line.accept("*"):
            break
        terms.append((number, line.name()))
        line.expect("+")
    line.expect("<")
    return Axis(tuple(terms), number, line.number_())


def _instruction(line: _Line) -> Instruction:
    instruction = _operation(line)
    line.finish()
    return instruction


def _operation(line: _Line) -> Instruction:
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
