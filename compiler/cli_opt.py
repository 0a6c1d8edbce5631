"""``effc opt``: textual IR in, textual IR out."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from effc.compiler.cli_load import load_files
from effc.compiler.cli_output import STDOUT, check_outputs, write_result
from effc.compiler.files import read_text


def opt(arguments: Namespace) -> int:
    """Run passes over the text of a graph."""
    check_outputs(arguments, "output")
    load_files(arguments.load)
    from effc.compiler.api import find_target
    from effc.compiler.passes.instruments import from_environment
    from effc.compiler.passes.textual import parse_pipeline
    from effc.compiler.pipeline import run_passes
    from effc.ir import parse_graph, print_graph

    target = None if arguments.target is None else find_target(arguments.target)
    passes = parse_pipeline(arguments.passes, target)
    text, name = source(arguments.graph)
    graph = parse_graph(text, None, name)
    folder = None if arguments.dump_dir is None else Path(arguments.dump_dir)
    result = run_passes(graph, passes, from_environment(arguments.dump_after, folder))
    write_result(arguments.output or STDOUT, print_graph(result))
    return 0


def source(path: str) -> tuple[str, str]:
    """A text and its name in messages; ``-`` is stdin."""
    if path != STDOUT:
        return read_text(Path(path), "a text"), path
    return sys.stdin.buffer.read().decode("utf-8", "replace"), "<stdin>"
