"""The text of constraints, a statement a line:

dataflow weight-stationary     # a preset
unroll K, C @ GLB.rows         # nothing else is unrolled there; `none`: nothing is
bypass W @ GLB                 # not kept there
...                            # anything
keep O @ spad                  # items of a schedule, in this order
for Q by ...                   # a loop with any step
nest conv1                     # what follows is for this nest alone
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from effc.compiler.files import read_text
from effc.compiler.search.constraints import ANY, DATAFLOWS, Bypass, Dataflow, Gap, Pattern, Rule, Rules, Unroll, Wanted
from effc.ir.errors import source_error
from effc.ir.schedule import For, Keep, Par

EVERY = ""
"""The nests that no line ``nest NAME`` names."""

WHAT = "a file of constraints, or a dataflow: " + ", ".join(DATAFLOWS)

_NAME = r'(?:"(?:[^"\\]|\\["\\])*"|[A-Za-z_]\w*)'
_RANGE = r"(?: in 0 ?\.\. ?(?P<extent>\d{1,18}))?(?: by (?P<step>\d{1,18}|\.\.\.))?"
_AXIS = rf"@ (?P<level>{_NAME}) ?\. ?(?P<axis>{_NAME})"

Match = re.Match[str]


@dataclass(frozen=True)
class Constraints:
    """The rules by nest; ``EVERY`` has those for all."""

    rules: Mapping[str, Rules] = field(default_factory=dict)

    def of(self, nest: str) -> Rules:
        """The rules for the nest of that name."""
        return (*self.rules.get(EVERY, ()), *(self.rules.get(nest, ()) if nest != EVERY else ()))


def read_constraints(given: str | Path) -> str:
    """The text of constraints that a user names: a dataflow, or a file."""
    if str(given) in DATAFLOWS:
        return f"dataflow {given}"
    path = Path(given)
    if not path.exists() and (close := get_close_matches(str(given), DATAFLOWS, 1)):
        raise source_error("--constrain", str(given), 1, 1, len(str(given)), "no such file or dataflow", WHAT, close[0])
    text = read_text(path, WHAT)
    parse_constraints(text, str(path))
    return text


def parse_constraints(text: str, place: str = "<constraints>") -> Constraints:
    """The constraints that a text states; an ``InputError`` with the line that states none."""
    scope, rules, items = EVERY, dict[str, list[Rule]](), dict[str, list[Wanted | Gap]]()
    for number, line in enumerate(text.split("\n"), 1):
        statement = " ".join(line.split("#")[0].split())
        if not statement:
            continue
        found = _statement(statement, lambda *about: _fail(text, place, number, line, *about))  # noqa: B023
        if isinstance(found, str):
            scope = found
        elif isinstance(found, (Wanted, Gap)):
            items.setdefault(scope, []).append(found)
        else:
            rules.setdefault(scope, []).append(found)
    for scope, wanted in items.items():
        rules.setdefault(scope, []).append(Pattern(tuple(wanted)))
    return Constraints({scope: tuple(found) for scope, found in rules.items()})


def _statement(text: str, fail: Callable[[str, str], NoReturn]) -> Rule | Wanted | Gap | str:
    """What one line says; a text is the name of the nest that the lines after it are for."""
    if text == "...":
        return Gap()
    word = text.split()[0]
    if word not in _FORMS:
        fail(f"no statement begins with '{word}'", ", ".join((*_FORMS, "...")))
    pattern, read = _FORMS[word]
    match = re.fullmatch(f"{word} {pattern}", text)
    if match is None:
        fail(f"not understood after '{word}'", _EXAMPLES[word])
    found = read(match)
    if isinstance(found, Dataflow) and found.name not in DATAFLOWS:
        fail(f"no dataflow is called '{found.name}'", ", ".join(DATAFLOWS))
    return found


def _fail(text: str, place: str, number: int, line: str, message: str, expected: str) -> NoReturn:
    column = len(line) - len(line.lstrip()) + 1
    raise source_error(place, text, number, column, len(line.strip()), message, expected)


def _bare(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name


def _names(text: str) -> Iterator[str]:
    return (_bare(name) for name in re.findall(_NAME, text)) if text != "none" else iter(())


def _step(match: Match) -> int:
    return ANY if match["step"] == "..." else int(match["step"] or 1)


def _loop(match: Match) -> Wanted:
    return Wanted(For(_bare(match["dim"]), _step(match)), int(match["extent"] or ANY))


def _par(match: Match) -> Wanted:
    item = Par(_bare(match["dim"]), _step(match), _bare(match["level"]), _bare(match["axis"]))
    return Wanted(item, int(match["extent"] or ANY))


_FORMS: dict[str, tuple[str, Callable[[Match], Rule | Wanted | str]]] = {
    "dataflow": (r"(?P<name>\S+)", lambda match: Dataflow(match["name"])),
    "unroll": (
        rf"(?P<names>{_NAME}(?: ?, ?{_NAME})*) {_AXIS}",
        lambda match: Unroll(tuple(_names(match["names"])), _bare(match["level"]), _bare(match["axis"])),
    ),
    "bypass": (
        rf"(?P<operand>{_NAME}) @ (?P<level>{_NAME})",
        lambda match: Bypass(_bare(match["operand"]), _bare(match["level"])),
    ),
    "keep": (
        rf"(?P<operand>{_NAME}) @ (?P<level>{_NAME})",
        lambda match: Wanted(Keep(_bare(match["operand"]), _bare(match["level"]))),
    ),
    "for": (rf"(?P<dim>{_NAME}){_RANGE}", _loop),
    "par": (rf"(?P<dim>{_NAME}){_RANGE} {_AXIS}", _par),
    "nest": (rf"(?P<nest>{_NAME}|\S+)", lambda match: _bare(match["nest"])),
}
"""The statements by their first word: the rest of the line, and what it means."""

_EXAMPLES = {
    "dataflow": "for example `dataflow weight-stationary`",
    "unroll": "for example `unroll K, C @ GLB.rows`",
    "bypass": "for example `bypass W @ GLB`",
    "keep": "for example `keep W @ GLB`",
    "for": "for example `for K by 16` or `for K by ...`",
    "par": "for example `par K by 4 @ GLB.rows`",
    "nest": "the name of a nest",
}
