"""The text of a program as lines of tokens; what is not as expected is an error that names its line and column."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import NoReturn

from effc.ir.errors import source_error

TOKEN = re.compile(r"""\s*(?:(?P<note>;.*)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>\w+)|(?P<sign>[^\s\w]))""", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    column: int


class Line:
    """The tokens of one line, read from left to right."""

    def __init__(self, lines: Lines, number: int, text: str) -> None:
        self.lines, self.number = lines, number
        self.tokens = [
            Token(str(found.lastgroup), found[found.lastgroup or 0], found.start(found.lastgroup or 0) + 1)
            for found in TOKEN.finditer(text)
        ]
        self.note = ""
        if self.tokens and self.tokens[-1].kind == "note":
            self.note = self.tokens.pop().text[1:].strip()
        self.place = 0

    def fail(self, expected: str) -> NoReturn:
        token = self.tokens[self.place] if self.place < len(self.tokens) else None
        column = token.column if token else len(self.lines.texts[self.number - 1]) + 1
        found = repr(token.text) if token else "the end of the line"
        self.lines.fail(self.number, column, len(token.text) if token else 1, f"unexpected {found}", expected)

    def peek(self) -> str:
        return self.tokens[self.place].text if self.place < len(self.tokens) else ""

    def done(self) -> bool:
        return self.place >= len(self.tokens)

    def finish(self) -> None:
        if not self.done():
            self.fail("the end of the line")

    def expect(self, *words: str) -> None:
        for word in words:
            if self.peek() != word:
                self.fail(f"`{word}`")
            self.place += 1

    def says(self, *words: str) -> bool:
        """Whether these words are the line."""
        return [token.text for token in self.tokens] == [*words]

    def accept(self, word: str) -> bool:
        found = self.peek() == word
        self.place += found
        return found

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        text = self.peek()
        if not re.fullmatch(r"[0-9]{1,18}", text):
            self.fail("a number")
        self.place += 1
        return sign * int(text)

    def name(self) -> str:
        """An identifier or a JSON string."""
        token = self.tokens[self.place] if not self.done() else None
        if token is None or token.kind not in ("word", "string"):
            self.fail("a name")
        self.place += 1
        if token.kind == "word":
            return token.text
        try:
            text = str(json.loads(token.text))
            text.encode()
            return text
        except ValueError:
            self.place -= 1
            self.fail("a JSON string")

    def names(self) -> tuple[str, ...]:
        names = []
        while not self.done():
            names.append(self.name())
        return tuple(names)

    def numbers(self) -> tuple[int, ...]:
        """``[1, 2, 3]``."""
        self.expect("[")
        values: list[int] = []
        while not self.accept("]"):
            if values:
                self.expect(",")
            values.append(self.integer())
        return tuple(values)

    def register(self) -> int:
        found = re.fullmatch(r"t([0-9]{1,4})", self.peek())
        if not found:
            self.fail("a loop register")
        self.place += 1
        return int(found[1])

    def data(self) -> bytes:
        text = self.name()
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.place -= 1
            self.fail("base64")


class Lines:
    """The lines of a text that hold something, read from the first to the last."""

    def __init__(self, text: str, filename: str) -> None:
        self.text, self.filename = text, filename
        self.texts = text.split("\n")
        filled = [(number, line) for number, line in enumerate(self.texts, start=1) if line.strip()]
        self.rest = [Line(self, number, line) for number, line in filled]
        self.rest = [line for line in self.rest if line.tokens]
        self.rest.reverse()

    def fail(self, line: int, column: int, length: int, message: str, expected: str) -> NoReturn:
        raise source_error(self.filename, self.text, line, column, length, message, expected)

    def ahead(self) -> str:
        return self.rest[-1].peek() if self.rest else ""

    def next(self, *words: str) -> Line:
        """The next line, which begins with these words."""
        if not self.rest:
            self.fail(len(self.texts) + 1, 1, 1, "unexpected end of the program", f"`{' '.join(words)}`")
        line = self.rest.pop()
        line.expect(*words)
        return line
