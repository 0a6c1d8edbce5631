"""Fills of read operands: lists of addresses, and their execution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from effc.backends.accel.boxes import Box
from effc.backends.accel.memory import ZERO, Memory
from effc.backends.accel.moves import Addresses, MoveLists


@dataclass(frozen=True, slots=True)
class FillList:
    """``to[i]`` receives ``source[i]``, or padding from ZERO; as boxes where both are regular."""

    to: Box | Addresses
    source: Box | Addresses

    def run(self, child: Memory, base: int, parent: Memory, parent_base: int) -> None:
        """Move the words."""
        if isinstance(self.to, Box) and isinstance(self.source, Box):
            parent.require_box(parent_base, self.source)
            self.to.view(child.data, base)[...] = self.source.view(parent.data, parent_base)
            if child.valid is not None:
                self.to.bits(child.valid, base)[...] = True
            return
        assert isinstance(self.to, np.ndarray)
        assert isinstance(self.source, np.ndarray)
        parent.require(parent_base, self.source)
        child.after(base)[self.to] = parent.after(parent_base).take(self.source)
        if child.valid is not None:
            child.bits(base)[self.to] = True


class FillLists(MoveLists[FillList]):
    """The lists of one fill instruction."""

    def _build(self, key: tuple[int, ...]) -> FillList:
        parts, busy = self._split(key)
        frame = self._frame(parts)
        chosen = self._chosen(parts, busy)
        if chosen is not None:
            to, source = (maker.box() for maker in self._makers(parts, chosen, list(frame.axes)))
            if to is not None and source is not None:
                return FillList(to, source)
        listed, places, origins, found = self._lists(parts, busy, frame)
        return FillList(places[listed].astype(np.intp), np.where(found, origins, ZERO)[listed].astype(np.intp))
