"""Files that commands write: whole or not at all, and never in place of a good one that a failure would lose."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
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
    _partial.add(partial)
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
        _partial.discard(partial)


_partial: set[Path] = set()


def unlink_partial_files() -> None:
    """Remove what was not finished, before the program ends where it stands."""
    for path in list(_partial):
        with suppress(OSError):
            path.unlink(missing_ok=True)


class Outflow:
    """Writes a large file on threads of its own, in order, and brings it to the disk meanwhile, so that it does not
    fill the memory before; whoever writes it need not wait for either.

    A context manager; it raises an ``OSError`` at the end, if not earlier, if something could not be written. What is
    to be written has to stay as it is until then, and nobody else may use the file.
    """

    PART = 2**26

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._plain = hasattr(os, "posix_fadvise") and S_ISREG(os.fstat(file.fileno()).st_mode)
        self._writer, self._syncer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._writes: deque[Future[None]] = deque()
        self._part: Future[None] | None = None
        self._position = self._waiting = 0

    def __enter__(self) -> Outflow:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.shutdown(cancel_futures=exception[0] is not None)
        self._syncer.shutdown()
        if exception[0] is None:
            for write in (*self._writes, *([self._part] if self._part else ())):
                write.result()

    def write(self, content: bytes | memoryview) -> int:
        """Have something written at the present position."""
        while self._writes and self._writes[0].done():
            self._writes.popleft().result()
        self._writes.append(self._writer.submit(self._write, content, self._position))
        self._position += len(content)
        return len(content)

    def tell(self) -> int:
        """The present position."""
        return self._position

    def seek(self, position: int) -> int:
        """Go to a position, counted from the start."""
        self._position = position
        return position

    def flush(self) -> None:
        """There is nothing to do before the end."""

    def close(self) -> None:
        """There is nothing to do before the end."""

    def _write(self, content: bytes | memoryview, position: int) -> None:
        self._file.seek(position)
        self._file.write(content)
        self._waiting += len(content)
        if self._plain and self._waiting >= self.PART:
            self._sync()

    def _sync(self) -> None:
        """What was written goes its way; it need not be at hand after that."""
        if self._part is not None:
            self._part.result()
        self._file.flush()
        self._part, self._waiting = self._syncer.submit(_to_disk, self._file.fileno()), 0


def _to_disk(file: int) -> None:
    os.fdatasync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


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
