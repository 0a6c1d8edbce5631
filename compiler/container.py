"""The container of a ``.effx``: a zip file of named entries, sealed with a checksum.

    data/SHA-256      arrays, stored: the bytes whose digest is the name
    graph.txt, ...    texts, deflated
    manifest.json     format, schema, and the SHA-256 of every entry but those that are named by theirs
    effx sha256 ...   the seal: the comment of the zip, which ends the file

The seal is over every byte before it but the contents of ``data/``, for which their names stand. It detects damage:
truncation, appended bytes, a flipped bit anywhere. It is no signature, so a sealed file is still not trusted: names,
counts, sizes and methods of compression are checked before an entry is read, and nothing is ever extracted to a path
that the file chooses.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from effc.compiler.errors import InputError
from effc.compiler.files import Outflow, atomic_file, reading
from effc.compiler.mapped import changed, identity, require_unchanged
from effc.ir.constants import Buffer

SCHEMA = 2
MANIFEST = "manifest.json"
DATA = "data/"

MAX_ENTRIES = 2**17
MAX_TEXT = 2**28
"""Bytes of all deflated entries together, once inflated."""

WHAT = "a .effx file, as `effc compile -o` writes it"
AGAIN = "compile the model again"

_SEAL = b"effx sha256 "
_SEALED = len(_SEAL) + 64
_CHUNK = 2**20
_PART = 2**24
"""Bytes that are given to the file at once: the sum over what follows is made while they are written."""
_HEADER = 30
"""Bytes before the name of an entry, which says at 26 and 28 how long it is and what else follows."""
_NAME = re.compile(r"[a-z]+(?:_[0-9]{1,2})?\.[a-z]+|data/[0-9a-f]{64}", re.ASCII)


def write_container(path: Path, texts: Mapping[str, bytes], data: Mapping[str, Buffer]) -> None:
    """Write a container: ``texts`` by name, ``data`` by digest. Equal contents give equal bytes."""
    with writing_container(path, sorted(texts.items()), data):
        pass


@contextmanager
def writing_container(path: Path, texts: Iterable[tuple[str, bytes]], data: Mapping[str, Buffer]) -> Iterator[None]:
    """The same beside what a ``with`` does; ``texts`` are asked for, on another thread, behind ``data``.

    The file is in place at its end; an exception in it leaves none.
    """
    with atomic_file(path) as file, ThreadPoolExecutor(1) as second:
        filled = second.submit(_fill, file, path, texts, data)
        yield
        filled.result()
        require_unchanged()


def _fill(file: BinaryIO, path: Path, texts: Iterable[tuple[str, bytes]], data: Mapping[str, Buffer]) -> None:
    """Write the archive and its seal."""
    written: dict[str, str] = {}
    size = 0
    with Outflow(file) as outflow, zipfile.ZipFile(outflow, "w") as archive:
        archive.comment = _SEAL + b"0" * 64
        for digest, content in sorted(data.items()):
            _add(archive, DATA + digest, content, zipfile.ZIP_STORED)
        for name, text in texts:
            _add(archive, name, text, zipfile.ZIP_DEFLATED)
            written[name] = hashlib.sha256(text).hexdigest()
            size += len(text)
        if size > MAX_TEXT - 2**20 or len(written) + len(data) >= MAX_ENTRIES:
            expected = f"{MAX_TEXT} bytes without its weights"
            raise InputError("the model is too large for a .effx file", str(path), expected)
        manifest = {"format": "effx", "schema": SCHEMA, "sha256": dict(sorted(written.items()))}
        _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode(), zipfile.ZIP_DEFLATED)
    size = file.seek(0, 2)
    seal = _digest(file, 0, size - 64, _contents(file, archive.infolist()))
    file.seek(size - 64)
    file.write(seal.encode())


def _add(archive: zipfile.ZipFile, name: str, content: Buffer, method: int) -> None:
    """Add an entry without any trace of when and where it was written."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = method, 3, 0o644 << 16
    info.file_size = len(content) if isinstance(content, bytes) else content.nbytes
    with archive.open(info, "w") as entry:
        for start in range(0, info.file_size, _PART):
            entry.write(memoryview(content)[start : start + _PART])


class Entries(Mapping[str, bytes]):
    """Some data entries by digest, read each time that they are asked for."""

    def __init__(self, digests: Iterable[str], read: Callable[[str], bytes]) -> None:
        self._digests, self._read = dict.fromkeys(digests), read

    def __getitem__(self, digest: str) -> bytes:
        if digest not in self._digests:
            raise KeyError(digest)
        return self._read(digest)

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def __len__(self) -> int:
        return len(self._digests)


class Container:
    """An open container, whose seal, list of entries and manifest are in order; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, WHAT):
            self._file = path.open("rb")
        self._identity = identity(self._file.fileno())
        try:
            seal = self._seal()
            with self._unzipping():
                self._archive = zipfile.ZipFile(self._file)
                self._contents = _contents(self._file, self._archive.infolist())
            self._check(seal, self._contents)
            self._entries = self._list()
            self._sha256 = self._manifest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    @property
    def digests(self) -> list[str]:
        """The digests of the data entries."""
        return [name.removeprefix(DATA) for name in self._entries if name.startswith(DATA)]

    def text(self, name: str) -> bytes:
        """The contents of a text entry."""
        content = self._read(name)
        if hashlib.sha256(content).hexdigest() != self._sha256.get(name):
            raise self.damaged(f"the entry {name} is not the one that the manifest lists")
        return content

    def data(self, digest: str) -> bytes:
        """The bytes of a data entry, also once the container is closed; the file must be the same then."""
        if DATA + digest not in self._contents:
            raise self.damaged(f"the entry {DATA}{digest} is missing")
        place = self._contents[DATA + digest]
        with reading(self.path, WHAT), self.path.open("rb") as file:
            if identity(file.fileno()) != self._identity:
                raise changed(self.path)
            file.seek(place.start)
            content = file.read(len(place))
        if len(content) != len(place):
            raise self.damaged(f"the entry {DATA}{digest} is shorter than it says")
        return content

    def damaged(self, message: str) -> InputError:
        """The error for a file that is not as effc writes it."""
        return InputError(f"damaged file: {message}", str(self.path), WHAT, AGAIN)

    def _other(self, version: int) -> InputError:
        """The error for a file of another schema."""
        older = version < SCHEMA
        message = f"written by {'an older' if older else 'a newer'} effc: schema {version}"
        return InputError(message, str(self.path), f"schema {SCHEMA}", AGAIN if older else "use the effc that wrote it")

    def _seal(self) -> str:
        """The digest in the seal."""
        size = self._file.seek(0, 2)
        self._file.seek(max(0, size - _SEALED))
        seal = self._file.read()
        if not seal.startswith(_SEAL) or len(seal) != _SEALED:
            raise InputError("this is no .effx file, or its end is damaged", str(self.path), WHAT, AGAIN)
        return seal[len(_SEAL) :].decode("latin-1")

    def _check(self, seal: str, contents: Mapping[str, range]) -> None:
        """Compare the seal, and the contents of data with their names."""
        with reading(self.path, WHAT):
            end = self._file.seek(0, 2) - 64
            if _digest(self._file, 0, end, contents) != seal:
                if _digest(self._file, 0, end) == seal:  # as the seal of schema 1 was
                    raise self._other(1)
                raise self.damaged("its checksum does not fit its contents")
            for name, place in contents.items():
                if _digest(self._file, place.start, place.stop) != name.removeprefix(DATA):
                    raise self.damaged(f"the entry {name} is not what its name says")

    def _list(self) -> dict[str, zipfile.ZipInfo]:
        """The entries by name, each of a name, method and size that this format has."""
        infos = self._archive.infolist()
        if len(infos) > MAX_ENTRIES:
            raise self.damaged(f"it has {len(infos)} entries; {MAX_ENTRIES} are read at most")
        for info in infos:
            if fault := _fault(info):
                raise self.damaged(f"the entry {info.orig_filename[:80]!r} {fault}")
        entries = {info.filename: info for info in infos}
        packed = sum(info.compress_size for info in infos)
        inflated = sum(info.file_size for info in infos if info.compress_type == zipfile.ZIP_DEFLATED)
        if len(entries) < len(infos) or packed > self._file.seek(0, 2) or inflated > MAX_TEXT:
            raise self.damaged("its entries overlap or are too large")
        return entries

    def _manifest(self) -> dict[str, str]:
        try:
            manifest = json.loads(self._read(MANIFEST))
            version, table = manifest["schema"], manifest["sha256"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self.damaged("its manifest cannot be read") from None
        if isinstance(version, int) and version != SCHEMA:
            raise self._other(version)
        if version != SCHEMA or not isinstance(table, dict):
            raise self.damaged("its manifest is none of effc's")
        return {str(name): str(digest) for name, digest in table.items()}

    def _read(self, name: str) -> bytes:
        if name not in self._entries:
            raise self.damaged(f"the entry {name} is missing")
        with self._unzipping(), self._archive.open(self._entries[name]) as entry:
            content = entry.read()
        if len(content) != self._entries[name].file_size:
            raise self.damaged(f"the entry {name} is shorter than it says")
        return content

    @contextmanager
    def _unzipping(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of a dozen types: zipfile trusts its input
            raise self.damaged(f"{type(error).__name__}: {error}") from None


def _fault(info: zipfile.ZipInfo) -> str:
    """What makes an entry one that no container has; empty if nothing does."""
    method = zipfile.ZIP_STORED if info.filename.startswith(DATA) else zipfile.ZIP_DEFLATED
    if not _NAME.fullmatch(info.filename) or info.filename != info.orig_filename:
        return "has no name of this format"
    if info.flag_bits & 0x1 or info.compress_type != method:
        return "is encrypted or compressed in another way"
    if method == zipfile.ZIP_STORED and info.file_size != info.compress_size:
        return "has two sizes"
    return ""


def _contents(file: BinaryIO, infos: Iterable[zipfile.ZipInfo]) -> dict[str, range]:
    """Where the contents of the data entries lie in a file, in this order; BadZipFile if they overlap."""
    found, end = {}, 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if not info.filename.startswith(DATA):
            continue
        file.seek(info.header_offset)
        header = file.read(_HEADER)
        start = info.header_offset + _HEADER + sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        if info.header_offset < end or info.filename in found:
            raise zipfile.BadZipFile("its entries overlap")
        end = start + info.compress_size
        found[info.filename] = range(start, end)
    return found


def _digest(file: BinaryIO, start: int, end: int, without: Mapping[str, range] = MappingProxyType({})) -> str:
    """The SHA-256 of the bytes of a file from ``start`` to ``end`` but those ``without``, which are in order."""
    sha = hashlib.sha256()
    for hole in (*without.values(), range(end, end)):
        file.seek(start)
        while start < min(hole.start, end) and (chunk := file.read(min(_CHUNK, hole.start - start, end - start))):
            sha.update(chunk)
            start += len(chunk)
        start = hole.stop
    return sha.hexdigest()
