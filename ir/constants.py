"""The constants of a graph, as its text knows them: by their digests.

A text holds no values. A graph that was parsed without its constants has ``AbsentConstant`` in their places: it knows
dtype, shape and digest, prints as the original does, and refuses to be used as an array.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class AbsentConstant:
    """Stands for the values of a constant that are not at hand."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise ValueError(f"the values of constant {self.name!r} are not in the text of a graph: parse it with them")


def digest(value: npt.NDArray[Any] | AbsentConstant) -> str:
    """The SHA-256 of the values: of their bytes in row-major order, little end first."""
    if isinstance(value, AbsentConstant):
        return value.sha256
    if value.dtype.kind in "OSU":
        return _digest_of_strings(value)
    if value.dtype.byteorder == ">" or (value.dtype.byteorder == "=" and not _LITTLE):
        value = value.astype(value.dtype.newbyteorder("<"))
    contiguous = np.ascontiguousarray(value)
    return hashlib.sha256(contiguous.reshape(-1).view(np.uint8).data).hexdigest()


def _digest_of_strings(value: npt.NDArray[Any]) -> str:
    """Of every string its length in 8 bytes and its bytes."""
    sha = hashlib.sha256()
    for item in value.reshape(-1).tolist():
        data = item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "little") + data)
    return sha.hexdigest()


_LITTLE = bool(np.little_endian)
