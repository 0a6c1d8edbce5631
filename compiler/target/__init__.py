"""Targets: the accelerators that effc compiles for, and the language (``.hw``) that describes them."""

from effc.compiler.target.load import bundled_targets, load_target, target_names
from effc.compiler.target.model import (
    OPERAND_TERMS,
    Bank,
    Coding,
    FanOut,
    Level,
    Link,
    Mac,
    MeshAxis,
    Multicast,
    Numeric,
    Prefetch,
    Target,
    VectorUnit,
)
from effc.compiler.target.show import print_target
from effc.compiler.target.widths import Widths

__all__ = [
    "OPERAND_TERMS",
    "Bank",
    "Coding",
    "FanOut",
    "Level",
    "Link",
    "Mac",
    "MeshAxis",
    "Multicast",
    "Numeric",
    "Prefetch",
    "Target",
    "VectorUnit",
    "Widths",
    "bundled_targets",
    "load_target",
    "parse_target",
    "print_target",
    "target_names",
]


def parse_target(text: str, filename: str = "<text>") -> Target:
    """The target that a text in the language of targets describes; an ``InputError`` if it describes none."""
    from effc.compiler.target import parse

    return parse.parse_target(text, filename)
