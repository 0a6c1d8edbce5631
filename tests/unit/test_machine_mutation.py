"""Mutants of small programs: a move dropped, done twice or misdirected changes counters or values, or faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from cases import Case, random_case

from effc.backends.accel.emit import emit
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import Drain, Fill, Instruction, Move, NestLayer, Open, Program
from effc.backends.accel.machine import Machine, graph_of
from effc.ir.counters import Counters

CASES = range(16)


def layer_of(program: Program) -> NestLayer:
    (layer,) = program.layers
    assert isinstance(layer, NestLayer)
    return layer


def moves(layer: NestLayer) -> list[tuple[int, Move]]:
    return [(pc, i) for pc, i in enumerate(layer.code) if isinstance(i, (Fill, Open, Drain))]


def mutants(layer: NestLayer, levels: list[str], counters: Counters) -> Iterator[tuple[str, tuple[Instruction, ...]]]:
    """(what was done, code) of every mutant of a move that moves words: a fill of nothing but padding does not."""
    operands = [operand.name for operand in layer.operands]
    for pc, move in moves(layer):
        if not counters.writes.get((move.level, move.operand)):
            continue
        before, after = layer.code[:pc], layer.code[pc + 1 :]
        yield f"{pc} dropped", before + after
        yield f"{pc} twice", (*before, move, move, *after)
        redirected = [replace(move, operand=name) for name in operands if name != move.operand]
        redirected += [replace(move, level=name) for name in levels if name != move.level]
        redirected += [replace(move, parent=name) for name in levels if name != move.parent]
        for other in redirected:
            yield f"{pc} became {other}", (*before, other, *after)


def run(program: Program, case: Case) -> tuple[Any, Counters]:
    result = Machine(case.target).run(program, {}, case.arrays)
    return result.outputs[case.nest.output.name], result.counters[case.nest.name]


@pytest.mark.parametrize("seed", CASES)
def test_every_mutant_is_caught(seed: int) -> None:
    case = random_case(Random(seed), macs=200)
    program = emit(graph_of(case.nest, case.schedule, case.arrays), case.target)
    layer = layer_of(program)
    output, counters = run(program, case)
    levels = [level.name for level in case.target.levels]
    for what, code in mutants(layer, levels, counters):
        try:
            found, counted = run(replace(program, layers=(replace(layer, code=code),)), case)
        except MachineFault as fault:
            assert fault.layer or fault.level, what
            continue
        assert counted.difference(counters) or not np.array_equal(found, output), what


def test_a_missing_fill_is_a_fault() -> None:
    """Whoever takes a tile that no instruction moves waits for ever."""
    case = next(c for c in (random_case(Random(seed), macs=200) for seed in range(99)) if fills(c))
    program = emit(graph_of(case.nest, case.schedule, case.arrays), case.target)
    layer = layer_of(program)
    for pc, _ in fills(case):
        mutant = replace(layer, code=layer.code[:pc] + layer.code[pc + 1 :])
        for exact in (False, True):
            with pytest.raises(MachineFault, match="deadlock") as caught:
                Machine(case.target, exact=exact).run(replace(program, layers=(mutant,)), {}, case.arrays)
            fault = caught.value
            assert fault.layer == layer.name
            assert fault.level in case.target.index
            assert fault.instruction
            assert fault.expected


def fills(case: Case) -> list[tuple[int, Fill]]:
    """The fills of a program that moves every read operand through two levels."""
    layer = layer_of(emit(graph_of(case.nest, case.schedule, case.arrays), case.target))
    found = [(pc, i) for pc, i in moves(layer) if isinstance(i, Fill)]
    return found if len(found) >= 4 else []
