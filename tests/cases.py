"""Random nests, targets and legal schedules, small enough for the stepper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from random import Random
from typing import Any

import numpy as np

from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips


@dataclass(frozen=True)
class Case:
    """One nest on one target with one legal schedule, and integer-valued operands."""

    nest: Nest
    target: Target
    schedule: Schedule
    arrays: Mapping[str, Any]


def plain(dim: Dim) -> Axis:
    return Axis(((1, dim.name),), 0, dim.bound)


def window(random: Random, out: Dim, tap: Dim) -> Axis:
    """A sliding window axis with random stride, dilation and padding; never all padding."""
    stride, dilation = random.choice([1, 1, 2, 3]), random.choice([1, 1, 2])
    reach = (out.bound - 1) * stride + (tap.bound - 1) * dilation + 1
    before = random.choice([0, 0, 1, 2])
    after = random.choice([0, 0, 1, 2])
    size = max(1, reach - before - after + random.choice([0, 0, 1]))
    before = min(before, reach - 1)
    return Axis(((stride, out.name), (dilation, tap.name)), -before, size)


def random_conv(random: Random) -> Nest:
    def dim(role: str, *bounds: int) -> Dim:
        return Dim(role, random.choice(bounds), role)

    n, g, k, c = dim("N", 1, 1, 2), dim("G", 1, 1, 2, 3), dim("K", 1, 2, 3, 5), dim("C", 1, 2, 3, 4)
    p, q, r, s = dim("P", 1, 3, 4, 5, 7), dim("Q", 1, 1, 2, 4), dim("R", 1, 2, 3), dim("S", 1, 1, 2)
    groups = [g] if g.bound > 1 else []
    lead = [n, *groups]
    h, w = window(random, p, r), window(random, q, s)
    reads = (
        Operand("I", (*map(plain, [*lead, c]), h, w)),
        Operand("W", tuple(map(plain, [*groups, k, c, r, s]))),
    )
    bias = Operand("B", tuple(map(plain, [*groups, k]))) if random.random() < 0.4 else None
    return Nest("conv", (n, *groups, k, c, p, q, r, s), reads, Operand("O", tuple(map(plain, [*lead, k, p, q]))), bias)


def random_gemm(random: Random) -> Nest:
    b = Dim("H", random.choice([1, 2, 3]), "G")
    m, n, k = (
        Dim("M", random.randint(1, 7), "P"),
        Dim("N", random.randint(1, 7), "K"),
        Dim("K", random.randint(1, 7), "C"),
    )
    shared = random.random() < 0.5  # a broadcast W omits the batch dim
    reads = (
        Operand("I", tuple(map(plain, [b, m, k]))),
        Operand("W", tuple(map(plain, [k, n] if shared else [b, k, n]))),
    )
    bias = Operand("B", (plain(n),)) if random.random() < 0.4 else None
    return Nest("gemm", (b, m, n, k), reads, Operand("O", tuple(map(plain, [b, m, n]))), bias)


def random_nest(random: Random, macs: int) -> Nest:
    while True:
        nest = random_conv(random) if random.random() < 0.75 else random_gemm(random)
        if nest.macs <= macs:
            return nest


def random_marks(random: Random, nest: Nest, levels: list[str]) -> list[Keep]:
    """A random interleaving of keep marks: every operand skips any levels it likes."""
    queues = []
    for name in nest.operands:
        kept = [level for level in levels[1:] if random.random() < 0.7]
        queues.append([Keep(name, level) for level in kept])
    marks = []
    while any(queues):
        queue = random.choice([q for q in queues if q])
        marks.append(queue.pop(0))
    return marks


def random_schedule(random: Random, nest: Nest, levels: list[str], meshes: dict[str, list[str]]) -> Schedule:
    """Random marks, loops in every gap, the pars of a fan-out at one place, random ragged steps."""
    tokens: list[list[Item]] = [[mark] for mark in random_marks(random, nest, levels)]
    names = [dim.name for dim in nest.dims if dim.bound > 1]
    for level, axes in meshes.items():
        pars: list[Item] = [Par(d, 0, level, axis) for axis in axes for d in names if random.random() < 0.35]
        random.shuffle(pars)
        tokens.insert(random.randint(0, len(tokens)), pars)
    items: list[Item] = []
    for token in [*tokens, []]:
        chosen = [d for d in names if random.random() < 0.4]
        random.shuffle(chosen)
        items += [For(d, 0) for d in chosen]
        items += token
    missing = [d for d in names if not any(not isinstance(i, Keep) and i.dim == d for i in items)]
    items += [For(d, 0) for d in missing]
    return Schedule(tuple(random_steps(random, nest, items)))


def random_steps(random: Random, nest: Nest, items: list[Item]) -> list[Item]:
    """Give every loop a step no larger than the one before; the last of a dim gets 1."""
    last = {item.dim: position for position, item in enumerate(items) if not isinstance(item, Keep)}
    extent = dict(nest.bounds)
    result = []
    for position, item in enumerate(items):
        if not isinstance(item, Keep):
            step = 1 if last[item.dim] == position else random.randint(1, extent[item.dim])
            extent[item.dim] = step
            item = For(item.dim, step) if isinstance(item, For) else Par(item.dim, step, item.level, item.axis)
        result.append(item)
    return result


def mesh_sizes(nest: Nest, schedule: Schedule) -> dict[tuple[str, str], int]:
    """How many instances the pars of each axis need."""
    sizes: dict[tuple[str, str], int] = {}
    for _, loop, extent in schedule.loops(nest):
        if isinstance(loop, Par):
            sizes[loop.level, loop.axis] = sizes.get((loop.level, loop.axis), 1) * trips(extent, loop.step)
    return sizes


def random_target(
    random: Random, nest: Nest, schedule: Schedule, levels: list[str], meshes: dict[str, list[str]]
) -> Target:
    """A target on which the schedule is legal."""
    sizes = mesh_sizes(nest, schedule)
    reduced = {(i.level, i.axis) for i in schedule.items if isinstance(i, Par) and i.dim in nest.reduction_dims}
    chain = []
    for position, level in enumerate(levels):
        axes = tuple(
            MeshAxis(
                axis,
                sizes.get((level, axis), 1) + random.choice([0, 0, 1]),
                multicast=random.choice(["words", "words", "tiles", "none"]),
                reduce=(level, axis) in reduced or random.random() < 0.3,
            )
            for axis in meshes.get(level, [])
        )
        fanout = FanOut(f"A{position}", axes, Fraction(random.randint(0, 2))) if axes else None
        everything = ("I", "W", "O", "B")
        may = () if position == 0 else everything
        bank = Bank(
            everything if position == 0 else (), may, None if position == 0 else 10**9, Fraction(3), Fraction(4)
        )
        padding = random.choice(["free", "stored"])
        sliding = position > 0 and random.random() < 0.6
        chain.append(Level(level, (bank,), padding, False, sliding, fanout))
    return Target("random", 16, Fraction(100), tuple(chain), Mac(Fraction(1)), energy_unit="x")


def integers(random: Random, nest: Nest) -> dict[str, Any]:
    """Small integers, as float64: every sum is exact."""
    operands = [*nest.reads, *([nest.bias] if nest.bias else [])]
    generator = np.random.default_rng(random.randint(0, 2**31))
    return {o.name: generator.integers(-4, 5, o.shape).astype(np.float64) for o in operands}


def random_case(random: Random, macs: int = 600, instances: int = 12) -> Case:
    while True:
        nest = random_nest(random, macs)
        levels = ["DRAM", "L1", "L2", "L3"][: random.choice([2, 3, 3, 4])]
        meshes = {level: ["x", "y"][: random.choice([1, 2])] for level in levels if random.random() < 0.6}
        schedule = random_schedule(random, nest, levels, meshes)
        if prod(mesh_sizes(nest, schedule).values()) <= instances:
            target = random_target(random, nest, schedule, levels, meshes)
            return Case(nest, target, schedule, integers(random, nest))


def reference(case: Case) -> Any:
    """The output, by definition: a loop over the reduction of gathered operands."""
    nest = case.nest
    grid = dict(zip(nest.bounds, np.indices(list(nest.bounds.values())).reshape(len(nest.bounds), -1)))
    value = np.ones(nest.macs)
    for operand in nest.reads:
        index = [sum((c * grid[d] for c, d in a.terms), a.offset + 0 * value.astype(int)) for a in operand.axes]
        inside = np.logical_and.reduce([(i >= 0) & (i < a.size) for i, a in zip(index, operand.axes)])
        clipped = tuple(np.clip(i, 0, a.size - 1) for i, a in zip(index, operand.axes))
        value = value * np.where(inside, case.arrays[operand.name][clipped], 0)
    output = np.zeros(nest.output.shape)
    index = tuple(sum((c * grid[d] for c, d in a.terms), a.offset) for a in nest.output.axes)
    np.add.at(output, index, value)
    if nest.bias:
        axes = [a.dims[0] for a in nest.output.axes]
        kept = [a.dims[0] for a in nest.bias.axes]
        shape = [nest.bounds[d] if d in kept else 1 for d in axes]
        output += case.arrays["B"].reshape(shape)
    return output
