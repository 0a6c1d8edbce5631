"""Structs as classes of Python."""

from __future__ import annotations

from collections.abc import Iterator
from keyword import iskeyword

from effc.compiler.search.translated.shapes import FEW, VIEW, Shape, Shapes
from effc.compiler.search.translated.tree import Program
from effc.compiler.search.translated.types import Array, Double, Field, Integer, Pointer, Struct, Type, size_of

CODES = {1: "b", 2: "h", 4: "i", 8: "q", 16: "w"}
"""Of integers, as the module struct names them."""


def named(name: str) -> str:
    """A name that Python does not use itself."""
    return name + "_" if iskeyword(name) or name in ("float", "int", "len", "range", "bool") else name


def at(name: str) -> str:
    """The index that goes with a pointer."""
    return f"{name}__at"


def made(t: Type, shape: Shape | None, zero: bool) -> str:
    """New memory for a value of a type, with zeros or with nothing in it."""
    if isinstance(t, Integer):
        return "0" if zero else "None"
    if isinstance(t, Double):
        return "0.0" if zero else "None"
    if isinstance(t, Pointer):
        return "(None, 0)" if zero and shape is not None and shape.kind == VIEW else "None"
    if isinstance(t, Struct):
        return f"{t.name}.{'zero' if zero else 'blank'}_()"
    assert isinstance(t, Array)
    return several(t.element, shape, zero, str(t.length or 0), (t.length or 0) > FEW)


def several(element: Type, shape: Shape | None, zero: bool, length: str, lazy: bool) -> str:
    if isinstance(element, Struct) and lazy:
        return f"[{'0' if zero else 'None'}] * {length}"
    each = made(element, shape, zero)
    return f"[{each} for _ in range({length})]" if isinstance(element, Struct | Array) else f"[{each}] * {length}"


def code(t: Type) -> str:
    """How a value lies in memory, for `image`: the code of a scalar, a pair of code and length, or a class."""
    if isinstance(t, Integer):
        return repr(CODES[t.size] if t.signed else CODES[t.size].upper())
    if isinstance(t, Array):
        return f"({code(t.element)}, {t.length or 0})"
    if isinstance(t, Struct):
        return t.name
    return repr("d" if isinstance(t, Double) else "P")


class Record:
    """The class of a struct."""

    def __init__(self, struct: Struct, shapes: Shapes) -> None:
        self.struct, self.shapes = struct, shapes
        self.fields = list(struct.fields.values())
        self.fixed = [f for f in self.fields if not (isinstance(f.type, Array) and f.type.length is None)]

    def view(self, field: Field) -> bool:
        shape = self.shapes.place(field)
        return isinstance(field.type, Pointer) and not field.boxed and shape is not None and shape.kind == VIEW

    def slots(self) -> list[str]:
        return [name for field in self.fields for name in self.names(field)]

    def names(self, field: Field) -> list[str]:
        return [named(field.name), at(named(field.name))] if self.view(field) else [named(field.name)]

    def made(self, field: Field, zero: bool) -> list[str]:
        if self.view(field):
            return ["None", "0" if zero else "None"]
        fresh = made(field.type, self.shapes.place(field), zero)
        return [f"[{fresh}]" if field.boxed else fresh]

    def lines(self) -> Iterator[str]:
        slots = self.slots()
        yield f"class {self.struct.name}:"
        yield f"    __slots__ = {tuple(slots)}"
        yield f"    def __init__(self, {', '.join(slots)}):"
        yield from (f"        self.{slot} = {slot}" for slot in slots)
        for how in ("zero", "blank"):
            values = [value for field in self.fields for value in self.made(field, how == "zero")]
            yield "    @staticmethod"
            yield f"    def {how}_():"
            yield f"        return {self.struct.name}({', '.join(values)})"
        copies = [self.copied(field, f"self.{slot}") for field in self.fields for slot in self.names(field)]
        yield "    def copy_(self):"
        yield f"        return {self.struct.name}({', '.join(copies)})"
        yield "    def assign_(self, x):"
        yield from (f"        {line}" for field in self.fixed for line in self.assigned(field))
        yield "    def clear_(self):"
        yield from (f"        {line}" for field in self.fixed for line in self.cleared(field))
        yield ""

    def copied(self, field: Field, value: str) -> str:
        if field.boxed:
            return f"{value}[:]"
        return copied(field.type, value)

    def assigned(self, field: Field) -> Iterator[str]:
        for slot in self.names(field):
            if field.boxed or isinstance(field.type, Array):
                several = isinstance(field.type, Array) and isinstance(field.type.element, Struct | Array)
                yield f"_assign_all(self.{slot}, x.{slot})" if several else f"self.{slot}[:] = x.{slot}"
            elif isinstance(field.type, Struct):
                yield f"self.{slot}.assign_(x.{slot})"
            else:
                yield f"self.{slot} = x.{slot}"

    def cleared(self, field: Field) -> Iterator[str]:
        for slot, fresh in zip(self.names(field), self.made(field, True)):
            if isinstance(field.type, Struct):
                yield f"self.{slot}.clear_()"
            elif isinstance(field.type, Array) and isinstance(innermost(field.type), Struct):
                yield f"_clear_all(self.{slot})"
            elif isinstance(field.type, Array) and isinstance(field.type.element, Array):
                yield f"_assign_all(self.{slot}, {fresh})"
            elif isinstance(field.type, Array) or field.boxed:
                yield f"self.{slot}[:] = {fresh}"
            else:
                yield f"self.{slot} = {fresh}"


def innermost(t: Type) -> Type:
    """What an array of arrays has in the end."""
    while isinstance(t, Array):
        t = t.element
    return t


def copied(t: Type, value: str) -> str:
    if isinstance(t, Struct):
        return f"{value}.copy_()"
    if isinstance(t, Array):
        scalars = isinstance(t.element, Integer | Double | Pointer)
        return f"{value}[:]" if scalars else f"_copy_all({value})"
    return value


def records(program: Program, shapes: Shapes) -> Iterator[str]:
    """The classes of a program; then how their values lie in memory."""
    for struct in program.structs:
        yield from Record(struct, shapes).lines()
    for struct in program.structs:
        layout = [(Record(struct, shapes).names(f)[0], f) for f in struct.fields.values()]
        fields = ", ".join(f"({name!r}, {code(f.type)}, {f.offset}, {f.boxed})" for name, f in layout)
        yield f"_layouts[{struct.name}] = ({fields},), {size_of(struct)}"
