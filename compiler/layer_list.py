"""Lists of layers as JSON, for ``effc map``: convolutions and matrix products without any ONNX model.

    [{"name": "conv1", "N": 1, "K": 64, "C": 3, "P": 112, "Q": 112, "R": 7, "S": 7, "stride": 2},
     {"name": "proj", "M": 512, "K": 768, "N": 768}]

A convolution may have ``groups`` and ``dilation``; ``K`` and ``C`` are the channels of all groups together. A matrix
product is ``O[M, N] += I[M, K] * W[K, N]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from effc.compiler.errors import InputError, source_error
from effc.compiler.files import read_text
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.verify import VerifyError

CONV = ("N", "K", "C", "P", "Q", "R", "S")
GEMM = ("M", "K", "N")
EXTRAS = {"stride": 1, "dilation": 1, "groups": 1}
FORMS = '{"name", "N", "K", "C", "P", "Q", "R", "S", "stride"} or {"name", "M", "K", "N"}'
LIMIT = 2**31
MAX_LAYERS = 10_000


def read_layers(path: Path) -> list[Nest]:
    """The nests that a list of layers describes."""
    text = read_text(path, f"a JSON list of {FORMS}")
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg}"
        raise source_error(str(path), text, error.lineno, error.colno, 1, message, f"a list of {FORMS}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", str(path), f"a list of {FORMS}") from None
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_LAYERS:
        raise InputError("not a list of layers", str(path), f"a list of up to {MAX_LAYERS} of {FORMS}")
    found = [_layer(entry, f"{path}: layer {number}") for number, entry in enumerate(entries, 1)]
    _check_names(found, str(path))
    return found


def _check_names(found: list[Nest], place: str) -> None:
    seen: set[str] = set()
    for nest in found:
        if nest.name in seen:
            raise InputError(f"two layers are called '{nest.name}'", place, "a name of its own for each layer")
        seen.add(nest.name)


def _layer(entry: Any, place: str) -> Nest:
    if not isinstance(entry, dict):
        raise InputError(f"{_shown(entry)} is no layer", place, FORMS)
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise InputError("the layer has no name", place, FORMS)
    place = f"{place}, '{name}'"
    keys = GEMM if "M" in entry else (*CONV, *EXTRAS)
    if unknown := [key for key in entry if key not in ("name", *keys)]:
        close = get_close_matches(str(unknown[0]), keys, 1)
        remedy = f"did you mean '{close[0]}'?" if close else ""
        raise InputError(f"unknown key '{unknown[0]}'", place, ", ".join(keys), remedy)
    sizes = {key: _size(entry, key, place) for key in keys}
    try:
        return _gemm(name, sizes) if "M" in entry else _conv(name, sizes)
    except VerifyError as error:
        raise InputError(f"no such layer: {error.message}", place, error.expected, error.remedy) from None
    except ValueError as error:
        raise InputError(f"no such layer: {error}", place, FORMS) from None


def _size(entry: Mapping[str, Any], key: str, place: str) -> int:
    if key not in entry and key in EXTRAS:
        return EXTRAS[key]
    if key not in entry:
        raise InputError(f"'{key}' is missing", place, FORMS)
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < LIMIT:
        raise InputError(f"'{key}' is {_shown(value)}", place, f"a whole number from 1 to {LIMIT - 1}")
    return value


def _conv(name: str, sizes: Mapping[str, int]) -> Nest:
    n, k, c, p, q, r, s = (sizes[key] for key in CONV)
    stride, dilation, groups = (sizes[key] for key in EXTRAS)
    return nests.conv2d(n, k, c, p, q, r, s, stride, dilation, groups=groups, name=name)


def _gemm(name: str, sizes: Mapping[str, int]) -> Nest:
    return nests.gemm(sizes["M"], sizes["N"], sizes["K"], name=name)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."
