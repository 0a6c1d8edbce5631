"""The types of what a node puts out, by ONNX's own shape inference on a model of that one node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import numpy as np
import onnx
import onnx.shape_inference
from onnx import numpy_helper

from effc.backends.onnx_types import element_type, type_name
from effc.compiler.errors import InputError
from effc.compiler.frontend import classical
from effc.compiler.frontend.node import Node
from effc.compiler.frontend.resize import RESIZING, resized
from effc.ir.graph import Array, Tensor

SMALL = 1024
"""Words of a constant whose value may matter to a shape."""

LARGE_ATTRIBUTES = ("Constant", "Slice", "Shape")
"""Operators for which an attribute of more than 32 bits means something: a value, or the end of an axis."""

Types = Mapping[str, onnx.TypeProto]


def infer(
    proto: onnx.NodeProto, context: onnx.ModelProto, types: Types, constants: Mapping[str, Array], place: str
) -> list[onnx.TypeProto]:
    """The type of every output; an empty one where nothing is known. ``types`` has all that the node reads.

    An error counts only if it is the node's own, does not depend on values (where ONNX is stricter than onnxruntime)
    and everything it reads has a type.
    """
    _require_sane(proto, place)
    small = {name: constants[name] for name in types if name in constants and _is_small(constants[name])}
    for values, strict in ((small, True), ({}, True), ({}, False)):
        try:
            found = _inferred(_model(proto, context, types, values), strict)
            if proto.op_type in RESIZING and not proto.domain:
                resized(proto, found[0], types[proto.input[0]], small)
            if proto.domain == classical.DOMAIN and proto.op_type in classical.SAME_SHAPE:
                found[0].tensor_type.shape.CopyFrom(types[proto.input[0]].tensor_type.shape)
            return found
        except Exception as error:
            typed = all(kind.WhichOneof("value") for kind in types.values())
            if strict and not values and typed and str(error).count("op_type:") == 1:
                raise InputError(_message(error), place) from error
    return [onnx.TypeProto() for _ in proto.output]


def _require_sane(proto: onnx.NodeProto, place: str) -> None:
    """Raise where ONNX's shape inference would not, but stop the program."""
    if proto.domain:
        return
    for attribute in proto.attribute:
        if proto.op_type == "Split" and attribute.name == "num_outputs" and attribute.i != len(proto.output):
            raise InputError(f"num_outputs is {attribute.i}", place, f"{len(proto.output)}, as many as there are")
        if proto.op_type in LARGE_ATTRIBUTES:
            continue
        for value in (attribute.i, *attribute.ints):
            if abs(value) >= 1 << 31:
                raise InputError(f"the attribute {attribute.name} has the value {value}", place, "one of 32 bits")


def _is_small(value: Array) -> bool:
    return value.size <= SMALL and value.dtype.kind in "iufb"


def _model(
    proto: onnx.NodeProto, context: onnx.ModelProto, types: Types, values: Mapping[str, Array]
) -> onnx.ModelProto:
    model: onnx.ModelProto = onnx.ModelProto()
    model.CopyFrom(context)
    model.graph.name = "node"
    model.graph.node.append(_completed(proto))
    model.graph.input.extend(onnx.helper.make_value_info(name, kind) for name, kind in types.items())
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in proto.output if name)
    return model


def _completed(proto: onnx.NodeProto) -> onnx.NodeProto:
    """The node as onnxruntime reads it, where ONNX's shape inference does not: an STFT is onesided unless it says so,
    and pads count for nothing beside an ``auto_pad``.
    """
    attributes = {attribute.name: attribute for attribute in proto.attribute}
    onesided = proto.op_type == "STFT" and "onesided" not in attributes
    padded = "pads" in attributes and "auto_pad" in attributes and attributes["auto_pad"].s != b"NOTSET"
    if proto.domain or not (onesided or padded):
        return proto
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    if onesided:
        copy.attribute.append(onnx.helper.make_attribute("onesided", 1))
    else:
        copy.attribute.remove(attributes["pads"])
    return copy


def _inferred(model: onnx.ModelProto, strict: bool) -> list[onnx.TypeProto]:
    # Without data_prop: what is known is folded, and onnx would write out a vector of symbols, however long it is.
    done = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=strict)
    found = {value.name: value.type for value in done.graph.output}
    return [found.get(name, onnx.TypeProto()) for name in model.graph.node[0].output]


def tensor(name: str, kind: onnx.TypeProto) -> Tensor:
    """A type as the graph keeps it."""
    if not kind.HasField("tensor_type"):
        return Tensor(name, type_name(kind), None)
    return Tensor(name, dtype_name(kind.tensor_type.elem_type), shape_of(kind))


def dtype_name(element: int) -> str:
    """numpy's name for a type of elements."""
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(element).name)
    except (KeyError, TypeError, ValueError):
        return ""


def shape_of(kind: onnx.TypeProto) -> tuple[int, ...] | None:
    """The shape, where all of it is known."""
    if not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    known = all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims)
    return tuple(dim.dim_value for dim in dims) if known else None


def sizes_of(kind: onnx.TypeProto) -> tuple[int | None, ...] | None:
    """The shape of a tensor, None for a size that is not known; None where not even their number is."""
    if not kind.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.tensor_type.shape.dim)


def array_type(value: Array) -> onnx.TypeProto:
    """The type of a constant."""
    kind: onnx.TypeProto = onnx.helper.make_tensor_type_proto(element_type(value.dtype), value.shape)
    return kind


def is_typed(kind: onnx.TypeProto) -> bool:
    """Whether anything is known of a type."""
    return bool(kind.WhichOneof("value"))


def is_known(kind: onnx.TypeProto) -> bool:
    """Whether everything is, the shape of a tensor included."""
    return is_typed(kind) and (not kind.HasField("tensor_type") or shape_of(kind) is not None)


def is_inferred(node: Node) -> bool:
    """Whether ONNX has a shape inference of its own for an operator: those of other domains have none."""
    with suppress(onnx.defs.SchemaError):
        schema = onnx.defs.get_schema(node.proto.op_type, node.version, node.proto.domain)
        return bool(schema.has_type_and_shape_inference_function)
    return False


def merged(
    inferred: Iterable[onnx.TypeProto],
    declared: Iterable[onnx.TypeProto | None],
    enough: Callable[[onnx.TypeProto], bool] = is_typed,
) -> list[onnx.TypeProto]:
    """What was inferred, or what someone declares where that is not enough."""
    return [a if enough(a) or b is None else b for a, b in zip(inferred, declared)]


def _message(error: Exception) -> str:
    """The gist of what ONNX says, without the names of its own source files."""
    text = " ".join(str(error).split())
    for mark in ("Inference error(s):", "[ShapeInferenceError]", "[TypeInferenceError]"):
        text = text.split(mark, 1)[-1]
    return text.strip()[:300] or type(error).__name__
