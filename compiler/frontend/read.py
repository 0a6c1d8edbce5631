"""Reads an ONNX file from an untrusted source: whatever is wrong with it is one clear ``InputError``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx
import onnx.checker

from effc.backends.host import one_line
from effc.compiler.errors import InputError
from effc.compiler.frontend.order import sort_nodes
from effc.compiler.frontend.subgraphs import subgraphs
from effc.compiler.frontend.weights import LARGE, TYPES, Files, Model, array, split

MAX_FILE = (2 << 30) - 1
"""Bytes of a model; protobuf reads no more."""

MAX_DATA = 16 << 30
"""Bytes of all external data of a model."""

DOMAIN = "com.microsoft"


def read_model(path: str | Path) -> Model:
    """The checked model in a file, with its external data, which has to lie in the folder of the file."""
    files = Files()
    return model_of(content_of(Path(path), files), Path(path), files)


def model_of(content: memoryview, path: Path | None = None, files: Files | None = None) -> Model:
    """The checked model that a message holds; ``path`` is that of its file, if it has one, ``files`` read others."""
    place = "" if path is None else str(path)
    message, parts = split(content)
    proto = _parsed(message, place)
    sort_nodes(proto.graph)
    if path is not None:
        parts |= _load_external(proto, path, files or Files())
    with guard("the model is not valid ONNX", place):
        weights = {position: array(proto.graph.initializer[position], part) for position, part in parts.items()}
    check(proto, place, weights)
    return Model(proto, weights)


def check(model: onnx.ModelProto, place: str = "", without: Container[int] = ()) -> None:
    """Raise an InputError unless ``model`` is valid ONNX; it may be ``without`` the data of some initializers."""
    if not model.graph.output:
        raise InputError("the model has no outputs", place)
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > newest:
            raise InputError(
                f"the model uses operator set {entry.version}; the newest that is known here is {newest}",
                place,
                remedy="install a newer onnx and onnxruntime, or export the model for an older operator set",
            )
    with guard("the model is not valid ONNX", place):
        small = _with_domains(skeleton(model, without))
        sort_nodes(small.graph)
        _require_text(small)
        if small.ir_version == WITH_INPUTS:
            small.ir_version += 1
        _type_results(small.graph)
        for value in (*small.graph.input, *small.graph.output):
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.shape.SetInParent()  # a shape may be unknown, whatever the checker says
        onnx.checker.check_model(small)


def _type_results(graph: onnx.GraphProto) -> None:
    """Give a type to results and to values of subgraphs that lack one, which the checker demands and nobody else."""
    for node in graph.node:
        for inner in subgraphs(node):
            _type_results(inner)
            _type(inner.input)
    _type(graph.output)


def _type(values: Iterable[onnx.ValueInfoProto]) -> None:
    for value in values:
        if not value.HasField("type"):
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


WITH_INPUTS = 3
"""The version of ONNX's format in which every initializer is an input, too: tools leave that out, no runtime minds."""

RUNTIMES_OWN: tuple[str, ...] = ("SimplifiedLayerNormalization", "LayerNormalization")
"""Operators that onnxruntime's optimiser writes as if they were ONNX's, whatever the operator set."""
RUNTIMES_OWN += ("Affine", "Crop", "DynamicSlice", "ImageScaler", "MeanVarianceNormalization", "ParametricSoftplus")
RUNTIMES_OWN += ("Scale", "ScaledTanh", "ThresholdedRelu")  # of its first years, when they were experiments of ONNX


def _with_domains(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, in which operators that are onnxruntime's own say so; and ONNX's do not say what they are."""
    for node in model.graph.node:
        node.domain = node.domain if node.domain != "ai.onnx" else ""
    version = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    own = [
        node
        for node in model.graph.node
        if node.op_type in RUNTIMES_OWN and not node.domain and not onnx.defs.has(node.op_type, version)
    ]
    if own and not any(entry.domain == DOMAIN for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    for node in own:
        node.domain = DOMAIN
    return model


def skeleton(model: onnx.ModelProto, without: Container[int] = ()) -> onnx.ModelProto:
    """The model without the data of large initializers, which become inputs: small enough for ONNX's C++.

    ``without``: the positions of those whose data the model lacks anyway.
    """
    copy = onnx.ModelProto()
    _copy_fields(model, copy, "graph")
    _copy_fields(model.graph, copy.graph, "initializer")
    _copy_initializers(model.graph, copy.graph, without)
    return copy


@contextmanager
def guard(what: str, place: str = "") -> Iterator[None]:
    """Whatever onnx, protobuf or numpy raise about an input becomes an InputError that starts with ``what``."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what}: {one_line(error)}", place) from error


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor in the model: of the graph, of nodes, of subgraphs and functions."""
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        yield from _tensors_of_nodes(function.node)
    for training in model.training_info:
        yield from _tensors_of_graph(training.initialization)
        yield from _tensors_of_graph(training.algorithm)


def content_of(path: Path, files: Files) -> memoryview:
    """What is in the file of a model."""
    try:
        if not path.is_file():
            raise InputError("there is no such file" if not path.exists() else "this is not a file", str(path))
        if (size := path.stat().st_size) > MAX_FILE:
            raise InputError(f"the file has {size} bytes", str(path), f"at most {MAX_FILE}", "use external data")
        data = files.read(path)
    except (OSError, ValueError) as error:
        raise InputError(f"the file cannot be read: {one_line(error)}", str(path)) from error
    if not data:
        raise InputError("the file is empty", str(path), "an ONNX model")
    return data


def _parsed(data: bytes, place: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        raise InputError(f"this is not an ONNX model, or a damaged one: {one_line(error)}", place) from error
    if not model.HasField("graph"):
        raise InputError("this is not an ONNX model: it has no graph", place)
    return model


def _require_text(message: Any) -> None:
    """Raise unless every string is text: protobuf leaves what is not as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for item in value if hasattr(value, "extend") else [value]:
            if field.type == field.TYPE_MESSAGE:
                _require_text(item)
            elif isinstance(item, bytes):
                raise ValueError(f"a {field.name} is no text: {item[:40]!r}")


def _copy_fields(source: Any, target: Any, without: str) -> None:
    """Copy every field but one; none of the others holds a single message."""
    for field, value in source.ListFields():
        if field.name != without:
            if hasattr(value, "extend"):
                getattr(target, field.name).extend(value)
            else:
                setattr(target, field.name, value)


def _copy_initializers(source: onnx.GraphProto, target: onnx.GraphProto, without: Container[int]) -> None:
    inputs = {value.name for value in source.input}
    for position, tensor in enumerate(source.initializer):
        small = len(tensor.raw_data) <= LARGE and tensor.ByteSize() <= LARGE  # protobuf measures no more than 2 GiB
        if small and position not in without:
            target.initializer.append(tensor)
        elif tensor.name not in inputs:
            kind = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            target.input.append(onnx.helper.make_value_info(tensor.name, kind))


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from attribute.tensors
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
        for sparse in attribute.sparse_tensors:
            yield from (sparse.values, sparse.indices)
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            yield from _tensors_of_graph(graph)


# External data


def _load_external(model: onnx.ModelProto, path: Path, files: Files) -> dict[int, memoryview]:
    """Read every tensor whose data is in another file; that of the large initializers of the graph."""
    total, top = 0, len(model.graph.initializer)  # they come first
    weights: dict[int, memoryview] = {}
    for position, tensor in enumerate(tensors(model)):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        place = f"{path}: tensor '{tensor.name}'"
        with guard("its external data cannot be read", place):
            content = _external(tensor, path.parent, MAX_DATA - total, place, files)
        total += len(content)
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
        if position < top and len(content) > LARGE and onnx.TensorProto.DataType.Name(tensor.data_type) in TYPES:
            weights[position] = content
        else:
            tensor.raw_data = bytes(content)
    return weights


def _external(tensor: onnx.TensorProto, folder: Path, limit: int, place: str, files: Files) -> memoryview:
    """The data of a tensor in another file."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = _inside(entries.get("location", ""), folder, place)
    size = file.stat().st_size
    offset = _number(entries, "offset", 0, place)
    length = _number(entries, "length", size - offset, place)
    needed = _byte_size(tensor, place)
    if length != needed:
        raise InputError(f"its external data has {length} bytes", place, f"{needed}, for its shape and type")
    if offset + length > size:
        raise InputError(f"its external data ends at byte {offset + length} of a file of {size}", place)
    if length > limit:
        raise InputError("the model has too much external data", place, f"at most {MAX_DATA} bytes in all")
    return files.read(file, offset, length)


def _inside(location: str, folder: Path, place: str) -> Path:
    """The file at ``location``, which must not lead out of ``folder``."""
    parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    expected = "a file in the folder of the model, or below it"
    if not location or absolute or ".." in parts:
        raise InputError(f"its external data is at '{location}'", place, expected)
    try:
        file = (folder / location).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"its external data, '{location}', cannot be found: {one_line(error)}", place) from error
    if not file.is_relative_to(folder.resolve()):
        raise InputError(f"its external data, '{location}', leads out of the folder of the model", place, expected)
    if not file.is_file():
        raise InputError(f"its external data, '{location}', is not a file", place)
    return file


def _number(entries: dict[str, str], key: str, default: int, place: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"the {key} of its external data is '{text}'", place, "a number")
    return int(text)


def _byte_size(tensor: onnx.TensorProto, place: str) -> int:
    """The bytes that a tensor's data takes in a file."""
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    if kind in ("UNDEFINED", "STRING") or any(dim < 0 for dim in tensor.dims):
        raise InputError(f"its type is {kind} and its shape {list(tensor.dims)}", place, "numbers of a known shape")
    bits: int = _PACKED.get(kind) or onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    return -(-int(prod(tensor.dims)) * bits // 8)


_PACKED = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2, "FLOAT6E2M3": 6, "FLOAT6E3M2": 6}
"""Bits of the types of which several share a byte."""
