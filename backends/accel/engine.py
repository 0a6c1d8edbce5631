"""Runs one nest layer: memories, hardware loops, instructions, counters.

Registers from ``batch`` on are not stepped through: what their loops contain is executed for all their values at once,
the regions that they select having a version for each (see ``batch.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy.typing as npt

from effc.backends.accel.assembler import instruction_text
from effc.backends.accel.batch import POINTS, batched, points
from effc.backends.accel.digits import Dimension
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.fills import FillLists
from effc.backends.accel.gathers import Window
from effc.backends.accel.isa import Drain, End, Fill, Give, Instruction, Loop, Mac, NestLayer, Open, Take
from effc.backends.accel.memory import Memory
from effc.backends.accel.passes import ArrayPass, Tally
from effc.backends.accel.psums import PsumLists
from effc.backends.accel.stores import NO_BATCH, Store
from effc.backends.accel.tokens import Tokens
from effc.compiler.target.model import Target
from effc.ir.counters import Counters

Action = Callable[[], None]


@dataclass
class Block:
    """The body of a loop, or the whole code."""

    register: int
    pc: int
    body: list[Block | tuple[int, Action]]


class Engine:
    """One nest layer, ready to run; ``dram`` holds its operands. ``zeros``: whether to look for them."""

    def __init__(
        self, layer: NestLayer, target: Target, dram: Memory, dtype: npt.DTypeLike, exact: bool, zeros: bool = False
    ) -> None:
        layer, self.batch = (layer, NO_BATCH) if exact else batched(layer, target)
        self.layer, self.target = layer, target
        self.dims = {setting.name: Dimension(setting, target) for setting in layer.dims}
        self.counters = Counters()
        self.gates, self.gated = target.mac.gates if zeros else (), 0
        self.output = next(o.name for o in layer.operands if o.kind == "write")
        self.bias = next((o.name for o in layer.operands if o.kind == "bias"), None)
        self.stores = self._stores(dram, dtype, exact)
        self.registers = {r: dim for dim in self.dims.values() for r in dim.registers}
        self.running = [0] * len(self.registers)
        self.depth = 0
        self.tokens = Tokens(self.stores.values())
        self.code = self._parse()

    def _stores(self, dram: Memory, dtype: npt.DTypeLike, exact: bool) -> dict[tuple[str, str], Store]:
        """Every (operand, level) that holds words."""
        stores = {}
        outermost = self.target.levels[0]
        for operand in self.layer.operands:
            stores[operand.name, outermost.name] = Store(operand, self.dims, outermost, 0, None)
            stores[operand.name, outermost.name].memory = dram
            for region in self.layer.regions:
                if region.operand == operand.name:
                    position = self.target.index[region.level]
                    level = self.target.levels[position]
                    store = Store(operand, self.dims, level, position, region)
                    words = store.words * store.instances * store.all_versions(self.batch)
                    store.memory = Memory(region.level, words, dtype, exact or operand.kind == "write")
                    stores[operand.name, region.level] = store
        return stores

    def innermost(self, operand: str) -> Store:
        """Where the array finds an operand: the region furthest in."""
        return max((s for (name, _), s in self.stores.items() if name == operand), key=lambda store: store.position)

    # The code as a tree

    def _parse(self) -> Block:
        root = Block(-1, -1, [])
        stack = [root]
        depth = 0
        for pc, instruction in enumerate(self.layer.code):
            if isinstance(instruction, Loop):
                depth += 1
                if depth <= self.batch:
                    block = Block(instruction.register, pc, [])
                    stack[-1].body.append(block)
                    stack.append(block)
            elif isinstance(instruction, End):
                if depth <= self.batch:
                    stack.pop()
                depth -= 1
            else:
                stack[-1].body.append((pc, self._action(instruction, depth)))
        return root

    def _action(self, instruction: Instruction, depth: int) -> Action:
        if isinstance(instruction, Mac):
            return self._pass(depth)
        if isinstance(instruction, (Take, Give)):
            store = self.stores[instruction.operand, instruction.level]
            return partial(self.tokens.take if isinstance(instruction, Take) else self.tokens.give, store)
        assert isinstance(instruction, (Fill, Open, Drain))
        child = self.stores[instruction.operand, instruction.level]
        parent = self.stores[instruction.operand, instruction.parent]
        if isinstance(instruction, Fill):
            return partial(self._fill, FillLists(child, parent, self.dims, self.batch, instruction.sweep))
        lists = PsumLists(child, parent, self.dims, self.batch, self._reduced())
        return partial(self._open if isinstance(instruction, Open) else self._drain, lists)

    def _reduced(self) -> frozenset[str]:
        output = self.innermost(self.output).operand
        return frozenset(self.dims) - {dim for axis in output.axes for dim in axis.dims}

    def _pass(self, depth: int) -> Action:
        """The pass of a ``mac`` inside ``depth`` loops; a large one in parts, one for each value of some registers."""
        low, high = min(depth, self.batch), depth
        if low == high:
            while high < len(self.registers) and points(self.dims, high) > POINTS:
                high += 1
            low = high
        stores = {operand.name: self.innermost(operand.name) for operand in self.layer.operands}
        reads = tuple(operand.name for operand in self.layer.operands if operand.kind == "read")
        bottom = len(self.target.levels)
        array = ArrayPass(stores, self.dims, reads, self.output, self.bias, Window(low, high), bottom, self.gates)
        action = partial(self._mac, array)
        for register in reversed(range(depth, high)):
            action = partial(self._repeat, register, action)
        return action

    # Execution

    def run(self) -> Counters:
        """Run the code from its first instruction to its last, once."""
        try:
            self._run(self.code)
            self.tokens.finish()
        except MachineFault as fault:
            fault.layer = self.layer.name
            raise
        finally:  # the parts of an engine know each other: what they hold would stay until the garbage is collected
            for store in self.stores.values():
                del store.memory
        return self.counters

    def _run(self, block: Block) -> None:
        for item in block.body:
            if isinstance(item, Block):
                self.depth += 1
                self._repeat(item.register, partial(self._run, item))
                self.depth -= 1
            else:
                pc, action = item
                try:
                    action()
                except MachineFault as fault:
                    raise self._located(fault, pc) from None

    def _repeat(self, register: int, action: Action) -> None:
        for value in range(self.registers[register].trip_count(self.running, register)):
            self.running[register] = value
            action()
        self.running[register] = 0

    def _located(self, fault: MachineFault, pc: int) -> MachineFault:
        fault.layer, fault.pc = self.layer.name, pc
        fault.instruction = instruction_text(self.layer.code[pc])
        fault.loops = {f"t{register}": self.running[register] for register in range(self.depth)}
        return fault

    def _hop(self, operand: str, start: int, stop: int, words: int) -> None:
        for level in self.target.levels[start:stop]:
            if level.fanout is not None:
                self.counters.hop(level.name, operand, words)

    def _fill(self, lists: FillLists) -> None:
        child, parent, operand = lists.child, lists.parent, lists.child.operand.name
        self.tokens.fill(child, parent)
        move, addresses = lists(self.running)
        addresses.run(child.memory, move.base, parent.memory, move.parent_base)
        self.counters.read(parent.level, operand, move.read)
        self.counters.write(child.level, operand, move.received)
        self._hop(operand, parent.position, child.position, move.received)

    def _open(self, lists: PsumLists) -> None:
        child, parent, operand = lists.child, lists.parent, lists.child.operand.name
        self.tokens.fill(child, parent)
        move, addresses = lists(self.running)
        back = addresses.start(child.memory, move.base, parent.memory, move.parent_base)
        self.counters.read(parent.level, operand, back)
        self.counters.write(child.level, operand, back)
        self._hop(operand, parent.position, child.position, back)

    def _drain(self, lists: PsumLists) -> None:
        child, parent, operand = lists.child, lists.parent, lists.child.operand.name
        self.tokens.drain(child, parent)
        move, addresses = lists(self.running)
        addresses.drain(child.memory, move.base, parent.memory, move.parent_base)
        self.counters.read(child.level, operand, move.received)
        self.counters.write(parent.level, operand, addresses.distinct)
        self._hop(operand, parent.position, child.position, move.received)

    def _mac(self, array: ArrayPass) -> None:
        for store in array.stores.values():
            self.tokens.use(store)
        memories = {name: store.memory for name, store in array.stores.items()}
        self._count(array, array.run(self.running, memories))

    def _count(self, array: ArrayPass, tally: Tally) -> None:
        counters, bottom = self.counters, len(self.target.levels)
        counters.macs += tally.macs
        counters.cycles += tally.cycles
        self.gated += tally.gated
        for operand, (read, received) in tally.reads.items():
            store = array.stores[operand]
            counters.read(store.level, operand, read)
            self._hop(operand, store.position, bottom, received)
        store = array.stores[array.output]
        counters.read(store.level, array.output, tally.updates - tally.first)
        counters.write(store.level, array.output, tally.updates)
        self._hop(array.output, store.position, bottom, tally.macs)
