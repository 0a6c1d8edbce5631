"""What the zeros of a run save, in a report: from the tensors that the machine saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

from effc.compiler.report import text
from effc.compiler.report.columns import Column, Table
from effc.compiler.report.model import CodedInfo, Layer, Number, Report, ZeroInfo
from effc.compiler.target.model import OPERAND_TERMS
from effc.ir.bodies import every_op
from effc.ir.graph import NestOp

if TYPE_CHECKING:
    from effc.compiler.cost.evaluate import Evaluation
    from effc.compiler.target.model import Target
    from effc.ir.graph import Graph
    from effc.ir.nest import Nest
    from effc.ir.zeros import Coded, ZeroCounts


def with_zeros(
    report: Report, graph: Graph, target: Target, found: Mapping[str, ZeroCounts], runs: Mapping[str, int]
) -> Report:
    """The report with what a run found of zeros, by the names of layers, which ran so often; the rest of it stays."""
    ops = {op.name: (op, scope.graph) for op, scope in every_op(graph) if isinstance(op, NestOp) and op.name in found}
    layers = []
    for layer in report.layers:
        if layer.name in ops:
            zeros = zero_info(*ops[layer.name], target, found[layer.name], runs[layer.name], layer.runs or 1)
            layer = replace(layer, zeros=zeros)
        layers.append(layer)
    return replace(report, layers=tuple(layers), totals=replace(report.totals, zeros=total_zeros(tuple(layers))))


def zero_info(op: NestOp, graph: Graph, target: Target, found: ZeroCounts, runs: int, shown: int) -> ZeroInfo:
    """The zeros that were found in ``runs`` of a layer, and what it costs with them: so much as ``shown`` have."""
    from effc.compiler.cost.epilogue import evaluate_op, op_target
    from effc.compiler.report.build import exact, number
    from effc.ir.zeros import measured

    cost = evaluate_op(op, graph, target, measured(found, op.nest.macs * runs, target.mac.gates))
    mean = _info(op_target(op, graph, target), cost, found.stored)

    def part(count: int) -> int:
        return round(Fraction(count * shown, runs))

    reads = {level: dict.fromkeys(words, part(found.gated)) for level, words in mean.gated_reads.items()}
    coded = {
        level: {
            name: CodedInfo(
                part(one.words),
                part(one.nonzero),
                part(one.bits),
                part(one.metadata_bits),
                one.read_bits * shown,
                one.written_bits * shown,
            )
            for name, one in words.items()
        }
        for level, words in mean.coded.items()
    }
    pj = None if mean.energy_pj is None else number(exact(mean.energy_pj) * shown)
    return ZeroInfo(part(found.gated), reads, coded, number(exact(mean.energy) * shown), pj)


def expected_zeros(nest: Nest, target: Target, cost: Evaluation, densities: Mapping[str, Fraction]) -> ZeroInfo:
    """The same for a cost that was estimated from densities."""
    stored = {}
    for position, level in enumerate(target.levels):
        for name, density in densities.items():
            if (code := level.code(name)) is not None:
                bits = ceil(target.bits(position, name))
                stored[level.name, name] = code.estimate(nest.operands[name].words, density, bits)
    return _info(target, cost, stored)


def _info(target: Target, cost: Evaluation, stored: Mapping[tuple[str, str], Coded]) -> ZeroInfo:
    from effc.compiler.cost.energy import to_pj
    from effc.compiler.report.build import number

    pj = to_pj(target, cost.energy)
    reads: dict[str, dict[str, int]] = {}
    for (level, operand), words in cost.savings.reads.items():
        reads.setdefault(level, {})[operand] = words
    tensors: dict[str, dict[str, CodedInfo]] = {}
    for (level, operand), coded in stored.items():
        moved = cost.savings.coded[level, operand]
        sizes = coded.words, coded.nonzero, coded.bits, coded.metadata
        tensors.setdefault(level, {})[operand] = CodedInfo(*sizes, *moved)
    energies = number(cost.energy), None if pj is None else number(pj)
    return ZeroInfo(cost.savings.gated, reads, tensors, *energies)


def total_zeros(layers: tuple[Layer, ...]) -> ZeroInfo | None:
    """All layers together; of those in which nothing was looked for, the energy."""
    infos = [layer.zeros for layer in layers if layer.zeros is not None]
    if not infos:
        return None
    reads: dict[str, dict[str, int]] = {}
    coded: dict[str, dict[str, CodedInfo]] = {}
    for info in infos:
        for level, operands in info.gated_reads.items():
            for operand, words in operands.items():
                table = reads.setdefault(level, {})
                table[operand] = table.get(operand, 0) + words
        for level, tensors in info.coded.items():
            for operand, one in tensors.items():
                row = coded.setdefault(level, {})
                row[operand] = _sum(row[operand], one) if operand in row else one
    energy = _summed([layer.energy if layer.zeros is None else layer.zeros.energy for layer in layers])
    pj = [layer.energy_pj if layer.zeros is None else layer.zeros.energy_pj for layer in layers if layer.energy]
    return ZeroInfo(sum(info.gated_macs for info in infos), reads, coded, energy, None if None in pj else _summed(pj))


def _sum(a: CodedInfo, b: CodedInfo) -> CodedInfo:
    names = CodedInfo.__dataclass_fields__
    return CodedInfo(**{name: getattr(a, name) + getattr(b, name) for name in names})


def _summed(energies: list[Number | None]) -> Number:
    from effc.compiler.report.build import number

    return number(sum((Fraction(energy or 0) for energy in energies), Fraction(0)))


def zeros_table(report: Report) -> Table:
    """A row for each layer and tensor that zeros save something of."""
    total = report.totals.zeros
    assert total is not None
    scale = text.energy_scale(report.target.units, [layer.energy for layer in report.layers])
    columns = (
        Column("layer", "name"),
        Column("gated MACs"),
        Column("gated reads"),
        Column("coded", "text"),
        Column("zeros"),
        Column("words"),
        Column("words in code"),
        Column("of them metadata", drop=1),
        Column(f"energy {scale.unit}"),
    )
    word = report.target.units.word_bits
    rows = [row for layer in report.layers if layer.zeros for row in _rows(layer.name, layer.zeros, word, scale)]
    first, *_ = _rows("", total, word, scale)
    notes = ("energy: what is left of the layer's; words in code: bits by the size of a word",)
    last = (f"{sum(layer.zeros is not None for layer in report.layers)} layers", *first[1:3], *([""] * 5), first[-1])
    return Table("Zeros", columns, tuple(rows), last, notes)


def _rows(name: str, info: ZeroInfo, word: int, scale: text.Scale) -> Iterator[tuple[str, ...]]:
    """The rows of a layer: one for each coded tensor, at least one."""
    reads = sum(words for operands in info.gated_reads.values() for words in operands.values())
    head, energy = (text.clean(name), text.count(info.gated_macs), text.count(reads)), scale.show(info.energy)
    tensors = [(level, operand, one) for level, some in info.coded.items() for operand, one in some.items()]
    if not tensors:
        yield (*head, *("-",) * 5, energy)
    for place, (level, operand, one) in enumerate(tensors):
        share = text.percent(1 - one.nonzero / one.words if one.words else 0, 1)
        coded = f"{OPERAND_TERMS.get(operand, operand)} @ {level}"
        words = (text.count(one.words), *(text.count(-(-bits // word)) for bits in (one.bits, one.metadata_bits)))
        yield (*(head if not place else ("", "", "")), coded, share, *words, energy if not place else "")
