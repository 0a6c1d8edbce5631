"""The constructors of nests against the loops that they stand for, computed by numpy and by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from effc import ir
from effc.ir import nests


def run(nest: ir.Nest, *arrays: np.ndarray) -> np.ndarray:
    """The nest's output, straight from its definition."""
    values = dict(zip(nest.operands, arrays, strict=False))
    out = np.zeros(nest.output.shape)
    if nest.bias is not None:
        for index in np.ndindex(*out.shape):
            at = {dim: i for axis, i in zip(nest.output.axes, index, strict=True) for dim in axis.dims}
            out[index] = values["B"][tuple(at[dim] for axis in nest.bias.axes for dim in axis.dims)]
    for point in product(*(range(dim.bound) for dim in nest.dims)):
        at = dict(zip(nest.bounds, point, strict=True))
        out[_index(nest.output, at)] += np.prod([_word(read, values[read.name], at) for read in nest.reads])
    return out


def _index(operand: ir.Operand, at: dict[str, int]) -> tuple[int, ...]:
    return tuple(axis.offset + sum(c * at[dim] for c, dim in axis.terms) for axis in operand.axes)


def _word(operand: ir.Operand, array: np.ndarray, at: dict[str, int]) -> float:
    index = _index(operand, at)
    inside = all(0 <= i < size for i, size in zip(index, operand.shape, strict=True))
    return float(array[index]) if inside else 0.0


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(-4, 5, shape).astype(float)


def operands(nest: ir.Nest) -> list[np.ndarray]:
    return [numbers(*operand.shape) for operand in nest.operands.values()][:-1]


def correlate(x: np.ndarray, w: np.ndarray, strides: Any, dilations: Any, pads: Any) -> np.ndarray:
    """A plain convolution of [N, C, H, W] with [K, C, R, S]."""
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    rows, columns = ((w.shape[2 + i] - 1) * dilations[i] + 1 for i in (0, 1))
    windows = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), (2, 3))
    windows = windows[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    return np.einsum("ncpqrs,kcrs->nkpq", windows, w)


@pytest.mark.parametrize(
    ("stride", "dilation", "pad"),
    [(1, 1, 0), (2, 1, 1), ((2, 1), (1, 2), (1, 0, 2, 3)), (1, (2, 1), (0, 1, 0, 1))],
)
def test_conv2d(stride: Any, dilation: Any, pad: Any) -> None:
    nest = nests.conv2d(2, 3, 2, 4, 3, 3, 2, stride, dilation, pad)
    x, w = operands(nest)
    twice = [value if isinstance(value, tuple) else (value, value) for value in (stride, dilation)]
    pads = pad if isinstance(pad, tuple) else (pad,) * 4
    assert np.array_equal(run(nest, x, w), correlate(x, w, *twice, pads))


def test_the_plane_is_as_large_as_needed_or_as_told() -> None:
    assert nests.conv2d(1, 1, 1, 56, 28, 3, 1, stride=(1, 2)).operands["I"].shape[2:] == (58, 55)
    given = nests.conv2d(1, 64, 3, 112, 112, 7, 7, stride=2, pad=3, h=224, w=224)
    assert given.operands["I"].axes[2] == ir.Axis(((2, "P"), (1, "R")), -3, 224)


def test_groups_are_a_dim_of_every_operand() -> None:
    nest = nests.conv2d(2, 6, 4, 3, 3, 2, 2, groups=2, bias=True)
    assert [(dim.name, dim.bound) for dim in nest.dims][:4] == [("N", 2), ("G", 2), ("K", 3), ("C", 2)]
    assert all("G" in operand.dims for operand in nest.operands.values())
    x, w, b = operands(nest)
    ones = [(1, 1), (1, 1), (0, 0, 0, 0)]
    halves = [correlate(x[:, g], w[g], *ones) + b[g][:, None, None] for g in (0, 1)]
    assert np.array_equal(run(nest, x, w, b), np.stack(halves, 1))


def test_depthwise_is_one_group_per_plane() -> None:
    nest = nests.depthwise(1, 3, 4, 4, 3, 3, pad=1, multiplier=2)
    assert nest.bounds == {"N": 1, "G": 3, "K": 2, "C": 1, "P": 4, "Q": 4, "R": 3, "S": 3}
    assert nest == nests.conv2d(1, 6, 3, 4, 4, 3, 3, pad=1, groups=3, name="depthwise")


def test_conv1d() -> None:
    nest = nests.conv1d(2, 4, 2, 5, 3, stride=2, pad=(1, 0), groups=2, bias=True)
    assert list(nest.bounds) == ["N", "G", "K", "C", "P", "R"]
    x, w, b = operands(nest)
    halves = [
        correlate(x[:, g][..., None], w[g][..., None], (2, 1), (1, 1), (1, 0, 0, 0))[..., 0] + b[g][:, None]
        for g in (0, 1)
    ]
    assert np.array_equal(run(nest, x, w, b), np.stack(halves, 1))


def test_products_of_matrices() -> None:
    nest = nests.gemm(3, 4, 5, bias=True)
    x, w, b = operands(nest)
    assert nest.roles == {"M": "P", "N": "K", "K": "C"}
    assert np.array_equal(run(nest, x, w, b), x @ w + b)
    batched = nests.matmul(3, 4, 5, batch=(2, 3))
    x, w = operands(batched)
    assert batched.roles == {"G0": "G", "G1": "G", "M": "P", "N": "K", "K": "C"}
    assert np.array_equal(run(batched, x, w), x @ w)
    assert nests.matmul(3, 4, 5, batch=(2,)).bounds == {"G": 2, "M": 3, "N": 4, "K": 5}


@pytest.mark.parametrize(
    ("equation", "roles"),
    [
        ("mk,kn->mn", {"m": "P", "n": "K", "k": "C"}),
        ("bij, bjk -> kib", {"b": "G", "i": "P", "j": "C", "k": "K"}),
        ("ab,cd", {"a": "P", "b": "P", "c": "K", "d": "K"}),
        ("ij,ij", {"i": "C", "j": "C"}),
        ("ij,k->k", {"i": "C", "j": "C", "k": "K"}),
        (",->", {}),
    ],
)
def test_einsum(equation: str, roles: dict[str, str]) -> None:
    nest = nests.einsum(equation, **{label: 2 + i for i, label in enumerate(roles)})
    assert nest.roles == roles
    x, w = operands(nest)
    assert np.array_equal(run(nest, x, w), np.einsum(equation, x, w))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nests.conv2d(1, 5, 4, 3, 3, 2, 2, groups=2), "k=5 channels cannot be divided into 2 groups"),
        (lambda: nests.conv2d(1, 4, 5, 3, 3, 2, 2, groups=2), "c=5 channels cannot be divided into 2 groups"),
        (lambda: nests.conv2d(1, 4, 4, 3, 3, 2, 2, groups=0), "groups must be at least 1"),
        (lambda: nests.conv2d(1, 4, 4, 3, 3, 2, 2, stride=0), "stride must be at least 1"),
        (lambda: nests.conv2d(1, 4, 4, 3, 3, 2, 2, dilation=(1, 0)), "dilation must be at least 1"),
        (lambda: nests.conv2d(1, 4, 4, 3, 3, 2, 2, stride=(1, 2, 3)), "stride is one number or a pair"),  # type: ignore[arg-type]
        (lambda: nests.conv2d(1, 4, 4, 3, 3, 2, 2, pad=(1, 2)), "one for each of the 4 sides"),
        (lambda: nests.conv2d(0, 4, 4, 3, 3, 2, 2), "dim N has no index"),
        (lambda: nests.conv2d(1, 4, 4, 1, 1, 2, 2, pad=1), "rule 'sizes'"),
        (lambda: nests.einsum("mk,kn->mn", m=1, k=1), "no bound for n: give it as n=..."),
        (lambda: nests.einsum("mk,kn->mn", m=1, k=1, n=1, x=1), "has no label 'x'"),
        (lambda: nests.einsum("mk,kn,nj->mj"), "expected two operands"),
        (lambda: nests.einsum("m1,1n->mn"), "expected two operands"),
        (lambda: nests.einsum("ii,ij->j"), "'ii' repeats a label"),
        (lambda: nests.einsum("ij,jk->il"), "'l' is in neither operand"),
        (lambda: nests.einsum("ij,jk->i1"), "'1' is in neither operand"),
    ],
)
def test_what_makes_no_nest(build: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        build()
    assert message in str(error.value)
