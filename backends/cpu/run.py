"""Runs scheduled nests, and whole models, as compiled C in this process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from effc.backends.control import result_shapes, run_control
from effc.backends.cpu.build import build
from effc.backends.cpu.emit import WORDS, CSource, contiguous, emit_file
from effc.backends.parts import keep_parts
from effc.ir.bodies import every_nest
from effc.ir.errors import InputError
from effc.ir.graph import Array, ControlOp, Graph, NestOp, NodeOp, Tensor
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

Values = dict[str, Any]
"""The tensors at hand: arrays, and whatever else a host operator returns."""


def run_nest(nest: Nest, schedule: Schedule, arrays: Mapping[str, Array]) -> Array:
    """The output of a scheduled nest, given a float32 array for each read and for the bias."""
    for name, operand in nest.operands.items():
        if operand is not nest.output and arrays[name].shape != operand.shape:
            raise ValueError(f"nest {nest.name!r}: {name!r} has shape {arrays[name].shape}, not {operand.shape}")
    return NestProgram([NestOp(nest, contiguous(nest), "", nest.name, schedule)])(0, arrays)


class NestProgram:
    """Nest ops compiled into one library; call it with the number of an op and the tensors that the op uses."""

    def __init__(self, ops: Sequence[NestOp], tensors: Sequence[Mapping[str, Tensor]] = ()) -> None:
        for op in ops:
            _check_views(op)
        self.ops = tuple(ops)
        self.source: CSource = emit_file(self.ops, tensors)

    @cached_property
    def functions(self) -> tuple[Callable[..., None], ...]:
        """The functions of the library, which is built when the first one is called."""
        library = build(self.source.text)
        functions = [library[name] for name in self.source.functions]
        for function in functions:
            function.restype = None
        return tuple(functions)

    def __call__(self, number: int, tensors: Mapping[str, Any], into: Array | None = None) -> Array:
        """Run op ``number``; it writes into the array ``into``, or else into a new one of the output's shape."""
        op, dtype = self.ops[number], np.dtype(self.source.types[number])
        output = op.nest.output
        result = np.zeros(output.shape, dtype) if into is None else into
        held = []
        for name in op.nest.operands:
            view = op.uses[name]
            array = result if name == output.name else np.require(tensors[view.tensor], requirements=("C", "A"))
            _check_array(op, name, array, dtype)
            held.append(array)
        for name in op.epilogue_inputs if self.source.finished[number] else ():
            held.append(np.require(tensors[name], np.float32, requirements=("C", "A")))
        self.functions[number](*(array.ctypes.data_as(ctypes.c_void_p) for array in held))
        return result


class CpuProgram:
    """A model on the CPU: its nests in C, all other ops on the host. Every nest op has its schedule.

    ``nests``: those of a model of which ``graph`` is a body.
    """

    def __init__(self, graph: Graph, nests: NestProgram | None = None) -> None:
        check_types(graph)
        self.graph = graph
        self._nests = nests or _all_nests(graph)
        self._numbers = {id(op): number for number, op in enumerate(self._nests.ops)}
        self._bodies = {
            (op.name, position): CpuProgram(body, self._nests)
            for op in graph.ops
            if isinstance(op, ControlOp)
            for position, body in enumerate(op.bodies)
        }
        self._dying = _last_uses(graph)

    @property
    def source(self) -> str:
        """The C file: a function for every nest."""
        return self._nests.source.text

    def run(self, inputs: Mapping[str, Any]) -> Values:
        """The outputs of the model for these inputs."""
        values: Values = {**self.graph.constants, **_checked_inputs(self.graph, inputs)}
        keep_parts(self.graph, (*self.graph.inputs, *self.graph.constants), values)
        for op, dying in zip(self.graph.ops, self._dying, strict=True):
            if isinstance(op, NestOp):
                self._run_nest(op, values)
            elif isinstance(op, ControlOp):
                self._run_control(op, values)
            else:
                _run_node(op, values)
            keep_parts(self.graph, op.outputs, values)
            for name in dying:
                values.pop(name, None)
        return {name: values[name] for name in self.graph.outputs}

    def _run_control(self, op: ControlOp, values: Values) -> None:
        """The host runs the bodies of an op, as often as it says."""

        def run(position: int, given: Sequence[Any]) -> list[Any]:
            body = self._bodies[op.name, position]
            names = body.graph.inputs
            inputs = {name: values[name] for name in names[len(given) :]} | dict(zip(names, given))
            found = body.run({name: np.asarray(value) for name, value in inputs.items()})
            return [found[name] for name in body.graph.outputs]

        inputs = [values[name] if name else None for name in op.inputs]
        results = run_control(op, inputs, run, result_shapes(op.bodies[0]))
        values.update((name, value) for name, value in zip(op.outputs, results, strict=True) if name)

    def _run_nest(self, op: NestOp, values: Values) -> None:
        """A nest may write only a part of its output tensor, and another one the rest. Steps that C lacks follow."""
        tensor = self.graph.tensors[op.uses[op.nest.output.name].tensor]
        if tensor.name not in values:
            values[tensor.name] = np.zeros(tensor.shape or (), tensor.dtype)
        number = self._numbers[id(op)]
        self._nests(number, values, values[tensor.name])
        if self._nests.source.finished[number]:
            values[op.outputs[0]] = values.pop(tensor.name)
            return
        for step in op.epilogue:
            _run_node(step, values)
        for name in op.inner:
            del values[name]


def _run_node(op: NodeOp, values: Values) -> None:
    from effc.backends.host import run_node  # imports onnxruntime: only where it is needed

    inputs = [values[name] if name else None for name in op.inputs]
    outputs = run_node(op, inputs, {name: values[name] for name in op.captures})
    values.update((name, value) for name, value in zip(op.outputs, outputs, strict=True) if name)


def _last_uses(graph: Graph) -> list[list[str]]:
    """For each op the tensors that nobody needs after it."""
    needed = {*graph.outputs, *graph.constants}
    dying: list[list[str]] = []
    for op in reversed(graph.ops):
        captures = op.captures if isinstance(op, NodeOp) else ()
        names = dict.fromkeys((*op.inputs, *captures, *op.outputs))
        dying.append([name for name in names if name not in needed])
        needed.update(names)
    return dying[::-1]


def _checked_inputs(graph: Graph, inputs: Mapping[str, Any]) -> Values:
    """The inputs of the model, each of the type and shape that the model declares."""
    for name in inputs:
        if name not in graph.inputs:
            raise InputError(
                f"the model has no input {name!r}",
                expected=", ".join(map(repr, graph.inputs)) or "no input at all",
                remedy="rename or leave out this array",
            )
    return {name: _checked_input(graph.tensors[name], inputs) for name in graph.inputs if name not in graph.constants}


def _checked_input(tensor: Tensor, inputs: Mapping[str, Any]) -> Any:
    expected = tensor.dtype if tensor.shape is None else f"{tensor.dtype}{list(tensor.shape)}"
    remedy = f"give an array named {tensor.name!r} of this type and shape"
    if tensor.name not in inputs:
        raise InputError(f"input {tensor.name!r} is missing", expected=expected, remedy=remedy)
    value = inputs[tensor.name]
    if tensor.dtype.endswith(")") or not tensor.dtype:  # no tensor, or nobody knows: the op that reads it will tell
        return value
    if not isinstance(value, np.ndarray):
        raise InputError(f"input {tensor.name!r} is no array", expected=expected, remedy=remedy)
    dtype = "object" if value.dtype.kind in "OSU" else value.dtype.name
    if dtype != tensor.dtype or tensor.shape not in (None, value.shape):
        raise InputError(f"input {tensor.name!r} is {dtype}{list(value.shape)}", expected=expected, remedy=remedy)
    return value


def check_types(graph: Graph) -> None:
    """Raise an ``InputError`` unless every nest is of float32, or of float64."""
    for op, around in every_nest(graph):
        types = {around.tensors[view.tensor].dtype for view in op.uses.values()}
        if len(types) > 1 or not types.issubset(WORDS):
            raise InputError(
                f"{op.op} {op.origin!r} computes in {' and '.join(sorted(types))}, which the CPU backend cannot",
                expected="float32, or float64 throughout",
                remedy="convert the model to float32, or compile it for the accelerator: --backend accel",
            )


def _all_nests(graph: Graph) -> NestProgram:
    """The nests of a model and of its bodies."""
    nests = list(every_nest(graph))
    return NestProgram([op for op, _ in nests], [around.tensors for _, around in nests])


def _check_views(op: NestOp) -> None:
    """C does not look where it reads and writes: no address may be negative."""
    for name in op.nest.operands:
        if _reach(op, name)[0] < 0:
            raise ValueError(f"nest {op.name!r}: the view of {name!r} begins before its tensor")


def _check_array(op: NestOp, name: str, array: Array, dtype: np.dtype[Any]) -> None:
    """The array is one of words of this type in a row, at least as many as the view reaches."""
    if array.dtype != dtype:
        raise ValueError(f"nest {op.name!r}: {name!r} is {array.dtype}; its words are {dtype}")
    if not array.flags.c_contiguous:
        raise ValueError(f"nest {op.name!r}: the words of {name!r} do not lie in a row")
    if array.size <= _reach(op, name)[1]:
        raise ValueError(f"nest {op.name!r}: the view of {name!r} ends behind its tensor of {array.size} words")


def _reach(op: NestOp, name: str) -> tuple[int, int]:
    """The lowest and the highest word that the view of an operand touches."""
    view, shape = op.uses[name], op.nest.operands[name].shape
    spans = [stride * (size - 1) for stride, size in zip(view.strides, shape, strict=True)]
    return view.offset + sum(min(0, s) for s in spans), view.offset + sum(max(0, s) for s in spans)
