"""The area of a target: the sum of its on-chip components."""

from __future__ import annotations

from fractions import Fraction

from effc.compiler.target.model import Target


def area_by(target: Target) -> dict[str, Fraction] | None:
    """um2 of every memory inside the outermost level (a bank under its operands, too) and of the MACs, all instances
    together; None if one of them has no area.
    """
    found: dict[str, Fraction | None] = {}
    for position, level in enumerate(target.levels[1:], 1):
        for bank in level.banks:
            name = level.name if len(level.banks) == 1 else f"{level.name} {', '.join(bank.operands)}"
            found[name] = None if bank.area is None else bank.area * target.instances(position)
    one = target.mac.area
    found["MAC"] = None if one is None else one * target.instances(len(target.levels))
    known = {name: area for name, area in found.items() if area is not None}
    return known if len(known) == len(found) else None


def area_mm2(target: Target) -> Fraction | None:
    """Square millimetres of all of them; None if one has no area."""
    parts = area_by(target)
    return None if parts is None else sum(parts.values(), Fraction(0)) / 10**6
