"""The search's kernel: compiled, or else its sources, translated into Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from effc.compiler.errors import KernelWarning
from effc.compiler.search.tally import RULES, discard
from effc.ir.errors import InputError

try:
    from effc.compiler.search._kernel import DIGEST, solve
except ImportError:  # built without a compiler
    COMPILED = False
else:
    COMPILED = True
"""Else the kernel is its sources, translated into Python: the same answers, more slowly."""

SLOW = (
    "the search's kernel was not compiled: searches find the same, but take some hundred times as long; "
    "install a C compiler, and effc again"
)

Solution = tuple[bool, float, float, int, list[int], list[tuple[int, int, int, int]], dict[str, int]]
"""What the kernel returns: see `_kernel.pyi`."""

Asked = Callable[[int, list[int], list[tuple[int, int, int, int]], float, float], float]
"""What the kernel asks about a schedule that it has found: see ``judge.py``."""


def kernel(problem: bytes, most: float, budget: int, deadline: float, judge: Asked | None = None) -> Solution:
    """The kernel's answer; what it discarded is counted."""
    found = (solve if COMPILED else translated())(problem, most, budget, deadline, judge)
    discard({rule: found[-1][rule] for rule in RULES})
    return found


@cache
def translated() -> Callable[[bytes, float, int, float, Asked | None], Solution]:
    """What the compiled kernel's `solve` is, in Python."""
    from effc.compiler.search.translated.kernel import kernel

    warn_if_slow()
    return kernel().solve


def warn_if_slow() -> None:
    if not COMPILED:
        warnings.warn(SLOW, KernelWarning, stacklevel=2)


@cache
def current() -> bool:
    """Whether the kernel was built from the sources beside it, if they are there (`setup.py` has the same digest)."""
    here = Path(__file__).parent
    sources = [here / "_kernel.c", *sorted((here / "kernel").glob("*.h"))]
    return not all(path.exists() for path in sources) or digest_of(sources) == DIGEST


def digest_of(sources: Iterable[Path]) -> str:
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


class StaleKernelError(InputError):
    """The kernel is not that of the sources: no nest can be searched."""


def verify_current() -> None:
    """Raises StaleKernelError if the compiled kernel is of other sources than those beside it."""
    if COMPILED and not current():
        raise StaleKernelError(
            "the search's kernel was built from other sources than those beside it",
            expected="a kernel and sources of one version",
            remedy="build it again: pip install -e .",
        )
