"""The best row-stationary mapping: the parameters of Table III, chosen anew for a nest, a target and an objective.

Every parameter takes the values that divide its extent into a different number of pieces. Of those that only change how
often something is fetched, the largest that fit are tried: `LARGEST` values each of p, q and t for every shape of a set
(e, r), and for every n that fits the largest m.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile

from effc.compiler.cost.evaluate import Evaluation, try_schedule
from effc.compiler.dataflows.row_stationary import FILTER, IFMAP, chip_of, grid_of, mapping, roles_of
from effc.compiler.target.model import Target
from effc.ir.errors import InputError
from effc.ir.nest import OUTPUT_NAME, Nest
from effc.ir.schedule import Schedule, trips

LARGEST = 4
STARTS = 2

GAIN = Fraction(21, 20)
"""Of a mapping to the one that it is climbed to: of nests of AlexNet and U-Net 4 % at most were seen."""

PARAMETERS = {"m": "K", "n": "N", "e": "P", "p": "K", "q": "C", "r": "C", "t": "K"}
"""The role of the dim that each parameter cuts."""


@dataclass(frozen=True, slots=True)
class RowStationary:
    """A row-stationary mapping: its parameters m, n, e, p, q, r, t by name, its schedule, what it costs."""

    parameters: dict[str, int]
    schedule: Schedule
    evaluation: Evaluation


def best_row_stationary(nest: Nest, target: Target, objective: str = "energy") -> RowStationary:
    """The best row-stationary mapping; an ``InputError`` if none fits, or the target is not built like Eyeriss."""
    best = _best(nest, target, objective, candidates(nest, target))
    if best is None:
        raise InputError(
            f"no row-stationary mapping of {nest.name} fits {target.name}",
            expected="room for a row of a filter in every PE, and for a row of psums in the buffer",
            remedy="map it by the search",
        )
    return best


def good_row_stationary(
    nest: Nest, target: Target, objective: str, most: Fraction, stop: Callable[[], bool] = lambda: False
) -> RowStationary | None:
    """A good row-stationary mapping in little time, None if there is none: one parameter after another changed for the
    better, from those whose sets are the largest that fit: the best of each of the `STARTS` best heights e of a strip.
    None, too, if these are so much dearer than ``most`` that nothing will come of them. ``stop`` ends it with what
    there is.
    """
    starts: dict[int, RowStationary] = {}
    try:
        for chosen in _until(stop, candidates(nest, target, 1)):
            best = _best(nest, target, objective, iter([chosen]), starts.get(chosen["e"]))
            if best is not None:
                starts[chosen["e"]] = best
    except InputError:
        return None

    def value(found: RowStationary) -> Fraction:
        return found.evaluation.value(objective)

    best_first = sorted(starts.values(), key=value)
    worth = [start for start in best_first[:STARTS] if value(start) <= GAIN * most]
    climbed = (_climbed(nest, target, objective, start, stop) for start in worth)
    return min(climbed, key=value, default=None)


def _climbed(
    nest: Nest, target: Target, objective: str, best: RowStationary, stop: Callable[[], bool]
) -> RowStationary:
    """The first mapping from ``best`` on that no change of one parameter improves."""
    extents = {role: nest.bounds[name] for role, name in roles_of(nest).items()}
    improved = True
    while improved:
        improved = False
        for parameter, role in PARAMETERS.items():
            now = best.parameters
            others = ({**now, parameter: size} for size in pieces(extents.get(role, 1)) if size != now[parameter])
            best = _best(nest, target, objective, _until(stop, others), best) or best
            improved |= best.parameters != now
    return best


def _until(stop: Callable[[], bool], parameters: Iterator[dict[str, int]]) -> Iterator[dict[str, int]]:
    """Parameters as long as there is time."""
    return takewhile(lambda _: not stop(), parameters)


def _best(
    nest: Nest,
    target: Target,
    objective: str,
    parameters: Iterator[dict[str, int]],
    best: RowStationary | None = None,
) -> RowStationary | None:
    """The best mapping with one of the parameters given, or ``best``."""
    for chosen in parameters:
        try:
            schedule = mapping(nest, **chosen, target=target)
        except InputError:
            continue
        found = try_schedule(nest, schedule, target)
        if isinstance(found, list):
            continue
        if best is None or found.value(objective) < best.evaluation.value(objective):
            best = RowStationary(chosen, schedule, found)
    return best


def candidates(nest: Nest, target: Target, most: int = LARGEST) -> Iterator[dict[str, int]]:
    """Parameters that are worth a try, ``most`` values each of p, q and t; some may not fit."""
    chip = chip_of(target)
    extents = {role: nest.bounds[name] for role, name in roles_of(nest).items()}
    size = {role: extents.get(role, 1) for role in "NKCPQRS"}
    for e in pieces(size["P"]):
        for r in pieces(size["C"]):
            rows = chip.rows // (size["R"] * r)
            for q in largest(most, (q for q in pieces(size["C"] // r) if _fits(target, chip.spad, _pe(size, 1, q)))):
                for p in largest(most, (p for p in pieces(size["K"]) if _fits(target, chip.spad, _pe(size, p, q)))):
                    sets = pieces(trips(size["K"], p))
                    fit = (t for t in sets if _height(e, t, chip.columns) <= rows and p * t <= size["K"])
                    for t in largest(most, fit):
                        for n, m in _buffered(nest, target, chip.buffer, size, (e, p * t, q * r)):
                            yield {"m": m, "n": n, "e": e, "p": p, "q": q, "r": r, "t": t}


def pieces(extent: int) -> list[int]:
    """The sizes of pieces that make different numbers of them, in ascending order."""
    return sorted({trips(extent, count) for count in range(1, extent + 1)})


def largest(most: int, values: Iterator[int]) -> list[int]:
    return list(values)[-most:]


def _height(e: int, t: int, columns: int) -> int:
    grid = grid_of(e, t, columns)
    return grid.stacked * grid.folds


def _pe(size: dict[str, int], p: int, q: int) -> dict[str, int]:
    """The words of a PE's tiles."""
    return {FILTER: p * q * size["S"], IFMAP: q * size["S"], OUTPUT_NAME: p}


def _buffered(
    nest: Nest, target: Target, buffer: str, size: dict[str, int], one_pass: tuple[int, int, int]
) -> Iterator[tuple[int, int]]:
    """For every number of images in the buffer the largest number of ofmap channels, at least those of a pass."""
    e, filters, channels = one_pass
    rows, columns = (_window(nest, role, piece) for role, piece in (("P", e), ("Q", size["Q"])))
    for n in pieces(size["N"]):
        fitting = [
            m
            for m in pieces(trips(size["K"], filters))
            if _fits(
                target,
                buffer,
                {IFMAP: n * channels * rows * columns, OUTPUT_NAME: n * min(m * filters, size["K"]) * e * size["Q"]},
            )
        ]
        if fitting:
            yield n, min(fitting[-1] * filters, size["K"])


def _window(nest: Nest, role: str, piece: int) -> int:
    """The words of the ifmap along the axis of a role of the output, for a piece of it; padding is in, or cut off."""
    name = roles_of(nest).get(role)
    for axis in nest.operands[IFMAP].axes:
        if name in axis.dims:
            span = sum(c * ((piece if dim == name else nest.bounds[dim]) - 1) for c, dim in axis.terms) + 1
            return min(span, axis.size)
    return 1


def _fits(target: Target, level: str, words: dict[str, int]) -> bool:
    """Whether tiles of so many words fit the banks of a level."""
    place = target.level(level)
    for bank in place.banks:
        bits = sum(words.get(operand, 0) for operand in bank.operands) * target.word_bits
        if bank.bits is not None and bits * (1 + place.double_buffered) > bank.bits:
            return False
    return True
