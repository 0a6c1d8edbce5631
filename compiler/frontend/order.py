"""Nodes in the order in which they can run, which some tools do not keep: onnxruntime sorts them as well."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import onnx

from effc.compiler.frontend.subgraphs import captured, subgraphs


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those that it reads from, here and in subgraphs; those that could stay keep their order.

    Nodes that wait for each other are left as they are.
    """
    for node in graph.node:
        for inner in subgraphs(node):
            sort_nodes(inner)
    order = _order(graph)
    if len(order) == len(graph.node) and order != sorted(order):
        nodes = []
        for position in order:
            nodes.append(copy := onnx.NodeProto())
            copy.CopyFrom(graph.node[position])
        del graph.node[:]
        graph.node.extend(nodes)


def _order(graph: onnx.GraphProto) -> list[int]:
    """The positions of the nodes in an order in which they can run; without those that cannot."""
    made = {name: position for position, node in enumerate(graph.node) for name in node.output if name}
    needs = [{made[name] for name in (*node.input, *captured(node)) if name in made} for node in graph.node]
    users: list[list[int]] = [[] for _ in needs]
    for position, before in enumerate(needs):
        for other in before:
            users[other].append(position)
    ready = [position for position, before in enumerate(needs) if not before]
    heapify(ready)
    order = []
    while ready:
        order.append(position := heappop(ready))
        for user in users[position]:
            needs[user].remove(position)
            if not needs[user]:
                heappush(ready, user)
    return order
