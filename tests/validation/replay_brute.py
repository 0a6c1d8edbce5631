"""Timeloop's convention counted by brute force: every step, every instance, every word of every tile, as sets.

It reads the JSON of a case itself, and knows nothing of effc.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any

Word = tuple[int, ...]
Words = frozenset[Word]
Loop = tuple[str, int, int, str, bool]  # dim, factor, step, level, spatial

AXES = {
    "Weights": ("K", "C", "R", "S"),
    "Inputs": ("N", "C", "PR", "QS"),
    "Outputs": ("N", "K", "P", "Q"),
}


class Brute:
    """One case on its machine; ``steps``: ``all``, or ``first`` for the two iterations of a loop that Timeloop runs."""

    def __init__(self, arch: dict[str, Any], case: dict[str, Any], steps: str) -> None:
        self.steps = steps
        self.levels = arch["levels_inner_to_outer"][::-1]
        self.array = arch["pe_array"]["below"]
        self.dims, self.keep = case["dims"], case["mapping"]["keep"]
        self.loops = self.order(case["mapping"])
        self.counts: dict[tuple[str, str], dict[str, int]] = {
            (level, tensor): {"reads": 0, "fills": 0, "updates": 0}
            for level in self.levels
            for tensor in self.keep[level]
        }

    def order(self, mapping: dict[str, Any]) -> list[Loop]:
        """All loops, outermost first, with their steps."""
        found = []
        for level in self.levels:
            found += [(dim, factor, level, False) for dim, factor in mapping["temporal"][level]]
            if level == self.array:
                found += [(dim, factor, level, True) for axis in "YX" for dim, factor in mapping["spatial"][axis]]
        step = dict.fromkeys("NKCPQRS", 1)
        loops: list[Loop] = []
        for dim, factor, level, spatial in reversed(found):
            loops.insert(0, (dim, factor, step[dim], level, spatial))
            step[dim] *= factor
        return loops

    def run(self) -> dict[tuple[str, str], dict[str, int]]:
        for tensor in AXES:
            chain = [level for level in self.levels if tensor in self.keep[level]]
            for parent, child in zip(chain, [*chain[1:], "MAC"]):
                self.count(tensor, parent, child)
        return self.counts

    def depth(self, level: str) -> int:
        return self.levels.index(level) if level in self.levels else len(self.levels)

    def count(self, tensor: str, parent: str, child: str) -> None:
        """What moves between two neighbouring levels."""
        stay = [self.depth(level) >= self.depth(child) for _, _, _, level, _ in self.loops]
        outside = [i for i, (_, _, _, _, spatial) in enumerate(self.loops) if not spatial and not stay[i]]
        across = [i for i, (_, _, _, _, spatial) in enumerate(self.loops) if spatial and not stay[i]]
        buffers: dict[tuple[int, ...], Buffer] = defaultdict(Buffer)
        seen: dict[tuple[int, ...], set[Word]] = defaultdict(set)
        arrivals = 0
        for step, weight in self.walk(outside):
            groups: dict[tuple[int, ...], set[Words]] = defaultdict(set)
            for instance in product(*(range(self.loops[i][1]) for i in across)):
                tile = self.tile(tensor, {**dict(zip(outside, step)), **dict(zip(across, instance))})
                delta = tile if child == "MAC" else buffers[instance].step(tile, self.steps)
                above = tuple(d for d, i in zip(instance, across) if self.depth(self.loops[i][3]) < self.depth(parent))
                groups[above].add(delta)
                arrivals += len(delta) * weight
                self.touch(tensor, child, "fills", seen["child", instance], delta, weight)
            for above, deltas in groups.items():
                for delta in deltas:
                    if tensor == "Outputs":
                        self.counts[parent, tensor]["updates"] += len(delta) * weight
                    self.touch(tensor, parent, "reads", seen["parent", above], delta, weight)
        self.elide(tensor, parent, child, seen)

    def touch(self, tensor: str, level: str, what: str, seen: set[Word], delta: Words, weight: int) -> None:
        """Count words that are read or filled; of outputs, those that the instance has seen before."""
        if level != "MAC":
            again = tensor != "Outputs" or self.steps == "first"
            self.counts[level, tensor][what] += weight * (len(delta) if again else len(delta & seen))
            seen |= delta

    def elide(self, tensor: str, parent: str, child: str, seen: dict[Any, set[Word]]) -> None:
        """Where steps were left out: take off the first touches of outputs, counted over all steps."""
        if tensor != "Outputs" or self.steps == "all":
            return
        for level, what in ((parent, "reads"), (child, "fills")):
            if level != "MAC":
                fixed = [i for i, loop in enumerate(self.loops) if loop[4] and self.depth(loop[3]) < self.depth(level)]
                for instance in product(*(range(self.loops[i][1]) for i in fixed)):
                    self.counts[level, tensor][what] -= len(self.words(tensor, dict(zip(fixed, instance))))

    def walk(self, outside: list[int]) -> Iterator[tuple[tuple[int, ...], int]]:
        """Every step that is looked at, and for how many it stands."""
        if self.steps == "all":
            yield from ((step, 1) for step in product(*(range(self.loops[i][1]) for i in outside)))
            return
        for step in product(*(range(min(2, self.loops[i][1])) for i in outside)):
            weight = 1
            for digit, i in zip(step, outside):
                weight *= self.loops[i][1] - 1 if digit else 1
            yield step, weight

    def words(self, tensor: str, fixed: dict[int, int]) -> Words:
        """Every word that is touched, some digits given."""
        found = set()
        ranges = [(fixed[i],) if i in fixed else range(loop[1]) for i, loop in enumerate(self.loops)]
        for digits in product(*ranges):
            at = dict.fromkeys("NKCPQRS", 0)
            for digit, (dim, _, step, _, _) in zip(digits, self.loops):
                at[dim] += digit * step
            stride = self.dims.get("stride", 1)
            at["PR"], at["QS"] = stride * at["P"] + at["R"], stride * at["Q"] + at["S"]
            found.add(tuple(at[axis] for axis in AXES[tensor]))
        return frozenset(found)

    def tile(self, tensor: str, fixed: dict[int, int]) -> Words:
        """The box around the words that are touched."""
        return frozenset(product(*(range(min(x), max(x) + 1) for x in zip(*self.words(tensor, fixed)))))


class Buffer:
    """A tile, and the stride of its last shift."""

    def __init__(self) -> None:
        self.tile: Words = frozenset()
        self.stride: Word | None = None

    def step(self, tile: Words, steps: str) -> Words:
        """The words that a new tile brings."""
        before, self.tile = self.tile, tile
        if not before:
            return tile
        shift = tuple(new - old for new, old in zip(min(tile), min(before)))
        if steps == "first" and any(shift) and self.stride is not None and shift != self.stride:
            self.stride = None
            return tile
        if any(shift):
            self.stride = shift
        return tile if sum(map(bool, shift)) > 1 else tile - before
