"""Symbolic dims get values: the batch, and what ``--dim NAME=VALUE`` says.

A dim without a name is called after its place: ``image.2`` is axis 2 of the input ``image``. One whose name is a sum,
``past + sequence`` or ``past + 1``, follows from its parts. Names that exporters make up (``unk__12``) tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import onnx

from effc.compiler.errors import InputError

BATCH_NAMES = frozenset({"n", "b", "bs", "batch", "batchsize", "nbatch", "numbatch", "batchdim"})
"""Names of a batch, in lower case and without punctuation."""


_MADE_UP = re.compile(r"unk__\d+")
"""Names of dims that some exporters invent."""

_NO_NAMES = ("", "?", "None")
"""What some exporters write where a dim has no name."""

MOST = 2**31 - 1
"""The largest size of a dim."""


class Symbol(NamedTuple):
    """A symbolic dim of an input."""

    name: str
    input: str
    axis: int
    named: bool  # by the model


def bind(inputs: Iterable[onnx.ValueInfoProto], batch: int, dims: Mapping[str, int]) -> dict[str, int]:
    """The value of every symbolic dim of ``inputs``, by name."""
    inputs = list(inputs)
    symbols = [symbol for value in inputs for symbol in _symbols(value)]
    known = dict.fromkeys(symbol.name for symbol in symbols)
    known |= dict.fromkeys(part for symbol in symbols for part in _parts(symbol.name) if not part.isdigit())
    for name, value in {"the batch": batch, **dims}.items():
        if not 0 <= value <= MOST:
            raise InputError(f"{name} is {value}", expected=f"from 0 to {MOST}")
    if unknown := [name for name in dims if name not in known]:
        names = ", ".join(known) or "none: every dim has a fixed size"
        raise InputError(f"no input has a dim '{unknown[0]}'", expected=f"a symbolic dim of the model ({names})")
    batches = _batches(symbols)
    if batch != 1 and not batches:
        _require_batch(inputs, batch)
    values = dict.fromkeys(batches, batch) | dict(dims)
    for symbol in symbols:
        if symbol.name not in values and (total := _sum(symbol.name, values)) is not None:
            values[symbol.name] = total
    if missing := [symbol for symbol in symbols if symbol.name not in values]:
        absent = dict.fromkeys(symbol.name for symbol in missing)
        first, others = missing[0], f", nor have {len(absent) - 1} others" if len(absent) > 1 else ""
        raise InputError(
            f"dim '{first.name}', axis {first.axis} of the input '{first.input}', has no value{others}",
            remedy="give " + " ".join(f"--dim {name}=VALUE" for name in absent),
        )
    return values


def sizes(inputs: Iterable[onnx.ValueInfoProto], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The values that arrays of these shapes give the symbolic dims of ``inputs``; the first one, if they disagree."""
    values: dict[str, int] = {}
    for value in inputs:
        shape = shapes.get(value.name, ())
        if len(shape) == len(value.type.tensor_type.shape.dim):
            for symbol in _symbols(value):
                values.setdefault(symbol.name, shape[symbol.axis])
    return values


def bound(kind: onnx.TypeProto, values: Mapping[str, int], place: str = "") -> onnx.TypeProto:
    """A type with the values of its symbolic dims put in; ``place`` is the input whose dims without a name have one."""
    copy: onnx.TypeProto = onnx.TypeProto()
    copy.CopyFrom(kind)
    if kind.HasField("tensor_type"):
        for axis, dim in enumerate(copy.tensor_type.shape.dim):
            name = _name(dim, place, axis)
            if name in values:
                dim.dim_value = values[name]
    return copy


def _symbols(value: onnx.ValueInfoProto) -> Iterable[Symbol]:
    if value.type.HasField("tensor_type"):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if name := _name(dim, value.name, axis):
                yield Symbol(name, value.name, axis, bool(dim.dim_param) and not _MADE_UP.fullmatch(dim.dim_param))


def _name(dim: onnx.TensorShapeProto.Dimension, place: str, axis: int) -> str:
    """The name of a symbolic dim; empty if it has a size. Some exporters write -1 for an unknown one."""
    if dim.dim_param not in _NO_NAMES:
        return str(dim.dim_param)
    return f"{place}.{axis}" if dim.dim_value < 0 or not dim.HasField("dim_value") else ""


def _sum(name: str, values: Mapping[str, int]) -> int | None:
    """The value of a name that is a sum of known names and numbers."""
    parts = _parts(name)
    known = [int(part) if part.isascii() and part.isdigit() else values.get(part) for part in parts]
    return sum(filter(None, known)) if len(parts) > 1 and None not in known else None


def _parts(name: str) -> list[str]:
    return [part.strip() for part in name.split("+")]


def _batches(symbols: list[Symbol]) -> list[str]:
    """The dims that are the batch: those named so, or else the first of those that stand first in an input."""
    named = [s.name for s in symbols if s.named and "".join(filter(str.isalpha, s.name)).lower() in BATCH_NAMES]
    if named:
        return named
    first = [symbol for symbol in symbols if symbol.axis == 0]
    if first and not first[0].named:
        return [symbol.name for symbol in first if not symbol.named]
    return [symbol.name for symbol in first[:1]]


def _require_batch(inputs: list[onnx.ValueInfoProto], batch: int) -> None:
    """The model's batch is fixed: the one that is asked for has to be the same."""
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value != batch:
            raise InputError(
                f"the model has no symbolic batch: axis 0 of its input '{value.name}' is {dims[0].dim_value}",
                remedy="leave out --batch, or export the model with a symbolic batch",
            )
