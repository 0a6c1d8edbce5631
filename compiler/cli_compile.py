"""``effc compile``."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from effc.compiler.cli_load import load_files
from effc.compiler.cli_output import (
    REPORTS,
    cache_of,
    check_outputs,
    constraints_of,
    file_texts,
    progress,
    table_texts,
    write_result,
)
from effc.compiler.errors import InputError
from effc.compiler.mapped import ending_clearly

if TYPE_CHECKING:
    from effc.compiler.verify import Verification


def compile_(arguments: Namespace) -> int:
    """Compile a model, verify it if asked, write it and its report."""
    _refuse(arguments)
    check_outputs(arguments, "output", *REPORTS)
    load_files(arguments.load)
    from effc.compiler.api import compile as compile_model

    with ending_clearly(), progress() as shown:
        compiled = compile_model(
            arguments.model,
            arguments.target,
            arguments.objective,
            arguments.backend,
            arguments.batch,
            dict(arguments.dim),
            numeric=arguments.numeric,
            passes=arguments.passes,
            constraints=constraints_of(arguments),
            time_limit=arguments.time_limit,
            jobs=arguments.jobs or os.cpu_count() or 1,
            dump_after=arguments.dump_after,
            dump_dir=arguments.dump_dir,
            cache=cache_of(arguments),
            in_place=True,
            progress=shown.nest,
            improved=shown.improved,
            stages=shown.stage,
        )
        verification = None
        if arguments.verify:
            shown.stage("verify")
            verification = compiled.verify(progress=shown.layer)
        if arguments.data is not None:
            from effc.compiler.accuracy import with_accuracy

            compiled = with_accuracy(compiled, Path(arguments.data), shown.samples)
        extra = {"verification": verification.to_json()} if verification else {}
        if arguments.output:
            shown.stage("save")
        with compiled.saving(Path(arguments.output)) if arguments.output else nullcontext():
            lines = verification.lines() if verification else ()
            tables = list(table_texts({each.sizes: each.draft for each in compiled.variants}, arguments, lines))
            files = list(file_texts({each.sizes: each.report for each in compiled.variants}, arguments, extra))
    for where, text in (*files, *tables):
        write_result(where, text)
    return verdict(verification)


def verdict(verification: Verification | None) -> int:
    """The exit code; what differs is named on stderr."""
    if verification is None or verification.ok:
        return 0
    for check in verification.failed:
        for line in check.differences:
            print(f"{check.name}: {line}", file=sys.stderr)
    print(f"effc: verification failed: {len(verification.failed)} of {len(verification.checks)}", file=sys.stderr)
    return 1


def _refuse(arguments: Namespace) -> None:
    """Options that later versions will understand."""
    if arguments.backend == "gpu":
        raise InputError("the gpu backend is not supported yet", "effc compile", "--backend accel or cpu")
