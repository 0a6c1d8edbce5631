"""The value of a graph, op by op, computed without any schedule: what every backend can be compared with.

A nest is evaluated as one tensor product: each operand is laid out with an axis per relevant dim (the windows of a
convolution are overlapping strides over padded memory), and the sum over the reduction dims is a batched matrix
product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from effc.backends.control import result_shapes, run_control
from effc.backends.host import Value, run_node
from effc.backends.parts import keep_parts
from effc.ir.errors import InputError
from effc.ir.graph import Array, ControlOp, Graph, NestOp, NodeOp, View
from effc.ir.nest import Axis, Nest, Operand


def reference_run(
    graph: Graph, inputs: Mapping[str, Value], accumulate: npt.DTypeLike = np.float32
) -> dict[str, Value]:
    """Every tensor of ``graph`` by name, for these inputs; ``accumulate`` is the type of the sums of nests."""
    if missing := [name for name in graph.inputs if name not in inputs]:
        raise InputError(f"the input '{missing[0]}' is missing", graph.name, expected=", ".join(graph.inputs))
    values: dict[str, Value] = {**graph.constants, **{name: inputs[name] for name in graph.inputs}}
    keep_parts(graph, (*graph.inputs, *graph.constants), values)
    for op in graph.ops:
        if isinstance(op, NestOp):
            _store(graph, op, run_nest(op, values, accumulate), values)
            if op.epilogue:
                values[op.outputs[0]] = run_epilogue(op, values[op.inner[0]], values)
        elif isinstance(op, ControlOp):
            values |= {name: value for name, value in zip(op.outputs, _control(op, values, accumulate)) if name}
        else:
            values |= {name: value for name, value in zip(op.outputs, run_op(op, values)) if name}
        keep_parts(graph, op.outputs, values)
    return values


def _control(op: ControlOp, values: Mapping[str, Value], accumulate: npt.DTypeLike) -> list[Value]:
    """The outputs of a control op."""

    def run(position: int, given: Sequence[Value]) -> list[Value]:
        body = op.bodies[position]
        inputs = {name: values[name] for name in body.inputs[len(given) :]} | dict(zip(body.inputs, given))
        found = reference_run(body, inputs, accumulate)
        return [found[name] for name in body.outputs]

    inputs = [values[name] if name else None for name in op.inputs]
    return run_control(op, inputs, run, result_shapes(op.bodies[0]))


def run_op(op: NodeOp, values: Mapping[str, Value]) -> list[Value | None]:
    """The outputs of a node whose inputs are among ``values``."""
    inputs = [values[name] if name else None for name in op.inputs]
    return run_node(op, inputs, {name: values[name] for name in op.captures})


def run_nest(op: NestOp, arrays: Mapping[str, Array], accumulate: npt.DTypeLike = np.float32) -> Array:
    """The output operand of a nest, an index per axis, in the type of its first operand; of integers, int32."""
    nest = op.nest
    dtype = arrays[op.uses[nest.reads[0].name].tensor].dtype
    whole = dtype.kind not in "fV"
    if whole or dtype == np.float64:
        accumulate = np.float64  # exact for integers: sums of 32 bits have less than 53
    terms = [_term(nest, read, _at(op.uses[read.name], read.shape, arrays), accumulate) for read in nest.reads]
    value = _product(nest, terms)
    if nest.bias is not None:
        words = _at(op.uses[nest.bias.name], nest.bias.shape, arrays)
        value = value + _aligned(_term(nest, nest.bias, words, accumulate), _output_dims(nest))
    output = np.zeros(nest.output.shape, np.int32 if whole else dtype)
    _windows(output, nest.output, nest.bounds, writeable=True)[...] = value
    return output


def run_epilogue(op: NestOp, sums: Array, values: Mapping[str, Value]) -> Array:
    """The result of the epilogue of a nest, whose sums are given as the tensor that the first step reads."""
    made: dict[str, Value] = {op.inner[0]: sums}
    for step in op.epilogue:
        read = filter(None, (*step.inputs, *step.captures))
        made[step.outputs[0]] = run_op(step, {name: made[name] if name in made else values[name] for name in read})[0]
    result: Array = made[op.outputs[0]]
    return result


def whole(op: NestOp, value: Array, shape: tuple[int, ...]) -> Array:
    """The output operand of a nest as the tensor of this shape, all of which it writes."""
    tensor = np.empty(shape, value.dtype)
    _strided(tensor.reshape(-1), op.uses[op.nest.output.name], value.shape, writeable=True)[...] = value
    return tensor


Term = tuple[list[str], Array]
"""Names of dims, and an array with an axis for each."""


def _store(graph: Graph, op: NestOp, value: Array, values: dict[str, Value]) -> None:
    """Put the output operand where its view lies in the output tensor."""
    view = op.uses[op.nest.output.name]
    tensor = graph.tensors[view.tensor]
    array = values.setdefault(view.tensor, np.zeros(tensor.shape or (), value.dtype))
    _strided(array.reshape(-1), view, value.shape, writeable=True)[...] = value


def _at(view: View, shape: tuple[int, ...], arrays: Mapping[str, Array]) -> Array:
    """The words of an operand; integers above their zero point."""
    words = _strided(np.ascontiguousarray(arrays[view.tensor]).reshape(-1), view, shape)
    return words if view.zero is None else words.astype(np.int64) - _at(view.zero, shape, arrays)


def _strided(words: Array, view: View, shape: tuple[int, ...], writeable: bool = False) -> Array:
    """The words that a view of flat memory shows."""
    strides = tuple(stride * words.itemsize for stride in view.strides)
    return as_strided(words[view.offset :], shape, strides, writeable=writeable)


def _term(nest: Nest, operand: Operand, words: Array, dtype: npt.DTypeLike) -> Term:
    """An operand with an axis per relevant dim; what it holds on padding is zero."""
    spans = [_span(axis, nest.bounds) for axis in operand.axes]
    margins = [(max(0, -low), max(0, high - axis.size + 1)) for axis, (low, high) in zip(operand.axes, spans)]
    padded = words.astype(dtype)
    if any(map(any, margins)):
        padded = np.pad(padded, margins)
    shifted = [Axis(axis.terms, axis.offset + below, 0) for axis, (below, _) in zip(operand.axes, margins)]
    dims = [dim for axis in operand.axes for dim in axis.dims]
    return dims, _windows(padded, Operand(operand.name, tuple(shifted)), nest.bounds)


def _span(axis: Axis, bounds: Mapping[str, int]) -> tuple[int, int]:
    """The smallest and the largest index that an axis takes."""
    steps = [factor * (bounds[dim] - 1) for factor, dim in axis.terms]
    low = axis.offset + sum(step for step in steps if step < 0)
    return low, low + sum(abs(step) for step in steps)


def _windows(words: Array, operand: Operand, bounds: Mapping[str, int], writeable: bool = False) -> Array:
    """A view of ``words`` with an axis per dim of ``operand``, whose indices all lie inside."""
    start = words[tuple(slice(axis.offset, None) for axis in operand.axes)]
    shape = [bounds[dim] for axis in operand.axes for dim in axis.dims]
    strides = [f * stride for axis, stride in zip(operand.axes, words.strides) for f, _ in axis.terms]
    return as_strided(start, shape, strides, writeable=writeable)


def _product(nest: Nest, terms: Sequence[Term]) -> Array:
    """The product of the terms, summed over the reduction dims, with an axis per dim of the output."""
    everywhere = nest.output.dims.union(*(dims for dims, _ in terms))
    missing = prod(dim.bound for dim in nest.dims if dim.name not in everywhere)
    left, *others = (_reduced(nest, i, terms) for i in range(len(terms)))
    dims, value = _matmul(nest, left, others[0]) if others else left
    return _aligned((dims, value * missing if missing > 1 else value), _output_dims(nest))


def _reduced(nest: Nest, position: int, terms: Sequence[Term]) -> Term:
    """A term without the reduction dims that no other term has."""
    dims, value = terms[position]
    others = {dim for i, (names, _) in enumerate(terms) if i != position for dim in names}
    alone = [dim in nest.reduction_dims and dim not in others for dim in dims]
    if not any(alone):
        return dims, value
    return [dim for dim, gone in zip(dims, alone) if not gone], value.sum(axis=tuple(np.flatnonzero(alone).tolist()))


def _matmul(nest: Nest, left: Term, right: Term) -> Term:
    """Two terms multiplied and summed over the reduction dims, as one batched matrix product."""
    shared = [dim for dim in left[0] if dim in right[0]]
    batch = [dim for dim in shared if dim in nest.output.dims]
    inner = [dim for dim in shared if dim not in batch]
    rows = [dim for dim in left[0] if dim not in shared]
    columns = [dim for dim in right[0] if dim not in shared]
    value = _matrices(nest, left, batch, rows, inner) @ _matrices(nest, right, batch, inner, columns)
    dims = batch + rows + columns
    return dims, value.reshape([nest.bounds[dim] for dim in dims])


def _matrices(nest: Nest, term: Term, *groups: list[str]) -> Array:
    """A term with its dims in the order of ``groups``, one axis per group."""
    dims, value = term
    ordered = value.transpose([dims.index(dim) for group in groups for dim in group])
    return ordered.reshape([prod(nest.bounds[dim] for dim in group) for group in groups])


def _output_dims(nest: Nest) -> list[str]:
    return [dim for axis in nest.output.axes for dim in axis.dims]


def _aligned(term: Term, dims: Iterable[str]) -> Array:
    """A term with an axis for each of ``dims``; of size one where it does not depend on it."""
    names, value = term
    order = list(dims)
    value = value.transpose([names.index(dim) for dim in order if dim in names])
    return value[tuple(slice(None) if dim in names else np.newaxis for dim in order)]
