"""What is read of a model before its nodes are walked: without local functions, its initializers, names of domains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import numpy as np
import onnx
import onnx.inliner
import onnx.shape_inference
from onnx import numpy_helper

from effc.compiler.frontend import fold
from effc.compiler.frontend.read import guard, skeleton
from effc.compiler.frontend.weights import Model
from effc.ir.graph import Array


def without_functions(model: Model) -> onnx.ModelProto:
    """The message of a model without local functions, as far as they can be inlined."""
    if not model.proto.functions:
        return model.proto
    shell = onnx.inliner.inline_local_functions(skeleton(model.proto, model.weights))
    if shell.functions:  # written for another operator set than the model
        with suppress(Exception):  # not every operator can be converted; then the function stays
            return onnx.inliner.inline_local_functions(_with_types(shell), convert_version=True)
    return shell


def _with_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a type for every tensor whose type is known, initializers included."""
    inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in inputs:
            kind = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            model.graph.input.append(onnx.helper.make_value_info(tensor.name, kind))
    typed: onnx.ModelProto = onnx.shape_inference.infer_shapes(model)
    return typed


def initializers(graph: onnx.GraphProto, weights: Mapping[int, Array]) -> Iterator[tuple[str, Array]]:
    """The initializers of a graph; of some the values are known, by their positions."""
    for position, tensor in enumerate(graph.initializer):
        with guard(f"the initializer '{tensor.name}' cannot be read"):
            known = weights.get(position)
            yield tensor.name, np.asarray(numpy_helper.to_array(tensor)) if known is None else known
    for sparse in graph.sparse_initializer:
        with guard(f"the initializer '{sparse.values.name}' cannot be read"):
            yield sparse.values.name, fold.dense(sparse)


def with_plain_domain(proto: onnx.NodeProto) -> onnx.NodeProto:
    """``ai.onnx`` is another name of the default domain."""
    if proto.domain != "ai.onnx":
        return proto
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    copy.domain = ""
    return copy


def plain_domain(name: str) -> str:
    return "" if name == "ai.onnx" else name
