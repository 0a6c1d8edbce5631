"""Lower bounds that hold for every schedule of a nest on a target."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, prod

import numpy as np

from effc.compiler.target.model import Target
from effc.ir.nest import Axis, Nest, Operand


def touched(axis: Axis, nest: Nest) -> int:
    """The distinct indices inside the axis that the nest touches."""
    return len(np.unique(_indices(axis, nest)))


def points_inside(axis: Axis, nest: Nest) -> int:
    """The points of the dims of an axis whose index is no padding."""
    return len(_indices(axis, nest))


def _indices(axis: Axis, nest: Nest) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    bounds = [nest.bounds[dim] for _, dim in axis.terms]
    index = np.full(prod(bounds), axis.offset, np.int64)
    for (coefficient, _), points in zip(axis.terms, np.indices(bounds).reshape(len(bounds), -1)):
        index += coefficient * points
    return index[(index >= 0) & (index < axis.size)]


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
