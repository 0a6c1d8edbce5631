"""The search: from a nest and a target to a schedule with a certificate.

``search`` is loaded when it is first used: who finds all answers in the cache needs none of it.
"""

from typing import TYPE_CHECKING, Any

from effc.compiler.search.result import Best as Best
from effc.compiler.search.result import Certificate as Certificate

if TYPE_CHECKING:
    from effc.compiler.search.solve import search as search


def __getattr__(name: str) -> Any:
    if name != "search":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from effc.compiler.search.solve import search

    return search
