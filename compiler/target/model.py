"""A target: a chain of memory levels, outermost first, a fan-out between neighbours where there is one, then the MACs.

Quantities are exact (``Fraction``) and normalised: capacities in bits, bandwidths in bits per core cycle, energies in
the target's energy unit (``pJ``, or ``x``: multiples that the target defines), areas in um2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Literal

from effc.compiler.target.widths import WORDS, Widths
from effc.ir.counters import EPILOGUE_NAME
from effc.ir.nest import OUTPUT_NAME, READ_NAMES
from effc.ir.types import integer_bits
from effc.ir.zeros import Code

Multicast = Literal["none", "tiles", "words"]
Way = Literal["read", "write"]
WAYS: dict[bool, tuple[Way, Way]] = {True: ("read", "write"), False: ("write", "read")}
"""What a transfer does at its parent and at its child, by whether it goes inwards."""

VECTOR = "vector"
"""The name of the vector unit in reports, also as a port that the words of epilogues pass."""

OPERAND_TERMS = {"I": "ifmap", "W": "filter", "O": "psum", "B": "bias"}
"""The operand names of a nest, and what a target's description calls them."""


@dataclass(frozen=True, slots=True)
class Bank:
    """A memory of a level that one or several operands share.

    ``keeps`` are the operands that must be kept here, ``may_keep`` those that a schedule may keep here or bypass. An
    access moves a word: of the target, or of ``word_bits``.
    """

    keeps: tuple[str, ...]
    may_keep: tuple[str, ...]
    bits: int | None  # None: unbounded
    read_energy: Fraction  # per word
    write_energy: Fraction
    read_bandwidth: Fraction | None = None  # bits per core cycle; None: unlimited
    write_bandwidth: Fraction | None = None
    shared_port: bool = False  # reads and writes take turns on one port of read_bandwidth
    area: Fraction | None = None  # um2
    word_bits: int | None = None

    @property
    def operands(self) -> tuple[str, ...]:
        return self.keeps + self.may_keep


@dataclass(frozen=True, slots=True)
class MeshAxis:
    """One axis of a fan-out.

    ``unroll`` lists the dim roles that may be unrolled here (None: any). ``multicast`` says what one read of the
    parent serves: ``words``, every instance that needs the word; ``tiles``, the instances that want the identical tile;
    ``none``, one instance. ``reduce``: partial sums of neighbouring instances arrive as one word.
    """

    name: str
    size: int
    unroll: tuple[str, ...] | None = None
    multicast: Multicast = "words"
    reduce: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """A network of a fan-out, from an instance of the level above to all instances below, that operands share."""

    operands: tuple[str, ...]
    read_bandwidth: Fraction | None = None  # inwards, bits per core cycle; None: unlimited
    write_bandwidth: Fraction | None = None  # outwards
    shared_port: bool = False  # both ways take turns


@dataclass(frozen=True, slots=True)
class Port:
    """What words of an operand pass, if its bandwidth is limited: of a memory, or the network of a fan-out.

    Its ``name`` is ``LEVEL read``, ``LEVEL write`` or, where both take turns, ``LEVEL port``; of a level with several
    banks ``LEVEL OPERANDS read``; of a network ``ARRAY OPERANDS read``.
    """

    name: str
    bandwidth: Fraction  # bits per core cycle

    @classmethod
    def of(cls, end: Bank | Link, name: str, way: Way) -> Port | None:
        bandwidth = end.write_bandwidth if way == "write" and not end.shared_port else end.read_bandwidth
        return None if bandwidth is None else cls(f"{name} {'port' if end.shared_port else way}", bandwidth)


@dataclass(frozen=True, slots=True)
class FanOut:
    """The mesh of instances below a level. An operand without a link has a network of unlimited bandwidth."""

    name: str
    axes: tuple[MeshAxis, ...]
    hop_energy: Fraction = Fraction(0)  # per word delivered to, or sent by, an instance
    links: tuple[Link, ...] = ()
    place: str = field(default="", compare=False)  # file:line:col

    def link(self, operand: str) -> Link | None:
        """The network that carries ``operand``, if its bandwidth is limited."""
        return next((link for link in self.links if operand in link.operands), None)


@dataclass(frozen=True, slots=True)
class Prefetch:
    """A FIFO in a level for operands that pass it by: it takes so much of the next fill beforehand, no more."""

    operands: tuple[str, ...]
    bits: int


@dataclass(frozen=True, slots=True)
class Coding:
    """A code that a memory keeps some operands in."""

    operands: tuple[str, ...]
    code: Code


@dataclass(frozen=True, slots=True)
class Level:
    """A memory level: its banks, its habits, and the fan-out below it.

    Transfers to and from the level stop the work inside it, unless it is ``double_buffered`` or holds the operand as a
    buffet: a word that is done with makes room for the next one.
    """

    name: str
    banks: tuple[Bank, ...]
    padding: Literal["free", "stored"] = "free"
    double_buffered: bool = False  # halves the usable capacity
    sliding: bool = False
    fanout: FanOut | None = None
    buffets: tuple[str, ...] = ()  # operands
    prefetch: Prefetch | None = None
    codings: tuple[Coding, ...] = ()
    place: str = field(default="", compare=False)  # file:line:col

    def bank(self, operand: str) -> Bank | None:
        """The bank that holds ``operand``, if the level can keep it; epilogues read activations, as ``I`` is."""
        operand = "I" if operand == EPILOGUE_NAME else operand
        return next((bank for bank in self.banks if operand in bank.operands), None)

    def keeps(self, operand: str) -> bool:
        """Whether a schedule has to keep ``operand`` here."""
        return any(operand in bank.keeps for bank in self.banks)

    def overlaps(self, operand: str) -> bool:
        """Whether the work goes on while ``operand`` moves to or from here."""
        return self.double_buffered or operand in self.buffets

    def code(self, operand: str) -> Code | None:
        """The code that ``operand`` is kept in here, if there is one."""
        return next((coding.code for coding in self.codings if operand in coding.operands), None)

    def prefetched(self, operand: str) -> int:
        """The bits of the next fill of ``operand`` that wait here while it passes by."""
        return self.prefetch.bits if self.prefetch is not None and operand in self.prefetch.operands else 0


@dataclass(frozen=True, slots=True)
class Mac:
    """A MAC is gated where a word of one of the operands ``gates`` is zero: it spends nothing, and the other read
    operands are not read. If it ``skips``, it takes no cycle either.
    """

    energy: Fraction
    area: Fraction | None = None  # um2 of one MAC
    gates: tuple[str, ...] = ()
    skips: bool = False


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """A unit beside the outermost level: reads each input and writes each output of its ops once there."""

    ops: tuple[str, ...]  # ONNX operator names
    lanes: int  # results per core cycle
    energy: Fraction  # per result word

    def takes(self, op: str) -> bool:
        """Whether it runs an ONNX operator, or one of ``com.microsoft`` on integers, QLinearAdd where it has an Add."""
        return op.removeprefix("QLinear") in self.ops


@dataclass(frozen=True, slots=True)
class Numeric:
    """What MACs multiply natively, in which type they sum, and whether elements narrower than a word share one."""

    types: tuple[str, ...] = ()
    sums: str = "int32"
    packing: bool = False


@dataclass(frozen=True)
class Target:
    """An accelerator. ``levels[0]`` is the outermost level; it keeps every operand.

    ``widths`` are those of the layer at hand: a layer is scheduled on ``target.with_widths(...)``.
    """

    name: str
    word_bits: int
    clock_mhz: Fraction
    levels: tuple[Level, ...]
    mac: Mac
    vector: VectorUnit | None = None
    energy_unit: Literal["pJ", "x"] = "pJ"
    pj_per_unit: Fraction | None = None  # None: a relative unit of unknown size; 1 where the unit is pJ
    leakage: Fraction = Fraction(0)  # what flows whatever is done, the clock network included: energy units per cycle
    clocking: Fraction = Fraction(0)  # the part of ``leakage`` that is the clock network's
    technology: str = ""
    fps_target: Fraction | None = None
    numeric: Numeric = field(default_factory=Numeric)
    widths: Widths = WORDS
    source: str = field(default="", compare=False)  # the text it was read from

    def __post_init__(self) -> None:
        if self.energy_unit == "pJ" and self.pj_per_unit is None:
            object.__setattr__(self, "pj_per_unit", Fraction(1))

    @cached_property
    def index(self) -> dict[str, int]:
        """The position of every level by name."""
        return {level.name: i for i, level in enumerate(self.levels)}

    def level(self, name: str) -> Level:
        return self.levels[self.index[name]]

    @property
    def uses_zeros(self) -> bool:
        """Whether zeros save anything: MACs that are gated or skipped, or a level that keeps operands in a code."""
        return bool(self.mac.gates) or any(level.codings for level in self.levels)

    def with_widths(self, widths: Widths) -> Target:
        """The target as a layer sees it whose elements have these widths."""
        return self if widths == self.widths else replace(self, widths=widths)

    def word(self, position: int, operand: str) -> int:
        """The bits of an access to the bank of an operand at a level."""
        bank = self.levels[position].bank(operand)
        return self.word_bits if bank is None or bank.word_bits is None else bank.word_bits

    def bits(self, position: int, operand: str) -> Fraction:
        """The bits that an element of an operand takes at a level; of the output: a partial sum."""
        if operand == EPILOGUE_NAME:
            return self.widths.epilogue or Fraction(self.word(position, operand))
        return self._whole(self.widths.bits(operand), self.word(position, operand))

    def finished_bits(self) -> Fraction:
        """The bits that a finished element of the output takes at the outermost level."""
        if not self.widths.outputs:
            return self.bits(0, OUTPUT_NAME)
        return self._whole(self.widths.finished, self.word(0, OUTPUT_NAME))

    def carried_bits(self, operand: str) -> Fraction:
        """The bits that an element of an operand takes in networks; of the output: a partial sum."""
        return self._whole(self.widths.bits(operand), self.word_bits)

    def _whole(self, bits: Fraction | None, word: int) -> Fraction:
        """The bits of an element among words: its own where they are packed, else those of whole words."""
        if bits is None:
            return Fraction(word)
        packed = self.numeric.packing or self.widths.average
        return bits if packed else Fraction(ceil(bits / word) * word)

    def stored_bits(self, dtype: str) -> Fraction:
        """The bits that an element of a type takes at the outermost level, as what the vector unit reads and writes."""
        bits = integer_bits(dtype)
        return self._whole(None if bits is None else Fraction(bits), self.word(0, READ_NAMES[0]))

    def access_bits(self, position: int, operand: str, way: Way, elements: int) -> Fraction:
        """The bits of so many elements read or written at a level in a layer; of the output's, the finished ones too.

        All that is written outermost in the end is finished.
        """
        bits = elements * self.bits(position, operand)
        if position or way == "read" or operand != OUTPUT_NAME:
            return bits
        return bits - min(elements, self.widths.outputs) * (self.bits(0, operand) - self.finished_bits())

    @cached_property
    def bandwidths(self) -> tuple[Fraction, ...]:
        """Every limited bandwidth, of memories and of networks."""
        banks = [bank for level in self.levels for bank in level.banks]
        links = [link for level in self.levels if level.fanout for link in level.fanout.links]
        ends: list[Bank | Link] = [*banks, *links]
        return tuple(rate for end in ends for rate in (end.read_bandwidth, end.write_bandwidth) if rate is not None)

    def port(self, position: int, operand: str, way: Way) -> Port | None:
        """The port of an operand's memory at a level; None if there is none, or its bandwidth is unlimited."""
        level = self.levels[position]
        bank = level.bank(operand)
        if bank is None:
            return None
        return Port.of(bank, level.name if len(level.banks) == 1 else f"{level.name} {'+'.join(bank.operands)}", way)

    def network(self, position: int, operand: str, way: Way) -> Port | None:
        """The network of an operand below a level, ``read`` being inwards; None if its bandwidth is unlimited."""
        fanout = self.levels[position].fanout
        link = None if fanout is None else fanout.link(operand)
        if fanout is None or link is None:
            return None
        return Port.of(link, f"{fanout.name} {'+'.join(link.operands)}", way)

    def axes(self) -> Iterator[tuple[int, MeshAxis]]:
        """Every (level position, axis) of every fan-out, outermost first."""
        for i, level in enumerate(self.levels):
            if level.fanout is not None:
                for axis in level.fanout.axes:
                    yield i, axis

    def instances(self, position: int) -> int:
        """The number of instances of the level at ``position``; of the MACs for ``len(levels)``."""
        count = 1
        for i, axis in self.axes():
            if i < position:
                count *= axis.size
        return count
