"""The user's error: what is wrong, where, what was expected and what to do about it.

    raise InputError("dim 'H' has no value", place="model.onnx", expected="a number", remedy="give --dim H=224")

    eyeriss.hw:12:21: error: unknown unit 'KiBs'
      12 |   memory GLB { size 100 KiBs }
         |                         ^^^^
      expected: bit, byte, KiB, MiB, GiB, word or words
      remedy:   write for example `size 100 KiB`

Whatever is wrong with an input is reported by an ``InputError``; any other exception is an error of the program itself.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

_WIDTH = 100
"""Columns of a source line that an excerpt shows at most."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one source line: line and column count from 1, the length in characters is at least 1."""

    line: int
    column: int
    length: int = 1


class InputError(Exception):
    """An error in what the user gave; ``str()`` is the whole message, ready to print.

    ``place`` is ``file``, ``file:line:col`` or whatever names the spot, or empty. ``line_text`` and ``span``, given
    together, show the source line with carets under the span.
    """

    def __init__(
        self,
        message: str,
        place: str = "",
        expected: str = "",
        remedy: str = "",
        line_text: str | None = None,
        span: Span | None = None,
    ) -> None:
        super().__init__(message, place, expected, remedy, line_text, span)  # the arguments, so that it can be pickled
        self.message = message
        self.place = place
        self.expected = expected
        self.remedy = remedy
        self.line_text = line_text
        self.span = span

    def __str__(self) -> str:
        lines = [f"{self.place}: error: {self.message}" if self.place else f"error: {self.message}"]
        if self.line_text is not None and self.span is not None:
            lines += excerpt(self.line_text, self.span)
        notes = (("expected: ", self.expected), ("remedy:   ", self.remedy))
        lines += [_hang("  " + label, note) for label, note in notes if note]
        return "\n".join(lines)


def source_error(
    filename: str,
    text: str,
    line: int,
    column: int,
    length: int,
    message: str,
    expected: str = "",
    remedy: str = "",
) -> InputError:
    """An error at ``length`` characters of ``text``, which was read from ``filename``; line and column count from 1."""
    lines = text.split("\n")  # as the parsers count them: splitlines() would also break at form feeds and the like
    line_text = lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""
    span = Span(line, column, max(1, length))
    return InputError(message, f"{filename}:{line}:{column}", expected, remedy, line_text, span)


def excerpt(line_text: str, span: Span) -> list[str]:
    """The source line and a line of carets below it; of a long line, the part around the span."""
    start = max(0, span.column - 1 - _WIDTH // 2) if len(line_text) > _WIDTH else 0
    left, right = ("..." if start else ""), ("..." if len(line_text) > start + _WIDTH else "")
    begin = span.column - 1
    end = min(max(begin + span.length, begin + 1), max(len(line_text), begin + 1), start + _WIDTH)
    shown = left + _printable(line_text[start : start + _WIDTH]) + right
    indent = " " * (len(left) + _columns(line_text[start:begin]) + max(0, begin - len(line_text)))
    carets = "^" * max(1, _columns(line_text[begin:end]))
    number = str(span.line).rjust(4)
    return [f"{number} | {shown}".rstrip(), f"{' ' * len(number)} | {indent}{carets}"]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c == "\t" else "?" for c in text)


def _columns(text: str) -> int:
    """The columns that ``_printable(text)`` takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def _hang(label: str, note: str) -> str:
    return label + note.replace("\n", "\n" + " " * len(label))
