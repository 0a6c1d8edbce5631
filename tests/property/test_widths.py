"""Elements of different widths: the search against brute force, with steps that divide."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from drawn import random_nest, random_target
from oracle import optimum, space

from effc.compiler.cost import evaluate, try_schedule
from effc.compiler.search import search
from effc.compiler.search.perfect import perfect
from effc.compiler.search.problem import without_windows
from effc.compiler.search.whole import relaxed_bound
from effc.compiler.target.model import Numeric, Target
from effc.compiler.target.widths import WORDS, Widths
from effc.ir.errors import InputError
from effc.ir.nest import Nest


def random_widths(random: Random, nest: Nest, target: Target) -> Target:
    """The target for a layer whose elements take different bits, and whose banks may have words of their own."""
    pick = random.choice
    sizes = [None, Fraction(4), Fraction(8), Fraction(16), Fraction(32)]
    widths = Widths(tuple((name, pick(sizes)) for name in "IWO"), pick(sizes), pick([0, nest.output.words]))
    levels = tuple(
        replace(level, banks=tuple(replace(bank, word_bits=pick([None, None, 8, 32])) for bank in level.banks))
        for level in target.levels
    )
    return replace(target, numeric=Numeric(("int8",), packing=pick([True, False])), levels=levels, widths=widths)


def test_the_search_knows_widths() -> None:
    compared = proven = changed = 0
    for seed in range(300_000, 300_080):
        random = Random(seed)
        nest, plain = random_nest(random), random_target(random, sliding=False)
        target, objective = random_widths(random, nest, plain), random.choice(["energy", "energy", "dram"])
        if space(nest, target, True) > 500:
            continue
        least, _ = optimum(nest, target, objective, True)
        if least is None:
            with pytest.raises(InputError):
                search(nest, target, objective, perfect_factors=True)
            continue
        best = search(nest, target, objective, perfect_factors=True)
        value = evaluate(nest, best.schedule, without_windows(target)).value(objective)
        assert best.certificate.value == value >= least >= best.certificate.lower_bound, seed
        compared += 1
        words = try_schedule(nest, best.schedule, replace(target, widths=WORDS))
        changed += isinstance(words, list) or words.value(objective) != value
        proven += perfect(nest, target, objective).lower_bound == least
        assert relaxed_bound(nest, target, objective, least + 1000).lower_bound <= least, seed
    assert compared >= 30
    assert changed >= 20
    assert proven >= 0.9 * compared
