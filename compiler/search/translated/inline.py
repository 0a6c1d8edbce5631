"""Small functions, written where they are called: calls take longer than most of what these do."""

from __future__ import annotations

import re

from effc.compiler.search.translated.facts import Facts, every
from effc.compiler.search.translated.shapes import OBJECT, Shapes
from effc.compiler.search.translated.tree import (
    Assign,
    Call,
    Comma,
    Definition,
    Deref,
    Expression,
    LibraryCall,
    Literal,
    Member,
    Return,
    Step,
    Update,
    Variable,
    scalar,
)
from effc.compiler.search.translated.types import VOID, Pointer

LARGE = 30
"""Nodes of an expression that is still small."""

NAMED = re.compile(r"(\w+) :=")
"""Values that get a name where they are first looked at."""

EFFECTS = Assign | Update | Step | Comma | Literal | LibraryCall


class TooLate(Exception):  # noqa: N818 - no error
    """A parameter is not looked at in all cases, so that its value cannot be named where it is looked at first."""


def small(function: Definition, shapes: Shapes, facts: Facts) -> Expression | None:
    """The value of a function that has no effects and does nothing else than to return it."""
    body = function.body
    if body is None or len(body.statements) != 1 or function in facts.called[function]:
        return None
    last = body.statements[0]
    if not isinstance(last, Return) or last.value is None or not scalar(function.type.result):
        return None
    nodes = list(every(last.value))
    if len(nodes) > LARGE or any(isinstance(node, EFFECTS) for node in nodes):
        return None
    if last.value.type == VOID or isinstance(function.type.result, Pointer):
        return None
    return last.value if all(simple(parameter, shapes) for parameter in function.parameters) else None


def simple(parameter: Variable, shapes: Shapes) -> bool:
    """Whether it is one value in Python."""
    shape = shapes.place(parameter)
    return scalar(parameter.type) and not parameter.boxed and (shape is None or shape.kind == OBJECT)


def independent(value: Expression, arguments: list[Expression], texts: list[str]) -> bool:
    """Whether it is no matter in which order arguments are evaluated, and what the function reads before them."""
    reads = any(isinstance(node, Member | Deref) for node in every(value))
    if reads and any(isinstance(node, Call | Assign | Update | Step) for each in arguments for node in every(each)):
        return False
    for text in texts:
        for name in NAMED.findall(text):
            if any(re.search(rf"\b{name}\b", other) for other in texts if other is not text):
                return False
    return True
