"""``effc run``, ``verify``, ``report`` and ``show``: what is done with a compiled model."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effc.compiler.cli_compile import verdict
from effc.compiler.cli_output import REPORTS, check_outputs, owns_stdout, progress, write_json, write_variants
from effc.compiler.errors import InputError

if TYPE_CHECKING:
    from effc.backends.accel import RunResult, Trace
    from effc.compiler.program import CompiledProgram
    from effc.compiler.report import Report
    from effc.ir.graph import Graph


def run(arguments: Namespace) -> int:
    """Run a model, and print or write its outputs."""
    check_outputs(arguments, "output", "json", "trace")
    with progress() as shown:
        shown.stage("load")
        compiled, inputs = _fitting(arguments, _load(arguments.artefact))
        shown.stage("run")
        trace = None if arguments.trace is None else _trace(compiled)
        result = _run(compiled, inputs, shown.layer, arguments.mode == "cycle", trace)
    outputs = result.outputs
    if arguments.output:
        from effc.compiler.npz import write_outputs

        write_outputs(Path(arguments.output), outputs)
    if trace is not None:
        write_json(arguments.trace, trace.to_json())
    shown_report = compiled.measured(result)
    write_json(arguments.json, {"outputs": _summaries(outputs), **_counted(result, shown_report)})
    if not owns_stdout(arguments, "json", "trace"):
        for name, summary in _summaries(outputs).items():
            print(f"{name}: {' '.join(f'{key} {value}' for key, value in summary.items())}")
        if result.timings:
            from effc.compiler.cli_tables import print_timings

            print_timings(result.timings)
        if result.zeros:
            from effc.compiler.report.tables import console_for, print_table
            from effc.compiler.report.zeros import zeros_table

            print_table(zeros_table(shown_report), console_for())
    return 0


def verify(arguments: Namespace) -> int:
    """Compare a compiled model with onnxruntime and with the cost model."""
    check_outputs(arguments, "json")
    with progress() as shown:
        shown.stage("load")
        compiled, given = _load(arguments.artefact), None
        if arguments.input is not None:
            compiled, given = _fitting(arguments, compiled)
        shown.stage("verify")
        verification = compiled.verify(given, arguments.seed, shown.layer)
    write_json(arguments.json, verification.to_json())
    if not owns_stdout(arguments, "json"):
        from effc.compiler.cli_tables import print_verification

        print_verification(verification)
    return verdict(verification)


def report(arguments: Namespace) -> int:
    """Show the report of a compiled model; with inputs, what their zeros save, too."""
    check_outputs(arguments, *REPORTS)
    if arguments.data is not None:
        return _measured(arguments)
    if arguments.input is None:
        from effc.compiler.artefact import load_reports

        write_variants(load_reports(arguments.artefact), arguments)
        return 0
    with progress() as shown:
        shown.stage("load")
        compiled, inputs = _fitting(arguments, _load(arguments.artefact))
        if not compiled.target.uses_zeros:
            message = f"{compiled.target.name} neither gates nor compresses: no input changes what it costs"
            raise InputError(message, "effc report", remedy="leave `--input` out")
        measured = compiled.measured(_run(compiled, inputs, shown.layer, False, None))
    write_variants({compiled.sizes: measured}, arguments)
    return 0


def _measured(arguments: Namespace) -> int:
    """Show the report of a compiled model with its accuracy."""
    from effc.compiler.accuracy import with_accuracy

    if arguments.input is not None:
        raise InputError("--input and --data are given", "effc report", "one of them", "ask for two reports")
    with progress() as shown:
        shown.stage("load")
        compiled = with_accuracy(_load(arguments.artefact), Path(arguments.data), shown.samples)
    write_variants({compiled.sizes: compiled.report}, arguments)
    return 0


def show(arguments: Namespace) -> int:
    """Show a compiled model, or one layer of it."""
    from effc.compiler.artefact import load

    sys.stdout.write(load(arguments.artefact, "absent").show(arguments.layer, arguments.form))
    return 0


def _load(path: str) -> CompiledProgram:
    """A program to run once or twice: its constants need not be in memory, but where the machine has them."""
    from effc.compiler.artefact import load

    return load(path, "stored")


def _fitting(arguments: Namespace, compiled: CompiledProgram) -> tuple[CompiledProgram, dict[str, Any]]:
    """The program for the inputs that the user gave, and those."""
    refusals = []
    for program in compiled.variants:
        try:
            return replace(program, others=()), _inputs(arguments, program.graph)
        except InputError as refusal:
            refusals.append(refusal)
    if compiled.others:
        sizes = "; ".join(program.sizes for program in compiled.variants)
        raise InputError(f"{refusals[0].message}, nor do other sizes fit", refusals[0].place, f"inputs for {sizes}")
    raise refusals[0]


def _inputs(arguments: Namespace, graph: Graph) -> dict[str, Any]:
    """The inputs that the user gave."""
    from effc.compiler.inputs import checked_inputs, saving
    from effc.compiler.npz import WHAT, read_inputs

    if arguments.input is None:
        if graph.inputs:
            raise InputError("no inputs", "effc run", WHAT, f"{saving(graph.inputs)}, then --input FILE")
        return {}
    path = Path(arguments.input)
    return checked_inputs(graph, read_inputs(path, graph), str(path))


def _run(
    compiled: CompiledProgram,
    inputs: Mapping[str, Any],
    progress: Callable[[int, str], None],
    cycles: bool,
    trace: Trace | None,
) -> RunResult:
    if compiled.backend == "cpu":
        from effc.backends.accel import RunResult

        if cycles or trace is not None:
            raise InputError("compiled for the CPU, which has no cycle mode", "effc run", remedy="--backend accel")
        return RunResult(compiled.run(inputs))
    return compiled.execute(inputs, progress=progress, cycles=cycles, trace=trace, zeros=True)


def _trace(compiled: CompiledProgram) -> Trace:
    from effc.backends.accel import Trace

    return Trace(compiled.target.name, compiled.target.clock_mhz)


def _summaries(outputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The types and shapes of outputs, and between what their numbers lie."""
    import numpy as np

    found: dict[str, dict[str, Any]] = {}
    for name, value in outputs.items():
        if not isinstance(value, np.ndarray):
            found[name] = {"type": type(value).__name__}
            continue
        found[name] = {"dtype": str(value.dtype), "shape": list(value.shape)}
        if value.size and value.dtype.kind in "fiub":
            found[name] |= {"min": value.min().item(), "max": value.max().item(), "argmax": int(value.argmax())}
    return found


def _counted(result: RunResult, report: Report) -> dict[str, Any]:
    """The counters of every layer, in cycle mode its time, where the target uses zeros those; and zeros in all."""
    from effc.compiler.report.codec import encode

    zeros = {layer.name: layer.zeros for layer in report.layers if layer.zeros is not None}
    layers = []
    for name, counted in result.counters.items():
        layer: dict[str, Any] = {"name": name, "counters": dict(counted.entries())}
        if timing := result.timings.get(name):
            layer |= {
                "cycles": timing.cycles,
                "bound_by": timing.bound_by,
                "utilization": timing.utilization,
                "ports": timing.ports,
                "stalls": timing.stalls,
            }
        if name in zeros:
            layer["zeros"] = encode(zeros[name])
        layers.append(layer)
    return {"layers": layers} | ({"zeros": encode(report.totals.zeros)} if zeros else {})
