"""The counts of `docs/semantics.md`, predicted: products of the factors of `factors.py`, exact integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Literal

from effc.compiler.cost.factors import (
    EVENTS,
    ONE,
    ZERO,
    AxisUse,
    Chain,
    Factor,
    Use,
    irrelevant,
    largest,
    relevant,
    valid,
)
from effc.compiler.target.model import Target
from effc.ir.counters import Counters
from effc.ir.nest import Nest, Operand
from effc.ir.schedule import For, Par, Schedule, trips

MULTICAST = {"none": Use.SERIAL, "tiles": Use.TILES, "words": Use.WORDS}


@dataclass(frozen=True, slots=True)
class Residence:
    """An operand at a level: positions in the target's chain, and in the schedule of its mark and of its fill."""

    operand: Operand
    level: int
    mark: int
    fill: int  # of the innermost relevant loop outside the mark; -1: before everything

    @property
    def order(self) -> tuple[int, int, int]:
        """Tiles are handed over in this order: of those that change in one loop, those of outer levels first."""
        return self.fill, self.level, self.mark


@dataclass(frozen=True, slots=True)
class Crossing:
    """Words of a transfer that enter or leave the fan-out below one instance of a level, of the busiest instance."""

    level: int
    words: int  # of all events
    first: int  # of the first


@dataclass(frozen=True, slots=True)
class Transfer:
    """Words that move between two neighbouring residences of an operand; ``child`` is ``len(levels)`` for the MACs."""

    operand: str
    parent: int
    child: int
    kind: Literal["fill", "return", "drain", "update"]
    words: Factor  # of all events
    first: Factor  # of the first event; its tiles are full
    crossings: tuple[Crossing, ...] = ()  # where a network or a FIFO on the way is limited, from outer to inner levels
    fill: int = -1  # the position in the schedule of its innermost loop
    events: int = 1  # how often it takes place
    phases: int = 1  # how often its first tile has to be waited for


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What the vector unit does to the finished words of the output: their number, the words that it reads besides, and
    the results that it makes.
    """

    finished: int
    words: int
    results: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Predicted counters, the transfers they come from, and the words of the largest tile of (level, operand)."""

    counters: Counters
    transfers: tuple[Transfer, ...]
    tiles: dict[tuple[str, str], int] = field(default_factory=dict)
    epilogue: Epilogue | None = None


class Model:
    """The counts of one schedule of a nest on a target; both must be legal."""

    def __init__(self, nest: Nest, schedule: Schedule, target: Target) -> None:
        self.nest, self.schedule, self.target = nest, schedule, target
        self.bottom = len(target.levels)
        self.loops = list(schedule.loops(nest))
        self.time = [(p, loop.dim) for p, loop, n in self.loops if isinstance(loop, For) and trips(n, loop.step) > 1]
        self.active = {position for position, _ in self.time}
        self.stops = [
            residence
            for operand in nest.operands.values()
            for residence in self.residences(operand)[1:]
            if not target.levels[residence.level].overlaps(operand.name)
        ]
        self.axes = {
            (level.name, axis.name): axis for level in target.levels if level.fanout for axis in level.fanout.axes
        }

    def residences(self, operand: Operand) -> list[Residence]:
        """Where ``operand`` is kept, outermost first."""
        result = [Residence(operand, 0, -1, -1)]
        for mark, level in self.schedule.keeps(operand.name):
            fill = max((p for p, dim in self.time if p < mark and dim in operand.dims), default=-1)
            result.append(Residence(operand, self.target.index[level], mark, fill))
        return result

    def times(self, residence: Residence) -> tuple[int, int, int]:
        """The position of the fills of a residence; how many there are; and how many of them have to be waited for,
        since a transfer further out stopped the work.
        """
        stops = [stop.fill for stop in self.stops if stop.order < residence.order]
        return residence.fill, self.events(residence.fill), self.events(max(stops, default=-1))

    def crossings(self, parent: int, child: Residence, padding: bool, kept: bool = False) -> tuple[Crossing, ...]:
        """The words between a parent and a child level at every limited network on their way.

        ``kept``: without the words of the output that start from zero.
        """
        found = []
        for level in self.limited(child.operand.name, parent, child.level):
            words = self.factor(child.operand, self.chains(level, child), padding).busiest_reads
            first = self.factor(child.operand, self.chains(level, child, first=True), padding).busiest_reads
            zero = self.own_words(level, child).busiest_reads if kept else 0
            found.append(Crossing(level, words - zero, 0 if kept else first))
        return tuple(found)

    def limited(self, operand: str, parent: int, child: int) -> list[int]:
        """The levels from ``parent`` down to above ``child`` with a network or a FIFO for ``operand``."""
        return [
            i
            for i, level in enumerate(self.target.levels[:child])
            if i >= parent and ((level.fanout and level.fanout.link(operand)) or level.prefetched(operand))
        ]

    def macs(self, operand: Operand) -> Residence:
        """The MACs as the innermost residence."""
        end = len(self.schedule.items)
        return Residence(operand, self.bottom, end, end)

    def swept(self, child: Residence) -> frozenset[int]:
        """The positions of the loops whose steps are sweep steps: the run of one dim just outside the fill."""
        if child.level == self.bottom or not self.target.levels[child.level].sliding:
            return frozenset()
        outside = [(p, dim) for p, dim in self.time if p <= child.fill]
        run = []
        while outside and outside[-1][1] == self.time_dim(child.fill):
            run.append(outside.pop()[0])
        return frozenset(run)

    def time_dim(self, position: int) -> str:
        return next(dim for p, dim in self.time if p == position)

    def chains(self, parent: int, child: Residence, first: bool = False) -> dict[str, Chain]:
        """The chain of each dim, with what every digit is to the transfer (to its first event only, if asked)."""
        swept = self.swept(child)
        output = child.operand is self.nest.output
        result: dict[str, tuple[tuple[int, Use], ...]] = {dim.name: () for dim in self.nest.dims}
        for position, loop, _ in self.loops:
            use = self.use(position, loop, parent, child, swept, output)
            if first and use in EVENTS:
                use = Use.ZERO
            result[loop.dim] += ((loop.step, use),)
        return result

    def use(
        self, position: int, loop: For | Par, parent: int, child: Residence, swept: frozenset[int], output: bool
    ) -> Use:
        if isinstance(loop, Par):
            level = self.target.index[loop.level]
            if level >= child.level:
                return Use.FREE
            if level < parent:
                return Use.ABOVE
            return Use.WORDS if output else MULTICAST[self.axes[loop.level, loop.axis].multicast]
        if position > child.mark:
            return Use.FREE
        if position in swept:
            return Use.SWEEP
        return Use.TIME if position <= child.fill and position in self.active else Use.ZERO

    def axis_uses(self, operand: Operand, chains: dict[str, Chain], padding: bool) -> Iterator[AxisUse]:
        for axis in operand.axes:
            dims = tuple((c, self.nest.bounds[dim], chains[dim]) for c, dim in axis.terms)
            yield AxisUse(dims, axis.offset, axis.size, padding)

    def factor(self, operand: Operand, chains: dict[str, Chain], padding: bool) -> Factor:
        """The words of a transfer."""
        factor = ONE
        for axis in self.axis_uses(operand, chains, padding):
            factor *= relevant(axis)
        for dim, chain in chains.items():
            if dim not in operand.dims:
                factor *= irrelevant(self.nest.bounds[dim], chain)
        return factor

    def stored(self, level: int) -> bool:
        return level < self.bottom and self.target.levels[level].padding == "stored"

    def fill(self, parent: Residence, child: Residence) -> Transfer:
        """A read operand moves from its parent to a child level, or to the MACs."""
        padding = self.stored(parent.level) and (child.level == self.bottom or self.stored(child.level))
        words = self.factor(child.operand, self.chains(parent.level, child), padding)
        first = self.factor(child.operand, self.chains(parent.level, child, first=True), padding)
        crossings = self.crossings(parent.level, child, padding)
        return Transfer(
            child.operand.name, parent.level, child.level, "fill", words, first, crossings, *self.times(child)
        )

    def psums(self, parent: Residence, child: Residence, zero: Factor) -> tuple[Transfer, Transfer, Factor]:
        """The output leaves a child level and returns to it.

        ``zero``: the words that start from zero at the parent, all and of its first instance, in ``writes``. Returns
        the drain, the return, and the same for the child.
        """
        name = self.nest.output.name
        drain = self.factor(child.operand, self.chains(parent.level, child), False)
        first = self.factor(child.operand, self.chains(parent.level, child, first=True), False)
        own = self.own_words(parent.level, child)
        back = Factor(
            drain.reads - zero.writes,
            drain.busiest_writes - own.busiest_writes,
            drain.reads - zero.writes,
            drain.busiest_reads - own.busiest_reads,
        )
        from_zero = Factor(drain.writes - back.writes, own.busiest_writes, 0, 0)
        ends, times = (name, parent.level, child.level), self.times(child)
        out = self.crossings(parent.level, child, False)
        into = self.crossings(parent.level, child, False, kept=True)
        return (
            Transfer(*ends, "drain", drain, first, out, *times),
            Transfer(*ends, "return", back, ZERO, into, *times),
            from_zero,
        )

    def own_words(self, parent: int, child: Residence) -> Factor:
        """The output words that belong to an instance in the whole run, each counted once."""
        chains = self.chains(parent, child)
        factor = ONE
        for axis in self.axis_uses(child.operand, chains, False):
            factor *= relevant(axis)
        return factor

    def tile(self, residence: Residence) -> int:
        """The largest tile of one instance, in words."""
        chains = self.chains(0, residence)
        return prod(largest(axis) for axis in self.axis_uses(residence.operand, chains, self.stored(residence.level)))

    def tiles(self) -> dict[tuple[str, str], int]:
        """The words of the largest tile by level and operand."""
        residences = [r for operand in self.nest.operands.values() for r in self.residences(operand)[1:]]
        return {(self.target.levels[r.level].name, r.operand.name): self.tile(r) for r in residences}

    def events(self, last: int, of: Operand | None = None) -> int:
        """Executed iterations of the temporal loops up to the position ``last`` of the schedule; of an operand: of
        those of its dims, the others being at their first step.
        """
        chains: dict[str, Chain] = {dim.name: () for dim in self.nest.dims}
        for position, loop, _ in self.loops:
            counted = position <= last and position in self.active and (of is None or loop.dim in of.dims)
            chains[loop.dim] += ((loop.step, Use.TIME if counted else Use.ZERO),)
        return prod(valid(self.nest.bounds[dim], chain, EVENTS) for dim, chain in chains.items())

    def run(self) -> Counts:
        counters = Counters(macs=self.nest.macs, cycles=self.events(len(self.schedule.items)))
        transfers: list[Transfer] = []
        for operand in self.nest.operands.values():
            chain = self.residences(operand)
            if operand is self.nest.output:
                transfers += self.count_output(chain, counters)
            elif operand is self.nest.bias:
                transfers += [self.count_fill(p, c, counters) for p, c in pairwise(chain)]
                transfers.append(self.count_bias(chain[-1], counters))
            else:
                transfers += [self.count_fill(p, c, counters) for p, c in zip(chain, [*chain[1:], self.macs(operand)])]
        return Counts(counters, tuple(transfers), self.tiles())

    def count_fill(self, parent: Residence, child: Residence, counters: Counters) -> Transfer:
        transfer = self.fill(parent, child)
        counters.read(self.target.levels[parent.level].name, transfer.operand, transfer.words.reads)
        if child.level < self.bottom:
            counters.write(self.target.levels[child.level].name, transfer.operand, transfer.words.writes)
        self.count_hops(parent.level, child.level, transfer.operand, transfer.words.writes, counters)
        return transfer

    def count_bias(self, residence: Residence, counters: Counters) -> Transfer:
        """The MACs read the bias once per output word."""
        words = prod(self.nest.bounds[dim] for dim in self.nest.output.dims)
        name = residence.operand.name
        counters.read(self.target.levels[residence.level].name, name, words)
        self.count_hops(residence.level, self.bottom, name, words, counters)
        macs = self.macs(self.nest.output)
        own = self.own_words(residence.level, macs).busiest_reads
        links = tuple(
            Crossing(i, self.own_words(i, macs).busiest_reads, 0)
            for i in self.limited(name, residence.level, self.bottom)
        )
        factor, events = Factor(words, own, words, own), self.events(len(self.schedule.items), self.nest.output)
        return Transfer(name, residence.level, self.bottom, "fill", factor, ZERO, links, macs.fill, events)

    def count_output(self, chain: list[Residence], counters: Counters) -> list[Transfer]:
        name = self.nest.output.name
        words = prod(self.nest.bounds[dim] for dim in self.nest.output.dims)
        zero = Factor(words, words, 0, 0)
        transfers = []
        for parent, child in pairwise(chain):
            drain, back, zero = self.psums(parent, child, zero)
            transfers += [drain, back]
            outer, inner = self.target.levels[parent.level].name, self.target.levels[child.level].name
            counters.read(inner, name, drain.words.writes)
            counters.write(outer, name, drain.words.reads)
            counters.read(outer, name, back.words.reads)
            counters.write(inner, name, back.words.writes)
            self.count_hops(parent.level, child.level, name, drain.words.writes + back.words.writes, counters)
        return [*transfers, self.count_updates(chain[-1], zero, counters)]

    def count_updates(self, residence: Residence, zero: Factor, counters: Counters) -> Transfer:
        """The MACs update the innermost residence of the output: a write each; a read, too, unless from zero."""
        output = self.nest.output
        arriving = self.factor(output, self.chains(residence.level, self.macs(output)), False)
        level = self.target.levels[residence.level].name
        read, busiest_read = arriving.reads - zero.writes, arriving.busiest_reads - zero.busiest_writes
        counters.write(level, output.name, arriving.reads)
        counters.read(level, output.name, read)
        self.count_hops(residence.level, self.bottom, output.name, self.nest.macs, counters)
        words = Factor(arriving.reads, arriving.busiest_reads, read, busiest_read)
        links = self.crossings(residence.level, self.macs(output), False)
        return Transfer(
            output.name, residence.level, self.bottom, "update", words, ZERO, links, len(self.schedule.items)
        )

    def count_hops(self, parent: int, child: int, operand: str, words: int, counters: Counters) -> None:
        for level in self.target.levels[parent:child]:
            if level.fanout is not None:
                counters.hop(level.name, operand, words)


def count(nest: Nest, schedule: Schedule, target: Target) -> Counts:
    """Predict every count of a legal schedule of ``nest`` on ``target``, in words, exactly."""
    return Model(nest, schedule, target).run()


def tiles(nest: Nest, schedule: Schedule, target: Target) -> dict[tuple[str, str], int]:
    """The words of the largest tile by level and operand, before anything is counted."""
    return Model(nest, schedule, target).tiles()
