"""A memory of a description to a ``Level``: its banks, and what the outermost memory must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, cast

from effc.compiler.target.estimators import Part
from effc.compiler.target.model import OPERAND_TERMS, Bank, Coding, Level, Prefetch
from effc.compiler.target.statements import need, statements, word
from effc.compiler.target.syntax import Node
from effc.compiler.target.units import FIXED
from effc.compiler.target.values import Values, whole
from effc.ir.zeros import PACK_BITS, Code

_OPERANDS = {term: name for name, term in OPERAND_TERMS.items()}


@dataclass(frozen=True, slots=True)
class _Store:
    """A bank as it is written: the statements of its own, and those that the memory makes for all its banks."""

    title: str
    at: Node
    capacity: Node
    keeps: Sequence[Node]  # operands
    may_keep: Sequence[Node]
    found: Mapping[str, Node]


def read_memory(values: Values, memory: Node, outermost: bool) -> Level:
    """The level that a memory describes, without the fan-out below it."""
    title = f"memory '{memory.name.text}'"
    found = statements(values.source, memory, title, memory.name)
    stores = _stores(values, memory, title, found, outermost)
    operands = [operand.name for store in stores for operand in (*store.keeps, *store.may_keep)]
    values.distinct(operands, f"in {title}, operand")
    if outermost:
        _check_outermost(values, memory, stores)
    habit = {rule: found[rule].words[-1] for rule in ("padding", "sliding") if rule in found}
    buffering = found.get("buffering")
    return Level(
        name=memory.name.text,
        banks=tuple(_bank(values, store) for store in stores),
        padding=cast(Literal["free", "stored"], habit.get("padding", "free")),
        double_buffered=buffering is not None and buffering.words[1] == "double",
        buffets=_buffets(values, buffering, operands, title) if buffering is not None else (),
        sliding=habit.get("sliding") == "yes",
        prefetch=_prefetch(values, found["prefetch"], stores, title) if "prefetch" in found else None,
        codings=_codings(values, memory, operands, title),
        place=values.source.place(memory.name),
    )


def _buffets(values: Values, buffering: Node, kept: Sequence[Node], title: str) -> tuple[str, ...]:
    """The operands that the memory holds as buffets: all of them, or those listed."""
    if buffering.words[1] != "buffet":
        return ()
    listed = [operand.name for operand in buffering.all("operand")]
    _check_kept(values, listed, kept, title)
    terms = values.distinct(listed, "operand") or [node.text for node in kept]
    return tuple(name for name, term in OPERAND_TERMS.items() if term in terms)


def _codings(values: Values, memory: Node, kept: Sequence[Node], title: str) -> tuple[Coding, ...]:
    """The codes of a memory; an operand is kept in one of them at most."""
    codings = memory.all("coding")
    listed = [operand.name for coding in codings for operand in coding.all("operand")]
    values.distinct(listed, f"in {title}, operand")
    _check_kept(values, listed, kept, title)
    found = []
    for coding in codings:
        terms, code = [operand.name.text for operand in coding.all("operand")], coding.children[-1]
        bits = values.bits(code.children[0]) if code.rule == "rlc" else None
        if bits is not None and bits > PACK_BITS - 1:
            raise values.source.error(
                code.children[0], "runs of too many bits", f"less than {PACK_BITS}", "write `rlc 5 bit`"
            )
        found.append(Coding(tuple(name for name, term in OPERAND_TERMS.items() if term in terms), Code(bits)))
    return tuple(found)


def _check_kept(values: Values, listed: Sequence[Node], kept: Sequence[Node], title: str) -> None:
    for operand in listed:
        if operand.text not in [node.text for node in kept]:
            message = f"{title} does not keep '{operand.text}'"
            raise values.source.error(operand, message, "operands that it keeps", "keep it here, or leave it out")


def _prefetch(values: Values, prefetch: Node, stores: Sequence[_Store], title: str) -> Prefetch:
    *operands, capacity = prefetch.children
    kept = [operand.name.text for store in stores for operand in store.keeps]
    for operand in operands:
        if operand.name.text in kept:
            message = f"{title} always keeps '{operand.name.text}'"
            remedy = "say `buffering double` or `buffering buffet`, and prefetch operands that pass the memory by"
            raise values.source.error(operand.name, message, "operands that may pass it by", remedy)
    if capacity.rule == "unbounded":
        raise values.source.error(capacity, "an unbounded prefetch", "a size", "write for example `8 KiB`")
    terms = values.distinct([node.name for node in operands], "operand")
    return Prefetch(tuple(_OPERANDS[term] for term in terms), values.bits(capacity))


def _stores(values: Values, memory: Node, title: str, found: Mapping[str, Node], outermost: bool) -> list[_Store]:
    """The banks that a memory lists; if it lists none, the memory itself is its only bank."""
    parts = memory.all("bank", "holder")
    if not parts:
        return [_store(values, title, memory.name, found, all_by_default=outermost)]
    for rule in ("size", "keeps", "may_keep", "area"):
        if rule in found and not found[rule].all("estimated"):
            message = f"'{word(rule)}' in a memory that lists banks"
            remedy = f"give each bank its own: `bank {{ size 12 words; keeps ifmap; {word(rule)} ... }}`"
            if rule == "size":
                remedy = "leave it out: the size of the memory is that of its banks"
            raise values.source.error(found[rule], message, f"'{word(rule)}' in the banks", remedy)
    common = {rule: found[rule] for rule in ("word", "energy", "bandwidth", "area") if rule in found}
    return [_part(values, part, f"a bank of {title}", common) for part in parts]


def _part(values: Values, part: Node, title: str, common: dict[str, Node]) -> _Store:
    if part.rule == "bank":
        at = replace(part, length=len("bank"))
        own = statements(values.source, part, title, at)
        return _store(values, title, at, common | own, all_by_default=False)
    *operands, capacity = part.children
    return _Store(title, part, capacity, operands, (), common)


def _store(values: Values, title: str, at: Node, found: Mapping[str, Node], all_by_default: bool) -> _Store:
    size = need(values.source, found, "size", title, at)
    keeps, may_keep = (found[rule].children if rule in found else () for rule in ("keeps", "may_keep"))
    if not keeps and not may_keep:
        if not all_by_default:
            need(values.source, found, "keeps", title, at)
        keeps = tuple(replace(at, rule="operand", children=(replace(at, text=term),)) for term in _OPERANDS)
    return _Store(title, at, size.children[0], keeps, may_keep, found)


def _check_outermost(values: Values, memory: Node, stores: Iterable[_Store]) -> None:
    for store in stores:
        if store.capacity.rule != "unbounded":
            message = "the outermost memory must be unbounded"
            raise values.source.error(store.capacity, message, "unbounded", "write `size unbounded`")
    kept = {operand.name.text for store in stores for operand in store.keeps}
    missing = [term for term in _OPERANDS if term not in kept]
    if missing:
        message = f"the outermost memory must keep {', '.join(missing)} too"
        remedy = "leave `keeps` and `may keep` out: the outermost memory then keeps every operand"
        raise values.source.error(memory.name, message, f"`keeps {', '.join(_OPERANDS)}`", remedy)


def _bank(values: Values, store: _Store) -> Bank:
    own = store.found.get("word")
    if own is not None:
        values = values.with_word(whole(values.source, own.children[0], "word", FIXED["word"]))
    energy = need(values.source, store.found, "energy", store.title, store.at).children
    bandwidth = need(values.source, store.found, "bandwidth", store.title, store.at).children
    area = store.found.get("area")
    read, write, shared = values.rates(bandwidth)
    bits = _bits(values, store.capacity)
    ports = 2 if len(bandwidth) == 2 and (read, write) != (None, None) else 1
    width = values.units.word_bits
    part = Part("dram", width) if bits is None else Part("memory", width, size=bits, ports=ports)
    return Bank(
        keeps=tuple(_OPERANDS[operand.name.text] for operand in store.keeps),
        may_keep=tuple(_OPERANDS[operand.name.text] for operand in store.may_keep),
        bits=bits,
        read_energy=values.given(energy[0], "access energy", part, "read"),
        write_energy=values.given(energy[-1], "access energy", part, "write"),
        read_bandwidth=read,
        write_bandwidth=write,
        shared_port=shared,
        area=_area(values, area.children[0], part) if area else None,
        word_bits=None if own is None else values.units.word_bits,
    )


def _area(values: Values, area: Node, part: Part) -> Fraction:
    if part.kind == "dram" and area.rule == "estimated":
        message = "the area of an unbounded memory cannot be estimated"
        raise values.source.error(area, message, "an area", "leave it out")
    return values.given(area, "area", part)


def _bits(values: Values, capacity: Node) -> int | None:
    if capacity.rule == "unbounded":
        return None
    bits, word_bits = values.bits(capacity), values.units.word_bits
    if bits < word_bits:
        message, remedy = f"smaller than one word of {word_bits} bit", "write for example `12 words`"
        raise values.source.error(capacity, message, "at least one word", remedy)
    return bits
