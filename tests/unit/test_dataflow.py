"""``effc dataflow``: tables of layers, what may be left out of them, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from effc.compiler.cli import main
from effc.compiler.dataflows import read_table
from effc.compiler.target import load_target
from effc.ir.errors import InputError

EYERISS = load_target("eyeriss")
LAYER: dict[str, Any] = {"name": "a", "H": 10, "R": 3, "C": 4, "M": 8}
MAPPING = {"m": 8, "n": 1, "e": 8, "p": 4, "q": 2, "r": 2, "t": 1}


def written(folder: Path, *layers: dict[str, Any], **more: Any) -> Path:
    path = folder / "table.json"
    path.write_text(json.dumps({"batch": 2, "layers": layers} | more), encoding="utf-8")
    return path


def test_what_may_be_left_out(tmp_path: Path) -> None:
    first, last = read_table(written(tmp_path, LAYER, {**LAYER, "name": "b", "U": 2, "H": 11, "groups": 2}), EYERISS)
    assert (first.row["E"], first.row["pad"], last.row["E"], last.row["pad"]) == (8, 1, 5, 0)
    assert (first.nest.bounds["K"], last.nest.bounds["K"], first.nest.bounds["N"]) == (8, 4, 2)
    assert first.nest.operands["I"].shape == (2, 4, 8, 8)
    assert first.densities == {"I": 1, "O": 1}
    assert first.schedule and first.measured()["total_ms"] > 0, "a mapping is found"


def test_the_table_may_stand_in_an_object(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    row = {**LAYER, "ifmap_zeros_percent": 25, "ofmap_zeros_percent": 50}
    path.write_text(json.dumps({"source": "x", "net": {"batch": 1, "layers": [row]}}), encoding="utf-8")
    (layer,) = read_table(path, EYERISS)
    assert [float(layer.densities[name]) for name in "IO"] == [0.75, 0.5]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {**LAYER, "mapping": MAPPING, "DRAM_MB": 7})
    assert main(["dataflow", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "8 1 8 4 2 2 1" in printed and "(7)" in printed
    assert main(["dataflow", str(path), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    (layer,) = found["layers"]
    assert layer["active_PEs"] == 3 * 8 * 2
    assert layer["spad_words"] == {"filter": 4 * 2 * 3, "ifmap": 2 * 3, "psum": 4}
    assert layer["glb_psum_KB"] == round(8 * 8 * 8 * 2 / 1024, 1)
    assert found["total"]["total_ms"] == layer["total_ms"]


def test_a_target_whose_energy_has_no_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {**LAYER, "mapping": MAPPING})
    assert main(["dataflow", str(path), "--target", "eyeriss_isca16", "--json", "-"]) == 0
    assert "power_mW" not in json.loads(capsys.readouterr().out)["layers"][0]


WRONG = {
    "no layers": ({"layers": []}, "no table of layers"),
    "no batch": ({"batch": None}, "'batch' is null"),
    "no name": ({"layers": [{"H": 3}]}, "no layer with a name"),
    "no size": ({"layers": [{"name": "a", "H": 3}]}, "'R' is missing"),
    "another E": ({"layers": [{**LAYER, "E": 7}]}, "E is 7"),
    "a filter that is too large": ({"layers": [{**LAYER, "R": 11}]}, "E is None"),
    "groups": ({"layers": [{**LAYER, "groups": 3}]}, "8 filters M in 3 groups"),
    "padding": ({"layers": [{**LAYER, "pad": 5}]}, "pad is 5"),
    "zeros": ({"layers": [{**LAYER, "ifmap_zeros_percent": 101}]}, "'ifmap_zeros_percent' is 101"),
    "half a mapping": ({"layers": [{**LAYER, "mapping": {"m": 1}}]}, "the mapping is not complete"),
    "a mapping of nothing": ({"layers": [{**LAYER, "mapping": {**MAPPING, "n": 0}}]}, "'n' is 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    changes, message = WRONG[name]
    path = written(tmp_path, LAYER, **changes)
    with pytest.raises(InputError) as caught:
        read_table(path, EYERISS)
    assert message in caught.value.message and caught.value.expected


def test_what_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text("[", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        read_table(path, EYERISS)
