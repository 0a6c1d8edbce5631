"""What a search returns: a schedule, what it costs, and a certificate of how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from effc.compiler.cost import Counts, Evaluation
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Certificate:
    """How good a schedule is, in the objective's unit.

    No schedule of the space costs less than ``lower_bound``. ``optimal`` says that ``value`` equals it.
    ``floor_dram_words``: words that every schedule moves at the outermost level, see ``floor.py``. ``space``: the
    number of schedules, see ``space.py``; ``expanded``: how many were costed, whole or in part;
    ``discarded``: by rule, how many parts of schedules were not looked at any further. ``search_s``: seconds, next to
    none if the answer was on disk. ``relative_to``: the constraints that the space is limited to, if any.
    """

    status: Literal["optimal", "bounded"]
    value: Fraction
    lower_bound: Fraction
    floor_dram_words: int
    space: int | None
    expanded: int
    search_s: float
    relative_to: str = ""
    discarded: Mapping[str, int] = field(default_factory=dict)

    @property
    def gap(self) -> Fraction:
        """How far the value may be from the optimum, as a fraction of the value; 0 if there is nothing to gain."""
        return (self.value - self.lower_bound) / self.value if self.value else Fraction(0)


def measure(objective: str) -> str:
    """The figure that a certificate for the objective speaks of."""
    return "edp" if objective == "pareto" else objective


@dataclass(frozen=True, slots=True)
class Point:
    """A schedule on a front over energy and cycles. ``proven``: no schedule at all is better in both."""

    schedule: Schedule
    evaluation: Evaluation
    proven: bool


@dataclass(frozen=True, slots=True)
class Best:
    """The best schedule found for a nest on a target.

    ``front``: for the objective ``pareto``, the schedules found of which none is better in both energy and cycles,
    fewest cycles first. The schedule itself is then the one of least energy x cycles, and so is its certificate.
    """

    nest: Nest
    target: Target
    objective: str
    schedule: Schedule
    evaluation: Evaluation
    certificate: Certificate
    front: tuple[Point, ...] = ()

    @property
    def counts(self) -> Counts:
        return self.evaluation.counts

    @property
    def energy(self) -> Fraction:
        return self.evaluation.energy

    @property
    def cycles(self) -> int:
        return self.evaluation.cycles
