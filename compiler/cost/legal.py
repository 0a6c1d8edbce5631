"""What a schedule may do on a target: every rule with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from effc.compiler.target.model import OPERAND_TERMS, Level, Target
from effc.ir.nest import Nest
from effc.ir.schedule import Keep, Par, Schedule, trips


def placement_problems(nest: Nest, schedule: Schedule, target: Target) -> list[str]:
    """Where operands are kept: levels known, able to hold them, in order, and none left out that must be kept."""
    problems = []
    seen: dict[str, int] = {}
    for item in schedule.items:
        if not isinstance(item, Keep):
            continue
        text = f"keep {item.operand} @ {item.level}"
        if item.level not in target.index:
            problems.append(f"{text}: {target.name} has no level {item.level}; it has {', '.join(target.index)}")
            continue
        position = target.index[item.level]
        if position == 0:
            problems.append(f"{text}: the outermost level keeps every operand from the start; leave the mark out")
        elif target.level(item.level).bank(item.operand) is None:
            problems.append(f"{text}: {item.level} cannot hold {OPERAND_TERMS.get(item.operand, item.operand)}")
        elif seen.get(item.operand, 0) >= position:
            problems.append(
                f"{text}: stands inside the mark of a level further in; marks go from outer to inner levels"
            )
        seen[item.operand] = max(seen.get(item.operand, 0), position)
    return problems + [
        f"{level.name} has to keep {OPERAND_TERMS[operand]}: add `keep {operand} @ {level.name}`"
        for level in target.levels[1:]
        for operand in nest.operands
        if level.keeps(operand) and level.name not in [name for _, name in schedule.keeps(operand)]
    ]


def mesh_problems(nest: Nest, schedule: Schedule, target: Target) -> list[str]:
    """What is unrolled where: axes known, dims allowed, reductions possible, instances enough."""
    problems = []
    used: dict[tuple[str, str], int] = {}
    axes = {(level.name, axis.name): axis for level in target.levels if level.fanout for axis in level.fanout.axes}
    for _, loop, extent in schedule.loops(nest):
        if not isinstance(loop, Par):
            continue
        place, text = (loop.level, loop.axis), f"par {loop.dim} @ {loop.level}.{loop.axis}"
        if place not in axes:
            known = ", ".join(f"{level}.{axis}" for level, axis in axes) or "none"
            problems.append(f"{text}: {target.name} has no such axis; it has {known}")
            continue
        axis = axes[place]
        if axis.unroll is not None and nest.roles[loop.dim] not in axis.unroll:
            problems.append(f"{text}: only {', '.join(axis.unroll)} may be unrolled there")
        if loop.dim in nest.reduction_dims and not axis.reduce:
            problems.append(f"{text}: {loop.dim} is a reduction dim and the axis does not reduce partial sums")
        used[place] = used.get(place, 1) * trips(extent, loop.step)
    return problems + [
        f"{level}.{axis}: {count} instances are needed, there are {axes[level, axis].size}"
        for (level, axis), count in used.items()
        if count > axes[level, axis].size
    ]


def usable_bits(level: Level, bits: int) -> int:
    """The capacity that tiles may fill: half of it where the level is double buffered."""
    return bits // 2 if level.double_buffered else bits


def capacity_problems(target: Target, tiles: Mapping[tuple[str, str], int]) -> list[str]:
    """Banks whose tiles do not fit; ``tiles`` are the words of the largest one by level and operand."""
    problems = []
    for position, level in enumerate(target.levels[1:], 1):
        for bank in level.banks:
            words = {operand: tiles.get((level.name, operand), 0) for operand in bank.operands}
            bits = sum(count * target.bits(position, operand) for operand, count in words.items())
            if bank.bits is not None and bits > usable_bits(level, bank.bits):
                held = ", ".join(f"{operand} {count}" for operand, count in words.items() if count)
                word = target.word(position, bank.operands[0])
                need, fit = bits / word, usable_bits(level, bank.bits) // word
                problems.append(f"{level.name}: tiles of {held} words need {float(need):g} words, {fit} fit")
    return problems
