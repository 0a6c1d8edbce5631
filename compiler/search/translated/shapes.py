"""What a pointer is in Python: an object, a list, or a list and an index.

Pointers to structs of which none is ever moved, or indexed, are the struct itself. Others are a list, with an index if
they may point elsewhere than to its first element. That is found out for all variables, fields and results at once, by
what flows where: a list can be made an element of it, but no element a list.
"""

from __future__ import annotations

from effc.compiler.search.translated.tree import (
    AddressOf,
    Assign,
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
    Difference,
    Expression,
    FunctionName,
    LibraryCall,
    Literal,
    Member,
    Offset,
    Program,
    Return,
    Statement,
    Step,
    Update,
    Var,
    Variable,
    is_zero,
    parts,
    target_of,
)
from effc.compiler.search.translated.types import Array, Field, Pointer, Struct, Type, Void, size_of

OBJECT, LIST, VIEW = "object", "list", "view"

FEW = 16
"""Structs of an array up to so many are made with it, others when they are first asked for."""


class Shape:
    """Of a pointer. ``inner``: that of the pointers that it points to. ``lazy``: structs there may not be made yet."""

    def __init__(self, target: Type, inner: Shape | None) -> None:
        self.target, self.inner = target, inner
        self.list = not isinstance(target, Struct | Void)
        self.moved = self.lazy = False
        self.same: Shape | None = None

    @property
    def root(self) -> Shape:
        shape = self
        while shape.same is not None:
            shape = shape.same
        return shape

    @property
    def kind(self) -> str:
        root = self.root
        return OBJECT if not root.list else VIEW if root.moved else LIST


def blank(t: Type) -> Shape | None:
    """The shape of the pointers in a variable of a type; None if there are none."""
    while isinstance(t, Array):
        t = t.element
    return Shape(t.target, blank(t.target)) if isinstance(t, Pointer) else None


class Shapes:
    """The shapes of all pointers of a program."""

    def __init__(self, program: Program) -> None:
        self.places: dict[Variable | Field | Definition, Shape | None] = {}
        self.values: dict[Expression, Shape | None] = {}
        self.flows: list[tuple[Shape, Shape]] = []
        for declaration in program.shared:
            self.statement(declaration, None)
        for function in program.functions.values():
            if function.body is not None:
                self.statement(function.body, function)
        self.solve()

    def place(self, place: Variable | Field | Definition) -> Shape | None:
        if place not in self.places:
            self.places[place] = blank(place.type.result if isinstance(place, Definition) else place.type)
        return self.places[place]

    def kind(self, expression: Expression) -> str:
        shape = self.of(expression)
        return OBJECT if shape is None else shape.kind

    def lazy(self, expression: Expression) -> bool:
        shape = self.of(expression)
        return shape is not None and shape.root.lazy

    def of(self, expression: Expression) -> Shape | None:
        """The shape of a pointer; of an array that of the pointers in it."""
        if expression not in self.values:
            self.values[expression] = self.found(expression)
        return self.values[expression]

    def found(self, e: Expression) -> Shape | None:
        if isinstance(e, Var):
            return self.place(e.variable)
        if isinstance(e, Member):
            return self.place(e.field)
        if isinstance(e, Deref):
            outer = self.of(e.pointer)
            return None if outer is None else outer.root.inner
        if isinstance(e, Decay | AddressOf):
            inner = e.array if isinstance(e, Decay) else e.place
            shape = Shape(target_of(e), self.of(inner))
            shape.lazy = isinstance(inner.type, Array) and (inner.type.length or FEW + 1) > FEW
            return shape
        if isinstance(e, Offset):
            shape = self.after(e, self.of(e.pointer))
            shape.moved = not is_zero(e.index)
            return shape
        if isinstance(e, Conditional):
            shape = self.after(e, self.of(e.yes))
            self.flow(self.of(e.no), shape)
            return shape
        if isinstance(e, Comma):
            return self.of(e.second)
        if isinstance(e, Assign | Update | Step):
            return self.of(e.place)
        if isinstance(e, Call):
            return self.place(e.function)
        if isinstance(e, Convert):
            return self.after(e, self.of(e.operand)) if isinstance(e.type, Pointer) else None
        if isinstance(e, LibraryCall):
            return self.allocated(e)
        return None

    def after(self, e: Expression, source: Shape | None) -> Shape:
        shape = Shape(target_of(e), blank(target_of(e)))
        self.flow(source, shape)
        return shape

    def allocated(self, e: LibraryCall) -> Shape | None:
        if not isinstance(e.type, Pointer):
            return None
        shape = self.after(e, None if e.name in ("malloc", "calloc") else self.of(e.arguments[0]))
        shape.lazy = e.name in ("malloc", "calloc", "realloc")
        return shape

    def flow(self, source: Shape | None, to: Shape | None) -> None:
        if source is not None and to is not None:
            self.flows.append((source, to))

    # what expressions ask for

    def statement(self, node: Statement | Expression, function: Definition | None) -> None:
        for part in parts(node):
            self.statement(part, function)
        if isinstance(node, Declare) and node.value is not None:
            self.bind(node.value, self.place(node.variable), node.variable.type)
        elif isinstance(node, Return) and node.value is not None and function is not None:
            self.bind(node.value, self.place(function), node.value.type)
        elif isinstance(node, Expression):
            self.expression(node)

    def bind(self, value: Expression, to: Shape | None, kind: Type) -> None:
        """A value goes to where a shape is known."""
        if isinstance(value, Literal) and isinstance(kind, Array):
            for each in value.values:
                if each is not None:
                    self.bind(each, to, kind.element)
        elif isinstance(kind, Pointer):
            self.flow(self.of(value), to)

    def expression(self, e: Expression) -> None:
        if isinstance(e, Assign):
            self.bind(e.value, self.of(e.place), e.type)
        elif isinstance(e, Literal) and isinstance(e.type, Struct):
            for value, field in zip(e.values, e.type.fields.values()):
                if value is not None:
                    self.bind(value, self.place(field), field.type)
        elif isinstance(e, Call):
            for value, parameter in zip(e.arguments, e.function.parameters):
                self.bind(value, self.place(parameter), parameter.type)
        elif isinstance(e, Update | Step) and isinstance(e.type, Pointer):
            shape = self.of(e.place)
            assert shape is not None
            shape.list = shape.moved = True
        elif isinstance(e, Offset):
            self.listed(e.pointer)
        elif isinstance(e, Difference) or (isinstance(e, Compare) and e.operator not in ("==", "!=")):
            if isinstance(e.left.type, Pointer):
                self.listed(e.left)
                self.listed(e.right)
        elif isinstance(e, AddressOf):
            self.address_taken(e.place)
        elif isinstance(e, Decay):
            self.aliased(e.array)
        elif isinstance(e, LibraryCall):
            self.library(e)
        if isinstance(e.type, Pointer):
            self.of(e)

    def listed(self, pointer: Expression) -> None:
        shape = self.of(pointer)
        assert shape is not None
        shape.list = True

    def address_taken(self, place: Expression) -> None:
        if isinstance(place.type, Struct | Array):
            self.aliased(place)
        elif isinstance(place, Var):
            place.variable.boxed = True
        elif isinstance(place, Member):
            place.field.boxed = True
        else:
            raise NotImplementedError(f"the address of a {type(place).__name__}")

    def aliased(self, place: Expression) -> None:
        """A struct that is a variable may not become another object, as there are pointers into it."""
        while isinstance(place, Member):
            place = place.struct
        if isinstance(place, Var) and isinstance(place.variable.type, Struct):
            place.variable.boxed = True

    def library(self, e: LibraryCall) -> None:
        if e.name in ("memcpy", "memmove", "memcmp", "memset"):
            for pointer in e.arguments[: 1 if e.name == "memset" else 2]:
                if not (isinstance(target_of(pointer), Struct) and one(e.arguments[2], target_of(pointer))):
                    self.listed(pointer)
        elif e.name == "realloc":
            self.listed(e.arguments[0])
            self.listed(e)
        elif e.name == "qsort":
            base, compare = e.arguments[0], e.arguments[3]
            assert isinstance(compare, FunctionName)
            self.listed(base)
            for parameter in compare.function.parameters:
                shape = Shape(target_of(base), blank(target_of(base)))
                shape.moved = True
                self.flow(self.of(base), shape)
                self.flow(shape, self.place(parameter))

    # what follows

    def solve(self) -> None:
        changed = True
        while changed:
            changed = False
            for source, to in self.flows:
                changed |= self.follow(source.root, to.root)

    def follow(self, source: Shape, to: Shape) -> bool:
        before = (source.list, to.moved, to.lazy)
        source.list |= to.list
        to.moved |= source.moved
        to.lazy |= source.lazy
        changed = before != (source.list, to.moved, to.lazy)
        if source.inner is None or to.inner is None:
            if source.inner is not to.inner and (isinstance(source.target, Void) or isinstance(to.target, Void)):
                source.inner = to.inner = source.inner or to.inner
                return True
            return changed
        return unify(source.inner, to.inner) or changed


def unify(x: Shape, y: Shape) -> bool:
    x, y = x.root, y.root
    if x is y:
        return False
    y.same = x
    x.list |= y.list
    x.moved |= y.moved
    x.lazy |= y.lazy
    if isinstance(x.target, Void):
        x.target = y.target
    if x.inner is not None and y.inner is not None:
        unify(x.inner, y.inner)
    x.inner = x.inner or y.inner
    return True


def one(size: Expression, target: Type) -> bool:
    """Whether so many bytes are no more than one of what a pointer points to."""
    return isinstance(size, Const) and size.value <= size_of(target)
