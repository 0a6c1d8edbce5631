"""The nest and the mapping of a case, as a ``Nest`` and a ``Schedule``.

    "dims": {"N": 1, "K": 8, "C": 4, "P": 8, "Q": 8, "R": 3, "S": 3, "stride": 1}
    "mapping": {"keep": {"GLB": ["Weights", "Inputs"], ...},
                "temporal": {"DRAM": [["K", 8], ["C", 4]], ...},
                "spatial": {"X": [["P", 8]], "Y": [["R", 3]]}}

The loops stand outermost first; the rows, then the columns of the array stand behind the loops of the level above it.
The factors of a dim multiply to its bound: a last tile that is smaller cannot be written. The tile of a level is what
the loops of this level and all further in touch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from effc.compiler.replay.document import Value
from effc.compiler.replay.machine import COLUMNS, ROWS, TENSORS
from effc.compiler.target.model import MeshAxis, Target
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule
from effc.ir.verify import VerifyError

DIMS = ("N", "K", "C", "P", "Q", "R", "S")
"""The dims of a convolution."""

_FACTORS = 'a list of [dim, factor] such as [["K", 8], ["C", 4]]'


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop of the mapping: an axis of the array, or None for a loop in time."""

    dim: str
    factor: int
    level: str
    axis: str | None


def read_nest(dims: Value, name: str) -> Nest:
    """The convolution, of one group (``groups`` is a note); the input has no padding and is as large as it is read."""
    fields = dims.fields(DIMS, ("stride", "groups"))
    sizes = {key: value.count() for key, value in fields.items()}
    n, k, c, p, q, r, s = (sizes[dim] for dim in DIMS)
    try:
        return nests.conv2d(n, k, c, p, q, r, s, sizes.get("stride", 1), name=name)
    except (ValueError, VerifyError) as error:
        message = error.message if isinstance(error, VerifyError) else str(error)
        raise dims.error(message, "a convolution that can be counted", "make its dims smaller") from None


def read_schedule(mapping: Value, nest: Nest, target: Target) -> Schedule:
    """The mapping as a schedule."""
    fields = mapping.fields(("keep", "temporal", "spatial"))
    keep = _keep(fields["keep"], target)
    loops = list(_loops(fields["temporal"], fields["spatial"], target))
    _check_products(mapping, loops, nest)
    return Schedule(tuple(_items(loops, keep, nest, target)))


def _keep(value: Value, target: Target) -> dict[str, list[str]]:
    """The operands that each level keeps."""
    lists = value.fields(tuple(target.index))
    found = {level: tensors.names(TENSORS, "tensor") for level, tensors in lists.items()}
    outermost = target.levels[0].name
    if missing := [tensor for tensor in TENSORS if tensor not in found[outermost]]:
        message = f"the outermost level {outermost} does not keep {missing[0]}"
        raise value.error(message, "an outermost level that keeps every tensor", f'add "{missing[0]}" to {outermost}')
    return {level: [TENSORS[tensor] for tensor in tensors] for level, tensors in found.items()}


def _loops(temporal: Value, spatial: Value, target: Target) -> Iterator[_Loop]:
    """Every loop, outermost first."""
    in_time = temporal.fields(tuple(target.index))
    in_space = spatial.fields((COLUMNS, ROWS))
    for level in target.levels:
        yield from (_Loop(dim, factor, level.name, None) for dim, factor in _factors(in_time[level.name]))
        for axis in level.fanout.axes if level.fanout else ():
            factors = _factors(in_space[axis.name])
            _check_axis(in_space[axis.name], factors, axis)
            yield from (_Loop(dim, factor, level.name, axis.name) for dim, factor in factors)


def _factors(value: Value) -> list[tuple[str, int]]:
    """The dims and factors of a list of loops; a loop of one iteration is none."""
    found = []
    for item in value.items(_FACTORS):
        pair = item.items(_FACTORS)
        if len(pair) != 2:
            raise item.error(f"{item.shown} is no loop", "a pair of a dim and a factor", 'write for example ["K", 8]')
        found.append((pair[0].one_of(DIMS, "dim"), pair[1].count()))
    return [(dim, factor) for dim, factor in found if factor > 1]


def _check_axis(value: Value, factors: list[tuple[str, int]], axis: MeshAxis) -> None:
    dims, used = [dim for dim, _ in factors], prod(factor for _, factor in factors)
    if twice := [dim for dim in dims if dims.count(dim) > 1]:
        remedy = "write one loop with the product of the factors"
        raise value.error(f"{twice[0]} stands twice on axis {axis.name}", "each dim once per axis", remedy)
    if used > axis.size:
        message, remedy = f"{used} PEs are needed along {axis.name}", "make a factor smaller, or the array larger"
        raise value.error(message, f"at most {axis.size}", remedy)


def _check_products(mapping: Value, loops: list[_Loop], nest: Nest) -> None:
    for dim, bound in nest.bounds.items():
        product = prod(loop.factor for loop in loops if loop.dim == dim)
        if product != bound:
            message = f"the factors of {dim} multiply to {product}, its bound is {bound}"
            remedy = f"change a factor of {dim}; smaller last tiles cannot be written in this format"
            raise mapping.error(message, f"factors of {dim} with the product {bound}", remedy)


def _items(loops: list[_Loop], keep: dict[str, list[str]], nest: Nest, target: Target) -> Iterator[Item]:
    """The marks and loops of every level, outermost first; the outermost level needs no marks."""
    extent = dict(nest.bounds)
    for level in target.levels:
        if level is not target.levels[0]:
            yield from (Keep(operand, level.name) for operand in keep[level.name])
        for loop in loops:
            if loop.level == level.name:
                extent[loop.dim] //= loop.factor
                step = extent[loop.dim]
                yield For(loop.dim, step) if loop.axis is None else Par(loop.dim, step, level.name, loop.axis)
