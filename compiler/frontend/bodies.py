"""Operators that ONNX itself defines by a function of simpler ones: the function takes their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh, renamed
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Tensor


def body(node: Node, fresh: Fresh) -> tuple[list[onnx.NodeProto], int]:
    """The nodes of an operator's function, and the operator set they are written in."""
    node.operand(0)
    if not onnx.defs.has(node.proto.op_type, node.version, node.proto.domain):
        raise NotANest("an operator of another operator set")
    schema = onnx.defs.get_schema(node.proto.op_type, node.version, node.proto.domain)
    function = _function(schema, node)
    if function is None:
        raise NotANest("no nest for this kind of product")
    names = _names(function, node, fresh)
    given = {name: entry.default_value for name, entry in schema.attributes.items() if entry.default_value.name}
    given |= {attribute.name: attribute for attribute in node.proto.attribute}
    nodes = []
    for inner in function.node:
        proto = renamed(inner, names)
        proto.name = fresh(f"{node.name}/{inner.name or next(filter(None, inner.output), inner.op_type)}_node")
        _resolve(proto, given)
        nodes.append(proto)
    versions = {entry.domain: entry.version for entry in function.opset_import}
    return nodes, versions.get("", schema.since_version)


def steps(node: Node, fresh: Fresh) -> tuple[list[onnx.NodeProto], int]:
    """The same of an operator whose steps the vector unit may take, where it computes in its type."""
    tensor = node.input(0)
    if tensor is None or tensor.dtype != "float32":
        raise NotANest(f"{node.proto.op_type} of another type than float32")
    return body(node, fresh)


def cast(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A cast to the type of another tensor, which functions write, to that type."""
    like = node.input(1)
    if like is None or like.dtype != "float32":
        raise NotANest("a cast to another type than float32")
    names, to = (node.proto.input[:1], node.proto.output), onnx.TensorProto.FLOAT
    return [onnx.helper.make_node("Cast", *names, fresh(f"{node.name}/cast_node"), to=to)]


def compress(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The rows that a known condition chooses: a Gather."""
    condition = node.constant(1)
    if condition is None:
        raise NotANest("the shape of its result depends on the data")
    write = Writer(node, fresh)
    axis, x = node.attributes.get("axis"), node.proto.input[0]
    if axis is None:
        x = write("Reshape", x, write.integers(-1))
    rows = write.integers(*np.flatnonzero(condition).tolist())
    write("Gather", x, rows, axis=axis or 0, output=node.proto.output[0])
    return write.nodes


def _function(schema: Any, node: Node) -> onnx.FunctionProto | None:
    """The function that fits the node's inputs and attributes."""
    if not schema.has_context_dependent_function:
        return schema.function_body if schema.has_function else None
    versions = [version for version in schema.context_dependent_function_opset_versions if version <= node.version]
    if not versions:
        return None
    types = [_type(tensor).SerializeToString() for tensor in node.inputs]
    data = schema.get_context_dependent_function_with_opset_version(
        max(versions), node.proto.SerializeToString(), types
    )
    return onnx.FunctionProto.FromString(data) if data else None


def _type(tensor: Tensor | None) -> onnx.TypeProto:
    if tensor is None or not tensor.dtype or "(" in tensor.dtype:
        return onnx.TypeProto()
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    kind: onnx.TypeProto = onnx.helper.make_tensor_type_proto(element, tensor.shape)
    return kind


def _names(function: onnx.FunctionProto, node: Node, fresh: Fresh) -> dict[str, str]:
    """The name in the model of every tensor of the function; empty for an input that is omitted."""
    inputs, outputs = list(node.proto.input), list(node.proto.output)
    names = {formal: inputs[i] if i < len(inputs) else "" for i, formal in enumerate(function.input)}
    for i, formal in enumerate(function.output):
        if i < len(outputs) and outputs[i]:
            names[formal] = outputs[i]
    for inner in function.node:
        for name in filter(None, inner.output):
            if name not in names:
                names[name] = fresh(f"{node.name}/{name}")
    return names


def _resolve(proto: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> None:
    """Put in the values of the attributes that refer to the node's own."""
    for i in reversed(range(len(proto.attribute))):
        attribute = proto.attribute[i]
        if not attribute.ref_attr_name:
            continue
        if attribute.ref_attr_name not in given:
            del proto.attribute[i]
            continue
        name = attribute.name
        attribute.CopyFrom(given[attribute.ref_attr_name])
        attribute.name = name
