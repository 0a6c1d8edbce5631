"""How well the dims of a nest fill the instances of a target: the fewest iterations that a schedule executes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from math import prod

from effc.compiler.search.problem import Unroll
from effc.compiler.search.windows import divisors
from effc.ir.nest import Nest
from effc.ir.schedule import trips

MOST = 400_000
"""Ways to share the instances out that are looked at."""

Shares = tuple[int, ...]
"""Trips on each axis."""


def fewest_iterations(nest: Nest, unrolls: Sequence[Unroll], divide: bool) -> int:
    """The fewest iterations of a schedule, whatever its memories are; of one whose steps ``divide``, if they must.

    A dim of bound D that has t trips on all axes together has at least D / t iterations, rounded up: its loops in time
    and on axes count D indices. Trips of several dims on one axis multiply. If there are too many ways to share the
    instances out, each of them counts as busy all the time.
    """
    sizes = tuple(unroll.size for unroll in unrolls)
    bounds = [(dim.bound, tuple(dim.name in u.dims for u in unrolls)) for dim in nest.dims if dim.bound > 1]
    return _fewest(tuple(sorted(bounds)), sizes, divide) or trips(nest.macs, prod(sizes))


@lru_cache(maxsize=1 << 10)
def _fewest(bounds: tuple[tuple[int, tuple[bool, ...]], ...], sizes: Shares, divide: bool) -> int | None:
    if prod(sizes) > MOST // 100:
        return None
    least: dict[Shares, int] = {(1,) * len(sizes): 1}  # by the trips taken on each axis
    looked = 0
    for bound, allowed in bounds:
        ways = list(_ways(bound, allowed, sizes, divide))
        looked += len(least) * len(ways)
        if looked > MOST:
            return None
        after: dict[Shares, int] = {}
        for taken, so_far in least.items():
            for share, iterations in ways:
                now = tuple(a * b for a, b in zip(taken, share))
                if all(a <= b for a, b in zip(now, sizes)):
                    after[now] = min(after.get(now, so_far * iterations), so_far * iterations)
        least = after
    return min(least.values())


def _ways(bound: int, allowed: tuple[bool, ...], sizes: Shares, divide: bool) -> Iterator[tuple[Shares, int]]:
    """Trips of a dim on each axis, and the iterations that are left; without those that take more for as many."""
    numbers = divisors(bound) if divide else range(1, bound + 1)
    choices = [[n for n in numbers if n <= size] if may else [1] for may, size in zip(allowed, sizes)]
    found: dict[Shares, int] = {}
    for share in product(*choices):
        if not divide or bound % prod(share) == 0:
            found[share] = trips(bound, prod(share))
    for share, iterations in found.items():
        fewer = ((*share[:i], n, *share[i + 1 :]) for i, most in enumerate(share) for n in choices[i] if n < most)
        if not any(found.get(other, iterations + 1) <= iterations for other in fewer):
            yield share, iterations
