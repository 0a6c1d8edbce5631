"""The CPU backend against numpy: random nests, views and schedules, many of them in one C file."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import numpy.typing as npt
from c_compiler import needs_compiler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effc.backends.cpu.run import NestProgram, run_nest
from effc.ir.graph import Array, NestOp, View
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.schedule import For, Item, Keep, Par, Schedule

NESTS_A_FILE = 16

Draw = st.DrawFn
Floats = npt.NDArray[np.float64]


pytestmark = needs_compiler


@st.composite
def nest_ops(draw: Draw) -> NestOp:
    nest = draw(st.one_of(convs(), gemms()))
    uses = {name: draw(views(name, operand)) for name, operand in nest.operands.items()}
    return NestOp(nest, uses, "", nest.name, draw(schedules(nest)))


@st.composite
def convs(draw: Draw) -> Nest:
    bounds = {name: draw(st.integers(1, most)) for name, most in zip("NGKCPQRS", (2, 3, 5, 4, 6, 5, 3, 3))}
    dims = {name: Dim(name, bound, name) for name, bound in bounds.items()}
    groups = ("G",) if draw(st.booleans()) else ()
    windows = [draw(window(dims[out], dims[tap])) for out, tap in (("P", "R"), ("Q", "S"))]
    image = Operand("I", (*axes(dims, "N", *groups, "C"), *windows))
    filters = Operand("W", axes(dims, *groups, "K", "C", "R", "S"))
    output = Operand("O", axes(dims, "N", *groups, "K", "P", "Q"))
    bias = Operand("B", axes(dims, *groups, "K")) if draw(st.booleans()) else None
    used = [dim for name, dim in dims.items() if name != "G" or groups]
    return Nest("conv", tuple(draw(st.permutations(used))), (image, filters), output, bias)


@st.composite
def window(draw: Draw, out: Dim, tap: Dim) -> Axis:
    """The axis of the input that a window slides along, with padding before it, behind it, or all around."""
    stride, dilation, pad = (draw(st.integers(low, 3)) for low in (1, 1, 0))
    reach = stride * (out.bound - 1) + dilation * (tap.bound - 1) + 1
    size = max(1, reach - pad - draw(st.integers(-2, 3)))
    return Axis(((stride, out.name), (dilation, tap.name)), -pad, size)


@st.composite
def gemms(draw: Draw) -> Nest:
    dims = {name: Dim(name, draw(st.integers(1, 9)), role) for name, role in zip("BMNK", "GPKC")}
    batch = draw(st.sampled_from(((), ("B",))))
    reads = (Operand("I", axes(dims, *batch, "M", "K")), Operand("W", axes(dims, *batch, "K", "N")))
    used = tuple(dim for name, dim in dims.items() if name != "B" or batch)
    bias = Operand("B", axes(dims, "N")) if draw(st.booleans()) else None
    return Nest("gemm", used, reads, Operand("O", axes(dims, *batch, "M", "N")), bias)


def axes(dims: Mapping[str, Dim], *names: str) -> tuple[Axis, ...]:
    return tuple(Axis(((1, name),), 0, dims[name].bound) for name in names)


@st.composite
def views(draw: Draw, name: str, operand: Operand) -> View:
    """The axes in any order, in a tensor with a gap before it."""
    order = draw(st.permutations(range(len(operand.axes))))
    strides = [prod(operand.shape[i] for i in order[order.index(axis) + 1 :]) for axis in range(len(operand.axes))]
    return View(name, draw(st.integers(0, 3)), tuple(strides))


@st.composite
def schedules(draw: Draw, nest: Nest) -> Schedule:
    """Loops and pars in any order, with any steps; keep marks anywhere."""
    order = draw(st.permutations([name for name, bound in nest.bounds.items() for _ in range(1 + (bound > 2))]))
    items: list[Item] = []
    tile = dict(nest.bounds)
    for position, dim in enumerate(order):
        step = draw(st.integers(1, tile[dim])) if dim in order[position + 1 :] else 1
        tile[dim] = step
        where = draw(st.sampled_from(("", "", "x", "y")))
        items.append(Par(dim, step, "GLB", where) if where else For(dim, step))
    for operand in nest.operands:
        items.insert(draw(st.integers(0, len(items))), Keep(operand, "GLB"))
    return Schedule(tuple(items))


def small_integers(operand: Operand, seed: int) -> Array:
    """Words whose sums of products are exact in float32."""
    return np.random.default_rng(seed).integers(-8, 9, operand.shape).astype(np.float32)


def naive(nest: Nest, arrays: Mapping[str, Array]) -> Floats:
    """Every point of the box of dims, in float64."""
    points = dict(zip(nest.bounds, np.indices(tuple(nest.bounds.values())).reshape(len(nest.dims), -1)))
    terms = np.ones(nest.macs)
    for read in nest.reads:
        index = indices(read, points)
        inside = np.all([(i >= 0) & (i < size) for i, size in zip(index, read.shape)], axis=0)
        terms *= np.where(inside, arrays[read.name][tuple(np.where(inside, i, 0) for i in index)], 0.0)
    result = np.zeros(nest.output.shape)
    where = tuple(indices(nest.output, points))
    if nest.bias is not None:
        result[where] = arrays[nest.bias.name][tuple(indices(nest.bias, points))]
    np.add.at(result, where, terms)
    return result


def indices(operand: Operand, points: Mapping[str, npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
    zero = np.zeros_like(next(iter(points.values())))
    return [sum((c * points[dim] for c, dim in axis.terms), zero + axis.offset) for axis in operand.axes]


def window_of(view: View, operand: Operand, tensor: Array) -> Array:
    """The operand as its view shows it."""
    strides = [tensor.itemsize * stride for stride in view.strides]
    return np.lib.stride_tricks.as_strided(tensor[view.offset :], operand.shape, strides)


@settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(nest_ops(), min_size=NESTS_A_FILE, max_size=NESTS_A_FILE))
def test_every_schedule_computes_its_nest(ops: list[NestOp]) -> None:
    program = NestProgram(ops)
    for number, op in enumerate(ops):
        operands = op.nest.operands
        tensors = {
            name: np.zeros(op.uses[name].offset + operand.words, np.float32) for name, operand in operands.items()
        }
        shown = {name: window_of(op.uses[name], operand, tensors[name]) for name, operand in operands.items()}
        arrays = {name: small_integers(operand, seed) for seed, (name, operand) in enumerate(operands.items())}
        for name, array in arrays.items():
            shown[name][...] = array
        output = op.nest.output.name
        program(number, tensors, tensors[output])
        np.testing.assert_array_equal(shown[output], naive(op.nest, arrays), str(op.schedule))


def test_sums_run_in_float32_in_the_order_of_the_loops() -> None:
    k = Dim("K", 100, "C")
    word = Operand("O", (Axis((), 0, 1),))
    nest = Nest("dot", (k,), tuple(Operand(name, (Axis(((1, "K"),), 0, 100),)) for name in "IW"), word)
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(100).astype(np.float32) for name in "IW"}
    products = arrays["I"] * arrays["W"]
    backwards = Nest("dot", (k,), tuple(Operand(name, (Axis(((-1, "K"),), 99, 100),)) for name in "IW"), word)
    schedule = Schedule((For("K", 7), For("K", 1)))
    assert run_nest(nest, schedule, arrays)[0] == np.cumsum(products, dtype=np.float32)[-1]
    assert run_nest(backwards, schedule, arrays)[0] == np.cumsum(products[::-1], dtype=np.float32)[-1]
