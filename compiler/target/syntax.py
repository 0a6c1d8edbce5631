"""Text of a target to a tree of nodes, with errors that say what was expected at the spot."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken
from lark.lark import PostLex
from lark.lexer import PatternStr

from effc.compiler.errors import InputError, source_error
from effc.compiler.target.suggest import either
from effc.compiler.target.words import remedy

_WORD = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_KINDS = {"NAME": "a name", "NUMBER": "a number", "STRING": "a text in double quotes", "$END": "the end of the file"}

_UNKNOWN = (
    ("operand", {"ifmap", "filter", "psum", "bias"}),
    ("multicast", {"words", "tiles", "none"}),
)
"""What an unexpected word is called where only these words may stand."""


@dataclass(frozen=True, slots=True)
class Node:
    """A rule of the grammar with its children, or a token (``rule`` is empty) with its text."""

    rule: str
    text: str
    children: tuple[Node, ...]
    line: int
    column: int
    length: int  # on the first line

    @property
    def name(self) -> Node:
        """The first token."""
        return self.tokens[0]

    @property
    def tokens(self) -> list[Node]:
        """The tokens directly below."""
        return [child for child in self.children if not child.rule]

    @property
    def words(self) -> list[str]:
        """The texts of the tokens directly below."""
        return [token.text for token in self.tokens]

    def all(self, *rules: str) -> list[Node]:
        """The children of these rules."""
        return [child for child in self.children if child.rule in rules]

    def first(self, *rules: str) -> Node | None:
        return next(iter(self.all(*rules)), None)


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the name of the file it came from."""

    filename: str
    text: str

    def error(self, at: Node, message: str, expected: str, remedy: str) -> InputError:
        return source_error(self.filename, self.text, at.line, at.column, at.length, message, expected, remedy)

    def place(self, at: Node) -> str:
        return f"{self.filename}:{at.line}:{at.column}"

    def parse(self) -> Node:
        """The tree of the whole text."""
        try:
            return _node(_parser().parse(self.text), self.text.split("\n"))
        except UnexpectedToken as error:
            raise self._unexpected_token(error.token, error.accepts) from None
        except UnexpectedCharacters as error:
            raise self._unexpected_character(error) from None

    def _unexpected_token(self, token: Token, accepts: Collection[str]) -> InputError:
        expected = _shown(accepts)
        if token.type == "$END":
            hint = "close every `{` with a `}`" if "'}'" in expected else remedy("", expected)
            return self.error(_end_node(self.text), "the file ends too early", either(expected), hint)
        at = _token_node(token)
        return self.error(at, _message(at.text, expected), either(expected), remedy(at.text, expected))

    def _unexpected_character(self, error: UnexpectedCharacters) -> InputError:
        at = Node("", error.char, (), error.line, error.column, 1)
        expected = _shown(error.interactive_parser.accepts())  # type: ignore[no-untyped-call]
        return self.error(at, f"unexpected character {at.text!r}", either(expected), remedy(at.text, expected))


def _message(text: str, expected: Collection[str]) -> str:
    """What is wrong with a word or mark that is not expected."""
    words = [word for word in expected if word.isalpha()]
    if not words or not _WORD.fullmatch(text):
        return f"unexpected '{text}'"
    if text in language_words():
        return f"'{text}' does not belong here"
    what = next((what for what, known in _UNKNOWN if known.issuperset(words)), "word")
    return f"unknown {what} '{text}'"


class _AnyWordIsAName(PostLex):
    """Lets a word that is no keyword at its spot be read as a name, and so be reported as a whole."""

    always_accept = ("NAME",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def language_words() -> set[str]:
    """The words that the grammar knows."""
    return {text for text in _terminals().values() if text.isalpha()}


@cache
def _parser() -> Lark:
    return Lark.open("hw.lark", rel_to=__file__, parser="lalr", postlex=_AnyWordIsAName(), propagate_positions=True)


@cache
def _terminals() -> dict[str, str]:
    """The text of every terminal of the grammar that has only one."""
    return {t.name: t.pattern.value for t in _parser().terminals if isinstance(t.pattern, PatternStr)}


def _shown(accepts: Collection[str]) -> list[str]:
    """Terminals as a reader knows them: words first, then what is not a word, then punctuation."""
    texts = [_KINDS.get(name) or _terminals()[name] for name in accepts if name != "SEMICOLON"]
    words = sorted(text for text in texts if text.isalpha())
    kinds = sorted(text for text in texts if " " in text)
    marks = sorted(f"'{text}'" for text in texts if not text.isalpha() and " " not in text)
    return [*words, *kinds, *marks]


def _node(tree: Tree[Token] | Token, lines: list[str]) -> Node:
    if isinstance(tree, Token):
        return _token_node(tree)
    meta = tree.meta
    end = meta.end_column if meta.end_line == meta.line else len(lines[meta.line - 1]) + 1
    children = tuple(_node(child, lines) for child in tree.children)
    return Node(str(tree.data), "", children, meta.line, meta.column, max(1, end - meta.column))


def _token_node(token: Token) -> Node:
    return Node("", str(token), (), token.line or 1, token.column or 1, max(1, len(token)))


def _end_node(text: str) -> Node:
    """The spot after the last character that is not white space."""
    lines = text.rstrip().split("\n")
    return Node("", "", (), len(lines), len(lines[-1]) + 1, 1)
