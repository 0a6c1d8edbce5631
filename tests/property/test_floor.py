"""The floor of words at the outermost level: no schedule undercuts it, and one buffer reaches it."""

from __future__ import annotations

from random import Random

import pytest
from drawn import random_nest, random_target
from oracle import optimum, space

from effc.compiler.search import search
from effc.compiler.search.bounds import floor_dram_words
from effc.compiler.search.floor import dram_floor, one_buffer
from effc.compiler.target import load_target
from effc.ir import nests


def drawn(first: int, last: int, most: int) -> tuple[int, int]:
    """How many cases were compared with brute force, and how many of the floors lie above the compulsory words."""
    compared = above = 0
    for seed in range(first, last):
        random = Random(seed)
        nest, target = random_nest(random), random_target(random, sliding=True)
        if space(nest, target) > most:
            continue
        least, _ = optimum(nest, target, "dram")
        if least is not None:
            floor = dram_floor(nest, target)
            assert floor_dram_words(nest, target) <= floor <= least, seed
            compared, above = compared + 1, above + (floor > floor_dram_words(nest, target))
    return compared, above


def test_no_schedule_undercuts_it() -> None:
    compared, above = drawn(120, 240, 300)
    assert compared >= 25
    assert above >= 1


@pytest.mark.validate
@pytest.mark.parametrize("part", range(20))
def test_no_schedule_undercuts_many(part: int) -> None:
    compared, _ = drawn(1000 + 200 * part, 1200 + 200 * part, 10_000)
    assert compared >= 60


def test_a_matrix_product_larger_than_the_chip() -> None:
    """512 x 512 psums or more do not fit: something is read twice, and the bound says how often."""
    nest, target = nests.gemm(m=1024, n=1024, k=512), load_target("eyeriss_like")
    buffer = one_buffer(nest, target)
    assert buffer is not None
    best = search(nest, buffer, "dram")
    assert floor_dram_words(nest, target) < dram_floor(nest, target) <= best.evaluation.dram_words
    assert dram_floor(nest, target) == best.certificate.floor_dram_words


def test_a_network_on_chip_that_holds_everything() -> None:
    nest = nests.gemm(m=64, n=64, k=64)
    assert dram_floor(nest, load_target("tpu_v1")) == floor_dram_words(nest, load_target("tpu_v1")) == 3 * 64 * 64
