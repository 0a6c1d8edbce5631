"""From the parser's nodes to expressions with types."""

from __future__ import annotations

import operator
from collections.abc import Callable, MutableMapping
from typing import Any

from pycparser import c_ast

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
    Definition,
    Deref,
    Difference,
    Expression,
    FunctionName,
    LibraryCall,
    Logic,
    Member,
    Not,
    Null,
    Offset,
    Step,
    Unary,
    Update,
    Var,
    Variable,
    integer,
    is_zero,
    target_of,
)
from effc.compiler.search.translated.types import (
    DOUBLE,
    INT,
    LONG,
    UNSIGNED,
    UNSIGNED_LONG,
    VOID,
    Array,
    Double,
    Integer,
    Pointer,
    Struct,
    Type,
    common,
    promoted,
    size_of,
)

LIBRARY: dict[str, Type] = {
    "malloc": Pointer(VOID),
    "calloc": Pointer(VOID),
    "realloc": Pointer(VOID),
    "memcpy": Pointer(VOID),
    "memmove": Pointer(VOID),
    "memset": Pointer(VOID),
    "memcmp": INT,
    "free": VOID,
    "qsort": VOID,
    "floor": DOUBLE,
    "ceil": DOUBLE,
    "fabs": DOUBLE,
    "sqrt": DOUBLE,
    "exp": DOUBLE,
    "log": DOUBLE,
}
"""What each function of the standard library returns."""

INFINITE = Const(DOUBLE, float("inf"))

FOLDED: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "|": operator.or_,
    "&": operator.and_,
}
"""Operators on constants."""


class Expressions:
    """Reads expressions. ``value`` makes pointers of arrays, ``expression`` leaves them as they are."""

    names: MutableMapping[str, Variable | Const | Definition]

    def type_of(self, node: Any, name: str | None = None) -> Type:
        raise NotImplementedError

    def initial(self, node: Any, kind: Type) -> Expression:
        raise NotImplementedError

    def value(self, node: Any) -> Expression:
        return decayed(self.expression(node))

    def expression(self, node: Any) -> Expression:
        read = getattr(self, type(node).__name__.lower(), None)
        if read is None:
            raise NotImplementedError(f"{node.coord}: {type(node).__name__}")
        try:
            found: Expression = read(node)
        except (AssertionError, KeyError) as error:
            raise NotImplementedError(f"{node.coord}: {error!r}") from error
        return found

    def constant(self, node: Any) -> Expression:
        if node.type in ("double", "float"):
            return Const(DOUBLE, float(node.value))
        text = node.value.lower()
        digits = text.rstrip("ul")
        value, suffix = int(digits, 16 if digits.startswith("0x") else 10), text[len(digits) :]
        if "u" in suffix:
            return Const(UNSIGNED_LONG if "l" in suffix or value > UNSIGNED.most else UNSIGNED, value)
        return Const(LONG if "l" in suffix or value > INT.most else INT, value)

    def id(self, node: Any) -> Expression:
        if node.name == "INFINITY":
            return INFINITE
        found = self.names[node.name]
        if isinstance(found, Definition):
            return FunctionName(found.type, found)
        return Var(found.type, found) if isinstance(found, Variable) else found

    def structref(self, node: Any) -> Expression:
        struct = self.value(node.name) if node.type == "->" else self.expression(node.name)
        if node.type == "->":
            struct = Deref(target_of(struct), struct)
        assert isinstance(struct.type, Struct)
        field = struct.type.fields[node.field.name]
        return Member(field.type, struct, field)

    def arrayref(self, node: Any) -> Expression:
        pointer = self.value(node.name)
        return Deref(target_of(pointer), Offset(pointer.type, pointer, self.value(node.subscript)))

    def unaryop(self, node: Any) -> Expression:
        if node.op == "sizeof":
            kind = self.type_of(node.expr) if isinstance(node.expr, c_ast.Typename) else self.expression(node.expr).type
            return Const(UNSIGNED_LONG, size_of(kind))
        if node.op == "&":
            place = self.expression(node.expr)
            return place.pointer if isinstance(place, Deref) else AddressOf(Pointer(place.type), place)
        if node.op in ("p++", "p--", "++", "--"):
            place = self.expression(node.expr)
            return Step(place.type, place, 1 if "+" in node.op else -1, not node.op.startswith("p"))
        operand = self.value(node.expr)
        if node.op == "*":
            return Deref(target_of(operand), operand)
        if node.op == "!":
            return Not(INT, operand)
        if isinstance(operand.type, Integer):
            operand = converted(operand, promoted(operand.type))
        if node.op == "+":
            return operand
        if node.op == "-" and isinstance(operand, Const) and not is_unsigned(operand.type):
            return Const(operand.type, -operand.value)
        return Unary(operand.type, node.op, operand)

    def binaryop(self, node: Any) -> Expression:
        left, right = self.value(node.left), self.value(node.right)
        if node.op in ("&&", "||"):
            return Logic(INT, node.op, left, right)
        if node.op in ("==", "!=", "<", ">", "<=", ">="):
            return self.compared(node.op, left, right)
        if isinstance(left.type, Pointer) and isinstance(right.type, Pointer):
            return Difference(LONG, left, right)
        if isinstance(left.type, Pointer):
            return Offset(left.type, left, right if node.op == "+" else Unary(right.type, "-", right))
        if isinstance(right.type, Pointer):
            return Offset(right.type, right, left)
        return operation(node.op, left, right)

    def compared(self, op: str, left: Expression, right: Expression) -> Expression:
        if isinstance(left.type, Pointer) or isinstance(right.type, Pointer):
            kind = left.type if isinstance(left.type, Pointer) else right.type
            return Compare(INT, op, self.converted(left, kind), self.converted(right, kind))
        kind = common(left.type, right.type)
        return Compare(INT, op, converted(left, kind), converted(right, kind))

    def ternaryop(self, node: Any) -> Expression:
        condition, yes, no = self.value(node.cond), self.value(node.iftrue), self.value(node.iffalse)
        if isinstance(yes.type, Pointer) or isinstance(no.type, Pointer):
            kind: Type = yes.type if isinstance(yes.type, Pointer) and yes.type.target != VOID else no.type
        elif isinstance(yes.type, Integer | Double):
            kind = common(yes.type, no.type)
        else:
            kind = yes.type
        return Conditional(kind, condition, self.converted(yes, kind), self.converted(no, kind))

    def assignment(self, node: Any) -> Expression:
        place, value = self.expression(node.lvalue), self.value(node.rvalue)
        if node.op == "=":
            return Assign(place.type, place, self.converted(value, place.type))
        sign = node.op[:-1]
        if isinstance(place.type, Pointer):
            return Update(place.type, place, "+", value if sign == "+" else Unary(value.type, "-", value))
        if sign in ("<<", ">>"):
            kind: Type = promoted(integer(place.type))
        else:
            kind = common(place.type, value.type)
        return Update(place.type, place, sign, converted(value, kind))

    def exprlist(self, node: Any) -> Expression:
        found = self.value(node.exprs[0])
        for each in node.exprs[1:]:
            then = self.value(each)
            found = Comma(then.type, found, then)
        return found

    def cast(self, node: Any) -> Expression:
        kind, operand = self.type_of(node.to_type), self.value(node.expr)
        return Convert(VOID, operand) if kind == VOID else self.converted(operand, kind)

    def compoundliteral(self, node: Any) -> Expression:
        return self.initial(node.init, self.type_of(node.type))

    def funccall(self, node: Any) -> Expression:
        name, given = node.name.name, node.args.exprs if node.args else []
        if name == "offsetof":
            struct = self.type_of(given[0])
            assert isinstance(struct, Struct)
            return Const(UNSIGNED_LONG, struct.fields[given[1].name].offset)
        arguments = [self.value(each) for each in given]
        if name in LIBRARY and name not in self.names:
            if LIBRARY[name] == DOUBLE:
                arguments = [converted(each, DOUBLE) for each in arguments]
            return LibraryCall(LIBRARY[name], name, arguments)
        function = self.names[name]
        assert isinstance(function, Definition)
        kinds = function.type.parameters
        assert len(arguments) == len(kinds)
        return Call(function.type.result, function, [self.converted(each, t) for each, t in zip(arguments, kinds)])

    def converted(self, value: Expression, kind: Type) -> Expression:
        return converted(value, kind)


def decayed(value: Expression) -> Expression:
    return Decay(Pointer(value.type.element), value) if isinstance(value.type, Array) else value


def is_unsigned(t: Type) -> bool:
    return isinstance(t, Integer) and not t.signed


def converted(value: Expression, kind: Type) -> Expression:
    """As if assigned to a variable of a type."""
    if value.type == kind:
        return value
    if isinstance(kind, Pointer):
        if is_zero(value) or isinstance(value, Null):
            return Null(kind)
        assert isinstance(value.type, Pointer)
        if VOID not in (kind.target, value.type.target):
            raise NotImplementedError(f"a pointer to {value.type.target} as one to {kind.target}")
        if isinstance(value, Conditional):
            return Conditional(kind, value.condition, converted(value.yes, kind), converted(value.no, kind))
    elif isinstance(value, Const) and isinstance(kind, Double):
        return Const(kind, float(value.value))
    elif isinstance(value, Const) and isinstance(kind, Integer) and isinstance(value.value, int):
        if kind.least <= value.value <= kind.most:
            return Const(kind, value.value)
    elif not isinstance(kind, Integer | Double) or not isinstance(value.type, Integer | Double):
        raise NotImplementedError(f"{value.type} as {kind}")
    return Convert(kind, value)


def operation(op: str, left: Expression, right: Expression) -> Expression:
    if op in ("<<", ">>"):
        left, right = converted(left, promoted(integer(left.type))), converted(right, INT)
        kind: Type = left.type
    else:
        kind = common(left.type, right.type)
        left, right = converted(left, kind), converted(right, kind)
    if isinstance(left, Const) and isinstance(right, Const) and isinstance(kind, Integer) and op in FOLDED:
        value = FOLDED[op](integer_value(left), integer_value(right))
        if kind.least <= value <= kind.most:
            return Const(kind, value)
    return Binary(kind, op, left, right)


def integer_value(constant: Const) -> int:
    assert isinstance(constant.value, int)
    return constant.value
