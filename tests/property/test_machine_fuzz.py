"""Damaged programs: each gives a result or a typed fault; none crashes, hangs, or takes memory without bound."""

from __future__ import annotations

import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from mutants import mutated, small_program
from small import remembered_search, write_small

import effc
from effc.backends.accel import Machine, MachineFault, decode_program, encode_program, parse_program, print_program
from effc.backends.accel.limits import Limits
from effc.compiler.cli import main
from effc.compiler.container import write_container
from effc.ir.errors import InputError

LIMITS = Limits(words=2**16, table=2**14, work=2**21, trips=50)
FAMILY = 25
"""How many mutants of each form a program has."""


Values = Mapping[str, Any]


def outcome(machine: Machine, text: str, constants: Values, inputs: Values = {}) -> str:  # noqa: B006 - not written
    """What becomes of the text of a program: rejected by the assembler, a fault of the machine, or a result."""
    try:
        program = parse_program(text)
    except InputError as error:
        assert str(error)
        return "rejected"
    try:
        machine.run(program, inputs, constants)
    except MachineFault as fault:
        assert str(fault).startswith("fault: ")
        return "faulted"
    return "ran"


def binary_outcome(
    machine: Machine,
    text: str,
    constants: Values,
    random: Random,
    inputs: Values = {},  # noqa: B006 - not written
) -> str:
    """The same of the binary form of a program, some of its bytes changed."""
    data = bytearray(encode_program(parse_program(text)))
    for _ in range(random.choice([1, 1, 2, 5])):
        data[random.randrange(5, len(data))] = random.choice([0, 1, 2, 127, 255, random.randrange(256)])
    try:
        mutant = print_program(decode_program(bytes(data)))
    except InputError as error:
        assert str(error)
        return "rejected"
    return outcome(machine, mutant, constants, inputs)


def outcomes(seeds: range) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in seeds:
        random = Random(seed)
        case, text = small_program(random)
        machine = Machine(case.target, limits=LIMITS)
        for number in range(FAMILY):
            mutant = mutated(text, random)
            try:
                found[outcome(machine, mutant, case.arrays)] += 1
                found[binary_outcome(machine, text, case.arrays, random)] += 1
            except Exception:
                print(f"mutant {number} of seed {seed}:\n{mutant}", file=sys.stderr)
                raise
    return found


def test_damaged_programs() -> None:
    found = outcomes(range(25))
    assert min(found[kind] for kind in ("rejected", "faulted", "ran")) > 100


def test_damaged_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The program of a whole network, damaged inside a file whose seal is in order: exit code 0 or 2."""
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    model, target = write_small(tmp_path)
    whole, path, inputs = tmp_path / "whole.effx", tmp_path / "damaged.effx", tmp_path / "x.npz"
    effc.compile(model, target).save(whole)
    np.savez(inputs, x=np.zeros((1, 2, 3, 3), np.float32))
    with zipfile.ZipFile(whole) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if not name.startswith("manifest")}
    texts = {name: content for name, content in entries.items() if not name.startswith("data/")}
    data = {name.removeprefix("data/"): content for name, content in entries.items() if name.startswith("data/")}
    random, codes, messages = Random(0), Counter[int](), set[str]()
    for _ in range(150):
        mutant = mutated(texts["program.asm"].decode(), random).encode(errors="replace")
        write_container(path, {**texts, "program.asm": mutant}, data)
        codes[main(["run", str(path), "--input", str(inputs)])] += 1
        messages.add(capsys.readouterr().err.split("\n")[0])
    assert set(codes) == {0, 2}
    assert len(messages) > 50


@pytest.mark.validate
@pytest.mark.parametrize("part", range(20))
def test_a_hundred_thousand_damaged_programs(part: int) -> None:
    assert outcomes(range(1000 + 100 * part, 1100 + 100 * part)).total() == 5000
