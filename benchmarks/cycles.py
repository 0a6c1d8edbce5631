"""Published cycles: NVDLA on AlexNet, Gemmini on matrix products, and the schedules that effc finds for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effc.compiler.api import search
from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.target import Target, load_target
from effc.ir import nests, parse_schedule, print_schedule
from effc.ir.nest import Nest

TABLE = Path(__file__).parents[1] / "tests" / "validation" / "published_cycles.json"
SECONDS = 60


def tables() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return data


def gemmini_nests() -> dict[str, Nest]:
    """Every matrix product, by its sizes M x K x N."""
    rows = tables()["gemmini"]["gemms"]
    return {f"{row['M']} x {row['K']} x {row['N']}": nests.gemm(m=row["M"], n=row["N"], k=row["K"]) for row in rows}


def nvdla_nests() -> dict[str, Nest]:
    """AlexNet, a single image."""
    data = tables()["nvdla_full"]
    found = {}
    for row in data["convolutions"]:
        sizes = {name: row[name] for name in ("stride", "pad", "groups")}
        planes = {"p": row["P"], "q": row["P"], "r": row["R"], "s": row["R"], "h": row["H"], "w": row["H"]}
        found[row["name"]] = nests.conv2d(n=1, k=row["K"], c=row["C"], **planes, **sizes)
    return found | {row["name"]: nests.gemm(m=1, n=row["N"], k=row["K"]) for row in data["products"]}


NESTS = {"gemmini": gemmini_nests, "nvdla_full": nvdla_nests}


def schedules(target: str) -> dict[str, str]:
    """The schedules of least latency that the search finds on a target, as text."""
    return {name: fastest(nest, load_target(target)) for name, nest in NESTS[target]().items()}


def fastest(nest: Nest, target: Target) -> str:
    return print_schedule(search(nest, target, "latency", time_limit=SECONDS).schedule, nest)


def costs(target: str, found: Mapping[str, str]) -> dict[str, Evaluation]:
    """What the schedules cost, by name."""
    machine = load_target(target)
    return {name: evaluate(nest, parse_schedule(found[name], nest), machine) for name, nest in NESTS[target]().items()}
