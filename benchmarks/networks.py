"""Every bundled model on every bundled target: CPU-seconds of the search, and what is proven, as a table in Markdown.

    python benchmarks/networks.py [--model NAME ...] [--target NAME ...] [--objective O] [--perfect-factors]
                                  [--json FILE] [--page FILE] [--no-run]

One process, nothing from disk. Models are built without their weights: these do not change their schedules. A cell has
the CPU-seconds of the search, how many of the distinct nests are proven optimal, and the largest gap of the others.
``--json`` keeps the figures of every cell as soon as they are known, and does not measure again what is there already,
or nothing at all with ``--no-run``;
``--page`` puts the table into a page, between `<!-- networks -->` and `<!-- end -->`, or `<!-- networks perfect -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))

from build import MODELS, build

from effc.compiler.cost import OBJECTIVES
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.passes.schedule_nests import ScheduleNests
from effc.compiler.pipeline import standard_passes
from effc.compiler.search import Certificate
from effc.compiler.target import bundled_targets, load_target
from effc.ir.nest import Nest


@dataclass(frozen=True)
class Cell:
    """A model on a target: distinct nests, those that the target cannot hold, and what is known of the others."""

    seconds: float
    nests: int
    refused: int
    optimal: int
    gap: float  # the largest

    def __str__(self) -> str:
        gap = f", {self.gap:.1%}" if self.gap else ""
        refused = f", {self.refused} refused" if self.refused else ""
        return f"{self.seconds:.1f} s, {self.optimal} of {self.nests - self.refused}{gap}{refused}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Every bundled model on every bundled target.")
    parser.add_argument("--model", action="append", choices=MODELS, help="this model; all if none is given")
    parser.add_argument("--target", action="append", help="this target; all bundled ones if none is given")
    parser.add_argument("--objective", default="energy", choices=OBJECTIVES)
    parser.add_argument("--perfect-factors", action="store_true", help="only steps that divide, no sliding windows")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    parser.add_argument("--no-run", action="store_true", help="measure nothing: `-` for what is not known")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    options = parser.parse_args()
    known: dict[str, Cell] = {}
    if options.json and options.json.exists():
        known = {name: Cell(**cell) for name, cell in json.loads(options.json.read_text(encoding="utf-8")).items()}
    models, targets = options.model or list(MODELS), options.target or bundled_targets()
    for target in targets:
        for model in models:
            key = f"{model} {target} {options.objective}{' perfect' * options.perfect_factors}"
            if key not in known and not options.no_run:
                known[key] = mapped(nests_of(model), target, options.objective, options.perfect_factors)
                print(f"{key}: {known[key]}", file=sys.stderr, flush=True)
            if options.json and not options.no_run:
                options.json.write_text(json.dumps({k: asdict(cell) for k, cell in known.items()}, indent=1) + "\n")
    kind = f"{options.objective}{' perfect' * options.perfect_factors}"
    lines = table(models, targets, {key: cell for key, cell in known.items() if key.split(" ", 2)[2] == kind})
    print("\n".join(lines))
    if options.page:
        place(options.page, "networks perfect" if options.perfect_factors else "networks", lines)


def table(models: list[str], targets: list[str], cells: dict[str, Cell]) -> list[str]:
    """The lines of a table in Markdown, a row per target."""
    found = {tuple(key.split(" ")[:2]): cell for key, cell in cells.items()}
    rows = [[f"`{target}`", *(str(found.get((model, target), "-")) for model in models)] for target in targets]
    return ["| target | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|", *map(line, rows)]


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def place(page: Path, name: str, lines: list[str]) -> None:
    """Put a table between its marks in a page."""
    text = page.read_text(encoding="utf-8")
    body = "\n".join(("", *lines, ""))
    changed, number = re.subn(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", rf"\g<1>{body}\g<2>", text, flags=re.DOTALL)
    if not number:
        sys.exit(f"{page} has no line <!-- {name} -->")
    page.write_text(changed, encoding="utf-8")


def nests_of(name: str) -> list[Nest]:
    """The distinct nests of a model."""
    graph = lower(build(name, False))
    for item in standard_passes():
        graph = item.run(graph)
    return list(dict.fromkeys(replace(op.nest, name="nest") for op in graph.nests))


def mapped(nests: list[Nest], target: str, objective: str, perfect: bool) -> Cell:
    """The cell of a model on a target."""
    scheduler = ScheduleNests(load_target(target), objective, perfect_factors=perfect)  # type: ignore[arg-type]
    began = time.process_time()
    found: list[Certificate] = [
        answer.certificate for _, answer in scheduler.each(nests) if not isinstance(answer, InputError)
    ]
    seconds = time.process_time() - began
    optimal = sum(certificate.status == "optimal" for certificate in found)
    gap = max((float(certificate.gap) for certificate in found), default=0.0)
    return Cell(round(seconds, 2), len(nests), len(nests) - len(found), optimal, gap)


if __name__ == "__main__":
    main()
