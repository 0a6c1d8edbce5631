"""From scheduled nests to a program.

    keep I @ GLB                        region I GLB at 0 [1, 3, 19, 224] loops 0 window 0
    for K in 0..64 by 16
      keep W @ spad                     fill I GLB from DRAM
      for P in 0..4            -->      loop t0
                                          fill W spad from DRAM
                                          mac
                                        end

A loop becomes a register. Registers inside every fill position belong to the array pass; the others are opened by
`loop`, and each tile is moved at its fill position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod

from effc.backends.accel.digits import Dimension
from effc.backends.accel.isa import (
    MAX_BUFFERS,
    ControlLayer,
    DimSetting,
    Drain,
    End,
    Epilogue,
    Fill,
    Give,
    Instruction,
    Layer,
    Loop,
    LoopDigit,
    Mac,
    MeshDigit,
    NestLayer,
    NodeLayer,
    Open,
    OperandSetting,
    Program,
    Region,
    Take,
    ZeroSetting,
)
from effc.backends.accel.layout import place_tensors
from effc.backends.accel.tiles import axis_tile
from effc.compiler.target.model import Target
from effc.compiler.target.widths import Widths
from effc.ir.graph import ControlOp, Graph, NestOp, NodeOp, View
from effc.ir.layouts import placed
from effc.ir.nest import Nest, Operand
from effc.ir.printer import extents, print_item
from effc.ir.schedule import For, Keep, Par, Schedule, trips


def emit(graph: Graph, target: Target) -> Program:
    """The program of a graph in which every nest has a legal schedule."""
    slots, words = place_tensors(graph)
    addresses = {slot.name: slot.address for slot in slots}
    layers: list[Layer] = []
    known: dict[object, _Mapped] = {}
    for op in graph.ops:
        if isinstance(op, NestOp):
            widths = Widths.of_nest(op, graph.tensors)
            key = replace(op.nest, name=""), op.schedule, widths
            if key not in known:
                known[key] = _Mapped.of(op, target.with_widths(widths))  # equal nests have equal code
            layers.append(emit_nest(op, known[key], addresses, graph))
        elif isinstance(op, ControlOp):
            layers.append(ControlLayer(plain_node(op), tuple(emit(body, target) for body in op.bodies)))
        else:
            layers.append(NodeLayer(op))
    return Program(
        graph.name, target.name, target.word_bits, words, graph.inputs, graph.outputs, tuple(slots), tuple(layers)
    )


def plain_node(op: NodeOp) -> NodeOp:
    """A node as its layer has it: of a control op, without the bodies."""
    return NodeOp(**{field.name: getattr(op, field.name) for field in fields(NodeOp)})


def epilogue_of(op: NestOp, graph: Graph) -> Epilogue | None:
    """The epilogue of a nest as its layer has it."""
    if not op.epilogue:
        return None
    sums = graph.tensors[op.uses[op.nest.output.name].tensor]
    return Epilogue(sums.name, sums.dtype, op.epilogue)


def emit_nest(op: NestOp, mapped: _Mapped, addresses: dict[str, int | None], graph: Graph) -> NestLayer:
    """The layer of one nest, the tensors of the graph being at ``addresses``."""
    nest, operands = op.nest, []
    for name, operand in nest.operands.items():
        view, kind = op.uses[name], "write" if operand is nest.output else "bias" if operand is nest.bias else "read"
        tensor = op.outputs[0] if kind == "write" else view.tensor
        place = placed(replace(view, tensor=tensor), operand.shape, graph.tensors)
        assert place is not None
        address = addresses[place.tensor]
        assert address is not None
        zero = None if view.zero is None else _zero(view.zero, addresses)
        operands.append(
            OperandSetting(name, kind, operand.axes, tensor, address + place.offset, place.strides, zero)  # type: ignore[arg-type]
        )
    return NestLayer(
        op.name,
        op.op,
        op.origin,
        mapped.dims,
        tuple(operands),
        mapped.regions,
        mapped.code,
        epilogue_of(op, graph),
    )


def _zero(view: View, addresses: dict[str, int | None]) -> ZeroSetting:
    address = addresses[view.tensor]
    assert address is not None
    return ZeroSetting(view.tensor, address + view.offset, view.strides)


@dataclass(frozen=True)
class _Mapped:
    """A nest with its schedule, and the loop registers that it needs."""

    nest: Nest
    schedule: Schedule
    target: Target
    dims: tuple[DimSetting, ...]
    registers: tuple[tuple[int, For], ...]  # (position in the schedule, loop) of every register

    @classmethod
    def of(cls, op: NestOp, target: Target) -> _Mapped:
        nest, schedule = op.nest, op.schedule
        if schedule is None:
            raise ValueError(f"{op.name} has no schedule")
        if nest.bias is not None and not nest.bias.dims <= nest.output.dims:
            raise ValueError(f"the bias of {op.name} has a dim that the output does not have")
        digits: dict[str, list[LoopDigit | MeshDigit]] = {dim.name: [] for dim in nest.dims}
        registers: list[tuple[int, For]] = []
        loops = [(position, loop, trips(extent, loop.step)) for position, loop, extent in schedule.loops(nest)]
        for position, loop, count in loops:
            if count == 1:
                continue
            if isinstance(loop, For):
                digits[loop.dim].append(LoopDigit(len(registers), loop.step))
                registers.append((position, loop))
            else:
                stride = prod(c for p, other, c in loops if p > position and _same_axis(other, loop))
                digits[loop.dim].append(MeshDigit(loop.level, loop.axis, stride, loop.step))
        settings = tuple(DimSetting(dim.name, dim.bound, tuple(digits[dim.name])) for dim in nest.dims)
        return cls(nest, schedule, target, settings, tuple(registers))

    # Regions

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """A region for every keep mark, one after the other in each bank."""
        generators = {setting.name: Dimension(setting, self.target) for setting in self.dims}
        regions = []
        used: dict[tuple[str, int], int] = {}
        for position, item in enumerate(self.schedule.items):
            if not isinstance(item, Keep):
                continue
            operand, level = self.nest.operands[item.operand], self.target.level(item.level)
            loops = self._fill_depth(operand, position)
            place, pads = self.target.index[level.name], level.padding == "stored"
            extents = []
            for axis in operand.axes:
                dims = [generators[name] for name in axis.dims]
                extents.append(axis_tile(axis, dims, place, (), 0, loops, 0, pads).extent)
            bank = (level.name, next(i for i, b in enumerate(level.banks) if operand.name in b.operands))
            base = used.get(bank, 0)
            used[bank] = base + int(prod(extents) * self.target.bits(place, operand.name))
            window = self._window(operand, loops) if level.sliding else 0
            regions.append(Region(level.name, operand.name, base, tuple(extents), loops, window))
        return tuple(replace(region, buffers=self._buffers(region, regions)) for region in regions)

    def _buffers(self, region: Region, regions: list[Region]) -> int:
        """How many tiles may be on their way or in use at a time: as many as have room, within reason."""
        level = self.target.level(region.level)
        if not level.overlaps(region.operand):
            return 1
        bank = level.bank(region.operand)
        assert bank is not None
        place = self.target.index[region.level]
        held = [r for r in regions if r.level == region.level and r.operand in bank.operands]
        bits = sum(prod(r.extents) * self.target.bits(place, r.operand) for r in held)
        room = MAX_BUFFERS if bank.bits is None or not bits else int(bank.bits / bits)
        return max(2, min(room, MAX_BUFFERS))

    def _fill_depth(self, operand: Operand, mark: int) -> int:
        """The number of loops outside the fill position of a mark."""
        relevant = [r for r, (p, loop) in enumerate(self.registers) if p < mark and loop.dim in operand.dims]
        return max(relevant, default=-1) + 1

    def _window(self, operand: Operand, loops: int) -> int:
        """How many registers, from the fill position outward, slide the tile of a read operand."""
        if operand is self.nest.output or not loops:
            return 0
        dim = self.registers[loops - 1][1].dim
        axis = next(axis for axis in operand.axes if dim in axis.dims)
        if all(other == dim or self.nest.bounds[other] == 1 for other in axis.dims):
            return 0  # the tiles along one dim are disjoint
        window = 0
        while window < loops and self.registers[loops - 1 - window][1].dim == dim:
            window += 1
        return window

    # Code

    @cached_property
    def code(self) -> tuple[Instruction, ...]:
        """The instructions, each with the item of the schedule that it comes from."""
        return tuple(self._code())

    def _code(self) -> Iterator[Instruction]:
        ordered = sorted(self.regions, key=lambda region: self.target.index[region.level])
        depth = max((region.loops for region in self.regions), default=0)
        yield from self._starts(ordered, 0)
        for register in range(depth):
            yield Loop(register, self._note(self.registers[register][0]))
            yield from self._starts(ordered, register + 1)
        yield Mac(", ".join(self._note(position) for position, _ in self.registers[depth:]))
        for register in reversed(range(depth)):
            yield from self._ends(ordered, register + 1)
            yield End()
        yield from self._ends(ordered, 0)

    def _starts(self, regions: Iterable[Region], depth: int) -> Iterator[Instruction]:
        for region in regions:
            if region.loops == depth:
                operand, parent, note = region.operand, self._parent(region), self._note(self._mark(region))
                if operand == self.nest.output.name:
                    yield Open(operand, region.level, parent, note)
                else:
                    yield Fill(operand, region.level, parent, region.window > 0, note)
                yield Take(operand, region.level, note)

    def _ends(self, regions: list[Region], depth: int) -> Iterator[Instruction]:
        for region in reversed(regions):
            if region.loops == depth:
                operand, note = region.operand, self._note(self._mark(region))
                yield Give(operand, region.level, note)
                if operand == self.nest.output.name:
                    yield Drain(operand, region.level, self._parent(region), note)

    def _parent(self, region: Region) -> str:
        levels = [level for _, level in self.schedule.keeps(region.operand)]
        place = levels.index(region.level)
        return levels[place - 1] if place else self.target.levels[0].name

    def _mark(self, region: Region) -> int:
        return self.schedule.items.index(Keep(region.operand, region.level))

    def _note(self, position: int) -> str:
        return print_item(self.schedule.items[position], extents(self.schedule, self.nest)[position])


def _same_axis(loop: For | Par, par: Par) -> bool:
    return isinstance(loop, Par) and (loop.level, loop.axis) == (par.level, par.axis)
