"""Every bundled model on every bundled target: CPU-seconds of the search, and what is proven, as a table in Markdown.

    python benchmarks/networks.py [--model NAME ...] [--target NAME ...] [--objective O] [--perfect-factors]

One process, nothing from disk. Models are built without their weights: these do not change their schedules. A cell has
the CPU-seconds, how many of the distinct nests are proven optimal, and the largest gap of the others.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Every bundled model on every bundled target.")
    parser.add_argument("--model", action="append", choices=MODELS, help="this model; all if none is given")
    parser.add_argument("--target", action="append", help="this target; all bundled ones if none is given")
    parser.add_argument("--objective", default="energy", choices=OBJECTIVES)
    parser.add_argument("--perfect-factors", action="store_true", help="only steps that divide, no sliding windows")
    options = parser.parse_args()
    models = {name: nests_of(name) for name in options.model or MODELS}
    print("| target | " + " | ".join(models) + " |")
    print("|---" * (len(models) + 1) + "|", flush=True)
    for target in options.target or bundled_targets():
        cells = [mapped(nests, target, options.objective, options.perfect_factors) for nests in models.values()]
        print(f"| `{target}` | " + " | ".join(cells) + " |", flush=True)


def nests_of(name: str) -> list[Nest]:
    """The distinct nests of a model."""
    graph = lower(build(name, False))
    for item in standard_passes():
        graph = item.run(graph)
    return list(dict.fromkeys(replace(op.nest, name="nest") for op in graph.nests))


def mapped(nests: list[Nest], target: str, objective: str, perfect: bool) -> str:
    """The cell of a model on a target."""
    scheduler = ScheduleNests(load_target(target), objective, perfect_factors=perfect)  # type: ignore[arg-type]
    began = time.process_time()
    found: list[Certificate] = [
        answer.certificate for _, answer in scheduler.each(nests) if not isinstance(answer, InputError)
    ]
    seconds = time.process_time() - began
    optimal = sum(certificate.status == "optimal" for certificate in found)
    worst = max((certificate.gap for certificate in found), default=0)
    refused = f", {len(nests) - len(found)} to the host" if len(found) < len(nests) else ""
    return f"{seconds:.1f} s, {optimal} of {len(found)} optimal, gap {float(worst):.1%}{refused}"


if __name__ == "__main__":
    main()
