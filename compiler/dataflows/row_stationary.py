"""Row stationary: the mapping of a convolution onto Eyeriss, from its published parameters.

Source: Chen, Krishna, Emer, Sze, "Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep Convolutional Neural
Networks", IEEE JSSC 52(1), 2017; Table III names the parameters:

    m   ofmap channels kept in the GLB           p   filters that a PE interleaves
    n   ifmaps kept in the GLB                   q   channels that a PE interleaves
    e   ofmap rows of a strip: the width of a    r   PE sets for further channels
        PE set, which is R rows of e PEs         t   PE sets for further filters

CONV2 of AlexNet (one group, m=64 n=1 e=27 p=16 q=2 r=1 t=1) becomes

    for N in 0..4
      for K in 0..128 by 64
        keep O @ GLB
        for C in 0..48 by 2
          keep I @ GLB
          for K in 0..64 by 16
            par P in 0..27 by 14 @ GLB.rows
              par R in 0..5 @ GLB.rows
                par P in 0..14 @ GLB.columns
                  keep W @ spad
                  for Q in 0..27
                    keep I @ spad
                    keep O @ spad
                    for C in 0..2
                      for S in 0..5
                        for K in 0..16

* The GLB holds the psums of m channels and a strip of e rows of n images until they are finished, and of the ifmap what
  one pass needs: q*r channels, the rows of the strip with their halo, full rows, padding included.
* A pass computes with p*t filters and q*r channels. Its filters come from the DRAM and stay in the scratchpads for all
  n images. Within it, a PE slides along a row: q*S words of ifmap, p psums.
* Filter rows R go down the rows of the array and ofmap rows P across, so that psums are added up along a column and PEs
  on a diagonal share a row of the ifmap. The r sets are stacked on the rows, where psums can be added; the t sets lie
  side by side while there are columns, the rest of them stacked.
* A set wider than the array is folded into strips of equal width (the last may be narrower), one above the other.

What differs from the chip:

* A nest of several groups runs them one after another; no schedule lets two groups share the GLB. The published
  parameters are those of one group.
* Every set is a rectangle in a regular grid, as pars are. The chip could place sets one by one.
* The filters bypass the GLB: the chip's 8 KiB for them only prefetch.
* The publication does not say where a bias is kept: here, beside its psums, where the target allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from math import prod

from effc.compiler.cost.evaluate import try_schedule
from effc.compiler.cost.factors import INSTANCE, Use, valid
from effc.compiler.target.model import Target
from effc.ir.errors import InputError
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, READ_NAMES, Nest
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips

IFMAP, FILTER = READ_NAMES


def row_stationary(nest: Nest, m: int, n: int, e: int, p: int, q: int, r: int, t: int, target: Target) -> Schedule:
    """The row-stationary schedule of a convolution by the parameters of Table III; see the head of this file.

    An ``InputError`` if the parameters exceed the nest, the array or a memory, or if the target is not built like
    Eyeriss: a buffer, an array of PEs whose first axis adds psums up, a scratchpad in each PE.
    """
    schedule = mapping(nest, m, n, e, p, q, r, t, target)
    if isinstance(found := try_schedule(nest, schedule, target), list):
        raise _misfit(nest, found[0])
    return schedule


def mapping(nest: Nest, m: int, n: int, e: int, p: int, q: int, r: int, t: int, target: Target) -> Schedule:
    """The same, which may not be legal on the target: of its limits only the rows of the array are looked at."""
    chip, names, table = chip_of(target), roles_of(nest), _Table(m, n, e, p, q, r, t)
    extents = {role: nest.bounds[name] for role, name in names.items()}
    _check_extents(nest, table, extents)
    grid = grid_of(e, t, chip.columns)
    if (rows := extents.get("R", 1) * r * grid.stacked * grid.folds) > chip.rows:
        sets = f"{r} x {t} sets of {extents.get('R', 1)} x {e} PEs"
        raise _misfit(nest, f"{sets} take {rows} rows of the array, {target.name} has {chip.rows}")
    bias = nest.bias is not None and target.level(chip.buffer).bank(BIAS_NAME) is not None
    groups = [For(dim.name, 1) for dim in nest.dims if dim.role == "G"]
    return Schedule((*_repeating(nest, [*groups, *_named(names, _items(table, chip, grid, bias))]),))


def active_pes(nest: Nest, schedule: Schedule) -> int:
    """The PEs that are busy in the first iteration, when every tile is full: Table V's "number of active PEs"."""
    chains: dict[str, tuple[tuple[int, Use], ...]] = {dim.name: () for dim in nest.dims}
    for _, loop, _ in schedule.loops(nest):
        chains[loop.dim] += ((loop.step, Use.WORDS if isinstance(loop, Par) else Use.ZERO),)
    return prod(valid(nest.bounds[dim], chain, INSTANCE) for dim, chain in chains.items())


@dataclass(frozen=True, slots=True)
class _Table:
    """A row of Table III."""

    m: int
    n: int
    e: int
    p: int
    q: int
    r: int
    t: int


@dataclass(frozen=True, slots=True)
class Chip:
    """The parts of a target that is built like Eyeriss: names of levels, names and sizes of axes."""

    buffer: str
    spad: str
    y: str
    x: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Grid:
    """How sets lie on the array: strips of ``width`` columns, ``folds`` of them one above the other; of the sets for
    further filters, as many ``beside`` each other as the columns allow, and ``stacked`` rows of those.
    """

    width: int
    folds: int
    beside: int
    stacked: int


def grid_of(e: int, t: int, columns: int) -> Grid:
    folds = trips(e, columns)
    width = trips(e, folds)
    beside = min(t, columns // width)
    return Grid(width, folds, beside, trips(t, beside))


def _items(table: _Table, chip: Chip, grid: Grid, bias: bool) -> Iterator[Item]:
    """The items of the mapping, loops by the roles of dims."""
    m, n, e, p, q, r, t = astuple(table)
    yield from (For("P", e), For("N", n), For("K", m), Keep(OUTPUT_NAME, chip.buffer))
    yield from (Keep(BIAS_NAME, chip.buffer),) if bias else ()
    yield from (For("C", q * r), Keep(IFMAP, chip.buffer), For("K", p * t))
    yield from (Par("C", q, chip.buffer, chip.y), Par("K", grid.beside * p, chip.buffer, chip.y))
    yield from (Par("P", grid.width, chip.buffer, chip.y), Par("R", 1, chip.buffer, chip.y))
    yield from (Par("K", p, chip.buffer, chip.x), Par("P", 1, chip.buffer, chip.x))
    yield from (Keep(FILTER, chip.spad), For("N", 1), For("Q", 1))
    yield from (Keep(IFMAP, chip.spad), Keep(OUTPUT_NAME, chip.spad), For("C", 1), For("S", 1), For("K", 1))


def _named(names: dict[str, str], items: Iterator[Item]) -> Iterator[Item]:
    """The items with the names of dims in place of their roles, without those that the nest does not have."""
    for item in items:
        if isinstance(item, Keep):
            yield item
        elif item.dim in names:
            yield replace(item, dim=names[item.dim])


def _repeating(nest: Nest, items: list[Item]) -> Iterator[Item]:
    """The items without the loops of one trip."""
    extent = dict(nest.bounds)
    for item in items:
        if isinstance(item, Keep):
            yield item
        elif trips(extent[item.dim], item.step) > 1:
            yield item
            extent[item.dim] = item.step


def chip_of(target: Target) -> Chip:
    levels = target.levels
    arrays = [level.fanout for level in levels if level.fanout is not None]
    if len(levels) == 3 and len(arrays) == 1 and levels[1].fanout is arrays[0] and len(arrays[0].axes) == 2:
        y, x = arrays[0].axes
        return Chip(levels[1].name, levels[2].name, y.name, x.name, y.size, x.size)
    raise InputError(
        f"{target.name} has no place for the row-stationary mapping",
        expected="three levels: DRAM, a buffer with an array of PEs of two axes below it, a scratchpad in every PE",
        remedy="take the target eyeriss",
    )


def roles_of(nest: Nest) -> dict[str, str]:
    """The dims by role; those of groups apart, of which there may be several."""
    dims = [dim for dim in nest.dims if dim.role != "G"]
    names = {dim.role: dim.name for dim in dims}
    if len(names) < len(dims) or {read.name for read in nest.reads} != {IFMAP, FILTER}:
        raise InputError(
            f"{nest.name} is no convolution",
            expected="an ifmap, a filter, and one dim each of the roles N, K, C, P, Q, R, S at most",
            remedy="map it by the search",
        )
    return names


def _check_extents(nest: Nest, table: _Table, extents: dict[str, int]) -> None:
    """The parameters are positive, and none exceeds what it is a part of."""
    m, n, e, p, q, r, t = astuple(table)
    if min(astuple(table)) < 1:
        raise _misfit(nest, f"a parameter of {m=} {n=} {e=} {p=} {q=} {r=} {t=} is less than one")
    for text, value, limit, what in (
        (f"{n=}", n, extents.get("N", 1), "images of the batch"),
        (f"{m=}", m, extents.get("K", 1), "ofmap channels of a group"),
        (f"{e=}", e, extents.get("P", 1), "ofmap rows"),
        (f"p*t={p}*{t}", p * t, m, "ofmap channels m of the buffer"),
        (f"q*r={q}*{r}", q * r, extents.get("C", 1), "ifmap channels of a group"),
    ):
        if value > limit:
            raise _misfit(nest, f"{text} exceeds the {limit} {what}")


def _misfit(nest: Nest, message: str) -> InputError:
    return InputError(
        f"the row-stationary mapping of {nest.name} does not fit: {message}",
        expected="m, n, e, p, q, r and t of at least 1, within the nest, the array and the memories",
        remedy="change the parameters named, or the target",
    )
