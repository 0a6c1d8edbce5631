"""What happens around every stage of the pipeline: it is timed, verified, dumped and announced, as the user asks.

EFFC_DEBUG=1    the seconds of every stage, on stderr
EFFC_DEBUG=2    the IR is verified after every stage
EFFC_DEBUG=3    both, and the text of every stage on stderr
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from effc.compiler.errors import InputError
from effc.compiler.files import write_text
from effc.ir.graph import Graph

T = TypeVar("T")


@dataclass(frozen=True)
class Instruments:
    """``dump_after`` is a stage, ``all``, or empty; ``progress`` is called with every stage as it begins."""

    dump_after: str = ""
    dump_dir: Path = Path("effc-dumps")
    debug: int = 0
    progress: Callable[[str], None] | None = None

    def check(self, stages: Iterable[str]) -> None:
        """Raise an ``InputError`` if the stage to dump is none of ``stages``."""
        known = [*dict.fromkeys(stages), "all"]
        if self.dump_after and self.dump_after not in known:
            close = get_close_matches(self.dump_after, known, 1)
            remedy = f"did you mean '{close[0]}'?" if close else ""
            raise InputError(f"no stage is called '{self.dump_after}'", "--dump-after", ", ".join(known), remedy)

    def stage(self, number: int, name: str, work: Callable[[], T], show: Callable[[T], str] | None = None) -> T:
        """Do the work of one stage; ``show`` gives the text of a result that is no graph."""
        if self.progress is not None:
            self.progress(name)
        began = time.perf_counter()
        result = work()
        if self.debug in (1, 3):
            print(f"effc: {name:16} {time.perf_counter() - began:8.3f} s", file=sys.stderr)
        if isinstance(result, Graph) and self.debug >= 2:
            verify_after(name, result)
        if self.debug >= 3 or self.dump_after in (name, "all"):
            self._dump(f"{number:02}-{name}", result, show)
        return result

    def _dump(self, name: str, result: object, show: Callable[[T], str] | None) -> None:
        from effc.ir.printer import print_graph

        if isinstance(result, Graph):
            text, suffix = print_graph(result), ".ir"
        elif show is not None:
            text, suffix = show(result), ".asm"  # type: ignore[arg-type]
        else:
            return
        if self.debug >= 3:
            print(f"# {name}\n{text}", file=sys.stderr)
        if self.dump_after:
            try:
                self.dump_dir.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"cannot be created: {error.strerror}", str(self.dump_dir), "a folder") from None
            write_text(self.dump_dir / (name + suffix), text)


def from_environment(
    dump_after: str = "", dump_dir: Path | None = None, progress: Callable[[str], None] | None = None
) -> Instruments:
    """The instruments that the arguments and ``EFFC_DEBUG`` ask for."""
    level = os.environ.get("EFFC_DEBUG", "0") or "0"
    if level not in ("0", "1", "2", "3"):
        raise InputError(f"EFFC_DEBUG is '{level}'", "environment", "0, 1, 2 or 3")
    return Instruments(dump_after, dump_dir or Path("effc-dumps"), int(level), progress)


def verify_after(stage: str, graph: Graph) -> None:
    """Raise an ``InputError`` that names the stage if it left a graph that breaks a rule of the IR."""
    from effc.ir.verify import VerifyError, verify_graph

    try:
        verify_graph(graph)
    except VerifyError as error:
        message = f"the stage '{stage}' broke the IR: {error.message}"
        raise InputError(message, error.where, error.expected, error.remedy) from error
