"""Whether a schedule is one of Timeloop's mappings, and whether its tiles fit as Timeloop sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from effc.compiler.cost.legal import mesh_problems, placement_problems, usable_bits
from effc.compiler.errors import InputError
from effc.compiler.target.model import Target
from effc.ir.nest import Nest
from effc.ir.schedule import Keep, Par, Schedule
from effc.ir.verify import VerifyError, verify_schedule

_EXPECTED = "a mapping that Timeloop could be given"


def check_mapping(nest: Nest, schedule: Schedule, target: Target) -> None:
    """Raise an ``InputError`` unless the schedule is well formed, legal, and of a form that Timeloop has."""
    try:
        verify_schedule(nest, schedule)
    except VerifyError as error:
        raise InputError(error.message, error.where, error.expected, error.remedy) from None
    for problem in placement_problems(nest, schedule, target) + mesh_problems(nest, schedule, target):
        raise InputError(problem, nest.name, f"a schedule that is legal on {target.name}", "change the item named")
    for problem, remedy in (*_nest_problems(nest), *_loop_problems(nest, schedule), *_par_problems(schedule, target)):
        raise InputError(problem, nest.name, _EXPECTED, remedy)


def check_fits(target: Target, tiles: Mapping[tuple[int, str], int]) -> None:
    """Raise an ``InputError`` for a bank that is too small for its tiles: words by (position of the level, operand)."""
    for position, level in enumerate(target.levels[1:], 1):
        for bank in level.banks:
            held = {operand: tiles[position, operand] for operand in bank.operands if (position, operand) in tiles}
            if bank.bits is not None and sum(held.values()) * target.word_bits > usable_bits(level, bank.bits):
                fit = usable_bits(level, bank.bits) // target.word_bits
                boxes = " + ".join(f"{words} of {operand}" for operand, words in held.items())
                message = f"{level.name}: tiles of {boxes} words do not fit"
                remedy = "keep less there, or make its loops smaller; a tile counts with the holes that a stride leaves"
                raise InputError(message, "", f"at most {fit} words", remedy)


def _nest_problems(nest: Nest) -> Iterator[tuple[str, str]]:
    if nest.bias is not None:
        yield "the nest has a bias", "leave it out; Timeloop counts no bias"
    for operand in nest.reads:
        for axis in operand.axes:
            last = axis.offset + sum(c * (nest.bounds[dim] - 1) for c, dim in axis.terms)
            if axis.offset < 0 or last >= axis.size:
                yield f"{operand.name} is padded", "leave the padding out: give an input that is as large as it is read"


def _loop_problems(nest: Nest, schedule: Schedule) -> Iterator[tuple[str, str]]:
    for _, loop, extent in schedule.loops(nest):
        if extent % loop.step:
            found = f"a loop over {loop.dim} steps by {loop.step} in 0..{extent}: its last tile is smaller"
            yield found, f"choose a step that divides {extent}"


def _par_problems(schedule: Schedule, target: Target) -> Iterator[tuple[str, str]]:
    """Pars that do not stand between the marks of the levels above and below their fan-out."""
    for position, par in enumerate(schedule.items):
        if not isinstance(par, Par):
            continue
        for other, keep in enumerate(schedule.items):
            if isinstance(keep, Keep) and (other > position) != (target.index[keep.level] > target.index[par.level]):
                inside = "inside" if other > position else "outside"
                found = f"par {par.dim} @ {par.level}.{par.axis} does not stand {inside} `{_text(keep)}`"
                yield found, "put the pars of a fan-out between the marks of the levels above and below it"


def _text(keep: Keep) -> str:
    return f"keep {keep.operand} @ {keep.level}"
