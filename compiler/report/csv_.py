"""The layers as CSV: one row each, every count in a column of its own, units in the heads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from effc.compiler.report.model import Layer, Report, ZeroInfo

Cell = str | int | float | None


def to_csv(report: Report) -> str:
    """The layers, those on the host included; what is not known or does not apply is empty.

    For the objective ``pareto``: the points of the fronts of the layers that have one.
    """
    reasons = {op.name: op.reason for op in report.host}
    if report.objective == "pareto":
        rows = list(front_rows(report))
    else:
        rows = [dict(cells(layer, report, reasons.get(layer.name))) for layer in report.layers]
    heads = list(dict.fromkeys(head for row in rows for head in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, heads, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def front_rows(report: Report) -> Iterator[dict[str, Cell]]:
    """A row for each point of each front, fewest cycles first."""
    unit = report.target.units.energy
    for layer in report.layers:
        for point in layer.front:
            yield {
                "layer": layer.name,
                "cycles": point.cycles,
                f"energy [{unit}]": point.energy,
                "proven": str(point.proven).lower(),
                "schedule": point.schedule,
            }


def cells(layer: Layer, report: Report, reason: str | None) -> Iterator[tuple[str, Cell]]:
    """The cells of a layer under their heads."""
    unit = report.target.units.energy
    yield "layer", layer.name
    yield "op", layer.op
    yield "where", layer.where
    yield "runs", layer.runs
    yield "macs", layer.macs
    yield f"energy [{unit}]", layer.energy
    if unit != "pJ":
        yield "energy [pJ]", layer.energy_pj
    yield "cycles", layer.cycles
    yield "bound by", layer.bound_by
    yield "utilization", layer.utilization
    yield f"{report.target.levels[0].name} [words]", layer.dram_words
    yield from certificate_cells(layer, report.objective)
    yield "reason", reason
    yield "fused", " ".join(f"{op.op} {op.name}" for op in layer.fused)
    yield "saved [words]", layer.saved_words
    yield from ((f"{part} energy [{unit}]", energy) for part, energy in layer.energy_by.items())
    yield from ((f"{operand} energy [{unit}]", energy) for operand, energy in operand_energies(layer))
    yield from access_cells(layer)
    if layer.zeros is not None:
        yield from zero_cells(layer.zeros, unit)


def certificate_cells(layer: Layer, objective: str) -> Iterator[tuple[str, Cell]]:
    """What is proven of the schedule; value and bound in the unit of the objective."""
    found = layer.certificate
    yield "status", found.status if found else None
    yield f"{objective} value", found.value if found else None
    yield f"{objective} lower bound", found.lower_bound if found else None
    yield "gap", found.gap if found else None
    yield "floor [words]", found.floor_dram_words if found else None


def operand_energies(layer: Layer) -> Iterator[tuple[str, float]]:
    """The energy by operand; what moves no words is in the energy by part already."""
    return ((part, energy) for part, energy in layer.energy_by_operand.items() if part not in layer.energy_by)


def zero_cells(zeros: ZeroInfo, unit: str) -> Iterator[tuple[str, Cell]]:
    """What zeros save, as the report has it."""
    yield "gated [MACs]", zeros.gated_macs
    yield f"energy with zeros [{unit}]", zeros.energy
    for level, operands in zeros.gated_reads.items():
        for operand, words in operands.items():
            yield f"{level} {operand} gated read [words]", words
    for level, tensors in zeros.coded.items():
        for operand, one in tensors.items():
            yield f"{level} {operand} coded read [bits]", one.read_bits
            yield f"{level} {operand} coded write [bits]", one.written_bits
            yield f"{level} {operand} code [bits]", one.bits
            yield f"{level} {operand} metadata [bits]", one.metadata_bits


def access_cells(layer: Layer) -> Iterator[tuple[str, Cell]]:
    """Words by level, operand and direction, then hops by network and operand."""
    for level, operands in layer.accesses.items():
        for operand, access in operands.items():
            yield f"{level} {operand} read [words]", access.read
            yield f"{level} {operand} write [words]", access.write
    for network, words in layer.hops.items():
        for operand, count in words.items():
            yield f"{network} {operand} hops [words]", count
