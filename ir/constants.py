"""The constants of a graph, as its text knows them: by their digests.

A text holds no values. A graph that was parsed without its constants has ``AbsentConstant`` in their places: it knows
dtype, shape and digest, prints as the original does, and refuses to be used as an array.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import prod
from mmap import mmap
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

Buffer = bytes | memoryview


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


@dataclass(frozen=True, slots=True)
class StoredConstant(AbsentConstant):
    """Stands for values that are read each time that they are asked for as an array, and not kept."""

    read: Callable[[], npt.NDArray[Any]] = field(compare=False, repr=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:  # type: ignore[override]
        return self.read() if dtype is None else self.read().astype(dtype)


def present(value: Any) -> Any:
    """The values themselves of what may be stored."""
    return np.asarray(value) if isinstance(value, StoredConstant) else value


_known: dict[int, tuple[weakref.ref[Any], str]] = {}
"""The digests of arrays that nothing can change, by their identity."""


def digest(value: npt.NDArray[Any] | AbsentConstant) -> str:
    """The SHA-256 of the values."""
    if isinstance(value, AbsentConstant):
        return value.sha256
    if (known := _known.get(id(value))) is not None and known[0]() is value:
        return known[1]
    sha256 = hashlib.sha256(array_bytes(value)).hexdigest()
    if is_fixed(value):
        _known[id(value)] = weakref.ref(value, partial(_forget, id(value))), sha256
    return sha256


def is_fixed(value: npt.NDArray[Any]) -> bool:
    """Whether an array is a view of bytes, as initializers of a model are, or of a file: nothing here can change it."""
    base: object = value
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) and base.readonly else base, (bytes, mmap))


def _forget(key: int, gone: object) -> None:
    _known.pop(key, None)


def array_bytes(value: npt.NDArray[Any]) -> Buffer:
    """The bytes that a digest is over: row-major, little end first; of every string its length in 8 bytes before it."""
    if value.dtype.kind in "OSU":
        items = [item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogatepass") for item in value.flat]
        return b"".join(len(item).to_bytes(8, "little") + item for item in items)
    if value.dtype.byteorder == ">" or (value.dtype.byteorder == "=" and not _LITTLE):
        value = value.astype(value.dtype.newbyteorder("<"))
    return np.ascontiguousarray(value).reshape(-1).view(np.uint8).data


@dataclass(frozen=True, eq=False, slots=True)
class Scaled:
    """How a constant came about: the words of another, as an array of ``shape``, times factors that broadcast to it.

    Computed in float64, and rounded once.
    """

    source: npt.NDArray[Any]
    shape: tuple[int, ...]
    factors: npt.NDArray[np.float64]


_scaled: dict[int, tuple[weakref.ref[Any], Scaled]] = {}


def scaled(how: Scaled) -> npt.NDArray[Any]:
    """The constant; ``scaled_from`` knows how it came about, so that an artefact need not hold its words, too."""
    if np.broadcast_shapes(how.shape, how.factors.shape) != how.shape:
        raise ValueError(f"factors of shape {how.factors.shape} for words of {how.shape}")
    words = how.source.reshape(how.shape).astype(np.float64) * how.factors
    flat = np.frombuffer(words.astype(how.source.dtype).tobytes(), how.source.dtype)
    value = flat.reshape(how.source.shape)
    _scaled[id(value)] = weakref.ref(value, partial(_forget_scaled, id(value))), how
    return value


def scaled_from(value: npt.NDArray[Any] | AbsentConstant) -> Scaled | None:
    """How a constant came about, if ``scaled`` made it."""
    found = _scaled.get(id(value))
    return found[1] if found is not None and found[0]() is value else None


def _forget_scaled(key: int, gone: object) -> None:
    _scaled.pop(key, None)


_LITTLE = bool(np.little_endian)
