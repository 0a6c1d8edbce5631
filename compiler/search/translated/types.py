"""The types of C that the kernel has, and how they lie in memory."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Void:
    pass


@dataclass(frozen=True, slots=True)
class Integer:
    """Of so many bytes."""

    size: int
    signed: bool

    @property
    def least(self) -> int:
        return -(1 << 8 * self.size - 1) if self.signed else 0

    @property
    def most(self) -> int:
        return (1 << 8 * self.size - self.signed) - 1

    @property
    def mask(self) -> int:
        return (1 << 8 * self.size) - 1


@dataclass(frozen=True, slots=True)
class Double:
    pass


@dataclass(frozen=True, slots=True)
class Pointer:
    target: Type


@dataclass(frozen=True, slots=True)
class Array:
    """``length``: None at the end of a struct that is made with room for more."""

    element: Type
    length: int | None


@dataclass(eq=False, slots=True)
class Struct:
    """``fields``: empty where all that is known is the name."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Field:
    """Of a struct. ``boxed``: there are pointers to it alone."""

    name: str
    type: Type
    struct: Struct
    offset: int = 0
    boxed: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    result: Type
    parameters: tuple[Type, ...]


Type = Void | Integer | Double | Pointer | Array | Struct | Function

VOID = Void()
DOUBLE = Double()
CHAR, SHORT, INT, LONG, WIDE = (Integer(size, True) for size in (1, 2, 4, 8, 16))
UNSIGNED_CHAR, UNSIGNED_SHORT, UNSIGNED, UNSIGNED_LONG = (Integer(size, False) for size in (1, 2, 4, 8))

NAMED: dict[str, Type] = {
    "void": VOID,
    "double": DOUBLE,
    "char": CHAR,
    "short": SHORT,
    "int": INT,
    "long": LONG,
    "unsigned": UNSIGNED,
    "unsigned int": UNSIGNED,
    "unsigned char": UNSIGNED_CHAR,
    "unsigned short": UNSIGNED_SHORT,
    "int64_t": LONG,
    "uint64_t": UNSIGNED_LONG,
    "size_t": UNSIGNED_LONG,
    "int128_t": WIDE,
}


def size_of(t: Type) -> int:
    """In bytes; pointers have eight."""
    if isinstance(t, Integer):
        return t.size
    if isinstance(t, Array):
        return size_of(t.element) * (t.length or 0)
    if isinstance(t, Struct):
        end = max((f.offset + size_of(f.type) for f in t.fields.values()), default=0)
        return rounded(end, alignment(t))
    if isinstance(t, Double | Pointer):
        return 8
    raise TypeError(f"{t} has no size")


def alignment(t: Type) -> int:
    if isinstance(t, Array):
        return alignment(t.element)
    if isinstance(t, Struct):
        return max((alignment(f.type) for f in t.fields.values()), default=1)
    return size_of(t)


def rounded(offset: int, to: int) -> int:
    return -(-offset // to) * to


def lay_out(struct: Struct, members: list[tuple[str, Type]]) -> None:
    """Gives a struct its fields."""
    end = 0
    for name, t in members:
        offset = rounded(end, alignment(t))
        struct.fields[name] = Field(name, t, struct, offset)
        end = offset + size_of(t)


def common(x: Type, y: Type) -> Type:
    """In which an operation on numbers of both types is done."""
    if isinstance(x, Double) or isinstance(y, Double):
        return DOUBLE
    assert isinstance(x, Integer)
    assert isinstance(y, Integer)
    x, y = promoted(x), promoted(y)
    if x.size == y.size:
        return x if not x.signed else y
    return x if x.size > y.size else y


def promoted(t: Integer) -> Integer:
    return INT if t.size < INT.size else t
