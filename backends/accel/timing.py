"""Cycle mode: when every instruction of a layer starts and ends.

Each region has an engine that loads it and, of partial sums, one that stores it; the array is one more. They run their
instructions in order, wait for tokens, and share the ports (`ports.py`). Times are followed through the loops of the
program. What a step of a loop does depends only on the times at its beginning, relative to each other, and on what its
instructions ask for: once both come back, all further steps take the same time, and are not followed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, inf

from effc.backends.accel.demands import Demand, Demands, Table, Use, summed_registers
from effc.backends.accel.digits import Dimension
from effc.backends.accel.finishing import Finishing
from effc.backends.accel.isa import Drain, End, Fill, Give, Instruction, Loop, Mac, NestLayer, Open, Take
from effc.backends.accel.ports import Calendar, Ports, Stretch
from effc.backends.accel.stores import Store
from effc.backends.accel.trace import ARRAY, Recorder
from effc.compiler.target.model import Target, Way

RAMP_UP, RUN_DOWN = "ramp-up", "run-down"
"""The time before the first pass of the array, and that after its last one."""

OF_THE_ARRAY = " of the array"
"""Behind the name of a port that the words of the array's own passes have to wait for."""


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

    @property
    def utilization(self) -> float:
        """The share of the time that the array works."""
        return self.compute / self.cycles if self.cycles else 0.0


@dataclass
class Block:
    """The body of a loop, or the whole code: instructions and loops, and what they touch of the state."""

    register: int
    depth: int
    body: list[Block | Step] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    summed: tuple[int, ...] = ()
    began: int = 0  # the tick at which the array came to it


@dataclass(frozen=True)
class Step:
    """An instruction: what it does to the state, given the registers; what it depends on and touches."""

    action: Callable[[list[int]], None]
    tables: tuple[Table, ...] = ()
    slots: tuple[int, ...] = ()
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step of a loop makes of a state, all times relative to the earliest one before."""

    slots: tuple[int, ...]
    ports: tuple[tuple[Stretch, ...], ...]
    sums: tuple[tuple[str, int], ...]
    earliest: float  # at which a port is asked for


class Clock:
    """One layer on the clock; ``work`` is the share of the MACs that are done, where others are skipped, ``others`` the
    elements of each tensor that its epilogue reads, and their bits.

    Its state: ``slots``, the ticks at which engines and tokens are ready; the calendars of the ports; and sums of what
    was waited for.
    """

    def __init__(
        self,
        layer: NestLayer,
        target: Target,
        recorder: Recorder | None = None,
        work: Fraction = Fraction(1),
        others: Iterable[tuple[int, Fraction]] = (),
    ) -> None:
        self.layer, self.target, self.recorder = layer, target, recorder
        self.dims = {setting.name: Dimension(setting, target) for setting in layer.dims}
        trips = {d.register: d.trips for dim in self.dims.values() for d in dim.digits if d.register >= 0}
        self.trips = [trips[register] for register in range(len(trips))]
        self.output = next(o.name for o in layer.operands if o.kind == "write")
        self.bias = next((o.name for o in layer.operands if o.kind == "bias"), None)
        self.stores = dict(self._stores())
        self.ports = Ports(target, work, vector=layer.epilogue is not None)
        self.finishing = Finishing(layer, self.ports, others)
        self.demands = Demands(self.ports, self.dims, self.trips, self.output)
        self.summed = tuple(summed_registers(self.dims, self.stores[self.output, target.levels[0].name]))
        self.names: dict[str, int] = {}
        self.engines: dict[int, str] = {}
        self.slots: list[int] = []
        self.calendars: dict[str, Calendar] = {}
        self.sums: dict[str, int] = {}
        self.running = [0] * len(self.trips)
        self.counts: dict[int, Table] = {}
        self.memo: dict[object, Effect] = {}
        self.runs: dict[object, list[tuple[object, int, int]]] = {}
        self.first_pass: int | None = None
        self.earliest = inf  # at which a port was asked for, in the loop at hand
        self.code = self._parse()

    def _stores(self) -> list[tuple[tuple[str, str], Store]]:
        found = []
        outermost = self.target.levels[0]
        for operand in self.layer.operands:
            found.append(((operand.name, outermost.name), Store(operand, self.dims, outermost, 0, None)))
            for region in self.layer.regions:
                if region.operand == operand.name:
                    position = self.target.index[region.level]
                    store = Store(operand, self.dims, self.target.levels[position], position, region)
                    found.append(((operand.name, region.level), store))
        return found

    def chain(self, operand: str) -> list[Store]:
        """Where an operand is, from the outermost level in."""
        return sorted((s for (name, _), s in self.stores.items() if name == operand), key=lambda s: s.position)

    # State

    def slot(self, name: str) -> int:
        """The place of a time in the state."""
        if name not in self.names:
            self.names[name] = len(self.slots)
            self.slots.append(0)
            if name.startswith(("load ", "store ")) or name == ARRAY:
                self.engines[len(self.slots) - 1] = name
        return self.names[name]

    def user(self, store: Store, gives: bool) -> str:
        """The engine that uses the tile of a region: of the next one inward, or the array."""
        inner = [s for s in self.chain(store.operand.name) if s.position > store.position]
        if not inner:
            return ARRAY
        return engine("store" if gives and store.operand.kind == "write" else "load", inner[0])

    def reserve(self, start: int, uses: Sequence[Use], ticks: Sequence[int]) -> int:
        """The end of a transfer that begins at a tick: when the last port is through."""
        end = start
        self.earliest = min(self.earliest, start)
        for use, some in zip(uses, ticks):
            end = max(end, self.calendars[use.port.name].reserve(start, some))
            self.sums[use.port.name] += some
        return end

    def count(self, what: str, ticks: int) -> None:
        """Add to a sum."""
        self.sums[what] = self.sums.get(what, 0) + ticks

    def note(self, name: str, what: str, start: int, end: int) -> None:
        """Something that an engine did."""
        if self.recorder is not None:
            self.recorder.add(name, what, start, end)

    def wait(self, reason: str, start: int, end: int) -> None:
        """The array waits; before its first pass that is no stall, but part of the ramp-up."""
        if self.first_pass is not None:
            self.count(reason, end - start)
        self.note(ARRAY, f"wait for {reason}", start, end)

    # Code

    def _parse(self) -> Block:
        root = Block(-1, 0)
        stack = [root]
        for pc, instruction in enumerate(self.layer.code):
            if isinstance(instruction, Loop):
                block = Block(instruction.register, len(stack))
                self.counts[block.register] = self.demands.trip_counts(block.register)
                stack[-1].body.append(block)
                stack.append(block)
            elif isinstance(instruction, End):
                stack.pop()
            else:
                step = self._step(pc, instruction, len(stack) - 1)
                for name in step.ports:
                    self.calendars.setdefault(name, Calendar())
                    self.sums.setdefault(name, 0)
                stack[-1].body.append(step)
        self._touched(root)
        return root

    def _touched(self, block: Block) -> None:
        """What a block touches: all that its instructions and loops do."""
        tables: list[Table] = []
        for item in block.body:
            if isinstance(item, Block):
                self._touched(item)
                tables.append(self.counts[item.register])
            tables += item.tables
            block.slots += item.slots
            block.ports += item.ports
        block.tables = list(dict.fromkeys(tables))
        block.slots, block.ports = sorted(set(block.slots)), sorted(set(block.ports))
        block.summed = tuple(r for r in self.summed if r < block.depth)

    def _step(self, pc: int, instruction: Instruction, depth: int) -> Step:
        match instruction:
            case Fill(operand, level, parent, sweep):
                return self._load(self.stores[operand, level], self.stores[operand, parent], sweep)
            case Open(operand, level, parent):
                return self._load(self.stores[operand, level], self.stores[operand, parent], False)
            case Drain(operand, level, parent):
                return self._drain(self.stores[operand, level], self.stores[operand, parent])
            case Take(operand, level):
                return self._take(self.stores[operand, level], self._inside(pc, 1))
            case Give(operand, level):
                return self._give(self.stores[operand, level], self._inside(pc, -1))
            case Mac():
                return self._mac(depth)
        raise TypeError(instruction)

    def _load(self, child: Store, parent: Store, sweep: bool) -> Step:
        """A fill, or an open: words of partial sums come only if they were there before."""
        operand, name = child.operand.name, engine("load", child)
        uses = self.demands.path(child.position, parent.position, operand, inwards=True)
        demand = self.demands.move(child, parent, uses, sweep)
        ready, full, *free = (self.slot(n) for n in (name, f"full {name}", *self._buffers(child)))
        returns = tuple(r for r in self.summed if r < child.loops)
        output, label = operand == self.output, f"{operand} {child.level}"
        split = self._ahead(child, parent)
        left = self.slot(engine("store", child)) if output else ready
        inside = [(s, [r for r in range(s + 1, child.loops) if r not in self.summed]) for s in returns]

        def returns_at_once(running: list[int]) -> bool:
            """Whether the tile is the one that left last: only summed loops have stepped since."""
            last = max((s for s in returns if running[s]), default=-1)
            return any(s == last and all(self.counts[r].at(running) == 1 for r in rest) for s, rest in inside)

        def action(running: list[int]) -> None:
            slots = self.slots
            before, start = slots[full], max(slots[ready], slots[free[0]])
            if output and not any(running[r] for r in returns):
                end = start
            else:
                ticks = demand.at(running)
                if output and returns_at_once(running):
                    start = max(start, slots[left])
                if split is None:
                    end = self.reserve(start, uses, ticks)
                else:
                    end = self.late(operand, split, before, start, uses, ticks)
                self.note(name, label, start, end)
            slots[ready] = slots[full] = end
            if self.recorder is not None:
                self.recorder.occupy(label, end, child.words)
            for i in range(len(free) - 1):
                slots[free[i]] = slots[free[i + 1]]

        tables = (*demand.tables, *(self.counts[r] for r in range(child.loops)))
        return Step(action, tables, (ready, full, left, *free), tuple(use.port.name for use in uses))

    def _buffers(self, store: Store) -> list[str]:
        assert store.region is not None
        return [f"free {i} {store.operand.name} {store.level}" for i in range(store.region.buffers)]

    def _ahead(self, child: Store, parent: Store) -> tuple[int, int] | None:
        """The level with a FIFO that takes words of the next fill beforehand, and how many bits."""
        for position in range(parent.position + 1, child.position):
            if bits := self.target.levels[position].prefetched(child.operand.name):
                return position, bits
        return None

    def late(
        self,
        operand: str,
        split: tuple[int, int],
        before: int,
        start: int,
        uses: Sequence[Use],
        ticks: Sequence[int],
    ) -> int:
        """A fill some of which waits in a FIFO on its way: that came there since the fill before."""
        position, bits = split
        end = start
        self.earliest = min(self.earliest, before)
        for use, some in zip(uses, ticks):
            calendar = self.calendars[use.port.name]
            self.sums[use.port.name] += some
            if use.at < position:
                held = min(some, int(bits / self.target.carried_bits(operand)) * use.port.ticks)
                end = max(end, calendar.reserve(before, held))
                end = max(end, calendar.reserve(start, some - held))
            else:
                end = max(end, calendar.reserve(start, some))
        return end

    # Epilogues

    def _last(self, running: Sequence[int], depth: int) -> bool:
        """Whether no summed loop of those outside has a further step: what leaves is finished."""
        return all(self._is_last(r, running) for r in self.summed if r < depth)

    def _is_last(self, register: int, running: Sequence[int]) -> bool:
        return self.counts[register].at(running) == running[register] + 1

    def _place(self, register: int) -> tuple[bool, bool]:
        """Where a summed loop is: past its first step, and, if that makes a difference, at its last."""
        return self.running[register] > 0, bool(self.finishing.uses) and self._is_last(register, self.running)

    def _drain(self, child: Store, parent: Store) -> Step:
        operand, name = child.operand.name, engine("store", child)
        uses = self.demands.path(child.position, parent.position, operand, inwards=False)
        plain, further = len(uses), [] if parent.position else self.finishing.uses
        uses = [*uses, *further]
        demand = self.demands.move(child, parent, uses, False)
        free = self._buffers(child)[-1]
        ready, done, last = self.slot(name), self.slot(f"done {name}"), self.slot(free)
        streams = child.operand.name in self.target.levels[child.position].buffets
        label = f"{operand} {child.level}"
        less = 0 if parent.position or self.finishing.narrowed is None else self.finishing.narrowed.ticks

        def action(running: list[int]) -> None:
            slots = self.slots
            start = max(slots[ready], slots[done])
            finished = bool(further) and self._last(running, child.loops)
            ticks = list(demand.at(running))
            if finished and less:
                ticks[0] -= ticks[0] // uses[0].port.ticks * less
            end = self.reserve(start, uses if finished else uses[:plain], ticks)
            slots[ready], slots[last] = end, start if streams else end
            self.note(name, label, start, end)
            if self.recorder is not None:
                self.recorder.occupy(label, end, -child.words)

        return Step(action, tuple(demand.tables), (ready, done, last), tuple(use.port.name for use in uses))

    def _inside(self, pc: int, step: int) -> list[str]:
        """The engines at work while a tile is in use: of the instructions from its take on, or back from its give."""
        token, found = self.layer.code[pc], dict[str, None]()
        assert isinstance(token, (Take, Give))
        while 0 <= (pc := pc + step) < len(self.layer.code):
            match self.layer.code[pc]:
                case Mac():
                    found[ARRAY] = None
                case Fill(operand, level) | Open(operand, level):
                    found[engine("load", self.stores[operand, level])] = None
                case Drain(operand, level):
                    found[engine("store", self.stores[operand, level])] = None
                case Take(operand, level) | Give(operand, level) if (operand, level) == (token.operand, token.level):
                    break
        return list(found)

    def _users(self, store: Store, gives: bool, inside: list[str]) -> list[int]:
        """The engines that a token is handed to: of a region with one buffer, all that work while the tile is used."""
        assert store.region is not None
        own = self.user(store, gives)
        return [self.slot(name) for name in dict.fromkeys([own, *inside] if store.region.buffers == 1 else [own])]

    def _take(self, store: Store, inside: list[str]) -> Step:
        users, full = self._users(store, False, inside), self.slot(f"full {engine('load', store)}")
        array, reason = self.slot(ARRAY), f"{store.operand.name} {store.level}"

        def action(running: list[int]) -> None:
            slots = self.slots
            for user in users:
                if slots[full] > slots[user]:
                    if user == array:
                        self.wait(reason, slots[user], slots[full])
                    slots[user] = slots[full]

        return Step(action, (), (full, *users))

    def _give(self, store: Store, inside: list[str]) -> Step:
        output = store.operand.name == self.output
        name = f"done {engine('store', store)}" if output else self._buffers(store)[-1]
        users, after = self._users(store, True, inside), self.slot(name)

        def action(running: list[int]) -> None:
            self.slots[after] = max([self.slots[user] for user in users])
            if self.recorder is not None and not output:
                self.recorder.occupy(f"{store.operand.name} {store.level}", self.slots[after], -store.words)

        return Step(action, (), (after, *users))

    def _mac(self, depth: int) -> Step:
        """A pass of the array; it lasts as long as its cycles, or the ports that it reads and writes."""
        demands, clock = list(self._passes(depth)), self.demands.cycles(depth)
        array, summed = self.slot(ARRAY), tuple(r for r in self.summed if r < depth)
        finishes = any(kind == "last" for kind, _ in demands)
        tables = [table for _, demand in demands for table in demand.tables] + list(clock.tables)
        names = tuple(use.port.name for _, demand in demands for use in demand.uses)

        def action(running: list[int]) -> None:
            start = self.slots[array]
            if self.first_pass is None:
                self.first_pass = start
            (cycles,) = clock.at(running)
            self.count("compute", cycles)
            end, reason = start + cycles, ""
            kinds = ["always", *["first", "fresh"] * (not any(running[r] for r in summed))]
            kinds += ["last", "less"] * (finishes and self._last(running, depth))
            taken: dict[str, int] = {}
            for kind, demand in demands:
                if kind not in kinds:
                    continue
                sign = -1 if kind in ("fresh", "less") else 1
                for use, ticks in zip(demand.uses, demand.at(running)):
                    taken[use.port.name] = taken.get(use.port.name, 0) + sign * ticks
            self.earliest = min(self.earliest, start)
            for port, ticks in taken.items():
                through = self.calendars[port].reserve(start, ticks)
                self.sums[port] += ticks
                if through > end:
                    end, reason = through, port
            if reason:
                self.count(reason + OF_THE_ARRAY, end - start - cycles)
            self.slots[array] = end
            self.note(ARRAY, "mac", start, end)

        return Step(action, tuple(tables), (array,), names)

    def _passes(self, depth: int) -> list[tuple[str, Demand]]:
        """What a pass asks of ports: always; with the ``first`` update of a word; less where words are ``fresh``; with
        the ``last`` update, and ``less`` as it is narrower.
        """
        bottom, found = self.demands.bottom, []
        for operand in self.layer.operands:
            store = self.chain(operand.name)[-1]
            into = self.demands.path(bottom, store.position, operand.name, inwards=True)
            if operand.kind == "read":
                found.append(("always", self.demands.read(store, depth, into)))
            elif operand.kind == "bias":
                found.append(("first", self.demands.first(self.chain(self.output)[-1], depth, into)))
            else:
                out = self.demands.path(bottom, store.position, operand.name, inwards=False)
                back = [use for use in into if use.at == store.position and use.port.name not in _links(self, store)]
                found.append(("always", self.demands.update(store, depth, [*out, *back])))
                found.append(("fresh", self.demands.first(store, depth, back)))
                if self.finishing.uses and not store.position:
                    found.append(("last", self.demands.first(store, depth, self.finishing.uses)))
                    less = [] if self.finishing.narrowed is None else [Use(self.finishing.narrowed, 0)]
                    found.append(("less", self.demands.first(store, depth, less)))
        return found

    # Time

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


def engine(kind: str, store: Store) -> str:
    """The name of the engine that loads or stores a region."""
    return f"{kind} {store.operand.name} {store.level}"


def _links(clock: Clock, store: Store) -> set[str]:
    link = clock.ports.link(store.position, store.operand.name, "read")
    return set() if link is None else {link.name}


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
