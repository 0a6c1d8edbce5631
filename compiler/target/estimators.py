"""Who estimates what a description does not give: effc's own fits, or a package that is installed.

    energy estimated                          # estimate.py
    energy estimated by hwcomponents "SRAM"   # a package, and what the part is called there

Another package offers an estimator under the entry point `effc.estimators`: its name, and a function that returns an
`Estimator`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import entry_points
from typing import Literal, Protocol

from effc.compiler.target import estimate
from effc.ir.errors import InputError

GROUP = "effc.estimators"
HWCOMPONENTS = "hwcomponents"

Action = Literal["read", "write", "compute"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a target: a memory of ``size`` bits with so many ports, a DRAM, or a MAC; ``width``: bits of a word.

    ``component``: what the description says that the estimator calls it; empty if it says nothing.
    """

    kind: Literal["memory", "dram", "mac"]
    width: int
    nm: Fraction = Fraction(0)
    size: int = 0
    ports: int = 1
    component: str = ""


class Estimator(Protocol):
    """Energies and areas of parts. Whatever it cannot do, it raises an exception for."""

    def energy(self, part: Part, action: Action) -> float:
        """pJ of an access to a word, or of one multiplication and addition."""

    def area(self, part: Part) -> float:
        """um2 of one instance."""


class Fits:
    """effc's own."""

    def energy(self, part: Part, action: Action) -> float:
        if part.kind == "dram":
            return float(estimate.dram_energy(part.width))
        if part.kind == "mac":
            return float(estimate.mac_energy(part.width, part.nm))
        return float(estimate.memory_energy(part.size, part.width, part.nm, part.ports))

    def area(self, part: Part) -> float:
        if part.kind == "mac":
            return float(estimate.mac_area(part.width, part.nm))
        return float(estimate.memory_area(part.size, part.nm, part.ports))


def find(name: str) -> Estimator:
    """The estimator of that name; of no name, effc's own. An ``InputError`` if it is not there, or does not load."""
    if not name:
        return Fits()
    plugins = {point.name: point for point in entry_points(group=GROUP)}
    if name in plugins:
        try:
            found: Estimator = plugins[name].load()()
        except Exception as error:
            message = f"the estimator '{name}' of {plugins[name].value} failed: {type(error).__name__}: {error}"
            raise InputError(message, "", "", "mend or remove the package that brings it") from error
        return found
    if name == HWCOMPONENTS:
        from effc.compiler.target.hwcomponents_estimator import HwComponents

        return HwComponents()
    known = ", ".join(sorted({HWCOMPONENTS, *plugins}))
    raise InputError(f"there is no estimator '{name}'", "", known, "write `estimated` alone for effc's own")
