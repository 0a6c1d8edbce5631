"""Brute force: every schedule of the map space of a nest on a target, with no pruning at all.

The space: any choice of levels where an operand may be bypassed; marks of one operand from outer to inner levels, those
of different operands interleaved freely; between two neighbouring marks or fan-outs at most one temporal loop per dim,
in any order; the pars of a fan-out together at any place, each dim at most once per axis; steps of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import chain, combinations, pairwise, permutations, product

from effc.compiler.cost import try_schedule
from effc.compiler.cost.counts import Counts, Model
from effc.compiler.cost.energy import hop_energy, operand_energy, outermost_bits
from effc.compiler.cost.legal import capacity_problems, mesh_problems
from effc.compiler.target.model import Target
from effc.ir.counters import Counters
from effc.ir.nest import Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips


@dataclass(frozen=True)
class _State:
    """A schedule half written: what is left to place, and the tile that is left of each dim."""

    marks: tuple[tuple[Keep, ...], ...]
    fanouts: tuple[int, ...]
    tiles: tuple[tuple[str, int], ...]
    used: frozenset[str]  # dims that have a temporal loop since the last mark or fan-out
    items: tuple[Item, ...]


def kept_levels(nest: Nest, target: Target) -> Iterator[tuple[tuple[Keep, ...], ...]]:
    """Every choice of the levels that keep each operand."""
    choices = []
    for operand in nest.operands:
        able = [level for level in target.levels[1:] if level.bank(operand) is not None]
        must = {level.name for level in able if level.keeps(operand)}
        subsets = chain.from_iterable(combinations(able, size) for size in range(len(able) + 1))
        kept = [[level.name for level in s] for s in subsets if must <= {level.name for level in s}]
        choices.append([tuple(Keep(operand, name) for name in names) for names in kept])
    yield from product(*choices)


def unrollings(target: Target, fanout: int, tiles: dict[str, int], perfect: bool) -> Iterator[tuple[Par, ...]]:
    """Every ordered choice of pars on the axes of one fan-out."""
    level = target.levels[fanout]
    assert level.fanout is not None
    places = [(dim, axis) for axis in level.fanout.axes for dim, tile in tiles.items() if tile > 1]
    for size in range(len(places) + 1):
        for chosen in permutations(places, size):
            yield from _stepped(level.name, chosen, tiles, perfect)


def _stepped(
    level: str, places: tuple[tuple[str, object], ...], tiles: dict[str, int], perfect: bool
) -> Iterator[tuple[Par, ...]]:
    if not places:
        yield ()
        return
    (dim, axis), rest = places[0], places[1:]
    for step in range(1, tiles[dim]):
        if not perfect or tiles[dim] % step == 0:
            for more in _stepped(level, rest, {**tiles, dim: step}, perfect):
                yield (Par(dim, step, level, axis.name), *more)  # type: ignore[attr-defined]


def schedules(nest: Nest, target: Target, perfect: bool = False) -> Iterator[Schedule]:
    """Every schedule of the space; ``perfect`` keeps only steps that divide."""
    fanouts = tuple(i for i, level in enumerate(target.levels) if level.fanout is not None)
    for marks in kept_levels(nest, target):
        yield from _complete(_State(marks, fanouts, tuple(nest.bounds.items()), frozenset(), ()), target, perfect)


def _complete(state: _State, target: Target, perfect: bool) -> Iterator[Schedule]:
    tiles = dict(state.tiles)
    if not any(state.marks) and not state.fanouts and all(tile == 1 for tile in tiles.values()):
        yield Schedule(state.items)
        return
    for number, queue in enumerate(state.marks):
        if queue:
            marks = (*state.marks[:number], queue[1:], *state.marks[number + 1 :])
            yield from _complete(
                replace(state, marks=marks, used=frozenset(), items=(*state.items, queue[0])), target, perfect
            )
    for fanout in state.fanouts:
        left = tuple(f for f in state.fanouts if f != fanout)
        for pars in unrollings(target, fanout, tiles, perfect):
            after = tuple({**tiles, **{par.dim: par.step for par in pars}}.items())
            now = replace(state, fanouts=left, used=frozenset(), tiles=after, items=(*state.items, *pars))
            yield from _complete(now, target, perfect)
    for dim, tile in tiles.items():
        for step in range(1, tile) if dim not in state.used else ():
            if not perfect or trips(tile, step) * step == tile:
                after = tuple({**tiles, dim: step}.items())
                now = replace(state, tiles=after, used=state.used | {dim}, items=(*state.items, For(dim, step)))
                yield from _complete(now, target, perfect)


def space(nest: Nest, target: Target, perfect: bool = False) -> int:
    """The number of schedules, without writing them down."""
    fanouts = tuple(i for i, level in enumerate(target.levels) if level.fanout is not None)

    @cache
    def count(marks: tuple[int, ...], fanouts: tuple[int, ...], tiles: tuple[tuple[str, int], ...], used: str) -> int:
        total = int(not any(marks) and not fanouts and all(tile == 1 for _, tile in tiles))
        for i, left in enumerate(marks):
            total += count((*marks[:i], left - 1, *marks[i + 1 :]), fanouts, tiles, "") if left else 0
        for fanout in fanouts:
            for after, ways in unrolled(fanout, tiles):
                total += ways * count(marks, tuple(f for f in fanouts if f != fanout), after, "")
        for dim, tile in tiles:
            for step in range(1, tile) if dim not in used else ():
                if not perfect or tile % step == 0:
                    after = tuple({**dict(tiles), dim: step}.items())
                    total += count(marks, fanouts, after, "".join(sorted(used + dim)))
        return total

    @cache
    def unrolled(fanout: int, tiles: tuple[tuple[str, int], ...]) -> list[tuple[tuple[tuple[str, int], ...], int]]:
        after = [
            tuple({**dict(tiles), **{par.dim: par.step for par in pars}}.items())
            for pars in unrollings(target, fanout, dict(tiles), perfect)
        ]
        return list(Counter(after).items())

    return sum(
        count(tuple(len(queue) for queue in marks), fanouts, tuple(nest.bounds.items()), "")
        for marks in kept_levels(nest, target)
    )


@dataclass(frozen=True)
class _Share:
    """What one operand adds to the cost of a schedule, energy or bits at the outermost level; its largest tiles."""

    cost: Fraction
    tiles: tuple[tuple[tuple[str, str], int], ...]


class Costs:
    """The cost model on schedules of one nest on one target.

    Without limited bandwidths a cost is a sum over operands, and what an operand adds depends on the loops and its own
    marks only: both are remembered, so that a schedule costs a few look-ups.
    """

    def __init__(self, nest: Nest, target: Target, objective: str) -> None:
        self.nest, self.target, self.objective = nest, target, objective
        self.shares: dict[tuple[str, tuple[Item, ...]], _Share] = {}
        self.meshes: dict[tuple[Item, ...], int | None] = {}
        self.fitting: dict[tuple[object, ...], bool] = {}

    def value(self, schedule: Schedule) -> Fraction | None:
        """What the schedule costs; None if it is not legal."""
        if self.target.bandwidths:
            found = try_schedule(self.nest, schedule, self.target)
            return None if isinstance(found, list) else found.value(self.objective)
        loops = tuple(item for item in schedule.items if not isinstance(item, Keep))
        if loops not in self.meshes:
            self.meshes[loops] = self.cycles(schedule)
        cycles = self.meshes[loops]
        if cycles is None:
            return None
        shares = [self.share(name, schedule) for name in self.nest.operands]
        tiles = tuple(share.tiles for share in shares)
        if tiles not in self.fitting:
            counts = Counts(Counters(), (), {key: words for each in tiles for key, words in each})
            self.fitting[tiles] = not capacity_problems(self.target, counts.tiles)
        return self.total(cycles, shares) if self.fitting[tiles] else None

    def cycles(self, schedule: Schedule) -> int | None:
        """Executed iterations; None if the pars are not legal."""
        if mesh_problems(self.nest, schedule, self.target):
            return None
        return Model(self.nest, schedule, self.target).events(len(schedule.items))

    def share(self, name: str, schedule: Schedule) -> _Share:
        """What one operand adds."""
        items = tuple(item for item in schedule.items if not isinstance(item, Keep) or item.operand == name)
        if (name, items) not in self.shares:
            counts = _Part(self.nest, Schedule(items), self.target, name).run()
            self.shares[name, items] = _Share(self.cost(name, counts.counters), tuple(counts.tiles.items()))
        return self.shares[name, items]

    def cost(self, name: str, counters: Counters) -> Fraction:
        """What the accesses to one operand and its hops cost, if they cost anything."""
        if self.objective == "latency":
            return Fraction(0)
        if self.objective == "dram":
            return outermost_bits(self.target, counters)
        levels = list(enumerate(self.target.levels))
        hops = (hop_energy(self.target, counters, at, name) for at, level in levels if level.fanout)
        accesses = (operand_energy(self.target, counters, at, name) for at, level in levels if level.bank(name))
        return sum(chain(hops, accesses), Fraction(0))

    def total(self, cycles: int, shares: list[_Share]) -> Fraction:
        if self.objective == "latency":
            return Fraction(cycles)
        cost = sum((share.cost for share in shares), Fraction(0))
        if self.objective == "dram":
            return cost / self.target.word_bits
        energy = cost + self.target.mac.energy * self.nest.macs + self.target.leakage * cycles
        return energy * cycles if self.objective == "edp" else energy


class _Part(Model):
    """The counts of one operand alone."""

    def __init__(self, nest: Nest, schedule: Schedule, target: Target, name: str) -> None:
        super().__init__(nest, schedule, target)
        self.name = name

    def run(self) -> Counts:
        counters = Counters()
        operand = self.nest.operands[self.name]
        chain = self.residences(operand)
        tiles = {(self.target.levels[r.level].name, self.name): self.tile(r) for r in chain[1:]}
        if operand is self.nest.output:
            transfers = self.count_output(chain, counters)
        elif operand is self.nest.bias:
            transfers = [self.count_fill(p, c, counters) for p, c in pairwise(chain)]
            transfers.append(self.count_bias(chain[-1], counters))
        else:
            transfers = [self.count_fill(p, c, counters) for p, c in zip(chain, [*chain[1:], self.macs(operand)])]
        return Counts(counters, tuple(transfers), tiles)


def optimum(nest: Nest, target: Target, objective: str, perfect: bool = False) -> tuple[Fraction | None, int]:
    """The least value of a legal schedule (None if there is none), and the number of schedules."""
    costs, best, number = Costs(nest, target, objective), None, 0
    for schedule in schedules(nest, target, perfect):
        number += 1
        value = costs.value(schedule)
        if value is not None and (best is None or value < best):
            best = value
    return best, number
