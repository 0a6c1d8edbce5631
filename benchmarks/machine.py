"""How fast the machine runs: MACs per second on the layers of ResNet-18, beside what one thread of BLAS can do.

    python benchmarks/machine.py [TARGET ...]        eyeriss and eyeriss_like, if none is named

One thread; seconds are CPU seconds, those of functional mode and, behind a +, what cycle mode adds. The ceiling is a
matrix product of 1024 x 1024 x 1024 in float32, in the same run.
Schedules are searched first, which takes longer than running them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import effc
from effc.backends.accel import emit, run_nest
from effc.backends.accel.isa import NestLayer
from effc.backends.accel.machine import graph_of
from effc.backends.accel.timing import Clock
from effc.ir import nests
from effc.ir.nest import Nest

LAYERS: list[tuple[str, int, tuple[int, int, int, int, int]]] = [
    # name, how often it occurs, (filters, channels, output rows and columns, filter rows and columns, stride)
    ("conv1", 1, (64, 3, 112, 7, 2)),
    ("layer1", 4, (64, 64, 56, 3, 1)),
    ("layer2_0_conv1", 1, (128, 64, 28, 3, 2)),
    ("layer2", 3, (128, 128, 28, 3, 1)),
    ("layer2_downsample", 1, (128, 64, 28, 1, 2)),
    ("layer3_0_conv1", 1, (256, 128, 14, 3, 2)),
    ("layer3", 3, (256, 256, 14, 3, 1)),
    ("layer3_downsample", 1, (256, 128, 14, 1, 2)),
    ("layer4_0_conv1", 1, (512, 256, 7, 3, 2)),
    ("layer4", 3, (512, 512, 7, 3, 1)),
    ("layer4_downsample", 1, (512, 256, 7, 1, 2)),
]


def layer(name: str, sizes: tuple[int, int, int, int, int]) -> Nest:
    k, c, p, r, stride = sizes
    plane = p * stride
    return nests.conv2d(1, k, c, p, p, r, r, stride, pad=r // 2, name=name, h=plane, w=plane)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def ceiling(size: int = 1024) -> float:
    """MACs per second of a matrix product."""
    a, b = np.ones((2, size, size), np.float32)
    return size**3 / min(seconds(lambda: a @ b) for _ in range(5))


def main(names: list[str]) -> None:
    limit = ceiling()
    print(f"matrix product: {limit / 1e6:.0f} million MACs/s")
    for name in names or ["eyeriss", "eyeriss_like"]:
        target = effc.load_target(name)
        macs, spent = 0, 0.0
        for label, count, sizes in LAYERS:
            nest = layer(label, sizes)
            schedule = effc.search(nest, target).schedule
            assert schedule is not None
            rng = np.random.default_rng(0)
            arrays = {o.name: rng.standard_normal(o.shape, np.float32) for o in nest.reads}
            took = seconds(lambda nest=nest, schedule=schedule: run_nest(nest, schedule, target, arrays))  # noqa: B023
            macs, spent = macs + count * nest.macs, spent + count * took
            (program,) = emit(graph_of(nest, schedule, arrays), target).layers
            assert isinstance(program, NestLayer)
            clock = seconds(lambda program=program: Clock(program, target).run())  # noqa: B023
            rate = nest.macs / took
            print(
                f"{name:12} {label:18} {nest.macs / 1e6:6.1f} M {took:6.2f} +{clock:5.2f} s"
                f" {rate / 1e6:6.0f} M/s {rate / limit:7.2%}"
            )
        rate = macs / spent
        print(f"{name:12} {'resnet18':18} {macs / 1e6:6.1f} M {spent:6.2f} s {rate / 1e6:6.0f} M/s {rate / limit:7.2%}")


if __name__ == "__main__":
    main(sys.argv[1:])
