"""The user's error: the door to ``effc.ir.errors`` for the compiler, its front end and its commands."""

from effc.ir.errors import InputError as InputError
from effc.ir.errors import Span as Span
from effc.ir.errors import excerpt as excerpt
from effc.ir.errors import source_error as source_error


class CacheWarning(UserWarning):
    """The cache of solved nests cannot be used; everything works without it, but nothing is remembered."""


class KernelWarning(UserWarning):
    """The search's kernel was not compiled; searches find the same, but more slowly."""


__all__ = ["CacheWarning", "InputError", "KernelWarning", "Span", "excerpt", "source_error"]
