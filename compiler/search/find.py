"""The search: the exact one where it applies, else hill climbing with a lower bound that holds for every schedule."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from operator import itemgetter

from effc.compiler.cost import OBJECTIVES, evaluate
from effc.compiler.search.bounds import floor_dram_words, lower_bound
from effc.compiler.search.climb import climb
from effc.compiler.search.clock import late, share
from effc.compiler.search.perfect import first, perfect
from effc.compiler.search.polish import Allowed, polish
from effc.compiler.search.problem import without_windows
from effc.compiler.search.proof import Proof, applies, judged, plain
from effc.compiler.search.result import Best, Certificate
from effc.compiler.search.walk import walked
from effc.compiler.search.whole import ragged, relaxed_bound, thriftier, whole
from effc.compiler.search.widen import guesses
from effc.compiler.target.model import OPERAND_TERMS, Target
from effc.ir.errors import InputError
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

Progress = Callable[[Best], None]

CLOSE = Fraction(51, 50)
"""Of the best schedule's value: local changes seldom make more of a guess that is worse."""


def search(
    nest: Nest,
    target: Target,
    objective: str = "energy",
    *,
    perfect_factors: bool = False,
    time_limit: float | None = None,
    progress: Progress | None = None,
    allowed: Allowed | None = None,
    alone: bool = True,
) -> Best:
    """The best schedule of ``nest`` on ``target``, with a certificate of how good it is.

    ``perfect_factors``: only steps that divide, and no sliding windows; the result is costed without them.
    ``time_limit`` is in seconds; ``progress`` is called with every better answer on the way. Out of time, the search
    returns the best schedule that it has. ``allowed``: what it may return of the schedules near its optimum.
    ``alone``: not one of the searches for a front, so that of the fastest schedules one of little energy is looked for,
    and bounds are worth more work. Raises InputError if no schedule is legal.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"unknown objective '{objective}'", expected=", ".join(OBJECTIVES), remedy="name one of them")
    began = time.perf_counter()
    machine = without_windows(target) if perfect_factors else target
    deadline = None if time_limit is None else began + time_limit

    def tell(schedule: Schedule | None) -> None:
        """The news of a schedule that may still be improved."""
        if progress is not None and schedule is not None and (allowed is None or allowed(schedule)):
            value = evaluate(nest, schedule, machine).value(objective)
            progress(_answer(nest, target, machine, objective, Proof(schedule, value, Fraction(0), 0), began))

    if progress is not None and time_limit is None and applies(nest, target):
        tell(first(nest, without_windows(target), objective))
    proof = None
    if applies(nest, target):
        proof = perfect(nest, without_windows(target), objective, share(deadline, 3), bound=perfect_factors)
    if proof is not None and proof.schedule is not None and not perfect_factors:
        tell(proof.schedule)
        proof = _polished(nest, target, objective, proof, deadline, allowed, alone)
    if proof is None or proof.schedule is None:
        proof = _climbed(nest, machine, objective, perfect_factors, deadline)
    if proof.schedule is None:
        raise InputError(
            f"no schedule of {nest.name} fits {target.name}",
            expected=f"room for a word of each of {', '.join(OPERAND_TERMS[o] for o in nest.operands)}",
            remedy="give the target larger memories, or let operands bypass them",
        )
    if objective == "latency" and alone and not late(deadline):
        proof = _thriftier(nest, machine, proof, perfect_factors, deadline, allowed)
    return _answer(nest, target, machine, objective, proof, began)


def _thriftier(
    nest: Nest, machine: Target, proof: Proof, perfect: bool, deadline: float | None, allowed: Allowed | None
) -> Proof:
    """A schedule as fast that takes less energy, if one is found."""
    assert proof.schedule is not None
    found = evaluate(nest, proof.schedule, machine)
    start = replace(proof, value=found.energy)
    other = thriftier(nest, machine, found.cycles, start, perfect, share(deadline, 2)).schedule
    if other is None or (allowed is not None and not allowed(other)):
        return proof
    cost = evaluate(nest, other, machine)
    if (cost.cycles, cost.energy) >= (found.cycles, found.energy):
        return proof
    return replace(proof, schedule=other, value=Fraction(cost.cycles))


def _answer(nest: Nest, target: Target, machine: Target, objective: str, proof: Proof, began: float) -> Best:
    """What a proof says, as the cost model of the machine sees it."""
    assert proof.schedule is not None
    evaluation = evaluate(nest, proof.schedule, machine)
    value = evaluation.value(objective)
    bound = max(proof.lower_bound, lower_bound(nest, target, objective))
    if value != proof.value:
        raise AssertionError(f"{nest.name}: the search says {proof.value}, the cost model {value}")
    certificate = Certificate(
        "optimal" if value == bound else "bounded",
        value,
        bound,
        floor_dram_words(nest, target),
        None,
        proof.expanded,
        time.perf_counter() - began,
    )
    return Best(nest, target, objective, proof.schedule, evaluation, certificate)


def _polished(
    nest: Nest,
    target: Target,
    objective: str,
    start: Proof,
    deadline: float | None,
    allowed: Allowed | None,
    alone: bool,
) -> Proof:
    """The best schedule found from one whose steps divide, and a bound that holds for all others, too."""
    assert start.schedule is not None
    if whole(nest, target, objective):
        return _explored(nest, target, objective, start, deadline, allowed, alone)
    schedule, value, costed = _near(nest, target, objective, start.schedule, share(deadline, 2), allowed)
    if late(deadline):
        return Proof(schedule, value, Fraction(0), start.expanded + costed)
    bound = relaxed_bound(nest, target, objective, value, deadline=deadline)
    return Proof(schedule, value, min(value, bound.lower_bound), start.expanded + costed + bound.expanded)


def _explored(
    nest: Nest,
    target: Target,
    objective: str,
    start: Proof,
    deadline: float | None,
    allowed: Allowed | None,
    alone: bool,
) -> Proof:
    """The same where the whole space can be searched."""
    assert start.schedule is not None
    tied = judged(nest, target, objective)
    improve = _near if tied else polish
    if tied or not plain(nest, target):
        schedule, value, costed = improve(nest, target, objective, start.schedule, share(deadline, 3), allowed)
        start = Proof(schedule, value, Fraction(0), start.expanded + costed)
    if start.value == lower_bound(nest, target, objective):
        return replace(start, lower_bound=start.value)
    if tied:
        start = _walked(nest, target, objective, start, share(deadline, 3), allowed)
    proof = ragged(nest, target, objective, start, share(deadline, 2), alone=alone)
    assert proof.schedule is not None
    if proof.value == proof.lower_bound:
        return proof
    if tied:
        return _walked(nest, target, objective, proof, deadline, allowed) if proof.dearer else proof
    proof = _walked(nest, target, objective, proof, share(deadline, 2), allowed)
    assert proof.schedule is not None
    schedule, value, costed = _near(nest, target, objective, proof.schedule, deadline, allowed)
    return Proof(schedule, value, min(value, proof.lower_bound), proof.expanded + costed)


def _walked(
    nest: Nest, target: Target, objective: str, start: Proof, deadline: float | None, allowed: Allowed | None
) -> Proof:
    """A better schedule that walks have found, if it is allowed."""
    if late(deadline):
        return start
    found = walked(nest, target, objective, start, deadline)
    return found if allowed is None or (found.schedule is not None and allowed(found.schedule)) else start


def _near(
    nest: Nest, target: Target, objective: str, start: Schedule, deadline: float | None, allowed: Allowed | None
) -> tuple[Schedule, Fraction, int]:
    """The best schedule near one, or near a guess; its value, and how many were costed."""
    starts = [(evaluate(nest, start, target).value(objective), start)]

    def most() -> Fraction:
        return CLOSE * min(value for value, _ in starts)

    for guess in guesses(nest, target, objective, most, share(deadline, 2)):
        if allowed is None or allowed(guess):
            starts.append((evaluate(nest, guess, target).value(objective), guess))
    (value, schedule), costed = min(starts, key=itemgetter(0)), 0
    for near in [each for at, each in starts if at <= most()]:
        other, less, more = polish(nest, target, objective, near, share(deadline, 2), allowed)
        costed += more
        if less < value:
            schedule, value = other, less
    return schedule, value, costed


def _climbed(nest: Nest, target: Target, objective: str, perfect: bool, deadline: float | None) -> Proof:
    bound = lower_bound(nest, target, objective)
    schedule, expanded = climb(nest, target, objective, perfect, deadline)
    value = bound if schedule is None else evaluate(nest, schedule, target).value(objective)
    return Proof(schedule, value, bound, expanded)
