"""Reads the text form of programs, line by line."""

from __future__ import annotations

from effc.backends.accel.asm_layers import parse_nest, parse_node
from effc.backends.accel.asm_lines import Lines
from effc.backends.accel.isa import VERSION, ControlLayer, Layer, NodeLayer, Program, Slot, other_version
from effc.ir.control_rules import DEEPEST
from effc.ir.errors import source_error


def parse_program(text: str, filename: str = "program") -> Program:
    """The program that ``print_program`` printed."""
    return _Parser(text, filename).program()


class _Parser(Lines):
    def program(self) -> Program:
        line = self.next("effc")
        token, version = line.tokens[line.place :][:1], line.integer()
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
        word_bits = line.integer()
        line.finish()
        line = self.next("dram")
        words = line.integer()
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
            address = line.integer()
        within, strides = "", tuple[int, ...]()
        if line.accept("in"):
            within = line.name()
            line.expect("strides")
            strides = line.numbers()
        constant = line.accept("constant")
        line.expect("layers")
        first = line.integer()
        line.expect("to")
        last = line.integer()
        line.finish()
        return Slot(name, dtype, shape, address, constant, first, last, within, strides)

    def layer(self, depth: int = 0) -> Layer:
        if self.ahead() == "nest":
            return parse_nest(self)
        if self.ahead() == "control":
            return self.control(depth)
        for where in ("vector", "host"):
            if self.ahead() == where:
                return NodeLayer(parse_node(self, where, where))
        return self.rest[-1].fail("`nest`, `vector`, `host` or `control`")

    def control(self, depth: int) -> ControlLayer:
        node, bodies = parse_node(self, "control", "host"), []
        while self.ahead() == "body":
            self.next("body").finish()
            bodies.append(self.body(depth + 1))
            self.next("end", "body").finish()
        return ControlLayer(node, tuple(bodies))
