"""Constants that follow from others, so that an artefact need not hold their words, too."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from effc.ir.constants import Scaled, digest, scaled_from
from effc.ir.graph import Array


@dataclass(frozen=True)
class Recipe:
    """How a constant follows from tensors that an artefact holds: the digests of source and factors, their shapes."""

    source: str
    factors: str
    made_of: Scaled

    @classmethod
    def of(cls, value: Array, data: Container[str]) -> Recipe | None:
        """The recipe of a constant whose source is in ``data`` already."""
        how = scaled_from(value)
        if how is None or digest(how.source) not in data:
            return None
        return cls(digest(how.source), digest(how.factors), how)

    def to_json(self) -> list[Any]:
        return [self.source, self.factors, list(self.made_of.shape), list(self.made_of.factors.shape)]
