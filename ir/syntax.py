"""Turns what the grammar does not allow into a message: where it is, what was expected, how the statement looks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from lark import Token, UnexpectedInput, UnexpectedToken

FORMS = {
    "graph": 'graph "NAME" (INPUT, ...) -> (OUTPUT, ...) { ... }',
    "tensor": "tensor NAME : DTYPE[SIZE, ...] in WHOLE offset WORDS strides (WORDS, ...)",
    "const": "const NAME : DTYPE[SIZE, ...] = sha256:DIGEST",
    "context": 'context NAME = base64 "..."',
    "nest": "nest NAME (DIM=BOUND, DIM:ROLE=BOUND, ...) { ... }",
    "read": "read NAME[INDEX < SIZE, ...]",
    "bias": "bias NAME[INDEX < SIZE, ...]",
    "write": "write NAME[INDEX < SIZE, ...]",
    "keep": "keep OPERAND @ LEVEL",
    "for": "for DIM in 0..EXTENT by STEP",
    "par": "par DIM in 0..EXTENT by STEP @ LEVEL.AXIS",
    "uses": "uses OPERAND = TENSOR offset WORDS strides (WORDS, ...), ...",
    "epilogue": "epilogue { op ... }",
    "trips": "trips COUNT",
    "body": 'body graph "NAME" (INPUT, ...) -> (OUTPUT, ...) { ... }',
    "op": 'op OPERATOR "NAME" (INPUT, ...) -> (OUTPUT, ...) opset VERSION @ host "REASON" { ATTRIBUTE = VALUE, ... }',
}
"""Statements by their first word, as a message shows them."""

_WORDS = {
    "NAME": "a name",
    "STRING": "a string in quotes",
    "INT": "a number",
    "FLOAT": "a number with a point",
    "SHA256": "`sha256:` and 64 hexadecimal digits",
    "$END": "the end of the text",
}
_STARTS = frozenset(["$END", "RBRACE", *(word.upper() for word in FORMS)])
_FIRST_WORD = re.compile(r"[ \t]*(?:\}[ \t]*)?([A-Za-z_]+)", re.ASCII)
_LAST_WORD = re.compile(r"(?:(\w+)\s+)?\b([A-Za-z_]\w*)\s*\Z", re.ASCII)
_CODE = re.compile(r'[^"#\n]*(?:"[^"\\\n]*(?:\\.[^"\\\n]*)*"[^"#\n]*)*')
_FORMS_ARE_IN = "docs/ir.md shows every form by example"
_WINDOW = 2000


class Explained(NamedTuple):
    """A syntax error: where it starts and ends, and what there is to say."""

    start: int
    end: int
    message: str
    expected: str
    remedy: str


def explain(text: str, error: UnexpectedInput, literals: Mapping[str, str]) -> Explained:
    """What is wrong with ``text``; ``literals`` are the words and signs of the grammar by terminal."""
    if not isinstance(error, UnexpectedToken):
        return _unknown_character(text, error.pos_in_stream or 0)
    accepted = set(error.accepts)
    expected = _either(accepted, literals)
    if error.token.type == "$END":
        end = _code_end(text, len(text))
        remedy = "add `}`" if "RBRACE" in accepted else _form(text, end)
        return Explained(end, end + 1, "the text ends too early", expected, remedy)
    start, end = error.token.start_pos or 0, error.token.end_pos or 0
    if accepted == {"LSQB"} and (word := _stray_word(text, start)):
        return word
    if not accepted & _STARTS and _is_first(text, start):
        place = _code_end(text, start)
        return Explained(place, place + 1, "this statement ends too early", expected, _form(text, place))
    close = _close(error.token, accepted, literals)
    return Explained(start, end, f"unexpected {_shown(error.token)}", expected, close or _form(text, start))


def _unknown_character(text: str, start: int) -> Explained:
    remedy = _form(text, start)
    if text[start] == '"':
        expected = 'a `"` at its end, on the same line; escapes are \\" \\\\ \\n \\t \\r and \\u{...}'
        return Explained(start, start + 1, "this string does not end, or has an unknown escape", expected, remedy)
    message = f"unexpected character {text[start]!r}"
    return Explained(start, start + 1, message, "words, numbers and signs; other names stand in quotes", remedy)


def _stray_word(text: str, position: int) -> Explained | None:
    """A word where a statement of a schedule should start, if one stands before ``position``."""
    match = _LAST_WORD.search(text, max(0, position - _WINDOW), position)
    if match is None or match.group(1) in ("read", "bias", "write"):
        return None
    start, end = match.span(2)
    close = get_close_matches(match.group(2), FORMS, 1)
    remedy = f"did you mean `{close[0]}`?" if close else _form(text, start)
    return Explained(
        start, end, f"unexpected {_shown(match.group(2))}", "`for`, `par`, `keep` or the statement", remedy
    )


def _close(token: Token, accepted: Iterable[str], literals: Mapping[str, str]) -> str:
    words = [literals[terminal] for terminal in accepted if terminal in literals]
    close = get_close_matches(token[:50], [word for word in words if word.isalpha()], 1)
    return f"did you mean `{close[0]}`?" if close else ""


def _form(text: str, position: int) -> str:
    """What the statement on the line of ``position`` looks like when it is right."""
    first = _FIRST_WORD.match(text, text.rfind("\n", 0, position) + 1)
    if first is None or first.start(1) >= position or first.group(1) not in FORMS:
        return _FORMS_ARE_IN
    return f"write `{FORMS[first.group(1)]}`"


def _is_first(text: str, position: int) -> bool:
    """Whether nothing stands before ``position`` on its line, while something stands above."""
    line = text.rfind("\n", 0, position) + 1
    return line > 0 and not text[line:position].strip() and _code_end(text, position) > 0


def _code_end(text: str, position: int) -> int:
    """Where the last character before ``position`` ends that is neither blank nor in a comment; 0 without one."""
    while position > 0:
        line = text.rfind("\n", 0, position) + 1
        match = _CODE.match(text, line, position)
        code = match.group().rstrip() if match else ""
        if code:
            return line + len(code)
        position = line - 1
    return 0


def _shown(text: str) -> str:
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}...`"


def _either(terminals: Iterable[str], literals: Mapping[str, str]) -> str:
    """The terminals as a person would call them: ``a name, `for` or `}```."""
    words = {_WORDS.get(terminal) or f"`{literals[terminal]}`" for terminal in terminals}
    *most, last = sorted(words, key=lambda word: (word.startswith("`"), word)) or [""]
    return f"{', '.join(most)} or {last}" if most else last
