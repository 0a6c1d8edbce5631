"""What commands write: reports, JSON, and progress where a person is watching."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effc.compiler.errors import InputError
from effc.compiler.files import check_writable, write_text
from effc.compiler.json_text import json_text

if TYPE_CHECKING:
    from effc.compiler.report import Report
    from effc.compiler.search.result import Best

STDOUT = "-"


def check_outputs(arguments: Namespace, *names: str) -> None:
    """Raise an ``InputError`` now if a file to write cannot be written, or two results would mix on stdout."""
    given = [(name, value) for name in names if (value := getattr(arguments, name, None))]
    piped = [f"--{name}" for name, value in given if value == STDOUT]
    if len(piped) > 1:
        raise InputError(f"{' and '.join(piped)} cannot share stdout", remedy="write one of them to a file")
    for _, value in given:
        if value != STDOUT:
            check_writable(Path(value))


def owns_stdout(arguments: Namespace, *names: str) -> bool:
    """Whether one of the results goes to stdout, where nothing else may go then."""
    return any(getattr(arguments, name, None) == STDOUT for name in names)


def write_result(where: str | None, text: str) -> None:
    """Write a text to a file or to stdout; nowhere if nobody asked."""
    if where == STDOUT:
        sys.stdout.write(text)
    elif where:
        write_text(Path(where), text)


def write_json(where: str | None, value: Any) -> None:
    """The same for what JSON can hold."""
    if where:
        write_result(where, json_text(_finite(value)))


def _finite(value: Any) -> Any:
    """The same with null for what is no finite number: JSON has none of those."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


REPORTS = ("json", "csv", "html")


Text = tuple[str, str]
"""Where a text goes, a file or stdout, and what it says."""


Reports = Mapping[str, "Report"]
"""The reports of a model by the sizes it is compiled for."""


def file_texts(reports: Reports, arguments: Namespace, extra: dict[str, Any]) -> Iterator[Text]:
    """What goes into the files that were asked for: the first report; in JSON the others follow it."""
    (sizes, report), *others = reports.items()
    if arguments.json:
        from effc.compiler.report.codec import encode

        variants = [{"sizes": sizes, "report": encode(report)} for sizes, report in others]
        sized = {"sizes": sizes, "variants": variants} if others else {}
        yield arguments.json, json_text(_finite({**encode(report), **extra, **sized}))
    if arguments.csv:
        from effc.compiler.report.csv_ import to_csv

        yield arguments.csv, to_csv(report)
    if arguments.html:
        from effc.compiler.report.html import to_html

        yield arguments.html, to_html(report)


def table_texts(reports: Reports, arguments: Namespace, verified: Sequence[str]) -> Iterator[Text]:
    """The reports as tables, unless stdout is taken."""
    if owns_stdout(arguments, *REPORTS):
        return
    from effc.compiler.report.tables import report_text

    (sizes, report), *others = reports.items()
    heading = f"{sizes}\n\n" if others else ""
    yield STDOUT, heading + report_text(report, verified=verified)
    for sizes, report in others:
        yield STDOUT, f"\n{sizes}\n\n{report_text(report)}"


def write_variants(reports: Reports, arguments: Namespace) -> None:
    """Write these reports, and show them."""
    for where, text in (*file_texts(reports, arguments, {}), *table_texts(reports, arguments, ())):
        write_result(where, text)


def cache_of(arguments: Namespace) -> bool | str:
    """Whether solved nests are kept on disk, or in which folder."""
    return not arguments.no_cache and (arguments.cache_dir or True)


def constraints_of(arguments: Namespace) -> str:
    """The text of the constraints that were given."""
    if not arguments.constrain:
        return ""
    from effc.compiler.search.constraint_text import read_constraints

    return read_constraints(arguments.constrain)


class Progress:
    """A line on stderr that says what is being done."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show
        self.state = ""

    def stage(self, name: str) -> None:
        self.show(name)

    def layer(self, number: int, name: str) -> None:
        self.show(f"run: layer {number + 1}, {name}")

    def samples(self, done: int, of: int) -> None:
        self.show(f"accuracy: sample {done + 1} of {of}")

    def nest(self, name: str, done: int, of: int) -> None:
        self.state = f"schedule: {done} of {of} nests"
        self.show(f"{self.state}, {name}")

    def improved(self, name: str, best: Best) -> None:
        """A better schedule of a nest: what it costs, and how much might still be gained."""
        found = best.certificate
        gap = "optimal" if found.status == "optimal" else f"gap {float(found.gap):.1%}"
        self.show(f"{self.state or 'schedule'}, {name}: {best.objective} {float(found.value):.4g}, {gap}")


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress on a terminal; silence elsewhere."""
    if not sys.stderr.isatty():
        yield Progress(lambda text: None)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("starting") as status:
        yield Progress(lambda text: status.update(Text(text)))
