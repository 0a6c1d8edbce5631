"""Python for the statements of a function."""

from __future__ import annotations

from effc.compiler.search.translated.calls import Calls
from effc.compiler.search.translated.facts import Facts
from effc.compiler.search.translated.records import at, made, named, several
from effc.compiler.search.translated.shapes import VIEW, Shape, Shapes
from effc.compiler.search.translated.tree import (
    Assign,
    Block,
    Break,
    Call,
    Comma,
    Conditional,
    Continue,
    Convert,
    Declare,
    Definition,
    Effect,
    Expression,
    If,
    LibraryCall,
    Literal,
    Loop,
    Return,
    Statement,
    Step,
    Update,
    Var,
    Variable,
)
from effc.compiler.search.translated.types import VOID, Array, Pointer, Struct, Type


class Writer(Calls):
    """Writes one function."""

    def __init__(self, function: Definition, shapes: Shapes, facts: Facts) -> None:
        super().__init__(shapes, facts)
        self.function = function
        self.steps: list[Loop | None] = []  # of the loops around: those whose step is still to be taken
        self.names |= {variable.name for variable in function.parameters}

    def lines_of(self) -> list[str]:
        function, body = self.function, self.function.body
        assert body is not None
        names = [name for parameter in function.parameters for name in self.parameter(parameter)]
        self.emit(f"def {named(function.name)}({', '.join(names)}):")
        self.depth += 1
        self.emit(f"# {body.line}")
        for parameter in function.parameters:
            self.received(parameter)
        self.depth -= 1
        self.inside(body)
        return self.lines

    def parameter(self, variable: Variable) -> list[str]:
        name = named(variable.name)
        return [name, at(name)] if self.viewed(variable) else [name]

    def viewed(self, variable: Variable) -> bool:
        shape = self.shapes.place(variable)
        return isinstance(variable.type, Pointer) and shape is not None and shape.kind == VIEW

    def received(self, variable: Variable) -> None:
        name = named(variable.name)
        if isinstance(variable.type, Struct):
            if not self.facts.kept(variable, self.function):
                self.emit(f"{name} = {name}.copy_()")
        elif variable.boxed:
            self.emit(f"{name} = [({name}, {at(name)})]" if self.viewed(variable) else f"{name} = [{name}]")

    def statement(self, s: Statement) -> None:
        if isinstance(s, Block):
            for each in s.statements:
                self.statement(each)
        elif isinstance(s, Effect):
            self.effect(s.expression)
            self.settle()
        elif isinstance(s, Declare):
            self.declare(s.variable, s.value)
            self.settle()
        elif isinstance(s, If):
            self.branch(s.condition, s.yes, s.no)
        elif isinstance(s, Loop):
            self.loop(s)
        elif isinstance(s, Return):
            self.give_back(s.value)
        elif isinstance(s, Break):
            self.emit("break")
        elif isinstance(s, Continue):
            loop = self.steps[-1]
            if loop is not None:
                self.stepped(loop)
            self.emit("continue")

    # effects

    def effect(self, e: Expression) -> None:
        """Evaluates an expression whose value nobody wants."""
        if isinstance(e, Assign):
            self.assign(e)
        elif isinstance(e, Update):
            self.update(e)
        elif isinstance(e, Step):
            self.step(e)
        elif isinstance(e, Comma):
            self.effect(e.first)
            self.settle()
            self.effect(e.second)
        elif isinstance(e, Conditional):
            self.branch(e.condition, Effect("", e.yes), Effect("", e.no))
        elif isinstance(e, Convert) and e.type == VOID:
            self.effect(e.operand)
        elif isinstance(e, Call):
            self.emit(self.called(e))
        elif isinstance(e, LibraryCall):
            self.library_effect(e)
        elif isinstance(e.type, Pointer):
            self.pointer(e)
        else:
            self.emit(self.value(e))

    def declare(self, variable: Variable, value: Expression | None) -> None:
        name, shape = named(variable.name), self.shapes.place(variable)
        self.names.add(variable.name)
        if isinstance(variable.type, Array):
            if isinstance(value, Literal):
                self.emit(f"{name} = {self.array(value, variable.type, shape)}")
            else:
                self.emit(f"{name} = {made(variable.type, shape, False)}")
        elif isinstance(variable.type, Struct):
            self.emit(f"{name} = {made(variable.type, shape, False) if value is None else self.copied(value)}")
        elif variable.boxed:
            fresh = made(variable.type, shape, False) if value is None else self.cell(value, shape)
            self.emit(f"{name} = [{fresh}]")
        elif isinstance(variable.type, Pointer):
            if value is None:
                self.emit(f"{name} = {at(name)} = None" if self.viewed(variable) else f"{name} = None")
            else:
                self.store_pointer(Var(variable.type, variable), value)
        elif value is None:
            self.emit(f"{name} = None")
        else:
            self.emit(f"{name} = {self.value(value)}")

    # control

    def branch(self, condition: Expression, yes: Statement, no: Statement | None) -> None:
        self.emit(f"if {self.settled(self.truth(condition))}:")
        self.inside(yes)
        if isinstance(no, Statement):
            self.emit("else:")
            self.inside(no)

    def inside(self, s: Statement) -> None:
        self.depth += 1
        before = len(self.lines)
        self.statement(s)
        if len(self.lines) == before:
            self.emit("pass")
        self.depth -= 1

    def loop(self, s: Loop) -> None:
        if self.counted(s):
            return
        for each in s.start:
            self.statement(each)
        condition, lines = self.condition(s)
        self.emit(f"while {'True' if lines else condition}:")
        self.lines += lines
        self.depth += 1
        if lines:
            self.emit(f"if not {condition}: break")
        self.depth -= 1
        self.steps.append(s)
        self.inside(s.body)
        self.depth += 1
        self.stepped(s)
        self.depth -= 1
        self.steps.pop()

    def condition(self, s: Loop) -> tuple[str, list[str]]:
        """What has to hold before each turn, and what is done to know it."""
        if s.late or s.condition is None:
            return "True", []
        with self.apart() as lines:
            self.depth += 1
            condition = self.settled(self.truth(s.condition))
            self.depth -= 1
        return condition, lines

    def stepped(self, s: Loop) -> None:
        """What comes before the next turn."""
        if s.late:
            assert s.condition is not None
            self.emit(f"if not {self.settled(self.truth(s.condition))}: break")
        elif s.step is not None:
            self.effect(s.step)
            self.settle()

    def counted(self, s: Loop) -> bool:
        """Writes a loop over a range, if it is one: nothing changes its end, or the variable, but the step."""
        found = self.facts.range_of(s)
        if found is None:
            return False
        for each in s.start:
            if isinstance(each, Declare) and each.variable is not found.variable:
                self.statement(each)
        self.names.add(found.variable.name)
        start, end = self.settled(self.value(found.first)), self.settled(self.value(found.compare.right))
        end = {"<": end, ">": end, "<=": plus(end, 1), ">=": plus(end, -1)}[found.compare.operator]
        span = f"{start}, {end}, {found.by}" if found.by != 1 else end if start == "0" else f"{start}, {end}"
        self.emit(f"for {named(found.variable.name)} in range({span}):")
        self.depth += 1
        for test in found.tests:
            self.emit(f"if not {self.settled(self.truth(test))}: break")
        self.depth -= 1
        self.steps.append(None)
        self.inside(s.body)
        self.steps.pop()
        return True

    def give_back(self, value: Expression | None) -> None:
        if value is None or value.type == VOID:
            if value is not None:
                self.effect(value)
                self.settle()
            self.emit("return")
        elif isinstance(value, Conditional):
            self.branch(value.condition, Return("", value.yes), Return("", value.no))
        elif isinstance(value, Comma):
            self.effect(value.first)
            self.settle()
            self.give_back(value.second)
        elif isinstance(value.type, Pointer):
            shape = self.shapes.place(self.function)
            assert shape is not None
            parts = self.in_shape(value, shape)
            if self.posts:
                parts = [self.saved(part) for part in parts]
                self.settle()
            self.emit(f"return {', '.join(parts)}")
        elif isinstance(value.type, Struct):
            self.emit(f"return {self.settled(self.copied(value))}")
        else:
            self.emit(f"return {self.settled(self.value(value))}")

    # values of arrays

    def array(self, value: Literal, kind: Array, shape: Shape | None) -> str:
        given = value.values
        while given and given[-1] is None:
            given = given[:-1]
        rest = len(value.values) - len(given)
        zeros = several(kind.element, shape, True, str(rest), False) if rest else ""
        first = ", ".join(self.item(each, kind.element, shape) for each in given)
        return f"[{first}] + {zeros}" if zeros and given else zeros or f"[{first}]"

    def item(self, value: Expression | None, kind: Type, shape: Shape | None) -> str:
        if value is None:
            return made(kind, shape, True)
        if isinstance(kind, Array):
            assert isinstance(value, Literal)
            return self.array(value, kind, shape)
        if isinstance(kind, Struct):
            return self.copied(value)
        return self.cell(value, shape)


def plus(text: str, number: int) -> str:
    return str(int(text) + number) if text.isdigit() else f"{text} {'+' if number > 0 else '-'} {abs(number)}"
