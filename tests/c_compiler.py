"""``@needs_compiler``: the test is skipped, saying why, where C cannot be compiled."""

from __future__ import annotations

import pytest

from effc.backends.cpu.build import find_compiler
from effc.ir.errors import InputError


def _missing() -> str:
    try:
        find_compiler()
    except InputError as error:
        return error.message
    return ""


needs_compiler = pytest.mark.skipif(bool(_missing()), reason=_missing() or "there is one")
