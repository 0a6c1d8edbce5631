"""Sequences whose members are known: what reads them reads the members.

s = SequenceConstruct(a, b);  t = SequenceInsert(s, c);  y = ConcatFromSequence(t)    y = Concat(a, b, c)

Exporters of scripted models write lists so, and what is put together of them has a shape again.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from effc.compiler.frontend.node import Node
from effc.compiler.frontend.subgraphs import Fresh, subgraphs

AXES_INPUT = 13
"""The operator set since which Unsqueeze has its axes as an input."""


IDENTITY = 14
"""The operator set since which Identity takes sequences."""


class Sequences:
    """The members of the sequences that are known so far, by name."""

    def __init__(self) -> None:
        self.members: dict[str, tuple[str, ...]] = {}

    def note(self, node: Node) -> None:
        """Note what a node makes of known members."""
        names = [str(name) for name in node.proto.input]
        op, output = node.proto.op_type, next(iter(node.proto.output), "")
        if op == "SequenceEmpty":
            self.members[output] = ()
        elif op == "SequenceConstruct" and all(names):
            self.members[output] = tuple(names)
        known = self.members.get(names[0]) if names else None
        if known is None:
            return
        if op == "Identity":
            self.members[output] = known
        elif op == "SequenceInsert":
            place = _place(node, 2, len(known), len(known))
            if place is not None and 0 <= place <= len(known):
                self.members[output] = (*known[:place], names[1], *known[place:])
        elif op == "SequenceErase":
            place = _place(node, 1, len(known) - 1, len(known))
            if place is not None and 0 <= place < len(known):
                self.members[output] = known[:place] + known[place + 1 :]

    def collected(self, node: Node) -> bool:
        """Whether a loop without others in it adds to known members: unrolled, its results are known, too."""
        nested = any(proto.op_type in ("Loop", "Scan") for body in subgraphs(node.proto) for proto in body.node)
        return not nested and any(name in self.members for name in node.proto.input)

    def read(self, node: Node, fresh: Fresh) -> list[onnx.NodeProto] | None:
        """The nodes in the place of one that reads known members; None if it does not."""
        names, output = list(node.proto.input), next(iter(node.proto.output), "")
        known = self.members.get(names[0]) if names else None
        if known is None or not output:
            return None
        name = fresh(f"{node.name}/node")
        match node.proto.op_type:
            case "SequenceLength":
                value = numpy_helper.from_array(np.array(len(known), np.int64))
                return [helper.make_node("Constant", [], [output], name, value=value)]
            case "SequenceAt":
                place = _place(node, 1, -1, len(known))
                if place is not None and 0 <= place < len(known):
                    return [helper.make_node("Identity", [known[place]], [output], name)]
            case "Identity" if known and node.version < IDENTITY:
                self.members[output] = known
                return [helper.make_node("SequenceConstruct", known, [output], name)]
            case "ConcatFromSequence" if known:
                return _together(node, known, output, fresh)
        return None


def _place(node: Node, position: int, default: int, length: int) -> int | None:
    """A place in a sequence, counted from its beginning; None if it is not known."""
    if node.input(position) is None:
        return default
    value = node.constant(position)
    if value is None or value.size != 1:
        return None
    place = int(value.item())
    return place + length if place < 0 else place


def _together(node: Node, known: tuple[str, ...], output: str, fresh: Fresh) -> list[onnx.NodeProto]:
    axis, nodes = int(node.attributes.get("axis", 0)), []
    if node.attributes.get("new_axis", 0):
        rows = [fresh(f"{node.name}/row") for _ in known]
        if node.version >= AXES_INPUT:
            axes = fresh(f"{node.name}/axes")
            value = numpy_helper.from_array(np.array([axis], np.int64))
            nodes.append(helper.make_node("Constant", [], [axes], fresh(f"{node.name}/axes_node"), value=value))
            nodes += [helper.make_node("Unsqueeze", [a, axes], [b], f"{b}_node") for a, b in zip(known, rows)]
        else:
            nodes += [helper.make_node("Unsqueeze", [a], [b], f"{b}_node", axes=[axis]) for a, b in zip(known, rows)]
        known = tuple(rows)
    return [*nodes, helper.make_node("Concat", known, [output], fresh(f"{node.name}/concat_node"), axis=axis)]
