"""The inputs of a model: checked against what it declares, or made up from a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from effc.compiler.errors import InputError
from effc.ir.graph import Array, Graph, Tensor


def checked_inputs(graph: Graph, inputs: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """The inputs in the order of the model; an ``InputError`` at ``place`` if they are not what it declares."""
    unknown = [name for name in inputs if name not in graph.inputs]
    missing = [name for name in graph.inputs if name not in inputs]
    if unknown:
        raise _unknown(graph, unknown[0], place)
    if missing:
        tensor = graph.tensors[missing[0]]
        raise InputError(
            f"the input '{tensor.name}' is missing",
            place,
            f"an array '{tensor.name}': {described(tensor)}",
            saving(graph.inputs),
        )
    for name in graph.inputs:
        _check(graph.tensors[name], inputs[name], place)
    return {name: inputs[name] for name in graph.inputs}


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Inputs of the declared types and shapes: floats from a normal distribution, integers 0 or 1; equal for a seed."""
    generator = np.random.default_rng(seed)
    return {name: _random(graph.tensors[name], generator) for name in graph.inputs}


def described(tensor: Tensor) -> str:
    """``float32[1, 3, 224, 224]``."""
    shape = "of any shape" if tensor.shape is None else f"[{', '.join(map(str, tensor.shape))}]"
    return f"{tensor.dtype or 'of any type'}{'' if shape.startswith('[') else ' '}{shape}"


def saving(names: Iterable[str]) -> str:
    """The call of numpy that saves arrays of these names."""
    given = list(names)
    plain = [f"{name}=..." for name in given if name.isidentifier()]
    others = [f"{name!r}: ..." for name in given if not name.isidentifier()]
    return f"np.savez(FILE, {', '.join([*plain, *(['**{' + ', '.join(others) + '}'] if others else [])])})"


def _unknown(graph: Graph, name: str, place: str) -> InputError:
    close = get_close_matches(name, graph.inputs, 1)
    remedy = f"did you mean '{close[0]}'?" if close else "leave it out"
    return InputError(f"the model has no input '{name}'", place, ", ".join(graph.inputs) or "no input at all", remedy)


def check_array(tensor: Tensor, shape: tuple[int, ...], dtype: np.dtype[Any], place: str) -> None:
    """Raise an ``InputError`` unless an array of that shape and type can be the input ``tensor``."""
    if tensor.dtype.startswith("optional(tensor("):  # whose value is an array
        return
    if not _is_tensor(tensor):
        raise InputError(f"the input '{tensor.name}' is an array", place, described(tensor))
    found = "object" if dtype.kind in "OUS" else dtype.name
    if tensor.dtype and found != tensor.dtype:
        remedy = f"array.astype({'str' if tensor.dtype == 'object' else tensor.dtype!r})"
        raise InputError(f"the input '{tensor.name}' is {found}", place, described(tensor), remedy)
    if tensor.shape is not None and shape != tensor.shape:
        remedy = "give an array of this shape, or compile with another --batch or --dim"
        raise InputError(f"the input '{tensor.name}' has shape {list(shape)}", place, described(tensor), remedy)


def _check(tensor: Tensor, value: Any, place: str) -> None:
    if isinstance(value, np.ndarray):
        check_array(tensor, value.shape, value.dtype, place)
    elif _is_tensor(tensor):
        found = type(value).__name__
        raise InputError(f"the input '{tensor.name}' is a {found}", place, f"a numpy array: {described(tensor)}")


def _random(tensor: Tensor, generator: np.random.Generator) -> Array:
    if tensor.shape is None or not _is_tensor(tensor):
        remedy = "give inputs with --input X.npz, or bind its dims with --dim NAME=VALUE"
        raise InputError(f"no input '{tensor.name}' can be made up: it is {described(tensor)}", remedy=remedy)
    if tensor.dtype == "object":
        return np.full(tensor.shape, "a", dtype=object)
    kind = _dtype(tensor.dtype)
    if kind.kind in "fc" or kind.kind == "V" or "float" in tensor.dtype:
        return generator.standard_normal(tensor.shape, dtype=np.float32).astype(kind)
    return generator.integers(0, 2, tensor.shape).astype(kind)


def _is_tensor(tensor: Tensor) -> bool:
    return bool(tensor.dtype) and "(" not in tensor.dtype


def _dtype(name: str) -> np.dtype[Any]:
    """A type by numpy's name, or by that of the narrow floats that onnx brings along."""
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return narrow
