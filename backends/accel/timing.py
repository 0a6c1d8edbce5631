"""Cycle mode: when every instruction of a layer starts and ends.

Each region has an engine that loads it and, of partial sums, one that stores it; the array is one more. They run their
instructions in order, wait for tokens, and share the ports (`ports.py`). Times are followed through the loops of the
program. What a step of a loop does depends only on the times at its beginning, relative to each other, and on what its
instructions ask for: once both come back, all further steps take the same time, and are not followed one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, inf

from effc.backends.accel.clock_steps import Block, Steps
from effc.backends.accel.isa import NestLayer
from effc.backends.accel.ports import Calendar, Stretch
from effc.backends.accel.trace import ARRAY, Recorder
from effc.compiler.target.model import Target, Way

RAMP_UP, RUN_DOWN = "ramp-up", "run-down"
"""The time before the first pass of the array, and that after its last one."""


@dataclass
class Timing:
    """The time of a layer, in cycles. ``compute``: for how long the array works, ``ports``: for how long each does.

    ``stalls``: how long the array waits, and for what: the tile of an operand at a level, a port that its own words
    pass, ``ramp-up`` or ``run-down``. ``compute`` and ``stalls`` add up to ``cycles``.
    """

    cycles: int
    compute: int
    ports: dict[str, float] = field(default_factory=dict)
    stalls: dict[str, float] = field(default_factory=dict)

    @property
    def bound_by(self) -> str:
        """What takes the longest: ``compute``, a port by its name, or ``ramp-up``: filling and emptying the machine."""
        found = {"compute": float(self.compute), **self.ports}
        found[RAMP_UP] = self.stalls.get(RAMP_UP, 0.0) + self.stalls.get(RUN_DOWN, 0.0)
        return max(found, key=lambda name: found[name])

    def plus(self, other: Timing) -> Timing:
        """Both, one after the other."""
        ports, stalls = (
            {name: mine.get(name, 0.0) + theirs.get(name, 0.0) for name in {**mine, **theirs}}
            for mine, theirs in ((self.ports, other.ports), (self.stalls, other.stalls))
        )
        return Timing(self.cycles + other.cycles, self.compute + other.compute, ports, stalls)

    @property
    def utilization(self) -> float:
        """The share of the time that the array works."""
        return self.compute / self.cycles if self.cycles else 0.0


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step of a loop makes of a state, all times relative to the earliest one before."""

    slots: tuple[int, ...]
    ports: tuple[tuple[Stretch, ...], ...]
    sums: tuple[tuple[str, int], ...]
    earliest: float  # at which a port is asked for


class Clock(Steps):
    """One layer on the clock."""

    def __init__(
        self,
        layer: NestLayer,
        target: Target,
        recorder: Recorder | None = None,
        work: Fraction = Fraction(1),
        others: Iterable[tuple[int, Fraction]] = (),
    ) -> None:
        super().__init__(layer, target, recorder, work, others)
        self.code = self.parse()
        self.memo: dict[object, Effect] = {}
        self.runs: dict[object, list[tuple[object, int, int]]] = {}

    def run(self) -> Timing:
        """Follow the whole layer."""
        if self.finishing.before is not None:
            name, ticks = self.finishing.before
            self.calendars.setdefault(name, Calendar()).reserve(0, ticks)
            self.count(name, ticks)
        self._body(self.code, ())
        cycle = self.ports.cycle
        end = -(-max(self.slots, default=0) // cycle) * cycle
        compute = self.sums.pop("compute", 0)
        ports = {name: self.sums.pop(name) / cycle for name in self.calendars}
        last = self.slots[self.slot(ARRAY)]
        self.note(ARRAY, RUN_DOWN, last, end)
        stalls = {RAMP_UP: self.first_pass or 0, **self.sums, RUN_DOWN: end - last}
        return Timing(
            end // cycle,
            -(-compute // cycle),
            {name: busy for name, busy in ports.items() if busy},
            {name: ticks / cycle for name, ticks in stalls.items() if ticks},
        )

    def _body(self, block: Block, signature: object) -> None:
        for item in block.body:
            if isinstance(item, Block):
                self._loop(item, signature)
            else:
                item.action(self.running)

    def _loop(self, block: Block, outer: object) -> None:
        block.began = self.slots[self.slot(ARRAY)]
        before, self.earliest = self.earliest, inf
        for signature, first, count in self._steps(block, outer):
            self.running[block.register] = first
            self._repeat(block, signature, count)
        self.running[block.register] = 0
        ended = self._earliest(block)
        if self.earliest < ended:
            for name in block.ports:
                self.calendars[name].merge(int(self.earliest), ended)
        self.earliest = min(before, self.earliest)

    def _steps(self, block: Block, outer: object) -> list[tuple[object, int, int]]:
        """The steps of a loop as runs of equal ones: what tells them apart, the first value, and how many."""
        key = (id(block), outer)
        if key not in self.runs:
            fixed = [table for table in block.tables if block.register not in table.registers]
            moving = [table for table in block.tables if block.register in table.registers]
            constant = tuple([table.number(self.running, block.depth) for table in fixed])
            runs: list[tuple[object, int, int]] = []
            for value in range(int(self.counts[block.register].at(self.running))):  # type: ignore[call-overload]
                self.running[block.register] = value
                signature = (
                    constant,
                    tuple([table.number(self.running, block.depth) for table in moving]),
                    tuple([self._place(r) for r in block.summed]),
                )
                if runs and runs[-1][0] == signature:
                    runs[-1] = (signature, runs[-1][1], runs[-1][2] + 1)
                else:
                    runs.append((signature, value, 1))
            self.running[block.register] = 0
            self.runs[key] = runs
        return self.runs[key]

    def _repeat(self, block: Block, signature: object, count: int) -> None:
        """Equal steps: followed until the state comes back, the rest at once."""
        seen: dict[object, tuple[int, int, dict[str, int]]] | None = {}
        done = 0
        while done < count:
            base = self._earliest(block)
            state = self._state(block, base)
            if seen is not None and base >= block.began and self._may_skip():
                if state in seen:
                    then, began, sums = seen[state]
                    times = (count - done) // (done - then)
                    self._jump(block, began, base, sums, times)
                    done += times * (done - then)
                    seen = None
                    continue
                seen[state] = (done, base, dict(self.sums))
            self._once(block, signature, state, base)
            done += 1

    def _may_skip(self) -> bool:
        """Whether steps need not be followed one by one: not before the first pass, nor while they are recorded."""
        return self.first_pass is not None and (self.recorder is None or self.recorder.full)

    def _earliest(self, block: Block) -> int:
        return min((self.slots[i] for i in block.slots), default=0)

    def _state(self, block: Block, base: int) -> tuple[object, ...]:
        slots = tuple([self.slots[i] - base for i in block.slots])
        return slots, tuple([self.calendars[name].after(base) for name in block.ports])

    def _once(self, block: Block, signature: object, state: object, base: int) -> None:
        """One step, or what it was known to do."""
        skips = self._may_skip()
        key = (id(block), signature, state)
        known = self.memo.get(key) if skips else None
        if known is None:
            before, earlier, self.earliest = dict(self.sums), self.earliest, inf
            self._body(block, signature)
            if skips:
                slots = tuple([self.slots[i] - base for i in block.slots])
                later = tuple([self.calendars[name].after(base) for name in block.ports])
                sums = {name: n - before.get(name, 0) for name, n in self.sums.items() if n != before.get(name, 0)}
                self.memo[key] = Effect(slots, later, tuple(sums.items()), self.earliest - base)
            self.earliest = min(earlier, self.earliest)
            return
        self.earliest = min(self.earliest, base + known.earliest)
        self._skip(block, [base + ticks for ticks in known.slots], 1)
        for name, taken in zip(block.ports, known.ports):
            self.calendars[name].replace(base, taken)
        for name, ticks in known.sums:
            self.count(name, ticks)

    def _jump(self, block: Block, began: int, base: int, sums: dict[str, int], times: int) -> None:
        """Repeat ``times`` what happened between two ticks at which the state was the same."""
        length = base - began
        for name in block.ports:
            calendar = self.calendars[name]
            later, busy = calendar.after(base), calendar.busy(began, base) * times
            calendar.replace(base, ((0, times * length, busy),) if busy else ())
            calendar.replace(base + times * length, later)
        self._skip(block, [self.slots[i] + times * length for i in block.slots], times)
        for name, ticks in list(self.sums.items()):
            self.sums[name] += times * (ticks - sums.get(name, 0))

    def _skip(self, block: Block, slots: Sequence[int], times: int) -> None:
        """Set the times of a block, for steps that were not followed."""
        for i, tick in zip(block.slots, slots):
            if self.recorder is not None and i in self.engines:
                self.recorder.add(self.engines[i], "", self.slots[i], tick, times)
            self.slots[i] = tick


def vector_timing(target: Target, results: int, read: Fraction, written: Fraction) -> Timing:
    """The time of a layer on the vector unit, which streams its words: its lanes, or the outermost level's ports.

    ``results`` are counted, what is read and written is in bits.
    """
    assert target.vector is not None
    busy: dict[str, Fraction] = {}
    moved: tuple[tuple[str, Way, Fraction], ...] = (("I", "read", read), ("O", "write", written))
    for operand, way, bits in moved:
        if port := target.port(0, operand, way):
            busy[port.name] = busy.get(port.name, Fraction(0)) + bits / port.bandwidth
    compute = -(-results // target.vector.lanes)
    cycles = max(compute, *(ceil(taken) for taken in busy.values()), 0)
    found = {name: float(taken) for name, taken in busy.items()}
    stalls = {max(found, key=lambda name: found[name]): float(cycles - compute)} if cycles > compute else {}
    return Timing(cycles, compute, found, stalls)
