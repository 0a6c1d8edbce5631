"""Tables of layers with row-stationary mappings, as the publications of Eyeriss print them, in JSON.

    {"batch": 4, "layers": [
      {"name": "CONV3", "H": 15, "R": 3, "E": 13, "C": 256, "M": 384, "U": 1, "groups": 1, "pad": 1,
       "mapping": {"m": 64, "n": 4, "e": 13, "p": 16, "q": 4, "r": 1, "t": 4}, "ifmap_zeros_percent": 72.5}, ...]}

H (= W), R (= S), E (= F), C, M, U are those of Table III: the ifmap with its padding, the filter, the ofmap, channels
of one group, filters of all groups, stride. Those below may be left out; every other key is left alone.

    E                    (H - R) / U + 1
    U, groups            1
    pad                  rows and columns of zeros on every side, which the DRAM does not hold: (R - 1) / 2 of a layer
                         with stride 1, else none
    mapping              the parameters of least energy that effc finds
    ifmap_zeros_percent  0
    ofmap_zeros_percent  the zeros of the next layer's ifmap; of the last layer, those of its own

An object may stand around the table (``{"alexnet": {"batch", "layers"}}``): the first that has layers is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from effc.compiler.dataflows.layer import Layer, percent
from effc.compiler.files import read_text
from effc.compiler.target.model import Target
from effc.ir.errors import InputError

FORM = 'an object {"batch", "layers": [{"name", "H", "R", "C", "M", ...}, ...]}'
PARAMETERS = tuple("mnepqrt")
OPTIONAL = {"U": 1, "groups": 1}
LIMIT = 2**31


def read_table(path: Path, target: Target) -> list[Layer]:
    """The layers of a table on a target; an ``InputError`` if it is no such table."""
    text = read_text(path, f"JSON: {FORM}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", str(path), FORM) from None
    table = _with_layers(found)
    if table is None:
        raise InputError("no table of layers", str(path), FORM)
    batch = _whole(table, "batch", str(path))
    rows = [_row(row, f"{path}: layer {number}") for number, row in enumerate(table["layers"], 1)]
    return [Layer(row, batch, _ofmap_zeros(row, after), target) for row, after in zip(rows, [*rows[1:], rows[-1]])]


def _with_layers(found: Any) -> Mapping[str, Any] | None:
    """The first object that has layers: the one given, or one in it."""
    if not isinstance(found, dict):
        return None
    candidates = [found, *(value for value in found.values() if isinstance(value, dict))]
    return next((one for one in candidates if isinstance(one.get("layers"), list) and one["layers"]), None)


def _row(row: Any, place: str) -> dict[str, Any]:
    """A layer with everything that may be left out."""
    if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not row["name"]:
        raise InputError("no layer with a name", place, FORM)
    place = f"{place}, '{row['name']}'"
    sizes = {key: _whole(row, key, place) for key in ("H", "R", "C", "M")}
    sizes |= {key: _whole(row, key, place) if key in row else least for key, least in OPTIONAL.items()}
    rows = (sizes["H"] - sizes["R"]) // sizes["U"] + 1
    if rows < 1 or row.get("E", rows) != rows:
        raise InputError(f"E is {row.get('E')}", place, f"(H - R) / U + 1, which is {rows} here, and at least 1")
    if sizes["M"] % sizes["groups"]:
        raise InputError(f"{sizes['M']} filters M in {sizes['groups']} groups", place, "as many in each group")
    pad = _whole(row, "pad", place, 0) if "pad" in row else (sizes["R"] - 1) // 2 * (sizes["U"] == 1)
    if 2 * pad >= sizes["H"]:
        raise InputError(f"pad is {pad}", place, "rows and columns that are part of H on either side")
    zeros = {key: _share(row, key, place) for key in ("ifmap_zeros_percent", "ofmap_zeros_percent") if key in row}
    mapping = {"mapping": _mapping(row["mapping"], place)} if row.get("mapping") is not None else {}
    return {"ifmap_zeros_percent": 0, **row, **sizes, "E": rows, "pad": pad, **zeros, **mapping}


def _mapping(given: Any, place: str) -> dict[str, int]:
    if not isinstance(given, dict) or set(given) != set(PARAMETERS):
        raise InputError("the mapping is not complete", place, f"an object of {', '.join(PARAMETERS)}")
    return {name: _whole(given, name, place) for name in PARAMETERS}


def _whole(row: Mapping[str, Any], key: str, place: str, least: int = 1) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < LIMIT:
        what = "is missing" if key not in row else f"is {json.dumps(value)[:40]}"
        raise InputError(f"'{key}' {what}", place, f"a whole number from {least} on")
    return value


def _share(row: Mapping[str, Any], key: str, place: str) -> float:
    value = row[key]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 100:
        raise InputError(f"'{key}' is {json.dumps(value)[:40]}", place, "a percentage from 0 to 100")
    return value


def _ofmap_zeros(row: Mapping[str, Any], following: Mapping[str, Any]) -> Fraction:
    """A share of the words of an ofmap."""
    return percent(row.get("ofmap_zeros_percent", following["ifmap_zeros_percent"]))
