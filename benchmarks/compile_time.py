"""How long `effc compile` takes with an empty cache and with a full one, and what it needs of processors and memory.

    python benchmarks/compile_time.py [MODEL ...] [--target TARGET] [--jobs N] [--warm N] [--models DIR]

Each run is a process of its own, from its start to its end: it reads the model, searches, writes the artefact and the
report. `nests` are the distinct ones that were searched; CPU-seconds are those of all processes; of several runs with a
full cache the fastest counts. At last what `effc --help` and `import effc` take. ``--models`` keeps the models there.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))

import build
from build import MODELS, NETWORKS

SIZES = {"gpt2": ("sequence=16", "past=48"), "llama": ("sequence=16", "past=48")}
"""Of the symbolic dims of a model."""


@dataclass(frozen=True)
class Usage:
    """What a command took: seconds, CPU-seconds, and the peak of memory of its largest process in MB."""

    wall: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s | {self.cpu:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=[*NETWORKS], metavar="MODEL", help="all but image classifiers")
    parser.add_argument("--target", default="eyeriss")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--warm", type=int, default=3, help="runs with a full cache")
    parser.add_argument("--models", dest="folder", type=Path, metavar="DIR", help="keep the models here")
    options = parser.parse_args()
    if unknown := set(options.models) - {*MODELS, *NETWORKS}:
        parser.error(f"no model is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as scratch:
        print("| model | nests | cold | | warm | | MB |\n|---|---|---|---|---|---|---|")
        for name in options.models:
            print(row(name, options, Path(scratch)), flush=True)
    for command in (["-m", "effc", "--help"], ["-c", "import effc"]):
        print(f"\n{' '.join(command)}: {min(usage(command).wall for _ in range(5)):.2f} s")


def row(name: str, options: argparse.Namespace, scratch: Path) -> str:
    """The line of a model, seconds and CPU-seconds with an empty cache and with a full one."""
    folder = options.folder or scratch
    model = folder / f"{name}.onnx"
    if not model.exists():  # by a process of its own: a child's peak of memory is at least its parent's
        usage([str(build.__file__), name, "-o", str(folder)])
    cache, artefact = scratch / f"{name}.cache", scratch / f"{name}.effx"
    sizes = [f"--dim={size}" for size in SIZES.get(name, ())]
    command = ["-m", "effc", "compile", str(model), "--target", options.target, "--jobs", str(options.jobs), *sizes]
    command += ["--cache-dir", str(cache), "-o", str(artefact), "--json", str(scratch / "report.json")]
    cold = usage(command)
    warm = min((usage(command) for _ in range(options.warm)), key=lambda each: each.wall)
    nests, *_ = sqlite3.connect(cache / "nests.sqlite").execute("SELECT COUNT(*) FROM solved").fetchone()
    artefact.unlink()
    if options.folder is None:
        model.unlink()
    return f"| `{name}` | {nests} | {cold} | {warm} | {max(cold.memory, warm.memory):.0f} |"


def usage(command: list[str]) -> Usage:
    """Run Python with these arguments; raises if it fails."""
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: failed")
    return Usage(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
