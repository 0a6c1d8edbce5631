"""What a report shows, as titled tables of text: the terminal and the HTML page print the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from effc.compiler.report import text
from effc.compiler.report.columns import Column, Table
from effc.compiler.report.metrics import metrics
from effc.compiler.report.model import CertificateInfo, Layer, LevelInfo, Number, Report, TargetInfo
from effc.compiler.report.zeros import zeros_table
from effc.compiler.target.model import OPERAND_TERMS
from effc.ir.counters import EPILOGUE_NAME

JOINED = {"arith": ("MAC", "vector"), "idle": ("leakage", "clock")}
"""Components of energy that no memory and no network is: some share a column."""


def tables(report: Report) -> Iterator[Table]:
    """Every table of a report, in reading order."""
    yield layer_table(report)
    if any(layer.front for layer in report.layers):
        yield front_table(report)
    yield words_table(report)
    if report.totals.zeros is not None:
        yield zeros_table(report)
    if report.host:
        yield host_table(report)
    yield cost_table(report.target)
    yield metrics_table(report)


def title(report: Report) -> str:
    """``resnet18 on eyeriss, schedules of least energy``."""
    least = {
        "energy": "least energy",
        "latency": "least latency",
        "edp": "least energy x delay",
        "dram": "least DRAM words",
        "pareto": "least energy x delay, and fronts over both",
    }
    name = text.clean(report.model.name or report.model.path or "a model")
    return f"{name} on {report.target.name}: schedules of {least.get(report.objective, report.objective)}"


def counted(report: Report) -> list[Layer]:
    """The layers that run on the target."""
    return [layer for layer in report.layers if layer.where != "host"]


def layer_table(report: Report) -> Table:
    """One row per layer that runs on the target."""
    layers, totals = counted(report), report.totals
    scale = text.energy_scale(report.target.units, [layer.energy for layer in layers])
    parts = split_parts(report)
    outermost = report.target.levels[0].name
    saving = [""] * any(layer.fused for layer in layers)  # a column of its own, or none
    columns = (
        Column("layer", "name"),
        Column("op", "text", 5),
        Column("where", "text", 9),
        Column("MACs", drop=7),
        Column(f"energy {scale.unit}"),
        *(Column(part, drop=2) for part in parts),
        Column("cycles"),
        Column("util", drop=1),
        Column("bound by", "text", 6),
        Column(f"{outermost} words", drop=3),
        Column("x floor", drop=8),
        Column("gap", drop=4),
        *(Column("saved", drop=7) for _ in saving),
    )
    rows = tuple(
        (
            text.clean(layer.name) + runs(layer),
            "+".join(map(text.clean, (layer.op, *(op.op for op in layer.fused)))),
            layer.where,
            text.short(layer.macs) if layer.macs else "-",
            scale.show(layer.energy),
            *split(layer.energy_by, parts),
            text.count(layer.cycles),
            text.percent(layer.utilization),
            layer.bound_by or "-",
            text.count(layer.dram_words),
            above_floor(layer, report.target.units.word_bits),
            gap(layer.certificate),
            *(text.count(layer.saved_words) if layer.fused else "-" for _ in saving),
        )
        for layer in layers
    )
    total = (
        f"{len(layers)} layers",
        *("", ""),
        text.short(totals.macs),
        scale.show(totals.energy),
        *split(totals.energy_by, parts),
        text.count(totals.cycles),
        text.percent(array_utilization(report)),
        "",
        text.count(totals.dram_words),
        *("", ""),
        *(text.count(sum(layer.saved_words for layer in layers)) for _ in saving),
    )
    return Table("Layers", columns, rows, total, layer_notes(report, parts))


def runs(layer: Layer) -> str:
    """How often a layer runs, if it is not once."""
    return "" if layer.runs == 1 else " x?" if layer.runs is None else f" x{layer.runs}"


def layer_notes(report: Report, parts: Sequence[str]) -> tuple[str, ...]:
    """What the columns of the layer table mean."""
    units, fused = report.target.units, any(layer.fused for layer in report.layers)
    looped = any(layer.runs != 1 for layer in report.layers)
    objective = "energy x delay" if report.objective == "pareto" else report.objective
    return (
        f"{', '.join(parts)}: shares of the layer's energy; util: share of the lanes that work",
        f"words of {units.word_bits} bit; cycles of {text.significant(units.clock_mhz)} MHz",
        f"x floor: the {report.target.levels[0].name} words, as a multiple of what every schedule moves",
        *["saved: words that ops behind the layer would move, had they not been fused into it"] * fused,
        *["x128 behind a name: it runs so often; x?: as often as the data say, and the row is one run"] * looped,
        f"gap: by how much a better schedule could lower the {objective} of the layer, at most",
    )


def split_parts(report: Report) -> list[str]:
    """The columns that energy is split into: memories and networks from the outside in, arithmetic, what flows idly."""
    chain = [part for level in report.target.levels for part in (level.name, level.fanout) if part is not None]
    idle = any(part in report.totals.energy_by for part in JOINED["idle"])
    return [*chain, "arith", *["idle"] * idle]


def split(energy_by: Mapping[str, Number], parts: Iterable[str]) -> Iterator[str]:
    """The shares of the parts in the energy, as text."""
    total = sum(energy_by.values())
    for part in parts:
        share = sum(energy_by.get(name, 0) for name in JOINED.get(part, (part,)))
        yield text.percent(share / total) if total else "-"


def gap(certificate: CertificateInfo | None) -> str:
    """``optimal``, or the gap in percent."""
    if certificate is None:
        return "-"
    return "optimal" if certificate.status == "optimal" else text.percent(certificate.gap, 1)


def above_floor(layer: Layer, word_bits: int) -> str:
    """What moves at the outermost level by the least that every schedule moves there."""
    found = layer.certificate
    if not found or not layer.dram_bytes:
        return "-"
    return f"{float(layer.dram_bytes) * 8 / word_bits / (found.floor_dram_words * (layer.runs or 1)):.2f}"


def array_utilization(report: Report) -> float | None:
    """MACs per cycle and MAC of the array, over the layers that run on it."""
    cycles = sum(layer.cycles or 0 for layer in report.layers if layer.where == "accel")
    return report.totals.macs / (cycles * report.target.macs) if cycles else None


def front_table(report: Report) -> Table:
    """The front of each layer over energy and cycles."""
    points = [(layer, point) for layer in report.layers for point in layer.front]
    scale = text.energy_scale(report.target.units, [point.energy for _, point in points])
    rows = tuple(
        (text.clean(layer.name), text.count(point.cycles), scale.show(point.energy), "yes" if point.proven else "no")
        for layer, point in points
    )
    columns = (Column("layer", "name"), Column("cycles"), Column(f"energy {scale.unit}"), Column("proven", "text"))
    notes = ("proven: no schedule at all is better in energy and in cycles; else none that was found",)
    return Table("Energy against cycles", columns, rows, notes=notes)


def words_table(report: Report) -> Table:
    """Where the words moved: every level, operand and direction, over the whole net."""
    costs = [(entry, entry.read + entry.write + entry.hop) for entry in moved(report)]
    energy = report.totals.energy
    scale = text.energy_scale(report.target.units, [entry.energy for entry, words in costs if words])
    rows = tuple(
        (
            entry.place,
            entry.operand,
            text.count(entry.read) if not entry.hop else "-",
            text.count(entry.write) if not entry.hop else "-",
            text.count(entry.hop) if entry.hop else "-",
            scale.show(entry.energy),
            text.percent(entry.energy / energy if energy else 0, 1),
        )
        for entry, words in costs
        if words
    )
    columns = (
        Column("level", "text"),
        Column("operand", "text"),
        Column("words read"),
        Column("words written"),
        Column("hops"),
        Column(f"energy {scale.unit}"),
        Column("of all energy", "bar"),
    )
    return Table("Where the words moved", columns, rows)


@dataclass(slots=True)
class Moved:
    """Words of an operand at a level, or over a network, of the whole net; energy in the target's unit."""

    place: str
    operand: str
    read: int = 0
    write: int = 0
    hop: int = 0
    energy: Number = 0


def moved(report: Report) -> list[Moved]:
    """What moved, level by level, operand by operand."""
    entries: dict[tuple[str, str], Moved] = {}
    for level in report.target.levels:
        for layer in counted(report):
            for operand, access in layer.accesses.get(level.name, {}).items():
                entry = entry_of(entries, level.name, operand, layer)
                reads, writes = bank_energies(level, operand)
                entry.read += access.read
                entry.write += access.write
                entry.energy += access.read * reads + access.write * writes
        for layer in counted(report):
            for operand, words in layer.hops.get(level.fanout or "", {}).items():
                entry = entry_of(entries, level.fanout or "", operand, layer)
                entry.hop += words
                entry.energy += words * (level.hop_energy or 0)
    return list(entries.values())


def entry_of(entries: dict[tuple[str, str], Moved], place: str, operand: str, layer: Layer) -> Moved:
    name = operand_name(operand, layer)
    return entries.setdefault((place, name), Moved(place, name))


def operand_name(operand: str, layer: Layer) -> str:
    """``ifmap``, ``filter``, ...; of the vector unit, ``vector in`` and ``vector out``."""
    if layer.where == "vector":
        return "vector out" if operand == "O" else "vector in"
    return "epilogue" if operand == EPILOGUE_NAME else OPERAND_TERMS.get(operand, operand)


def bank_energies(level: LevelInfo, operand: str) -> tuple[Number, Number]:
    """The energies per word read and written, of the bank that holds ``operand``; epilogues read activations."""
    operand = "I" if operand == EPILOGUE_NAME else operand
    for bank in level.banks:
        if operand in bank.operands:
            return bank.read_energy, bank.write_energy
    return 0, 0


def host_table(report: Report) -> Table:
    """What runs on the host, and why; equal reasons share a row."""
    groups: dict[tuple[str, str], list[str]] = {}
    for op in report.host:
        groups.setdefault((text.clean(op.op), text.clean(op.reason)), []).append(text.clean(op.name))
    rows = tuple((op, str(len(names)), few(names), reason) for (op, reason), names in groups.items())
    columns = (Column("op", "text"), Column("ops"), Column("names", "text"), Column("why", "text"))
    return Table("On the host", columns, rows, notes=("the host's time and energy are not in any number here",))


def few(names: Sequence[str]) -> str:
    """The first names, and how many there are besides."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def cost_table(target: TargetInfo) -> Table:
    """The cost table: energies per access, and what they are accesses of."""
    unit = target.units.energy
    rows = [row for level in target.levels for row in level_costs(level, target)]
    rows.append(("MAC", "", text.count(target.macs), "-", f"{target.mac_energy:g} {unit} each", "-"))
    if target.vector_lanes is not None:
        lanes = text.count(target.vector_lanes)
        rows.append(("vector", "lanes", lanes, "-", "-", f"{target.vector_energy:g} {unit} per result"))
    if target.leakage:
        rows.append(("idle", "", "-", "-", f"{target.leakage:g} {unit} per cycle", "-"))
    columns = (
        Column("part", "text"),
        Column("holds", "text", 3),
        Column("count"),
        Column("size of one"),
        Column("read of a word"),
        Column("write of a word"),
    )
    return Table(f"Cost table of {target.name}", columns, tuple(rows), notes=unit_notes(target))


def level_costs(level: LevelInfo, target: TargetInfo) -> Iterator[tuple[str, ...]]:
    """A row per bank of a level, and one for the network below it."""
    unit = target.units.energy
    for bank in level.banks:
        holds = ", ".join(OPERAND_TERMS.get(operand, operand) for operand in bank.operands)
        size = text.quantity(bank.bits, target.units.word_bits)
        energies = f"{bank.read_energy:g} {unit}", f"{bank.write_energy:g} {unit}"
        yield level.name, holds, text.count(level.instances), size, *energies
    if level.fanout is not None:
        yield level.fanout, f"network below {level.name}", "-", "-", f"{level.hop_energy:g} {unit} per hop", "-"


def unit_notes(target: TargetInfo) -> tuple[str, ...]:
    """How large the unit of energy is, where it is the target's own."""
    unit, size = target.units.energy, target.units.pj_per_energy
    if unit == "pJ":
        return ()
    return (f"the size of 1 {unit} in pJ is not known",) if size is None else (f"1 {unit} is {size:g} pJ",)


def metrics_table(report: Report) -> Table:
    """The five metrics, one line each."""
    return Table("Five metrics", (Column("metric", "text"), Column("what this report says", "text")), metrics(report))
