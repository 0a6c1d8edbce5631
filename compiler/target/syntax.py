"""Text of a target to a tree of nodes, with errors that say what was expected at the spot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken
from lark.lexer import PatternStr

from effc.compiler.errors import InputError, source_error
from effc.compiler.target.suggest import did_you_mean, either

OPERAND_WORDS = ("ifmap", "filter", "psum", "bias")
_MODES = ("words", "tiles", "none")
_UNKNOWN = (("operand", OPERAND_WORDS), ("multicast", _MODES))
"""What an unexpected word is called if only these words may stand in its place."""

_KINDS = {"NAME": "a name", "NUMBER": "a number", "STRING": "a text in double quotes", "$END": "the end of the file"}

_HINTS = {
    '"': "close the text with a double quote on the same line",
    "'": 'put texts in double quotes: "65 nm"',
    "/": "begin a comment with `#`",
    ":": "write the value right after the word: `size 100 KiB`",
    "=": "write the value right after the word: `size 100 KiB`",
    "(": "axes stand in square brackets, statements in braces",
    ".": "write a digit before and after the point: 0.5",
    "+": "write the number without a sign",
    "$END": "close every `{` with a `}`",
}
"""A remedy by the token or character that stands where it should not."""


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

    def error(self, at: Node, message: str, expected: str = "", remedy: str = "") -> InputError:
        return source_error(self.filename, self.text, at.line, at.column, at.length, message, expected, remedy)

    def place(self, at: Node) -> str:
        return f"{self.filename}:{at.line}:{at.column}"

    def parse(self) -> Node:
        """The tree of the whole text."""
        try:
            return self._node(_parser().parse(self.text))
        except UnexpectedToken as error:
            raise self._unexpected_token(error.token, error.accepts) from None
        except UnexpectedCharacters as error:
            raise self._unexpected_character(error) from None

    def _node(self, tree: Tree[Token] | Token) -> Node:
        if isinstance(tree, Token):
            return _token_node(tree)
        meta = tree.meta
        end = (
            meta.end_column if meta.end_line == meta.line else len(self.text.split("\n", meta.line)[meta.line - 1]) + 1
        )
        children = tuple(self._node(child) for child in tree.children)
        return Node(str(tree.data), "", children, meta.line, meta.column, max(1, end - meta.column))

    def _unexpected_token(self, token: Token, accepts: Collection[str]) -> InputError:
        words = _shown(accepts)
        expected = either(words)
        if token.type == "$END":
            return self.error(_end_node(self.text), "the file ends too early", expected, _HINTS["$END"])
        at = _token_node(token)
        keywords = [word for word in words if word.isalpha()]
        message = f"unexpected '{at.text}'"
        if "NAME" in accepts and at.text in reserved_words():
            message = f"'{at.text}' is a word of the language, not a name"
        elif token.type == "NAME" and keywords:
            what = next((what for what, known in _UNKNOWN if set(keywords) <= set(known)), "word")
            message = f"unknown {what} '{at.text}'"
        return self.error(at, message, expected, did_you_mean(at.text, keywords) or _HINTS.get(at.text, ""))

    def _unexpected_character(self, error: UnexpectedCharacters) -> InputError:
        at = Node("", error.char, (), error.line, error.column, 1)
        return self.error(at, f"unexpected character {error.char!r}", "", _HINTS.get(error.char, ""))


@cache
def reserved_words() -> frozenset[str]:
    """The words of the language; none of them can be a name."""
    return frozenset(word for word in _terminals().values() if word.isalpha())


@cache
def _parser() -> Lark:
    return Lark.open("hw.lark", rel_to=__file__, parser="lalr", lexer="basic", propagate_positions=True)


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


def _token_node(token: Token) -> Node:
    return Node("", str(token), (), token.line or 1, token.column or 1, max(1, len(token)))


def _end_node(text: str) -> Node:
    """The spot after the last character that is not white space."""
    lines = text.rstrip().split("\n")
    return Node("", "", (), len(lines), len(lines[-1]) + 1, 1)
