"""Files of the user's own Python, run for what they register."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from pathlib import Path

from effc.compiler.errors import InputError


def load_files(paths: Iterable[str]) -> None:
    """Run Python files that register passes."""
    for path in paths:
        if not Path(path).is_file():
            raise InputError("no such file", path, "a Python file that registers passes")
        try:
            runpy.run_path(path, run_name=Path(path).stem)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"the file failed: {type(error).__name__}: {error}", path) from error
