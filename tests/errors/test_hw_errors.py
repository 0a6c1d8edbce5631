"""Every broken target of ``hw/`` gives exactly the message beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from effc.compiler.errors import InputError
from effc.compiler.target import parse_target

FILES = sorted((Path(__file__).parent / "hw").glob("*.hw"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_message(path: Path, golden: Callable[[Path, str], None]) -> None:
    with pytest.raises(InputError) as error:
        parse_target(path.read_bytes().decode("utf-8"), path.name)
    assert error.value.place.startswith(f"{path.name}:") and error.value.expected and error.value.remedy
    golden(path.with_suffix(".txt"), f"{error.value}\n")


def test_every_message_belongs_to_a_file() -> None:
    here = Path(__file__).parent / "hw"
    assert {path.stem for path in here.glob("*.txt")} == {path.stem for path in FILES}
