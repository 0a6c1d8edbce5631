"""A ``Target`` as text that parses to the same target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from json import dumps
from textwrap import wrap

from effc.compiler.target.model import OPERAND_TERMS, Bank, FanOut, Level, Link, Numeric, Target, VectorUnit

_DECIMALS = 12
_WIDTH = 100
_SIZES = (("GiB", 2**33), ("MiB", 2**23), ("KiB", 2**13))


def print_target(target: Target) -> str:
    """The text of a target, in the units that ``Target`` is kept in; comments of its source are lost."""
    show = _Show(target)
    parts = [list(show.head())]
    for position, level in enumerate(target.levels):
        parts.append(_block(f"memory {level.name}", show.memory(level, outermost=position == 0)))
        if level.fanout is not None:
            parts.append(_block(_array_head(level.fanout), show.array(level.fanout)))
    parts.append(_block("mac", show.mac()))
    if target.vector is not None:
        parts.append(_block("vector", show.vector(target.vector)))
    lines = [f"target {target.name} {{", *_joined(parts), "}", ""]
    return "\n".join(lines)


def decimal(value: Fraction) -> str:
    """The exact value: a decimal number if it is short, else a fraction."""
    for digits in range(_DECIMALS + 1):
        scaled = value * 10**digits
        if scaled.denominator == 1:
            text = str(abs(scaled.numerator)).rjust(digits + 1, "0")
            sign = "-" if value < 0 else ""
            return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else sign + text
    return f"{value.numerator}/{value.denominator}"


class _Show:
    """Prints the parts of one target, each as the lines of its block."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def head(self) -> Iterator[str]:
        target = self.target
        yield f"word {target.word_bits} bit"
        yield f"clock {decimal(target.clock_mhz)} MHz"
        if target.technology:
            yield f"technology {dumps(target.technology, ensure_ascii=not target.technology.isprintable())}"
        if target.energy_unit == "x" and target.pj_per_unit is not None:
            yield f"unit 1x = {decimal(target.pj_per_unit)} pJ"
        if target.leakage > target.clocking:
            yield f"leakage {self._energy(target.leakage - target.clocking)}/cycle"
        if target.clocking:
            yield f"clock power {self._energy(target.clocking)}/cycle"
        if target.fps_target is not None:
            yield f"goal {decimal(target.fps_target)} fps"
        if target.numeric != Numeric():
            numeric = target.numeric
            packing = "yes" if numeric.packing else "no"
            yield f"numeric {{ types {', '.join(numeric.types)} -> {numeric.sums}; packing {packing} }}"

    def memory(self, level: Level, outermost: bool) -> Iterator[str]:
        shared = _same(self._access, level.banks), _same(_bandwidth, level.banks)
        if len(level.banks) == 1:
            yield from self._bank(level.banks[0], own=(True, True), all_by_default=outermost)
        else:
            first = level.banks[0]
            yield from (line for line, is_same in zip((self._access(first), _bandwidth(first)), shared) if is_same)
            for bank in level.banks:
                yield from self._listed(bank, shared)
        if not outermost or level.padding == "stored" or level.double_buffered or level.buffets or level.sliding:
            yield f"padding {level.padding}"
            yield f"buffering {_buffering(level)}"
            yield f"sliding windows {'yes' if level.sliding else 'no'}"
        if level.prefetch is not None:
            yield f"prefetch {_terms(level.prefetch.operands)} {self._size(level.prefetch.bits)}"

        for coding in level.codings:
            runs = coding.code.run_bits
            yield f"compress {_terms(coding.operands)} {'bitmask' if runs is None else f'rlc {runs} bit'}"

    def array(self, fanout: FanOut) -> Iterator[str]:
        for axis in fanout.axes:
            if axis.unroll is not None:
                yield f"unroll {', '.join(axis.unroll) or 'none'} on {axis.name}"
        modes = {axis.multicast for axis in fanout.axes}
        if len(modes) == 1:
            yield f"multicast {modes.pop()}"
        else:
            yield from (f"multicast {axis.multicast} on {axis.name}" for axis in fanout.axes)
        yield f"reduce {', '.join(axis.name for axis in fanout.axes if axis.reduce) or 'none'}"
        if fanout.hop_energy:
            yield f"hop {self._energy(fanout.hop_energy)}"
        for link in fanout.links:
            yield _bandwidth(link, f" {_terms(link.operands)}")

    def mac(self) -> Iterator[str]:
        yield f"energy {self._energy(self.target.mac.energy)}"
        yield from _area(self.target.mac.area)
        if self.target.mac.gates:
            yield f"{'skip' if self.target.mac.skips else 'gate'} on {_terms(self.target.mac.gates)}"

    def vector(self, vector: VectorUnit) -> Iterator[str]:
        yield f"lanes {vector.lanes}"
        yield f"energy {self._energy(vector.energy)}"
        first, *more = wrap(f"ops {', '.join(vector.ops)}", _WIDTH)
        yield first
        yield from (f"  {line}" for line in more)

    def _listed(self, bank: Bank, shared: tuple[bool, bool]) -> Iterator[str]:
        """One of several banks of a memory."""
        if all(shared) and not bank.may_keep and bank.area is None and bank.word_bits is None:
            yield f"{_terms(bank.keeps)} {self._size(bank.bits)}"
        else:
            own = (not shared[0], not shared[1])
            yield f"bank {{ {'; '.join(self._bank(bank, own, all_by_default=False))} }}"

    def _bank(self, bank: Bank, own: tuple[bool, bool], all_by_default: bool) -> Iterator[str]:
        if bank.word_bits is not None:
            yield f"word {bank.word_bits} bit"
        yield f"size {self._size(bank.bits, bank.word_bits)}"
        if bank.keeps and not (all_by_default and bank.keeps == tuple(OPERAND_TERMS)):
            yield f"keeps {_terms(bank.keeps)}"
        if bank.may_keep:
            yield f"may keep {_terms(bank.may_keep)}"
        if own[0]:
            yield self._access(bank)
        if own[1]:
            yield _bandwidth(bank)
        yield from _area(bank.area)

    def _access(self, bank: Bank) -> str:
        read, write = self._energy(bank.read_energy), self._energy(bank.write_energy)
        return f"energy {read}" if read == write else f"energy read {read} write {write}"

    def _energy(self, energy: Fraction) -> str:
        return f"{decimal(energy)}x" if self.target.energy_unit == "x" else f"{decimal(energy)} pJ"

    def _size(self, bits: int | None, word: int | None = None) -> str:
        if bits is None:
            return "unbounded"
        word = word or self.target.word_bits
        units = (*_SIZES, ("words" if bits > word else "word", word), ("byte", 8), ("bit", 1))
        return next(f"{bits // size} {unit}" for unit, size in units if bits % size == 0)


def _buffering(level: Level) -> str:
    if not level.buffets:
        return "double" if level.double_buffered else "single"
    some = any(operand not in level.buffets for bank in level.banks for operand in bank.operands)
    return f"buffet for {_terms(level.buffets)}" if some else "buffet"


def _bandwidth(port: Bank | Link, of: str = "") -> str:
    read, write = _rate(port.read_bandwidth), _rate(port.write_bandwidth)
    if port.shared_port or (port.read_bandwidth is None and port.write_bandwidth is None):
        return f"bandwidth{of} {read}"
    return f"bandwidth{of} read {read} write {write}"


def _rate(bandwidth: Fraction | None) -> str:
    return "unlimited" if bandwidth is None else f"{decimal(bandwidth)} bit/cycle"


def _area(area: Fraction | None) -> Iterator[str]:
    if area is not None:
        yield f"area {decimal(area)} um2"


def _terms(operands: Iterable[str]) -> str:
    return ", ".join(OPERAND_TERMS[operand] for operand in operands)


def _same(show: Callable[[Bank], str], banks: Iterable[Bank]) -> bool:
    return len({show(bank) for bank in banks}) == 1


def _array_head(fanout: FanOut) -> str:
    return f"array {fanout.name} [{', '.join(f'{axis.size} {axis.name}' for axis in fanout.axes)}]"


def _block(head: str, body: Iterable[str]) -> list[str]:
    return [f"{head} {{", *(f"  {line}" for line in body), "}"]


def _joined(parts: Iterable[list[str]]) -> Iterator[str]:
    """The lines of all parts, indented, an empty line between parts."""
    for position, part in enumerate(parts):
        if position:
            yield ""
        yield from (f"  {line}" for line in part)
