"""effc: compiles neural networks onto accelerators, and counts every word that moves by executing the program.

    import effc

    program = effc.compile("resnet50.onnx", effc.load_target("eyeriss"))
    program.report.totals.energy_pj
    y = program.run({"input": x})

Names are loaded when they are first used, so that ``import effc`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from effc.compiler import dataflows as dataflows
    from effc.compiler.api import compile as compile  # noqa: A004
    from effc.compiler.api import evaluate as evaluate
    from effc.compiler.api import load as load
    from effc.compiler.api import search as search
    from effc.compiler.passes.base import Pass as Pass
    from effc.compiler.passes.registry import register_pass as register_pass
    from effc.compiler.passes.textual import parse_pipeline as parse_pipeline
    from effc.compiler.program import CompiledProgram as CompiledProgram
    from effc.compiler.search.result import Best as Best
    from effc.compiler.search.result import Certificate as Certificate
    from effc.compiler.target import load_target as load_target
    from effc.compiler.target import parse_target as parse_target
    from effc.compiler.target import print_target as print_target
    from effc.compiler.target.model import Target as Target
    from effc.ir import nests as nests
    from effc.ir.errors import InputError as InputError
    from effc.ir.graph import Graph as Graph
    from effc.ir.graph import NestOp as NestOp
    from effc.ir.graph import NodeOp as NodeOp
    from effc.ir.nest import Nest as Nest
    from effc.ir.schedule import Schedule as Schedule
    from effc.ir.text import parse_graph as parse_graph
    from effc.ir.text import parse_nest as parse_nest
    from effc.ir.text import parse_schedule as parse_schedule
    from effc.ir.text import parse_scheduled as parse_scheduled
    from effc.ir.text import print_graph as print_graph
    from effc.ir.text import print_nest as print_nest
    from effc.ir.text import print_schedule as print_schedule
    from effc.ir.text import print_scheduled as print_scheduled

_HOMES = {
    "effc.compiler.api": ("compile", "evaluate", "load", "search"),
    "effc.compiler.dataflows": ("dataflows",),
    "effc.compiler.passes.base": ("Pass",),
    "effc.compiler.passes.registry": ("register_pass",),
    "effc.compiler.passes.textual": ("parse_pipeline",),
    "effc.compiler.program": ("CompiledProgram",),
    "effc.compiler.search.result": ("Best", "Certificate"),
    "effc.compiler.target": ("load_target", "parse_target", "print_target"),
    "effc.compiler.target.model": ("Target",),
    "effc.ir.errors": ("InputError",),
    "effc.ir.graph": ("Graph", "NestOp", "NodeOp"),
    "effc.ir.nest": ("Nest",),
    "effc.ir.nests": ("nests",),
    "effc.ir.schedule": ("Schedule",),
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
}
"""The modules, and what each is the home of; ``nests`` and ``dataflows`` are modules themselves."""

_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'effc' has no attribute {name!r}")
    module = import_module(_HOME[name])
    value = module if name in ("nests", "dataflows") else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
