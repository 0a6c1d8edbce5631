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


missing = _missing()
"""Why C cannot be compiled; empty if it can."""

needs_compiler = pytest.mark.skipif(bool(missing), reason=missing or "there is one")
