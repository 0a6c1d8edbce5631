"""Ports and networks over time: what is taken of each, and when a transfer that needs so much of it is through.

Time is in *ticks*, of which a cycle has as many as make every transfer of a word take a whole number. A port serves
what it can in each tick: a transfer uses whatever those before it in the program left over, so that a tile that is
fetched ahead fills the gaps of the tiles that are needed now.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from effc.compiler.target import model
from effc.compiler.target.model import VECTOR, Target, Way
from effc.ir.counters import EPILOGUE_NAME
from effc.ir.nest import OUTPUT_NAME

PARTS = 1024

Stretch = tuple[int, int, int]
"""From a tick to a tick, and how many of those between are taken, evenly spread."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a bank or network of limited bandwidth: its name in reports, and the ticks that an element takes."""

    name: str
    ticks: int


class Ports:
    """The limited ports of a target, and how many ticks make a cycle.

    ``work``: the share of its cycles that a pass of the array takes, where MACs on zeros are skipped; in parts of
    ``PARTS``, at least one. ``vector``: is its vector unit one of them?
    """

    def __init__(self, target: Target, work: Fraction = Fraction(1), vector: bool = False) -> None:
        self.target = target
        self.work = Fraction(max(1, round(work * PARTS)), PARTS)
        self.lanes = target.vector.lanes if vector and target.vector is not None else 1
        self.cycle = lcm(self.lanes, self.work.denominator, *(rate.numerator for rate in target.bandwidths))

    def steps(self, count: int) -> Port:
        """The vector unit, which does so many steps for a word."""
        return Port(VECTOR, count * self.cycle // self.lanes)

    def others(self, bits: Fraction) -> Port | None:
        """The port that the vector unit reads elements of so many bits from."""
        return self._timed(self.target.port(0, EPILOGUE_NAME, "read"), bits)

    def narrowed(self) -> Port | None:
        """The port that words of the output are written through outermost, and how much less a finished one takes."""
        saved = self.target.bits(0, OUTPUT_NAME) - self.target.finished_bits()
        return self._timed(self.target.port(0, OUTPUT_NAME, "write"), saved) if saved else None

    def bank(self, position: int, operand: str, way: Way) -> Port | None:
        """The port of the bank of an operand at a level."""
        return self._timed(self.target.port(position, operand, way), self.target.bits(position, operand))

    def link(self, position: int, operand: str, way: Way) -> Port | None:
        """The network of an operand below a level; ``read`` is inwards."""
        return self._timed(self.target.network(position, operand, way), self.target.carried_bits(operand))

    def _timed(self, port: model.Port | None, bits: Fraction) -> Port | None:
        if port is None:
            return None
        return Port(port.name, int(bits * self.cycle / port.bandwidth))


class Calendar:
    """When one port is taken: stretches in order, apart from each other."""

    def __init__(self) -> None:
        self.taken: list[Stretch] = []

    def reserve(self, start: int, ticks: int) -> int:
        """Take the first ``ticks`` that are left from ``start`` on; the tick after the last of them."""
        if not ticks:
            return start
        if not self.taken or self.taken[-1][1] <= start:
            self._append(start, start + ticks)
            return start + ticks
        before = [stretch for stretch in self.taken if stretch[1] <= start]
        later = self.taken[len(before) :]
        now, first = start, start
        while ticks and later:
            begin, end, busy = later[0]
            if begin > now:  # a gap
                used = min(ticks, begin - now)
                now, ticks = now + used, ticks - used
                continue
            later.pop(0)
            if begin < now:  # the part before the start stays as it is
                part = busy * (now - begin) // (end - begin)
                before.append((begin, now, part))
                begin, busy = now, busy - part
                first = now
            left = end - begin - busy
            if left <= ticks:
                now, ticks = end, ticks - left
                continue
            used = -(-ticks * (end - begin) // left)
            now, ticks = begin + used, 0
            rest = busy - busy * used // (end - begin)
            if now < end:
                later.insert(0, (now, end, min(rest, end - now)))
        now += ticks
        self.taken = before
        self._append(first, now)
        self.taken += later
        return now

    def _append(self, start: int, end: int) -> None:
        """A stretch that is taken altogether, at the end."""
        if self.taken and self.taken[-1][1] == start and self.taken[-1][2] == start - self.taken[-1][0]:
            start = self.taken.pop()[0]
        if end > start:
            self.taken.append((start, end, end - start))

    def after(self, tick: int) -> tuple[Stretch, ...]:
        """What is taken from a tick on, relative to it."""
        return tuple(
            [
                (a - tick, b - tick, n) if a >= tick else (0, b - tick, self._share(a, b, n, tick))
                for a, b, n in self.taken
                if b > tick
            ]
        )

    @staticmethod
    def _share(begin: int, end: int, busy: int, tick: int) -> int:
        return busy if begin >= tick else busy - busy * (tick - begin) // (end - begin)

    def replace(self, tick: int, later: tuple[Stretch, ...]) -> None:
        """From a tick on, have these stretches, which are relative to it."""
        kept = [s for s in self.taken if s[1] <= tick]
        for begin, end, busy in self.taken:
            if begin < tick < end:
                kept.append((begin, tick, busy * (tick - begin) // (end - begin)))
        self.taken = kept + [(a + tick, b + tick, n) for a, b, n in later]

    def busy(self, start: int, end: int) -> int:
        """How much is taken between two ticks."""
        total = 0
        for a, b, n in self.taken:
            if a < end and b > start:
                total += self._share(a, b, n, start) - (self._share(a, b, n, end) if b > end else 0)
        return total

    def merge(self, start: int, end: int) -> None:
        """Spread what is taken between two ticks evenly over them."""
        if start < end and (busy := self.busy(start, end)):
            later = self.after(end)
            self.replace(start, ((0, end - start, busy),))
            self.taken += [(a + end, b + end, n) for a, b, n in later]
