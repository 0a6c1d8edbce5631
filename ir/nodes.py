"""ONNX nodes as readable entries, and back, byte for byte.

    op Softmax "probabilities" (t) -> (y) opset 13 @ host { axis = 1, node name = "" }

An entry ``axis = 1`` is an attribute; an entry ``node FIELD = ...`` is a field of the ``NodeProto`` that differs from
what the op says by itself (``none``: the field is not set). Attributes that cannot be read (tensors, subgraphs) are
base64 of their ``AttributeProto``; a node that the entries would not restore exactly is base64 as a whole.

This is the only file of ``effc.ir`` that imports onnx; it is itself imported where the first node is printed or parsed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, ModelProto, NodeProto

from effc.ir.graph import NodeOp
from effc.ir.printer import quoted

SCALARS = ("name", "op_type", "domain", "doc_string", "overload")
LISTS = ("input", "output", "metadata_props")
WHOLE = "bytes"
"""The entry that holds a whole serialised node."""


class Listed(NamedTuple):
    """A list in an entry: ``ints``, ``floats`` or ``strings``."""

    kind: str
    items: tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


Value = int | float | str | bytes | Listed | None


@dataclass(frozen=True, slots=True)
class Entry:
    """``key = value``: an attribute, or a field of the node."""

    key: str
    value: Value
    is_attribute: bool = True

    @property
    def text(self) -> str:
        return _text(self.value)


def node_entries(op: NodeOp) -> list[Entry]:
    """The entries from which ``build_node`` makes ``op.node`` again."""
    node = NodeProto()
    try:
        node.ParseFromString(op.node)
        entries = [*map(_attribute_entry, node.attribute), *_field_entries(op, node)]
        if build_node(op, entries) == op.node:
            return entries
    except (DecodeError, ValueError):
        pass  # whatever it is, it is kept as it is
    return [Entry(WHOLE, op.node, is_attribute=False)]


def build_node(op: NodeOp, entries: Iterable[Entry]) -> bytes:
    """The serialised node of ``op``, whose own ``node`` is not looked at; ``ValueError`` if an entry is wrong."""
    node = NodeProto()
    fields: dict[str, Value] = {**_defaults(op), **{e.key: e.value for e in entries if not e.is_attribute}}
    if isinstance(whole := fields.pop(WHOLE, None), bytes):
        _decoded(NodeProto(), whole)
        return whole
    for key, value in fields.items():
        _set_field(node, key, value)
    node.attribute.extend(_attribute(e.key, e.value) for e in entries if e.is_attribute)
    return bytes(node.SerializeToString(deterministic=True))


def check_context(data: bytes) -> None:
    """Raise a ``ValueError`` unless ``data`` is a ``ModelProto``."""
    _decoded(ModelProto(), data)


def _decoded(message: Any, data: bytes) -> None:
    """Parse ``data`` into ``message``."""
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(f"the bytes are no {type(message).__name__}") from error


def _defaults(op: NodeOp) -> dict[str, Value]:
    """The fields of a node that has nothing of its own: what the op says."""
    empty = Listed("strings", ())
    return {
        "name": op.name or None,
        "op_type": op.op,
        "domain": op.domain or None,
        "doc_string": None,
        "overload": None,
        "input": Listed("strings", op.inputs),
        "output": Listed("strings", op.outputs),
        "metadata_props": empty,
    }


def _field_entries(op: NodeOp, node: NodeProto) -> Iterator[Entry]:
    """The fields that are not what the op says."""
    properties = [text for pair in node.metadata_props for text in (pair.key, pair.value)]
    actual: dict[str, Value] = {field: getattr(node, field) if node.HasField(field) else None for field in SCALARS}
    actual |= {"input": Listed("strings", tuple(node.input)), "output": Listed("strings", tuple(node.output))}
    actual["metadata_props"] = Listed("strings", tuple(properties))
    defaults = _defaults(op)
    return (Entry(key, value, is_attribute=False) for key, value in actual.items() if value != defaults[key])


def _set_field(node: NodeProto, key: str, value: Value) -> None:
    if key in SCALARS and (value is None or isinstance(value, str)):
        if value is not None:
            setattr(node, key, value)
    elif key in LISTS and isinstance(value, Listed) and all(isinstance(item, str) for item in value.items):
        _set_list(node, key, [str(item) for item in value.items])
    elif key in LISTS:
        raise ValueError(f"the node's {key} is a list of strings")
    else:
        raise ValueError(f"a node has no field {key!r}" if key not in SCALARS else f"the node's {key} is a string")


def _set_list(node: NodeProto, key: str, items: list[str]) -> None:
    if key != "metadata_props":
        getattr(node, key).extend(items)
        return
    if len(items) % 2:
        raise ValueError("metadata_props is a list of keys and values in turn")
    for name, value in zip(items[::2], items[1::2], strict=True):
        node.metadata_props.add(key=name, value=value)


def _attribute_entry(attribute: AttributeProto) -> Entry:
    """The attribute in a form that restores it exactly."""
    data = bytes(attribute.SerializeToString(deterministic=True))
    value = _readable(attribute)
    if value is None or bytes(_attribute(attribute.name, value).SerializeToString(deterministic=True)) != data:
        value = data
    return Entry(attribute.name, value)


def _readable(attribute: AttributeProto) -> Value:
    """The value as the text would give it back, or None where it has no readable form."""
    try:
        match attribute.type:
            case AttributeProto.INT:
                return int(attribute.i)
            case AttributeProto.FLOAT:
                return float(_float(attribute.f))
            case AttributeProto.STRING:
                return str(attribute.s.decode())
            case AttributeProto.INTS:
                return Listed("ints", tuple(attribute.ints))
            case AttributeProto.FLOATS:
                return Listed("floats", tuple(float(_float(f)) for f in attribute.floats))
            case AttributeProto.STRINGS:
                return Listed("strings", tuple(s.decode() for s in attribute.strings))
    except UnicodeDecodeError:
        pass
    return None


def _attribute(name: str, value: Value) -> AttributeProto:
    if isinstance(value, bytes):
        attribute = AttributeProto()
        _decoded(attribute, value)
        if attribute.name != name:
            raise ValueError(f"the attribute in base64 is called {attribute.name!r}")
        return attribute
    kind, fields = _fields(value)
    return AttributeProto(name=name, type=kind, **fields)


def _fields(value: Value) -> tuple[AttributeProto.AttributeType, dict[str, Any]]:
    """The type of an attribute with this value, and the field that holds it."""
    match value:
        case int():
            return AttributeProto.INT, {"i": value}
        case float():
            return AttributeProto.FLOAT, {"f": value}
        case str():
            return AttributeProto.STRING, {"s": value.encode()}
        case Listed("ints", items):
            return AttributeProto.INTS, {"ints": items}
        case Listed("floats", items):
            return AttributeProto.FLOATS, {"floats": items}
        case Listed("strings", items):
            return AttributeProto.STRINGS, {"strings": [str(item).encode() for item in items]}
        case _:
            raise ValueError("an attribute has a value; `none` is for fields of the node")


def _text(value: Value) -> str:
    match value:
        case None:
            return "none"
        case float():
            return _float(value)
        case int():
            return str(value)
        case str():
            return quoted(value)
        case bytes():
            return f'base64 "{b64encode(value).decode()}"'
        case Listed(kind, ()):
            return f"{kind} []"
        case Listed(_, items):
            return f"[{', '.join(map(_text, items))}]"


def _float(value: float) -> str:
    """The shortest decimal that rounds to the same 32-bit float."""
    return str(np.float32(value))
