"""Dependency tokens: whose turn it is to touch the tile of a region.

    free --fill--> full --take--> taken --give--> free                     a read operand
    free --open--> full --take--> taken --give--> done --drain--> free     partial sums

The engines of a region (load, store) and the one that uses it (of the next level inward, or the array) pass one token
around. Each runs ahead as far as tokens allow; an instruction whose token no instruction before it gives would wait for
ever, which is a deadlock, and a fault.
"""

from __future__ import annotations

from collections.abc import Iterable

from effc.backends.accel.faults import MachineFault
from effc.backends.accel.stores import Store

FREE, FULL, TAKEN, DONE = "free", "full", "taken", "done"


class Tokens:
    """The token of every region of a layer, in the order of the program."""

    def __init__(self, stores: Iterable[Store]) -> None:
        self._state = {store: FREE for store in stores if store.region is not None}
        self._origin: dict[Store, Store] = {}  # where a tile of partial sums came from

    def fill(self, child: Store, parent: Store) -> None:
        """A fill or an open of a tile, from a tile of the parent."""
        self._step(child, FREE, FULL, "it is given back, and partial sums are drained")
        self.use(parent)
        self._origin[child] = parent

    def take(self, store: Store) -> None:
        self._step(store, FULL, TAKEN, "a tile is filled or opened")

    def give(self, store: Store) -> None:
        done = DONE if store.operand.kind == "write" else FREE
        self._step(store, TAKEN, done, "the tile is taken")

    def drain(self, child: Store, parent: Store) -> None:
        """Tiles of partial sums leave to where they came from."""
        self._step(child, DONE, FREE, "the tile is opened, taken and given")
        if (origin := self._origin[child]) is not parent:
            raise MachineFault(
                f"{child.operand.name} was opened from {origin.level}", level=child.level, expected="a drain to there"
            )
        self.use(parent)

    def use(self, store: Store) -> None:
        """Whoever touches a tile holds its token."""
        if store.region is not None and self._state[store] != TAKEN:
            raise MachineFault(
                f"{store.operand.name} is {self._state[store]}, not taken",
                level=store.level,
                expected="a take before it",
            )

    def finish(self) -> None:
        """At the end every token is back."""
        for store, state in self._state.items():
            if state != FREE:
                what = "drained" if store.operand.kind == "write" else "given back"
                raise MachineFault(
                    f"{store.operand.name} is {state} at the end: it was never {what}",
                    level=store.level,
                    expected="every token back",
                )

    def _step(self, store: Store, before: str, after: str, expected: str) -> None:
        if self._state[store] != before:
            raise MachineFault(
                f"deadlock: {store.operand.name} is {self._state[store]}, which no instruction before this one changes",
                level=store.level,
                expected=f"{before}: it waits until {expected}",
            )
        self._state[store] = after
