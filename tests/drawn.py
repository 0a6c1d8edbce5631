"""Random nests and targets whose whole space is small enough for brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

from effc.compiler.search.constraint_text import parse_constraints
from effc.compiler.search.constraints import DATAFLOWS, Rules
from effc.compiler.target.model import Bank, FanOut, Level, Link, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.nest import Nest

GEMMS = [(2, 2, 2), (4, 2, 1), (2, 4, 1), (1, 2, 4), (4, 1, 2), (3, 2, 1), (6, 1, 1), (2, 1, 3), (2, 3, 1), (1, 8, 1)]
PLAIN = [*GEMMS, (5, 2, 1), (7, 1, 1), (5, 1, 2), (3, 3, 1), (1, 10, 1), (1, 11, 1), (11, 1, 1), (10, 1, 2), (1, 2, 6)]
WINDOWS = [(4, 2), (2, 2), (3, 2), (2, 3), (3, 3), (4, 3), (6, 2), (2, 4), (5, 2), (4, 4), (3, 1)]
PADDED = [(4, 2), (5, 2), (6, 2), (3, 3), (4, 3), (5, 3), (6, 3), (7, 3), (2, 3), (3, 2), (4, 4), (3, 5), (7, 1)]
CHANNELS = [(1, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (3, 1, 1)]
UNROLL = [None, None, ("K", "P", "C", "Q"), ("K", "R")]


def random_nest(random: Random) -> Nest:
    """A matrix product, or a convolution along one axis."""
    pick = random.choice
    if random.random() < 0.35:
        return nests.gemm(*pick(GEMMS), bias=False)
    return window_nest(random)


def window_nest(random: Random) -> Nest:
    """A convolution along one axis: overlapping windows or gaps between them, padding, dilation, groups."""
    pick = random.choice
    (p, r), (k, c, n) = pick(WINDOWS), pick(CHANNELS)
    pad, groups = pick([0, 0, 0, 1]), 1
    stride, dilation = pick([1, 1, 1, 2, 3]), pick([1, 1, 1, 2])
    if p * r < 9 and random.random() < 0.15:
        k = c = groups = 2
        n = 1
    return nests.conv1d(
        n=n, k=k, c=c, p=p, r=r, stride=stride, dilation=dilation, pad=(pad, pick([0, pad])), groups=groups
    )


def padded_nest(random: Random) -> Nest:
    """A convolution along one axis that reaches into padding, by more than a window at times."""
    pick = random.choice
    while True:
        (p, r), (k, c, n) = pick(PADDED), pick(CHANNELS)
        stride, dilation = pick([1, 1, 1, 2, 3]), pick([1, 1, 1, 1, 2])
        pad = (pick([0, 1, 1, 2, 3]), pick([0, 1, 1, 2]))
        if stride * (p - 1) + dilation * (r - 1) >= sum(pad):  # the ifmap has a word
            return nests.conv1d(n=n, k=k, c=c, p=p, r=r, stride=stride, dilation=dilation, pad=pad)


def plain_nest(random: Random) -> Nest:
    """A matrix product, or a convolution of 1 x 1 with a stride, in groups or depthwise: no index is shared."""
    pick = random.choice
    if random.random() < 0.7:
        return nests.gemm(*pick(PLAIN), bias=random.random() < 0.1)
    groups = pick([1, 1, 2, 3])
    k, c = pick([(1, 1), (2, 1), (1, 2)]) if groups == 1 else (groups, groups)
    return nests.conv2d(
        n=pick([1, 1, 2]), k=k, c=c, p=pick([1, 2, 3, 5]), q=1, r=1, s=1, stride=pick([1, 2]), groups=groups
    )


def random_fanout(random: Random, name: str) -> FanOut:
    pick = random.choice
    axes = tuple(
        MeshAxis(
            axis, pick([2, 2, 3, 4]), pick(UNROLL), pick(["words", "words", "none", "tiles"]), random.random() < 0.7
        )
        for axis in "xy"[: pick([1, 1, 2])]
    )
    return FanOut(name, axes, Fraction(random.randint(0, 2)))


def random_bank(random: Random, keeps: list[str], may: list[str], words: list[int], scale: int) -> Bank:
    read, write = (Fraction(random.choice([1, 2, 3, 6]) * scale) for _ in range(2))
    return Bank(tuple(keeps), tuple(may), 16 * random.choice(words), read, write)


def random_target(random: Random, sliding: bool) -> Target:
    """Two or three levels with one to three marks in all."""
    pick, size = random.choice, random.choice([2, 2, 2, 3])
    fanout = pick([None, 0, 1, size - 1])
    spots = [(i, operand) for i in range(1, size) for operand in "IWO"]
    random.shuffle(spots)
    spots = spots[: pick([1, 2, 2, 3])]
    levels = []
    for i in range(size):
        mesh = random_fanout(random, f"A{i}") if fanout == i or random.random() < 0.1 else None
        mine = [operand for level, operand in spots if level == i]
        keeps = [operand for operand in mine if random.random() < 0.7]
        may = [operand for operand in mine if operand not in keeps]
        scale = 20 if i == 0 else 4 if i == size - 2 else 1
        if i == 0:
            banks = (replace(random_bank(random, ["I", "W", "O", "B"], [], [1], scale), bits=None),)
        elif random.random() < 0.5:
            banks = (random_bank(random, keeps, may, [3, 4, 6, 8, 12], scale),)
        else:
            banks = tuple(
                random_bank(random, [o] if o in keeps else [], [o] if o in may else [], [1, 2, 3, 4, 6, 8], scale)
                for o in mine
            )
        slides = sliding and i > 0 and random.random() < 0.6
        levels.append(Level(f"L{i}", banks, pick(["free", "stored"]), random.random() < 0.1, slides, mesh))
    return Target("random", 16, Fraction(1), tuple(levels), Mac(Fraction(1)), energy_unit="x")


def limited(random: Random, target: Target) -> Target:
    """The target with ports and networks of limited bandwidth, and leakage."""

    def rate() -> Fraction | None:
        return random.choice([None, Fraction(4), Fraction(8), Fraction(16), Fraction(64)])

    levels = []
    for level in target.levels:
        banks = tuple(
            replace(bank, read_bandwidth=rate(), write_bandwidth=rate(), shared_port=random.random() < 0.3)
            for bank in level.banks
        )
        mesh = level.fanout
        if mesh is not None and random.random() < 0.5:
            operand = random.choice("IWO")
            mesh = replace(mesh, links=(Link((operand,), rate(), rate(), random.random() < 0.3),))
        buffets = tuple(operand for operand in "IWO" if random.random() < 0.3)
        levels.append(replace(level, banks=banks, fanout=mesh, buffets=buffets))
    return replace(target, levels=tuple(levels), leakage=Fraction(random.choice([0, 1, 5])))


def random_rules(random: Random, nest: Nest, target: Target) -> Rules:
    """One or two constraints, which the target may refuse."""
    texts = [f"dataflow {name}" for name in DATAFLOWS]
    texts += [f"unroll {random.choice(list(nest.bounds))} @ {target.levels[i].name}.{a.name}" for i, a in target.axes()]
    texts += [
        f"bypass {operand} @ {level.name}"
        for level in target.levels[1:]
        for bank in level.banks
        for operand in bank.may_keep
    ]
    texts += [f"...\nfor {random.choice(list(nest.bounds))} by ...\n..."]
    return parse_constraints("\n".join(random.sample(texts, random.choice([1, 1, 2])))).of("nest")


@dataclass(frozen=True)
class Question:
    """What a search is asked."""

    seed: int
    nest: Nest
    target: Target
    objective: str
    perfect: bool = False
    rules: Rules = ()


def without_windows(seed: int) -> Question:
    random = Random(seed)
    objective = random.choice(["energy", "energy", "dram", "latency", "edp"])
    return Question(seed, plain_nest(random), random_target(random, sliding=True), objective)


def with_windows(seed: int) -> Question:
    random = Random(seed)
    objective = random.choice(["energy", "energy", "dram", "latency", "edp"])
    return Question(seed, window_nest(random), random_target(random, sliding=True), objective)


def with_padding(seed: int) -> Question:
    random = Random(seed)
    nest, target = padded_nest(random), random_target(random, sliding=True)
    if random.random() < 0.6:
        target = replace(target, levels=tuple(replace(level, padding="free") for level in target.levels))
    return Question(seed, nest, target, random.choice(["energy", "energy", "dram"]))


def with_bandwidths(seed: int) -> Question:
    random = Random(seed)
    target = limited(random, random_target(random, sliding=True))
    nest = padded_nest(random) if random.random() < 0.3 else random_nest(random)
    return Question(seed, nest, target, random.choice(["energy", "latency", "edp"]))


def with_constraints(seed: int) -> Question:
    random = Random(seed)
    nest, target = random_nest(random), random_target(random, sliding=True)
    return Question(
        seed, nest, target, random.choice(["energy", "dram", "latency"]), rules=random_rules(random, nest, target)
    )


def with_room_for_bias(random: Random, target: Target) -> Target:
    """The target with a bias in some banks."""
    levels = []
    for at, level in enumerate(target.levels):
        banks = list(level.banks)
        if at and banks and random.random() < 0.6:
            banks[0] = replace(banks[0], may_keep=(*banks[0].may_keep, "B"))
        levels.append(replace(level, banks=tuple(banks)))
    return replace(target, levels=tuple(levels))


def that_divide_with_bandwidths(seed: int) -> Question:
    random = Random(seed)
    target = limited(random, random_target(random, sliding=False))
    nest = nests.gemm(*random.choice(GEMMS), bias=True) if random.random() < 0.3 else random_nest(random)
    if nest.bias is not None:
        target = with_room_for_bias(random, target)
    return Question(seed, nest, target, random.choice(["energy", "energy", "latency", "edp"]), perfect=True)


def that_divide(seed: int) -> Question:
    random = Random(seed)
    objective = random.choice(["energy", "energy", "dram", "latency", "edp"])
    return Question(seed, random_nest(random), random_target(random, sliding=False), objective, perfect=True)


def of_square_images(seed: int) -> Question:
    """Height and width are alike, so that their groups have the same tables."""
    random = Random(seed)
    pick = random.choice
    (size, window), (k, c, n) = pick([(2, 1), (2, 2), (3, 1), (4, 1), (6, 1)]), pick(CHANNELS)
    nest = nests.conv2d(n=n, k=k, c=c, p=size, q=size, r=window, s=window, stride=pick([1, 1, 2]))
    return Question(seed, nest, random_target(random, sliding=False), pick(["energy", "dram", "edp"]), perfect=True)


def of_square_images_and_others(seed: int) -> Question:
    """Height and width are alike but for strides and padding at times, and for what meshes allow."""
    random = Random(seed)
    pick = random.choice
    (size, window), (k, c, n) = pick([(2, 2), (2, 2), (3, 1), (3, 2), (2, 3)]), pick(CHANNELS)
    stride, pad = pick([1, 1, 1, 2, (1, 2), (2, 1)]), pick([0, 0, 0, 1, (1, 0, 0, 0), (0, 0, 0, 1)])
    if size + 2 > window > 1 == size - 1 and pad == 1:
        pad = 0
    nest = nests.conv2d(n=n, k=k, c=c, p=size, q=size, r=window, s=window, stride=stride, pad=pad)
    target = random_target(random, sliding=True)
    if random.random() < 0.2:
        target = limited(random, target)
    return Question(seed, nest, target, pick(["energy", "energy", "dram", "edp", "latency"]))


def that_share_tiles(seed: int) -> Question:
    """Windows over a fan-out whose instances share identical tiles."""
    random = Random(seed)
    objective = random.choice(["energy", "energy", "dram", "edp"])
    nest = padded_nest(random) if random.random() < 0.3 else window_nest(random)
    target = random_target(random, sliding=False)
    axes = tuple(MeshAxis(axis, random.choice([2, 3, 4]), None, "tiles") for axis in "xy"[: random.choice([1, 2, 2])])
    at, fanout = random.randrange(len(target.levels)), FanOut("A", axes, Fraction(random.randint(0, 2)))
    levels = tuple(replace(level, fanout=fanout if i == at else None) for i, level in enumerate(target.levels))
    return Question(seed, nest, replace(target, levels=levels), objective, perfect=True)


Draw = Callable[[int], Question]
