"""How many schedules the space holds.

Marks stand in any order that has those of one operand from outer to inner levels, and a fan-out anywhere among them:
``(marks + fan-outs)! / product over operands of (its marks)!`` orders. Each leaves one slot for loops in time before,
between and after its items, and one per axis. The chain of steps of a dim of bound B over n slots, strictly smaller
from one loop to the next and 1 at the end, can be chosen in ``sum over j of C(n, j) C(B-2, j-1) = C(n+B-2, B-1)`` ways:
j slots have a loop, and all steps but the last are any of B-2. If each step has to divide the one before, n factors
make up B: ``C(n+e-1, e)`` ways for each prime of B with exponent e.

Two schedules that differ in the order of loops within one slot count as one. What does not fit the memories counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import comb, factorial, prod

from effc.compiler.target.model import Target
from effc.ir.nest import Nest


def size(nest: Nest, target: Target, perfect_factors: bool = False) -> int:
    """The schedules of ``nest`` on ``target``, up to the order of loops within a slot; see the head of this file."""
    fanouts = sum(level.fanout is not None for level in target.levels)
    total = 0
    for marks in _marks(nest, target):
        items = sum(marks) + fanouts
        orders = factorial(items) // prod(map(factorial, marks))
        slots = {dim: items + 1 + _axes(nest, target, dim) for dim in nest.bounds}
        chains = factors if perfect_factors else steps
        total += orders * prod(chains(nest.bounds[dim], n) for dim, n in slots.items())
    return total


def steps(bound: int, slots: int) -> int:
    """The chains of steps of a dim over so many slots."""
    return comb(slots + bound - 2, bound - 1)


def factors(bound: int, slots: int) -> int:
    """The same where each step divides the one before."""
    return prod(comb(slots + exponent - 1, exponent) for exponent in _exponents(bound))


def _exponents(number: int) -> Iterator[int]:
    """The exponents of the primes of a number."""
    prime = 2
    while number > 1:
        exponent = 0
        while number % prime == 0:
            number, exponent = number // prime, exponent + 1
        if exponent:
            yield exponent
        prime = prime + 1 if prime * prime <= number else max(number, prime + 1)


def _marks(nest: Nest, target: Target) -> Iterator[tuple[int, ...]]:
    """For every choice of kept levels, how many marks each operand has."""
    choices = []
    for operand in nest.operands:
        able = [level for level in target.levels[1:] if level.bank(operand) is not None]
        must = sum(level.keeps(operand) for level in able)
        may = len(able) - must
        choices.append([must + extra for extra in range(may + 1) for _ in range(comb(may, extra))])
    yield from product(*choices)


def _axes(nest: Nest, target: Target, dim: str) -> int:
    """The axes on which a dim may be unrolled."""
    return sum(
        (axis.unroll is None or nest.roles[dim] in axis.unroll) and (axis.reduce or dim not in nest.reduction_dims)
        for _, axis in target.axes()
    )
