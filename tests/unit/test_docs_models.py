"""The page about models has the table that `effc ops` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from effc.compiler.frontend.control import CONTROL
from effc.compiler.frontend.lowerings import operator_table

PAGE = Path(__file__).resolve().parents[2] / "docs/models.md"
BEGIN, END = "<!-- table: `effc ops`; a test compares -->\n", "<!-- end -->"
HEAD = "| operator | where | forms, or why |\n|---|---|---|\n"


def test_the_table_of_operators(request: pytest.FixtureRequest) -> None:
    """`pytest --update-golden` writes it."""
    table = HEAD + "".join(f"| {row.op} | {row.where} | {row.forms} |\n" for row in operator_table())
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    found, after = rest.split(END)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(f"{before}{BEGIN}{table}{END}{after}", encoding="utf-8")
        return
    assert found == table


def test_control_flow_is_compiled() -> None:
    """The table says of the nodes whose bodies are compiled that these run on the array."""
    assert {row.where for row in operator_table() if row.op in CONTROL} == {"accel"}
