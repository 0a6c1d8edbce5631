"""Files that are not read, but mapped: their bytes are used where the kernel has them.

Such a file has to stay as it is. If it is written to, ``require_unchanged`` says so. If it is cut, reading what is gone
is the signal SIGBUS, which would end the program without a word; ``ending_clearly`` makes it an error like any other.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary, finalize

from effc.compiler.files import unlink_partial_files
from effc.ir.errors import InputError

Identity = tuple[int, int]

_mapped: WeakKeyDictionary[mmap.mmap, tuple[Path, int, Identity]] = WeakKeyDictionary()
"""What is mapped: its name, an open file, and how it was."""


def map_file(path: Path) -> memoryview:
    """The bytes of a file, which is not empty."""
    file = os.open(path, os.O_RDONLY)
    try:
        mapped = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    except BaseException:
        os.close(file)
        raise
    _mapped[mapped] = path, file, identity(file)
    finalize(mapped, os.close, file)
    return memoryview(mapped)


def identity(file: int) -> Identity:
    """What differs in an open file when it was written to."""
    found = os.fstat(file)
    return found.st_size, found.st_mtime_ns


def require_unchanged() -> None:
    """Raise an ``InputError`` if a file that is mapped is not what it was."""
    for path in _changed():
        raise changed(path)


def changed(path: Path) -> InputError:
    """The error for a file that is not what it was."""
    return InputError("the file has changed since it was opened", str(path), remedy="leave it alone, and try again")


def _changed() -> list[Path]:
    return [path for path, file, before in list(_mapped.values()) if identity(file) != before]


@contextmanager
def ending_clearly() -> Iterator[None]:
    """Meanwhile, a mapped file that is cut ends the program with an error and exit code 2."""
    if sys.platform == "win32":  # where a mapped file cannot be cut
        yield
        return
    library = ctypes.CDLL(None)
    library.signal.restype = ctypes.c_void_p
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    before = library.signal(signal.SIGBUS, ctypes.cast(_HANDLER, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(signal.SIGBUS, before)


def _ended(number: int) -> None:
    """The handler, in the thread that read what is gone: the read would be tried again if this returned."""
    unlink_partial_files()
    error = next(map(changed, _changed()), InputError("memory is gone: the signal SIGBUS"))
    os.write(2, f"{error}\n".encode())
    os._exit(2)


_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)(_ended)
