"""Python for pointers, and for the places that they point to."""

from __future__ import annotations

from dataclasses import dataclass

from effc.compiler.search.translated.numbers import Numbers, Text, stable
from effc.compiler.search.translated.records import at, named
from effc.compiler.search.translated.shapes import LIST, OBJECT, VIEW, Shape
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
    Deref,
    Difference,
    Expression,
    LibraryCall,
    Literal,
    Member,
    Null,
    Offset,
    Step,
    Unary,
    Update,
    Var,
    target_of,
)
from effc.compiler.search.translated.types import LONG, UNSIGNED_LONG, Array, Integer, Pointer, Struct


@dataclass(slots=True)
class Written:
    """A pointer: an object, or a list and an index in it."""

    object: str | None
    list: str = "None"
    index: str = "0"


NOWHERE = Written("None")


class Pointers(Numbers):
    """Writes pointers."""

    def called(self, e: Call) -> str:
        raise NotImplementedError

    def allocated(self, e: LibraryCall, kind: Pointer, shape: str) -> Written:
        raise NotImplementedError

    def library_pointer(self, e: LibraryCall) -> Written:
        raise NotImplementedError

    # what a pointer is

    def pointer(self, e: Expression) -> Written:
        if isinstance(e, Null):
            return NOWHERE
        if isinstance(e, Var | Member | Deref):
            return self.stored(e)
        if isinstance(e, Decay):
            return Written(None, self.list_of(e.array))
        if isinstance(e, AddressOf):
            if isinstance(e.place.type, Struct):
                return Written(self.object(e.place))
            if isinstance(e.place.type, Array):
                return Written(None, f"[{self.list_of(e.place)}]")
            return Written(None, self.box(e.place))
        if isinstance(e, Offset):
            return self.further(self.pointer(e.pointer), e)
        if isinstance(e, Conditional):
            return self.either(e)
        if isinstance(e, Comma):
            self.effect(e.first)
            self.settle()
            return self.pointer(e.second)
        if isinstance(e, Assign):
            return self.stored_now(e)
        if isinstance(e, Update):
            self.moved(e)
            return self.stored(e.place)
        if isinstance(e, Step):
            return self.stepped_pointer(e)
        if isinstance(e, Convert):
            if isinstance(e.operand, LibraryCall) and e.operand.name in ("malloc", "calloc", "realloc"):
                assert isinstance(e.type, Pointer)
                return self.allocated(e.operand, e.type, self.shapes.kind(e))
            return self.pointer(e.operand)
        if isinstance(e, Call):
            kind = self.shapes.kind(e)
            if kind == OBJECT:
                return Written(self.called(e))
            if kind == LIST:
                return Written(None, self.called(e))
            name = self.temporary()
            self.emit(f"{name}, {at(name)} = {self.called(e)}")
            return Written(None, name, at(name))
        assert isinstance(e, LibraryCall)
        return self.library_pointer(e)

    def stored(self, e: Expression) -> Written:
        """What a variable, a field or an element has."""
        kind = self.shapes.kind(e)
        text = self.place(e)
        if kind == OBJECT:
            return Written(text)
        if kind == LIST:
            return Written(None, text)
        if self.two(e):
            return Written(None, text, at(text))
        name = self.temporary()
        self.emit(f"{name}, {at(name)} = {text}")
        return Written(None, name, at(name))

    def two(self, e: Expression) -> bool:
        """Whether list and index are apart there."""
        if isinstance(e, Var):
            return not e.variable.boxed
        return isinstance(e, Member) and not e.field.boxed

    def further(self, pointer: Written, e: Offset) -> Written:
        assert pointer.object is None
        return Written(None, pointer.list, self.sum(pointer.index, self.index(e.index)))

    def index(self, e: Expression) -> str:
        """A number of elements, as an exact integer: what wraps in C is as large there."""
        while isinstance(e, Convert) and isinstance(e.operand.type, Integer) and e.type in (LONG, UNSIGNED_LONG):
            e = e.operand
        if isinstance(e, Binary) and e.operator in ("+", "-", "*") and e.type in (LONG, UNSIGNED_LONG):
            return f"({self.index(e.left)} {e.operator} {self.index(e.right)})"
        if isinstance(e, Unary) and e.operator == "-":
            return f"(-{self.index(e.operand)})"
        return self.value(e)

    def sum(self, x: str, y: str) -> str:
        return y if x == "0" else x if y == "0" else f"{x} + {y}"

    def either(self, e: Conditional) -> Written:
        kind = self.shapes.kind(e)
        condition = self.settled(self.truth(e.condition))
        branches = []
        for each in (e.yes, e.no):
            with self.apart() as lines, self.sometimes():
                self.depth += 1
                parts = self.in_kind(each, kind)
                if self.posts:
                    parts = [self.saved(part) for part in parts]
                    self.settle()
                self.depth -= 1
            branches.append((lines, parts))
        (yes, x), (no, y) = branches
        if not yes and not no and kind != VIEW:
            text = f"({x[0]} if {condition} else {y[0]})"
            return Written(text) if kind == OBJECT else Written(None, text)
        name = self.temporary()
        targets = [name, at(name)][: len(x)]
        for head, lines, parts in ((f"if {condition}:", yes, x), ("else:", no, y)):
            self.emit(head)
            self.lines += lines
            self.depth += 1
            self.emit(f"{', '.join(targets)} = {', '.join(parts)}")
            self.depth -= 1
        return Written(name) if kind == OBJECT else Written(None, *targets)

    def stored_now(self, e: Assign) -> Written:
        parts = self.in_kind(e.value, self.shapes.kind(e.place))
        parts = [self.kept(part) for part in parts]
        self.put(e.place, parts)
        return self.stored(e.place) if isinstance(e.place, Var) else self.written(parts, self.shapes.kind(e.place))

    def written(self, parts: list[str], kind: str) -> Written:
        return Written(parts[0]) if kind == OBJECT else Written(None, *parts)

    def stepped_pointer(self, e: Step) -> Written:
        if e.before:
            self.moved(Update(e.type, e.place, "+", Const(e.type, e.by)))
            return self.stored(e.place)
        if self.two(e.place):
            text = self.place(e.place, twice=True)
            self.posts.append(f"{at(text)} += {e.by}")
            if e.by < 0:
                self.posts.append(f"if {at(text)} < 0: _below({at(text)})")
            return Written(None, text, at(text))
        place = self.place(e.place, twice=True)
        name = self.temporary()
        self.emit(f"{name}, {at(name)} = {place}")
        self.posts.append(f"{place} = {name}, {at(name)} + {e.by}")
        return Written(None, name, at(name))

    def moved(self, e: Update) -> None:
        by = self.index(e.value) if isinstance(e.value.type, Integer) else self.value(e.value)
        place = self.place(e.place, twice=True)
        if not self.two(e.place):
            self.emit(f"{place} = {place}[0], {place}[1] + {by}")
            return
        self.emit(f"{at(place)} += {by}")
        if not (isinstance(e.value, Const) and e.value.value >= 0) and not self.facts.natural(e.value):
            self.emit(f"if {at(place)} < 0: _below({at(place)})")

    # in the shape that is asked for

    def in_shape(self, e: Expression, shape: Shape) -> list[str]:
        return self.in_kind(e, shape.kind)

    def in_kind(self, e: Expression, kind: str) -> list[str]:
        """A pointer as one or two values."""
        if isinstance(e, Null):
            return ["None", "0"] if kind == VIEW else ["None"]
        pointer = self.pointer(e)
        if kind == OBJECT:
            return [self.as_object(pointer, e)]
        if pointer.object is not None:
            pointer = Written(None, f"[{pointer.object}]")
        if kind == LIST:
            assert pointer.index == "0", pointer
            return [pointer.list]
        return [pointer.list, self.checked(pointer.index, e)]

    def as_object(self, pointer: Written, e: Expression) -> str:
        """What a pointer to a struct points to; a variable may be null."""
        if pointer.object is not None:
            return pointer.object
        found = self.element(pointer, e)
        known = isinstance(e, Offset | Decay)
        return found if known else f"(None if {pointer.list} is None else {found})"

    def element(self, pointer: Written, e: Expression) -> str:
        """What a pointer to a struct, which is an element of a list, points to."""
        target = target_of(e)
        index = self.checked(pointer.index, e)
        if not isinstance(target, Struct) or not self.shapes.lazy(e):
            return f"{pointer.list}[{index}]"
        values, index = pointer.list, index
        if not stable(index):
            name = self.temporary()
            first, index = f"({name} := {index})", name
        else:
            first = index
        if not stable(values):
            name = self.temporary()
            start, values = f"({name} := {values})", name
        else:
            start = values
        return f"({start}[{first}] or _element({values}, {index}, {target.name}))"

    def checked(self, index: str, e: Expression) -> str:
        """An index that raises if it is below zero."""
        if index.isdigit() or self.natural_index(e):
            return index
        if stable(index):
            return f"{index} if {index} >= 0 else _below({index})"
        name = self.temporary()
        return f"{name} if ({name} := {index}) >= 0 else _below({name})"

    def natural_index(self, e: Expression) -> bool:
        """Whether the index of a pointer is never below zero: what is stored points into its list."""
        if isinstance(e, Offset):
            return self.natural_index(e.pointer) and self.facts.natural(e.index)
        if isinstance(e, Convert):
            return self.natural_index(e.operand)
        return True

    # places

    def object(self, e: Expression) -> str:
        """A struct."""
        if isinstance(e, Var):
            return named(e.variable.name)
        if isinstance(e, Member):
            return f"{self.object(e.struct)}.{named(e.field.name)}"
        if isinstance(e, Deref):
            if isinstance(e.pointer, Decay | Offset):
                return self.element(self.pointer(e.pointer), e.pointer)
            pointer = self.pointer(e.pointer)
            return pointer.object if pointer.object is not None else self.element(pointer, e.pointer)
        return self.value(e)

    def list_of(self, e: Expression) -> str:
        """An array."""
        if isinstance(e, Var):
            return named(e.variable.name)
        if isinstance(e, Member):
            return f"{self.object(e.struct)}.{named(e.field.name)}"
        assert isinstance(e, Deref)
        pointer = self.pointer(e.pointer)
        return f"{pointer.list}[{self.checked(pointer.index, e.pointer)}]"

    def box(self, e: Expression) -> str:
        """The list that a number or a pointer is alone in."""
        return self.list_of(e)

    def place(self, e: Expression, twice: bool = False) -> str:
        if isinstance(e, Var) and e.variable in self.bindings:
            return self.bound(self.bindings[e.variable])
        if isinstance(e, Var):
            return named(e.variable.name) + ("[0]" if e.variable.boxed and not isinstance(e.type, Struct) else "")
        if isinstance(e, Member):
            struct = self.object(e.struct)
            if twice:
                struct = self.kept(struct)
            return f"{struct}.{named(e.field.name)}" + ("[0]" if e.field.boxed else "")
        if isinstance(e, Text):
            return e.text
        assert isinstance(e, Deref), e
        pointer = self.pointer(e.pointer)
        assert pointer.object is None
        values, index = pointer.list, self.checked(pointer.index, e.pointer)
        if twice:
            values, index = self.kept(values), self.kept(index)
        return f"{values}[{index}]"

    # assignments

    def assign(self, e: Assign) -> None:
        if isinstance(e.type, Pointer):
            self.store_pointer(e.place, e.value)
        elif isinstance(e.type, Struct):
            self.assign_struct(e.place, e.value)
        else:
            value = self.value(e.value)
            self.emit(f"{self.place(e.place)} = {value}")

    def store_pointer(self, place: Expression, value: Expression) -> None:
        shape = self.shapes.of(place)
        assert shape is not None
        self.put(place, self.in_shape(value, shape))

    def put(self, place: Expression, parts: list[str]) -> None:
        if len(parts) == 1:
            self.emit(f"{self.place(place)} = {parts[0]}")
        elif self.two(place):
            text = self.place(place, twice=True)
            if text == parts[0]:
                self.emit(f"{at(text)} = {parts[1]}")
            else:
                self.emit(f"{text}, {at(text)} = {parts[0]}, {parts[1]}")
        else:
            self.emit(f"{self.place(place)} = ({parts[0]}, {parts[1]})")

    def cell(self, value: Expression, shape: Shape | None) -> str:
        """A value as it stands in a list."""
        if not isinstance(value.type, Pointer):
            return self.value(value)
        assert shape is not None
        parts = self.in_shape(value, shape)
        return parts[0] if len(parts) == 1 else f"({parts[0]}, {parts[1]})"

    def assign_struct(self, place: Expression, value: Expression) -> None:
        if isinstance(place, Var) and not place.variable.boxed:
            self.emit(f"{named(place.variable.name)} = {self.copied(value)}")
            return
        if isinstance(value, Literal) and isinstance(value.type, Struct):
            parts = self.fields(value)
            if parts is not None:
                to = self.kept(self.object(place))
                self.emit(", ".join(f"{to}.{name}" for name in parts) + " = " + ", ".join(parts.values()))
                return
        found = self.object(value) if not isinstance(value, Literal) else self.value(value)
        found = self.kept(found)
        self.emit(f"{self.object(place)}.assign_({found})")

    def fields(self, value: Literal) -> dict[str, str] | None:
        raise NotImplementedError

    def copied(self, e: Expression) -> str:
        """A struct that nobody else has."""
        if isinstance(e, Call | Literal):
            return self.value(e)
        if isinstance(e, Conditional):
            return f"{self.value(e)}.copy_()"
        return f"{self.object(e)}.copy_()"

    # comparisons

    def is_null(self, e: Expression) -> str:
        pointer = self.pointer(e)
        return pointer.object if pointer.object is not None else pointer.list

    def equal(self, e: Compare) -> str:
        if isinstance(e.right, Null) or isinstance(e.left, Null):
            return f"({self.is_null(e.left if isinstance(e.right, Null) else e.right)} is None)"
        x, y = self.pointer(e.left), self.pointer(e.right)
        if x.object is None and y.object is None:
            return f"({x.list} is {y.list} and {x.index} == {y.index})"
        return f"({self.as_object(x, e.left)} is {self.as_object(y, e.right)})"

    def difference(self, e: Difference | Compare) -> tuple[str, str]:
        return f"({self.pointer(e.left).index})", f"({self.pointer(e.right).index})"
