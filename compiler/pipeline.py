"""The pipeline: from an ONNX model to a scheduled graph and a program, one function read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from effc.compiler.errors import InputError
from effc.compiler.passes.base import Pass
from effc.compiler.passes.instruments import Instruments, verify_after
from effc.compiler.passes.schedule_nests import Objective, ScheduleNests, Solved, Watch
from effc.compiler.target.model import Target
from effc.ir.bodies import every_nest, everywhere
from effc.ir.graph import Graph

if TYPE_CHECKING:
    from effc.backends.accel import Program
    from effc.compiler.frontend.weights import Model
    from effc.compiler.passes.type_sums import NumericMode
    from effc.compiler.search.cache import Cache
    from effc.compiler.search.result import Best

Backend = Literal["accel", "cpu"]

FIRST, LAST = "lower", "emit"
"""The stages that are no passes."""


@dataclass(frozen=True)
class Options:
    """How to compile. ``passes`` run in addition to the standard ones, just before ops get their places."""

    objective: Objective = "energy"
    backend: Backend = "accel"
    batch: int = 1
    dims: Mapping[str, int] = field(default_factory=dict)
    passes: tuple[Pass, ...] = ()
    time_limit: float | None = None
    jobs: int = 1
    constraints: str = ""
    numeric: NumericMode = "reference"


@dataclass(frozen=True)
class Compiled:
    """What the pipeline makes of a model. ``program`` is that of the accelerator, if it was asked for."""

    graph: Graph
    results: Mapping[str, Best]
    program: Program | None
    search_s: float
    saved_words: int  # that the standard passes keep from moving


def compile_model(
    model: Model,
    target: Target,
    options: Options,
    instruments: Instruments,
    watch: Watch | None = None,
    name: str = "",
    cache: Cache | None = None,
) -> Compiled:
    """Run every stage. A nest that the target cannot hold sends its node to the host, and lowering starts again."""
    from effc.compiler.report.saved import saved_words

    instruments.check(stage_names(options, target))
    host: dict[str, str] = {}
    while True:
        run = _Run(instruments)
        lowered = graph = run.lower(model, options, host, name)
        for item in (*native_passes(target, options.numeric), *standard_passes()):
            graph = run.apply(item, graph)
        saved = saved_words(lowered, graph)
        for item in options.passes:
            graph = run.apply_foreign(item, graph)
        for item in placing_passes(target, options.numeric):
            graph = run.apply(item, graph)
        if options.backend == "cpu":
            from effc.backends.cpu import check_types

            check_types(graph)
        began = time.perf_counter()
        solved = run.schedule(scheduler(target, options), graph, watch, cache)
        search_s = time.perf_counter() - began
        if not solved.refused:
            break
        _send_to_host(graph, solved, host)
    program = run.emit(solved.graph, target) if options.backend == "accel" else None
    return Compiled(solved.graph, solved.results, program, search_s, saved)


def _send_to_host(graph: Graph, solved: Solved, host: dict[str, str]) -> None:
    """Note the ONNX nodes whose nests were refused, and why."""
    refused = {op.origin: solved.refused[op.name] for op, _ in every_nest(graph) if op.name in solved.refused}
    if not refused.keys() - host.keys():  # nests that a pass made: no node of the model stands for them
        name, reason = next(iter(solved.refused.items()))
        raise InputError(reason, f"nest {name}")
    host |= refused


def native_passes(target: Target, numeric: NumericMode) -> tuple[Pass, ...]:
    """What makes integers native that are not, with ``--numeric target``."""
    from effc.compiler.passes.signed_bytes import SignedBytes

    return (SignedBytes(target),) if numeric == "target" else ()


def standard_passes() -> tuple[Pass, ...]:
    """The rewrites that every model gets."""
    from effc.compiler.passes.absorb_layouts import AbsorbLayouts
    from effc.compiler.passes.dead_ops import DeadOps
    from effc.compiler.passes.fold_batchnorm import FoldBatchNorm
    from effc.compiler.passes.fold_bias import FoldBias
    from effc.compiler.passes.fold_pads import FoldPads
    from effc.compiler.passes.hoist_layouts import HoistLayouts
    from effc.compiler.passes.merge_dims import MergeDims
    from effc.compiler.passes.place_parts import PlaceParts
    from effc.compiler.passes.remove_identities import RemoveIdentities

    return (
        RemoveIdentities(),
        AbsorbLayouts(),
        FoldPads(),
        FoldBatchNorm(),
        FoldBias(),
        HoistLayouts(),
        MergeDims(),
        PlaceParts(),
        DeadOps(),
    )


def placing_passes(target: Target, numeric: NumericMode = "reference") -> tuple[Pass, ...]:
    """The passes that say where every op runs, those of the vector unit that can with the nest before them; which sums
    are made in parts, and what type they have.
    """
    from effc.compiler.passes.fuse_epilogues import FuseEpilogues
    from effc.compiler.passes.place_ops import PlaceOps
    from effc.compiler.passes.split_sums import SplitSums
    from effc.compiler.passes.type_sums import TypeSums

    split = (SplitSums(target),) if numeric == "target" else ()
    return PlaceOps(target), *split, FuseEpilogues(), TypeSums(target, numeric)


def scheduler(target: Target, options: Options) -> ScheduleNests:
    """The pass that gives every nest its schedule."""
    return ScheduleNests(target, options.objective, options.time_limit, options.jobs, constraints=options.constraints)


def stage_names(options: Options, target: Target) -> list[str]:
    """The stages in their order, as ``--dump-after`` calls them."""
    before = (*native_passes(target, options.numeric), *standard_passes())
    passes = (*before, *options.passes, *placing_passes(target, options.numeric), scheduler(target, options))
    return [FIRST, *(item.name for item in passes), LAST]


def run_passes(graph: Graph, passes: tuple[Pass, ...], instruments: Instruments) -> Graph:
    """A graph after passes alone, as ``effc opt`` runs them."""
    instruments.check(item.name for item in passes)
    run = _Run(instruments)
    for item in passes:
        graph = run.apply_foreign(item, graph)
    return graph


class _Run:
    """The stages of one run, numbered."""

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.number = 0

    def lower(self, model: Model, options: Options, host: Mapping[str, str], name: str) -> Graph:
        from effc.compiler.frontend.from_onnx import lower

        work = partial(lower, model, batch=options.batch, dims=options.dims, name=name, host=host, meanwhile=_load_rest)
        return self._stage(FIRST, work)

    def apply(self, item: Pass, graph: Graph) -> Graph:
        """The graph after a pass of effc's own."""
        return self._stage(item.name, partial(everywhere, item.run, graph))

    def apply_foreign(self, item: Pass, graph: Graph) -> Graph:
        """The graph after a pass that anyone may have written."""
        return self._stage(item.name, partial(everywhere, partial(_guarded, item), graph))

    def schedule(self, item: ScheduleNests, graph: Graph, watch: Watch | None, cache: Cache | None) -> Solved:
        """The graph after the search."""
        solved: list[Solved] = []

        def work() -> Graph:
            solved.append(item.solve(graph, watch, cache))
            return solved[0].graph

        self._stage(item.name, work)
        return solved[0]

    def emit(self, graph: Graph, target: Target) -> Program:
        """The program of the accelerator."""
        from effc.backends.accel import emit, print_program

        self.number += 1
        return self.instruments.stage(self.number, LAST, partial(emit, graph, target), print_program)

    def _stage(self, name: str, work: Callable[[], Graph]) -> Graph:
        self.number += 1
        return self.instruments.stage(self.number, name, work)


def _load_rest() -> None:
    """Import what the stages behind the front end need."""
    import effc.backends.accel
    import effc.compiler.search.workers  # noqa: F401


def _guarded(item: Pass, graph: Graph) -> Graph:
    """Run a pass; whatever it does wrong is reported with its name."""
    try:
        result = item.run(graph)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"the pass '{item.name}' failed: {type(error).__name__}: {error}") from error
    if not isinstance(result, Graph):
        raise InputError(f"the pass '{item.name}' gave no graph", expected="a Graph", remedy="return graph")
    verify_after(item.name, result)
    return result
