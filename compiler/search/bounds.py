"""Lower bounds that hold for every schedule of a nest on a target."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, prod

import numpy as np
import numpy.typing as npt

from effc.compiler.target.model import Target
from effc.ir.nest import Axis, Nest, Operand

Words = npt.NDArray[np.int64]


def touched(axis: Axis, nest: Nest) -> int:
    """The distinct indices inside the axis that the nest touches."""
    step, starts, counts = _runs(axis, nest)
    order = np.lexsort((starts, starts % step))
    classes, first = (starts % step)[order], (starts // step)[order]
    total, end, last = 0, 0, -1  # runs of one class overlap, or do not
    for number, begin, count in zip(classes.tolist(), first.tolist(), counts[order].tolist()):
        end = end if number == last else begin
        total += max(0, begin + count - max(begin, end))
        end, last = max(end, begin + count), number
    return total


def points_inside(axis: Axis, nest: Nest) -> int:
    """The points of the dims of an axis whose index is no padding."""
    return int(_runs(axis, nest)[2].sum())


def _runs(axis: Axis, nest: Nest) -> tuple[int, Words, Words]:
    """The indices inside the axis, as one run along its longest dim for each point of the others: the step of all runs,
    where each starts, and how many indices it has.
    """
    terms = sorted(((nest.bounds[dim], coefficient) for coefficient, dim in axis.terms), key=lambda term: term[0])
    (bound, step), others = terms[-1] if terms else (1, 1), terms[:-1]
    starts = np.array([axis.offset], np.int64)
    for size, coefficient in others:
        starts = np.add.outer(starts, coefficient * np.arange(size)).reshape(-1)
    skipped = np.maximum(0, -(starts // step))
    counts = np.minimum(bound, (axis.size - 1 - starts) // step + 1) - skipped
    return step, (starts + skipped * step)[counts > 0], counts[counts > 0]


def used_words(operand: Operand, nest: Nest) -> int:
    """The words of an operand that the nest uses."""
    return prod(touched(axis, nest) for axis in operand.axes)


def floor_dram_words(nest: Nest, target: Target) -> int:
    """Words of the target that every schedule moves at the outermost level: each used element of each operand once."""
    return ceil(floor_dram_bits(nest, target) / target.word_bits)


def floor_dram_bits(nest: Nest, target: Target) -> Fraction:
    """The same in bits."""
    return sum((_outermost_bits(o, nest, target) * used_words(o, nest) for o in nest.operands.values()), Fraction(0))


def _outermost_bits(operand: Operand, nest: Nest, target: Target) -> Fraction:
    """The bits of an element at the outermost level; of the output: once it is finished, where that is less."""
    bits = target.bits(0, operand.name)
    return min(bits, target.finished_bits()) if operand is nest.output else bits


def mac_reads(operand: Operand, nest: Nest) -> int:
    """Operand words that the MACs need, padding left out."""
    irrelevant = prod(dim.bound for dim in nest.dims if dim.name not in operand.dims)
    return irrelevant * prod(points_inside(axis, nest) for axis in operand.axes)


def energy_floor(nest: Nest, target: Target) -> Fraction:
    """No schedule spends less: MACs, each word moved once at the outermost level, and the MACs' own accesses.

    The MACs read an operand at one of the levels that may keep it; multicast below a level serves at most as many MACs
    as there are below one of its instances. The output's updates are writes there at least.
    """
    energy = target.mac.energy * nest.macs
    lanes = target.instances(len(target.levels))
    for operand in nest.operands.values():
        outermost = target.levels[0].bank(operand.name)
        assert outermost is not None
        output, bias = operand is nest.output, operand is nest.bias
        share = _outermost_bits(operand, nest, target) / target.word(0, operand.name)
        moved = (outermost.write_energy if output else outermost.read_energy) * share * used_words(operand, nest)
        if bias:
            energy += moved
            continue
        needed = mac_reads(operand, nest)
        candidates = []
        for position, level in enumerate(target.levels):
            bank = level.bank(operand.name)
            if bank is not None:
                below = lanes // target.instances(position)
                inside = target.bits(position, operand.name) / target.word(position, operand.name)
                access = (bank.write_energy if output else bank.read_energy) * (inside if position else share)
                access *= ceil(needed / below)
                candidates.append(max(access, moved) if position == 0 else access + moved)
            if position > 0 and level.keeps(operand.name):
                candidates = candidates[-1:]
        energy += min(candidates)
    return energy + target.leakage * cycles_floor(nest, target)


def cycles_floor(nest: Nest, target: Target) -> int:
    """No schedule takes fewer cycles: every MAC busy in each, and the outermost ports with words that must move."""
    compute = ceil(Fraction(nest.macs, target.instances(len(target.levels))))
    ports: dict[str, Fraction] = {}
    for operand in nest.operands.values():
        port = target.port(0, operand.name, "write" if operand is nest.output else "read")
        if port is not None:
            busy = used_words(operand, nest) * _outermost_bits(operand, nest, target) / port.bandwidth
            ports[port.name] = ports.get(port.name, Fraction(0)) + busy
    return max([compute, *(ceil(busy) for busy in ports.values())])


def lower_bound(nest: Nest, target: Target, objective: str) -> Fraction:
    """The floor of an objective."""
    if objective == "energy":
        return energy_floor(nest, target)
    if objective == "latency":
        return Fraction(cycles_floor(nest, target))
    if objective == "edp":
        return energy_floor(nest, target) * cycles_floor(nest, target)
    return floor_dram_bits(nest, target) / target.word_bits
