"""Builds the report of a compiled model from its graph and what the search found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from math import ceil
from types import MappingProxyType

import effc
from effc.compiler.cost.energy import hop_energy, operand_energy, to_pj
from effc.compiler.cost.epilogue import evaluate_op, op_target
from effc.compiler.cost.epilogue import saved_words as fused_words
from effc.compiler.cost.evaluate import Evaluation
from effc.compiler.cost.vector import INPUT, OUTPUT, counted_words, evaluate_vector, vector_target
from effc.compiler.report.model import (
    SCHEMA,
    Access,
    BankInfo,
    CertificateInfo,
    FrontPoint,
    FusedOp,
    HostOp,
    Layer,
    LevelInfo,
    ModelInfo,
    Number,
    OperandInfo,
    Report,
    TargetInfo,
    Totals,
    Units,
    Where,
)
from effc.compiler.search.result import Best, Certificate, Point
from effc.compiler.target.area import area_by, area_mm2
from effc.compiler.target.model import Bank, Level, Target
from effc.compiler.target.show import print_target
from effc.ir.bodies import every_op, scopes
from effc.ir.counters import EPILOGUE_NAME, Counters
from effc.ir.graph import Graph, NestOp, NodeOp, Tensor
from effc.ir.nest import Nest
from effc.ir.printer import print_schedule
from effc.ir.schedule import Schedule


def build_report(
    *,
    model: ModelInfo,
    target: Target,
    objective: str,
    graph: Graph,
    results: Mapping[str, Best],
    search_s: float | None = None,
    compile_s: float | None = None,
    saved_words: int = 0,
    bounds: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """The report, layers in the graph's order; ``results`` has the schedule found for every nest op, by its name.

    ``bounds``: what takes longest in a layer, from the machine's clock; of other layers the cost model says it.
    """
    found = layers_of(graph, target, results)
    layers = tuple(replace(layer, bound_by=bounds.get(layer.name, layer.bound_by)) for layer in found)
    return Report(
        schema=SCHEMA,
        effc=effc.__version__,
        model=model,
        target=target_info(target),
        objective=objective,
        totals=totals(target, layers, search_s, compile_s, saved_words),
        layers=layers,
        host=tuple(
            HostOp(op.name, op.op, op.reason) for op, _ in every_op(graph) if isinstance(op, NodeOp) and on_host(op)
        ),
    )


def on_host(op: NodeOp) -> bool:
    return op.where == "host"


def layers_of(graph: Graph, target: Target, results: Mapping[str, Best]) -> Iterator[Layer]:
    """A layer for every op of the graph, those of bodies behind the op that they belong to."""
    known: dict[object, Evaluation] = {}
    for op, scope in every_op(graph):
        if isinstance(op, NestOp):
            layer = nest_layer(results[op.name], target, op, scope.graph, known)
        elif on_host(op):
            layer = host_layer(op, scope.graph)
        else:
            layer = vector_layer(op, scope.graph, target)
        yield in_all_runs(layer, scope.runs)


def in_all_runs(layer: Layer, runs: int | None) -> Layer:
    """What a layer costs that runs so often."""
    if runs is None or runs == 1:
        return replace(layer, runs=runs)

    def times(value: Number | None) -> Number | None:
        return None if value is None else number(exact(value) * runs)

    def each(table: Mapping[str, Number]) -> dict[str, Number]:
        return {key: number(exact(value) * runs) for key, value in table.items()}

    return replace(
        layer,
        runs=runs,
        macs=layer.macs * runs,
        energy_pj=times(layer.energy_pj),
        energy=times(layer.energy),
        energy_by=each(layer.energy_by),
        energy_by_operand=each(layer.energy_by_operand),
        cycles=None if layer.cycles is None else layer.cycles * runs,
        compute_cycles=None if layer.compute_cycles is None else layer.compute_cycles * runs,
        dram_words=None if layer.dram_words is None else layer.dram_words * runs,
        dram_bytes=times(layer.dram_bytes),
        accesses={
            level: {operand: Access(one.read * runs, one.write * runs) for operand, one in operands.items()}
            for level, operands in layer.accesses.items()
        },
        hops={name: {operand: words * runs for operand, words in table.items()} for name, table in layer.hops.items()},
        saved_words=layer.saved_words * runs,
        vector_results=layer.vector_results * runs,
    )


def nest_layer(
    best: Best,
    target: Target,
    op: NestOp | None = None,
    graph: Graph | None = None,
    known: dict[object, Evaluation] | None = None,
) -> Layer:
    """The layer of a nest; without an op, of a nest on its own. ``known``: what equal ones cost."""
    nest = best.nest if op is None else op.nest
    operands = {}
    for name, operand in nest.operands.items():
        tensor = op.uses[name].tensor if op is not None else name
        operands[name] = OperandInfo(tensor, operand.shape, operand.words)
    if op is not None and graph is not None and op.epilogue:
        return _fused_layer(best, op_target(op, graph, target), op, graph, operands, {} if known is None else known)
    return _nest_layer(best, best.evaluation, best.target, op, operands)


def _fused_layer(
    best: Best,
    target: Target,
    op: NestOp,
    graph: Graph,
    operands: dict[str, OperandInfo],
    known: dict[object, Evaluation],
) -> Layer:
    """The layer of a nest with an epilogue."""
    alike = replace(op.nest, name=""), target.widths, counted_words(graph, op.epilogue_inputs), len(op.epilogue)

    def cost(schedule: Schedule) -> Evaluation:
        if (alike, schedule) not in known:
            known[alike, schedule] = evaluate_op(replace(op, schedule=schedule), graph, target)
        return known[alike, schedule]

    output = op.nest.output
    operands[output.name] = OperandInfo(op.outputs[0], output.shape, output.words)
    evaluation = cost(best.schedule)
    epilogue = evaluation.counts.epilogue
    assert epilogue is not None
    layer = _nest_layer(best, evaluation, target, op, operands)
    certificate = certificate_info(best.certificate)
    words = target.access_bits(0, EPILOGUE_NAME, "read", epilogue.words) / target.word_bits
    return replace(
        layer,
        certificate=replace(certificate, floor_dram_words=certificate.floor_dram_words + ceil(words)),
        front=tuple(front_point(replace(p, evaluation=cost(p.schedule)), op.nest) for p in best.front),
        fused=tuple(FusedOp(step.name, step.op, tuple(filter(None, step.inputs))) for step in op.epilogue),
        saved_words=fused_words(op, graph),
    )


def _nest_layer(
    best: Best, cost: Evaluation, target: Target, op: NestOp | None, operands: Mapping[str, OperandInfo]
) -> Layer:
    nest = best.nest if op is None else op.nest
    layer = _costed(
        cost,
        target,
        nest.name,
        "nest" if op is None else op.op,
        "accel",
        dims=dict(nest.bounds),
        schedule=print_schedule(best.schedule, nest),
        operands=operands,
        certificate=certificate_info(best.certificate),
    )
    return replace(layer, front=tuple(front_point(point, nest) for point in best.front))


def front_point(point: Point, nest: Nest) -> FrontPoint:
    """A point of a front as the report shows it."""
    cost = point.evaluation
    return FrontPoint(number(cost.energy), cost.cycles, point.proven, print_schedule(point.schedule, nest))


def vector_layer(op: NodeOp, graph: Graph, target: Target) -> Layer:
    """The layer of an op of the vector unit."""
    return _costed(
        evaluate_vector(op, graph, target),
        vector_target(op, graph, target),
        op.name,
        op.op,
        "vector",
        dims={},
        schedule=None,
        operands=_tensors(op, graph),
        certificate=None,
    )


def host_layer(op: NodeOp, graph: Graph) -> Layer:
    """The layer of an op of the host: nothing is counted."""
    return Layer(
        name=op.name,
        op=op.op,
        where="host",
        dims={},
        macs=0,
        schedule=None,
        energy_pj=None,
        energy=None,
        energy_by={},
        energy_by_operand={},
        cycles=None,
        compute_cycles=None,
        bound_by=None,
        utilization=None,
        dram_words=None,
        dram_bytes=None,
        accesses={},
        hops={},
        operands=_tensors(op, graph),
        certificate=None,
    )


def _costed(
    cost: Evaluation,
    target: Target,
    name: str,
    op: str,
    where: Where,
    *,
    dims: Mapping[str, int],
    schedule: str | None,
    operands: Mapping[str, OperandInfo],
    certificate: CertificateInfo | None,
) -> Layer:
    counters = cost.counters
    counted = tuple(operands) if where == "accel" else (INPUT, OUTPUT)
    counted += (EPILOGUE_NAME,) * (cost.counts.epilogue is not None)
    return Layer(
        name=name,
        op=op,
        where=where,
        dims=dims,
        macs=counters.macs,
        schedule=schedule,
        energy_pj=_pj(target, cost.energy),
        energy=number(cost.energy),
        energy_by={part: number(energy) for part, energy in cost.energy_by.items()},
        energy_by_operand={part: number(energy) for part, energy in energy_by_operand(target, cost, counted).items()},
        cycles=cost.cycles,
        compute_cycles=counters.cycles,
        bound_by=cost.latency.bound_by,
        utilization=number(cost.utilization),
        dram_words=cost.dram_words,
        dram_bytes=number(cost.dram_bits / 8),
        accesses=_accesses(target, counters, counted),
        hops=_hops(target, counters, counted),
        operands=operands,
        certificate=certificate,
        vector_results=counters.results,
    )


def energy_by_operand(target: Target, cost: Evaluation, operands: Iterable[str]) -> dict[str, Fraction]:
    """The energy of a layer by the operand whose words move; what moves nothing (MACs, leakage) under its own name."""
    counters, result = cost.counters, {}
    for operand in operands:
        result[operand] = Fraction(0)
        for position, level in enumerate(target.levels):
            if level.bank(operand) is not None:
                result[operand] += operand_energy(target, counters, position, operand)
            if level.fanout is not None:
                result[operand] += hop_energy(target, counters, position, operand)
    places = {level.name for level in target.levels} | {level.fanout.name for level in target.levels if level.fanout}
    return {**result, **{part: energy for part, energy in cost.energy_by.items() if part not in places}}


def _accesses(target: Target, counters: Counters, operands: tuple[str, ...]) -> dict[str, dict[str, Access]]:
    return {
        level.name: {
            operand: Access(counters.reads.get((level.name, operand), 0), counters.writes.get((level.name, operand), 0))
            for operand in operands
        }
        for level in target.levels
    }


def _hops(target: Target, counters: Counters, operands: tuple[str, ...]) -> dict[str, dict[str, int]]:
    return {
        level.fanout.name: {operand: counters.hops.get((level.name, operand), 0) for operand in operands}
        for level in target.levels
        if level.fanout is not None
    }


def _tensors(op: NodeOp, graph: Graph) -> dict[str, OperandInfo]:
    """The tensors of a node by position: ``in0``, ``in1``, ..., ``out0``, ..."""
    named = [(f"in{i}", name) for i, name in enumerate(op.inputs)] + [
        (f"out{i}", name) for i, name in enumerate(op.outputs)
    ]
    return {position: _tensor_info(graph.tensors[name]) for position, name in named if name}


def _tensor_info(tensor: Tensor) -> OperandInfo:
    return OperandInfo(tensor.name, tensor.shape, None if tensor.shape is None else tensor.words)


def certificate_info(certificate: Certificate) -> CertificateInfo:
    """A certificate as the report shows it."""
    return CertificateInfo(
        status=certificate.status,
        value=number(certificate.value),
        lower_bound=number(certificate.lower_bound),
        gap=number(certificate.gap),
        floor_dram_words=certificate.floor_dram_words,
        space=certificate.space,
        expanded=certificate.expanded,
        search_s=certificate.search_s,
        relative_to=certificate.relative_to,
        discarded=certificate.discarded,
    )


def model_info(graph: Graph, digest: str, path: str | None = None) -> ModelInfo:
    """The size of a model: MACs of its nests, elements of its constants. ``digest``: the SHA-256 of its file."""
    words = {
        id(value): value.size
        for scope in scopes(graph)
        for name, value in scope.graph.constants.items()
        if name in scope.graph.data
    }
    macs = sum(op.nest.macs * (scope.runs or 1) for op, scope in every_op(graph) if isinstance(op, NestOp))
    return ModelInfo(path, digest, macs, sum(words.values()), graph.name)


def target_info(target: Target) -> TargetInfo:
    """A target and its cost table. Its digest is that of the text it was read from."""
    text = target.source or print_target(target)
    units = Units(target.energy_unit, _optional(target.pj_per_unit), target.word_bits, number(target.clock_mhz))
    return TargetInfo(
        name=target.name,
        sha256=sha256(text.encode()).hexdigest(),
        units=units,
        technology=target.technology,
        levels=tuple(_level_info(target, position, level) for position, level in enumerate(target.levels)),
        macs=target.instances(len(target.levels)),
        mac_energy=number(target.mac.energy),
        vector_lanes=target.vector.lanes if target.vector else None,
        vector_energy=number(target.vector.energy) if target.vector else None,
        leakage=number(target.leakage),
    )


def _level_info(target: Target, position: int, level: Level) -> LevelInfo:
    fanout = level.fanout
    return LevelInfo(
        name=level.name,
        instances=target.instances(position),
        banks=tuple(_bank_info(bank) for bank in level.banks),
        fanout=fanout.name if fanout else None,
        hop_energy=number(fanout.hop_energy) if fanout else None,
    )


def _bank_info(bank: Bank) -> BankInfo:
    return BankInfo(bank.operands, bank.bits, number(bank.read_energy), number(bank.write_energy))


def totals(
    target: Target,
    layers: tuple[Layer, ...],
    search_s: float | None = None,
    compile_s: float | None = None,
    saved_words: int = 0,
) -> Totals:
    """The sums over the layers that run on the target, one after another; ``saved_words`` those of what is no layer."""
    energy = sum((exact(layer.energy) for layer in layers), Fraction(0))
    cycles = sum(layer.cycles or 0 for layer in layers)
    words = sum(layer.dram_words or 0 for layer in layers)
    milliseconds = cycles / (target.clock_mhz * 1000)
    pj = to_pj(target, energy)
    return Totals(
        macs=sum(layer.macs for layer in layers),
        energy_pj=_optional(pj),
        energy=number(energy),
        energy_by=_summed(layer.energy_by for layer in layers),
        energy_by_operand=_summed(layer.energy_by_operand for layer in layers),
        cycles=cycles,
        latency_ms=number(milliseconds),
        fps=number(1000 / milliseconds) if milliseconds else None,
        dram_words=words,
        dram_bytes=number(sum((exact(layer.dram_bytes) for layer in layers), Fraction(0))),
        area_mm2=_optional(area_mm2(target)),
        area_by={part: number(um2 / 10**6) for part, um2 in (area_by(target) or {}).items()},
        power_mw=number(pj / milliseconds / 10**6) if pj is not None and milliseconds else None,
        accuracy=None,
        fps_target=_optional(target.fps_target),
        search_s=search_s,
        compile_s=compile_s,
        saved_words=saved_words + sum(layer.saved_words for layer in layers),
    )


def _summed(tables: Iterable[Mapping[str, Number]]) -> dict[str, Number]:
    result: dict[str, Fraction] = {}
    for table in tables:
        for part, energy in table.items():
            result[part] = result.get(part, Fraction(0)) + exact(energy)
    return {part: number(energy) for part, energy in result.items()}


def exact(value: Number | None) -> Fraction:
    """A number of the report as a fraction; 0 for what is not known."""
    return Fraction(value or 0)


def number(value: Fraction) -> Number:
    """A fraction as a JSON number: whole where it is whole, else the nearest float."""
    return value.numerator if value.denominator == 1 else float(value)


def _optional(value: Fraction | None) -> Number | None:
    return None if value is None else number(value)


def _pj(target: Target, energy: Fraction) -> Number | None:
    return _optional(to_pj(target, energy))
