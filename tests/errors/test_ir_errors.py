"""Every broken text of ``ir/`` gives exactly the message beside it; the first word of its name says what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from effc import ir
from effc.ir import nests

HERE = Path(__file__).parent / "ir"
FILES = sorted(HERE.glob("*.ir"))
NEST = nests.conv2d(n=1, k=64, c=3, p=56, q=56, r=3, s=3, name="conv1")
"""What the schedules of the corpus are schedules of."""

PARSERS: dict[str, Callable[[str, str], object]] = {
    "nest": lambda text, filename: ir.parse_nest(text, filename),
    "loops": lambda text, filename: ir.parse_scheduled(text, filename),
    "schedule": lambda text, filename: ir.parse_schedule(text, NEST, filename),
    "alone": lambda text, filename: ir.parse_schedule(text, None, filename),
    "graph": lambda text, filename: ir.parse_graph(text, None, filename),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_message(path: Path, golden: Callable[[Path, str], None]) -> None:
    parse = PARSERS[path.stem.split("_")[0]]
    with pytest.raises(ir.InputError) as error:
        parse(path.read_bytes().decode("utf-8"), path.name)
    golden(path.with_suffix(".txt"), f"{error.value}\n")


def test_every_message_belongs_to_a_file() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {path.stem for path in FILES}
