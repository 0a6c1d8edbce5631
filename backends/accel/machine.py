"""The machine: runs a program on real memories and counts every word that moves.

result = Machine(target).run(program, {"x": x}, graph.constants)
result.outputs["y"], result.counters["conv1"].reads["DRAM", "W"]
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from effc.backends.accel.check import check_program
from effc.backends.accel.emit import emit
from effc.backends.accel.isa import ControlLayer, Program
from effc.backends.accel.limits import Limits
from effc.backends.accel.run import Progress, Run, RunResult
from effc.backends.accel.trace import Trace
from effc.compiler.target.model import Target
from effc.ir.bodies import prefix_of
from effc.ir.counters import Counters
from effc.ir.graph import Graph, NestOp, Tensor, View
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule
from effc.ir.zeros import ZeroCounts

Array = npt.NDArray[Any]


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
            run = Run(self, program, constants, kept)
            run.take({name: value for name, value in inputs.items() if name in program.inputs})
            return run.layers(progress)


def _every_slot(program: Program) -> Iterator[str]:
    """The tensors of a program and of its bodies, by their names outside."""
    yield from (slot.name for slot in program.slots)
    for layer in program.layers:
        for position, body in enumerate(layer.bodies if isinstance(layer, ControlLayer) else ()):
            yield from (prefix_of(layer.name, position) + name for name in _every_slot(body))


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
