"""The ONNX model that a program was compiled from, kept for verification without holding any weights twice.

Large tensors are taken out of the model and stored by the SHA-256 of their bytes; in their places stands what ONNX
calls external data, at ``data/SHA-256``. Most of them are constants of the compiled graph, byte for byte, and shared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from effc.compiler.errors import InputError
from effc.ir.constants import Buffer, array_bytes, digest

if TYPE_CHECKING:
    import onnx

    from effc.compiler.frontend.weights import Model

LARGE = 1024
"""Bytes of a tensor that is taken out."""

IN_MEMORY = 2**26
"""Bytes of tensors that onnxruntime is given in one message, which it copies twice; a larger model goes through files,
which it maps.
"""

IN_MESSAGE = 2**30
"""Bytes of tensors that the reference implementation of onnx is given at most."""

ORT, REFERENCE = "onnxruntime", "the reference implementation of onnx"
INTEGERS = "onnxruntime with quantised operators in integers"

_LOCATION = re.compile(r"data/([0-9a-f]{64})", re.ASCII)

Data = Callable[[str], Buffer]
"""The bytes of a tensor by their digest."""


@dataclass(frozen=True)
class Original:
    """``shell`` is the model without its large tensors; ``data`` are those that the compiled graph has not."""

    shell: bytes = field(repr=False)
    data: Mapping[str, Buffer] = field(repr=False)

    def run(self, inputs: Mapping[str, Any], data: Data, integers: bool = True) -> tuple[dict[str, Any], str]:
        """The outputs of the model by name, and whose they are; ``data`` has the tensors that ``self.data`` has not.

        They are onnxruntime's. What it has no kernels for runs in the reference implementation that comes with onnx.
        ``integers``: operators between DequantizeLinear and QuantizeLinear are computed in integers.
        """
        from effc.backends.host import run_model

        model, sizes = self._parsed()
        integers = integers and any(node.op_type == "DequantizeLinear" for node in model.graph.node)
        ort = INTEGERS if integers else ORT

        def content(digest: str) -> Buffer:
            return self.data[digest] if digest in self.data else data(digest)

        size = sum(sizes.values())
        try:
            if size <= IN_MEMORY:
                _attach(model, content)
                return run_model(model, inputs, integers=integers), ort
            with TemporaryDirectory(prefix="effc-") as folder:
                return run_model(_unpacked(self.shell, sizes, content, Path(folder)), inputs, integers=integers), ort
        except InputError as refusal:
            if size > IN_MESSAGE:
                raise
            _attach(model, content)
            return _reference(model, inputs, refusal), REFERENCE

    @property
    def digests(self) -> set[str]:
        """Of all tensors that were taken out."""
        return set(self._parsed()[1])

    def _parsed(self) -> tuple[onnx.ModelProto, dict[str, int]]:
        """The shell, and the sizes of the tensors that it lacks by digest."""
        import onnx

        model = onnx.ModelProto()
        try:
            model.ParseFromString(self.shell)
        except Exception as error:
            raise InputError(f"damaged file: its model cannot be read: {error}") from None
        return model, {_digest(tensor): _length(tensor) for tensor in _external(model)}


def original(model: Model, known: Container[str]) -> Original:
    """The model without its large tensors, which it loses; ``known`` are the digests of those held elsewhere."""
    from onnx import TensorProto

    from effc.compiler.frontend.read import tensors

    data: dict[str, Buffer] = {}
    top = len(model.proto.graph.initializer)  # they come first
    for position, tensor in enumerate(tensors(model.proto)):
        weight = model.weights.get(position) if position < top else None
        content = _content(tensor) if weight is None else array_bytes(weight)
        if content is None:
            continue
        sha256 = hashlib.sha256(content).hexdigest() if weight is None else digest(weight)
        if sha256 not in known:
            data[sha256] = content
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=f"data/{sha256}")
        tensor.external_data.add(key="length", value=str(len(content)))
    return Original(model.proto.SerializeToString(deterministic=True), data)


def _content(tensor: onnx.TensorProto) -> bytes | None:
    """The bytes of a large tensor; None if it is small, or not a plain row of numbers."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        raise InputError(f"the data of tensor '{tensor.name}' is not loaded", remedy="load the model with its data")
    if tensor.data_type == TensorProto.FLOAT and len(tensor.float_data) * 4 >= LARGE:
        return numpy_helper.to_array(tensor).astype("<f4").tobytes()
    content: bytes = tensor.raw_data
    return content if len(content) >= LARGE else None


def _attach(model: onnx.ModelProto, data: Data) -> None:
    """Put the tensors back."""
    from onnx import TensorProto

    for tensor in _external(model):
        content = bytes(data(_digest(tensor)))
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = content


def _reference(model: onnx.ModelProto, inputs: Mapping[str, Any], refusal: InputError) -> dict[str, Any]:
    """The outputs from onnx's own implementation, or else onnxruntime's refusal."""
    from onnx.reference import ReferenceEvaluator

    from effc.compiler.qonnx_reference import OPERATORS

    try:
        names = [output.name for output in model.graph.output]
        return dict(zip(names, ReferenceEvaluator(model, new_ops=OPERATORS).run(names, dict(inputs))))
    except Exception:
        raise refusal from None


def _unpacked(shell: bytes, sizes: Mapping[str, int], data: Data, folder: Path) -> Path:
    """The model as files in ``folder``."""
    (folder / "data").mkdir()
    for name in sizes:
        (folder / "data" / name).write_bytes(data(name))
    path = folder / "model.onnx"
    path.write_bytes(shell)
    return path


def _external(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    from onnx import TensorProto

    from effc.compiler.frontend.read import tensors

    return [tensor for tensor in tensors(model) if tensor.data_location == TensorProto.EXTERNAL]


def _digest(tensor: onnx.TensorProto) -> str:
    found = _LOCATION.fullmatch(_entries(tensor).get("location", ""))
    if found is None:
        raise InputError("damaged file: a tensor of its model is nowhere")
    return found[1]


def _length(tensor: onnx.TensorProto) -> int:
    text = _entries(tensor).get("length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}
