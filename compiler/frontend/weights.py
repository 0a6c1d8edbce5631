"""A model whose large initializers stay where they are, in the bytes of its file: its message is small.

A message is a row of fields, each a key and, as far as it matters here, a length and as many bytes. ``split`` looks for
the initializers of the graph, and leaves out the fields ``raw_data`` of the large ones. What is not written as
exporters do, it leaves in the message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from effc.compiler.mapped import map_file
from effc.ir.graph import Array

LARGE = 1024
"""Bytes of an initializer that is left out."""

MOST_FIELDS = 2**19
"""Fields that are looked at; more are none that an exporter writes."""

WHOLE = "FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 FLOAT16 DOUBLE UINT32 UINT64 BFLOAT16"
TYPES = frozenset(WHOLE.split())
"""Of elements of whole bytes."""


@dataclass(frozen=True)
class Model:
    """A model in two parts: the message, and initializers of its graph, by their positions, whose data it lacks."""

    proto: onnx.ModelProto
    weights: Mapping[int, Array] = field(default_factory=dict, repr=False)


class Files:
    """Reads files, or maps them where they stay ``in_place``."""

    def __init__(self, in_place: bool = False) -> None:
        self.in_place = in_place
        self._mapped: dict[Path, memoryview] = {}

    def read(self, path: Path, start: int = 0, size: int = -1) -> memoryview:
        """The bytes of a file from ``start`` on, ``size`` of them or all."""
        if self.in_place and path.stat().st_size:
            if path not in self._mapped:
                self._mapped[path] = map_file(path)
            return self._mapped[path][start : None if size < 0 else start + size]
        with path.open("rb") as file:
            file.seek(start)
            return memoryview(file.read(size))


def split(content: memoryview) -> tuple[bytes, dict[int, memoryview]]:
    """The message of a model without the data of large initializers, and these by their positions in the graph."""
    try:
        budget = iter(range(MOST_FIELDS))
        graphs = [part for part in _fields(content, 0, len(content), budget) if part.number == _GRAPH]
        if len(graphs) == 1 and graphs[0].wire == _BYTES:  # several would be merged
            pieces, weights = _without_weights(content, graphs[0], budget)
            return b"".join([content[: graphs[0].start], *pieces, content[graphs[0].end :]]), weights
    except ValueError:  # let protobuf say what is wrong
        pass
    return bytes(content), {}


def array(tensor: onnx.TensorProto, data: memoryview) -> Array:
    """The values of an initializer that is stored as ``data``; ValueError if these are not as many as it says."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.frombuffer(data, kind).reshape(tuple(tensor.dims))


_GRAPH, _INITIALIZER, _DATA_TYPE, _RAW_DATA = 7, 5, 2, 9
"""Numbers of fields: of ModelProto, GraphProto and TensorProto."""

_PLAIN = frozenset((1, _DATA_TYPE, 8, _RAW_DATA, 12))
"""Fields of a tensor that is plainly written: its dims, type, name, data and text."""

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class _Field(NamedTuple):
    """A field of a message: its number and type, where it starts, its content or varint, where it ends."""

    number: int
    wire: int
    start: int
    inner: int
    end: int


def _fields(content: memoryview, position: int, end: int, budget: Iterator[int]) -> Iterator[_Field]:
    """The fields of the message from ``position`` to ``end``; ValueError if it is none, or has more than ``budget``."""
    while position < end:
        if next(budget, None) is None:
            raise ValueError("too many fields")
        start = position
        key, position = _varint(content, position, end)
        inner, wire = position, key & 7
        if wire == _VARINT:
            _, position = _varint(content, position, end)
        elif wire == _BYTES:
            size, inner = _varint(content, position, end)
            position = inner + size
        elif wire in (_EIGHT, _FOUR):
            position += 8 if wire == _EIGHT else 4
        else:
            raise ValueError("a group, or nothing that protobuf knows")
        if position > end:
            raise ValueError("a field ends behind its message")
        yield _Field(key >> 3, wire, start, inner, position)


def _varint(content: memoryview, position: int, end: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends."""
    value = shift = 0
    while position < end and shift < 64:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("a number that does not end")


def _key(number: int, size: int) -> bytes:
    """What stands before a field of ``size`` bytes."""
    written = bytearray()
    for value in (number << 3 | _BYTES, size):
        while value > 127:
            written.append(value & 127 | 128)
            value >>= 7
        written.append(value)
    return bytes(written)


Pieces = list[bytes | memoryview]


def _without_weights(content: memoryview, graph: _Field, budget: Iterator[int]) -> tuple[Pieces, dict[int, memoryview]]:
    """The field of a graph in pieces, and what they lack."""
    pieces: Pieces = []
    weights: dict[int, memoryview] = {}
    kept, position = graph.inner, -1
    for part in _fields(content, graph.inner, graph.end, budget):
        if part.number != _INITIALIZER:
            continue
        position += 1
        raw = _raw_data(content, part, budget)
        if raw is None:
            continue
        size = part.end - part.inner - (raw.end - raw.start)
        pieces += [content[kept : part.start], _key(_INITIALIZER, size), content[part.inner : raw.start]]
        weights[position] = content[raw.inner : raw.end]
        kept = raw.end
    pieces.append(content[kept : graph.end])
    return [_key(_GRAPH, sum(map(len, pieces))), *pieces], weights


def _raw_data(content: memoryview, tensor: _Field, budget: Iterator[int]) -> _Field | None:
    """The data of a tensor, if it is large and plainly written."""
    if tensor.wire != _BYTES or tensor.end - tensor.inner <= LARGE:
        return None
    parts = list(_fields(content, tensor.inner, tensor.end, budget))
    raw = [part for part in parts if part.number == _RAW_DATA]
    kinds = [part for part in parts if part.number == _DATA_TYPE]
    if not {part.number for part in parts} <= _PLAIN or len(raw) != 1 or len(kinds) != 1:
        return None
    kind, _ = _varint(content, kinds[0].inner, kinds[0].end)
    known = kinds[0].wire == _VARINT and kind in _CODES
    return raw[0] if known and raw[0].wire == _BYTES and raw[0].end - raw[0].inner > LARGE else None


_CODES = frozenset(onnx.TensorProto.DataType.Value(name) for name in TYPES)
