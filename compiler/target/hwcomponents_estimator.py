"""Estimates of the package hwcomponents (https://pypi.org/project/hwcomponents), which needs Python 3.12.

It finds the models of the packages that are installed beside it: `hwcomponents-cacti` has memories (CACTI),
`hwcomponents-library` registers and MACs of publications. A part is looked up by the name of a component:

    kind     component, if none is named   attributes that it is given
    memory   SRAM                          tech_node, width, size, n_rw_ports
    dram     LPDDR4                        width
    mac      IntMAC                        tech_node, multiplier_width, adder_width (twice as wide)

An attribute that a model does not take is left out. Its metres, joules and square metres become nm, pJ and um2.
"""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from effc.compiler.target.estimators import Action, Part
from effc.ir.errors import InputError

COMPONENTS = {"memory": "SRAM", "dram": "LPDDR4", "mac": "IntMAC"}


class HwComponents:
    """The estimator; an ``InputError`` where the package is not installed."""

    def __init__(self) -> None:
        try:
            self.package = import_module("hwcomponents")
        except ImportError:
            raise InputError(
                "hwcomponents is not installed",
                "",
                "the package and its models",
                "`pip install 'effc[hwcomponents]'` with Python 3.12 or newer, or write `estimated` alone",
            ) from None

    def energy(self, part: Part, action: Action) -> float:
        bits = {} if part.kind == "mac" else {"bits_per_action": part.width}
        cost = self.package.get_action_cost(_name(part), self._attributes(part), action, bits)
        return float(cost.energy) * 1e12

    def area(self, part: Part) -> float:
        return float(self.package.get_area(_name(part), self._attributes(part))) * 1e12

    def _attributes(self, part: Part) -> dict[str, Any]:
        """What the models of that name take of what is known of the part."""
        width, known = part.width, {"tech_node": float(part.nm) * 1e-9}
        if part.kind == "memory":
            known |= {"width": width, "size": part.size, "n_rw_ports": part.ports}
        elif part.kind == "mac":
            known |= {"multiplier_width": width, "adder_width": 2 * width}
        else:
            known = {"width": width}
        taken: set[str] = set()
        for model in self.package.get_models():
            names = model.component_name or model.__name__
            if _name(part).lower() in {name.lower() for name in ([names] if isinstance(names, str) else names)}:
                taken |= set(signature(model.__init__).parameters)
        return {name: value for name, value in known.items() if not taken or name in taken}


def _name(part: Part) -> str:
    return part.component or COMPONENTS[part.kind]
