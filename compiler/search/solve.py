"""The door of the search: what is asked, answered with a certificate that says how few words must move, too."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from functools import partial

from effc.compiler.search import constrained, find, front
from effc.compiler.search.clock import share
from effc.compiler.search.constraints import Rules, narrowed
from effc.compiler.search.find import Progress
from effc.compiler.search.floor import dram_floor
from effc.compiler.search.points import Others, all_points
from effc.compiler.search.problem import without_windows
from effc.compiler.search.result import Best
from effc.compiler.search.space import size
from effc.compiler.search.tally import tally
from effc.compiler.target.model import Target
from effc.ir.nest import Nest


def search(
    nest: Nest,
    target: Target,
    objective: str = "energy",
    *,
    perfect_factors: bool = False,
    constraints: Rules = (),
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Best:
    """The best schedule of ``nest`` on ``target``, with a certificate of how good it is.

    ``objective``: one of the cost model's, or ``pareto``: the front over energy and cycles, see ``front.py``.
    ``perfect_factors``: only steps that divide, and no sliding windows; the result is costed without them.
    ``constraints``: only schedules that satisfy them; the certificate is relative to them. ``time_limit`` is in
    seconds; ``progress`` is called with every better answer on the way. Out of time, the search returns the best
    schedule that it has. Raises InputError if no schedule is legal.
    """
    began = time.perf_counter()
    with tally() as discarded:
        best = _best(nest, target, objective, perfect_factors, constraints, time_limit, progress)
    left = None if time_limit is None else time_limit - (time.perf_counter() - began)
    floor = dram_floor(nest, target, left)
    space = best.certificate.space or size(nest, narrowed(nest, target, constraints), perfect_factors)
    certificate = replace(
        best.certificate,
        floor_dram_words=floor,
        space=space,
        discarded=dict(discarded),
        search_s=time.perf_counter() - began,
    )
    return replace(best, certificate=certificate)


def _best(
    nest: Nest,
    target: Target,
    objective: str,
    perfect_factors: bool,
    constraints: Rules,
    time_limit: float | None,
    progress: Progress | None,
) -> Best:
    alone = objective != "pareto"
    chosen = partial(constrained.search, rules=constraints) if constraints else partial(find.search, alone=alone)
    if objective == "pareto":
        machine = without_windows(target) if perfect_factors else target
        each = None if time_limit is None else time_limit / (front.SEARCHES + 4)
        solve = partial(chosen, nest, perfect_factors=perfect_factors, time_limit=each)
        deadline = None if time_limit is None else time.perf_counter() + 0.9 * time_limit

        def rest(known: list[tuple[Fraction, int]]) -> Others | None:
            return None if constraints else all_points(nest, machine, known, perfect_factors, share(deadline, 2))

        return front.search(nest, target, machine, solve, rest, progress)
    most = None if time_limit is None else 0.9 * time_limit
    return chosen(nest, target, objective, perfect_factors=perfect_factors, time_limit=most, progress=progress)
