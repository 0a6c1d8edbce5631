"""Rules that look obvious and are wrong: a search that used one of them would miss these optima."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest

from effc.compiler.search import find, kernels, search
from effc.compiler.search.bounds import points_inside, touched
from effc.compiler.search.climb import equal_pieces
from effc.compiler.search.encode import Encoder, Groups, groups_of
from effc.compiler.search.problem import Problem
from effc.compiler.target import load_target
from effc.compiler.target.model import Bank, FanOut, Level, Mac, MeshAxis, Target
from effc.ir import nests
from effc.ir.nest import Nest
from effc.ir.schedule import trips

FAN = FanOut("PE", (MeshAxis("x", 2),))


def problem_of(nest: Nest, target: Target) -> tuple[Problem, Groups]:
    problem = Problem(nest, target, "energy")
    groups = groups_of(problem)
    assert groups is not None
    return problem, groups


pytestmark = pytest.mark.skipif(not kernels.COMPILED, reason="takes long without the compiled kernel")


def machine(words: tuple[int, int, int, int], energies: tuple[int, int, int], mesh: tuple[int, int]) -> Target:
    """A global buffer and scratchpads for I, W, O; W may bypass the buffer."""
    dram, glb, spad = map(Fraction, energies)
    axes = tuple(MeshAxis(name, size) for name, size in zip("xy", mesh))
    levels = (
        Level("DRAM", (Bank(("I", "W", "O"), (), None, dram, dram),)),
        Level("GLB", (Bank(("I", "O"), ("W",), 16 * words[0], glb, glb),), fanout=FanOut("PE", axes)),
        Level("spad", tuple(Bank((o,), (), 16 * n, spad, spad) for o, n in zip("IWO", words[1:]))),
    )
    return Target("small", 16, Fraction(1), levels, Mac(Fraction(1)), energy_unit="x")


@pytest.mark.parametrize(
    ("nest", "target", "energy"),
    [
        # "the marks of an outer level stand outside those of inner levels" gives 411
        (nests.conv2d(n=2, k=1, c=3, p=1, q=1, r=1, s=1), machine((6, 4, 2, 2), (20, 6, 1), (2, 2)), 355),
        # "a loop of a window dim directly inside `keep I` moves outside" gives 240
        (nests.conv2d(n=1, k=1, c=1, p=3, q=1, r=3, s=1, stride=2), machine((8, 2, 1, 2), (5, 3, 1), (1, 2)), 224),
    ],
)
def test_rules_that_are_wrong(nest: Nest, target: Target, energy: int) -> None:
    best = search(nest, target, perfect_factors=True)
    assert (best.energy, best.certificate.status) == (energy, "optimal")


@pytest.mark.parametrize(
    ("nest", "energy"),
    [
        (nests.conv2d(n=1, k=64, c=64, p=56, q=56, r=1, s=1), 150347776),
        (nests.conv2d(n=1, k=512, c=128, p=28, q=28, r=1, s=1), 394637312),
        (nests.conv2d(n=1, k=256, c=256, p=14, q=14, r=3, s=3, stride=2), 777714688),
        (nests.conv2d(n=1, k=512, c=512, p=7, q=7, r=3, s=3), 1076795392),
        (nests.gemm(m=512, n=512, k=64), 153714688),
    ],
)
def test_optima_of_another_search(nest: Nest, energy: int) -> None:
    best = search(nest, load_target("eyeriss_like"), perfect_factors=True)
    assert (best.energy, best.certificate.status, best.certificate.gap) == (energy, "optimal", 0)


@pytest.mark.parametrize(
    ("nest", "energy"),
    [
        (nests.gemm(m=512, n=512, k=64), 153223168),  # 153714688 with steps that divide
        (nests.gemm(m=512, n=3072, k=768), 8666087424),  # 8815902720
        (nests.conv2d(n=1, k=512, c=256, p=28, q=28, r=1, s=1, stride=2), 752652288),  # 768106496
        (nests.conv2d(n=1, k=512, c=1024, p=14, q=14, r=1, s=1), 737198080),  # 769912832
        (nests.conv2d(n=1, k=256, c=256, p=14, q=14, r=3, s=3), 730918912),  # 737304576, without sliding windows
    ],
)
def test_optima_of_the_whole_space(nest: Nest, energy: int) -> None:
    best = find.search(nest, load_target("eyeriss_like"))
    assert (best.energy, best.certificate.status, best.certificate.gap) == (energy, "optimal", 0)


def test_nothing_is_proven_where_more_may_cost_less() -> None:
    """Psums at two levels below a fan-out that reduces: instances that start from zero save a read further in."""
    psums = Bank((), ("O",), 64, Fraction(12), Fraction(8))
    levels = (
        Level("L0", (Bank(("I", "W", "O"), (), None, Fraction(120), Fraction(60)),), fanout=FAN),
        Level("L1", (psums,)),
        Level("L2", (replace(psums, keeps=("O",), may_keep=(), read_energy=Fraction(6)),)),
    )
    target = Target("two levels of psums", 16, Fraction(1), levels, Mac(Fraction(1)), energy_unit="x")
    best = find.search(nests.gemm(m=1, n=14, k=1), target)
    assert best.certificate.status == "bounded"
    assert not Encoder(*problem_of(best.nest, target)).monotone
    assert Encoder(*problem_of(best.nest, load_target("eyeriss_like"))).monotone


def test_the_whole_space_is_no_worse() -> None:
    nest, target = nests.conv2d(n=1, k=64, c=256, p=14, q=14, r=1, s=1), load_target("eyeriss_like")
    perfect, full = search(nest, target, perfect_factors=True), search(nest, target)
    assert full.energy <= perfect.energy
    assert full.certificate.lower_bound <= full.energy


def test_bounds_and_tile_counts_of_huge_dims() -> None:
    """Worked out without a list of all indices; small ones are as such a list has them."""
    for p, r, stride, pad in product((1, 2, 5), (1, 2, 3), (1, 2, 4), (0, 1, 2)):
        nest = nests.conv2d(n=1, k=1, c=1, p=p, q=1, r=r, s=1, stride=stride)
        (axis,) = (replace(axis, offset=-pad) for axis in nest.operands["I"].axes if "P" in axis.dims)
        inside = [i for i in (stride * a + b - pad for a in range(p) for b in range(r)) if 0 <= i < axis.size]
        assert (touched(axis, nest), points_inside(axis, nest)) == (len(set(inside)), len(inside))
    huge = nests.conv2d(n=1, k=1, c=1, p=1 << 31, q=1, r=3, s=1, stride=1)
    (axis,) = (axis for axis in huge.operands["I"].axes if "P" in axis.dims)
    assert (touched(axis, huge), points_inside(axis, huge)) == ((1 << 31) + 2, 3 << 31)
    assert all(equal_pieces(n) == {trips(n, size) for size in range(1, n + 1)} for n in range(1, 200))
