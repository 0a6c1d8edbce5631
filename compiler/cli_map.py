"""``effc map`` and ``effc evaluate``: nests without any ONNX model."""

from __future__ import annotations

import hashlib
import os
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import effc
from effc.compiler.cli_output import (
    cache_of,
    check_outputs,
    constraints_of,
    owns_stdout,
    progress,
    write_json,
    write_result,
)
from effc.compiler.errors import InputError

if TYPE_CHECKING:
    from effc.compiler.report import Layer, Report
    from effc.compiler.search.result import Best
    from effc.compiler.target.model import Target


def map_(arguments: Namespace) -> int:
    """Find a schedule for every layer of a list. Interrupted, it prints the best that it has found so far."""
    from effc.compiler.api import find_target, open_cache
    from effc.compiler.layer_list import read_layers
    from effc.compiler.passes.schedule_nests import ScheduleNests, Watch
    from effc.compiler.report import nest_layer

    check_outputs(arguments, "json", "csv")
    target = find_target(arguments.target)
    nests = read_layers(Path(arguments.layers))
    jobs = arguments.jobs or os.cpu_count() or 1
    scheduler = ScheduleNests(
        target,
        arguments.objective,
        arguments.time_limit,
        jobs,
        arguments.perfect_factors,
        constraints_of(arguments),
    )
    found: dict[str, Best] = {}
    code = done = 0
    try:
        with progress() as shown:

            def improved(name: str, best: Best) -> None:
                found[name] = best
                shown.improved(name, best)

            watch = Watch(shown.nest, improved)
            for name, answer in scheduler.each(nests, watch, open_cache(cache_of(arguments))):
                if isinstance(answer, InputError):
                    raise InputError(
                        answer.message, f"{arguments.layers}: layer '{name}'", answer.expected, answer.remedy
                    )
                found[name] = answer
                done += 1
    except KeyboardInterrupt:
        code = 130
        print(f"effc: interrupted: {done} of {len(nests)} layers are done", file=sys.stderr)
    layers = [nest_layer(found[nest.name], target) for nest in nests if nest.name in found]
    _write(arguments, layers, target, arguments.objective, Path(arguments.layers))
    return code


def evaluate(arguments: Namespace) -> int:
    """Count and cost one nest with its loops."""
    from effc.compiler.api import find_target
    from effc.compiler.cli_opt import source
    from effc.compiler.passes.schedule_nests import given
    from effc.compiler.report import nest_layer
    from effc.ir import parse_scheduled

    check_outputs(arguments, "json")
    target = find_target(arguments.target)
    nest, schedule = parse_scheduled(*source(arguments.nest))
    layer = nest_layer(given(nest, schedule, target, "energy"), target)
    if arguments.density:
        from effc.compiler.api import evaluate as cost
        from effc.compiler.report.zeros import expected_zeros

        densities = dict(arguments.density)
        found = cost(nest, target, schedule, densities=densities)
        layer = replace(layer, zeros=expected_zeros(nest, target, found, densities))
    _write(arguments, [layer], target, "energy", Path(arguments.nest))
    return 0


def _write(arguments: Namespace, layers: list[Layer], target: Target, objective: str, path: Path) -> None:
    from effc.compiler.report.codec import encode

    write_json(arguments.json, {"layers": encode(layers)})
    shown = _report(layers, target, objective, path)
    if getattr(arguments, "csv", None):
        from effc.compiler.report.csv_ import to_csv

        write_result(arguments.csv, to_csv(shown))
    if layers and not owns_stdout(arguments, "json", "csv"):
        from effc.compiler.report.rows import front_table, layer_table, words_table
        from effc.compiler.report.tables import console_for, print_table
        from effc.compiler.report.zeros import zeros_table

        fronts = [front_table(shown)] if any(layer.front for layer in layers) else []
        zeros = [zeros_table(shown)] if shown.totals.zeros is not None else []
        for table in (layer_table(shown), *fronts, words_table(shown), *zeros):
            print_table(table, console_for())


def _report(layers: list[Layer], target: Target, objective: str, path: Path) -> Report:
    """The layers as a report, of which only the tables of layers are shown."""
    from effc.compiler.report import ModelInfo, Report, target_info, totals
    from effc.compiler.report.model import SCHEMA
    from effc.compiler.report.zeros import total_zeros

    digest = hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
    model = ModelInfo(str(path), digest, sum(layer.macs for layer in layers), 0, path.stem)
    return Report(
        SCHEMA,
        effc.__version__,
        model,
        target_info(target),
        objective,
        replace(totals(target, tuple(layers)), zeros=total_zeros(tuple(layers))),
        tuple(layers),
        (),
    )
