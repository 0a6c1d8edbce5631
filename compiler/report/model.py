"""The report: what a compiled model does and costs on a target, layer by layer.

The dataclasses mirror the JSON, field by field; ``docs/report.md`` defines every field. Numbers are JSON numbers; a
unit is part of a field's name, or stands in ``target.units``. None is what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from effc.compiler.report import codec
from effc.ir.counters import Counters

SCHEMA = 1

Number = int | float
Where = Literal["accel", "vector", "host"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model: its file, and its size in MACs per inference and in parameters."""

    path: str | None
    sha256: str
    macs: int
    parameters: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Units:
    """What the report's numbers are in. ``pj_per_energy``: the size of the unit of energy, if it is known."""

    energy: Literal["pJ", "x"]
    pj_per_energy: Number | None
    word_bits: int
    clock_mhz: Number


@dataclass(frozen=True, slots=True)
class BankInfo:
    """A memory of a level: whose words it holds, its capacity in bits per instance, energies per word."""

    operands: tuple[str, ...]
    bits: int | None
    read_energy: Number
    write_energy: Number


@dataclass(frozen=True, slots=True)
class LevelInfo:
    """A memory level: its instances in the whole target, its banks, and the energy per hop below it, if it fans out."""

    name: str
    instances: int
    banks: tuple[BankInfo, ...]
    fanout: str | None
    hop_energy: Number | None


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """The target, and its cost table: energies per word, per MAC and per result of the vector unit."""

    name: str
    sha256: str
    units: Units
    technology: str
    levels: tuple[LevelInfo, ...]
    macs: int
    mac_energy: Number
    vector_lanes: int | None
    vector_energy: Number | None
    leakage: Number


@dataclass(frozen=True, slots=True)
class CodedInfo:
    """A tensor in a code at a level: words, those that are not zero, the bits it takes, those of them that are no
    words; and the bits of the code that were read and written there in the place of words.
    """

    words: int
    nonzero: int
    bits: int
    metadata_bits: int
    read_bits: int
    written_bits: int


@dataclass(frozen=True, slots=True)
class ZeroInfo:
    """What the zeros of a run save: MACs that are gated, reads that are with them, by level and operand, words that a
    code leaves out; and the energy that is left, in the target's unit.
    """

    gated_macs: int
    gated_reads: Mapping[str, Mapping[str, int]]
    coded: Mapping[str, Mapping[str, CodedInfo]]
    energy: Number
    energy_pj: Number | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the layers that run on the target; the host's work is in none of them."""

    macs: int
    energy_pj: Number | None
    energy: Number
    energy_by: Mapping[str, Number]
    energy_by_operand: Mapping[str, Number]
    cycles: int
    latency_ms: Number
    fps: Number | None
    dram_words: int
    dram_bytes: Number
    area_mm2: Number | None
    power_mw: Number | None
    accuracy: Number | None
    fps_target: Number | None
    search_s: Number | None
    compile_s: Number | None
    saved_words: int = 0
    area_by: Mapping[str, Number] = field(default_factory=dict)
    zeros: ZeroInfo | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Words read and written."""

    read: int
    write: int


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """How good a schedule is, in the unit of the objective; ``gap`` is a fraction of ``value``.

    ``relative_to``: the constraints that all of it is relative to, if there are any.
    """

    status: Literal["optimal", "bounded"]
    value: Number
    lower_bound: Number
    gap: Number
    floor_dram_words: int
    space: int | None
    expanded: int | None
    search_s: Number | None
    relative_to: str = ""
    discarded: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A schedule that no other one found is better than in energy and in cycles; ``proven``: none at all is."""

    energy: Number
    cycles: int
    proven: bool
    schedule: str


@dataclass(frozen=True, slots=True)
class OperandInfo:
    """A tensor that a layer uses: its name in the model, its shape, its words."""

    tensor: str
    shape: tuple[int, ...] | None
    words: int | None


@dataclass(frozen=True, slots=True)
class FusedOp:
    """An op of the model that the vector unit runs on the words of a nest on their way out; the tensors it reads."""

    name: str
    op: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """An op of the model. On the host nothing is counted.

    ``runs``: how often it runs, in the body of a loop: energy, cycles and counts are of all runs, a certificate is of
    one. Where the data decide (None), they are of one run, too.
    """

    name: str
    op: str
    where: Where
    dims: Mapping[str, int]
    macs: int
    schedule: str | None
    energy_pj: Number | None
    energy: Number | None
    energy_by: Mapping[str, Number]
    energy_by_operand: Mapping[str, Number]
    cycles: int | None
    compute_cycles: int | None
    bound_by: str | None
    utilization: Number | None
    dram_words: int | None  # elements moved at the outermost level
    dram_bytes: Number | None  # what they take
    accesses: Mapping[str, Mapping[str, Access]]
    hops: Mapping[str, Mapping[str, int]]
    operands: Mapping[str, OperandInfo]
    certificate: CertificateInfo | None
    front: tuple[FrontPoint, ...] = ()
    zeros: ZeroInfo | None = None
    fused: tuple[FusedOp, ...] = ()
    saved_words: int = 0
    vector_results: int = 0
    runs: int | None = 1

    def counters(self, target: TargetInfo) -> Counters:
        """The predicted counters, as the cost model gave them."""
        counters = Counters(macs=self.macs, cycles=self.compute_cycles or 0, results=self.vector_results)
        for level, operands in self.accesses.items():
            for operand, access in operands.items():
                counters.read(level, operand, access.read)
                counters.write(level, operand, access.write)
        above = {level.fanout: level.name for level in target.levels if level.fanout is not None}
        for fanout, words in self.hops.items():
            for operand, count in words.items():
                counters.hop(above[fanout], operand, count)
        return counters


@dataclass(frozen=True, slots=True)
class HostOp:
    """An op that runs on the host, and why."""

    name: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a compiled model does and costs on a target."""

    schema: int
    effc: str
    model: ModelInfo
    target: TargetInfo
    objective: str
    totals: Totals
    layers: tuple[Layer, ...]
    host: tuple[HostOp, ...]

    def layer(self, name: str) -> Layer:
        """The layer of that name; raises KeyError if there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def stored(self) -> Report:
        """The report as an artefact keeps it: without paths, times and statistics of the search."""
        return replace(
            self,
            model=replace(self.model, path=None),
            totals=replace(self.totals, search_s=None, compile_s=None),
            layers=tuple(replace(layer, certificate=_timeless(layer.certificate)) for layer in self.layers),
        )


def _timeless(certificate: CertificateInfo | None) -> CertificateInfo | None:
    return None if certificate is None else replace(certificate, expanded=None, discarded=None, search_s=None)


def to_json(report: Report) -> str:
    """The report as JSON text, newline at the end; equal reports give equal text."""
    return codec.dumps(report)


def from_json(text: str, place: str = "report") -> Report:
    """The report that ``text`` holds; an ``InputError`` at ``place`` if it is damaged or of another schema."""
    data = codec.parse(text, place)
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA or isinstance(schema, bool):
        codec.fail(place, f"schema is {codec.shown(schema)}", str(SCHEMA))
    report = codec.decode(data, Report, place)
    assert isinstance(report, Report)
    return report
