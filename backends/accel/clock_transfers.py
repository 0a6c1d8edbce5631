"""Transfers on the clock: when tiles come and leave, what they wait for, and which ports they take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from effc.backends.accel.clock_state import State, engine
from effc.backends.accel.demands import Table, Use
from effc.backends.accel.stores import Store


@dataclass(frozen=True)
class Step:
    """An instruction: what it does to the state, given the registers; what it depends on and touches."""

    action: Callable[[list[int]], None]
    tables: tuple[Table, ...] = ()
    slots: tuple[int, ...] = ()
    ports: tuple[str, ...] = ()


class Transfers(State):
    """The steps that move tiles."""

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
