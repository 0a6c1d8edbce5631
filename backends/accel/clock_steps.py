"""The instructions of a layer as steps on the clock: each reads when others are ready, and says when it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from effc.backends.accel.clock_state import State, engine
from effc.backends.accel.clock_transfers import Step, Transfers
from effc.backends.accel.demands import Demand, Table, Use
from effc.backends.accel.isa import Drain, End, Fill, Give, Instruction, Loop, Mac, Open, Take
from effc.backends.accel.ports import Calendar
from effc.backends.accel.stores import Store
from effc.backends.accel.trace import ARRAY

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


class Steps(Transfers):
    """The code of a layer as blocks of steps."""

    def parse(self) -> Block:
        """The code of the layer."""
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
