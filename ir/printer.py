"""Prints nests, schedules and graphs: the text that ``effc.ir.parser`` reads back; ``docs/ir.md`` shows the forms.

Whatever is printed here is canonical: equal IR gives equal text. A malformed IR is printed as well, so that the
verifier can show it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence

from effc.ir.constants import digest
from effc.ir.graph import ControlOp, Graph, NestOp, NodeOp, Tensor, View
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.schedule import For, Item, Keep, Schedule

KEYWORDS = frozenset(
    "graph tensor const context nest of read bias write uses offset strides zero epilogue trips body keep for par in by"  # noqa: SIM905
    " op opset captures vector host node none base64 inf nan".split()
)
"""Words that a name has to be quoted to be."""

INDENT = "  "
_WIDTH = 110
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def print_nest(nest: Nest) -> str:
    """The text of a nest without a schedule."""
    return "\n".join([f"nest {name(nest.name)} ({_dims(nest)}) {{", *_operands(nest), "}"]) + "\n"


def print_schedule(schedule: Schedule, nest: Nest | None = None) -> str:
    """The text of a schedule. The range of a loop is left out where only the nest would tell it."""
    return "".join(line + "\n" for line in _loops(schedule, nest))


def print_scheduled(nest: Nest, schedule: Schedule) -> str:
    """The text of a nest with its schedule: the loops, and the statement inside them."""
    body = [*_operands(nest), "", *_indented(_body(nest, schedule))]
    return "\n".join([f"nest {name(nest.name)} ({_dims(nest)}) {{", *body, "}"]) + "\n"


def print_graph(graph: Graph) -> str:
    """The text of a graph. Of the constants it holds the digests; their values travel beside it."""
    return "\n".join(_graph(graph)) + "\n"


def _graph(graph: Graph) -> list[str]:
    lines = [f"graph {quoted(graph.name)} {_tuple(graph.inputs)} -> {_tuple(graph.outputs)} {{"]
    for key, tensor in graph.tensors.items():
        value = graph.constants.get(key)
        lines.append(INDENT + (print_tensor(tensor) if value is None else print_constant(tensor, digest(value))))
    contexts = _contexts(graph)
    lines += [f'{INDENT}context {key} = base64 "{b64encode(data).decode()}"' for data, key in contexts.items()]
    for op in graph.ops:
        lines += _indented(_nest_op(op) if isinstance(op, NestOp) else _node_op(op, contexts))
        if isinstance(op, ControlOp):
            lines += _indented(_bodies(op))
    return [*lines, "}"]


def _bodies(op: ControlOp) -> Iterator[str]:
    """How often the body runs, and every body."""
    if op.trips is not None:
        yield f"trips {op.trips}"
    for body in op.bodies:
        first, *rest = _graph(body)
        yield f"body {first}"
        yield from rest


def print_dim(dim: Dim) -> str:
    """``K=64``; with the role where it is not the name: ``M:P=64``."""
    role = "" if dim.role == dim.name else ":" + name(dim.role)
    return f"{name(dim.name)}{role}={dim.bound}"


def print_index(axis: Axis) -> str:
    """``2*P + R - 3``."""
    text = "".join(_signed(c, dim if abs(c) == 1 else f"{abs(c)}*{dim}") for c, dim in _named(axis))
    if axis.offset or not axis.terms:
        text += _signed(axis.offset, str(abs(axis.offset)))
    return text.removeprefix(" + ") if text.startswith(" + ") else "-" + text.removeprefix(" - ")


def print_axis(axis: Axis) -> str:
    """``2*P + R - 3 < 224``."""
    return f"{print_index(axis)} < {axis.size}"


def print_operand(operand: Operand, keyword: str) -> str:
    """``read  I[N < 1, C < 3]``."""
    return f"{keyword:5} {name(operand.name)}[{', '.join(map(print_axis, operand.axes))}]"


def print_item(item: Item, extent: int | None = None) -> str:
    """``for K in 0..64 by 16``; without the range where the extent is not known."""
    if isinstance(item, Keep):
        return f"keep {name(item.operand)} @ {name(item.level)}"
    words = [("for " if isinstance(item, For) else "par ") + name(item.dim)]
    words += [] if extent is None else [f"in 0..{extent}"]
    words += [] if item.step == 1 else [f"by {item.step}"]
    words += [] if isinstance(item, For) else [f"@ {name(item.level)}.{name(item.axis)}"]
    return " ".join(words)


def print_statement(nest: Nest) -> str:
    """``O[N, K] += I[N, C] * W[K, C]``."""
    return f"{_reference(nest.output)} += {' * '.join(map(_reference, nest.reads))}"


def print_view(operand: str, view: View, shape: Sequence[int] | None) -> str:
    """``I = x offset 128 strides (64, 8, 1)``; a row-major view of an operand of that shape has no strides."""
    words = [name(operand), "=", name(view.tensor)]
    words += [f"offset {view.offset}"] if view.offset else []
    words += [] if shape is not None and view.strides == row_major(shape) else [f"strides ({_commas(view.strides)})"]
    if view.zero is not None:
        words += ["zero", name(view.zero.tensor), f"strides ({_commas(view.zero.strides)})"]
    return " ".join(words)


def print_tensor(tensor: Tensor) -> str:
    """``tensor x : float32[1, 1, 8, 8]``; without brackets where the shape is only known at run time.

    A part: ``tensor x : float32[1, 1, 8, 8] in y offset 64 strides (128, 64, 8, 1)``.
    """
    return f"tensor {_typed(tensor)}{_place(tensor)}"


def print_constant(tensor: Tensor, sha256: str) -> str:
    """``const  w : float32[16, 1, 3, 3] = sha256:...``; a part has its place before the equals sign."""
    return f"const  {_typed(tensor)}{_place(tensor)} = sha256:{sha256}"


def _place(tensor: Tensor) -> str:
    return "" if tensor.place is None else f" in {print_view('', tensor.place, None).partition(' = ')[2]}"


def print_op_head(op: NestOp | NodeOp, context: str = "") -> str:
    """The first line of an op, without its body: what a message shows of it. ``context`` is the name of its context."""
    if isinstance(op, NestOp):
        origin = "" if op.origin == op.name else " " + quoted(op.origin)
        return f"nest {name(op.name)} ({_dims(op.nest)}) of {name(op.op)}{origin}"
    words = [f"op {name(op.op)} {quoted(op.name)} {_tuple(op.inputs)} -> {_tuple(op.outputs)}"]
    if op.domain or op.version:
        words.append(f"opset {quoted(op.domain) + ' ' if op.domain else ''}{op.version}")
    words += [f"captures {_tuple(op.captures)}"] if op.captures else []
    words += [f"context {name(context)}"] if context else []
    words.append(f"@ {op.where}")
    words += [quoted(op.reason)] if op.reason else []
    return " ".join(words)


def name(text: str) -> str:
    """A name as it is, or quoted where it would not read as one."""
    return text if _BARE.fullmatch(text) and text not in KEYWORDS else quoted(text)


def quoted(text: str) -> str:
    """A string in quotes; what does not print is written ``\\u{...}``, character by character."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text) + '"'


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor of that shape whose last axis is contiguous."""
    strides, words = [], 1
    for size in reversed(shape):
        strides.append(words)
        words *= size
    return tuple(reversed(strides))


def extents(schedule: Schedule, nest: Nest | None) -> list[int | None]:
    """Per item the range that a full tile of the loop runs over; None for a keep and where it is not known."""
    ranges: dict[str, int] = {} if nest is None else dict(nest.bounds)
    found: list[int | None] = []
    for item in schedule.items:
        if isinstance(item, Keep):
            found.append(None)
        else:
            found.append(ranges.get(item.dim))
            ranges[item.dim] = item.step
    return found


def _nest_op(op: NestOp) -> Iterator[str]:
    operands = op.nest.operands
    yield print_op_head(op) + " {"
    yield from _operands(op.nest)
    if op.schedule is not None:
        yield ""
        yield from _indented(_body(op.nest, op.schedule))
    shapes = {key: operand.shape for key, operand in operands.items()}
    uses = [print_view(key, view, shapes.get(key)) for key, view in op.uses.items()]
    yield "} uses " + ", ".join(uses) + (" epilogue {" if op.epilogue else "")
    if op.epilogue:
        yield from _indented(line for step in op.epilogue for line in _node_op(step, {}))
        yield "}"


def _contexts(graph: Graph) -> dict[bytes, str]:
    """A name for every context of the graph's ops, in the order in which they are needed."""
    found = dict.fromkeys(op.context for op in graph.ops if isinstance(op, NodeOp) and op.context)
    return {data: f"c{i}" for i, data in enumerate(found)}


def _node_op(op: NodeOp, contexts: Mapping[bytes, str]) -> Iterator[str]:
    from effc.ir.nodes import node_entries

    head = print_op_head(op, contexts.get(op.context, ""))
    entries = [f"{'' if e.is_attribute else 'node '}{_key(e.key)} = {e.text}" for e in node_entries(op)]
    line = f"{head} {{ {', '.join(entries)} }}"
    if not entries:
        yield head
    elif len(line) <= _WIDTH:
        yield line
    else:
        yield head + " {"
        yield from (f"{INDENT}{entry}," for entry in entries)
        yield "}"


def _key(text: str) -> str:
    """The name of an attribute: a keyword may be one as it is, such as ``strides``."""
    return text if text in KEYWORDS and text != "node" else name(text)


def _operands(nest: Nest) -> Iterator[str]:
    yield from (INDENT + print_operand(read, "read") for read in nest.reads)
    if nest.bias is not None:
        yield INDENT + print_operand(nest.bias, "bias")
    yield INDENT + print_operand(nest.output, "write")


def _body(nest: Nest, schedule: Schedule) -> Iterator[str]:
    """The loops with the statement inside."""
    yield from _loops(schedule, nest)
    depth = sum(not isinstance(item, Keep) for item in schedule.items)
    yield INDENT * depth + print_statement(nest)


def _loops(schedule: Schedule, nest: Nest | None) -> Iterator[str]:
    """The items, each loop indenting what is inside it."""
    depth = 0
    for item, extent in zip(schedule.items, extents(schedule, nest), strict=True):
        yield INDENT * depth + print_item(item, extent)
        depth += not isinstance(item, Keep)


def _dims(nest: Nest) -> str:
    return ", ".join(map(print_dim, nest.dims))


def _named(axis: Axis) -> Iterator[tuple[int, str]]:
    return ((coefficient, name(dim)) for coefficient, dim in axis.terms)


def _signed(value: int, magnitude: str) -> str:
    return f" {'-' if value < 0 else '+'} {magnitude}"


def _reference(operand: Operand) -> str:
    return f"{name(operand.name)}[{', '.join(map(print_index, operand.axes))}]"


def _typed(tensor: Tensor) -> str:
    shape = "" if tensor.shape is None else f"[{_commas(tensor.shape)}]"
    return f"{name(tensor.name)} : {name(tensor.dtype)}{shape}"


def _tuple(names: Iterable[str]) -> str:
    return f"({', '.join(map(name, names))})"


def _commas(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (INDENT + line if line else "" for line in lines)
