"""Finds a target: a ``.hw`` file, a bundled one, or one of another package (entry points ``effc.targets``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from effc.compiler.errors import InputError
from effc.compiler.target.model import Target

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from importlib.resources.abc import Traversable

GROUP = "effc.targets"
_MAX_BYTES = 2**20


def load_target(name_or_path: str | os.PathLike[str]) -> Target:
    """The target in a file, if a path (ending in ``.hw``) is given; else the target of that name.

    A name is looked up among the bundled targets first, then among the entry points ``effc.targets`` of the packages
    installed: each leads to a ``Target``, to a function that returns one, or to the path of a ``.hw`` file.
    """
    if not isinstance(name_or_path, str) or name_or_path.lower().endswith(".hw"):
        return load_file(Path(name_or_path))
    if name_or_path in bundled_targets():
        text = (_library() / f"{name_or_path}.hw").read_text(encoding="utf-8")
        return _parse(text, f"{name_or_path}.hw")
    plugins = _entry_points()
    if name_or_path in plugins:
        return _from_entry_point(plugins[name_or_path])
    raise _unknown(name_or_path)


def bundled_targets() -> list[str]:
    """The names of the targets that come with effc."""
    names = (entry.name for entry in _library().iterdir())
    return sorted(name.removesuffix(".hw") for name in names if name.endswith(".hw"))


def target_names() -> list[str]:
    """Every name that ``load_target`` knows: bundled targets and those of other packages."""
    return sorted({*bundled_targets(), *_entry_points()})


def load_file(path: Path) -> Target:
    """The target in a ``.hw`` file."""
    return _parse(_decode(path, _read(path)), str(path))


def _library() -> Traversable:
    from importlib.resources import files

    return files("effc.compiler.target.library")


def _parse(text: str, filename: str) -> Target:
    from effc.compiler.target.parse import parse_target

    return parse_target(text, filename)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except IsADirectoryError:
        raise InputError("this is a folder", str(path), "a file that describes a target") from None
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot be read: {reason}", str(path), "a file that describes a target") from None
    if len(data) > _MAX_BYTES:
        raise InputError("too large for a target", str(path), f"at most {_MAX_BYTES} bytes")
    return data


def _decode(path: Path, data: bytes) -> str:
    if b"\0" in data:
        raise InputError("this is a binary file", str(path), "a text that describes a target")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not a text in UTF-8: byte 0x{data[error.start]:02x}"
        raise InputError(message, f"{path}:{line}", "a text that describes a target", "save it as UTF-8") from None


def _missing(path: Path) -> InputError:
    from effc.compiler.target.suggest import did_you_mean

    siblings = [str(file) for file in path.parent.glob("*.hw")] if path.parent.is_dir() else []
    bundled = f"or name a bundled target: {', '.join(bundled_targets())}"
    return InputError(
        "no such file", str(path), "a file that describes a target", did_you_mean(str(path), siblings) or bundled
    )


def _unknown(name: str) -> InputError:
    from effc.compiler.target.suggest import did_you_mean

    names = target_names()
    expected = f"{', '.join(names)}, or the path of a file that ends in `.hw`"
    return InputError(f"unknown target '{name}'", "", expected, did_you_mean(name, names))


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _from_entry_point(point: EntryPoint) -> Target:
    try:
        found = point.load()
        found = found() if callable(found) else found
    except Exception as error:
        message = f"target '{point.name}' of {point.value} failed: {type(error).__name__}: {error}"
        raise InputError(message, "", "", "mend or remove the package that brings it") from error
    if isinstance(found, (str, os.PathLike)):
        return load_file(Path(found))
    if not isinstance(found, Target):
        expected = "a Target, a function that returns one, or the path of a `.hw` file"
        raise InputError(f"target '{point.name}' of {point.value} is a {type(found).__name__}", "", expected)
    return found
