"""What the stepper walks through: the iterations of a schedule, the instances of a level, the words of their tiles.

Index by index, from `docs/semantics.md` alone, as the stepper is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from effc.compiler.target.model import MeshAxis, Target
from effc.ir.nest import Nest, Operand
from effc.ir.schedule import For, Par, Schedule, trips

Word = tuple[int, ...]
Digits = dict[int, int]  # position of a loop in the schedule -> its digit


@dataclass
class Residence:
    """Operand ``operand`` at level ``level`` (a position in the target's chain), marked at ``mark`` in the schedule."""

    operand: Operand
    level: int
    mark: int
    parent: Residence | None
    fill_depth: int = 0  # the number of temporal loops outside the fill position
    held: dict[Hashable, set[Word]] = field(default_factory=dict)  # by instance
    psums: dict[Hashable, dict[Word, Any]] = field(default_factory=lambda: defaultdict(dict))


class Walk:
    """A nest with its schedule on a target."""

    def __init__(self, nest: Nest, schedule: Schedule, target: Target) -> None:
        self.nest, self.schedule, self.target = nest, schedule, target
        self.chains: dict[str, list[tuple[int, int]]] = {dim.name: [] for dim in nest.dims}
        self.time: list[tuple[int, For]] = []
        self.mesh: list[tuple[int, Par, MeshAxis]] = []
        for position, loop, extent in schedule.loops(nest):
            self.chains[loop.dim].append((position, loop.step))
            if isinstance(loop, Par):
                axis = next(a for a in target.level(loop.level).fanout.axes if a.name == loop.axis)  # type: ignore[union-attr]
                self.mesh.append((position, loop, axis))
            elif trips(extent, loop.step) > 1:
                self.time.append((position, loop))
        self.residences = {name: self._residences(operand) for name, operand in nest.operands.items()}

    def _residences(self, operand: Operand) -> list[Residence]:
        """Where ``operand`` is kept, outermost first; the outermost level is always there."""
        chain = [Residence(operand, 0, -1, None)]
        for mark, level in self.schedule.keeps(operand.name):
            residence = Residence(operand, self.target.index[level], mark, chain[-1])
            for depth, (position, loop) in enumerate(self.time, start=1):
                if position < mark and loop.dim in operand.dims:
                    residence.fill_depth = depth
            chain.append(residence)
        return chain

    def indices(self, dim: str, fixed: Digits) -> list[int]:
        """The indices of ``dim`` that the free digits reach, the ``fixed`` ones given."""

        def walk(chain: list[tuple[int, int]], base: int, rest: int) -> Iterator[int]:
            if not chain:
                yield base
                return
            (position, step), inner = chain[0], chain[1:]
            digits = [fixed[position]] if position in fixed else range(trips(rest, step))
            for digit in digits:
                if digit * step < rest:
                    yield from walk(inner, base + digit * step, min(step, rest - digit * step))

        return list(walk(self.chains[dim], 0, self.nest.bounds[dim]))

    def executed(self) -> Iterator[tuple[int, Digits]]:
        """Every executed temporal iteration: (depth of the outermost loop that changed, temporal digits)."""
        before: tuple[int, ...] | None = None
        zeros = {position: 0 for position, _, _ in self.mesh}
        ranges = [
            range(trips(extent, item.step))
            for p, item, extent in self.schedule.loops(self.nest)
            if (p, item) in self.time
        ]
        for digits in product(*ranges):
            now = {position: digit for (position, _), digit in zip(self.time, digits)}
            if not all(self.indices(dim, {**now, **zeros}) for dim in self.chains):
                continue
            changed = 0 if before is None else next(i for i in range(len(digits)) if digits[i] != before[i])
            yield changed, now
            before = digits

    def instances(self, level: int) -> Iterator[Digits]:
        """The mesh digits of every instance of a level, in order."""
        above = [(position, par) for position, par, _ in self.mesh if self.target.index[par.level] < level]
        extents = {position: extent for position, _, extent in self.schedule.loops(self.nest)}
        for digits in product(*(range(trips(extents[position], par.step)) for position, par in above)):
            yield {position: digit for (position, _), digit in zip(above, digits)}

    def word(self, operand: Operand, point: Mapping[str, int], stored: bool) -> Word | None:
        """The word of ``operand`` at a point; None for padding that is not stored."""
        index = tuple(sum(c * point[d] for c, d in axis.terms) + axis.offset for axis in operand.axes)
        inside = all(0 <= i < axis.size for i, axis in zip(index, operand.axes))
        return index if inside or stored else None

    def tile(self, residence: Residence, now: Digits, instance: Digits) -> set[Word] | None:
        """The words of an instance's tile; None if the instance is idle."""
        fixed = {position: digit for position, digit in now.items() if position < residence.mark} | instance
        reach = {dim: self.indices(dim, fixed) for dim in self.chains}
        if not all(reach.values()):
            return None
        relevant = sorted(residence.operand.dims)
        stored = self.stores_padding(residence)
        points = (dict(zip(relevant, p)) for p in product(*(reach[dim] for dim in relevant)))
        return {word for point in points if (word := self.word(residence.operand, point, stored)) is not None}

    def stores_padding(self, residence: Residence) -> bool:
        return self.target.levels[residence.level].padding == "stored"

    def padding(self, operand: Operand, word: Word) -> bool:
        return not all(0 <= i < axis.size for i, axis in zip(word, operand.axes))
