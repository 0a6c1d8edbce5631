"""Subgraphs: what a node's reads from outside, and a branch of an ``If`` put in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import onnx

Fresh = Callable[[str], str]
"""A name that is free, the one given if it is."""


def captured(proto: onnx.NodeProto) -> list[str]:
    """The tensors that the subgraphs of a node read from outside, each once."""
    return list(dict.fromkeys(name for graph in subgraphs(proto) for name in _free(graph)))


def subgraphs(proto: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in proto.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def spliced(proto: onnx.NodeProto, branch: str, fresh: Fresh) -> list[onnx.NodeProto]:
    """The nodes of a branch of an ``If``, to stand in its place; what it puts out gets the names of the outputs."""
    graph = next(attribute.g for attribute in proto.attribute if attribute.name == branch)
    place = next(filter(None, proto.output), branch)
    names = names_of_initializers(graph, place, fresh)
    computed = {name for node in graph.node for name in node.output}
    copies = []
    for inner, outer in zip((value.name for value in graph.output), proto.output):
        if outer and inner in computed:
            names[inner] = outer
            computed.remove(inner)  # the same again is a copy
        elif outer:
            copies.append((inner, outer))
    return [
        *initializers(graph, names),
        *inlined(graph, names, place, fresh),
        *(_node("Identity", [names.get(inner, inner)], outer) for inner, outer in copies),
    ]


def names_of_initializers(graph: onnx.GraphProto, place: str, fresh: Fresh) -> dict[str, str]:
    """A fresh name for every initializer of a subgraph."""
    known = [*graph.initializer, *(tensor.values for tensor in graph.sparse_initializer)]
    return {tensor.name: fresh(f"{place}/{tensor.name}") for tensor in known}


def initializers(graph: onnx.GraphProto, names: Mapping[str, str]) -> Iterator[onnx.NodeProto]:
    """The initializers of a subgraph as constants."""
    for tensor in graph.initializer:
        yield _node("Constant", [], names[tensor.name], value=tensor)
    for sparse in graph.sparse_initializer:
        yield _node("Constant", [], names[sparse.values.name], sparse_value=sparse)


def inlined(graph: onnx.GraphProto, names: dict[str, str], place: str, fresh: Fresh) -> list[onnx.NodeProto]:
    """The nodes of a subgraph; what ``names`` does not rename gets a fresh name, and is in it then."""
    for name in defined(graph):
        if name not in names:
            names[name] = fresh(f"{place}/{name}")
    return [renamed(node, names) for node in graph.node]


def _node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    node: onnx.NodeProto = onnx.helper.make_node(op, inputs, [output], **attributes)
    return node


def _free(graph: onnx.GraphProto) -> Iterator[str]:
    """Names that a subgraph uses and does not define before."""
    known = set(_given(graph))
    for node in graph.node:
        yield from (name for name in (*node.input, *captured(node)) if name and name not in known)
        known.update(node.output)
    yield from (value.name for value in graph.output if value.name not in known)


def _given(graph: onnx.GraphProto) -> Iterable[str]:
    yield from (value.name for value in graph.input)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (tensor.values.name for tensor in graph.sparse_initializer)


def defined(graph: onnx.GraphProto) -> Iterable[str]:
    """The names that a subgraph gives to tensors."""
    yield from _given(graph)
    yield from (name for node in graph.node for name in node.output if name)


def renamed(proto: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A node with other names for its tensors, those that its subgraphs read from outside included."""
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    _rename_all(copy.input, names)
    _rename_all(copy.output, names)
    for graph in subgraphs(copy):
        _rename_free(graph, names)
    return copy


def _rename_free(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename in a subgraph what it reads from outside."""
    own = set(defined(graph))
    outer = {name: new for name, new in names.items() if name not in own}
    for node in graph.node:
        _rename_all(node.input, outer)
        for inner in subgraphs(node):
            _rename_free(inner, outer)
    for value in graph.output:
        value.name = outer.get(value.name, value.name)


def _rename_all(field: list[str], names: Mapping[str, str]) -> None:
    for i, name in enumerate(field):
        field[i] = names.get(name, name)
