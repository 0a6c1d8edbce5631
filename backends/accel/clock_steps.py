"""The instructions of a layer as steps on the clock: each reads when others are ready, and says when it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from effc.backends.accel.clock_state import State, engine
from effc.backends.accel.demands import Demand, Table, Use
from effc.backends.accel.isa import Drain, End, Fill, Give, Instruction, Loop, Mac, NestLayer, Open, Take
from effc.backends.accel.ports import Calendar
from effc.backends.accel.stores import Store
from effc.backends.accel.trace import ARRAY, Recorder
from effc.compiler.target.model import Target

OF_THE_ARRAY = " of the array"
"""Behind the name of a port that the words of the array's own passes have to wait for."""


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


class Steps(State):
    """The code of a layer as blocks of steps."""

    def __init__(
        self,
        layer: NestLayer,
        target: Target,
        recorder: Recorder | None = None,
        work: Fraction = Fraction(1),
        others: Iterable[tuple[int, Fraction]] = (),
    ) -> None:
        super().__init__(layer, target, recorder, work, others)
        self.counts: dict[int, Table] = {}
        self.code = self._parse()

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


def _links(state: State, store: Store) -> set[str]:
    link = state.ports.link(store.position, store.operand.name, "read")
    return set() if link is None else {link.name}
