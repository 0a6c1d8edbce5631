"""What ``import effc`` offers for single nests."""

import subprocess
import sys
from pathlib import Path

import pytest
from small import write_small

import effc

NEST = effc.nests.gemm(m=4, n=6, k=8)
TEXT = """
for M in 0..4
  keep I @ GLB
  keep O @ GLB
  keep I @ spad
  keep W @ spad
  keep O @ spad
  for N in 0..6
    for K in 0..8
"""


def test_a_schedule_is_costed_under_two_conventions() -> None:
    best = effc.search(NEST, "eyeriss_like", time_limit=1.0)
    ours = effc.evaluate(NEST, "eyeriss_like", best.schedule)
    assert (ours.energy, ours.cycles) == (best.energy, best.cycles)
    target = effc.load_target("eyeriss_like")
    theirs = effc.evaluate(NEST, target, TEXT, convention="timeloop")
    assert theirs.macs == 4 * 6 * 8
    assert theirs.cycles == effc.evaluate(NEST, target, TEXT).cycles


def test_densities() -> None:
    dense, sparse = (effc.evaluate(NEST, "eyeriss", TEXT, densities=given) for given in (None, {"I": 0.25}))
    assert (dense.savings.gated, sparse.savings.gated) == (0, 4 * 6 * 8 * 3 // 4)
    assert sparse.energy < dense.energy
    assert sparse.cycles == dense.cycles
    with pytest.raises(effc.InputError, match="gemm has no operand 'X'"):
        effc.evaluate(NEST, "eyeriss", TEXT, densities={"X": 0.5})
    with pytest.raises(effc.InputError, match=r"a density of I of 1\.5"):
        effc.evaluate(NEST, "eyeriss", TEXT, densities={"I": 1.5})


def test_an_unknown_convention() -> None:
    with pytest.raises(effc.InputError, match="convention"):
        effc.evaluate(NEST, "eyeriss_like", TEXT, convention="scalesim")  # type: ignore[call-overload]


def test_a_script_that_starts_itself_again_is_told_so(tmp_path: Path) -> None:
    write_small(tmp_path)
    script = tmp_path / "script.py"
    script.write_text("import effc\neffc.compile('small.onnx', 'tiny.hw', jobs=2, time_limit=1)\n")
    command = [sys.executable, script.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert 'remedy:   put the call under `if __name__ == "__main__":`' in done.stderr
