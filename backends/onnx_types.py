"""ONNX's types of values: of Python objects, and from ONNX's names for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

# fmt: off
_ELEMENTS = {  # as onnxruntime writes the types of elements
    "float": "FLOAT", "double": "DOUBLE", "float16": "FLOAT16", "bfloat16": "BFLOAT16", "string": "STRING",
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8",
    "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
}
# fmt: on


def type_of(value: Any, optional: bool = False) -> onnx.TypeProto:
    """The type of a value that the host handles; of an array with its shape. ``optional``: wrapped as an optional."""
    import onnx

    if name := getattr(value, "onnx_type", ""):
        kind = parse_type(name)
    elif isinstance(value, np.ndarray):
        kind = onnx.helper.make_tensor_type_proto(element_type(value.dtype), value.shape)
    elif isinstance(value, list):
        inner = type_of(value[0]) if value else parse_type("tensor(float)")
        kind = onnx.helper.make_sequence_type_proto(_without_shape(inner))
    elif isinstance(value, dict):
        kind = _map_type(value)
    else:
        raise TypeError(f"no value of ONNX: {type(value).__name__}")
    if optional and not kind.HasField("optional_type"):
        kind = onnx.helper.make_optional_type_proto(kind)
    return kind


def element_type(dtype: np.dtype[Any]) -> int:
    """ONNX's number for a dtype; strings are objects or numpy's own strings."""
    import onnx

    if dtype.kind in "OUST":
        return int(onnx.TensorProto.STRING)
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def parse_type(name: str) -> onnx.TypeProto:
    """The type that onnxruntime writes as ``name``: ``seq(tensor(float))``, ``map(int64,tensor(float))``."""
    import onnx

    outer, _, rest = name.partition("(")
    inner = rest[:-1]
    if outer == "tensor":
        element = getattr(onnx.TensorProto, _ELEMENTS.get(inner, inner.upper()))
        return onnx.helper.make_tensor_type_proto(element, None)
    if outer == "seq":
        return onnx.helper.make_sequence_type_proto(parse_type(inner))
    if outer == "optional":
        return onnx.helper.make_optional_type_proto(parse_type(inner))
    if outer == "map":
        key, _, value = inner.partition(",")
        return onnx.helper.make_map_type_proto(getattr(onnx.TensorProto, _ELEMENTS[key]), parse_type(value))
    raise TypeError(f"no type of ONNX: {name}")


def type_name(kind: onnx.TypeProto) -> str:
    """What onnxruntime calls a type; empty if it is not known."""
    import onnx

    which = kind.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        element = onnx.TensorProto.DataType.Name(getattr(kind, which).elem_type)
        known = {name: short for short, name in _ELEMENTS.items()}
        return f"{'sparse_' if which.startswith('sparse') else ''}tensor({known.get(element, element.lower())})"
    if which == "sequence_type":
        return f"seq({type_name(kind.sequence_type.elem_type)})"
    if which == "optional_type":
        return f"optional({type_name(kind.optional_type.elem_type)})"
    if which == "map_type":
        key = onnx.TensorProto.DataType.Name(kind.map_type.key_type).lower()
        return f"map({key},{type_name(kind.map_type.value_type)})"
    return ""


def _map_type(value: dict[Any, Any]) -> onnx.TypeProto:
    import onnx

    key, item = next(iter(value.items()), (0, 0.0))
    keys = onnx.TensorProto.STRING if isinstance(key, str) else onnx.TensorProto.INT64
    items = {str: "string", int: "int64", float: "float"}.get(type(item), "float")
    return onnx.helper.make_map_type_proto(keys, parse_type(f"tensor({items})"))


def _without_shape(kind: onnx.TypeProto) -> onnx.TypeProto:
    """A sequence may hold tensors of different shapes."""
    if kind.HasField("tensor_type"):
        kind.tensor_type.ClearField("shape")
    return kind
