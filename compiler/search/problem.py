"""What the exact search minimises: for every choice of kept levels, a sum of products over groups of dims.

Under the formula of `docs/search.md` every count of a schedule is ``coefficient x product over groups of a factor``,
and a factor depends on the loops of its group only. This file derives the coefficients from a target and an objective;
they are scaled to integers. Nothing here knows of loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, combinations, pairwise, product
from math import gcd, lcm, prod

from effc.compiler.cost.legal import usable_bits
from effc.compiler.search.bounds import points_inside
from effc.compiler.search.constraints import Narrowed
from effc.compiler.search.windows import Window, coupled_axes, windows_of
from effc.compiler.target.model import Target
from effc.ir.nest import Nest, Operand

MACS = -1
"""The mark of the transfers to and from the MACs: inside every loop."""

CYCLES = "cycles"
"""What stands for an operand in the term of the executed iterations, which every loop in time multiplies."""


def without_windows(target: Target) -> Target:
    """The target with no sliding windows: a fill moves its whole tile."""
    return replace(target, levels=tuple(replace(level, sliding=False) for level in target.levels))


@dataclass(frozen=True, slots=True)
class Unroll:
    """An axis of a fan-out: the dims that may be unrolled there, and what one read of a word serves."""

    level: int
    name: str
    size: int
    dims: frozenset[str]
    multicast: str


@dataclass(frozen=True, slots=True)
class Term:
    """``coefficient x words``: of an operand, from ``parent`` to ``child``, received (writes) or read at the parent."""

    coefficient: int
    operand: str
    parent: int
    child: int
    mark: int  # of the child, an index into ``Setting.marks``, or MACS
    reads: bool
    padding: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A choice of the levels that keep each operand, and what follows from it."""

    marks: tuple[tuple[str, int], ...]  # (operand, level), those of an operand from outer to inner
    terms: tuple[Term, ...]
    constant: int
    capacities: tuple[tuple[int, tuple[int, ...]], ...]  # (room, marks whose tiles share it)
    weights: tuple[int, ...]  # the room that a word of the tile of each mark takes


@dataclass(frozen=True)
class Prices:
    """What an access costs in the objective, as integers; ``scale`` of them are one unit."""

    reads: dict[tuple[int, str], int]
    writes: dict[tuple[int, str], int]
    hops: dict[tuple[int, str], int]  # by level: of the fan-out below it
    finishing: int  # what writing an element of the output outermost costs less once it is finished
    mac: int
    cycle: int
    scale: int


@dataclass
class _Sum:
    """A linear form: coefficients of (operand, parent, child, reads), and a constant."""

    terms: dict[tuple[str, int, int, bool], int] = field(default_factory=dict)
    constant: int = 0

    def add(self, other: _Sum, factor: int) -> None:
        for key, value in other.terms.items():
            self.terms[key] = self.terms.get(key, 0) + factor * value
        self.constant += factor * other.constant


class Problem:
    """A nest on a target for an objective: energy, words at the outermost level, cycles, or both energy and cycles.

    ``timed``: cycles depend on what passes limited ports, or are a factor of the objective, so that it is no sum of
    counts. ``judged``: the formula gives a bound of the cycles only. ``counts_cycles``: their least matters.
    """

    def __init__(self, nest: Nest, target: Target, objective: str) -> None:
        self.nest, self.target = nest, target
        self.bottom = len(target.levels)
        self.dims = tuple(dim.name for dim in nest.dims if dim.bound > 1) or (nest.dims[0].name,)
        self.prices = prices_of(nest, target, objective)
        self.product = objective in ("edp", "pareto")
        self.judged = bool(target.bandwidths) and (self.product or self.prices.cycle > 0)
        self.timed = self.product or self.judged
        self.counts_cycles = self.timed or objective == "latency"
        self.windows: tuple[Window, ...] = windows_of(nest)
        self.unrolls = tuple(_unrolls(nest, target))

    def settings(self) -> Iterator[Setting]:
        """Every choice of kept levels."""
        choices = []
        for operand in self.nest.operands.values():
            able = [i for i, level in enumerate(self.target.levels) if i and level.bank(operand.name) is not None]
            must = {i for i in able if self.target.levels[i].keeps(operand.name)}
            subsets = chain.from_iterable(combinations(able, size) for size in range(len(able), -1, -1))
            choices.append([(operand.name, s) for s in subsets if must <= set(s)])
        for chosen in product(*choices):
            yield self.setting(dict(chosen))

    def setting(self, kept: dict[str, tuple[int, ...]]) -> Setting:
        marks = tuple((operand, level) for operand, levels in kept.items() for level in levels)
        total = _Sum()
        for operand in self.nest.operands.values():
            levels = (0, *kept[operand.name])
            form = self.output(operand, levels) if operand is self.nest.output else self.read(operand, levels)
            total.add(form, 1)
        total.constant += self.prices.mac * self.nest.macs
        terms = []
        for (name, parent, child, reads), coefficient in total.terms.items():
            constant = self.constant_words(name, parent, child, reads)
            if constant is not None:
                total.constant += coefficient * constant
            elif coefficient:
                mark = MACS if child == self.bottom else marks.index((name, child))
                padding = self.stored(parent) and (child == self.bottom or self.stored(child))
                output = name == self.nest.output.name
                terms.append(Term(coefficient, name, parent, child, mark, reads, padding and not output))
        if self.prices.cycle or self.timed:
            terms.append(Term(self.prices.cycle, CYCLES, 0, self.bottom, MACS, True, False))
        total.constant -= self.prices.finishing * self.target.widths.outputs
        rooms, weights = self.rooms(marks)
        return Setting(marks, tuple(terms), total.constant, tuple(rooms), tuple(weights))

    def shut(self, operand: str, level: int) -> frozenset[str]:
        """The dims that may have no loop in time outside the mark of an operand: those that would fill it again."""
        if not isinstance(self.target, Narrowed) or (operand, level) not in self.target.stationary:
            return frozenset()
        return frozenset(self.dims) - self.nest.operands[operand].dims

    def stored(self, level: int) -> bool:
        return level < self.bottom and self.target.levels[level].padding == "stored"

    def hops(self, operand: str, parent: int, child: int) -> int:
        return sum(self.prices.hops[level, operand] for level in range(parent, child))

    def read(self, operand: Operand, levels: tuple[int, ...]) -> _Sum:
        """The cost of a read operand that is kept at ``levels``."""
        form, name = _Sum(), operand.name
        bias = operand is self.nest.bias
        for parent, child in pairwise(levels if bias else (*levels, self.bottom)):
            form.terms[name, parent, child, True] = self.prices.reads[parent, name]
            write = self.prices.writes[child, name] if child < self.bottom else 0
            form.terms[name, parent, child, False] = write + self.hops(name, parent, child)
        if bias:
            each = self.prices.reads[levels[-1], name] + self.hops(name, levels[-1], self.bottom)
            form.constant += each * prod(self.nest.bounds[dim] for dim in self.nest.output.dims)
        return form

    def output(self, operand: Operand, levels: tuple[int, ...]) -> _Sum:
        """The cost of the output: drains, returns and updates, as in ``counts.Model.count_output``."""
        form, name = _Sum(), operand.name
        zero = _Sum({}, prod(self.nest.bounds[dim] for dim in operand.dims))
        for parent, child in pairwise(levels):
            sent, written = _Sum({(name, parent, child, False): 1}), _Sum({(name, parent, child, True): 1})
            hops = self.hops(name, parent, child)
            form.add(sent, self.prices.reads[child, name] + hops)
            form.add(written, self.prices.writes[parent, name])
            back = self.prices.reads[parent, name] + self.prices.writes[child, name] + hops
            form.add(written, back)
            form.add(zero, -back)
            zero.add(sent, 1)
            zero.add(written, -1)
        last = levels[-1]
        read, write = self.prices.reads[last, name], self.prices.writes[last, name]
        form.add(_Sum({(name, last, self.bottom, True): 1}), read + write)
        form.add(zero, -read)
        form.constant += self.nest.macs * self.hops(name, last, self.bottom)
        return form

    def constant_words(self, name: str, parent: int, child: int, reads: bool) -> int | None:
        """The words of a transfer to the MACs that no schedule changes."""
        if child < self.bottom:
            return None
        output = name == self.nest.output.name
        shared = [u for u in self.unrolls if u.level >= parent and u.size > 1 and (output or u.multicast != "none")]
        if reads and shared:
            return None
        operand = self.nest.operands[name]
        irrelevant = prod(bound for dim, bound in self.nest.bounds.items() if dim not in operand.dims)
        if output or self.stored(parent):
            return self.nest.macs
        return irrelevant * prod(points_inside(axis, self.nest) for axis in operand.axes)

    def rooms(self, marks: tuple[tuple[str, int], ...]) -> tuple[list[tuple[int, tuple[int, ...]]], list[int]]:
        """The banks: their room and the marks that share it; and the room that each mark's words take."""
        rooms, weights = [], [1] * len(marks)
        for i, level in enumerate(self.target.levels[1:], 1):
            for bank in level.banks:
                held = tuple(m for m, (operand, at) in enumerate(marks) if at == i and operand in bank.operands)
                if bank.bits is not None and held:
                    bits = {m: self.target.bits(i, marks[m][0]) for m in held}
                    unit = Fraction(gcd(*(b.numerator for b in bits.values())))
                    for m in held:
                        weights[m] = int(bits[m] / unit)
                    rooms.append((usable_bits(level, bank.bits) // int(unit), held))
        return rooms, weights

    def words(self, operand: Operand, dims: frozenset[str]) -> int:
        """The factor of the axes of an operand that are not coupled, for the dims given: every index moves once."""
        coupled = {dim for axis in coupled_axes(operand, self.nest) for dim in axis.dims}
        return prod(self.nest.bounds[dim] for dim in operand.dims & dims - coupled)


def _unrolls(nest: Nest, target: Target) -> Iterator[Unroll]:
    for level, axis in target.axes():
        allowed = [
            dim.name
            for dim in nest.dims
            if dim.bound > 1
            and (axis.unroll is None or dim.role in axis.unroll)
            and (axis.reduce or dim.name not in nest.reduction_dims)
        ]
        yield Unroll(level, axis.name, axis.size, frozenset(allowed), axis.multicast)


def prices_of(nest: Nest, target: Target, objective: str) -> Prices:
    """The cost of every access, scaled to integers."""
    energy, zero = objective in ("energy", "edp", "pareto"), Fraction(0)
    reads, writes, hops = {}, {}, {}
    for i, level in enumerate(target.levels):
        traffic = objective == "dram" and i == 0
        for name in nest.operands:
            bank = level.bank(name)
            if bank is not None:
                accesses, words = target.bits(i, name) / target.word(i, name), target.bits(i, name) / target.word_bits
                reads[i, name] = accesses * bank.read_energy if energy else words * traffic
                writes[i, name] = accesses * bank.write_energy if energy else words * traffic
            hop = level.fanout.hop_energy if energy and level.fanout is not None else zero
            hops[i, name] = hop * target.carried_bits(name) / target.word_bits
    finishing = writes[0, nest.output.name] * (1 - target.finished_bits() / target.bits(0, nest.output.name))
    mac = target.mac.energy if energy else zero
    cycle = target.leakage if energy else Fraction(int(objective == "latency"))
    values = [*reads.values(), *writes.values(), *hops.values(), finishing, mac, cycle]
    scale = lcm(*(value.denominator for value in values))
    return Prices(
        {key: int(value * scale) for key, value in reads.items()},
        {key: int(value * scale) for key, value in writes.items()},
        {key: int(value * scale) for key, value in hops.items()},
        int(finishing * scale),
        int(mac * scale),
        int(cycle * scale),
        scale,
    )
