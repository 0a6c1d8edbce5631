"""Whole networks on bundled targets, steps that divide: what is proven with no limit of time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from effc.compiler.frontend.from_onnx import lower
from effc.compiler.passes.schedule_nests import ScheduleNests
from effc.compiler.search import kernels
from effc.compiler.target import bundled_targets, load_target
from effc.ir.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))

from build import MODELS, build


@pytest.mark.validate
@pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")
@pytest.mark.parametrize("target", bundled_targets())
@pytest.mark.parametrize("model", MODELS)
def test_what_is_proven(model: str, target: str) -> None:
    nests = [op.nest for op in lower(build(model, False)).nests]
    found = list(ScheduleNests(load_target(target), perfect_factors=True).each(nests))
    assert not [name for name, answer in found if isinstance(answer, InputError)]
    gaps = {name: answer.certificate.gap for name, answer in found if not isinstance(answer, InputError)}
    assert len(gaps) == len(nests) > 2
    assert not {name: float(gap) for name, gap in gaps.items() if gap}
