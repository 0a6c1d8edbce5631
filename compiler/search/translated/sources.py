"""The C sources of the kernel as one text that a parser of plain C reads: no comments, includes or macros."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

KNOWN = {
    "NULL": "((void *)0)",
    "INT_MAX": "2147483647",
    "INT64_MAX": "9223372036854775807",
    "__extension__": "",
    "__int128": "int128_t",
}
"""Macros of the standard headers, and words that say nothing."""

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
WORD = re.compile(r"\b[A-Za-z_]\w*\b")


class Preprocessor:
    """Understands `#include`, `#define` without parameters, `#if defined(...)` and the like."""

    def __init__(self, macros: Mapping[str, str] | None = None) -> None:
        self.macros = {**KNOWN, **(macros or {})}
        self.included: set[Path] = set()

    def read(self, path: Path) -> str:
        """The text of a file and of what it includes with quotes; standard headers are left out."""
        return "\n".join(self.lines(path))

    def lines(self, path: Path) -> Iterator[str]:
        if path in self.included:
            return
        self.included.add(path)
        text = COMMENT.sub(lambda comment: "\n" * comment.group().count("\n") or " ", path.read_text(encoding="utf-8"))
        taken: list[bool] = []  # of each `#if` that is open, whether its lines count
        yield f'#line 1 "{path.name}"'
        for number, line in enumerate(text.splitlines(), 1):
            directive, _, rest = line.strip().partition(" ")
            if directive in ("#ifdef", "#ifndef", "#if"):
                taken.append(self.holds(directive, rest))
            elif directive == "#else":
                taken[-1] = not taken[-1]
            elif directive == "#endif":
                taken.pop()
            elif all(taken):
                if directive == "#define":
                    name, _, value = rest.partition(" ")
                    self.macros[name] = value.strip()
                elif directive == "#include":
                    if rest.startswith('"'):
                        yield from self.lines(path.parent / rest.strip('"'))
                        yield f'#line {number + 1} "{path.name}"'
                        continue
                elif directive.startswith("#"):
                    raise NotImplementedError(f"{path.name}:{number}: {line}")
                else:
                    yield self.expanded(line)
                    continue
            yield ""

    def holds(self, directive: str, rest: str) -> bool:
        if directive != "#if":
            return (rest.split()[0] in self.macros) == (directive == "#ifdef")
        known = re.sub(r"defined\((\w+)\)", lambda word: str(word.group(1) in self.macros), rest)
        return bool(eval(known.replace("&&", " and ").replace("||", " or ").replace("!", " not "), {}))

    def expanded(self, line: str) -> str:
        """The line with what macros stand for; none of them stands for itself."""
        found = WORD.sub(lambda word: self.macros.get(word.group(), word.group()), line)
        return found if found == line else self.expanded(found)
