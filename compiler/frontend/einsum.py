"""Einsum of two operands: a nest with a dim per label. Of three and more: one product after the other. Of one: no
product, but a Transpose and a sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import onnx

from effc.compiler.frontend.builder import Builder, plain, row_major
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import View
from effc.ir.nest import OUTPUT_NAME, Dim, Nest

ELLIPSIS = "..."
HIDDEN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Labels for the axes of an ellipsis, those that the equation does not use."""


class Equation(NamedTuple):
    """The labels of every operand and of the output; those of an ellipsis have names of their own."""

    terms: tuple[str, ...]
    output: str


def einsum(node: Node, build: Builder) -> None:
    """``O[out] += I[left] * W[right]``; a label that an operand repeats is a diagonal of it, which is a view."""
    if len(node.inputs) != 2:
        raise NotANest("one operand: nothing is multiplied")
    a, left = node.operand(0)
    b, right = node.operand(1)
    y, result = node.result()
    equation = _equation(node, (left, right))
    if len(set(equation.output)) < len(equation.output):
        raise NotANest("its output repeats a label")
    sizes = _sizes(node, equation, (left, right))
    inside = [set(term) for term in equation.terms]
    dims = {label: Dim(_name(label), size, _role(label, inside, equation)) for label, size in sizes.items()}
    terms = [_broadcast_out(term, shape, sizes) for term, shape in zip(equation.terms, (left, right))]
    uses = {
        "I": View(a, 0, _strides(equation.terms[0], left, terms[0])),
        "W": View(b, 0, _strides(equation.terms[1], right, terms[1])),
        OUTPUT_NAME: View(y, 0, row_major(result) or (1,)),
    }
    reads = tuple(plain(name, *(dims[label] for label in term)) for name, term in zip(("I", "W"), terms))
    written = [dims[label] for label in equation.output] or [Dim("ONE", 1, "P")]  # a scalar has one word, too
    nest = Nest(
        "einsum", (*written, *(dim for dim in dims.values() if dim not in written)), reads, plain(OUTPUT_NAME, *written)
    )
    build.add_nest(nest, uses, "Einsum", node.name)


def pairs(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """An Einsum of many operands as Einsums of two, from left to right; what is in between keeps what is still needed.

    Einsum("ij,jk,kl->il", a, b, c)   ->   t = Einsum("ij,jk->ik", a, b);  Einsum("ik,kl->il", t, c)
    Einsum("ijk->kj", a)              ->   ReduceSum(Transpose(a))
    """
    if len(node.inputs) == 1:
        return _alone(node, fresh)
    if len(node.inputs) == 2:
        raise NotANest("two operands")
    shapes = [node.operand(i)[1] for i in range(len(node.inputs))]
    equation = _equation(node, tuple(shapes))
    names = list(node.proto.input)
    nodes = []
    left, term = names[0], equation.terms[0]
    for i, (right, other) in enumerate(zip(names[1:], equation.terms[1:]), 1):
        last = i == len(names) - 1
        wanted = {*equation.output, *(label for later in equation.terms[i + 1 :] for label in later)}
        out = equation.output if last else "".join(dict.fromkeys(c for c in term + other if c in wanted))
        result = node.proto.output[0] if last else fresh(f"{node.name}/{i}")
        text = f"{term},{other}->{out}"
        nodes.append(onnx.helper.make_node("Einsum", [left, right], [result], f"{node.name}_{i}", equation=text))
        left, term = result, out
    return nodes


def _alone(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """One operand: its axes in the order of the output, then summed over those that this does not have."""
    x, shape = node.operand(0)
    ((term,), output) = _equation(node, (shape,))
    if len(set(term)) < len(term) or len(set(output)) < len(output):
        raise NotANest("a diagonal")
    summed = [label for label in term if label not in output]
    write, order = Writer(node, fresh), [term.index(label) for label in (*output, *summed)]
    result = node.proto.output[0]
    if order == list(range(len(term))):
        moved = x if summed else write("Identity", x, output=result)
    else:
        moved = write("Transpose", x, perm=order, output="" if summed else result)
    if summed:
        axes = write.integers(*range(len(output), len(term)))
        write("ReduceSum", moved, axes, keepdims=0, output=result)
    return write.nodes


def _equation(node: Node, shapes: tuple[tuple[int, ...], ...]) -> Equation:
    text = node.attributes.get("equation", b"").decode(errors="replace").replace(" ", "")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        raise node.error(f"the equation '{text}' has {len(terms)} terms", f"{len(shapes)}, as many as there are inputs")
    hidden = [label for label in HIDDEN if label not in text]
    ranks = [len(shape) - len(term.replace(ELLIPSIS, "")) for term, shape in zip(terms, shapes)]
    if any(rank < 0 or (rank and ELLIPSIS not in term) for term, rank in zip(terms, ranks)):
        raise node.error(f"the equation '{text}' does not fit inputs of {', '.join(str(len(s)) for s in shapes)} axes")
    widest = max((rank for term, rank in zip(terms, ranks) if ELLIPSIS in term), default=0)
    if widest > len(hidden):
        raise NotANest("too many labels")
    axes = "".join(hidden[:widest])
    spelled = tuple(term.replace(ELLIPSIS, axes[widest - rank :]) for term, rank in zip(terms, ranks))
    if not arrow:
        joined = "".join(spelled)
        output = axes + "".join(sorted(c for c in set(joined) - set(axes) if joined.count(c) == 1))
    else:
        output = output.replace(ELLIPSIS, axes)
    if not all(label.isalpha() and label.isascii() for label in "".join(spelled) + output):
        raise node.error(f"the equation is '{text}'", "labels that are letters")
    if strays := set(output) - set("".join(spelled)):
        raise node.error(f"the output of '{text}' has the label '{min(strays)}'", "labels of the inputs")
    return Equation(spelled, output)


def _sizes(node: Node, equation: Equation, shapes: tuple[tuple[int, ...], ...]) -> dict[str, int]:
    """The size of every label, those of the output first; a size of one is broadcast."""
    sizes: dict[str, int] = dict.fromkeys(equation.output, 1)
    for term, shape in zip(equation.terms, shapes):
        for label, size in zip(term, shape):
            known = sizes.setdefault(label, 1)
            if size != known and 1 not in (size, known):
                raise node.error(f"the label '{label}' has the sizes {known} and {size}")
            sizes[label] = max(size, known)
    return sizes


def _broadcast_out(term: str, shape: tuple[int, ...], sizes: Mapping[str, int]) -> list[str]:
    """The labels of an operand, each once, without those along which it is broadcast."""
    own = {label for label, size in zip(term, shape) if size == sizes[label]}
    return [label for label in dict.fromkeys(term) if label in own]


def _strides(term: str, shape: tuple[int, ...], labels: list[str]) -> tuple[int, ...]:
    """The stride of every label: of one that occurs twice, the sum."""
    steps = row_major(shape)
    return tuple(sum(s for s, n, c in zip(steps, shape, term) if c == label and n > 1) for label in labels)


def _name(label: str) -> str:
    """Dims are written in capitals; ``a`` and ``A`` may both occur."""
    return label.upper() if label.islower() else f"{label}_"


def _role(label: str, inside: list[set[str]], equation: Equation) -> str:
    if label not in equation.output:
        return "C"
    left, right = (label in labels for labels in inside)
    return "G" if left and right else "P" if left else "K"
