"""``effc targets``, ``passes`` and ``ops``: what there is."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import MISSING

from effc.compiler.cli_load import load_files
from effc.compiler.cli_tables import print_rows


def targets(arguments: Namespace) -> int:
    """List the targets, or print the text of one."""
    from effc.compiler.report.text import quantity
    from effc.compiler.target import load_target, print_target, target_names

    if arguments.name is not None:
        target = load_target(arguments.name)
        sys.stdout.write(target.source or print_target(target))
        return 0
    rows = []
    for name in target_names():
        target = load_target(name)
        macs = target.instances(len(target.levels))
        on_chip = sum((b.bits or 0) * target.instances(i) for i, level in enumerate(target.levels) for b in level.banks)
        levels = " > ".join(level.name for level in target.levels)
        rows.append((name, f"{macs:,}", levels, quantity(on_chip, target.word_bits), target.technology))
    print_rows(("target", "MACs", "levels", "on chip", "technology"), rows)
    return 0


def passes(arguments: Namespace) -> int:
    """List the passes, or the options of one."""
    load_files(arguments.load)
    from effc.compiler.passes.registry import all_passes, find_pass, summary
    from effc.compiler.passes.textual import field_types, option_fields, option_name, print_value, type_name

    found = all_passes() if arguments.name is None else {arguments.name: find_pass(arguments.name)}
    rows = []
    for name, cls in found.items():
        rows.append((name, summary(cls)))
        for field in option_fields(cls):
            default = "" if field.default is MISSING else f"={print_value(field.default)}"
            rows.append((f"  {option_name(field)}{default}", type_name(field_types(cls)[field.name])))
    print_rows(("pass", "what it does; its options"), rows)
    return 0


def ops(arguments: Namespace) -> int:
    """List what becomes of the operators of ONNX."""
    from effc.compiler.frontend.lowerings import operator_table

    print_rows(("operator", "where", "forms, or why"), [(row.op, row.where, row.forms) for row in operator_table()])
    return 0
