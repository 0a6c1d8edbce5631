"""The area of a target: the sum of its on-chip components."""

from __future__ import annotations

from fractions import Fraction

from effc.compiler.target.model import Target


def area_mm2(target: Target) -> Fraction | None:
    """Square millimetres of all memories inside the outermost level and all MACs; None if one of them has no area."""
    total = Fraction(0)
    for position, level in enumerate(target.levels[1:], 1):
        for bank in level.banks:
            if bank.area is None:
                return None
            total += bank.area * target.instances(position)
    if target.mac.area is None:
        return None
    return (total + target.mac.area * target.instances(len(target.levels))) / 10**6
