"""Latency: the busiest of compute, ports and networks, and what cannot overlap; see `docs/semantics.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, groupby
from math import ceil, lcm

from effc.compiler.cost.counts import Counts, Crossing, Epilogue, Transfer
from effc.compiler.target.model import VECTOR, WAYS, Port, Target, Way
from effc.ir.counters import EPILOGUE_NAME
from effc.ir.nest import BIAS_NAME


@dataclass(frozen=True, slots=True)
class Latency:
    """Core cycles of a layer, and what bounds them: ``compute``, or a port or network by its name (`Port`)."""

    cycles: int
    bound_by: str
    ports: dict[str, Fraction]  # busy cycles of every port and network of limited bandwidth


@dataclass(frozen=True, slots=True)
class Load:
    """Busy cycles of a port or a network for a transfer: for all of it, and for its first event."""

    port: str
    level: int  # of the port, or above the network
    cycles: Fraction
    first: Fraction


def bank_loads(
    target: Target, level: int, operand: str, way: Way, words: int, first: int | Fraction = 0
) -> Iterator[Load]:
    """The port of an operand's bank, if its bandwidth is limited; all words take what they take on average."""
    bits = target.access_bits(level, operand, way, words) / words if words else Fraction(0)
    yield from _load(target.port(level, operand, way), bits, level, words, first)


def link_loads(target: Target, crossing: Crossing, operand: str, way: Way) -> Iterator[Load]:
    """The network of an operand below a level, if its bandwidth is limited."""
    port = target.network(crossing.level, operand, way)
    yield from _load(port, target.carried_bits(operand), crossing.level, crossing.words, crossing.first)


def _load(port: Port | None, bits: Fraction, level: int, words: int, first: int | Fraction) -> Iterator[Load]:
    if port is not None:
        cycles = bits / port.bandwidth
        yield Load(port.name, level, words * cycles, first * cycles)


def epilogue_loads(target: Target, epilogue: Epilogue, share: Fraction) -> Iterator[Load]:
    """The vector unit and the port it reads from; ``share``: of all finished words, how many one transfer brings."""
    if target.vector is not None:
        cycles = Fraction(epilogue.results, target.vector.lanes)
        yield Load(VECTOR, 0, cycles, cycles * share)
    yield from bank_loads(target, 0, EPILOGUE_NAME, "read", epilogue.words, epilogue.words * share)


def loads(target: Target, transfer: Transfer, epilogue: Epilogue | None = None) -> Iterator[Load]:
    """The limited ports and networks that a transfer passes, from outer to inner, each with its busiest instance."""
    words, first, operand = transfer.words, transfer.first, transfer.operand
    if epilogue is not None and not transfer.parent and transfer.kind in ("drain", "update"):
        yield from epilogue_loads(target, epilogue, Fraction(first.reads, epilogue.finished))
    outer, inner = WAYS[transfer.kind in ("fill", "return")]
    if transfer.kind == "update":
        yield from bank_loads(target, transfer.parent, operand, "write", words.busiest_writes)
        yield from bank_loads(target, transfer.parent, operand, "read", words.busiest_reads)
    else:
        yield from bank_loads(target, transfer.parent, operand, outer, words.busiest_reads, first.busiest_reads)
    for crossing in transfer.crossings:
        yield from link_loads(target, crossing, operand, outer)
    if transfer.child < len(target.levels):
        yield from bank_loads(target, transfer.child, operand, inner, words.busiest_writes, first.busiest_writes)


def each_port(loads: Iterable[Load]) -> list[Load]:
    """One load for each port: what an epilogue reads may pass the port that its results take."""
    found: dict[str, Load] = {}
    for load in loads:
        old = found.get(load.port)
        found[load.port] = (
            load if old is None else replace(load, cycles=old.cycles + load.cycles, first=old.first + load.first)
        )
    return list(found.values())


def busiest(loads: Iterable[Load], cycles: int) -> tuple[Fraction, str, dict[str, Fraction]]:
    """The longest of ``cycles`` of compute and what every port is busy for; its name; the busy cycles of all ports."""
    ports: dict[str, Fraction] = {}
    for load in loads:
        if load.cycles:
            ports[load.port] = ports.get(load.port, Fraction(0)) + load.cycles
    port = max(ports, key=lambda name: ports[name], default="")
    longest = ports.get(port, Fraction(0))
    return (longest, port, ports) if longest > cycles else (Fraction(cycles), "compute", ports)


@dataclass(frozen=True)
class Work:
    """A transfer as latency sees it: the busy cycles of its ports; and for how long the work inside it stops, or waits
    for its first or last tile, with the busy cycles of that time. Ports that are ``ahead`` go on meanwhile.
    """

    fill: int
    busy: dict[str, Fraction]
    stop: Fraction = Fraction(0)
    stopped: dict[str, Fraction] = field(default_factory=dict)
    ahead: frozenset[str] = frozenset()
    share: Fraction = Fraction(0)  # of compute, in the tiles that begin a phase or end it
    last: Fraction = Fraction(0)  # the same of the last one
    begins: str = ""  # the operand whose first tile is waited for, all further ones being fetched beforehand

    @classmethod
    def of(cls, target: Target, transfer: Transfer, passed: list[Load]) -> Work:
        """The work of a transfer that passes some ports."""
        busy = {load.port: load.cycles for load in passed}
        if transfer.child == len(target.levels) or not passed:
            return cls(transfer.fill, busy)
        if target.levels[transfer.child].overlaps(transfer.operand):
            waits = {load.port: min(transfer.phases * load.first, load.cycles) for load in passed}
            share = Fraction(transfer.phases, transfer.events)
            begins = transfer.operand if transfer.kind == "fill" else ""
            return cls(transfer.fill, busy, max(waits.values()), waits, share=share, begins=begins)
        level, share = _prefetched(target, transfer)
        later = {load.port: (load.cycles - load.first) * (1 - share * (load.level < level)) for load in passed}
        stopped = {load.port: load.first + later[load.port] for load in passed}
        stop = max(load.first for load in passed) + max(later.values())
        ahead = frozenset(load.port for load in passed if load.level < level)
        share, last = Fraction(transfer.phases, transfer.events), Fraction(1, transfer.events)
        return cls(transfer.fill, busy, stop, stopped, ahead, share, last)


def first_updates(target: Target, transfers: Iterable[Transfer], compute: int) -> Iterator[Work]:
    """The bias as the MACs read it. Where it takes longer than other iterations do, it stops them."""
    macs = [(each, each_port(loads(target, each))) for each in transfers if each.child == len(target.levels)]
    busy = (load.cycles for each, passed in macs for load in passed if each.operand != BIAS_NAME)
    pace = max(busy, default=Fraction(0)) / max(1, compute)
    for each, passed in macs:
        taken = {load.port: load.cycles for load in passed if each.operand == BIAS_NAME}
        stop = max(taken.values(), default=Fraction(0)) - each.events * max(pace, Fraction(1))
        if stop > 0:
            yield Work(each.fill, {}, stop, {port: min(stop, cycles) for port, cycles in taken.items()})


Busy = dict[str, int]
"""Ticks by port."""


@dataclass(frozen=True)
class Timed:
    """A work in ticks, of which a cycle has so many that all times of a layer are whole numbers."""

    fill: int
    busy: Busy
    stop: int
    stopped: Busy
    ahead: frozenset[str]
    share: Fraction
    last: Fraction
    begins: str


def in_ticks(works: list[Work]) -> tuple[int, list[Timed]]:
    """The works in ticks, and how many a cycle has."""
    times = [time for work in works for time in (work.stop, *work.busy.values(), *work.stopped.values())]
    ticks = lcm(*(time.denominator for time in times))

    def whole(time: Fraction) -> int:
        return time.numerator * (ticks // time.denominator)

    def each(times: dict[str, Fraction]) -> Busy:
        return {port: whole(time) for port, time in times.items()}

    return ticks, [
        Timed(w.fill, each(w.busy), whole(w.stop), each(w.stopped), w.ahead, w.share, w.last, w.begins) for w in works
    ]


class Inside:
    """What goes on inside the tiles of a fill position: of all ``works``, and of those that do not come beforehand."""

    def __init__(self, works: list[Timed], others: list[Timed], compute: int) -> None:
        self.all, self.longest = {}, {}
        for fill in {work.fill for work in works}:
            self.all[fill] = inside(fill, works)
            self.longest[fill] = max([compute, *inside(fill, others).values()])

    def alone(self, port: str, work: Timed) -> Fraction:
        """What goes on inside the tiles of a transfer that begin a phase or end it: compute, or the busiest port; less
        what keeps the port of the transfer busy meanwhile: in all tiles but the last also fills to come, where these
        wait in a FIFO.
        """
        if not work.busy.get(port):
            return Fraction(0)
        idle = max(self.longest[work.fill] - self.all[work.fill].get(port, 0), 0)
        if port not in work.ahead:
            return work.share * idle
        coming = work.busy[port] - work.stopped[port]
        return work.last * idle + (work.share - work.last) * max(idle - coming, 0)


def inside(fill: int, works: Iterable[Timed]) -> Busy:
    """The busy ticks of ports for what moves further in than a fill position."""
    found: Busy = {}
    for work in works:
        for port, busy in work.busy.items() if work.fill > fill else ():
            found[port] = found.get(port, 0) + busy
    return found


def beginning(works: Iterable[Timed]) -> int:
    """How long the first tiles of several operands take: each through its levels, one after another in each port."""
    times: dict[tuple[str, str], int] = {}
    for work in works:
        for key, time in (("operand", work.begins), work.stop), *((("port", p), t) for p, t in work.stopped.items()):
            times[key] = times.get(key, 0) + time
    return max(times.values(), default=0)


def begin_time(port: str, begins: list[Timed], fill: int) -> int | Fraction:
    """The ticks of a port for first tiles further out and for all tiles from a fill position inward, and those in
    which it waits for other first tiles. Two of each of its own tiles come meanwhile.
    """
    if not begins:
        return 0
    outer = [work for work in begins if work.fill <= fill]
    own = [(work, work.busy.get(port, 0)) for work in begins if work.fill >= fill]
    before = sum(work.stopped.get(port, 0) for work in outer if work.fill < fill)
    ahead = sum((min(2 * work.share, Fraction(1)) * busy for work, busy in own), Fraction(0))
    return before + max(beginning(outer) - before - ahead, Fraction(0)) + sum(busy for _, busy in own)


def port_time(port: str, works: list[Timed], fill: int) -> int:
    """The ticks of a port for what moves at a fill position or inside it, and what it has to stop for meanwhile."""
    time = 0
    for work in works:
        busy = work.busy.get(port, 0)
        if work.fill > fill or (work.fill == fill and port in work.ahead):
            time += busy
        else:
            time += work.stop + (busy - work.stopped.get(port, 0)) * (work.fill == fill)
    return time


def _prefetched(target: Target, transfer: Transfer) -> tuple[int, Fraction]:
    """The level with a FIFO for a fill that passes it by, and the share of the fill that waits there beforehand."""
    for crossing in transfer.crossings:
        bits = target.levels[crossing.level].prefetched(transfer.operand)
        if bits and transfer.kind == "fill" and crossing.level > transfer.parent:
            first = crossing.first * target.carried_bits(transfer.operand)
            return crossing.level, min(Fraction(1), bits / max(Fraction(1), first))
    return 0, Fraction(0)


def latency(target: Target, counts: Counts, density: Fraction = Fraction(1)) -> Latency:
    """The cycles of one layer; of those of compute, the share ``density`` where zeros are skipped."""
    compute = ceil(counts.counters.cycles * density) if target.mac.skips else counts.counters.cycles
    passed = [each_port(loads(target, each, counts.epilogue)) for each in counts.transfers]
    _, bound_by, ports = busiest(chain.from_iterable(passed), compute)
    given = [Work.of(target, each, its) for each, its in zip(counts.transfers, passed)]
    if any(each.operand == BIAS_NAME for each in counts.transfers):
        given += first_updates(target, counts.transfers, compute)
    ticks, works = in_ticks(given)
    inner = [each for each in counts.transfers if each.child < len(target.levels)]
    stops = any(not target.levels[each.child].overlaps(each.operand) for each in inner)
    begins = [] if stops else [work for work in works if work.begins]  # in one phase they come together
    others = works if stops else [work for work in works if not work.begins]
    most: int | Fraction = compute * ticks + beginning(begins) + sum(work.stop for work in others)
    tiles = Inside(works, others, compute * ticks)
    for port in ports:
        alone = Fraction(0)
        for fill, here in groupby(sorted(works, key=fill_of, reverse=True), fill_of):
            alone = max(alone, *(tiles.alone(port, work) for work in here))
            most = max(most, begin_time(port, begins, fill) + port_time(port, others, fill) + alone)
    return Latency(ceil(Fraction(most, ticks)), bound_by, ports)


def fill_of(work: Timed) -> int:
    return work.fill
