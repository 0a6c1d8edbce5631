"""What a pass is: a value whose fields are its options, a graph in, a graph out.

    @register_pass
    @dataclass(frozen=True)
    class RenameNests(Pass):
        \"""Give every nest a prefix.\"""

        name = "rename-nests"
        prefix: str = "n_"

        def run(self, graph: Graph) -> Graph: ...

A pass that depends on the target has a field ``target: Target``; a textual pipeline fills it in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from effc.ir.graph import Graph


@dataclass(frozen=True)
class Pass:
    """A rewrite of a graph. Subclasses are frozen dataclasses; ``name`` is what the command line calls them."""

    name: ClassVar[str] = ""

    def run(self, graph: Graph) -> Graph:
        """The rewritten graph; the one given is not changed."""
        raise NotImplementedError(f"the pass {type(self).__name__} has no method run")
