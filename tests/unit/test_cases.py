"""The random cases reach what they are meant to reach: no feature of the semantics goes untested."""

from collections.abc import Callable
from random import Random

import pytest
from cases import Case, random_case

from effc.compiler.cost import count
from effc.ir.schedule import For, Keep, Par


def multicasts(case: Case) -> set[str]:
    used = {(item.level, item.axis) for item in case.schedule.items if isinstance(item, Par)}
    return {
        axis.multicast
        for level in case.target.levels
        if level.fanout
        for axis in level.fanout.axes
        if (level.name, axis.name) in used
    }


def ragged(case: Case, kind: type) -> bool:
    return any(isinstance(loop, kind) and extent % loop.step for _, loop, extent in case.schedule.loops(case.nest))


def uneven(case: Case) -> bool:
    """A mark of an inner level stands outside a mark of an outer one."""
    levels = [case.target.index[item.level] for item in case.schedule.items if isinstance(item, Keep)]
    return levels != sorted(levels)


def returns(case: Case) -> bool:
    return any(t.kind == "return" and t.words.reads for t in count(case.nest, case.schedule, case.target).transfers)


def bypasses(case: Case) -> bool:
    """An operand travels past a level with a fan-out above or below it."""
    kept = {o: [case.target.index[level] for _, level in case.schedule.keeps(o)] for o in case.nest.operands}
    return any(levels and levels != list(range(1, len(levels) + 1)) for levels in kept.values())


FEATURES: dict[str, Callable[[Case], bool]] = {
    "multicast of words": lambda case: "words" in multicasts(case),
    "multicast of tiles": lambda case: "tiles" in multicasts(case),
    "no multicast": lambda case: "none" in multicasts(case),
    "all three at once": lambda case: len(multicasts(case)) == 3,
    "two fan-outs": lambda case: len({i.level for i in case.schedule.items if isinstance(i, Par)}) >= 2,
    "several dims on one axis": lambda case: (
        len([(i.level, i.axis) for i in case.schedule.items if isinstance(i, Par)])
        > len({(i.level, i.axis) for i in case.schedule.items if isinstance(i, Par)})
    ),
    "spatial reduction": lambda case: any(
        isinstance(i, Par) and i.dim in case.nest.reduction_dims for i in case.schedule.items
    ),
    "returning partial sums": returns,
    "ragged loops": lambda case: ragged(case, For),
    "ragged pars": lambda case: ragged(case, Par),
    "uneven placement": uneven,
    "bypass": bypasses,
    "groups": lambda case: "G" in case.nest.bounds,
    "bias": lambda case: case.nest.bias is not None,
    "padding": lambda case: any(axis.offset < 0 for axis in case.nest.reads[0].axes),
    "stride and dilation": lambda case: any(
        len(axis.terms) == 2 and axis.terms[0][0] > 1 and axis.terms[1][0] > 1 for axis in case.nest.reads[0].axes
    ),
    "padding stored outside, free inside": lambda case: (
        [level.padding for level in case.target.levels[:2]] == ["stored", "free"]
    ),
    "sliding windows": lambda case: any(level.sliding for level in case.target.levels),
    "matrix products": lambda case: case.nest.name == "gemm",
}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [random_case(Random(seed), macs=400) for seed in range(300)]


@pytest.mark.parametrize("feature", FEATURES)
def test_feature_is_reached(feature: str, cases: list[Case]) -> None:
    assert sum(map(FEATURES[feature], cases)) >= 9
