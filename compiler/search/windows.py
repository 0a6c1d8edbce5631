"""Axes that couple dims: windows that overlap or reach into padding.

On any other axis every index is touched by one point of the nest, so its words are counted once however its dims are
tiled, and its tile is the product of the tiles of its dims.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod

import numpy as np
import numpy.typing as npt

from effc.ir.nest import Axis, Nest, Operand

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """A coupled axis of an operand: its dims of bound above one as (name, coefficient, bound), and its range."""

    operand: str
    dims: tuple[tuple[str, int, int], ...]
    offset: int
    size: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.dims)

    def touched(self) -> tuple[int, int]:
        """Indices that the nest touches: within the range, and in all."""
        index = indices(tuple(dim[1:] for dim in self.dims), self.offset)
        return len(np.unique(index[(index >= 0) & (index < self.size)])), len(np.unique(index))


def windows_of(nest: Nest) -> tuple[Window, ...]:
    """The coupled axes of all operands."""
    return tuple(_window(o.name, axis, nest) for o in nest.operands.values() for axis in coupled_axes(o, nest))


def coupled_axes(operand: Operand, nest: Nest) -> Iterator[Axis]:
    """The axes of an operand on which points share an index, or fall outside."""
    for axis in operand.axes:
        window = _window(operand.name, axis, nest)
        if window.dims and not one_to_one(tuple(d[1:] for d in window.dims), window.offset, window.size):
            yield axis


def _window(operand: str, axis: Axis, nest: Nest) -> Window:
    dims = tuple((dim, c, nest.bounds[dim]) for c, dim in axis.terms if nest.bounds[dim] > 1)
    return Window(operand, dims, axis.offset, axis.size)


def affordable(nest: Nest) -> int:
    """How many schedules a search may cost by trial: the cost model looks at every point of a coupled axis."""
    points = [prod(bound for _, _, bound in window.dims) for window in windows_of(nest)]
    return max(12, POINTS // max(points, default=1))


POINTS = 40_000_000


@lru_cache(maxsize=1 << 12)
def one_to_one(dims: tuple[tuple[int, int], ...], offset: int, size: int) -> bool:
    """Whether every point of the dims (coefficient, bound) has an index of its own, inside the axis."""
    last = offset + sum(c * (bound - 1) for c, bound in dims)
    if offset < 0 or last >= size:
        return False
    return len(dims) == 1 or len(np.unique(indices(dims, offset))) == np.prod([bound for _, bound in dims])


def indices(dims: tuple[tuple[int, int], ...], offset: int) -> Ints:
    """The index of every point."""
    index = np.full([bound for _, bound in dims], offset, np.int64)
    for (coefficient, _), points in zip(dims, np.indices(index.shape)):
        index += coefficient * points
    return index


def ordered(dims: tuple[tuple[str, int, int], ...]) -> tuple[tuple[str, int, int], ...]:
    """The dims of a window, first the outer one of `kernel/windows.h`: its coefficient is a multiple of the other's."""
    return dims if len(dims) < 2 or dims[0][1] % dims[1][1] == 0 or dims[1][1] % dims[0][1] else dims[::-1]


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


@dataclass(frozen=True, slots=True)
class Tables:
    """By the tile sizes of both dims, as indices into their divisors: words of all tiles, of the largest one, and of
    the first one, or less.
    """

    words: tuple[int, ...]
    largest: tuple[int, ...]
    first: tuple[int, ...]


@lru_cache(maxsize=1 << 10)
def tables(dims: tuple[tuple[int, int], ...], offset: int, size: int, padding: bool) -> Tables:
    """Words of contiguous tiles of a window over one or two dims, for every pair of tile sizes that divide."""
    outer, inner = dims if len(dims) == 2 else (*dims, (0, 1))
    words, largest, first = [], [], []
    for a in divisors(outer[1]):
        for b in divisors(inner[1]):
            counts = _tile_words(outer, inner, (a, b), (offset, size, padding))
            words.append(int(counts.sum()))
            largest.append(int(counts.max()))
            first.append(int(counts[0]))
    return Tables(tuple(words), tuple(largest), tuple(first))


def _tile_words(
    outer: tuple[int, int], inner: tuple[int, int], tile: tuple[int, int], axis: tuple[int, int, bool]
) -> npt.NDArray[np.intp]:
    """The words of each of the tiles."""
    (a, b), (offset, size, padding) = tile, axis
    shape = np.unique(outer[0] * np.arange(a)[:, None] + inner[0] * np.arange(b)[None, :])
    corners = offset + outer[0] * np.arange(0, outer[1], a)[:, None] + inner[0] * np.arange(0, inner[1], b)[None, :]
    if padding:
        return np.full(corners.size, len(shape))
    return (np.searchsorted(shape, size - corners) - np.searchsorted(shape, -corners)).ravel()


def relaxed(dims: tuple[tuple[int, int], ...], offset: int, size: int, padding: bool) -> Tables:
    """What ``tables`` could be at least, whatever indices a tile of that many digits has."""
    if len(dims) == 1:
        return tables(dims, offset, size, padding)
    index = indices(dims, offset)
    inside = index[np.ones(index.shape, bool) if padding else (index >= 0) & (index < size)]
    touched, points = len(np.unique(inside)), inside.size
    words, largest = [], []
    for a in divisors(dims[0][1]):
        for b in divisors(dims[1][1]):
            words.append(max(touched, -(-points // min(a, b))))
            largest.append(-(-words[-1] // (dims[0][1] // a * (dims[1][1] // b))))
    return Tables(tuple(words), tuple(largest), (0,) * len(words))


@lru_cache(maxsize=1 << 10)
def contiguous_is_best(dims: tuple[tuple[int, int], ...], offset: int, size: int, trial: bool = True) -> bool:
    """Whether contiguous tiles have the fewest words among all tiles of as many digits that loops can make.

    Without a trial, which may take a second, only what a theorem says.
    """
    if len(dims) == 1:
        return True
    (u, p), (v, r) = dims
    last = offset + u * (p - 1) + v * (r - 1)
    if offset >= 0 and last < size and u % v == 0 and (u == v or len(divisors(r)) == 2):
        return True  # by the theorem of docs/search.md
    return trial and _contiguous_by_trial(dims, offset, size)


def _contiguous_by_trial(dims: tuple[tuple[int, int], ...], offset: int, size: int) -> bool:
    index = indices(dims, offset)
    inside = (index >= 0) & (index < size)
    outer, inner = tilings(dims[0][1]), tilings(dims[1][1])
    if len(outer) * len(inner) * index.size > 1 << 20:
        return False
    best = {padding: tables(dims, offset, size, padding) for padding in (False, True)}
    rows_of, columns_of = divisors(dims[0][1]), divisors(dims[1][1])
    for a, rows in outer:
        for b, columns in inner:
            at = rows_of.index(a) * len(columns_of) + columns_of.index(b)
            tile = rows[:, None] * dims[1][1] + columns[None, :]
            for padding, kept in ((False, inside), (True, np.ones(index.shape, bool))):
                words = _words_of(tile[kept], index[kept])
                if words.sum() < best[padding].words[at] or words.max(initial=1) < best[padding].largest[at]:
                    return False
    return True


def _words_of(tile: Ints, index: Ints) -> Ints:
    """The distinct indices of each tile that has any."""
    if not tile.size:
        return np.zeros(0, np.int64)
    low = index.min()
    span = index.max() - low + 1
    return np.unique(np.unique(tile * span + (index - low)) // span, return_counts=True)[1]


@lru_cache(maxsize=1 << 8)
def tilings(bound: int) -> list[tuple[int, Ints]]:
    """Every way in which loops that divide cut ``0..bound`` into tiles: the digits of a tile, and each index's tile."""
    found: dict[tuple[int, bytes], Ints] = {}

    def extend(extent: int, label: Ints, fixed: bool, digits: int) -> None:
        if extent == 1:
            found.setdefault((digits, label.tobytes()), label)
            return
        for step in divisors(extent)[:-1]:
            trips = extent // step
            digit = np.arange(bound) % extent // step
            if fixed:
                extend(step, label * trips + digit, False, digits)
            else:
                extend(step, label, True, digits * trips)

    start = np.zeros(bound, np.int64)
    extend(bound, start, True, 1)
    extend(bound, start, False, 1)
    return [(digits, label) for (digits, _), label in found.items()]


def pieces(dims: tuple[tuple[int, int], ...], offset: int, size: int, padding: bool) -> Tables:
    """The least words of all tiles by the numbers of pieces that both dims are cut into, whatever the pieces are.

    With g residues of the second dim's indices modulo the first coefficient, a tile of a x b digits has at least
    ``b + (residues in it)(a - 1)`` indices: those of a residue are a sum of two sets. The largest tile follows from
    digits likewise. What falls outside is at most every point there.
    """
    pair = dims if len(dims) == 2 else (*dims, (0, 1))
    index = indices(dims, offset)
    inside = index[np.ones(index.shape, bool) if padding else (index >= 0) & (index < size)]
    outside, touched = index.size - inside.size, len(np.unique(inside))
    p, r = np.arange(pair[0][1] + 1)[:, None], np.arange(pair[1][1] + 1)[None, :]
    words = np.maximum(touched, np.maximum(_cut(pair, p, r), _cut(pair[::-1], r, p)) - outside)
    largest = np.maximum(1, np.maximum(_digits(pair, p, r), _digits(pair[::-1], r, p)) - outside)
    some = (p > 0) & (r > 0)
    return Tables(tuple((words * some).ravel().tolist()), tuple((largest * some).ravel().tolist()), ())


def _residues(outer: tuple[int, int], inner: tuple[int, int]) -> int:
    step = outer[0] // gcd(outer[0], inner[0]) if inner[0] else 1
    return min(max(step, 1), inner[1])


def _cut(pair: tuple[tuple[int, int], ...], p: Ints, r: Ints) -> Ints:
    """Words of ``p`` x ``r`` pieces at least."""
    outer, inner = pair
    return p * inner[1] + (outer[1] - p) * np.maximum(r, _residues(outer, inner))


def _digits(pair: tuple[tuple[int, int], ...], a: Ints, b: Ints) -> Ints:
    """Words of a tile of ``a`` x ``b`` digits at least."""
    outer, inner = pair
    alike = -(-inner[1] // _residues(outer, inner))  # digits of one residue at most
    return b + (a - 1) * -(-b // alike)
