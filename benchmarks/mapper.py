"""The search on the layers of a network: CPU-seconds, optimum, gap and expansions per layer.

    python benchmarks/mapper.py LAYERS.json ... [--target NAME] [--objective O] [--perfect-factors] [--json FILE]

A layer is {"name", "N", "K", "C", "P", "Q", "R", "S", "stride"}, a convolution whose planes have no padding, or
{"name", "M", "K", "N"}, a matrix product. Importing is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from effc.compiler.cost import OBJECTIVES
from effc.compiler.search import Best, search
from effc.compiler.target import load_target
from effc.ir import nests
from effc.ir.nest import Nest


def main() -> None:
    parser = argparse.ArgumentParser(description="The search on the layers of a network.")
    parser.add_argument("layers", nargs="+", type=Path, help="files of layers")
    parser.add_argument("--target", default="eyeriss_like", help="a .hw file, or the name of a bundled target")
    parser.add_argument("--objective", default="energy", choices=OBJECTIVES)
    parser.add_argument("--perfect-factors", action="store_true", help="only steps that divide, no sliding windows")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    target = load_target(options.target)
    print(f"{'layer':16} {'CPU s':>7} {options.objective:>16} {'bound':>16} {'gap %':>7} {'expanded':>10}")
    rows = []
    for path in options.layers:
        for layer in json.loads(path.read_text(encoding="utf-8")):
            began = time.process_time()
            best = search(nest_of(layer), target, options.objective, perfect_factors=options.perfect_factors)
            rows.append(row(layer["name"], best, time.process_time() - began))
            print(line(rows[-1]), flush=True)
    total = sum(figures["cpu_s"] for figures in rows)
    optimal = sum(figures["status"] == "optimal" for figures in rows)
    print(f"{'all':16} {total:7.2f} {sum(figures['value'] for figures in rows):16.0f} {optimal} of {len(rows)} optimal")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def nest_of(layer: dict[str, Any]) -> Nest:
    if "M" in layer:
        return nests.gemm(m=layer["M"], n=layer["N"], k=layer["K"], name=layer["name"])
    sizes = {name.lower(): layer[name] for name in ("N", "K", "C", "P", "Q", "R", "S")}
    return nests.conv2d(**sizes, stride=layer.get("stride", 1), name=layer["name"])


def row(name: str, best: Best, seconds: float) -> dict[str, Any]:
    certificate = best.certificate
    return {
        "name": name,
        "cpu_s": round(seconds, 4),
        "value": float(certificate.value),
        "lower_bound": float(certificate.lower_bound),
        "gap": float(certificate.gap),
        "status": certificate.status,
        "expanded": certificate.expanded,
    }


def line(figures: dict[str, Any]) -> str:
    return (
        f"{figures['name']:16} {figures['cpu_s']:7.3f} {figures['value']:16.0f} {figures['lower_bound']:16.0f} "
        f"{100 * figures['gap']:7.3f} {figures['expanded']:10}"
    )


if __name__ == "__main__":
    main()
