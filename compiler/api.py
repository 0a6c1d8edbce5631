"""What ``import effc`` offers: compile a model, load an artefact, search and cost a nest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from effc.compiler.cost import Evaluation
from effc.compiler.cost import evaluate as cost
from effc.compiler.digests import Digests
from effc.compiler.errors import InputError
from effc.compiler.original import original
from effc.compiler.passes.base import Pass
from effc.compiler.passes.instruments import Instruments, from_environment
from effc.compiler.passes.schedule_nests import Objective, Progress, Watch, nobody
from effc.compiler.passes.textual import parse_pipeline
from effc.compiler.pipeline import Backend, Options, compile_model
from effc.compiler.program import CompiledProgram, sizes_text
from effc.compiler.report import build_report, model_info
from effc.compiler.search import Best
from effc.compiler.target import bundled_targets, load_target
from effc.compiler.target.model import Target
from effc.ir.bodies import every_constant
from effc.ir.constants import digest
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

if TYPE_CHECKING:
    import onnx

    from effc.backends.accel import Program
    from effc.compiler.passes.type_sums import NumericMode
    from effc.compiler.replay import TimeloopCounts
    from effc.compiler.search.cache import Cache

MOST_VARIANTS = 64
"""Combinations of sizes that one artefact holds."""

OBJECTIVES = ("energy", "latency", "edp", "dram", "pareto")
BACKENDS = ("accel", "cpu")
NUMERIC = ("reference", "target")
CONVENTIONS = ("effc", "timeloop")


def compile(  # noqa: A001 - it is what users look for
    model: str | Path | onnx.ModelProto,
    target: str | Path | Target,
    objective: Objective = "energy",
    backend: Backend = "accel",
    batch: int = 1,
    dims: Mapping[str, int | Sequence[int]] | None = None,
    *,
    numeric: NumericMode = "reference",
    passes: str | Iterable[Pass] = (),
    constraints: str | Path = "",
    time_limit: float | None = None,
    jobs: int = 1,
    dump_after: str = "",
    dump_dir: str | Path | None = None,
    cache: bool | str | Path = False,
    in_place: bool = False,
    progress: Progress | None = None,
    improved: Callable[[str, Best], None] | None = None,
    stages: Callable[[str], None] | None = None,
) -> CompiledProgram:
    """Compile an ONNX model for a target.

    ``dims`` gives symbolic dims their values, the batch dim takes ``batch``; of a dim with several values the model is
    compiled for each, and a run takes the program that fits its inputs. ``numeric="target"``: an error unless the MACs
    of the target multiply all types of the model natively. ``passes``, values or a text as
    ``effc opt`` takes it, run before ops get their places. ``constraints``: a dataflow, a file, or the text of one, as
    `docs/mapping.md` has it. ``time_limit`` bounds the search, in seconds; ``jobs`` is
    how many processes search. ``cache``: whether solved nests are kept on disk, or in which folder. ``in_place``: the
    weights are not read, but mapped; the files of the model must stay as they are while the program is used.
    ``progress`` is called with (nest, done, of how many), ``improved`` with (nest, best schedule so far), ``stages``
    with a stage's name.
    """
    began = time.perf_counter()
    _check("objective", objective, OBJECTIVES)
    _check("backend", backend, BACKENDS)
    _check("numeric", numeric, NUMERIC)
    given = _Model(model, in_place)
    with given.digests:
        machine = find_target(target)
        own = tuple(parse_pipeline(passes, machine)) if isinstance(passes, str) else tuple(passes)
        rules = constraints_text(constraints)
        options = [
            Options(objective, backend, batch, binding, own, time_limit, jobs, rules, numeric)
            for binding in bindings(dims or {})
        ]
        instruments = from_environment(dump_after, None if dump_dir is None else Path(dump_dir), stages)
        watch = Watch(progress or nobody, improved or nobody)
        return _compile(given, machine, options, instruments, watch, open_cache(cache), began)


def constraints_text(given: str | Path) -> str:
    """The text of constraints: of a dataflow by its name, of a file, or as it is."""
    from effc.compiler.search.constraint_text import parse_constraints, read_constraints
    from effc.compiler.search.constraints import DATAFLOWS

    if isinstance(given, Path) or given in DATAFLOWS:
        return read_constraints(given)
    parse_constraints(given)
    return given


def open_cache(given: bool | str | Path) -> Cache | None:
    """The cache of solved nests: none, the user's, or that in a folder."""
    if given is False:
        return None
    from effc.compiler.search.cache import Cache

    return Cache(None if given is True else given)


def find_target(given: str | Path | Target) -> Target:
    """A target, by its file or its name; ``eyeriss.hw`` is the bundled one where there is no such file."""
    if isinstance(given, Target):
        return given
    name = str(given).removesuffix(".hw")
    if name in bundled_targets() and not Path(given).exists():
        return load_target(name)
    return load_target(given)


def load(path: str | Path) -> CompiledProgram:
    """The compiled model in a ``.effx`` file."""
    from effc.compiler import artefact

    return artefact.load(path)


def search(
    nest: Nest,
    target: str | Path | Target,
    objective: Objective = "energy",
    *,
    perfect_factors: bool = False,
    constraints: str | Path = "",
    time_limit: float | None = None,
    cache: bool | str | Path = False,
    progress: Callable[[Best], None] | None = None,
) -> Best:
    """The best schedule of a nest on a target, with its certificate.

    ``constraints``: a dataflow, a file, or the text of one, as `docs/mapping.md` has it; the certificate is relative to
    them. ``time_limit`` is in seconds. ``cache``: whether solved nests are kept on disk, or in which folder.
    ``progress`` is called with every better answer on the way. An ``InputError`` if no schedule is legal.
    """
    from effc.compiler.search.constraint_text import parse_constraints
    from effc.compiler.search.task import Task
    from effc.compiler.search.workers import solve_all

    _check("objective", objective, OBJECTIVES)
    rules = parse_constraints(constraints_text(constraints)).of(nest.name)
    task = Task(nest, find_target(target), objective, perfect_factors, rules)
    tell = None if progress is None else lambda number, best: progress(best)
    (answer,) = solve_all([task], time_limit=time_limit, cache=open_cache(cache), improved=tell)
    if isinstance(answer, InputError):
        raise answer
    return answer


@overload
def evaluate(
    nest: Nest,
    target: str | Path | Target,
    schedule: Schedule | str,
    convention: Literal["effc"] = "effc",
    *,
    densities: Mapping[str, float | Fraction] | None = None,
) -> Evaluation: ...


@overload
def evaluate(
    nest: Nest, target: str | Path | Target, schedule: Schedule | str, convention: Literal["timeloop"]
) -> TimeloopCounts: ...


def evaluate(
    nest: Nest,
    target: str | Path | Target,
    schedule: Schedule | str,
    convention: Literal["effc", "timeloop"] = "effc",
    *,
    densities: Mapping[str, float | Fraction] | None = None,
) -> Evaluation | TimeloopCounts:
    """What a schedule, given as a value or as text, moves and costs; an ``InputError`` if it is not legal.

    ``convention="timeloop"`` counts as Timeloop does: see `docs/replay.md`. ``densities``: by the name of an operand
    the share of its words that are not zero; what the target then gates and compresses is in ``savings``.
    """
    from effc.ir import parse_schedule

    _check("convention", convention, CONVENTIONS)
    machine = find_target(target)
    parsed = parse_schedule(schedule, nest) if isinstance(schedule, str) else schedule
    if convention == "effc":
        return cost(nest, parsed, machine, _shares(nest, densities or {}))
    from effc.compiler.replay import timeloop_counts

    return timeloop_counts(nest, parsed, machine)


def _shares(nest: Nest, densities: Mapping[str, float | Fraction]) -> dict[str, Fraction]:
    """Densities as exact shares; an ``InputError`` if one is none, or of no operand."""
    for name, density in densities.items():
        if name not in nest.operands:
            known = ", ".join(nest.operands)
            raise InputError(f"{nest.name} has no operand '{name}'", expected=known, remedy="name one of them")
        if not 0 <= density <= 1:
            raise InputError(
                f"a density of {name} of {density}", expected="0 to 1: the share of words that are not zero"
            )
    return {name: Fraction(str(density)) for name, density in densities.items()}


def bindings(dims: Mapping[str, int | Sequence[int]]) -> list[dict[str, int]]:
    """Every combination of the values of dims, the last dim changing first."""
    values = [[size] if isinstance(size, int) else list(dict.fromkeys(size)) for size in dims.values()]
    if empty := [name for name, sizes in zip(dims, values) if not sizes]:
        raise InputError(f"{empty[0]} has no value", expected="a whole number, or several")
    combinations = [dict(zip(dims, sizes)) for sizes in product(*values)]
    if len(combinations) > MOST_VARIANTS:
        raise InputError(f"{len(combinations)} combinations of sizes", expected=f"at most {MOST_VARIANTS}")
    return combinations


class _Model:
    """A model as the user gives it: a file, or a message. Digests are taken beside what else is done."""

    def __init__(self, given: str | Path | onnx.ModelProto, in_place: bool) -> None:
        from effc.compiler.frontend.read import content_of, guard, model_of
        from effc.compiler.frontend.weights import Files

        self.path = Path(given) if isinstance(given, (str, Path)) else None
        files = Files(in_place)
        if self.path is not None:
            content = content_of(self.path, files)
        else:
            assert not isinstance(given, (str, Path))
            with guard("the message cannot be read: give the path of a file"):
                content = memoryview(given.SerializeToString(deterministic=True))
        with Digests(content) as self.digests:
            self.model = model_of(content, self.path, files)
            self.digests.add(self.model.weights.values())

    @property
    def name(self) -> str:
        return self.path.stem if self.path is not None else ""


def _compile(
    model: _Model,
    target: Target,
    variants: Sequence[Options],
    instruments: Instruments,
    watch: Watch,
    cache: Cache | None,
    began: float,
) -> CompiledProgram:
    """The program for the first options, with those for the others."""
    results = []
    for options in variants:
        compiled = compile_model(model.model, target, options, instruments, watch, model.name, cache)
        bounds = _bounds(compiled.program, target)
        report = build_report(
            model=model_info(compiled.graph, "", None if model.path is None else str(model.path)),
            target=target,
            objective=options.objective,
            graph=compiled.graph,
            results=compiled.results,
            search_s=compiled.search_s,
            compile_s=time.perf_counter() - began,
            saved_words=compiled.saved_words,
            bounds=bounds,
        )
        results.append((compiled, report))
    model.digests.finish_weights()
    known = [{digest(value) for value in every_constant(compiled.graph).values()} for compiled, _ in results]
    shell = original(model.model, set.intersection(*known))
    first, *others = (
        CompiledProgram(
            c.graph,
            target,
            report,
            model.digests.of_content,
            options.backend,
            c.program,
            shell,
            sizes_text(options.dims),
        )
        for (c, report), options in zip(results, variants)
    )
    return replace(first, others=tuple(others))


def _bounds(program: Program | None, target: Target) -> dict[str, str]:
    """What takes longest in every layer on the array, from the machine's clock."""
    from effc.backends.accel import timings

    return {} if program is None else {name: found.bound_by for name, found in timings(program, target).items()}


def _check(what: str, value: Any, known: tuple[str, ...]) -> None:
    if value == "gpu":
        raise InputError("the gpu backend is not built yet", expected=", ".join(known))
    if value not in known:
        raise InputError(f"unknown {what} '{value}'", expected=", ".join(known))
