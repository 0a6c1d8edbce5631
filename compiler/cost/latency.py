"""Latency: the busiest of compute, ports and networks, and what cannot overlap; see `docs/semantics.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from effc.compiler.cost.counts import Counts, Crossing, Epilogue, Transfer
from effc.compiler.target.model import VECTOR, WAYS, Port, Target, Way
from effc.ir.counters import EPILOGUE_NAME


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

    @classmethod
    def of(cls, target: Target, transfer: Transfer, epilogue: Epilogue | None = None) -> Work:
        passed = list(loads(target, transfer, epilogue))
        busy: dict[str, Fraction] = {}
        for load in passed:
            busy[load.port] = busy.get(load.port, Fraction(0)) + load.cycles
        if transfer.child == len(target.levels) or not passed:
            return cls(transfer.fill, busy)
        if target.levels[transfer.child].overlaps(transfer.operand):
            waits = {load.port: min(transfer.phases * load.first, load.cycles) for load in passed}
            share = Fraction(transfer.phases, transfer.events)
            return cls(transfer.fill, busy, max(waits.values()), waits, share=share)
        level, share = _prefetched(target, transfer)
        later = {load.port: (load.cycles - load.first) * (1 - share * (load.level < level)) for load in passed}
        stopped = {load.port: load.first + later[load.port] for load in passed}
        stop = max(load.first for load in passed) + max(later.values())
        return cls(transfer.fill, busy, stop, stopped, frozenset(load.port for load in passed if load.level < level))


def port_time(port: str, works: list[Work], fill: int, compute: int) -> Fraction:
    """The cycles of a port for what moves at a fill position or inside it, what it has to stop for meanwhile, and the
    work on one tile in every phase, where nothing further in keeps the port busy during that.
    """
    users = [work for work in works if work.busy.get(port) and work.fill >= fill]
    innermost = all(work.fill == fill for work in users)
    time = compute * max((work.share for work in users if innermost), default=Fraction(0))
    for work in works:
        busy = work.busy.get(port, Fraction(0))
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
    _, bound_by, ports = busiest(
        (load for each in counts.transfers for load in loads(target, each, counts.epilogue)), compute
    )
    works = [Work.of(target, transfer, counts.epilogue) for transfer in counts.transfers]
    times = [compute + sum((work.stop for work in works), Fraction(0))]
    times += [port_time(port, works, fill, compute) for port in ports for fill in {work.fill for work in works}]
    return Latency(ceil(max(times)), bound_by, ports)
