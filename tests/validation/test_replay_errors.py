"""Every broken file of cases gives exactly the message that ``replay_errors.txt`` holds for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from replay_documents import small_document

from effc.compiler.cli import main
from effc.compiler.errors import InputError
from effc.compiler.replay import CONVENTIONS, load_cases, parse_cases, replay

HERE = Path(__file__).parent
MISSING = object()
ARCH, CASE = ("arch",), ("cases", 0)
DIMS, MAPPING = (*CASE, "dims"), (*CASE, "mapping")
KEEP, TEMPORAL, SPATIAL = ((*MAPPING, part) for part in ("keep", "temporal", "spatial"))

EDITS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "no machine": (ARCH, MISSING),
    "no cases": (("cases",), MISSING),
    "cases no list": (("cases",), {}),
    "a case no object": (CASE, 7),
    "machine no object": (ARCH, []),
    "machine without levels": ((*ARCH, "levels_inner_to_outer"), MISSING),
    "machine with an unknown key": ((*ARCH, "capacity"), {}),
    "levels no list": ((*ARCH, "levels_inner_to_outer"), "GLB"),
    "a level twice": ((*ARCH, "levels_inner_to_outer"), ["GLB", "GLB", "DRAM"]),
    "a level called as an axis": ((*ARCH, "levels_inner_to_outer"), ["X", "GLB", "DRAM"]),
    "one level": ((*ARCH, "levels_inner_to_outer"), ["DRAM"]),
    "an empty name": ((*ARCH, "levels_inner_to_outer"), ["", "GLB", "DRAM"]),
    "capacity of no level": ((*ARCH, "capacity_words", "SRAM"), 8),
    "capacity of the outermost level": ((*ARCH, "capacity_words", "DRAM"), 8),
    "capacity zero": ((*ARCH, "capacity_words", "GLB"), 0),
    "capacity a fraction": ((*ARCH, "capacity_words", "GLB"), 1.5),
    "capacity true": ((*ARCH, "capacity_words", "GLB"), True),
    "array without rows": ((*ARCH, "pe_array", "Y_rows"), MISSING),
    "array below no level": ((*ARCH, "pe_array", "below"), "PE"),
    "array nowhere": (
        ARCH,
        {
            "levels_inner_to_outer": ["L0", "L1", "DRAM"],
            "capacity_words": {},
            "pe_array": {"X_columns": 4, "Y_rows": 3},
            "word_bits": 16,
            "energy_per_word": {"MAC": 1, "L0": 1, "L1": 6, "DRAM": 200},
        },
    ),
    "an array too large": ((*ARCH, "pe_array"), {"X_columns": 2**15, "Y_rows": 2**6}),
    "no energy of MACs": ((*ARCH, "energy_per_word", "MAC"), MISSING),
    "energy of no level": ((*ARCH, "energy_per_word", "glb"), 6),
    "negative energy": ((*ARCH, "energy_per_word", "GLB"), -6),
    "energy a text": ((*ARCH, "energy_per_word", "GLB"), "6"),
    "energy beyond measure": ((*ARCH, "energy_per_word", "GLB"), 1e40),
    "word without bits": ((*ARCH, "word_bits"), 0),
    "a bandwidth": ((*ARCH, "bandwidth"), 16),
    "a network energy": ((*ARCH, "network_energy"), 2),
    "three buffers": ((*ARCH, "multiple_buffering"), 3),
    "no id": ((*CASE, "id"), MISSING),
    "id a number": ((*CASE, "id"), 7),
    "no dims": ((*CASE, "dims"), MISSING),
    "dims no object": (DIMS, [1, 2]),
    "a dim missing": ((*DIMS, "S"), MISSING),
    "an unknown dim": ((*DIMS, "k"), 4),
    "a bound of zero": ((*DIMS, "K"), 0),
    "a bound beyond measure": ((*DIMS, "K"), 2**31),
    "a nest beyond measure": (DIMS, dict.fromkeys("NKCPQRS", 2**30)),
    "a stride of zero": ((*DIMS, "stride"), 0),
    "no mapping": ((*CASE, "mapping"), MISSING),
    "mapping with an unknown key": ((*MAPPING, "bypass"), {}),
    "keep missing": (KEEP, MISSING),
    "keep without a level": ((*KEEP, "GLB"), MISSING),
    "keep at no level": ((*KEEP, "L2"), []),
    "an unknown tensor": ((*KEEP, "GLB"), ["Weigths"]),
    "a tensor twice": ((*KEEP, "GLB"), ["Inputs", "Inputs"]),
    "outermost level without a tensor": ((*KEEP, "DRAM"), ["Inputs", "Weights"]),
    "temporal without a level": ((*TEMPORAL, "Spad"), MISSING),
    "temporal at no level": ((*TEMPORAL, "PE"), []),
    "loops no list": ((*TEMPORAL, "GLB"), {"P": 4}),
    "a loop no pair": ((*TEMPORAL, "GLB", 0), ["P", 4, 1]),
    "a loop a text": ((*TEMPORAL, "GLB", 0), "P4"),
    "a loop over no dim": ((*TEMPORAL, "GLB", 0), ["H", 4]),
    "a factor of zero": ((*TEMPORAL, "GLB", 0), ["P", 0]),
    "a factor a text": ((*TEMPORAL, "GLB", 0), ["P", "4"]),
    "factors that do not reach the bound": ((*TEMPORAL, "GLB", 0), ["P", 3]),
    "factors beyond the bound": ((*TEMPORAL, "GLB", 0), ["P", 8]),
    "no loop over a dim": ((*TEMPORAL, "GLB"), [["P", 4]]),
    "spatial without an axis": ((*SPATIAL, "Y"), MISSING),
    "spatial on no axis": ((*SPATIAL, "Z"), []),
    "too many columns": ((*SPATIAL, "X"), [["K", 5]]),
    "a dim twice on an axis": ((*SPATIAL, "X"), [["K", 2], ["K", 2]]),
    "a tile that does not fit": ((*ARCH, "capacity_words", "GLB"), 19),
    "a tile that does not fit twice": ((*ARCH, "multiple_buffering"), 2),
}
"""What is changed in a valid file."""

TEXTS = {
    "empty": "",
    "no JSON": '{"arch": {},\n "cases": [,]}',
    "a key twice": '{"arch": {}, "arch": {}}',
    "not a number": '{"arch": NaN}',
    "deep": "[" * 100_000,
    "digits": '{"arch": ' + "9" * 5000 + "}",
    "list": "[]",
}
"""Texts that are no files of cases."""


def edited(path: tuple[str | int, ...], value: Any) -> str:
    document = small_document()
    spot: Any = document
    for step in path[:-1]:
        spot = spot[step]
    if value is MISSING:
        del spot[path[-1]]
    else:
        spot[path[-1]] = deepcopy(value)
    return json.dumps(document)


def message(text: str, convention: str) -> str:
    with pytest.raises(InputError) as error:
        for case in parse_cases(text, "cases.json"):
            replay(case, convention)
    assert error.value.place.startswith("cases.json") and error.value.expected and error.value.remedy
    return str(error.value)


def test_messages(golden: Callable[[Path, str], None]) -> None:
    found = [f"# {name}\n{message(edited(*edit), 'timeloop')}\n" for name, edit in EDITS.items()]
    found += [f"# {name}\n{message(text, 'timeloop')}\n" for name, text in TEXTS.items()]
    golden(HERE / "replay_errors.txt", "\n".join(found))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_valid_file_is_valid(convention: str) -> None:
    (case,) = parse_cases(json.dumps(small_document()))
    assert replay(case, convention).macs == 4 * 2 * 4 * 3


@pytest.mark.parametrize(
    "arch",
    [
        {"energy_per_word": {"MAC": 1, "Spad": 0.5, "GLB": 6, "DRAM": 200}},
        {"pe_array": {"X_columns": 4, "Y_rows": 3, "below": "GLB"}},
        {"capacity_words": {"DRAM": None}},
    ],
)
def test_other_ways_to_write_the_machine(arch: dict[str, Any]) -> None:
    plain, other = small_document(), small_document()
    other["arch"] |= arch
    results = [replay(parse_cases(json.dumps(document))[0], "timeloop") for document in (plain, other)]
    assert results[0] == results[1]


def test_tiles_have_to_fit_under_either_convention() -> None:
    assert "do not fit" in message(edited(*EDITS["a tile that does not fit"]), "timeloop")
    assert "19 fit" in message(edited(*EDITS["a tile that does not fit"]), "effc")


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_example_of_the_document(convention: str) -> None:
    page = (HERE.parents[1] / "docs" / "replay.md").read_text(encoding="utf-8")
    block = page[page.index('    {"arch"') :].split("\n\n")[0]
    (case,) = parse_cases(block)
    assert replay(case, convention).cycles == 2 * 4 * 8 * 8 * 3


def test_ids_are_distinct() -> None:
    document = small_document()
    document["cases"] *= 2
    assert "two cases have the id 'one'" in message(json.dumps(document), "effc")


def test_the_command_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.json"
    assert main(["replay", str(path)]) == 2
    path.write_text(edited(*EDITS["a loop over no dim"]), encoding="utf-8")
    assert main(["replay", str(path)]) == 2
    path.write_bytes(b"\xff\xfe")
    assert main(["replay", str(path)]) == 2
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError):
        load_cases(tmp_path)
