"""The words that a report calls saved are those that the counters of the program lack, in whole networks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import effc
from effc.compiler import pipeline
from effc.compiler.inputs import random_inputs
from effc.compiler.program import CompiledProgram
from effc.ir.bodies import every_op
from effc.ir.counters import EPILOGUE_NAME
from effc.ir.graph import NestOp

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))
from build import build


def compiled(name: str) -> CompiledProgram:
    return effc.compile(build(name), "eyeriss", time_limit=0.1)


def moved(program: CompiledProgram) -> int:
    """The words that operators beside the nests, and epilogues, move to and from the DRAM."""
    nests = {op.name for op, _ in every_op(program.graph) if isinstance(op, NestOp)}
    counters = program.execute(random_inputs(program.graph, 0)).counters
    return sum(
        words
        for name, found in counters.items()
        for table in (found.reads, found.writes)
        for (level, operand), words in table.items()
        if level == "DRAM" and (name not in nests or operand == EPILOGUE_NAME)
    )


@pytest.mark.parametrize("name", ["vit_tiny", "unet_tiny"])
def test_saved_words_are_not_moved(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fused = compiled(name)
    placing = pipeline.placing_passes
    monkeypatch.setattr(pipeline, "standard_passes", lambda: ())
    monkeypatch.setattr(
        pipeline,
        "placing_passes",
        lambda *given: tuple(item for item in placing(*given) if item.name != "fuse-epilogues"),
    )
    apart = compiled(name)
    assert apart.report.totals.saved_words == 0
    assert moved(apart) - moved(fused) == fused.report.totals.saved_words > 1000
