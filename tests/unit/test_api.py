"""What ``import effc`` offers for single nests."""

import pytest

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


def test_an_unknown_convention() -> None:
    with pytest.raises(effc.InputError, match="convention"):
        effc.evaluate(NEST, "eyeriss_like", TEXT, convention="scalesim")  # type: ignore[call-overload]
