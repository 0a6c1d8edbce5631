"""One run of a program: layer by layer, on the array, the vector unit and the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from effc.backends.accel.boxes import Box
from effc.backends.accel.check import widths_of
from effc.backends.accel.dram import setting_box
from effc.backends.accel.engine import Engine
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import ControlLayer, Epilogue, Layer, NestLayer, NodeLayer, Program
from effc.backends.accel.layer_clock import clock_of
from effc.backends.accel.memory import Memory
from effc.backends.accel.tensors import Tensors, Value
from effc.backends.accel.timing import Timing, vector_timing
from effc.backends.accel.trace import Recorder
from effc.backends.control import run_control
from effc.backends.host import run_node
from effc.ir.bodies import Inside, prefix_of
from effc.ir.constants import present
from effc.ir.counters import EPILOGUE_NAME, Counters
from effc.ir.errors import InputError
from effc.ir.graph import NodeOp
from effc.ir.zeros import Coded, ZeroCounts

if TYPE_CHECKING:
    from effc.backends.accel.machine import Machine

Array = npt.NDArray[Any]
Progress = Callable[[int, str], None]
"""Called before each layer with its number and name."""


@dataclass
class RunResult:
    """What a run gave: the outputs, every tensor if asked for, and the counters of every layer by name; of every layer
    on the array its zeros, if they were looked for; in cycle mode the time of every layer on the target.

    ``runs``: how often each layer ran. Counters, zeros and times are of all runs; tensors of bodies have their names
    outside, and the values of the last run.
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
        for name, zeros in trip.zeros.items():
            self.zeros.setdefault(name, ZeroCounts()).add(zeros)
        self.tensors |= {prefix + name: value for name, value in trip.tensors.items()}
        self.runs.update(trip.runs)


class Run:
    """One run: the tensors, and the results so far."""

    def __init__(
        self,
        machine: Machine,
        program: Program,
        constants: Mapping[str, Array],
        keep: Collection[str],
        trips: Iterator[int] | None = None,
    ) -> None:
        self.machine, self.program, self.keep, self.constants = machine, program, keep, constants
        self.trips = trips or count()  # how often bodies ran, those in bodies included
        self.tensors = Tensors(program, machine.target, machine.dtype)
        self.slots, self.dram = self.tensors.slots, self.tensors.dram
        written = {name for layer in program.layers for name in written_by(layer)} | {*program.inputs}
        self.assembled = {slot.name for slot in program.slots if slot.name not in written and not slot.constant}
        self.result = RunResult({})
        for slot in program.slots:
            if slot.constant:
                self.tensors.store(slot.name, given(constants, slot.name))
        self.bodies: dict[str, Run] = {}

    def take(self, inputs: Mapping[str, Array]) -> None:
        """Store the inputs; those that are constants, too, need not be given."""
        for name in self.program.inputs:
            if name in inputs or not self.slots[name].constant:
                self.tensors.store(name, given(inputs, name))

    def layers(self, progress: Progress | None) -> RunResult:
        for number, layer in enumerate(self.program.layers):
            if progress is not None:
                progress(number, layer.name)
            self.tensors.begin(number)
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
        self.result.outputs = {name: self.tensors.fetch(name) for name in self.program.outputs}
        return self.result

    def note(self, names: Iterable[str]) -> None:
        """Note the values of tensors, of those that are asked for."""
        self.result.tensors |= {name: self.tensors.fetch(name) for name in names if name in self.keep}

    def _complete(self, name: str, number: int) -> bool:
        """Whether no later layer writes a part of the tensor."""
        return not any(name in written_by(layer) for layer in self.program.layers[number + 1 :])

    # Layers

    def nest(self, layer: NestLayer) -> Counters:
        """Run a layer on the array, then its epilogue: nothing reads a finished word before the layer ends."""
        written, epilogue = next(operand for operand in layer.operands if operand.kind == "write"), layer.epilogue
        memory, output = self.dram.layer(layer, self.slots), setting_box(written)
        counters = self.sums(layer, memory, output)
        self.dram.keep(layer, memory, self.slots[written.tensor].dtype if epilogue is None else epilogue.dtype)
        self.tensors.round(output, self.slots[written.tensor].dtype)
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
        sums = self.tensors.fetch(written, epilogue.dtype)
        values = {epilogue.tensor: sums if sums.dtype.kind in "fV" else sums.astype(np.int32)}
        for step in epilogue.steps:
            inputs = [values[n] if n in values else self.tensors.fetch(n) if n else None for n in step.inputs]
            values[step.outputs[0]] = self.node_results(step, inputs)[0]
            counters.results += np.size(values[step.outputs[0]])
        self.tensors.store(written, values[written])
        counters.read(self.machine.target.levels[0].name, EPILOGUE_NAME, self.tensors.words(epilogue.inputs))

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
                read, written = (self.tensors.bits(names, target) for names in (layer.node.inputs, layer.node.outputs))
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
        values = [self.tensors.fetch(name) if name else None for name in node.inputs]
        results = self.node_results(node, values)
        for name, value in zip(node.outputs, results):
            if name:
                self.tensors.store(name, value)
        if node.where == "vector":
            level, unit = self.machine.target.levels[0].name, self.machine.target.vector
            assert unit is not None
            written = self.tensors.words(node.outputs)
            counters.read(level, "I", self.tensors.words(node.inputs))
            counters.write(level, "O", written)
            counters.cycles = len(range(0, written, unit.lanes))
            counters.results = written
        return counters

    def control(self, layer: ControlLayer) -> Counters:
        """The host runs the bodies of a layer, as often as the node says; what they do is counted with their layers."""
        node = layer.node
        values = [self.tensors.fetch(name) if name else None for name in node.inputs]
        captured = {name: self.tensors.fetch(name) for name in node.captures}

        def trip(position: int, given: Sequence[Value]) -> list[Value]:
            if next(self.trips) == self.machine.limits.trips:
                raise MachineFault(f"bodies ran {self.machine.limits.trips} times", node.name, expected="an end")
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
                self.tensors.store(name, value)
        return Counters()

    def body(self, layer: ControlLayer, position: int) -> Run:
        """The run of a body, whose constants are loaded once."""
        prefix = prefix_of(layer.name, position)
        if prefix not in self.bodies:
            keep = {name.removeprefix(prefix) for name in self.keep if name.startswith(prefix)}
            constants = Inside(self.constants, prefix)
            self.bodies[prefix] = Run(self.machine, layer.bodies[position], constants, keep, self.trips)
        return self.bodies[prefix]

    def node_results(self, node: NodeOp, values: list[Value]) -> list[Value]:
        """What a node makes of its inputs."""
        try:
            return run_node(node, values, {name: self.tensors.fetch(name) for name in node.captures})
        except InputError as error:
            remedy = error.remedy or "give inputs that the model takes: --input X.npz"
            raise MachineFault(
                error.message, node.name, expected=f"inputs that {node.op} takes", remedy=remedy
            ) from None


def given(values: Mapping[str, Array], name: str) -> Value:
    """A value from outside."""
    if name not in values:
        raise MachineFault(f"tensor {name} has no value", expected="an input or a constant of that name")
    return present(values[name])


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
