"""The machine: runs a program on real memories and counts every word that moves.

result = Machine(target).run(program, {"x": x}, graph.constants)
result.outputs["y"], result.counters["conv1"].reads["DRAM", "W"]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from effc.backends.accel.boxes import Box
from effc.backends.accel.check import check_program, widths_of
from effc.backends.accel.dram import Dram, setting_box
from effc.backends.accel.emit import emit
from effc.backends.accel.engine import Engine
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import ControlLayer, Epilogue, Layer, NestLayer, NodeLayer, Program, Slot
from effc.backends.accel.layer_clock import clock_of
from effc.backends.accel.limits import Limits
from effc.backends.accel.memory import Memory
from effc.backends.accel.timing import Timing, vector_timing
from effc.backends.accel.trace import Recorder, Trace
from effc.backends.control import run_control
from effc.backends.host import run_node
from effc.compiler.target.model import Target
from effc.ir.bodies import Inside, prefix_of
from effc.ir.counters import EPILOGUE_NAME, Counters
from effc.ir.errors import InputError
from effc.ir.graph import Graph, NestOp, NodeOp, Tensor, View
from effc.ir.nest import Nest
from effc.ir.printer import row_major
from effc.ir.schedule import Schedule
from effc.ir.types import integer_bits, is_narrow, storage
from effc.ir.zeros import Coded, ZeroCounts

Value = Any
Array = npt.NDArray[Any]
Progress = Callable[[int, str], None]
"""Called before each layer with its number and name."""


@dataclass
class RunResult:
    """What a run gave: the outputs, every tensor if asked for, and the counters of every layer by name; of every layer
    on the array its zeros, if they were looked for; in cycle mode the time of every layer on the target.

    ``runs``: how often each layer ran. Counters and times are of all runs; tensors of bodies have their names outside,
    and the values of the last run.
    """

    outputs: dict[str, Value]
    tensors: dict[str, Value] = field(default_factory=dict)
    counters: dict[str, Counters] = field(default_factory=dict)
    zeros: dict[str, ZeroCounts] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)

    def add_trip(self, trip: RunResult, prefix: str) -> None:
        """Add what a run of a body did; of tensors the last values stay."""
        for name, counters in trip.counters.items():
            self.counters.setdefault(name, Counters()).add(counters)
        for name, timing in trip.timings.items():
            self.timings[name] = self.timings[name].plus(timing) if name in self.timings else timing
        self.tensors |= {prefix + name: value for name, value in trip.tensors.items()}
        self.runs.update(trip.runs)


class Machine:
    """A target that executes programs. ``dtype`` is what a word holds, of floating point or integer.

    ``exact``: every memory keeps a valid bit for each word, and a word that was never written faults where it is read.
    Otherwise only DRAM and the memories of partial sums do; elsewhere such a word is NaN, and a layer whose output has
    a NaN runs again exactly. A program that exceeds the ``limits`` is a fault. ``zeros``: count what the target gates
    and compresses, too, which takes up to a half longer. ``cycles``: follow every layer on the clock, too (cycle mode),
    and draw it on the ``trace``, if there is one.
    """

    def __init__(
        self,
        target: Target,
        dtype: npt.DTypeLike = np.float32,
        exact: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - it is immutable
        zeros: bool = False,
        cycles: bool = False,
        trace: Trace | None = None,
    ) -> None:
        self.target, self.dtype, self.limits, self.zeros = target, np.dtype(dtype), limits, zeros
        self.cycles, self.trace = cycles or trace is not None, trace
        self.zeros |= self.cycles and target.mac.skips  # what is skipped takes no time
        self.exact = exact or self.dtype.kind != "f"

    def run(
        self,
        program: Program,
        inputs: Mapping[str, Array],
        constants: Mapping[str, Array],
        keep: Literal["outputs", "all"] | Collection[str] = "outputs",
        progress: Progress | None = None,
    ) -> RunResult:
        """Run a program from its first layer to its last. ``keep``: of which tensors the result has the values."""
        kept = () if keep == "outputs" else set(_every_slot(program)) if keep == "all" else keep
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is a value like any other
            check_program(program, self.target, self.limits)
            run = _Run(self, program, constants, kept)
            run.take({name: value for name, value in inputs.items() if name in program.inputs})
            return run.layers(progress)


class _Run:
    """One run: the DRAM, what the host holds, and the results so far."""

    def __init__(
        self,
        machine: Machine,
        program: Program,
        constants: Mapping[str, Array],
        keep: Collection[str],
    ) -> None:
        self.machine, self.program, self.keep, self.constants = machine, program, keep, constants
        target = machine.target
        self.slots = {slot.name: slot for slot in program.slots}
        self.dram = Dram(target.levels[0].name, program.dram_words, machine.dtype)
        self.host: dict[str, Value] = {}
        written = {name for layer in program.layers for name in written_by(layer)} | {*program.inputs}
        self.assembled = {slot.name for slot in program.slots if slot.name not in written and not slot.constant}
        self.result = RunResult({})
        for slot in program.slots:
            if slot.constant:
                self.store(slot.name, self.given(constants, slot.name))
        self.bodies: dict[str, _Run] = {}

    def take(self, inputs: Mapping[str, Array]) -> None:
        """Store the inputs; those that are constants, too, need not be given."""
        for name in self.program.inputs:
            if name in inputs or not self.slots[name].constant:
                self.store(name, self.given(inputs, name))

    def layers(self, progress: Progress | None) -> RunResult:
        for number, layer in enumerate(self.program.layers):
            if progress is not None:
                progress(number, layer.name)
            self._begin(number)
            self.note([name for name in read_by(layer) if name in self.assembled])
            if isinstance(layer, NestLayer):
                self.result.counters[layer.name] = self.nest(layer)
            elif isinstance(layer, ControlLayer):
                self.result.counters[layer.name] = self.control(layer)
            else:
                self.result.counters[layer.name] = self.node(layer)
            self.result.runs[layer.name] += 1
            if self.machine.cycles:
                self.time(layer)
            self.note([name for name in written_by(layer) if self._complete(name, number)])
        self.result.outputs = {name: self.fetch(name) for name in self.program.outputs}
        return self.result

    def note(self, names: Iterable[str]) -> None:
        """Note the values of tensors, of those that are asked for."""
        self.result.tensors |= {name: self.fetch(name) for name in names if name in self.keep}

    def _begin(self, number: int) -> None:
        """The words of tensors that begin here hold nothing yet."""
        for slot in self.program.slots:
            if slot.first == number and slot.address is not None:
                self.dram.forget(slot_box(slot))

    def _complete(self, name: str, number: int) -> bool:
        """Whether no later layer writes a part of the tensor."""
        return not any(name in written_by(layer) for layer in self.program.layers[number + 1 :])

    # Tensors

    def given(self, values: Mapping[str, Array], name: str) -> Array:
        """A value from outside."""
        if name not in values:
            raise MachineFault(f"tensor {name} has no value", expected="an input or a constant of that name")
        return values[name]

    def fetch(self, name: str, dtype: str = "") -> Value:
        """The value of a tensor in its shape; in its own type, or in the one of the sums that lie there."""
        slot = self.slots[name]
        if slot.address is None:
            if name not in self.host:
                raise MachineFault(f"tensor {name} was never written", expected="a layer before that writes it")
            return self.host[name]
        box = slot_box(slot)
        if not box.view(self.dram.valid, 0).all():
            raise MachineFault(
                f"tensor {name} has words that were never written",
                level=self.dram.level,
                expected="layers that write all of it",
            )
        kind = word_type(dtype or slot.dtype) if self.machine.dtype == np.float32 else self.machine.dtype
        return box.view(self.dram.plane(dtype or slot.dtype).data, 0).astype(kind, order="C")

    def store(self, name: str, value: Value) -> None:
        slot = self.slots[name]
        if slot.address is None:
            self.host[name] = value
            return
        if np.shape(value) != slot.shape:
            raise MachineFault(f"tensor {name} has shape {np.shape(value)}", expected=f"shape {slot.shape}")
        value = np.asarray(value)
        if self.machine.dtype == np.float32 and value.dtype != word_type(slot.dtype):
            raise MachineFault(f"tensor {name} is given as {value.dtype}", expected=slot.dtype)
        box = slot_box(slot)
        box.view(self.dram.plane(slot.dtype).data, 0)[...] = value
        box.view(self.dram.valid, 0)[...] = True

    # Layers

    def nest(self, layer: NestLayer) -> Counters:
        """Run a layer on the array, then its epilogue: nothing reads a finished word before the layer ends."""
        written, epilogue = next(operand for operand in layer.operands if operand.kind == "write"), layer.epilogue
        memory, output = self.dram.layer(layer, self.slots), setting_box(written)
        counters = self.sums(layer, memory, output)
        self.dram.keep(layer, memory, self.slots[written.tensor].dtype if epilogue is None else epilogue.dtype)
        zeros = self.result.zeros.get(layer.name)
        if zeros is not None:
            zeros.stored.update(self.stored(layer, range(1, len(self.machine.target.levels))))
        if epilogue is not None:
            self.finish(written.tensor, epilogue, counters)
        if zeros is not None:
            zeros.stored.update(self.stored(layer, range(1)))
        return counters

    def finish(self, written: str, epilogue: Epilogue, counters: Counters) -> None:
        """The vector unit makes the results of the sums, which it takes as integers of 32 bits or as floats."""
        sums = self.fetch(written, epilogue.dtype)
        values = {epilogue.tensor: sums if sums.dtype.kind in "fV" else sums.astype(np.int32)}
        for step in epilogue.steps:
            inputs = [values[n] if n in values else self.fetch(n) if n else None for n in step.inputs]
            values[step.outputs[0]] = self.node_results(step, inputs)[0]
            counters.results += np.size(values[step.outputs[0]])
        self.store(written, values[written])
        counters.read(self.machine.target.levels[0].name, EPILOGUE_NAME, self._words(epilogue.inputs))

    def sums(self, layer: NestLayer, memory: Memory, output: Box) -> Counters:
        """Run a layer on the array; in doubt about words that were never written, with a valid bit for each."""
        if not self.machine.exact and memory.data.dtype.kind == "f":
            with suppress(MachineFault):
                counters = self.engine(layer, memory, False)
                if not np.isnan(output.view(memory.data, 0)).any():
                    return counters
            self.dram.forget(output)
        return self.engine(layer, memory, True)

    def time(self, layer: Layer) -> None:
        """Follow a layer on the clock."""
        target, trace = self.machine.target, self.machine.trace
        if isinstance(layer, NestLayer):
            recorder = None if trace is None else Recorder()
            clock = clock_of(layer, self.slots, target, recorder, self.work(layer))
            timing, ticks = clock.run(), clock.ports.cycle
            if trace is not None:
                trace.layer(layer.name, layer.op, "array", timing.cycles, recorder, ticks, timing.compute)
        else:
            counters = self.result.counters[layer.name]
            if layer.node.where == "vector":
                read, written = (self._bits(names) for names in (layer.node.inputs, layer.node.outputs))
                timing = vector_timing(target, sum(counters.writes.values()), read, written)
            else:
                timing = Timing(0, 0)
            if trace is not None:
                trace.layer(layer.name, layer.node.op, layer.node.where, timing.cycles)
        if isinstance(layer, NestLayer) or layer.node.where == "vector":
            self.result.timings[layer.name] = timing

    def work(self, layer: NestLayer) -> Fraction:
        """The share of the MACs of a layer that take time: all, unless the target skips those on zeros."""
        if not self.machine.target.mac.skips:
            return Fraction(1)
        return 1 - Fraction(self.result.zeros[layer.name].gated, self.result.counters[layer.name].macs)

    def engine(self, layer: NestLayer, memory: Memory, exact: bool) -> Counters:
        """Run a layer on the array, and count its zeros if they are looked for."""
        machine = self.machine
        engine = Engine(layer, machine.target, memory, memory.data.dtype, exact, machine.zeros)
        counters = engine.run()
        if machine.zeros:
            self.result.zeros[layer.name] = ZeroCounts(engine.gated, {})
        return counters

    def stored(self, layer: NestLayer, positions: range) -> Iterator[tuple[tuple[str, str], Coded]]:
        """The tensors of a layer, in the code of every level at these positions that keeps them in one."""
        target = self.machine.target.with_widths(widths_of(layer, self.slots))
        for position in positions:
            level = target.levels[position]
            for operand in layer.operands:
                if (code := level.code(operand.name)) is not None:
                    dtype = self.slots[operand.tensor].dtype
                    if position and operand.kind == "write" and layer.epilogue is not None:
                        dtype = layer.epilogue.dtype  # partial sums
                    words = setting_box(operand).view(self.dram.plane(dtype).data, 0)
                    bits = ceil(target.bits(position, operand.name))
                    yield (level.name, operand.name), code.encode(words, bits)

    def node(self, layer: NodeLayer) -> Counters:
        node, counters = layer.node, Counters()
        values = [self.fetch(name) if name else None for name in node.inputs]
        results = self.node_results(node, values)
        for name, value in zip(node.outputs, results):
            if name:
                self.store(name, value)
        if node.where == "vector":
            level, unit = self.machine.target.levels[0].name, self.machine.target.vector
            assert unit is not None
            written = self._words(node.outputs)
            counters.read(level, "I", self._words(node.inputs))
            counters.write(level, "O", written)
            counters.cycles = len(range(0, written, unit.lanes))
            counters.results = written
        return counters

    def control(self, layer: ControlLayer) -> Counters:
        """The host runs the bodies of a layer, as often as the node says; what they do is counted with their layers."""
        node = layer.node
        values = [self.fetch(name) if name else None for name in node.inputs]
        captured = {name: self.fetch(name) for name in node.captures}

        def trip(position: int, given: Sequence[Value]) -> list[Value]:
            body, prefix = self.body(layer, position), prefix_of(layer.name, position)
            names = body.program.inputs
            body.result = RunResult({})
            body.take(dict(zip(names, given)) | {name: captured[name] for name in names[len(given) :]})
            body.note(names)
            done = body.layers(None)
            self.result.add_trip(done, prefix)
            return [done.outputs[name] for name in body.program.outputs]

        slots = {slot.name: slot for slot in layer.bodies[0].slots}
        shapes = [(slots[name].dtype, slots[name].shape) for name in layer.bodies[0].outputs]
        try:
            results = run_control(node, values, trip, shapes)
        except InputError as error:
            raise MachineFault(error.message, node.name, expected=error.expected) from None
        for name, value in zip(node.outputs, results):
            if name:
                self.store(name, value)
        return Counters()

    def body(self, layer: ControlLayer, position: int) -> _Run:
        """The run of a body, whose constants are loaded once."""
        prefix = prefix_of(layer.name, position)
        if prefix not in self.bodies:
            keep = {name.removeprefix(prefix) for name in self.keep if name.startswith(prefix)}
            constants = Inside(self.constants, prefix)
            self.bodies[prefix] = _Run(self.machine, layer.bodies[position], constants, keep)
        return self.bodies[prefix]

    def node_results(self, node: NodeOp, values: list[Value]) -> list[Value]:
        """What a node makes of its inputs."""
        try:
            return run_node(node, values, {name: self.fetch(name) for name in node.captures})
        except InputError as error:
            raise MachineFault(error.message, node.name, expected=f"inputs that {node.op} takes") from None

    def _words(self, names: Iterable[str]) -> int:
        """The elements of tensors in DRAM; shapes and indices are no data."""
        return sum(slot_box(self.slots[name]).size for name in names if name and self.slots[name].address is not None)

    def _bits(self, names: Iterable[str]) -> Fraction:
        """What they take there."""
        slots = [self.slots[name] for name in names if name and self.slots[name].address is not None]
        return sum((slot_box(slot).size * self.machine.target.stored_bits(slot.dtype) for slot in slots), Fraction(0))


def _every_slot(program: Program) -> Iterator[str]:
    """The tensors of a program and of its bodies, by their names outside."""
    yield from (slot.name for slot in program.slots)
    for layer in program.layers:
        for position, body in enumerate(layer.bodies if isinstance(layer, ControlLayer) else ()):
            yield from (prefix_of(layer.name, position) + name for name in _every_slot(body))


def read_by(layer: Layer) -> list[str]:
    """The tensors that a layer reads."""
    if isinstance(layer, NestLayer):
        others = () if layer.epilogue is None else layer.epilogue.inputs
        return [*(operand.tensor for operand in layer.operands if operand.kind != "write"), *others]
    return list(filter(None, (*layer.node.inputs, *layer.node.captures)))


def written_by(layer: Layer) -> list[str]:
    """The tensors that a layer writes."""
    if isinstance(layer, NestLayer):
        return [operand.tensor for operand in layer.operands if operand.kind == "write"]
    return list(filter(None, layer.node.outputs))


def word_type(name: str) -> np.dtype[Any]:
    """The numpy type of a tensor in DRAM."""
    if is_narrow(name) or integer_bits(name) == 24:
        return storage(name)
    if name == "bfloat16":
        import ml_dtypes

        name = ml_dtypes.bfloat16
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def slot_box(slot: Slot) -> Box:
    """Where the words of a tensor lie in DRAM."""
    assert slot.address is not None
    assert slot.shape is not None
    return Box(slot.address, slot.shape, slot.strides if slot.within else row_major(slot.shape))


def run_nest(
    nest: Nest,
    schedule: Schedule,
    target: Target,
    arrays: Mapping[str, Array],
    dtype: npt.DTypeLike = np.float32,
    exact: bool = False,
) -> tuple[Array, Counters]:
    """Run one nest, its operands given by name: its output and its counters."""
    result = Machine(target, dtype, exact).run(emit(graph_of(nest, schedule, arrays), target), {}, arrays)
    return result.outputs[nest.output.name], result.counters[nest.name]


def run_zeros(nest: Nest, schedule: Schedule, target: Target, arrays: Mapping[str, Array]) -> ZeroCounts:
    """Run one nest on data: the MACs that were gated, and what its tensors take where the target compresses them."""
    result = Machine(target, zeros=True).run(emit(graph_of(nest, schedule, arrays), target), {}, arrays)
    return result.zeros[nest.name]


def graph_of(nest: Nest, schedule: Schedule, arrays: Mapping[str, Array]) -> Graph:
    """A graph of one nest whose tensors are its operands, the reads being constants."""
    types = {name: str(array.dtype) for name, array in arrays.items() if np.asarray(array).dtype.kind == "f"}
    tensors = {name: Tensor(name, types.get(name, "float32"), operand.shape) for name, operand in nest.operands.items()}
    uses = {
        name: View(name, 0, tuple(int(np.prod(operand.shape[axis + 1 :])) for axis in range(len(operand.axes))))
        for name, operand in nest.operands.items()
    }
    output = nest.output.name
    constants = {name: np.asarray(arrays[name]) for name in nest.operands if name != output}
    op = NestOp(nest, uses, "Nest", nest.name, schedule)
    return Graph(nest.name, (), (output,), tensors, (op,), constants)
