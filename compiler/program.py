"""A compiled model: what the compiler made of it, ready to be run, verified, shown and saved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from effc.compiler.errors import InputError
from effc.compiler.inputs import checked_inputs, random_inputs
from effc.compiler.original import INTEGERS, ORT, Original
from effc.compiler.pipeline import Backend
from effc.compiler.target.model import Target
from effc.ir.bodies import every_constant, every_op
from effc.ir.constants import array_bytes, digest, present
from effc.ir.graph import Array, Graph, NestOp

if TYPE_CHECKING:
    from effc.backends.accel import Program, RunResult, Trace
    from effc.compiler.comparison import Check
    from effc.compiler.report import Report
    from effc.compiler.verify import Verification

Form = Literal["loops", "ir", "asm"]

Progress = Callable[[int, str], None]
"""Called before each layer of a run with its number and name."""


def sizes_text(dims: Mapping[str, int]) -> str:
    """``seq=128, past=0``."""
    return ", ".join(f"{name}={size}" for name, size in dims.items())


def fits(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether inputs of these shapes are those of a graph, as far as it knows them."""
    known = {name: graph.tensors[name].shape for name in graph.inputs}
    return all(known.get(name) in (None, shape) for name, shape in shapes.items())


@dataclass(frozen=True)
class CompiledProgram:
    """A model compiled for a target. ``program`` is that of the accelerator; the CPU backend needs only the graph.

    ``draft`` is the report but for the digest of the model, which takes its time. ``sizes`` are those of its symbolic
    dims, as text; ``others`` is the same model, compiled for other sizes.
    """

    graph: Graph
    target: Target
    draft: Report
    model_sha256: Callable[[], str]
    backend: Backend
    program: Program | None
    original: Original
    sizes: str = ""
    others: tuple[CompiledProgram, ...] = ()

    @cached_property
    def report(self) -> Report:
        """What the program moves and costs."""
        return replace(self.draft, model=replace(self.draft.model, sha256=self.model_sha256()))

    @property
    def variants(self) -> tuple[CompiledProgram, ...]:
        """This program, and those for other sizes."""
        return (self, *self.others)

    def fitting(self, inputs: Mapping[str, Any]) -> CompiledProgram:
        """The program for inputs of these shapes; this one, if there is none."""
        shapes = {name: np.shape(value) for name, value in inputs.items() if isinstance(value, np.ndarray)}
        return next((program for program in self.variants if fits(program.graph, shapes)), self)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of the model by name: from the simulated machine, or from the CPU."""
        if self.others:
            return replace(self.fitting(inputs), others=()).run(inputs)
        values = checked_inputs(self.graph, inputs)
        if self.backend == "cpu":
            from effc.backends.cpu import CpuProgram

            return dict(CpuProgram(self.graph).run(values))
        return dict(self.execute(values).outputs)

    def execute(
        self,
        inputs: Mapping[str, Any],
        keep: Collection[str] = (),
        progress: Progress | None = None,
        cycles: bool = False,
        trace: Trace | None = None,
        zeros: bool = False,
    ) -> RunResult:
        """One run of the machine: outputs, the tensors to ``keep``, and the counters of every layer.

        ``cycles``: also the time of every layer, from the machine's clock; with a ``trace`` it is drawn there, too.
        ``zeros``: also what the target gates and compresses, if it does.
        """
        from effc.backends.accel import Machine, MachineFault

        if self.program is None:
            raise InputError("compiled for the CPU: there is no program of the accelerator", remedy="--backend accel")
        try:
            machine = Machine(self.target, zeros=zeros and self.target.uses_zeros, cycles=cycles, trace=trace)
            return machine.run(self.program, inputs, every_constant(self.graph), keep, progress)
        except MachineFault as fault:
            raise InputError(f"the machine stopped: {fault}", remedy=fault.remedy) from fault

    def measured(self, result: RunResult) -> Report:
        """The report, with what the tensors of a run have of zeros."""
        from effc.compiler.report.zeros import with_zeros

        return with_zeros(self.report, self.graph, self.target, result.zeros, result.runs)

    def verify(
        self, inputs: Mapping[str, Any] | None = None, seed: int = 0, progress: Progress | None = None
    ) -> Verification:
        """Run with ``inputs``, or with random ones, and compare values and counters with what does not know the run.

        With inputs the program that fits them is verified; without, every one.
        """
        from effc.compiler.verify import Verification, joined

        if self.others:
            programs = self.variants if inputs is None else (self.fitting(inputs),)
            alone = [replace(program, others=()) for program in programs]
            return joined({program.sizes: program.verify(inputs, seed, progress) for program in alone})
        values = random_inputs(self.graph, seed) if inputs is None else checked_inputs(self.graph, inputs)
        if self.backend == "cpu":
            checks, notes = self._outputs(values, self.run(values))
            return Verification(tuple(checks), (*notes, "the CPU backend counts no words"))
        kept = {
            scope.prefix + name
            for op, scope in every_op(self.graph)
            if isinstance(op, NestOp)
            for name in (*op.inputs, *op.outputs)
        }
        result = self.execute(values, kept, progress)
        checks, notes = self._outputs(values, result.outputs)
        checks += self._layers({**values, **result.tensors, **result.outputs}, result)
        return Verification(tuple(checks), notes)

    def _outputs(self, inputs: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[list[Check], tuple[str, ...]]:
        """The outputs compared with onnxruntime's, and what there is to say about it."""
        from effc.compiler.comparison import has_numbers
        from effc.compiler.verify import compare_outputs, unpredictable

        if name := unpredictable(self.graph):
            return [], (f"the outputs are not compared: '{name}' draws random numbers",)
        expected, source = self.original.run(inputs, self._constant_bytes)
        checks = compare_outputs(self.graph, found, expected)
        if source == INTEGERS and not all(check.ok for check in checks):  # perhaps nothing became integers here
            plain, other = self.original.run(inputs, self._constant_bytes, integers=False)
            again = compare_outputs(self.graph, found, plain)
            if all(check.ok for check in again):
                expected, source, checks = plain, other, again
        hollow = [name for name in self.graph.outputs if not has_numbers(expected[name])]
        notes = {
            ORT: (),
            INTEGERS: (f"compared with {source}: what stands between DequantizeLinear and QuantizeLinear",),
        }.get(source, (f"onnxruntime cannot run the model: the outputs are those of {source}",))
        notes += tuple(f"no number of '{name}' is finite: give other inputs to compare it" for name in hollow)
        return checks, notes

    def _layers(self, tensors: Mapping[str, Any], result: RunResult) -> list[Check]:
        """Every layer compared with what it means, and its counters with the cost model."""
        from effc.compiler.comparison import Check
        from effc.compiler.verify import compare_counters, compare_layers

        ops = {op.name: op.op for op, _ in every_op(self.graph)}
        checks = {check.name: check for check in compare_layers(self.graph, tensors)}
        for name, count, lines in compare_counters(self.graph, self.target, result.counters, result.runs):
            check = checks.get(name) or Check(name, ops[name], "vector")
            checks[name] = replace(check, counters=count, differences=(*check.differences, *lines))
        return list(checks.values())

    def show(self, layer: str | None = None, as_: Form = "loops") -> str:
        """The model, or one layer of it, as loop nests, as IR or as assembly."""
        from effc.compiler.show import show

        return show(self, layer, as_)

    def save(self, path: str | Path) -> None:
        """Write the program and all that it needs into one file."""
        with self.saving(path):
            pass

    def saving(self, path: str | Path) -> AbstractContextManager[None]:
        """The same beside what a ``with`` does. The file is in place at its end; an exception in it leaves none."""
        from effc.compiler.artefact import saving

        return saving(self, Path(path))

    @cached_property
    def constants(self) -> dict[str, str]:
        """The names of the constants by their digests; of several equal ones, the last."""
        return {digest(value): name for name, value in self.values.items()}

    @cached_property
    def values(self) -> dict[str, Array]:
        """The constants, those of bodies by their names outside."""
        return every_constant(self.graph)

    def _constant_bytes(self, sha256: str) -> bytes:
        if sha256 not in self.constants:
            raise InputError("damaged file: a tensor of its model is missing")
        return bytes(array_bytes(present(self.values[self.constants[sha256]])))
