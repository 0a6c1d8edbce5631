"""What is known of a program: what loops do not change, and which numbers are never below zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from effc.compiler.search.translated.tree import (
    AddressOf,
    Assign,
    Binary,
    Call,
    Comma,
    Compare,
    Conditional,
    Const,
    Convert,
    Decay,
    Declare,
    Definition,
    Deref,
    Expression,
    LibraryCall,
    Literal,
    Logic,
    Loop,
    Member,
    Not,
    Offset,
    Program,
    Return,
    Statement,
    Step,
    Unary,
    Update,
    Var,
    Variable,
    parts,
    target_of,
)
from effc.compiler.search.translated.types import Array, Field, Integer, Struct, Type

Key = Variable | Field | Type
"""What is written to: a variable, a field, or whatever pointers to a type point to."""

WRITING = ("memcpy", "memmove", "memset", "qsort", "realloc")


@dataclass(frozen=True, slots=True)
class Range:
    """A loop whose variable goes from a number by equal steps to another, neither of which changes meanwhile."""

    variable: Variable
    first: Expression
    compare: Compare
    by: int
    tests: tuple[Expression, ...]  # others that have to hold


class Facts:
    def __init__(self, program: Program) -> None:
        self.functions = [function for function in program.functions.values() if function.body is not None]
        self.nodes = {function: list(every(function.body)) for function in self.functions if function.body}
        self.decayed = set(self.passed_on())
        self.writes = {function: set(self.written(self.nodes[function])) for function in self.functions}
        self.called = {function: called(self.nodes[function]) for function in self.functions}
        self.close()
        self.ranges: dict[Loop, Range | None] = {}
        self.naturals: set[Variable | Field | Definition] = set()
        self.find_naturals()

    # what is written

    def passed_on(self) -> Iterator[Variable | Field]:
        """The arrays that there are pointers to."""
        for nodes in self.nodes.values():
            indexed = {
                node.pointer.pointer for node in nodes if isinstance(node, Deref) and isinstance(node.pointer, Offset)
            }
            for node in nodes:
                if isinstance(node, Decay) and node not in indexed:
                    root = array_of(node.array)
                    if root is not None:
                        yield root

    def written(self, nodes: list[Expression | Statement]) -> Iterator[Key]:
        """What these write to themselves."""
        for node in nodes:
            if isinstance(node, Assign | Update | Step):
                yield from self.keys(node.place)
            elif isinstance(node, LibraryCall) and node.name in WRITING:
                to = node.arguments[0]
                if isinstance(to, Decay | AddressOf):
                    yield from self.keys(to.array if isinstance(to, Decay) else to.place)
                yield from fields_of(target_of(to))
            elif isinstance(node, Declare):
                yield node.variable

    def keys(self, place: Expression) -> Iterator[Key]:
        root = array_of(place)
        if root is not None:
            yield root
        yield from fields_of(place.type)
        if isinstance(place, Deref) or (isinstance(root, Field | Variable) and root.boxed):
            yield place.type

    def close(self) -> None:
        """Adds what the functions that are called write."""
        changed = True
        while changed:
            changed = False
            for function, others in self.called.items():
                known = self.writes[function]
                before = len(known)
                for other in others & self.writes.keys():
                    known |= {key for key in self.writes[other] if not isinstance(key, Variable) or key.shared}
                changed |= len(known) > before

    def kept(self, variable: Variable, function: Definition) -> bool:
        """Whether a struct that is passed by value stays as it is, and so does what it was copied from."""
        assert isinstance(variable.type, Struct)
        keys = self.writes[function]
        return not variable.boxed and variable not in keys and not any(key in keys for key in fields_of(variable.type))

    # loops

    def range_of(self, s: Loop) -> Range | None:
        if s not in self.ranges:
            self.ranges[s] = self.found(s)
        return self.ranges[s]

    def found(self, s: Loop) -> Range | None:
        if s.late or s.condition is None or s.step is None:
            return None
        by, variable = step_of(s.step)
        compare, *tests = conjuncts(s.condition)
        start = [each for each in s.start if isinstance(each, Declare) and each.variable is variable]
        if variable is None or variable.boxed or not start or start[0].value is None:
            return None
        if not isinstance(compare, Compare) or compare.operator not in (("<", "<=") if by > 0 else (">", ">=")):
            return None
        if not isinstance(compare.left, Var) or compare.left.variable is not variable:
            return None
        nodes = [*every(s.body), *(node for test in tests for node in every(test))]
        keys: set[Key] = set(self.written(nodes))
        for other in called(nodes) & self.writes.keys():
            keys |= self.writes[other]
        if variable in keys or not self.steady(compare.right, keys | {variable}):
            return None
        return Range(variable, start[0].value, compare, by, tuple(tests))

    def steady(self, e: Expression, keys: set[Key]) -> bool:
        """Whether an expression has the same value, whatever is written to these."""
        if isinstance(e, Const):
            return True
        if isinstance(e, Var):
            return e.variable not in keys and not e.variable.boxed and not isinstance(e.type, Array)
        if isinstance(e, Member):
            struct = e.struct
            while isinstance(struct, Member):
                struct = struct.struct
            there = isinstance(struct, Var) or (isinstance(struct, Deref) and self.steady(struct.pointer, keys))
            return there and e.field not in keys and not e.field.boxed
        if isinstance(e, Deref) and isinstance(e.pointer, Offset) and isinstance(e.pointer.pointer, Decay):
            root, array = array_of(e), e.pointer.pointer.array
            if root is None or root in keys or (root in self.decayed and e.type in keys):
                return False
            inside = not isinstance(array, Member) or self.steady(array, keys)
            return inside and self.steady(e.pointer.index, keys)
        if isinstance(e, Binary | Unary | Convert):
            return all(isinstance(part, Expression) and self.steady(part, keys) for part in parts(e))
        return False

    # numbers that are never below zero

    def find_naturals(self) -> None:
        """All are, but those that are given something else: of these others follow."""
        given = [pair for function in self.functions for pair in self.given(function)]
        self.naturals = {place for place, _ in given if not isinstance(place, Definition) and not place.boxed}
        self.naturals |= {function for function in self.functions if isinstance(function.type.result, Integer)}
        self.naturals -= self.decayed
        changed = True
        while changed:
            wrong = {place for place, value in given if place in self.naturals and not self.natural(value)}
            self.naturals -= wrong
            changed = bool(wrong)

    def given(self, function: Definition) -> Iterator[tuple[Variable | Field | Definition, Expression]]:
        """What is given to variables, fields, parameters and results."""
        ranges = [self.range_of(node) for node in self.nodes[function] if isinstance(node, Loop)]
        down = {found.variable for found in ranges if found is not None and found.by < 0}
        for found in ranges:
            if found is not None and found.by < 0:
                yield found.variable, found.compare.right
        for node in self.nodes[function]:
            if isinstance(node, Declare) and node.value is not None:
                if node.variable not in down:
                    yield from each(node.variable, node.value)
            elif isinstance(node, Assign | Update | Step):
                root = array_of(node.place)
                if root is not None and root not in down:
                    yield root, node.value if isinstance(node, Assign) else changed_by(node)
            elif isinstance(node, Call):
                yield from zip(node.function.parameters, node.arguments)
            elif isinstance(node, Return) and node.value is not None:
                yield function, node.value
            elif isinstance(node, Literal) and isinstance(node.type, Struct):
                for field, item in zip(node.type.fields.values(), node.values):
                    if item is not None:
                        yield from each(field, item)

    def natural(self, e: Expression) -> bool:
        """Whether a number is never below zero."""
        if isinstance(e.type, Integer) and not e.type.signed:
            return True
        if isinstance(e, Const):
            return e.value >= 0
        if isinstance(e, Compare | Logic | Not):
            return True
        if isinstance(e, Binary):
            if e.operator == "&":
                return self.natural(e.left) or self.natural(e.right)
            if e.operator in ("%", ">>"):
                return self.natural(e.left)
            return e.operator not in ("-", "^") and self.natural(e.left) and self.natural(e.right)
        if isinstance(e, Conditional):
            return self.natural(e.yes) and self.natural(e.no)
        if isinstance(e, Convert):
            source, to = e.operand.type, e.type
            whole = isinstance(source, Integer) and isinstance(to, Integer) and source.most <= to.most
            return whole and self.natural(e.operand)
        if isinstance(e, Comma):
            return self.natural(e.second)
        if isinstance(e, Call):
            return e.function in self.naturals
        place = e.place if isinstance(e, Assign | Update | Step) else e
        root = array_of(place)
        return root is not None and root in self.naturals

    def fits(self, e: Expression, kind: Integer) -> bool:
        """Whether an integer has the same value in another type."""
        source = e.type
        assert isinstance(source, Integer)
        if isinstance(e, Const):
            return kind.least <= e.value <= kind.most
        if isinstance(e, Compare | Logic | Not):
            return True
        least = 0 if self.natural(e) else source.least
        return kind.least <= least and source.most <= kind.most


def every(node: Expression | Statement) -> Iterator[Expression | Statement]:
    yield node
    for part in parts(node):
        yield from every(part)


def called(nodes: list[Expression | Statement]) -> set[Definition]:
    return {node.function for node in nodes if isinstance(node, Call)}


def array_of(e: Expression) -> Variable | Field | None:
    """The variable or the field that something is, or is an element of; None if only a pointer tells."""
    while isinstance(e, Deref) and isinstance(e.pointer, Offset | Decay):
        inner = e.pointer.pointer if isinstance(e.pointer, Offset) else e.pointer
        if not isinstance(inner, Decay):
            return None
        e = inner.array
    return e.variable if isinstance(e, Var) else e.field if isinstance(e, Member) else None


def fields_of(t: Type) -> Iterator[Key]:
    """All that is written to with a value of a type."""
    while isinstance(t, Array):
        t = t.element
    if not isinstance(t, Struct):
        yield t
        return
    for field in t.fields.values():
        yield field
        if isinstance(field.type, Struct | Array):
            yield from fields_of(field.type)


def each(place: Variable | Field, value: Expression) -> Iterator[tuple[Variable | Field, Expression]]:
    """What a variable or its elements are given."""
    if isinstance(value, Literal):
        if not isinstance(value.type, Struct):
            for one in value.values:
                if one is not None:
                    yield from each(place, one)
    else:
        yield place, value


def changed_by(e: Update | Step) -> Expression:
    """As the value of an assignment, as far as its sign matters."""
    if isinstance(e, Step):
        return Const(e.type, e.by)
    return Binary(e.value.type, e.operator, Const(e.value.type, 0), e.value)


def step_of(e: Expression) -> tuple[int, Variable | None]:
    """The variable that a step changes, and by how much."""
    if isinstance(e, Step) and isinstance(e.place, Var) and isinstance(e.type, Integer):
        return e.by, e.place.variable
    return 0, None


def conjuncts(e: Expression) -> list[Expression]:
    if isinstance(e, Logic) and e.operator == "&&":
        return conjuncts(e.left) + conjuncts(e.right)
    return [e]
