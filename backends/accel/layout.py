"""Where tensors live in DRAM: constants first, then activations, which reuse the words of those that are dead."""

from __future__ import annotations

from effc.backends.accel.isa import Slot
from effc.ir.graph import Graph, NestOp, Tensor
from effc.ir.layouts import place_of

FOREVER = -1


def place_tensors(graph: Graph) -> tuple[list[Slot], int]:
    """A slot for every tensor that leaves an epilogue, and the size of the DRAM in words.

    Tensors of data with a known shape are in DRAM; all else stays with the host.
    """
    first, last = _lifetimes(graph)
    inner = {name for op in graph.nests for name in op.inner}
    tensors = [tensor for name, tensor in graph.tensors.items() if name not in inner]
    in_dram = [tensor for tensor in tensors if tensor.name in graph.data and tensor.shape is not None]
    addresses, end = {}, 0
    for tensor in in_dram:
        if tensor.name in graph.constants and tensor.place is None:
            addresses[tensor.name] = end
            end += tensor.words
    others = [tensor for tensor in in_dram if tensor.name not in addresses and tensor.place is None]
    placed, words = _first_fit(others, first, last, end)
    addresses |= placed
    slots = []
    for tensor in tensors:
        name, constant = tensor.name, tensor.name in graph.constants
        lasting = first[name], last[name]
        if tensor.place is None:
            slots.append(Slot(name, tensor.dtype, tensor.shape, addresses.get(name), constant, *lasting))
        else:
            place = place_of(tensor, graph.tensors)
            address = addresses[place.tensor] + place.offset
            part = place.tensor, place.strides
            slots.append(Slot(name, tensor.dtype, tensor.shape, address, constant, *lasting, *part))
    return slots, words


def _lifetimes(graph: Graph) -> tuple[dict[str, int], dict[str, int]]:
    """The first and the last layer at which each tensor holds its values."""
    first = dict.fromkeys((*graph.inputs, *graph.constants), FOREVER)
    last: dict[str, int] = {}
    for name in (*graph.inputs, *graph.constants):
        first |= dict.fromkeys(graph.wholes(name), FOREVER)
    for layer, op in enumerate(graph.ops):
        captures = () if isinstance(op, NestOp) else op.captures
        for part in filter(None, (*op.inputs, *captures, *op.outputs)):
            last |= dict.fromkeys((part, *graph.wholes(part)), layer)
        for part in filter(None, op.outputs):
            for name in (part, *graph.wholes(part)):
                first.setdefault(name, layer)
    for name in graph.tensors:
        if name not in first and (source := graph.source(name)) in first:
            first[name] = first[source]
    for part in (*graph.outputs, *graph.constants):
        last |= dict.fromkeys((part, *graph.wholes(part)), len(graph.ops))
    for name in graph.tensors:
        first.setdefault(name, FOREVER)
        last.setdefault(name, first[name])
    return first, last


def _first_fit(
    tensors: list[Tensor], first: dict[str, int], last: dict[str, int], end: int
) -> tuple[dict[str, int], int]:
    """Addresses from ``end`` on: each tensor at the lowest place that is free while it lives."""
    addresses: dict[str, int] = {}
    alive: list[Tensor] = []
    words = end
    for tensor in sorted(tensors, key=lambda tensor: first[tensor.name]):
        alive = [other for other in alive if last[other.name] >= first[tensor.name]]
        address = end
        for other in sorted(alive, key=lambda other: addresses[other.name]):
            if addresses[other.name] - address >= tensor.words:
                break
            address = max(address, addresses[other.name] + other.words)
        addresses[tensor.name] = address
        alive.append(tensor)
        words = max(words, address + tensor.words)
    return addresses, words
