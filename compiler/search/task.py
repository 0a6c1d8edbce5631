"""What a search is asked: everything that its answer depends on, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import effc.compiler
import effc.ir
from effc.compiler.search.constraints import Rules
from effc.compiler.target.model import Target
from effc.compiler.target.show import print_target
from effc.ir.nest import Nest
from effc.ir.printer import print_nest

ROOMS = ("target", "cost", "dataflows", "search")
"""The packages of the compiler whose code decides what the best schedule is; so does that of the IR."""

CODE = (".py", ".lark", ".c", ".h", ".so", ".pyd")


@dataclass(frozen=True, slots=True)
class Task:
    """A nest to schedule on a target.

    ``perfect_factors``: only steps that divide, and no sliding windows. ``constraints``: rules to satisfy.
    """

    nest: Nest
    target: Target
    objective: str = "energy"
    perfect_factors: bool = False
    constraints: Rules = ()

    @property
    def key(self) -> str:
        """A digest of the task and of the code that solves it; the nest's name is no part of it."""
        nest, target = print_nest(replace(self.nest, name="nest")), print_target(self.target)
        rules = [str(rule) for rule in self.constraints]
        about = [version(), nest, target, str(self.target.widths), self.objective, self.perfect_factors, rules]
        return sha256(json.dumps(about).encode()).hexdigest()


@cache
def version() -> str:
    """A digest of the code of ``ROOMS``, the compiled kernel included: a search that changed has another one."""
    digest = sha256()
    for path in sorted(code()):
        digest.update(path.name.encode() + b"\0" + sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def code() -> Iterator[Path]:
    """The files of ``ROOMS``, and of the IR."""
    rooms = [Path(folder) / room for folder in effc.compiler.__path__ for room in ROOMS]
    for room in (*map(Path, effc.ir.__path__), *rooms):
        yield from (path for path in room.rglob("*") if path.suffix in CODE)
