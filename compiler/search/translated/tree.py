"""A program in C as a tree whose expressions know their types, all conversions being written out."""

from __future__ import annotations

from dataclasses import dataclass, field

from effc.compiler.search.translated.types import VOID, Array, Field, Function, Integer, Pointer, Struct, Type


@dataclass(eq=False, slots=True)
class Variable:
    """``name``: that of no other variable of the function. ``boxed``: there are pointers to it."""

    name: str
    type: Type
    shared: bool = False  # by all functions
    boxed: bool = False


@dataclass(eq=False, slots=True)
class Expression:
    type: Type


@dataclass(eq=False, slots=True)
class Const(Expression):
    value: int | float


@dataclass(eq=False, slots=True)
class Null(Expression):
    pass


@dataclass(eq=False, slots=True)
class Var(Expression):
    variable: Variable


@dataclass(eq=False, slots=True)
class Member(Expression):
    """A field of a struct; of what a pointer points to where the struct is a ``Deref``."""

    struct: Expression
    field: Field


@dataclass(eq=False, slots=True)
class Deref(Expression):
    pointer: Expression


@dataclass(eq=False, slots=True)
class Decay(Expression):
    """A pointer to the first element of an array."""

    array: Expression


@dataclass(eq=False, slots=True)
class AddressOf(Expression):
    place: Expression


@dataclass(eq=False, slots=True)
class Offset(Expression):
    """A pointer so many elements further on."""

    pointer: Expression
    index: Expression


@dataclass(eq=False, slots=True)
class Difference(Expression):
    """Of two pointers, in elements."""

    left: Expression
    right: Expression


@dataclass(eq=False, slots=True)
class Unary(Expression):
    """``-`` or ``~``."""

    operator: str
    operand: Expression


@dataclass(eq=False, slots=True)
class Binary(Expression):
    """Of two numbers of the same type, but for shifts."""

    operator: str
    left: Expression
    right: Expression


@dataclass(eq=False, slots=True)
class Compare(Expression):
    operator: str
    left: Expression
    right: Expression


@dataclass(eq=False, slots=True)
class Logic(Expression):
    """``&&`` or ``||``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(eq=False, slots=True)
class Not(Expression):
    operand: Expression


@dataclass(eq=False, slots=True)
class Conditional(Expression):
    condition: Expression
    yes: Expression
    no: Expression


@dataclass(eq=False, slots=True)
class Comma(Expression):
    first: Expression
    second: Expression


@dataclass(eq=False, slots=True)
class Assign(Expression):
    place: Expression
    value: Expression


@dataclass(eq=False, slots=True)
class Update(Expression):
    """``place operator= value``, computed in the type of the value; of a pointer an offset."""

    place: Expression
    operator: str
    value: Expression


@dataclass(eq=False, slots=True)
class Step(Expression):
    """``place++`` and the like."""

    place: Expression
    by: int
    before: bool


@dataclass(eq=False, slots=True)
class Convert(Expression):
    """A number, or a pointer, as one of another type."""

    operand: Expression


@dataclass(eq=False, slots=True)
class Literal(Expression):
    """Values of the fields of a struct, or of the elements of an array; None: zero."""

    values: list[Expression | None]


@dataclass(eq=False, slots=True)
class FunctionName(Expression):
    function: Definition


@dataclass(eq=False, slots=True)
class Call(Expression):
    function: Definition
    arguments: list[Expression]


@dataclass(eq=False, slots=True)
class LibraryCall(Expression):
    """Of the standard library; arguments are as they are written."""

    name: str
    arguments: list[Expression]


@dataclass(eq=False, slots=True)
class Statement:
    line: str


@dataclass(eq=False, slots=True)
class Effect(Statement):
    expression: Expression


@dataclass(eq=False, slots=True)
class Declare(Statement):
    variable: Variable
    value: Expression | None


@dataclass(eq=False, slots=True)
class Block(Statement):
    statements: list[Statement]


@dataclass(eq=False, slots=True)
class If(Statement):
    condition: Expression
    yes: Statement
    no: Statement | None


@dataclass(eq=False, slots=True)
class Loop(Statement):
    """``for`` and ``while``; ``late``: the condition is looked at after the body."""

    start: list[Statement]
    condition: Expression | None
    step: Expression | None
    body: Statement
    late: bool = False


@dataclass(eq=False, slots=True)
class Return(Statement):
    value: Expression | None


@dataclass(eq=False, slots=True)
class Break(Statement):
    pass


@dataclass(eq=False, slots=True)
class Continue(Statement):
    pass


@dataclass(eq=False, slots=True)
class Definition:
    """A function. ``body``: None where it is one of those that run the program."""

    name: str
    type: Function
    parameters: list[Variable] = field(default_factory=list)
    body: Block | None = None


@dataclass(slots=True)
class Program:
    structs: list[Struct] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)
    shared: list[Declare] = field(default_factory=list)
    functions: dict[str, Definition] = field(default_factory=dict)


def parts(node: Expression | Statement) -> list[Expression | Statement]:
    """What an expression or a statement is made of, in the order of its evaluation."""
    found: list[Expression | Statement] = []
    for name in slots(type(node)):
        value = getattr(node, name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Expression | Statement):
                found.append(each)
    return found


def slots(kind: type) -> list[str]:
    return [name for base in reversed(kind.__mro__) for name in getattr(base, "__slots__", ())]


def target_of(pointer: Expression) -> Type:
    assert isinstance(pointer.type, Pointer)
    return pointer.type.target


def is_zero(expression: Expression) -> bool:
    return isinstance(expression, Const) and expression.value == 0


def scalar(t: Type) -> bool:
    return not isinstance(t, Array | Struct | Function) and t is not VOID


def integer(t: Type) -> Integer:
    assert isinstance(t, Integer), t
    return t
