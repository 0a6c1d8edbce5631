"""Builds C with the system's compiler and loads it into the process."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from effc.ir.errors import InputError

FLAGS = ("-O2", "-std=c99", "-fPIC", "-shared", "-ffp-contract=off")
"""No contraction: a product is rounded before it is added, on every machine."""

_COMPILERS = ("cc", "gcc", "clang")
_libraries: dict[str, ctypes.CDLL] = {}


class BuildError(Exception):
    """The compiler refused a file that the emitter wrote: an error of the emitter or of the compiler's installation."""


def find_compiler() -> list[str]:
    """The command that compiles C: the ``CC`` of the environment, else the first of cc, gcc and clang."""
    chosen = os.environ.get("CC", "").strip()
    if chosen:
        return _chosen_compiler(chosen)
    for name in _COMPILERS:
        if shutil.which(name):
            return [name]
    raise InputError(
        "there is no C compiler on this machine",
        expected=f"one of {', '.join(_COMPILERS)} on the PATH",
        remedy="install gcc or clang, or name a compiler in the environment variable CC",
    )


def build(text: str) -> ctypes.CDLL:
    """The C file ``text`` as a loaded library; the same text is compiled once in a process."""
    command = [*find_compiler(), *FLAGS]
    key = hashlib.sha256("\0".join([*command, text]).encode()).hexdigest()
    if key not in _libraries:
        _libraries[key] = _compile(command, text)
    return _libraries[key]


def _chosen_compiler(chosen: str) -> list[str]:
    try:
        command = shlex.split(chosen)
    except ValueError:
        command = []
    found = shutil.which(command[0]) if command else None
    if found:
        return [str(Path(found).absolute()), *command[1:]]
    raise InputError(
        f"the C compiler {chosen!r} does not exist",
        place="environment variable CC",
        expected="the command of a C compiler",
        remedy=f"correct CC, or unset it to have one of {', '.join(_COMPILERS)} taken",
    )


def _compile(command: list[str], text: str) -> ctypes.CDLL:
    """Compile and load; the private folder can go once the library is mapped."""
    with tempfile.TemporaryDirectory(prefix="effc-", ignore_cleanup_errors=True) as folder:
        source, library = Path(folder, "layers.c"), Path(folder, "layers.so")
        source.write_text(text, encoding="ascii")
        done = subprocess.run(
            [*command, "-o", library.name, source.name, "-lm"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise BuildError(f"{shlex.join(command)} exited with {done.returncode}:\n{done.stderr.strip()}")
        return ctypes.CDLL(str(library))
