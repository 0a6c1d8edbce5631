"""Safe C out of untrusted text: identifiers and comments.

The names of an ONNX model and of a target are arbitrary Unicode. Nothing of them reaches a C file but through the two
doors of this file.
"""

from __future__ import annotations

import re

from effc.backends.cpu.epilogue import FUNCTIONS

_LONGEST = 40
"""Characters of a name that an identifier keeps; C99 promises to tell apart the first 63."""

_KEYWORDS = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof"
)
_CALLED_BY_COMPILERS = "memcpy memmove memset memcmp bcmp strlen rawmemchr abort main"
_OURS = f"min {' '.join(FUNCTIONS)}"

RESERVED = frozenset(f"{_KEYWORDS} {_CALLED_BY_COMPILERS} {_OURS}".split())
"""What no name may become: keywords, what compilers call on their own account, and what a file itself declares."""


class Names:
    """Gives out C identifiers, each only once."""

    def __init__(self) -> None:
        self._taken = set(RESERVED)

    def claim(self, text: str, kind: str) -> str:
        """An identifier that reads like ``text``; ``kind`` stands in where nothing of it can be kept."""
        stem = re.sub(r"[^A-Za-z0-9]+", "_", text)[:_LONGEST].strip("_")
        if not stem or stem[0].isdigit():
            stem = f"{kind}_{stem}".rstrip("_")
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name


def comment(text: str) -> str:
    """``text`` for the inside of a ``/* */`` comment, on one line.

    Whatever could end the comment, open another one, splice lines or form a trigraph is written as ``%`` and the code
    point, and so is whatever is not printable ASCII.
    """
    plain = "".join(c if " " <= c <= "~" and c != "\\" else f"%{ord(c):02X}" for c in text)
    return plain.replace("*/", "*%2F").replace("/*", "/%2A").replace("??", "?%3F")
