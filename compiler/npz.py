"""Arrays in ``.npz`` files, from an untrusted source: nothing is unpickled, and a header is read before its data."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from effc.compiler.errors import InputError
from effc.compiler.files import atomic_file, reading
from effc.compiler.inputs import check_array, described, saving
from effc.ir.graph import Array, Graph, Tensor

WHAT = "a .npz file with an array for every input of the model"
MAX_STRINGS = 2**30
"""Bytes of an array of texts."""


def read_inputs(path: Path, graph: Graph) -> dict[str, Array]:
    """The inputs of a model, each checked against what the model declares before it is read."""
    return read_arrays(path, {name: graph.tensors[name] for name in graph.inputs}, WHAT)


def read_arrays(path: Path, tensors: Mapping[str, Tensor], what: str) -> dict[str, Array]:
    """Those of ``tensors`` that the file has, each checked before it is read; it may have no others."""
    with reading(path, what), path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise InputError("this is no .npz file", str(path), what, saving(tensors))
        try:
            with zipfile.ZipFile(file) as archive:
                return {name: _read(archive, member, tensors, name, path) for name, member in _members(archive).items()}
        except InputError:
            raise
        except Exception as error:  # of a dozen types: zipfile and numpy trust their input
            raise InputError(f"damaged file: {type(error).__name__}: {error}", str(path), what) from None


def write_outputs(path: Path, outputs: Mapping[str, Any]) -> None:
    """Write arrays by name; equal arrays give equal bytes."""
    for name, value in outputs.items():
        if not isinstance(value, np.ndarray):
            raise InputError(f"the output '{name}' is a {type(value).__name__}: no .npz file can hold it", str(path))
    with atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, value in outputs.items():
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as entry:
                npy.write_array(entry, value.astype(str) if value.dtype.kind == "O" else value, allow_pickle=False)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The arrays by name."""
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _read(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, tensors: Mapping[str, Tensor], name: str, path: Path
) -> Array:
    if name not in tensors:
        close = get_close_matches(name, tensors, 1)
        expected = ", ".join(tensors) or "no input at all"
        remedy = f"did you mean '{close[0]}'?" if close else "leave it out"
        raise InputError(f"the model has no input '{name}'", str(path), expected, remedy)
    tensor = tensors[name]
    with archive.open(member) as entry:
        shape, dtype = _header(entry, tensor, path)  # type: ignore[arg-type]
        check_array(tensor, shape, dtype, str(path))
        if prod(shape) * dtype.itemsize > (MAX_STRINGS if dtype.kind in "SU" else member.file_size):
            raise InputError(f"the array '{name}' is shorter than it says", str(path), described(tensor))
    with archive.open(member) as entry:
        array: Array = npy.read_array(entry, allow_pickle=False)
    return array.astype(object) if dtype.kind in "SU" else array


def _header(entry: BinaryIO, tensor: Tensor, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of an array; arrays of Python objects are refused."""
    version = npy.read_magic(entry)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(entry)
    if dtype.hasobject:
        message = f"the array '{tensor.name}' is pickled Python, which is not read"
        plain = "str" if tensor.dtype == "object" else repr(tensor.dtype)
        remedy = f"save an array of {'texts' if plain == 'str' else 'numbers'}: array.astype({plain})"
        raise InputError(message, str(path), described(tensor), remedy)
    return shape, dtype
