"""Control ops and their bodies: every graph inside a graph, with how often it runs.

A tensor inside is called ``OP[POSITION].NAME`` outside, ``POSITION`` being that of the body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from effc.ir.graph import Array, ControlOp, Graph, NestOp, Op

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scope:
    """A graph, what the names of its tensors begin with outside, and how often it runs: None where the data decide."""

    graph: Graph
    prefix: str = ""
    runs: int | None = 1


def prefix_of(name: str, position: int) -> str:
    """What the names of the tensors of a body of a control op begin with."""
    return f"{name}[{position}]."


def bodies(op: Op, scope: Scope) -> Iterator[Scope]:
    """The bodies of an op of a graph, if it is a control op."""
    if isinstance(op, ControlOp):
        runs = None if scope.runs is None or op.trips is None else scope.runs * op.trips
        for position, body in enumerate(op.bodies):
            yield Scope(body, scope.prefix + prefix_of(op.name, position), runs)


def scopes(graph: Graph) -> Iterator[Scope]:
    """A graph, and the bodies inside it, each before those inside itself."""
    waiting = [Scope(graph)]
    while waiting:
        yield (scope := waiting.pop())
        waiting += [body for op in scope.graph.ops for body in bodies(op, scope)][::-1]


def every_op(graph: Graph) -> Iterator[tuple[Op, Scope]]:
    """The ops of a graph, those of a body behind the op that it belongs to."""
    yield from _every_op(Scope(graph))


def _every_op(scope: Scope) -> Iterator[tuple[Op, Scope]]:
    for op in scope.graph.ops:
        yield op, scope
        for body in bodies(op, scope):
            yield from _every_op(body)


def every_nest(graph: Graph) -> Iterator[tuple[NestOp, Graph]]:
    """The nests of a graph and of its bodies, each with the graph that it stands in."""
    return ((op, scope.graph) for op, scope in every_op(graph) if isinstance(op, NestOp))


def everywhere(work: Callable[[Graph], Graph], graph: Graph) -> Graph:
    """The result of a rewrite, which is applied to the bodies first."""
    return work(graph.with_ops(tuple(_inside(work, op) for op in graph.ops)) if _has_bodies(graph) else graph)


def _inside(work: Callable[[Graph], Graph], op: Op) -> Op:
    if not isinstance(op, ControlOp):
        return op
    return replace(op, bodies=tuple(everywhere(work, body) for body in op.bodies))


def _has_bodies(graph: Graph) -> bool:
    return any(isinstance(op, ControlOp) for op in graph.ops)


def every_constant(graph: Graph) -> dict[str, Array]:
    """The constants of a graph and its bodies, by their names outside."""
    return {scope.prefix + name: value for scope in scopes(graph) for name, value in scope.graph.constants.items()}


def with_constants(graph: Graph, values: Callable[[str, Array], Array], prefix: str = "") -> Graph:
    """The graph with other values of its constants, by their names outside and what stands in their places."""
    ops = tuple(
        replace(
            op,
            bodies=tuple(
                with_constants(body, values, prefix + prefix_of(op.name, position))
                for position, body in enumerate(op.bodies)
            ),
        )
        if isinstance(op, ControlOp)
        else op
        for op in graph.ops
    )
    constants = {name: values(prefix + name, value) for name, value in graph.constants.items()}
    return replace(graph, ops=ops, constants=constants)


class Inside(Mapping[str, T]):
    """The values of a body, out of those of all bodies by their names outside."""

    def __init__(self, values: Mapping[str, T], prefix: str) -> None:
        self.values_, self.prefix = values, prefix

    def __getitem__(self, name: str) -> T:
        return self.values_[self.prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self.prefix) for name in self.values_ if name.startswith(self.prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)
