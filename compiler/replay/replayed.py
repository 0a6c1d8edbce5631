"""A case, counted under one of two conventions, as the command prints it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.errors import InputError
from effc.compiler.replay.cases import Case
from effc.compiler.replay.machine import TENSORS
from effc.compiler.replay.timeloop import Steps, Words, timeloop_counts
from effc.compiler.target.model import Target

Convention = Literal["effc", "timeloop"]
CONVENTIONS: tuple[Convention, ...] = ("effc", "timeloop")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a case moves and costs. ``words`` by (level, operand); ``energy`` is exact, in the machine's unit."""

    name: str
    macs: int
    cycles: int
    energy: Fraction
    words: Mapping[tuple[str, str], Words]
    steps: str = ""  # under Timeloop's convention: which steps were looked at


def replay(case: Case, convention: Convention = "effc", steps: Steps = "auto") -> Replayed:
    """Count a case; an ``InputError`` if its mapping does not fit the machine."""
    try:
        if convention == "timeloop":
            found = timeloop_counts(case.nest, case.schedule, case.target, steps)
            return Replayed(case.name, found.macs, found.cycles, found.energy, found.words, found.steps)
        cost = evaluate(case.nest, case.schedule, case.target)
    except InputError as error:
        raise InputError(error.message, case.place, error.expected, error.remedy) from None
    return Replayed(case.name, cost.counters.macs, cost.cycles, cost.energy, effc_words(case.target, cost))


def effc_words(target: Target, cost: Evaluation) -> dict[tuple[str, str], Words]:
    """effc's reads and writes in three parts: of the writes, those that arrive from the parent are fills."""
    counters = cost.counters
    fills: dict[tuple[str, str], int] = {}
    for move in cost.counts.transfers:
        if move.kind in ("fill", "return") and move.child < len(target.levels):
            fills[target.levels[move.child].name, move.operand] = move.words.writes
    return {
        key: Words(counters.reads.get(key, 0), fills.get(key, 0), counters.writes.get(key, 0) - fills.get(key, 0))
        for key in sorted(counters.reads.keys() | counters.writes.keys())
    }


def to_json(cases: Iterable[Case], results: Iterable[Replayed]) -> dict[str, Any]:
    """``{"cases": {ID: {"macs", "cycles", "energy", "levels": {LEVEL: {TENSOR: {"reads", "fills", "updates"}}}}}}``."""
    return {"cases": {case.name: _case(result, case.target) for case, result in zip(cases, results)}}


def _case(result: Replayed, target: Target) -> dict[str, Any]:
    levels = {
        level.name: {
            tensor: {"reads": words.reads, "fills": words.fills, "updates": words.updates}
            for tensor, operand in TENSORS.items()
            if (words := result.words.get((level.name, operand))) is not None
        }
        for level in target.levels
    }
    found = {"macs": result.macs, "cycles": result.cycles, "energy": number(result.energy), "levels": levels}
    return found | ({"steps": result.steps} if result.steps else {})


def number(value: Fraction) -> int | float:
    """An exact number as JSON has it."""
    return int(value) if value.denominator == 1 else float(value)
