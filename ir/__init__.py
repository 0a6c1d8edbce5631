"""The IR: nests, schedules and graphs, their text, the rules they obey, and constructors of nests.

This package imports nothing else of effc, and knows no target. Names are loaded when they are first used; lark and onnx
when a text is parsed or a node is printed, not before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effc.ir.constants import AbsentConstant as AbsentConstant
    from effc.ir.errors import InputError as InputError
    from effc.ir.errors import source_error as source_error
    from effc.ir.graph import ControlOp as ControlOp
    from effc.ir.graph import Graph as Graph
    from effc.ir.graph import NestOp as NestOp
    from effc.ir.graph import NodeOp as NodeOp
    from effc.ir.graph import Op as Op
    from effc.ir.graph import Tensor as Tensor
    from effc.ir.graph import View as View
    from effc.ir.nest import BIAS_NAME as BIAS_NAME
    from effc.ir.nest import OUTPUT_NAME as OUTPUT_NAME
    from effc.ir.nest import READ_NAMES as READ_NAMES
    from effc.ir.nest import ROLES as ROLES
    from effc.ir.nest import Axis as Axis
    from effc.ir.nest import Dim as Dim
    from effc.ir.nest import Nest as Nest
    from effc.ir.nest import Operand as Operand
    from effc.ir.schedule import For as For
    from effc.ir.schedule import Item as Item
    from effc.ir.schedule import Keep as Keep
    from effc.ir.schedule import Par as Par
    from effc.ir.schedule import Schedule as Schedule
    from effc.ir.schedule import trips as trips
    from effc.ir.text import parse_graph as parse_graph
    from effc.ir.text import parse_nest as parse_nest
    from effc.ir.text import parse_schedule as parse_schedule
    from effc.ir.text import parse_scheduled as parse_scheduled
    from effc.ir.text import print_graph as print_graph
    from effc.ir.text import print_nest as print_nest
    from effc.ir.text import print_schedule as print_schedule
    from effc.ir.text import print_scheduled as print_scheduled
    from effc.ir.verify import VerifyError as VerifyError
    from effc.ir.verify import verify_graph as verify_graph
    from effc.ir.verify import verify_nest as verify_nest
    from effc.ir.verify import verify_schedule as verify_schedule

_HOMES = {
    "effc.ir.constants": ("AbsentConstant",),
    "effc.ir.errors": (
        "InputError",
        "source_error",
    ),
    "effc.ir.graph": (
        "ControlOp",
        "Graph",
        "NestOp",
        "NodeOp",
        "Op",
        "Tensor",
        "View",
    ),
    "effc.ir.nest": (
        "BIAS_NAME",
        "OUTPUT_NAME",
        "READ_NAMES",
        "ROLES",
        "Axis",
        "Dim",
        "Nest",
        "Operand",
    ),
    "effc.ir.schedule": (
        "For",
        "Item",
        "Keep",
        "Par",
        "Schedule",
        "trips",
    ),
    "effc.ir.text": (
        "parse_graph",
        "parse_nest",
        "parse_schedule",
        "parse_scheduled",
        "print_graph",
        "print_nest",
        "print_schedule",
        "print_scheduled",
    ),
    "effc.ir.verify": (
        "VerifyError",
        "verify_graph",
        "verify_nest",
        "verify_schedule",
    ),
}
"""The modules, and what each is the home of."""

_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'effc.ir' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
