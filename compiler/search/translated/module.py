"""The kernel as a module of Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from effc.compiler.search.translated import runtime
from effc.compiler.search.translated.declarations import parse
from effc.compiler.search.translated.facts import Facts
from effc.compiler.search.translated.records import made, named, records
from effc.compiler.search.translated.shapes import Shapes
from effc.compiler.search.translated.sources import Preprocessor
from effc.compiler.search.translated.tree import Definition, Program
from effc.compiler.search.translated.types import VOID, Function
from effc.compiler.search.translated.writer import Writer


def python(program: Program) -> str:
    """The text of the module."""
    return "\n".join(lines(program)) + "\n"


def lines(program: Program) -> Iterator[str]:
    shapes = Shapes(program)
    facts = Facts(program)
    yield from records(program, shapes)
    yield from (f"{named(name)} = {value}" for name, value in program.constants.items())
    for declaration in program.shared:
        variable, value = declaration.variable, declaration.value
        shape = shapes.place(variable)
        writer = Writer(Definition("", Function(VOID, ())), shapes, facts)
        text = made(variable.type, shape, True) if value is None else writer.item(value, variable.type, shape)
        yield f"{named(variable.name)} = {text}"
    for function in program.functions.values():
        if function.body is not None:
            yield ""
            yield from Writer(function, shapes, facts).lines_of()


def load(text: str, host: Mapping[str, Any]) -> dict[str, Any]:
    """What a program in C defines, in Python; ``host`` has the functions that it only declares."""
    program = parse(text)
    missing = {name for name, function in program.functions.items() if function.body is None} - host.keys()
    if missing:
        raise NotImplementedError(f"functions without a definition: {', '.join(sorted(missing))}")
    names = {name: getattr(runtime, name) for name in vars(runtime) if not name.startswith("__")}
    names.update(host)
    exec(compile(python(program), "<translated kernel>", "exec"), names)
    return names


def sources(path: Path, macros: Mapping[str, str] | None = None) -> str:
    return Preprocessor(macros).read(path)
