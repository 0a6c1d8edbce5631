"""Files of cases: one machine, and for each case a nest and a mapping of it.

    {"arch": {...}, "cases": [{"id": "H01", "dims": {...}, "mapping": {...}}, ...]}

``docs/replay.md`` describes the format. Other fields, such as the counts that another tool gave, are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from effc.compiler.files import read_text
from effc.compiler.replay.document import Value, parse_json
from effc.compiler.replay.machine import read_machine
from effc.compiler.replay.mapping import read_nest, read_schedule
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

FORM = 'a JSON object {"arch": {...}, "cases": [{"id", "dims", "mapping"}, ...]}'


@dataclass(frozen=True, slots=True)
class Case:
    """A nest with a mapping on a machine."""

    name: str
    nest: Nest
    target: Target
    schedule: Schedule
    place: str  # the file and the case


def load_cases(path: Path) -> list[Case]:
    """The cases of a file."""
    return parse_cases(read_text(path, FORM), str(path))


def parse_cases(text: str, filename: str = "<text>") -> list[Case]:
    """The cases that a text describes; an ``InputError`` names the first thing that is wrong with it."""
    fields = parse_json(text, filename, FORM).fields(("arch", "cases"), open_=True)
    target = read_machine(fields["arch"], "the machine")
    entries = fields["cases"].items('a list of {"id", "dims", "mapping"}')
    cases: list[Case] = []
    for entry in entries:
        case = _case(entry, target, filename)
        if any(case.name == other.name for other in cases):
            raise entry.error(f"two cases have the id '{case.name}'", "an id of its own for each case", "rename one")
        cases.append(case)
    return cases


def _case(entry: Value, target: Target, filename: str) -> Case:
    name = entry.fields(("id", "dims", "mapping"), open_=True)["id"].text()
    named = Value(entry.raw, f"{filename}: case '{name}'")
    fields = named.fields(("id", "dims", "mapping"), open_=True)
    nest = read_nest(fields["dims"], name)
    return Case(name, nest, target, read_schedule(fields["mapping"], nest, target), named.place)
