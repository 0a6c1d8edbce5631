"""Parses the text of nests, schedules and graphs; ``ir.lark`` is the grammar, ``docs/ir.md`` shows the forms.

Every error is an ``InputError`` with the place in the text. What was parsed is verified as well, so a rule that is
broken is shown where it is broken. Numbers and sizes are bounded, and the grammar does not nest: a hostile text costs
time in proportion to its length, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from effc.ir.constants import AbsentConstant
from effc.ir.constants import digest as sha256
from effc.ir.errors import InputError, source_error
from effc.ir.graph import Array, Graph
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule
from effc.ir.verify import VerifyError, verify_graph, verify_nest, verify_schedule

if TYPE_CHECKING:
    from lark import Lark, UnexpectedInput

    from effc.ir.builder import At, TextError

MAX_TEXT = 2**20
"""Characters of a nest or a schedule."""

MAX_GRAPH = 2**24
"""Characters of a graph."""

FORMS = {
    "graph": 'graph "NAME" (INPUT, ...) -> (OUTPUT, ...) { ... }',
    "tensor": "tensor NAME : DTYPE[SIZE, ...]",
    "const": "const NAME : DTYPE[SIZE, ...] = sha256:DIGEST",
    "nest": "nest NAME (DIM=BOUND, DIM:ROLE=BOUND, ...) { ... }",
    "read": "read NAME[INDEX < SIZE, ...]",
    "bias": "bias NAME[INDEX < SIZE, ...]",
    "write": "write NAME[INDEX < SIZE, ...]",
    "keep": "keep OPERAND @ LEVEL",
    "for": "for DIM in 0..EXTENT by STEP",
    "par": "par DIM in 0..EXTENT by STEP @ LEVEL.AXIS",
    "uses": "uses OPERAND = TENSOR offset WORDS strides (WORDS, ...), ...",
    "op": 'op OPERATOR "NAME" (INPUT, ...) -> (OUTPUT, ...) opset VERSION @ host "REASON" { ATTRIBUTE = VALUE, ... }',
}
"""Statements by their first word, as a message shows them."""

_WORDS = {"NAME": "a name", "STRING": "a string in quotes", "INT": "a number", "FLOAT": "a number with a point"}
_WORDS |= {"SHA256": "`sha256:` and 64 hexadecimal digits", "$END": "the end of the text"}
_FIRST_WORD = re.compile(r"\s*(?:\}\s*)?([A-Za-z_]+)", re.ASCII)
_FORMS_ARE_IN = "docs/ir.md shows every form by example"


def parse_nest(text: str, filename: str = "<nest>") -> Nest:
    """The nest that ``text`` describes."""
    source = _Source(text, filename, MAX_TEXT)
    root = source.parse("nest")
    nest: Nest = root.value[0]
    if "schedule" in root.inner:
        raise source.error(root.inner["schedule"].inner["statement"], "this nest has loops", "a nest alone")
    source.verify(root, verify_nest, nest)
    return nest


def parse_scheduled(text: str, filename: str = "<nest>") -> tuple[Nest, Schedule]:
    """The nest and the schedule that ``text`` describes together."""
    source = _Source(text, filename, MAX_TEXT)
    root = source.parse("nest")
    nest: Nest = root.value[0]
    if "schedule" not in root.inner:
        raise source.error(root, "this nest has no loops", "loops and the statement after the operands")
    source.verify(root, verify_nest, nest)
    return nest, source.schedule(root.inner["schedule"], nest)


def parse_schedule(text: str, nest: Nest | None = None, filename: str = "<schedule>") -> Schedule:
    """The schedule that ``text`` describes; with its nest, the ranges of its loops and the rules are checked."""
    source = _Source(text, filename, MAX_TEXT)
    return source.schedule(source.parse("schedule"), nest)


def parse_graph(
    text: str, constants: Mapping[str, Array] | None = None, filename: str = "<graph>", limit: int = MAX_GRAPH
) -> Graph:
    """The graph that ``text`` describes, of at most ``limit`` characters.

    ``constants`` has the values of its constants, which are checked against their digests. Without it, the graph has an
    ``AbsentConstant`` for each.
    """
    source = _Source(text, filename, limit)
    root = source.parse("graph")
    inner = root.inner
    tensors = {str(key): part.value for key, part in inner["tensors"].inner.items()}
    values = {str(key): source.constant(part, constants) for key, part in inner["constants"].inner.items()}
    graph = Graph(root.value, inner["inputs"].value, inner["outputs"].value, tensors, inner["ops"].value, values)
    source.verify(root, verify_graph, graph)
    for op in inner["ops"].inner.values():
        if "schedule" in op.inner:
            source.schedule(op.inner["schedule"], op.value.nest)
    return graph


@dataclass(frozen=True, slots=True)
class _Source:
    """A text that is being parsed, and its name in messages."""

    text: str
    filename: str
    limit: int

    def parse(self, start: str) -> At:
        """Parse the whole text as ``start``."""
        from lark import UnexpectedInput

        from effc.ir.builder import TextError

        if len(self.text) > self.limit:
            raise InputError(f"the text has {len(self.text)} characters", self.filename, f"at most {self.limit}")
        try:
            return _lark().parse(self.text, start)  # type: ignore[return-value]
        except TextError as error:
            raise self.located(error) from None
        except UnexpectedInput as unexpected:
            raise self.unexpected(unexpected) from None

    def schedule(self, root: At, nest: Nest | None) -> Schedule:
        """The parsed schedule, after its checks."""
        from effc.ir.builder import TextError, check_schedule

        schedule: Schedule = root.value
        if nest is not None:
            self.verify(root, verify_schedule, nest, schedule)
        try:
            check_schedule(root, nest)
        except TextError as error:
            raise self.located(error) from None
        return schedule

    def verify(self, root: At, check: Callable[..., None], *parts: object) -> None:
        """Run a verifier; what it finds is shown in the text."""
        try:
            check(*parts)
        except VerifyError as error:
            raise self.error(root.find(error.place), error.message, error.expected, error.remedy) from None

    def constant(self, part: At, values: Mapping[str, Array] | None) -> Array:
        """The value of a declared constant: the given one, if it is the right one, or a stand-in."""
        tensor, digest = part.value, part.inner["digest"]
        if values is None:
            return AbsentConstant(tensor.name, tensor.dtype, tensor.shape, digest.value)  # type: ignore[return-value]
        if tensor.name not in values:
            raise self.error(part, f"the value of constant {tensor.name!r} is missing", "a value for every constant")
        value = values[tensor.name]
        if sha256(value) != digest.value:
            raise self.error(digest, f"the value of constant {tensor.name!r} is another one", f"sha256:{sha256(value)}")
        return value

    def located(self, error: TextError) -> InputError:
        return self.at(error.start, error.end, error.message, error.expected, error.remedy)

    def error(self, part: At, message: str, expected: str, remedy: str = "") -> InputError:
        return self.at(part.start, part.end, message, expected, remedy)

    def at(self, start: int, end: int, message: str, expected: str, remedy: str = "") -> InputError:
        """An error that shows the text from ``start`` to ``end``, or to the end of the line."""
        start = max(0, start)
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", start)
        length = min(end, len(self.text) if line_end < 0 else line_end) - start
        line = self.text.count("\n", 0, start) + 1
        column = start - line_start + 1
        return source_error(self.filename, self.text, line, column, length, message, expected, remedy)

    def unexpected(self, error: UnexpectedInput) -> InputError:
        """What the grammar does not allow."""
        from lark import UnexpectedToken

        if isinstance(error, UnexpectedToken) and error.token.type != "$END":
            start, end = error.token.start_pos or 0, error.token.end_pos or 0
            message = f"unexpected {_shown(self.text[start:end])}"
        elif isinstance(error, UnexpectedToken):
            start = len(self.text.rstrip())
            end, message = start + 1, "the text ends too early"
        else:
            start = error.pos_in_stream or 0
            end, character = start + 1, self.text[start]
            bad_string = "this string does not end on its line, or has an unknown escape"
            message = bad_string if character == '"' else f"unexpected character {character!r}"
        expected = _either(error.accepts) if isinstance(error, UnexpectedToken) else ""
        return self.at(start, end, message, expected, self.remedy(start))

    def remedy(self, position: int) -> str:
        """What the statement around a position looks like when it is right."""
        line_start = self.text.rfind("\n", 0, position) + 1
        first = _FIRST_WORD.match(self.text, line_start)
        if first is None or first.start(1) > position:
            return _FORMS_ARE_IN
        if first.group(1) in FORMS:
            return f"write `{FORMS[first.group(1)]}`"
        close = get_close_matches(first.group(1), FORMS, 1)
        return f"did you mean `{close[0]}`?" if close else _FORMS_ARE_IN


def _shown(text: str) -> str:
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}...`"


def _either(terminals: Iterable[str]) -> str:
    """The terminals as a person would call them: `a, b or c`."""
    words = sorted({_WORDS.get(terminal) or f"`{_literals()[terminal]}`" for terminal in terminals}, key=_order)
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def _order(word: str) -> tuple[bool, str]:
    return word.startswith("`"), word


@cache
def _literals() -> dict[str, str]:
    return {terminal.name: terminal.pattern.value for terminal in _lark().terminals}


@cache
def _lark() -> Lark:
    from lark import Lark

    from effc.ir.builder import Builder

    grammar = Path(__file__).with_name("ir.lark").read_text(encoding="utf-8")
    starts = ["nest", "schedule", "graph"]
    return Lark(grammar, parser="lalr", lexer="basic", start=starts, transformer=Builder())
