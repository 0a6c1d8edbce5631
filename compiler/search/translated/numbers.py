"""Python for expressions that are numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from effc.compiler.search.translated.facts import Facts
from effc.compiler.search.translated.inline import TooLate
from effc.compiler.search.translated.records import named
from effc.compiler.search.translated.shapes import Shapes
from effc.compiler.search.translated.tree import (
    Assign,
    Binary,
    Comma,
    Compare,
    Conditional,
    Const,
    Convert,
    Difference,
    Expression,
    Logic,
    Not,
    Step,
    Unary,
    Update,
    Var,
    Variable,
    integer,
)
from effc.compiler.search.translated.types import Double, Integer, Pointer, Struct

STABLE = re.compile(r"-?[\d.]+(e[+-]?\d+)?|[A-Za-z_]\w*")


def stable(text: str) -> bool:
    """Whether it costs nothing to evaluate this twice."""
    return STABLE.fullmatch(text) is not None


class Numbers:
    """Writes expressions: what has to be done first is emitted, what may be done last kept in `posts`."""

    def __init__(self, shapes: Shapes, facts: Facts) -> None:
        self.shapes, self.facts = shapes, facts
        self.lines: list[str] = []
        self.posts: list[str] = []
        self.names: set[str] = set()
        self.bindings: dict[Variable, Binding] = {}  # of the parameters of a function that is written here
        self.depth = self.temporaries = self.perhaps = 0

    # of other parts of the writer

    def effect(self, e: Expression) -> None:
        raise NotImplementedError

    def place(self, e: Expression, twice: bool = False) -> str:
        """The target of an assignment; ``twice``: it is also read."""
        raise NotImplementedError

    def number(self, e: Expression) -> str:
        """Those that are not arithmetic: calls, variables, fields and elements."""
        raise NotImplementedError

    def is_null(self, e: Expression) -> str:
        raise NotImplementedError

    def equal(self, e: Compare) -> str:
        raise NotImplementedError

    def difference(self, e: Difference | Compare) -> tuple[str, str]:
        raise NotImplementedError

    def object(self, e: Expression) -> str:
        raise NotImplementedError

    # lines

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """Collects what is emitted meanwhile."""
        lines, self.lines = self.lines, []
        posts, self.posts = self.posts, []
        try:
            yield self.lines
        finally:
            self.lines, self.posts = lines, posts

    @contextmanager
    def sometimes(self) -> Iterator[None]:
        """What is written meanwhile is evaluated on a condition."""
        self.perhaps += 1
        try:
            yield
        finally:
            self.perhaps -= 1

    def bound(self, binding: Binding) -> str:
        """What a parameter is, which is evaluated where it is first looked at."""
        if binding.name is None:
            if self.perhaps > binding.perhaps:
                raise TooLate
            binding.name = self.temporary()
            return f"({binding.name} := {binding.text})"
        return binding.name

    def temporary(self) -> str:
        while True:
            self.temporaries += 1
            name = f"t{self.temporaries}"
            if name not in self.names:
                return name

    def kept(self, text: str) -> str:
        """A name for a value, which is evaluated now."""
        if stable(text):
            return text
        name = self.temporary()
        self.emit(f"{name} = {text}")
        return name

    def saved(self, text: str) -> str:
        """The same, also where the value of a variable changes."""
        name = self.temporary()
        self.emit(f"{name} = {text}")
        return name

    def settle(self) -> None:
        """Does what was to be done last."""
        posts, self.posts = self.posts, []
        for line in posts:
            self.emit(line)

    def settled(self, text: str) -> str:
        if self.posts:
            text = self.saved(text)
            self.settle()
        return text

    # conditions

    def truth(self, e: Expression) -> str:
        """Something that is true in Python if the expression is in C."""
        if isinstance(e, Logic):
            return self.logic(e)
        if isinstance(e, Not):
            return self.negated(e.operand)
        if isinstance(e, Compare):
            return self.compare(e)
        if isinstance(e.type, Pointer):
            return f"({self.is_null(e)} is not None)"
        return self.value(e)

    def negated(self, e: Expression) -> str:
        if isinstance(e.type, Pointer):
            return f"({self.is_null(e)} is None)"
        return f"(not {self.truth(e)})"

    def logic(self, e: Logic) -> str:
        left, word = self.settled(self.truth(e.left)), "and" if e.operator == "&&" else "or"
        with self.apart() as lines, self.sometimes():
            self.depth += 1
            right = self.settled(self.truth(e.right))
            if lines:
                name = self.temporary()
                self.emit(f"{name} = {right}")
            self.depth -= 1
        if not lines:
            return f"({left} {word} {right})"
        self.emit(f"{name} = {left}")
        self.emit(f"if {name if word == 'and' else 'not ' + name}:")
        self.lines += lines
        return name

    def compare(self, e: Compare) -> str:
        if isinstance(e.left.type, Pointer):
            if e.operator not in ("==", "!="):
                left, right = self.difference(e)
                return f"({left} {e.operator} {right})"
            same = self.equal(e)
            return same if e.operator == "==" else f"(not {same})"
        left, right = self.operands(e.left, e.right)
        return f"({left} {e.operator} {right})"

    # values

    def value(self, e: Expression) -> str:
        """A number; a struct."""
        if isinstance(e, Const):
            return constant(e.value)
        if isinstance(e, Unary):
            return self.unary(e)
        if isinstance(e, Binary):
            return self.binary(e)
        if isinstance(e, Compare):
            return self.compare(e)
        if isinstance(e, Not):
            return self.negated(e.operand)
        if isinstance(e, Logic):
            return self.bit(e)
        if isinstance(e, Conditional):
            return self.conditional(e)
        if isinstance(e, Comma):
            self.effect(e.first)
            self.settle()
            return self.value(e.second)
        if isinstance(e, Convert):
            return self.convert(e)
        if isinstance(e, Assign):
            return self.assigned(e)
        if isinstance(e, Update):
            return self.updated(e)
        if isinstance(e, Step):
            return self.stepped_value(e)
        if isinstance(e, Difference):
            left, right = self.difference(e)
            return f"({left} - {right})"
        return self.number(e)

    def bit(self, e: Expression) -> str:
        """0 or 1, or what Python takes for it."""
        text = self.truth(e)
        return text if boolean(e) else f"(not not {text})"

    def unary(self, e: Unary) -> str:
        operand = self.value(e.operand)
        if isinstance(e.type, Integer) and not e.type.signed:
            return f"({operand} ^ {e.type.mask})" if e.operator == "~" else f"(-{operand} & {e.type.mask})"
        return f"({e.operator}{operand})"

    def binary(self, e: Binary) -> str:
        if isinstance(e.type, Double):
            left, right = self.operands(e.left, e.right)
            return self.divided(left, right) if e.operator == "/" else f"({left} {e.operator} {right})"
        return self.integral(e.operator, integer(e.type), e.left, e.right)

    def integral(self, op: str, kind: Integer, x: Expression, y: Expression) -> str:
        left, right = self.value(x), self.value(y)
        if op in "/%":
            return self.truncated(op, left, right, self.facts.natural(x), self.facts.natural(y))
        text = f"({left} {op} {right})"
        wraps = not kind.signed and op in ("+", "-", "*", "<<")
        return f"({text} & {kind.mask})" if wraps else text

    def truncated(self, op: str, left: str, right: str, natural: bool, positive: bool) -> str:
        """Division of integers towards zero."""
        if positive and natural:
            return f"({left} {op}{'/' if op == '/' else ''} {right})"
        if positive and right.isdigit():
            if not stable(left):
                name = self.temporary()
                first, left = f"({name} := {left})", name
            else:
                first = left
            if op == "/":
                return f"({left} // {right} if {first} >= 0 else -(-{left} // {right}))"
            return f"({left} % {right} if {first} >= 0 else -(-{left} % {right}))"
        return f"{'_quotient' if op == '/' else '_remainder'}({left}, {right})"

    def divided(self, left: str, right: str) -> str:
        """A quotient, also by zero."""
        if re.fullmatch(r"[\d.]+", right) and float(right):
            return f"({left} / {right})"
        if stable(right) and ":=" not in left:
            return f"({left} / {right} if {right} else _divided({left}, {right}))"
        if stable(left):
            name = self.temporary()
            return f"({left} / {name} if ({name} := {right}) else _divided({left}, {name}))"
        return f"_divided({left}, {right})"

    def operands(self, x: Expression, y: Expression) -> tuple[str, str]:
        """Of an operation; if one of two doubles is one, Python converts the other."""
        if exact(x):
            assert isinstance(x, Convert)
            return self.value(x.operand), self.value(y)
        if exact(y) and isinstance(x.type, Double):
            assert isinstance(y, Convert)
            return self.value(x), self.value(y.operand)
        return self.value(x), self.value(y)

    def conditional(self, e: Conditional) -> str:
        condition = self.settled(self.truth(e.condition))
        name = self.temporary()
        branches = []
        for each in (e.yes, e.no):
            with self.apart() as lines, self.sometimes():
                self.depth += 1
                text = self.settled(self.value(each))
                self.depth -= 1
            branches.append((lines, text))
        (yes, x), (no, y) = branches
        if not yes and not no:
            return f"({x} if {condition} else {y})"
        for head, lines, text in ((f"if {condition}:", yes, x), ("else:", no, y)):
            self.emit(head)
            self.lines += lines
            self.depth += 1
            self.emit(f"{name} = {text}")
            self.depth -= 1
        return name

    def convert(self, e: Convert) -> str:
        source, to = e.operand.type, e.type
        text = self.value(e.operand)
        if isinstance(to, Double):
            return text if isinstance(source, Double) else f"float({text})"
        kind = integer(to)
        if isinstance(source, Double):
            text = f"int({text})"
            return text if kind.size >= 4 and kind.signed else self.narrowed(text, kind)
        if self.facts.fits(e.operand, kind):
            return text
        return self.narrowed(text, kind)

    def narrowed(self, text: str, kind: Integer) -> str:
        if not kind.signed:
            return f"({text} & {kind.mask})"
        if stable(text):
            return f"({text} if {kind.least} <= {text} <= {kind.most} else _wrapped({text}, {kind.size}))"
        name = self.temporary()
        return f"({name} if {kind.least} <= ({name} := {text}) <= {kind.most} else _wrapped({name}, {kind.size}))"

    # assignments

    def local(self, e: Expression) -> str | None:
        """The name of a number that is nowhere but in a variable of Python."""
        if isinstance(e, Var) and not e.variable.boxed and not e.variable.shared and not isinstance(e.type, Struct):
            return named(e.variable.name)
        return None

    def assigned(self, e: Assign) -> str:
        if isinstance(e.type, Struct):
            self.effect(e)
            return self.object(e.place)
        name = self.local(e.place)
        if name is not None:
            return f"({name} := {self.value(e.value)})"
        value = self.kept(self.value(e.value))
        self.emit(f"{self.place(e.place)} = {value}")
        return value

    def updated(self, e: Update) -> str:
        name = self.local(e.place)
        if name is not None:
            return f"({name} := {self.new_value(e, name)})"
        place = self.place(e.place, twice=True)
        value = self.saved(self.new_value(e, place))
        self.emit(f"{place} = {value}")
        return value

    def new_value(self, e: Update, old: str) -> str:
        """What an update makes of a value."""
        kind, wide = e.place.type, e.value.type
        known = Text(kind, old)
        left: Expression = known if kind == wide or e.operator in ("<<", ">>") else Convert(wide, known)
        operation = Binary(left.type, e.operator, left, e.value)
        return self.value(operation if operation.type == kind else Convert(kind, operation))

    def update(self, e: Update) -> None:
        """An update whose value nobody wants."""
        kind = e.place.type
        if isinstance(kind, Pointer):
            self.moved(e)
            return
        same = kind == e.value.type and e.operator not in ("/", "%")
        wraps = isinstance(kind, Integer) and not kind.signed and e.operator in ("+", "-", "*", "<<")
        if same and not wraps:
            value = self.raw(e.value)
            self.emit(f"{self.place(e.place)} {e.operator}= {value}")
        else:
            place = self.place(e.place, twice=True)
            self.emit(f"{place} = {self.new_value(e, place)}")

    def moved(self, e: Update) -> None:
        raise NotImplementedError

    def raw(self, e: Expression) -> str:
        """A double, which may be an integer as another one is added to it at once."""
        if exact(e):
            assert isinstance(e, Convert)
            return self.value(e.operand)
        return self.value(e)

    def step(self, e: Step) -> None:
        self.update(Update(e.type, e.place, "+", Const(e.type, float(e.by) if isinstance(e.type, Double) else e.by)))

    def stepped_value(self, e: Step) -> str:
        one = Const(e.type, e.by)
        if e.before:
            return self.updated(Update(e.type, e.place, "+", one))
        place = self.place(e.place, twice=True)
        self.posts.append(f"{place} = {self.new_value(Update(e.type, e.place, '+', one), place)}")
        return place


@dataclass(slots=True)
class Binding:
    """Of a parameter to a value; ``name``: where that is once it was evaluated."""

    text: str
    name: str | None
    perhaps: int


class Text(Expression):
    """Something that is written already."""

    __slots__ = ("text",)

    def __init__(self, kind: object, text: str) -> None:
        self.type = kind  # type: ignore[assignment]
        self.text = text


def exact(e: Expression) -> bool:
    """Whether this is an integer made a double, which Python does with all its digits where it meets another double."""
    return (
        isinstance(e, Convert)
        and isinstance(e.type, Double)
        and isinstance(e.operand.type, Integer)
        and e.operand.type.size <= 4
    )


def boolean(e: Expression) -> bool:
    """Whether what is written for the truth of this is True or False."""
    if isinstance(e, Logic):
        return boolean(e.left) and boolean(e.right)
    return isinstance(e, Compare | Not) or isinstance(e.type, Pointer)


def constant(value: int | float) -> str:
    text = repr(value)
    return f"({text})" if text.startswith("-") else text
