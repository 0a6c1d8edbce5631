"""The passes by name: those of this package (one a file), those that a program registers, those of entry points.

[project.entry-points."effc.passes"]
keep-weights = "my_package.passes:KeepWeights"
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

import effc.compiler.passes
from effc.compiler.errors import InputError
from effc.compiler.passes.base import Pass

GROUP = "effc.passes"
"""The entry points under which other packages offer their passes."""

P = TypeVar("P", bound=type[Pass])

_registered: dict[str, type[Pass]] = {}


def register_pass(cls: P) -> P:
    """Make a pass known by its ``name``; a decorator above ``@dataclass(frozen=True)``."""
    fault = _fault(cls)
    if fault:
        raise TypeError(f"the pass {getattr(cls, '__name__', cls)!s} {fault}")
    known = _registered.get(cls.name)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"two passes are called {cls.name!r}: {known.__qualname__} and {cls.__qualname__}")
    _registered[cls.name] = cls
    return cls


def find_pass(name: str) -> type[Pass]:
    """The pass called ``name``."""
    _load_own()
    if name not in _registered and name in _offered():
        _load(_offered()[name])
    if name not in _registered:
        raise unknown_pass(name)
    return _registered[name]


def all_passes() -> dict[str, type[Pass]]:
    """Every pass by name, in alphabetical order."""
    _load_own()
    for name, entry in _offered().items():
        if name not in _registered:
            _load(entry)
    return dict(sorted(_registered.items()))


def unknown_pass(name: str) -> InputError:
    """The error for a name that no pass has."""
    names = sorted({*_registered, *_offered()})
    close = get_close_matches(name, names, 1)
    return InputError(
        f"no pass is called '{name}'",
        expected=", ".join(names),
        remedy=f"did you mean '{close[0]}'?" if close else "`effc passes` lists them",
    )


def summary(cls: type[Pass]) -> str:
    """The first sentence of a pass's docstring."""
    text = (cls.__dict__.get("__doc__") or "").strip()
    return "" if text.startswith(cls.__name__ + "(") else " ".join(text.split("\n\n")[0].split())


def _fault(cls: object) -> str:
    """What keeps ``cls`` from being a pass; empty if nothing does."""
    if not (isinstance(cls, type) and issubclass(cls, Pass)):
        return "is not a subclass of effc.Pass"
    frozen = is_dataclass(cls) and cls.__dict__.get("__dataclass_params__")
    if not (frozen and frozen.frozen):
        return "is not a frozen dataclass: put @dataclass(frozen=True) below @register_pass"
    if "name" in {field.name for field in fields(cls)}:
        return 'has a field `name`: write `name = "..."` without a type'
    if not cls.name or not all(c.isalnum() or c in "-_." for c in cls.name):
        return f"has the name {cls.name!r}: letters, digits and - _ . make a name"
    if cls.run is Pass.run:
        return "has no method run"
    return ""


@cache
def _load_own() -> None:
    """Import every file of this package: each registers its pass."""
    for module in pkgutil.iter_modules(effc.compiler.passes.__path__):
        import_module(f"effc.compiler.passes.{module.name}")


@cache
def _offered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in _entries()}


def _entries() -> Iterator[EntryPoint]:
    yield from sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


def _load(entry: EntryPoint) -> None:
    """Load a pass of another package: a class, or a module that registers it when it is imported."""
    try:
        found = entry.load()
        if isinstance(found, type):
            register_pass(found)
    except Exception as error:  # whatever another package raises
        raise InputError(
            f"the pass '{entry.name}' cannot be loaded: {type(error).__name__}: {error}",
            place=f"entry point {entry.value}",
            remedy="repair or uninstall the package that offers it",
        ) from error
