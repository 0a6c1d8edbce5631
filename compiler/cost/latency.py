"""Latency: the busiest of compute and ports, and what cannot overlap; see `docs/semantics.md`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from effc.compiler.cost.counts import Counts, Transfer
from effc.compiler.target.model import Bank, Target


@dataclass(frozen=True, slots=True)
class Latency:
    """Core cycles of a layer, and what bounds them: ``compute``, ``LEVEL read``, ``LEVEL write`` or ``LEVEL port``."""

    cycles: int
    bound_by: str
    ports: dict[str, Fraction]  # busy cycles of every port of limited bandwidth


def loads(transfer: Transfer) -> Iterator[tuple[int, str, int]]:
    """The words of a transfer at the ports of its two ends, for the busiest instance: (level, direction, words)."""
    words = transfer.words
    if transfer.kind == "update":
        yield transfer.parent, "write", words.busiest_writes
        yield transfer.parent, "read", words.busiest_reads
    else:
        down = transfer.kind != "drain"
        yield transfer.parent, "read" if down else "write", words.busiest_reads
        yield transfer.child, "write" if down else "read", words.busiest_writes


def bank_of(target: Target, level: int, operand: str) -> Bank | None:
    return target.levels[level].bank(operand) if level < len(target.levels) else None


def busy(bank: Bank | None, direction: str, words: int, word_bits: int) -> Fraction:
    """The cycles that a port of a bank needs for ``words``; zero where its bandwidth is unlimited."""
    if bank is None:
        return Fraction(0)
    bandwidth = bank.read_bandwidth if direction == "read" or bank.shared_port else bank.write_bandwidth
    return Fraction(0) if bandwidth is None else words * word_bits / bandwidth


def port_loads(target: Target, counts: Counts) -> dict[str, Fraction]:
    """The busy cycles of every port."""
    ports: dict[str, Fraction] = {}
    for transfer in counts.transfers:
        for level, direction, words in loads(transfer):
            bank = bank_of(target, level, transfer.operand)
            cycles = busy(bank, direction, words, target.word_bits)
            if cycles and bank is not None:
                names = "" if len(target.levels[level].banks) == 1 else " " + "+".join(bank.operands)
                port = f"{target.levels[level].name}{names} {'port' if bank.shared_port else direction}"
                ports[port] = ports.get(port, Fraction(0)) + cycles
    return ports


def exposed(target: Target, counts: Counts) -> Fraction:
    """Cycles that do not overlap compute: first fills and last drains, and every transfer of single-buffered levels."""
    total = Fraction(0)
    for transfer in counts.transfers:
        if transfer.child == len(target.levels):
            continue
        words = transfer.first if target.levels[transfer.child].double_buffered else transfer.words
        down = transfer.kind != "drain"
        outer, inner = ("read", "write") if down else ("write", "read")
        total += max(
            busy(bank_of(target, transfer.parent, transfer.operand), outer, words.busiest_reads, target.word_bits),
            busy(bank_of(target, transfer.child, transfer.operand), inner, words.busiest_writes, target.word_bits),
        )
    return total


def latency(target: Target, counts: Counts) -> Latency:
    """The cycles of one layer."""
    ports = port_loads(target, counts)
    busiest = max(ports, key=lambda name: ports[name], default="")
    compute = counts.counters.cycles
    steady = max(Fraction(compute), ports.get(busiest, Fraction(0)))
    bound_by = busiest if busiest and ports[busiest] > compute else "compute"
    return Latency(ceil(steady + exposed(target, counts)), bound_by, ports)
