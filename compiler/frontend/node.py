"""An ONNX node as a lowering sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import onnx

from effc.compiler.errors import InputError
from effc.ir.graph import Array, Tensor

NEST_TYPES = ("float32", "float16", "bfloat16", "float64")
"""Types of elements that nests have; sums are float32, or float64 as the elements, until they are stored."""


class NotANest(Exception):  # noqa: N818 - it reports no error
    """The node runs on the vector unit or the host; the text is the reason."""


@dataclass(frozen=True)
class Node:
    """An ONNX node, and what is known before the run of the tensors it touches."""

    proto: onnx.NodeProto
    name: str
    version: int  # of the operator set of its domain
    inputs: tuple[Tensor | None, ...]  # None: omitted
    outputs: tuple[Tensor | None, ...]
    constants: Mapping[str, Array]

    @property
    def key(self) -> tuple[str, str]:
        """Domain and operator."""
        return self.proto.domain, self.proto.op_type

    @property
    def place(self) -> str:
        """Where an error is: ``Conv 'conv1'``."""
        return f"{self.proto.op_type} '{self.name}'"

    @cached_property
    def attributes(self) -> dict[str, Any]:
        return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in self.proto.attribute}

    def input(self, position: int) -> Tensor | None:
        """An input, None where it is omitted."""
        return self.inputs[position] if position < len(self.inputs) else None

    def constant(self, position: int) -> Array | None:
        """The value of an input, where it is known."""
        tensor = self.input(position)
        return None if tensor is None else self.constants.get(tensor.name)

    def operand(self, position: int) -> tuple[str, tuple[int, ...]]:
        """Name and shape of an input that a nest can read."""
        return self._operand(self.input(position))

    @property
    def dtype(self) -> str:
        """The type of the elements of the output."""
        tensor = self.outputs[0]
        return "" if tensor is None else tensor.dtype

    def result(self) -> tuple[str, tuple[int, ...]]:
        """Name and shape of the output, if a nest can write it."""
        return self._operand(self.outputs[0])

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An attribute that is a list of integers, as long as ``default``."""
        values = tuple(self.attributes.get(name, ())) or default
        if len(values) != len(default):
            raise self.error(f"the attribute {name} has {len(values)} values", f"{len(default)} values")
        return values

    def error(self, message: str, expected: str = "") -> InputError:
        return InputError(message, self.place, expected)

    def _operand(self, tensor: Tensor | None) -> tuple[str, tuple[int, ...]]:
        if tensor is None:
            raise self.error("an input or output is missing")
        if tensor.dtype not in NEST_TYPES:
            raise NotANest(f"{tensor.dtype or 'unknown type'}: nests multiply floating point, or integers of 16 bits")
        if tensor.shape is None:
            raise NotANest(f"the shape of '{tensor.name}' is only known at run time")
        if 0 in tensor.shape:
            raise NotANest(f"'{tensor.name}' has no elements")
        return tensor.name, tensor.shape
