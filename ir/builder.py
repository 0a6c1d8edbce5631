"""Builds the IR while its text is parsed: one method per rule of ``ir.lark``.

Every value is kept with its place in the text (``At``), so that what turns out to be wrong later is shown there.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lark import Token, Transformer

from effc.ir.constants import AbsentConstant
from effc.ir.graph import ControlOp, Graph, NestOp, NodeOp, Tensor, View
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.printer import extents, print_item, print_statement, row_major
from effc.ir.schedule import For, Item, Keep, Par, Schedule

MAX_NUMBER = 10**12
"""The largest number in a text, attributes of ONNX nodes excepted: they have 64 bits."""

_ESCAPE = re.compile(r'\\(?:(["\\ntr])|u\{([0-9a-fA-F]+)\})')
_KINDS = {int: "ints", float: "floats", str: "strings"}
_LETTERS = {"n": "\n", "t": "\t", "r": "\r"}


class TextError(Exception):
    """Something is wrong in the text between two positions."""

    def __init__(self, start: int, end: int, message: str, expected: str, remedy: str) -> None:
        super().__init__(message)
        self.start, self.end = start, end
        self.message, self.expected, self.remedy = message, expected, remedy


@dataclass(slots=True)
class At:
    """A value, where it stands in the text, and the parts of it that have a place of their own."""

    value: Any
    start: int
    end: int
    inner: Mapping[str | int, At] = field(default_factory=dict)

    def find(self, place: Iterable[str | int]) -> At:
        """The innermost part on the way to ``place`` that stands in the text."""
        here = found = self
        for step in place:
            if step not in here.inner:
                break
            here = here.inner[step]
            found = here if here.start >= 0 else found
        return found

    def fault(self, message: str, expected: str, remedy: str) -> TextError:
        return TextError(self.start, self.end, message, expected, remedy)


def at(value: Any, *parts: At | Token, inner: Mapping[str | int, At] | None = None) -> At:
    """``value``, standing where ``parts`` stand."""
    first, last = parts[0], parts[-1]
    start = first.start if isinstance(first, At) else first.start_pos
    end = last.end if isinstance(last, At) else last.end_pos
    return At(value, start or 0, end or 0, inner or {})


def group(parts: Iterable[At]) -> At:
    """Several values as one tuple; its parts are found by position."""
    parts = list(parts)
    start, end = (parts[0].start, parts[-1].end) if parts else (-1, -1)
    return At(tuple(part.value for part in parts), start, end, dict(enumerate(parts)))


def check_schedule(schedule: At, nest: Nest | None) -> None:
    """Raise a ``TextError`` where a range or the statement is not what it has to be; both are redundant in a text."""
    items: tuple[Item, ...] = schedule.value.items
    for i, (item, extent) in enumerate(zip(items, extents(schedule.value, nest), strict=True)):
        if isinstance(item, Keep):
            continue
        place = schedule.inner["items"].inner[i]
        written = place.inner.get("extent")
        if written is not None and extent is not None and written.value != extent:
            raise written.fault(
                f"the range of this loop over {item.dim} is not 0..{extent}",
                f"`0..{extent}`, the {'step of the loop around it' if _again(items, i) else 'bound of ' + item.dim}",
                f"write `{print_item(item, extent)}`, or leave the range out",
            )
        limit = extent if extent is not None or written is None else written.value
        if item.step < 1 or (limit is not None and item.step > limit):
            raise place.fault(
                f"a loop cannot step by {item.step}" + ("" if limit is None else f" in 0..{limit}"),
                "a step of at least 1, and at most the range",
                "write a smaller number after `by`, or none for steps of 1" if item.step else "leave `by 0` out",
            )
    if nest is not None and "statement" in schedule.inner:
        check_statement(schedule.inner["statement"], nest)


def check_statement(statement: At, nest: Nest) -> None:
    """Raise a ``TextError`` unless the statement is the one of ``nest``."""
    operands = (nest.output, *nest.reads)
    actual = tuple((o.name, tuple((axis.terms, axis.offset) for axis in o.axes)) for o in operands)
    if statement.value != actual:
        raise statement.fault(
            "this is not the statement of the nest", f"`{print_statement(nest)}`", "write it so, or change the operands"
        )


def _again(items: tuple[Item, ...], position: int) -> bool:
    """Whether a loop of the same dim stands outside this one."""
    dim = items[position].dim  # type: ignore[union-attr]
    return any(not isinstance(item, Keep) and item.dim == dim for item in items[:position])


@dataclass(frozen=True, slots=True)
class Context:
    """What nodes need beside themselves, declared once for all of them."""

    key: str
    data: bytes


class Builder(Transformer[Token, At]):
    """The value of every rule, from the values of its parts."""

    # Names and numbers

    def name(self, parts: list[Any]) -> At:
        (token,) = parts
        return at(_unquoted(token) if token.type == "STRING" else str(token), token)

    string = name
    word = name

    def names(self, parts: list[Any]) -> At:
        return group(parts)

    def integer(self, parts: list[Any]) -> At:
        return at(_sign(parts) * _digits(parts[-1], 2**63), *parts)

    def real(self, parts: list[Any]) -> At:
        return at(_sign(parts) * float(parts[-1]), *parts)

    # Nests

    def dim(self, parts: list[Any]) -> At:
        label, role, bound = parts
        return at(Dim(label.value, _number(bound), (role or label).value), label, bound)

    def dims(self, parts: list[Any]) -> At:
        return group(parts)

    def product(self, parts: list[Any]) -> At:
        coefficient, dim = parts
        return at((1 if coefficient is None else _number(coefficient), dim.value), coefficient or dim, dim)

    def offset(self, parts: list[Any]) -> At:
        return at(_number(parts[0]), *parts)

    def index(self, parts: list[Any]) -> At:
        terms, offset, sign = [], 0, 1
        for part in parts:
            if isinstance(part, Token):
                sign = -1 if part.type == "MINUS" else 1
            elif isinstance(part.value, int):
                offset += sign * part.value
            else:
                coefficient, dim = part.value
                terms.append((sign * coefficient, dim))
        return at((tuple(terms), offset), *parts)

    def axis(self, parts: list[Any]) -> At:
        index, size = parts
        terms, offset = index.value
        return at(Axis(terms, offset, _number(size)), *parts)

    def operand(self, parts: list[Any]) -> At:
        keyword, name, *axes = parts
        inner: dict[str | int, At] = {"axes": group(axes), "keyword": at(keyword.type, keyword)}
        return at(Operand(name.value, tuple(axis.value for axis in axes)), name, inner=inner)

    def reference(self, parts: list[Any]) -> At:
        name, *indices = parts
        return at((name.value, tuple(index.value for index in indices)), *parts)

    def statement(self, parts: list[Any]) -> At:
        return at(tuple(part.value for part in parts), *parts)

    def nest(self, parts: list[Any]) -> At:
        keyword, name, dims, *body = parts
        return _nest(keyword, name, dims, body)

    # Schedules

    def extent(self, parts: list[Any]) -> At:
        _, first, last = parts
        if _number(first):
            raise at(None, first).fault("a range starts at 0", f"`0..{last}`", "count from the start of the tile")
        return at(_number(last), first, last)

    def step(self, parts: list[Any]) -> At:
        _, step = parts
        return at(_number(step), *parts)

    def keep(self, parts: list[Any]) -> At:
        _, operand, level = parts
        return at(Keep(operand.value, level.value), *parts)

    def temporal(self, parts: list[Any]) -> At:
        _, dim, extent, step = parts
        return _loop(For(dim.value, 1 if step is None else step.value), parts, extent)

    def spatial(self, parts: list[Any]) -> At:
        _, dim, extent, step, level, axis = parts
        return _loop(Par(dim.value, 1 if step is None else step.value, level.value, axis.value), parts, extent)

    def schedule(self, parts: list[Any]) -> At:
        statement = parts[-1] if parts and isinstance(parts[-1].value, tuple) else None
        return _schedule(parts if statement is None else parts[:-1], statement)

    # Graphs

    def shape(self, parts: list[Any]) -> At:
        return At(tuple(map(_number, parts)), -1, -1)

    def tensor(self, parts: list[Any]) -> At:
        _, name, dtype, shape, place = parts
        sizes, whole = (None if part is None else part.value for part in (shape, place))
        return at(Tensor(name.value, dtype.value, sizes, whole), name, inner={} if place is None else {"place": place})

    def place(self, parts: list[Any]) -> At:
        _, name, offset, strides = parts
        return at(View(name.value, 0 if offset is None else offset.value, strides.value), name, strides)

    def constant(self, parts: list[Any]) -> At:
        _, name, dtype, shape, place, digest = parts
        inner: dict[str | int, At] = {"digest": at(digest.removeprefix("sha256:"), digest)}
        inner |= {} if place is None else {"place": place}
        return at(Tensor(name.value, dtype.value, shape.value, place and place.value), name, inner=inner)

    def origin(self, parts: list[Any]) -> At:
        keyword, op, origin = parts
        return at((op.value, None if origin is None else origin.value), keyword, op)

    def view_at(self, parts: list[Any]) -> At:
        return at(parts[1].value, *parts)

    def strides(self, parts: list[Any]) -> At:
        return at(tuple(part.value for part in parts[1:]), *parts)

    def zero(self, parts: list[Any]) -> At:
        _, tensor, strides = parts
        return at(View(tensor.value, 0, strides.value), *parts)

    def use(self, parts: list[Any]) -> At:
        operand, tensor, offset, strides, zero = parts
        start, steps = 0 if offset is None else offset.value, () if strides is None else strides.value
        view = View(tensor.value, start, steps, None if zero is None else zero.value)
        return at((operand.value, view, strides is not None), *filter(None, parts))

    def nest_op(self, parts: list[Any]) -> At:
        keyword, name, dims, origin, *rest = parts
        position = next(i for i, part in enumerate(rest) if isinstance(part, Token))  # of `uses`
        nest = _nest(keyword, name, dims, rest[:position])
        body, schedule = nest.value
        op, origin_name = origin.value
        *listed, epilogue = rest[position + 1 :]
        uses = {use.value[0]: use for use in listed}
        if len(uses) < len(listed):
            raise at(None, *listed).fault("an operand is used twice", "one view per operand", "drop one of the two")
        views = {key: _view(body, *use.value) for key, use in uses.items()}
        steps = epilogue or group([])
        origin_name = body.name if origin_name is None else origin_name
        found = NestOp(body, views, op, origin_name, schedule, steps.value)
        inner = {**nest.inner, "nest": nest, "uses": At(views, -1, -1, uses), "epilogue": steps}
        return at(found, name, inner=inner)

    def epilogue(self, parts: list[Any]) -> At:
        for step in parts[1:]:
            if "context" in step.inner:
                raise step.inner["context"].fault("a step has no context", "an elementwise operator", "drop it")
        return group(parts[1:])

    def opset(self, parts: list[Any]) -> At:
        _, domain, version = parts
        return At(("" if domain is None else domain.value, _number(version)), -1, -1)

    def context(self, parts: list[Any]) -> At:
        from effc.ir.nodes import check_context

        _, key, data = parts
        try:
            check_context(data.value)
        except ValueError as error:
            raise data.fault(str(error), "a serialised model", "copy the whole string") from error
        return at(Context(key.value, data.value), key)

    def in_context(self, parts: list[Any]) -> At:
        return parts[1]  # type: ignore[no-any-return]

    def captures(self, parts: list[Any]) -> At:
        return parts[1]  # type: ignore[no-any-return]

    def where(self, parts: list[Any]) -> At:
        place, reason = parts
        return At((str(place), "" if reason is None else reason.value), -1, -1)

    def none(self, parts: list[Any]) -> At:
        return at(None, *parts)

    def raw(self, parts: list[Any]) -> At:
        try:
            return at(b64decode(parts[1].value, validate=True), *parts)
        except ValueError as error:
            raise parts[1].fault(
                "this is not base64", "letters, digits, + and /, padded with =", "copy the whole string"
            ) from error

    def listed(self, parts: list[Any]) -> At:
        from effc.ir.nodes import Listed

        kinds = {_KINDS[type(part.value)] for part in parts}
        if len(kinds) > 1:
            remedy = "write the floats among them with a point: `2.0`"
            raise at(None, *parts).fault("the list mixes kinds", "integers, floats or strings only", remedy)
        return at(Listed(kinds.pop(), tuple(part.value for part in parts)), *parts)

    def nothing(self, parts: list[Any]) -> At:
        from effc.ir.nodes import Listed

        if parts[0].value not in _KINDS.values():
            kinds = "`ints []`, `floats []` or `strings []`"
            raise parts[0].fault("an empty list of an unknown kind", kinds, "say what it is a list of")
        return at(Listed(parts[0].value, ()), *parts)

    def entry(self, parts: list[Any]) -> At:
        from effc.ir.nodes import Entry

        node, key, value = parts
        return at(Entry(key.value, value.value, is_attribute=node is None), key, value)

    def entries(self, parts: list[Any]) -> At:
        return group(parts)

    def op(self, parts: list[Any]) -> At:
        _, op, name, inputs, outputs, opset, captures, context, where, entries, trips, *bodies = parts
        domain, version = ("", 0) if opset is None else opset.value
        place, reason = where.value
        outside = () if captures is None else captures.value
        node = NodeOp(name.value, op.value, inputs.value, outputs.value, b"", domain, version, place, reason, outside)
        inner: dict[str | int, At] = {"inputs": inputs, "outputs": outputs}
        if captures is not None:
            inner["captures"] = captures
        if context is not None:
            inner["context"] = context
        if bodies:
            fields = {key: getattr(node, key) for key in node.__dataclass_fields__}
            count = None if trips is None else trips.value
            node = ControlOp(**fields, bodies=tuple(body.value for body in bodies), trips=count)
            inner["bodies"] = group(bodies)
        elif trips is not None:
            raise trips.fault("the op has no body", "`body graph ...` behind it", "drop `trips`")
        return at(_with_node(node, entries or group([]), at(None, name)), name, inner=inner)

    def trips(self, parts: list[Any]) -> At:
        return at(_number(parts[1]), *parts)

    def body(self, parts: list[Any]) -> At:
        """A graph with stand-ins for its constants, whose values travel with the graph around it."""
        inner = parts[1].inner
        tensors, values = (
            {str(key): part for key, part in inner[kind].inner.items()} for kind in ("tensors", "constants")
        )
        graph = Graph(
            parts[1].value,
            inner["inputs"].value,
            inner["outputs"].value,
            {key: part.value for key, part in tensors.items()},
            inner["ops"].value,
            {key: absent(part) for key, part in values.items()},
        )
        return at(graph, *parts, inner=inner)

    def graph(self, parts: list[Any]) -> At:
        _, name, inputs, outputs, *statements = parts
        tensors = [part for part in statements if isinstance(part.value, Tensor)]
        contexts = {part.value.key: part.value.data for part in statements if isinstance(part.value, Context)}
        ops = [part for part in statements if isinstance(part.value, (NestOp, NodeOp))]
        for op in ops:
            _set_context(op, contexts)
        by_name: dict[str | int, At] = {}
        for tensor in tensors:
            if by_name.setdefault(tensor.value.name, tensor) is not tensor:
                found = f"tensor {tensor.value.name!r} is declared twice"
                raise tensor.fault(found, "one declaration per tensor", "drop or rename one of the two")
        constants = {key: tensor for key, tensor in by_name.items() if "digest" in tensor.inner}
        inner: dict[str | int, At] = {"inputs": inputs, "outputs": outputs, "ops": group(ops)}
        inner |= {"tensors": At(None, -1, -1, by_name), "constants": At(None, -1, -1, constants)}
        return at(name.value, name, inner=inner)


def absent(constant: At) -> Any:
    """What stands for the values of a declared constant."""
    tensor = constant.value
    return AbsentConstant(tensor.name, tensor.dtype, tensor.shape, constant.inner["digest"].value)


def _digits(token: Token, limit: int) -> int:
    """The number, if it is at most ``limit``; its length is looked at first."""
    digits = token.lstrip("0")
    if len(digits) > len(str(limit)) or int(digits or "0") > limit:
        raise at(None, token).fault("the number is too large", f"at most {limit}", "write a smaller one")
    return int(digits or "0")


def _number(token: Token) -> int:
    return _digits(token, MAX_NUMBER)


def _sign(parts: list[Any]) -> int:
    return -1 if parts[0].type == "MINUS" else 1


def _unquoted(token: Token) -> str:
    """The string that a token in quotes stands for."""

    def character(match: re.Match[str]) -> str:
        letter, code = match.groups()
        if letter:
            return _LETTERS.get(letter, letter)
        if int(code, 16) > 0x10FFFF:
            found = f"there is no character {match.group()}"
            raise at(None, token).fault(found, "at most \\u{10ffff}", "write the character itself")
        return chr(int(code, 16))

    return _ESCAPE.sub(character, token[1:-1])


def _nest(keyword: Token, name: At, dims: At, body: list[At]) -> At:
    """The nest and its schedule, which is None without a statement."""
    operands = [part for part in body if isinstance(part.value, Operand)]
    items = [part for part in body if isinstance(part.value, (Keep, For, Par))]
    statement = body[-1] if body and isinstance(body[-1].value, tuple) else None
    reads, biases, writes = ([o for o in operands if o.inner["keyword"].value == k] for k in ("READ", "BIAS", "WRITE"))
    if len(writes) != 1 or len(biases) > 1:
        spot = (writes[1:] or biases[1:] or [name])[0]
        raise spot.fault(
            f"nest {name.value!r} writes {len(writes)} operands and has {len(biases)} biases",
            "one `write`, at most one `bias`",
            "add `write O[...]`" if not writes else "drop one of them",
        )
    bias = biases[0] if biases else None
    nest = Nest(
        name.value, dims.value, tuple(r.value for r in reads), writes[0].value, None if bias is None else bias.value
    )
    inner: dict[str | int, At] = {"dims": dims, "reads": group(reads), "output": writes[0]}
    if bias is not None:
        inner["bias"] = bias
    if statement is None and items:
        remedy = "write it below the innermost loop"
        raise items[-1].fault("the loops have no statement inside", f"`{print_statement(nest)}`", remedy)
    if statement is not None:
        inner["schedule"] = _schedule(items, statement)
    return at((nest, inner["schedule"].value if statement is not None else None), keyword, name, inner=inner)


def _loop(item: Item, parts: list[Any], extent: At | None) -> At:
    return at(item, *filter(None, parts), inner={} if extent is None else {"extent": extent})


def _schedule(items: list[At], statement: At | None) -> At:
    listed = group(items)
    inner: dict[str | int, At] = {"items": listed}
    if statement is not None:
        inner["statement"] = statement
    return At(Schedule(listed.value), listed.start, listed.end, inner)


def _view(nest: Nest, operand: str, view: View, has_strides: bool) -> View:
    """The view; its strides, if none are written, those of a row-major tensor of the operand's shape."""
    found = nest.operands.get(operand)
    return view if has_strides or found is None else replace(view, strides=row_major(found.shape))


def _set_context(op: At, contexts: Mapping[str, bytes]) -> None:
    """Give an op the context that it names."""
    key = op.inner.get("context")
    if key is None:
        return
    if key.value not in contexts:
        known = f"one of {', '.join(contexts)}" if contexts else "a context that the graph declares"
        remedy = f'declare it: `context {key.value} = base64 "..."`'
        raise key.fault(f"there is no context {key.value!r}", known, remedy)
    op.value = replace(op.value, context=contexts[key.value])


def _with_node(op: NodeOp, entries: At, spot: At) -> NodeOp:
    """The op with the node that its entries make."""
    from effc.ir.nodes import build_node

    try:
        return replace(op, node=build_node(op, entries.value))
    except (ValueError, TypeError) as error:
        place = entries if entries.start >= 0 else spot
        remedy = "docs/ir.md lists the entries of a node"
        raise place.fault(f"no ONNX node has these entries: {error}", "entries of a node", remedy) from error
