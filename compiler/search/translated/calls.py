"""Python for calls, of the program's own functions and of those of the standard library."""

from __future__ import annotations

from effc.compiler.search.translated.inline import TooLate, independent, small
from effc.compiler.search.translated.numbers import Binding, Text, stable
from effc.compiler.search.translated.pointers import Pointers, Written
from effc.compiler.search.translated.records import Record, code, made, named, several
from effc.compiler.search.translated.shapes import LIST, OBJECT, VIEW, Shape, one
from effc.compiler.search.translated.tree import (
    Binary,
    Call,
    Const,
    Deref,
    Expression,
    FunctionName,
    LibraryCall,
    Literal,
    Member,
    Var,
    is_zero,
    target_of,
)
from effc.compiler.search.translated.types import Array, Pointer, Struct, Type, size_of


class Calls(Pointers):
    """Writes calls, and the values that `Numbers` leaves open."""

    def number(self, e: Expression) -> str:
        if isinstance(e, Text):
            return e.text
        if isinstance(e, Var | Member | Deref):
            return self.object(e) if isinstance(e.type, Struct) else self.place(e)
        if isinstance(e, Call):
            return self.called(e)
        if isinstance(e, Literal):
            return self.literal(e)
        assert isinstance(e, LibraryCall), e
        if e.name == "memcmp":
            return self.compared(e, exactly=True)
        return f"{e.name}({', '.join(self.value(each) for each in e.arguments)})"

    def truth(self, e: Expression) -> str:
        if isinstance(e, LibraryCall) and e.name == "memcmp":
            return self.compared(e, exactly=False)
        return super().truth(e)

    def called(self, e: Call) -> str:
        before, arguments = len(self.posts), []
        if e.function.body is None:  # what is asked of others goes to them as it is
            shapes = [self.shapes.of(value) for value in e.arguments]
        else:
            shapes = [self.shapes.place(parameter) for parameter in e.function.parameters]
        for value, shape in zip(e.arguments, shapes):
            arguments += self.argument(value, shape)
        if len(self.posts) > before:  # arguments are done with before the call
            arguments = [self.saved(each) for each in arguments]
            self.settle()
        return self.inlined(e, arguments) or f"{named(e.function.name)}({', '.join(arguments)})"

    def inlined(self, e: Call, arguments: list[str]) -> str | None:
        """The value of a small function."""
        value = small(e.function, self.shapes, self.facts)
        if value is None or not independent(value, e.arguments, arguments):
            return None
        bindings, depth = self.bindings, self.depth
        known = [Binding(text, text if stable(text) else None, self.perhaps) for text in arguments]
        self.bindings = dict(zip(e.function.parameters, known))
        try:
            with self.apart() as lines:
                text = self.value(value)
        except TooLate:
            return None
        finally:
            self.bindings, self.depth = bindings, depth
        return None if lines or any(binding.name is None for binding in known) else text

    def argument(self, value: Expression, shape: Shape | None) -> list[str]:
        if isinstance(value.type, Pointer):
            return ["None"] if shape is None else self.in_shape(value, shape)
        if isinstance(value.type, Struct):
            return [self.value(value) if isinstance(value, Call | Literal) else self.object(value)]
        return [self.value(value)]

    # literals

    def literal(self, e: Literal) -> str:
        assert isinstance(e.type, Struct)
        record = Record(e.type, self.shapes)
        arguments: list[str] = []
        values = list(e.values) + [None] * (len(record.fields) - len(e.values))
        for field, value in zip(record.fields, values):
            shape = self.shapes.place(field)
            if value is None:
                arguments += record.made(field, True)
            elif isinstance(field.type, Array):
                assert isinstance(value, Literal)
                arguments.append(self.array(value, field.type, shape))
            elif isinstance(field.type, Struct):
                arguments.append(self.copied(value))
            elif record.view(field):
                assert shape is not None
                arguments += self.in_shape(value, shape)
            else:
                text = self.cell(value, shape)
                arguments.append(f"[{text}]" if field.boxed else text)
        return f"{e.type.name}({', '.join(arguments)})"

    def array(self, value: Literal, kind: Array, shape: Shape | None) -> str:
        raise NotImplementedError

    def fields(self, value: Literal) -> dict[str, str] | None:
        """The values of a struct that has nothing but numbers and pointers."""
        assert isinstance(value.type, Struct)
        record = Record(value.type, self.shapes)
        parts: dict[str, str] = {}
        for field, each in zip(record.fixed, value.values):
            if isinstance(field.type, Struct | Array) or field.boxed:
                return None
            if each is None:
                texts = record.made(field, True)
            elif isinstance(field.type, Pointer):
                shape = self.shapes.place(field)
                assert shape is not None
                texts = self.in_shape(each, shape)
            else:
                texts = [self.value(each)]
            parts |= dict(zip(record.names(field), texts))
        return parts

    # memory

    def allocated(self, e: LibraryCall, kind: Pointer, shape: str) -> Written:
        target, zero = kind.target, e.name == "calloc"
        if e.name == "realloc":
            old = self.pointer(e.arguments[0])
            values = old.list
            return Written(None, f"_resized({values}, {self.elements(e.arguments[1], target)})")
        if shape == OBJECT:
            assert isinstance(target, Struct)
            return Written(self.alone(e, target, zero))
        if zero:
            number = self.index(e.arguments[0])
            if not one(e.arguments[1], target):
                number = f"_number({number} * {self.index(e.arguments[1])}, {size_of(target)})"
        else:
            number = self.elements(e.arguments[0], target)
        inner = self.shapes.of(e)
        inner = inner.root.inner if inner is not None else None
        return Written(None, f"({several(target, inner, zero, number, True)})")

    def alone(self, e: LibraryCall, target: Struct, zero: bool) -> str:
        """A struct, with room for more where its last array has no length."""
        last = list(target.fields.values())[-1:]
        fresh = made(target, None, zero)
        if not last or not isinstance(last[0].type, Array) or last[0].type.length is not None:
            return fresh
        name = self.temporary()
        self.emit(f"{name} = {fresh}")
        element = last[0].type.element
        size = f"{self.index(e.arguments[0])} - {size_of(target)}"
        number = f"_number({size}, {size_of(element)})"
        self.emit(f"{name}.{named(last[0].name)} = {several(element, self.shapes.place(last[0]), zero, number, True)}")
        return name

    def elements(self, size: Expression, target: Type) -> str:
        """How many there are in so many bytes."""
        if isinstance(size, Const):
            assert isinstance(size.value, int)
            assert size.value % size_of(target) == 0
            return str(size.value // size_of(target))
        if isinstance(size, Binary) and size.operator == "*":
            for one_of, other in ((size.left, size.right), (size.right, size.left)):
                if isinstance(one_of, Const) and one_of.value == size_of(target):
                    return self.index(other)
        return f"_number({self.index(size)}, {size_of(target)})"

    def library_pointer(self, e: LibraryCall) -> Written:
        """`memcpy` and the like, which return where they wrote to."""
        to = self.pointer(e.arguments[0])
        if to.object is None:
            to = Written(None, self.kept(to.list), self.kept(to.index))
        else:
            to = Written(self.kept(to.object))
        self.write_to(e, to)
        return to

    def library_effect(self, e: LibraryCall) -> None:
        if e.name == "free":
            self.pointer(e.arguments[0])
        elif e.name == "qsort":
            self.sort(e)
        elif e.name in ("memcpy", "memmove", "memset"):
            self.write_to(e, self.pointer(e.arguments[0]))
        else:
            self.emit(self.value(e))

    def write_to(self, e: LibraryCall, to: Written) -> None:
        target = target_of(e.arguments[0])
        if e.name == "memset":
            self.fill(e, to, target)
            return
        source = self.pointer(e.arguments[1])
        other = target_of(e.arguments[1])
        if to.object is not None or source.object is not None:
            assert target == other
            assert one(e.arguments[2], target)
            x = to.object or self.element(to, e.arguments[0])
            y = source.object or self.element(source, e.arguments[1])
            self.emit(f"{x}.assign_({y})")
        elif target == other:
            number = self.elements(e.arguments[2], target)
            move = "_move" if not isinstance(target, Struct | Array) else "_move_structs"
            self.emit(f"{move}({to.list}, {to.index}, {source.list}, {source.index}, {number})")
        elif isinstance(target, Array) and target.element == other:
            raise NotImplementedError("memcpy between arrays and elements")
        else:
            size = self.index(e.arguments[2])
            self.emit(
                f"_punned({to.list}, {to.index}, {code(target)}, {source.list}, {source.index}, {code(other)}, {size})"
            )

    def fill(self, e: LibraryCall, to: Written, target: Type) -> None:
        assert is_zero(e.arguments[1])
        if to.object is not None:
            self.emit(f"{to.object}.clear_()")
            return
        if isinstance(target, Struct) and one(e.arguments[2], target):
            self.emit(f"{self.element(to, e.arguments[0])}.clear_()")
            return
        number = self.elements(e.arguments[2], target)
        if isinstance(target, Struct | Array):
            self.emit(f"_fill_structs({to.list}, {to.index}, {number})")
        else:
            shape = self.shapes.of(e.arguments[0])
            zero = made(target, shape.root.inner if shape is not None else None, True)
            self.emit(f"_fill({to.list}, {to.index}, {number}, {zero})")

    def compared(self, e: LibraryCall, exactly: bool) -> str:
        """`memcmp`; not ``exactly``: whether there is a difference."""
        target = target_of(e.arguments[0])
        x, y = self.pointer(e.arguments[0]), self.pointer(e.arguments[1])
        if isinstance(target, Struct) and one(e.arguments[2], target):
            left = x.object or self.element(x, e.arguments[0])
            right = y.object or self.element(y, e.arguments[1])
            name = "_compared" if exactly else "_differ"
            return f"{name}({left}, {right}, {code(target)}, {self.index(e.arguments[2])})"
        number = self.elements(e.arguments[2], target)
        return f"_compared_parts({x.list}, {x.index}, {y.list}, {y.index}, {number}, {code(target)})"

    def sort(self, e: LibraryCall) -> None:
        base, number, _, compare = e.arguments
        assert isinstance(compare, FunctionName)
        pointer, target = self.pointer(base), target_of(base)
        values, start = self.kept(pointer.list), self.kept(pointer.index)
        name = named(compare.function.name)
        shape = self.shapes.place(compare.function.parameters[0])
        assert shape is not None
        if shape.kind == VIEW:
            call = f"lambda i, j: {name}({values}, i, {values}, j)"
        else:
            assert shape.kind != LIST
            call = f"lambda i, j: {name}({values}[i], {values}[j])"
        self.emit(f"_sort({values}, {start}, {self.index(number)}, {call}, {isinstance(target, Struct)})")
