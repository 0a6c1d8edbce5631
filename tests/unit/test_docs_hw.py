"""docs/hw.md: its examples are targets, and it names every word and unit of the language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from effc.compiler.target import parse_target, print_target
from effc.compiler.target.syntax import language_words
from effc.compiler.target.units import DUMMY, KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "hw.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```hw\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_are_targets(text: str) -> None:
    target = parse_target(text)
    assert parse_target(print_target(target)) == target


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


def test_every_word_of_the_language_is_on_the_page() -> None:
    code = " ".join(re.findall(r"`([^`\n]+)`", PAGE) + EXAMPLES)
    assert language_words() <= set(re.findall(r"[A-Za-z]+", code))


def test_every_unit_is_on_the_page() -> None:
    units = {unit for kind in KINDS if kind != "time" for unit in DUMMY.table(kind)}
    heads = {unit for unit in units if "/" not in unit or unit.endswith("/s")}
    assert heads <= set(re.findall(r"[A-Za-z]+[0-9]?(?:/s)?", PAGE))
