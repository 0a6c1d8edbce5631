"""An array of a description to a ``FanOut``: its axes, and what each of them can do."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

from effc.compiler.target.model import OPERAND_TERMS, FanOut, Link, MeshAxis, Multicast
from effc.compiler.target.statements import statements
from effc.compiler.target.suggest import did_you_mean, either
from effc.compiler.target.syntax import Node
from effc.compiler.target.values import Values
from effc.ir.nest import ROLES

_OTHER_LETTERS = {
    **{"M": "K", "E": "P", "F": "Q", "H": "P", "W": "Q", "B": "N"},
    **{"OY": "P", "OX": "Q", "FY": "R", "FX": "S"},
}
"""What others call the dims of a convolution, and what they are called here."""


def read_array(values: Values, array: Node) -> FanOut:
    """The fan-out that an array describes."""
    title = f"array '{array.name.text}'"
    found = statements(values.source, array, title, array.name, ("multicast", "reduce"))
    nodes = array.all("axis")
    names = _axis_names(values, [node.children[1] for node in nodes], title)
    unroll = _by_axis(values, array, "unroll", names)
    multicast = _by_axis(values, array, "multicast", names)
    reduce = _axes(values, found["reduce"], names)
    for name in names:
        if name not in multicast:
            message, remedy = f"axis '{name}' of {title} has no multicast", f"add `multicast words on {name}`"
            raise values.source.error(array.name, message, "words, tiles or none", remedy)
    axes = (
        MeshAxis(
            name=name,
            size=values.count(node.children[0], "the size of an axis"),
            unroll=_roles(values, unroll[name]) if name in unroll else None,
            multicast=cast(Multicast, multicast[name].name.text),
            reduce=name in reduce,
        )
        for node, name in zip(nodes, names)
    )
    hop = values.measure(found["hop"].children[0], "access energy") if "hop" in found else Fraction(0)
    return FanOut(array.name.text, tuple(axes), hop, _links(values, array, title), values.source.place(array.name))


def _links(values: Values, array: Node, title: str) -> tuple[Link, ...]:
    """The networks of an array; an operand is on one of them at most."""
    links = array.all("link")
    values.distinct([operand.name for link in links for operand in link.all("operand")], f"in {title}, operand")
    found = []
    for link in links:
        terms = [operand.name.text for operand in link.all("operand")]
        operands = tuple(name for name, term in OPERAND_TERMS.items() if term in terms)
        found.append(Link(operands, *values.rates([node for node in link.children if node.rule != "operand"])))
    return tuple(found)


def _axis_names(values: Values, names: Sequence[Node], title: str) -> tuple[str, ...]:
    for name in names:
        if name.text == "none":
            remedy = "choose another name: `reduce none` means no axis"
            raise values.source.error(name, "an axis cannot be called 'none'", "another name", remedy)
    return values.distinct(names, f"in {title}, axis")


def _by_axis(values: Values, array: Node, rule: str, names: Sequence[str]) -> dict[str, Node]:
    """What the statements of a rule say about each axis that they name; without `on`, about all axes."""
    said: dict[str, Node] = {}
    for statement in array.all(rule):
        on = statement.first("on")
        for axis in _axes(values, on, names) if on else names:
            if axis in said:
                message = f"axis '{axis}' has '{rule}' twice"
                expected = f"once; line {said[axis].line} has it already"
                raise values.source.error(statement, message, expected, "remove one of the two, or say `on AXIS`")
            said[axis] = statement.children[0]
    return said


def _axes(values: Values, node: Node, names: Sequence[str]) -> tuple[str, ...]:
    """The axes that a node lists."""
    listed = node.tokens
    for axis in listed:
        if axis.text not in names:
            remedy = did_you_mean(axis.text, names) or "name an axis of this array"
            raise values.source.error(axis, f"unknown axis '{axis.text}'", either(names), remedy)
    return values.distinct(listed, "axis")


def _roles(values: Values, dims: Node) -> tuple[str, ...] | None:
    """The roles of the dims that may be unrolled; None for any."""
    if dims.first("any"):
        return None
    for dim in dims.tokens:
        if dim.text not in ROLES:
            guess = _OTHER_LETTERS.get(dim.text.upper(), dim.text.upper())
            remedy = f"did you mean '{guess}'?" if guess in ROLES else "write the letter of the dim in a convolution"
            raise values.source.error(dim, f"unknown dim '{dim.text}'", either((*ROLES, "any")), remedy)
    return values.distinct(dims.tokens, "dim")
