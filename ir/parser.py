"""Parses the text of nests, schedules and graphs; ``ir.lark`` is the grammar, ``docs/ir.md`` shows the forms.

Every error is an ``InputError`` with the place in the text. What was parsed is verified as well, so a rule that is
broken is shown where it is broken. Numbers and sizes are bounded, and the grammar does not nest: a hostile text costs
time in proportion to its length, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effc.ir.bodies import with_constants
from effc.ir.constants import AbsentConstant
from effc.ir.constants import digest as sha256
from effc.ir.errors import InputError, source_error
from effc.ir.graph import Array, Graph
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule
from effc.ir.verify import VerifyError, verify_graph, verify_nest, verify_schedule

if TYPE_CHECKING:
    from lark import Lark

    from effc.ir.builder import At, TextError

MAX_TEXT = 2**20
"""Characters of a nest or a schedule."""

MAX_GRAPH = 2**24
"""Characters of a graph."""

_FORMS = "docs/ir.md shows every form by example"


def parse_nest(text: str, filename: str = "<nest>") -> Nest:
    """The nest that ``text`` describes."""
    source = _Source(text, filename, MAX_TEXT)
    root = source.parse("nest")
    nest: Nest = root.value[0]
    if "schedule" in root.inner:
        raise source.error(
            root.inner["schedule"].inner["statement"], "this nest has loops", "a nest alone", "drop them"
        )
    source.verify(root, verify_nest, nest)
    return nest


def parse_scheduled(text: str, filename: str = "<nest>") -> tuple[Nest, Schedule]:
    """The nest and the schedule that ``text`` describes together."""
    source = _Source(text, filename, MAX_TEXT)
    root = source.parse("nest")
    nest: Nest = root.value[0]
    if "schedule" not in root.inner:
        raise source.error(root, "this nest has no loops", "loops and a statement after the operands", _FORMS)
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

    ``constants`` has the values of its constants, which are checked against their digests; those of bodies by their
    names outside. Without it, the graph has an ``AbsentConstant`` for each.
    """
    source = _Source(text, filename, limit)
    root = source.parse("graph")
    inner = root.inner
    tensors = {str(key): part.value for key, part in inner["tensors"].inner.items()}
    values = {str(key): source.constant(part, constants) for key, part in inner["constants"].inner.items()}
    graph = Graph(root.value, inner["inputs"].value, inner["outputs"].value, tensors, inner["ops"].value, values)
    if constants is not None:
        graph = with_constants(graph, lambda name, value: source.inner_constant(root, name, value, constants))
    source.verify(root, verify_graph, graph)
    source.schedules(root)
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
        from effc.ir.syntax import explain

        if len(self.text) > self.limit:
            message = f"the text has {len(self.text)} characters"
            raise InputError(message, self.filename, f"at most {self.limit}", "give a part of it")
        try:
            return _lark(start).parse(self.text, start)  # type: ignore[return-value]
        except TextError as error:
            raise self.located(error) from None
        except UnexpectedInput as unexpected:
            raise self.at(*explain(self.text, unexpected, literals(start))) from None

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

    def schedules(self, graph: At) -> None:
        """Check the schedules of all nests of a parsed graph, and of its bodies."""
        for op in graph.inner["ops"].inner.values():
            if "schedule" in op.inner:
                self.schedule(op.inner["schedule"], op.value.nest)
            for body in op.inner["bodies"].inner.values() if "bodies" in op.inner else ():
                self.schedules(body)

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
            message = f"the value of constant {tensor.name!r} is missing"
            raise self.error(part, message, "a value for every constant", "give the constants that belong to the text")
        value = values[tensor.name]
        if sha256(value) != digest.value:
            message = f"the value of constant {tensor.name!r} is another one: sha256:{sha256(value)}"
            raise self.error(digest, message, "this digest", "give the constants that belong to the text")
        return value

    def inner_constant(self, root: At, name: str, absent: Any, values: Mapping[str, Array]) -> Array:
        """The same for a constant of a body, by its name outside; those of the graph itself have their values."""
        if not isinstance(absent, AbsentConstant):
            return absent  # type: ignore[no-any-return]
        if name not in values or sha256(values[name]) != absent.sha256:
            message = f"the value of constant {name!r} in a body is missing, or another one"
            raise self.error(root, message, absent.sha256, "give the constants that belong to the text")
        return values[name]

    def located(self, error: TextError) -> InputError:
        return self.at(error.start, error.end, error.message, error.expected, error.remedy)

    def error(self, part: At, message: str, expected: str, remedy: str) -> InputError:
        return self.at(part.start, part.end, message, expected, remedy)

    def at(self, start: int, end: int, message: str, expected: str, remedy: str) -> InputError:
        """An error that shows the text from ``start`` to ``end``, or to the end of the line."""
        start = max(0, start)
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", start)
        length = min(end, len(self.text) if line_end < 0 else line_end) - start
        line = self.text.count("\n", 0, start) + 1
        column = start - line_start + 1
        return source_error(self.filename, self.text, line, column, length, message, expected, remedy)


@cache
def literals(start: str) -> dict[str, str]:
    """The words and signs of the grammar from ``start`` on, by the names of their terminals."""
    return {terminal.name: terminal.pattern.value for terminal in _lark(start).terminals}


@cache
def _lark(start: str) -> Lark:
    from lark import Lark

    from effc.ir.builder import Builder

    grammar = Path(__file__).with_name("ir.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="basic", start=start, transformer=Builder())
