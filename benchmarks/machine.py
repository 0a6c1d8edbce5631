"""How fast the machine runs whole networks: MACs per second, beside what one thread of BLAS can do in the same run.

    python benchmarks/machine.py [MODEL ...] [--target TARGET]      resnet50 and vgg16 on eyeriss, if none is named

CPU seconds after compilation, one thread, batch of 1, all counters; the peak of memory is that of a process that loads
the compiled model and runs it. Networks are compiled first, which takes longer than running them; what was searched
before is kept in the cache.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import effc
from effc.backends.accel import Machine
from effc.compiler.inputs import random_inputs

MODELS = Path(__file__).parents[1] / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=["resnet50", "vgg16"], metavar="MODEL")
    parser.add_argument("--target", default="eyeriss")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        run(options.run)
        return
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, MODELS / "build.py", model, "-o", folder], check=True)
            compiled = Path(folder) / f"{model}.effx"
            effc.compile(Path(folder) / f"{model}.onnx", options.target, cache=True).save(compiled)
            subprocess.run([sys.executable, __file__, "--run", compiled], check=True)


def run(path: Path) -> None:
    """Run a compiled model in both modes, and print what that takes."""
    program = effc.load(path)
    assert program.program is not None
    inputs, limit, macs = random_inputs(program.graph, 0), ceiling(), program.report.totals.macs
    print(f"{path.stem} on {program.target.name}: {macs / 1e6:.0f} million MACs")
    print(f"  matrix product     {limit / 1e6:8.0f} million MACs/s")
    for mode in ("functional", "cycle"):
        gc.collect()  # what the run before held
        machine = Machine(program.target, cycles=mode == "cycle")
        took = seconds(lambda machine=machine: machine.run(program.program, inputs, program.graph.constants))
        print(f"  {mode:10} {took:6.1f} s {macs / took / 1e6:8.0f} million MACs/s, {macs / took / limit:.2%} of it")
    print(f"  peak memory {peak_gb():.2f} GB")


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def ceiling(size: int = 1024) -> float:
    """MACs per second of a matrix product."""
    a, b = np.ones((2, size, size), np.float32)
    return size**3 / min(seconds(lambda: a @ b) for _ in range(5))


def peak_gb() -> float:
    """The most memory that this process had, in 10^9 bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


if __name__ == "__main__":
    main()
