"""What a lowering builds with: ops, tensors and constants are added under names that are free."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import onnx

from effc.compiler.frontend.node import NotANest
from effc.ir.graph import Array, NestOp, NodeOp, Op, Tensor, View
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.rules import LIMIT

LONGEST = 1 << 24
"""Steps along a dim of a nest: a program's tables grow with them."""

EXTRA_OPSET = 14
"""The version of the simple operators that a lowering adds (``Add``, ``Mul``)."""


class Builder:
    """The graph so far."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.ops: list[Op] = []
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, Array] = {}
        self._names = set(taken)
        self._op_names: set[str] = set()
        self._numbers: Counter[str] = Counter()

    def inside(self, names: Iterable[str]) -> Builder:
        """A builder for a body that has these names: it knows the tensors so far, and no name is used by both."""
        body = Builder(())
        self._names.update(names)
        body._names, body._op_names, body._numbers = self._names, self._op_names, self._numbers
        body.tensors, body.constants = dict(self.tensors), dict(self.constants)
        return body

    def fresh(self, hint: str) -> str:
        """A name for a tensor that no other has, ``hint`` if it is free."""
        return _free(hint, self._names)

    def add_tensor(self, hint: str, dtype: str, shape: tuple[int, ...] | None) -> str:
        """A new tensor, called ``hint`` if that name is free."""
        name = self.fresh(hint)
        self.tensors[name] = Tensor(name, dtype, shape)
        return name

    def add_constant(self, hint: str, value: Array) -> str:
        """A new tensor with a value."""
        name = self.add_tensor(hint, value.dtype.name, value.shape)
        self.constants[name] = value
        return name

    def add_nest(self, nest: Nest, uses: Mapping[str, View], op: str, origin: str, part: str = "") -> None:
        """``nest``, named after ``origin``, the ONNX node it comes from, and the ``part`` of it, if it has several."""
        if max(nest.macs, *(operand.words for operand in nest.operands.values())) >= LIMIT:
            raise NotANest(f"{nest.macs} multiply-accumulates: too many to count")
        if (longest := max(dim.bound for dim in nest.dims)) > LONGEST:
            raise NotANest(f"{longest} steps along one axis: too many to schedule")
        word = identifier(f"{origin}_{part}" if part else origin)
        name = word if word == origin else _free(word, self._op_names)
        self.ops.append(NestOp(replace(nest, name=name), dict(uses), op, origin))

    def add_node(self, op: str, name: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> None:
        """A node that the model does not have."""
        name = _free(name, self._op_names)
        proto = onnx.helper.make_node(op, inputs, [output], name=name, **attributes)
        node = proto.SerializeToString(deterministic=True)
        self.ops.append(NodeOp(name, op, inputs, (output,), node, version=EXTRA_OPSET))

    def op_name(self, proto: onnx.NodeProto) -> str:
        """The name of a node, or one that is made up; no two ops have the same."""
        if proto.name:
            return _free(proto.name, self._op_names)
        self._numbers[proto.op_type] += 1
        return _free(f"{proto.op_type.lower()}{self._numbers[proto.op_type]}", self._op_names)


def identifier(name: str) -> str:
    """A name as the text of the IR writes it without quotes: ``/layer1/conv`` is ``layer1_conv``."""
    word = re.sub(r"[^A-Za-z0-9_]+", "_", name)
    word = word if word == name else word.strip("_")
    return f"op_{word}" if not word or word[0].isdigit() else word


def plain(name: str, *dims: Dim) -> Operand:
    """An operand with one axis per dim."""
    return Operand(name, tuple(Axis(((1, dim.name),), 0, dim.bound) for dim in dims))


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The stride of every axis of a tensor, in words."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def _free(hint: str, taken: set[str]) -> str:
    name, number = hint, 2
    while name in taken:
        name, number = f"{hint}_{number}", number + 1
    taken.add(name)
    return name
