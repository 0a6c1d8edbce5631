"""The table of the page about quantised models is what its command measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # a folder of scripts, not a package

import quantised  # noqa: E402

ROWS = quantised.PAGE.read_text(encoding="utf-8").split(quantised.BEGIN)[1].split(quantised.END)[0]


def check(bits: int) -> None:
    head = quantised.table(iter([]))
    assert ROWS.startswith(head)
    assert quantised.table(iter([quantised.measured(bits)])).removeprefix(head) in ROWS


@pytest.mark.validate
@pytest.mark.parametrize("bits", quantised.BITS)
def test_every_width(bits: int) -> None:
    check(bits)


def test_every_row_is_there() -> None:
    assert [int(line.split("|")[1]) for line in ROWS.splitlines()[2:]] == list(quantised.BITS)
