"""The chains of loops that the kernel found for each dim, steps of any size, as one schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from effc.compiler.search.problem import Problem
from effc.ir.schedule import For, Item, Keep, Par, Schedule


@dataclass(frozen=True, slots=True)
class Digit:
    """A loop of a chain: in time in a segment between marks, or on an axis (an index into ``Problem.unrolls``)."""

    in_time: bool
    at: int
    step: int


Chains = dict[str, list[Digit]]  # by dim, outermost first


def schedule_of_chains(
    marks: list[tuple[str, int]], chains: Chains, sweeps: dict[int, str], problem: Problem
) -> Schedule | None:
    """The schedule; None if the chains cannot stand together, or need two loops of a dim between two marks.

    ``sweeps``: by the position of a mark the dim along which its window slides: the loops of that dim stand next to it.
    """
    places = _places(len(marks), chains, problem)
    if places is None:
        return None
    last = _last(chains, sweeps)
    items: list[Item] = []
    for segment in range(len(marks) + 1):
        inner = sorted(chains, key=lambda dim: last.get(segment) == dim)
        loops = _segment(segment, places, {dim: chains[dim] for dim in inner}, problem)
        if loops is None:
            return None
        items += loops
        if segment < len(marks):
            operand, level = marks[segment]
            items.append(Keep(operand, problem.target.levels[level].name))
    return _separated(items, problem)


def _last(chains: Chains, sweeps: dict[int, str]) -> dict[int, str]:
    """By segment, the dim whose loops stand last: that of the mark inside, or of one further in."""
    last = dict(sweeps)
    for mark, dim in sweeps.items():
        for segment in range(mark, -1, -1):
            last.setdefault(segment, dim)
            if any(digit.in_time and digit.at == segment for d in chains if d != dim for digit in chains[d]):
                break
    return last


def _places(segments: int, chains: Chains, problem: Problem) -> dict[int, int] | None:
    """By level, the segment where its fan-out stands: outside and inside the right loops of every dim."""
    places: dict[int, int] = {}
    last: dict[int, int] = {}
    for chain in chains.values():
        outside = 0
        for number, digit in enumerate(chain):
            if digit.in_time:
                outside = digit.at
                continue
            level = problem.unrolls[digit.at].level
            inside = next((other.at for other in chain[number:] if other.in_time), segments)
            places[level] = max(places.get(level, 0), outside)
            last[level] = min(last.get(level, segments), inside)
    return places if all(places[level] <= last[level] for level in places) else None


def _segment(segment: int, places: dict[int, int], chains: Chains, problem: Problem) -> list[Item] | None:
    """The loops of a segment and the fan-outs in it, those of each dim in the order of its chain."""
    waiting = {dim: list(_nodes(dim, chain, segment, places, problem)) for dim, chain in chains.items()}
    items: list[Item] = []
    while any(waiting.values()):
        dim = next((dim for dim, nodes in waiting.items() if nodes and isinstance(nodes[0], For)), None)
        if dim is not None:
            items.append(waiting[dim].pop(0))
            continue
        heads = [nodes[0].level for nodes in waiting.values() if nodes and isinstance(nodes[0], Par)]
        ready = [name for name in heads if not any(_hidden(nodes, name) for nodes in waiting.values())]
        if not ready:
            return None
        for nodes in waiting.values():
            while nodes and isinstance(nodes[0], Par) and nodes[0].level == ready[0]:
                items.append(nodes.pop(0))
    return items


def _nodes(dim: str, chain: list[Digit], segment: int, places: dict[int, int], problem: Problem) -> Iterator[For | Par]:
    for digit in chain:
        if digit.in_time and digit.at == segment:
            yield For(dim, digit.step)
        elif not digit.in_time and places[problem.unrolls[digit.at].level] == segment:
            unroll = problem.unrolls[digit.at]
            yield Par(dim, digit.step, problem.target.levels[unroll.level].name, unroll.name)


def _hidden(nodes: list[For | Par], level: str) -> bool:
    """Whether the pars of a fan-out come behind something else."""
    later = [node for node in nodes if isinstance(node, Par) and node.level == level]
    return bool(later) and nodes[0] is not later[0]


def _separated(items: list[Item], problem: Problem) -> Schedule | None:
    """Of two loops of a dim with no mark or fan-out between them the outer one stands before the mark outside them.

    That mark's operand must not need the dim; as the innermost loop outside the mark it moves nothing.
    """
    while True:
        twice = _twice(items)
        if twice is None:
            return Schedule(tuple(items))
        loop = items[twice]
        assert isinstance(loop, For)
        mark = max((i for i in range(twice) if isinstance(items[i], Keep)), default=-1)
        keep = items[mark] if mark >= 0 else None
        if not isinstance(keep, Keep) or loop.dim in problem.nest.operands[keep.operand].dims:
            return None
        if any(isinstance(item, Par) for item in items[mark:twice]):
            return None
        items = [*items[:mark], loop, *items[mark:twice], *items[twice + 1 :]]


def _twice(items: list[Item]) -> int | None:
    """The position of a loop whose dim has another one before the next mark or fan-out."""
    for i, item in enumerate(items):
        for other in items[i + 1 :] if isinstance(item, For) else ():
            if not isinstance(other, For):
                break
            if isinstance(item, For) and other.dim == item.dim:
                return i
    return None
