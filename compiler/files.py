"""Files that commands write: whole or not at all, and never in place of a good one that a failure would lose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from effc.compiler.errors import InputError


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of ``path`` at the end, and vanishes if anything goes wrong.

    Where ``path`` is a pipe or a device, nothing can take its place: it is written to directly. A link stays one.
    """
    if _is_special(path):
        with _writing(path), path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    done = False
    try:
        with _writing(path), partial.open("w+b") as file:
            yield file
        with _writing(path):
            partial.replace(path)
        done = True
    finally:
        if not done:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file."""
    with atomic_file(path) as file:
        file.write(text.encode())


def _is_special(path: Path) -> bool:
    """Whether there is something at ``path`` that is no file: a pipe, a device."""
    return path.exists() and not path.is_file()


def check_writable(path: Path) -> None:
    """Raise an ``InputError`` now if ``path`` could not be written later."""
    if path.is_dir():
        raise InputError("this is a folder", str(path), "the name of a file to write")
    if _is_special(path):
        return
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InputError("cannot be written: the folder does not exist", str(path), remedy=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError("cannot be written: no permission", str(path), "a folder that you may write to")


def read_bytes(path: Path, what: str) -> bytes:
    """The contents of a file that the user named."""
    with reading(path, what):
        return path.read_bytes()


def read_text(path: Path, what: str) -> str:
    """The text of a file that the user named."""
    try:
        return read_bytes(path, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"not a text in UTF-8: {error.reason}", str(path), what) from None


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """What goes wrong with reading a file is an error of who named it."""
    try:
        yield
    except FileNotFoundError:
        raise InputError("no such file", str(path), what) from None
    except IsADirectoryError:
        raise InputError("this is a folder", str(path), what) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        if isinstance(error, UnicodeDecodeError):
            raise
        raise InputError(f"cannot be read: {_reason(error)}", str(path), what) from None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be written: {_reason(error)}", str(path)) from None


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
