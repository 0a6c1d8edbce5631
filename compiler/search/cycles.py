"""What takes cycles where bandwidths are limited: the transfers of a choice of kept levels, and what their ports carry.

The works of `effc.compiler.cost.latency`, with words as products of factors: see `docs/search.md`, "Cycles".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from effc.compiler.search.problem import MACS, Problem
from effc.compiler.target.model import WAYS, Port, Way
from effc.ir.nest import Operand

Kind = Literal["all", "busiest", "first", "events"]
"""Words of all instances; of the busiest one; of that in the first event; none, but how often they move."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words of an operand between two levels, at the parent (``reads``) or the child, of the busiest instance."""

    operand: str
    parent: int
    child: int
    mark: int
    reads: bool
    padding: bool
    kind: Kind = "busiest"


@dataclass(frozen=True, slots=True)
class Load:
    """A port that words pass. ``level``: of the port; ``bits``: of a word; ``back``: words that return, each but the
    first time; ``less``: bits that all words together take less, as what is finished is narrower.
    """

    port: Port
    level: int
    bits: Fraction
    words: Words
    first: Words | None = None
    back: Words | None = None
    less: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Work:
    """A transfer: its mark (MACS: to or from the MACs), whether it stops the work inside, and its loads.

    ``fifo``: words that wait beforehand at a level, the words of the first event there, and the level.
    """

    mark: int
    stops: bool
    loads: tuple[Load, ...]
    fifo: tuple[Fraction, Words, int] | None = None


class Works:
    """The works of a problem for one choice of kept levels."""

    def __init__(self, problem: Problem, marks: tuple[tuple[str, int], ...]) -> None:
        self.problem, self.marks, self.target = problem, marks, problem.target
        self.bottom = len(self.target.levels)
        self.coupled = {window.operand for window in problem.windows}

    def all(self) -> Iterator[Work]:
        nest = self.problem.nest
        for operand in nest.operands.values():
            levels = (0, *(level for name, level in self.marks if name == operand.name))
            if operand is nest.output:
                for parent, child in pairwise(levels):
                    yield self.work(operand, parent, child, inwards=False)
                    yield self.work(operand, parent, child, inwards=True)
                yield self.updates(operand, levels[-1])
                continue
            ends = levels if operand is nest.bias else (*levels, self.bottom)
            for parent, child in pairwise(ends):
                yield self.work(operand, parent, child, inwards=True)

    def words(self, operand: Operand, parent: int, child: int, reads: bool, kind: Kind, stored: bool = False) -> Words:
        mark = MACS if child == self.bottom else self.marks.index((operand.name, child))
        return Words(operand.name, parent, child, mark, reads, stored, kind)

    def work(self, operand: Operand, parent: int, child: int, inwards: bool) -> Work:
        """A fill, a return, or the drain of an output."""
        problem, name, (outer, inner) = self.problem, operand.name, WAYS[inwards]
        output = operand is problem.nest.output
        stored = not output and problem.stored(parent) and (child == self.bottom or problem.stored(child))
        back = self.words(operand, parent, child, True, "events") if output and inwards else None
        waits = child < self.bottom and back is None

        def load(port: Port | None, level: int, bits: Fraction, less: Fraction = Fraction(0)) -> Iterator[Load]:
            """``level``: of the port, or above the network."""
            if port is not None:
                ends = (level, child, True) if level < child else (parent, child, False)
                words = self.words(operand, *ends, "busiest", stored)
                first = self.words(operand, *ends, "first", stored) if waits else None
                yield Load(port, level, bits, words, first, back, less)

        less = self.finished(parent) if output and not inwards else Fraction(0)
        loads = [*load(self.target.port(parent, name, outer), parent, self.target.bits(parent, name), less)]
        for level in range(parent, child):
            loads += load(self.target.network(level, name, outer), level, self.target.carried_bits(name))
        if child < self.bottom:
            loads += load(self.target.port(child, name, inner), child, self.target.bits(child, name))
        stops = child < self.bottom and not self.target.levels[child].overlaps(name)
        fifo = None
        if stops and inwards and not output:
            for level in reversed(range(parent + 1, child)):
                if bits := self.target.levels[level].prefetched(name):
                    first = self.words(operand, level, child, True, "first", stored)
                    fifo = bits / self.target.carried_bits(name), first, level
        mark = MACS if child == self.bottom else self.marks.index((name, child))
        return Work(mark, stops, tuple(loads), fifo)

    def updates(self, operand: Operand, level: int) -> Work:
        """The MACs write a word for each product, and read it unless it is the first of its residence."""
        arriving = self.words(operand, level, self.bottom, True, "busiest")
        back = self.words(operand, level, self.bottom, True, "events")
        ways: tuple[Way, Way] = ("write", "read")
        loads = []
        for way in ways if operand.name not in self.coupled else ways[:1]:
            port = self.target.port(level, operand.name, way)
            if port is not None:
                each, read = self.target.bits(level, operand.name), way == "read"
                less = Fraction(0) if read else self.finished(level)
                loads.append(Load(port, level, each, arriving, None, back if read else None, less))
        for above in range(level, self.bottom):
            port = self.target.network(above, operand.name, "write")
            if port is not None:
                each = self.target.carried_bits(operand.name)
                loads.append(Load(port, above, each, self.words(operand, above, self.bottom, True, "busiest")))
        return Work(MACS, False, tuple(loads))

    def finished(self, level: int) -> Fraction:
        """Bits that finished elements of the output take less where they are written."""
        if level:
            return Fraction(0)
        narrower = self.target.bits(0, self.problem.nest.output.name) - self.target.finished_bits()
        return self.target.widths.outputs * narrower
