"""The five metrics of a compiled model, a line each, and how far the schedules are from what is proven possible."""

from __future__ import annotations

from effc.compiler.report import text
from effc.compiler.report.model import Report


def metrics(report: Report) -> tuple[tuple[str, str], ...]:
    """Each metric and what the report says of it."""
    return (
        ("accuracy", accuracy(report)),
        ("programmability", programmability(report)),
        ("energy / power", power(report)),
        ("throughput / latency", throughput(report)),
        ("cost", cost(report)),
        ("certificates", certificates(report)),
    )


def accuracy(report: Report) -> str:
    value = report.totals.accuracy
    return (
        "task accuracy not measured: no data set given" if value is None else f"task accuracy {text.percent(value, 2)}"
    )


def programmability(report: Report) -> str:
    where = {place: sum(layer.where == place for layer in report.layers) for place in ("accel", "vector", "host")}
    places = f"{where['accel']} ops on the array, {where['vector']} on the vector unit, {where['host']} on the host"
    fused = sum(len(layer.fused) for layer in report.layers)
    places += f", {fused} in epilogues" * (fused > 0)
    saved = report.totals.saved_words
    return f"{places}; {text.short(saved)} words saved by fusion" if saved > 0 else places


def power(report: Report) -> str:
    totals = report.totals
    parts = [f"{text.energy(report.target.units, totals.energy)} per inference"]
    if totals.macs:
        parts.append(f"{text.significant(totals.energy / totals.macs)} {report.target.units.energy} per MAC")
    parts.append("power not known" if totals.power_mw is None else f"{text.significant(totals.power_mw)} mW on average")
    return ", ".join(parts)


def throughput(report: Report) -> str:
    totals = report.totals
    parts = [f"{text.count(totals.cycles)} cycles", text.duration(totals.latency_ms)]
    if totals.fps is not None:
        parts.append(f"{text.significant(totals.fps)} frames/s")
    if totals.fps is not None and totals.fps_target is not None:
        reached = "reached" if totals.fps >= totals.fps_target else "missed"
        parts.append(f"goal of {text.significant(totals.fps_target)} frames/s {reached}")
    return ", ".join(parts)


def cost(report: Report) -> str:
    target, totals = report.target, report.totals
    bits = sum((bank.bits or 0) * level.instances for level in target.levels[1:] for bank in level.banks)
    area = "area not known" if totals.area_mm2 is None else f"{text.significant(totals.area_mm2)} mm2"
    parts = [f"{target.macs:,} MACs", f"{bits / 8192:,.1f} KiB on chip", area]
    parts.append(f"{text.short(totals.dram_bytes, 'B')} of {target.levels[0].name} traffic per inference")
    if totals.fps is not None:
        parts.append(text.short(float(totals.dram_bytes) * totals.fps, "B/s"))
    return ", ".join(parts)


def certificates(report: Report) -> str:
    found = [layer.certificate for layer in report.layers if layer.certificate is not None]
    if not found:
        return "no layer runs on the array"
    optimal = sum(certificate.status == "optimal" for certificate in found)
    worst = max(certificate.gap for certificate in found)
    outermost = report.target.levels[0].name
    words = sum(layer.dram_words or 0 for layer in report.layers if layer.certificate is not None)
    floor = sum(
        layer.certificate.floor_dram_words * (layer.runs or 1)
        for layer in report.layers
        if layer.certificate is not None
    )
    moved = sum(float(layer.dram_bytes or 0) for layer in report.layers if layer.certificate is not None)
    ratio = f", {moved * 8 / report.target.units.word_bits / floor:.2f} x the floor" if floor else ""
    proven = f"{optimal} of {len(found)} schedules proven optimal, largest gap {text.percent(worst, 1)}"
    return f"{proven}; {text.short(words)} {outermost} words on the array{ratio}"
