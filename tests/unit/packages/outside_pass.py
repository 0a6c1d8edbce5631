"""A pass of another package, as an entry point finds it."""

from __future__ import annotations

from dataclasses import dataclass

import effc


@dataclass(frozen=True)
class Theirs(effc.Pass):
    """Do nothing."""

    name = "theirs"

    def run(self, graph: effc.Graph) -> effc.Graph:
        return graph
