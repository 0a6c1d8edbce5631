"""How far a search goes beyond its time limit, and what it has by then.

    python benchmarks/time_limit.py [--limit SECONDS] [--tries N]

For layers of networks, objectives and targets: CPU-seconds of the fastest of some tries, their ratio to the limit, and
the gap between the schedule found and what every schedule costs at least.
"""

from __future__ import annotations

import argparse
import time

from effc.compiler.search import search
from effc.compiler.target import load_target
from effc.ir import nests

NESTS = {
    "3x3": nests.conv2d(n=1, k=64, c=64, p=56, q=56, r=3, s=3, pad=1),
    "7x7": nests.conv2d(n=1, k=64, c=3, p=112, q=112, r=7, s=7, stride=2, pad=3),
    "1x1": nests.conv2d(n=1, k=256, c=64, p=56, q=56, r=1, s=1),
    "product": nests.gemm(m=512, n=3072, k=768),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=0.1, help="in seconds")
    parser.add_argument("--tries", type=int, default=3)
    options = parser.parse_args()
    print("| target | objective | nest | CPU-s | of the limit | gap |\n|---|---|---|---|---|---|")
    for target in ("eyeriss_like", "eyeriss"):
        for objective in ("energy", "latency", "edp"):
            for name in NESTS:
                print(f"| {target} | {objective} | {name} | {row(target, objective, name, options)} |", flush=True)


def row(target: str, objective: str, name: str, options: argparse.Namespace) -> str:
    machine, took = load_target(target), []
    for _ in range(options.tries):
        began = time.process_time()
        known = search(NESTS[name], machine, objective, time_limit=options.limit).certificate
        took.append(time.process_time() - began)
    gap = float(1 - known.lower_bound / known.value)
    return f"{min(took):.3f} | {min(took) / options.limit:.2f} | {100 * gap:.1f} %"


if __name__ == "__main__":
    main()
