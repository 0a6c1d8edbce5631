"""Seeded faults: every instruction of small programs removed, doubled and swapped in turn.

What becomes of a mutant is found out without the original program: it is *faulted* if the machine stops, it *failed* if
its values are not what the nest means or its counters not what the cost model predicts. One that passes both is
*equivalent*: it moves the same words and computes the same values. Such mutants only exchange neighbours that have
nothing to do with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from cases import Case, random_case, reference
from mutants import program_of

from effc.backends.accel import Machine, MachineFault, Program
from effc.backends.accel.isa import Drain, Fill, Give, Instruction, NestLayer, Open, Take
from effc.compiler.cost import count

Code = tuple[Instruction, ...]


def code_of(program: Program) -> Code:
    (layer,) = program.layers
    assert isinstance(layer, NestLayer)
    return layer.code


def with_code(program: Program, code: Code) -> Program:
    (layer,) = program.layers
    assert isinstance(layer, NestLayer)
    return replace(program, layers=(replace(layer, code=code),))


def mutants(code: Code) -> Iterator[tuple[str, int, int, Code]]:
    """(what was done, to which instructions, the code)."""
    for i, one in enumerate(code):
        yield "removed", i, i, code[:i] + code[i + 1 :]
        yield "doubled", i, i, (*code[:i], one, *code[i:])
        for j in range(i + 1, len(code)):
            swapped = list(code)
            swapped[i], swapped[j] = swapped[j], one
            if tuple(swapped) != code:
                yield "swapped", i, j, tuple(swapped)


def outcome(program: Program, case: Case) -> str:
    """What the machine and the verification, which do not know the original program, find."""
    try:
        result = Machine(case.target, np.float64).run(program, {}, case.arrays)
    except MachineFault as fault:
        assert fault.expected
        return "faulted"
    predicted = count(case.nest, case.schedule, case.target).counters
    right = np.array_equal(result.outputs[case.nest.output.name], reference(case))
    return "equivalent" if right and not predicted.difference(result.counters[case.nest.name]) else "failed"


def touched(one: Instruction) -> set[tuple[str, str]] | None:
    """The regions that an instruction touches; None for what touches all of them, or all that stands around it."""
    if isinstance(one, (Take, Give)):
        return {(one.operand, one.level)}
    if isinstance(one, (Fill, Open, Drain)):
        return {(one.operand, one.level), (one.operand, one.parent)}
    return None


def independent(one: Instruction, others: Code) -> bool:
    """Whether an instruction may as well stand before or behind all the others."""
    mine = touched(one)
    return mine is not None and all((theirs := touched(o)) is not None and not mine & theirs for o in others)


def split(seeds: range) -> Counter[tuple[str, str]]:
    """How many mutants of what kind ended how."""
    found: Counter[tuple[str, str]] = Counter()
    for seed in seeds:
        case = random_case(Random(seed), macs=60, instances=6)
        program = program_of(case)
        code = code_of(program)
        assert outcome(program, case) == "equivalent"
        for what, i, j, mutant in mutants(code):
            end = outcome(with_code(program, mutant), case)
            found[what, end] += 1
            if end == "equivalent":
                assert what == "swapped", f"seed {seed}: {code[i]} {what}"
                assert independent(code[i], code[i + 1 : j + 1]), f"seed {seed}: {code[i]} and {code[j]}"
                assert independent(code[j], code[i:j]), f"seed {seed}: {code[i]} and {code[j]}"
    print(dict(found))
    return found


def test_every_mutant_faults_fails_or_is_equivalent() -> None:
    found = split(range(4))
    assert found["removed", "faulted"] > 30 and found["doubled", "faulted"] > 30
    assert found["swapped", "faulted"] > found["swapped", "equivalent"] > 0


@pytest.mark.validate
@pytest.mark.parametrize("part", range(4))
def test_every_mutant_of_many_programs(part: int) -> None:
    assert split(range(10 + 20 * part, 30 + 20 * part)).total() > 5000
