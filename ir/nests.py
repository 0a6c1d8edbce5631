"""Constructors of nests: convolutions, matrix products and einsums.

    conv2d(n=1, k=64, c=3, p=112, q=112, r=7, s=7, stride=2, pad=3)

    nest conv2d (N=1, K=64, C=3, P=112, Q=112, R=7, S=7) {
      read  I[N < 1, C < 3, 2*P + R - 3 < 223, 2*Q + S - 3 < 223]
      read  W[K < 64, C < 3, R < 7, S < 7]
      write O[N < 1, K < 64, P < 112, Q < 112]
    }

Channels are given in all; with groups they are divided, and a dim G, relevant to every operand, runs over the groups.
An input plane is as large as the outputs need, unless its size is given.
"""

from __future__ import annotations

from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, READ_NAMES, Axis, Dim, Nest, Operand
from effc.ir.verify import verify_nest

Pair = int | tuple[int, int]
"""One number for both axes, or (vertical, horizontal)."""

Pad = int | tuple[int, ...]
"""One number for every side, or the sides: first (top, left), then (bottom, right)."""


def conv2d(
    n: int,
    k: int,
    c: int,
    p: int,
    q: int,
    r: int,
    s: int,
    stride: Pair = 1,
    dilation: Pair = 1,
    pad: Pad = 0,
    groups: int = 1,
    bias: bool = False,
    name: str = "conv2d",
    *,
    h: int | None = None,
    w: int | None = None,
) -> Nest:
    """A convolution of ``c`` planes with ``k`` filters of ``r`` x ``s`` into ``k`` planes of ``p`` x ``q``.

    ``pad`` is one number or (top, left, bottom, right); ``h`` x ``w`` is the size of an input plane.
    """
    strides, dilations, begins, ends = _pair("stride", stride), _pair("dilation", dilation), *_sides(pad, 2)
    rows = _window("P", p, "R", r, strides[0], dilations[0], begins[0], ends[0], h)
    columns = _window("Q", q, "S", s, strides[1], dilations[1], begins[1], ends[1], w)
    outs, taps = (Dim("P", p, "P"), Dim("Q", q, "Q")), (Dim("R", r, "R"), Dim("S", s, "S"))
    return _conv(name, (n, k, c, groups), outs, taps, (rows, columns), bias)


def conv1d(
    n: int,
    k: int,
    c: int,
    p: int,
    r: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int | tuple[int, int] = 0,
    groups: int = 1,
    bias: bool = False,
    name: str = "conv1d",
    *,
    h: int | None = None,
) -> Nest:
    """A convolution along one axis; ``pad`` is one number or (begin, end), ``h`` the length of the input."""
    begins, ends = _sides(pad, 1)
    window = _window("P", p, "R", r, stride, dilation, begins[0], ends[0], h)
    return _conv(name, (n, k, c, groups), (Dim("P", p, "P"),), (Dim("R", r, "R"),), (window,), bias)


def depthwise(
    n: int,
    c: int,
    p: int,
    q: int,
    r: int,
    s: int,
    stride: Pair = 1,
    dilation: Pair = 1,
    pad: Pad = 0,
    multiplier: int = 1,
    bias: bool = False,
    name: str = "depthwise",
    *,
    h: int | None = None,
    w: int | None = None,
) -> Nest:
    """A convolution in which every plane has filters of its own: ``multiplier`` of them."""
    k = _positive("multiplier", multiplier) * c
    return conv2d(n, k, c, p, q, r, s, stride, dilation, pad, c, bias, name, h=h, w=w)


def gemm(m: int, n: int, k: int, bias: bool = False, name: str = "gemm") -> Nest:
    """``O[M, N] += I[M, K] * W[K, N]``. The rows M play the role of P, the columns N that of K, and K that of C."""
    return matmul(m, n, k, (), bias, name)


def matmul(m: int, n: int, k: int, batch: tuple[int, ...] = (), bias: bool = False, name: str = "matmul") -> Nest:
    """A matrix product for every index of ``batch``, whose dims G0, G1, ... (or G alone) are relevant to all."""
    labels = ["G"] if len(batch) == 1 else [f"G{i}" for i in range(len(batch))]
    groups = [Dim(label, size, "G") for label, size in zip(labels, batch)]
    rows, columns, inner = Dim("M", m, "P"), Dim("N", n, "K"), Dim("K", k, "C")
    return _checked(
        Nest(
            name,
            (*groups, rows, columns, inner),
            (_plain(READ_NAMES[0], *groups, rows, inner), _plain(READ_NAMES[1], *groups, inner, columns)),
            _plain(OUTPUT_NAME, *groups, rows, columns),
            _plain(BIAS_NAME, columns) if bias else None,
        )
    )


def einsum(equation: str, name: str = "einsum", **bounds: int) -> Nest:
    """A product of two operands in Einstein's notation: ``einsum("mk,kn->mn", m=64, k=32, n=16)``.

    The role of a label follows from the operands that have it: I, W and O: G; I and O: P; W and O: K; the rest, which
    are summed over: C. Without an arrow the labels that occur once are the output's, in alphabetical order.
    """
    left, right, out = _labels(equation)
    labels = tuple(dict.fromkeys(out + left + right))
    if missing := [label for label in labels if label not in bounds]:
        raise ValueError(f"einsum {equation!r}: no bound for {', '.join(missing)}: give it as {missing[0]}=...")
    if unknown := [label for label in bounds if label not in labels]:
        raise ValueError(f"einsum {equation!r} has no label {unknown[0]!r}")
    dims = {label: Dim(label, bounds[label], _role(label in left, label in right, label in out)) for label in labels}
    reads = tuple(_plain(read, *(dims[label] for label in term)) for read, term in zip(READ_NAMES, (left, right)))
    output = _plain(OUTPUT_NAME, *(dims[label] for label in out))
    return _checked(Nest(name, tuple(dims.values()), reads, output))


def _conv(
    name: str,
    sizes: tuple[int, int, int, int],
    outs: tuple[Dim, ...],
    taps: tuple[Dim, ...],
    windows: tuple[Axis, ...],
    bias: bool,
) -> Nest:
    """The nest of a convolution over any number of axes; ``sizes`` are n, k, c and the groups."""
    n, k, c, groups = sizes
    for what, channels in (("k", k), ("c", c)):
        if _positive(what, channels) % _positive("groups", groups):
            raise ValueError(f"{what}={channels} channels cannot be divided into {groups} groups")
    batch, filters, channel = Dim("N", n, "N"), Dim("K", k // groups, "K"), Dim("C", c // groups, "C")
    group = (Dim("G", groups, "G"),) if groups > 1 else ()
    planes = Operand(READ_NAMES[0], (*_axes(batch, *group, channel), *windows))
    weights = _plain(READ_NAMES[1], *group, filters, channel, *taps)
    return _checked(
        Nest(
            name,
            (batch, *group, filters, channel, *outs, *taps),
            (planes, weights),
            _plain(OUTPUT_NAME, batch, *group, filters, *outs),
            _plain(BIAS_NAME, *group, filters) if bias else None,
        )
    )


def _window(
    out: str, outs: int, tap: str, taps: int, stride: int, dilation: int, begin: int, end: int, size: int | None
) -> Axis:
    """The axis of an input plane that a window slides along."""
    terms = ((_positive("stride", stride), out), (_positive("dilation", dilation), tap))
    if size is None:
        size = (outs - 1) * stride + dilation * (taps - 1) + 1 - begin - end
    return Axis(terms, -begin, size)


def _plain(name: str, *dims: Dim) -> Operand:
    """An operand with one axis per dim."""
    return Operand(name, _axes(*dims))


def _axes(*dims: Dim) -> tuple[Axis, ...]:
    return tuple(Axis(((1, dim.name),), 0, dim.bound) for dim in dims)


def _pair(what: str, value: Pair) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2:
        raise ValueError(f"{what} is one number or a pair, not {value!r}")
    return pair


def _sides(pad: Pad, axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The padding before and after each axis."""
    sides = (pad,) * (2 * axes) if isinstance(pad, int) else tuple(pad)
    if len(sides) != 2 * axes:
        raise ValueError(f"pad is one number or one for each of the {2 * axes} sides, not {pad!r}")
    return sides[:axes], sides[axes:]


def _positive(what: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{what} must be at least 1, not {value}")
    return value


def _labels(equation: str) -> tuple[str, str, str]:
    """The labels of the two operands and of the output."""
    inputs, arrow, out = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != 2 or not all(term.isalpha() and term.isascii() for term in terms if term):
        raise ValueError(f"einsum {equation!r}: expected two operands of single letters, as in 'mk,kn->mn'")
    left, right = terms
    if not arrow:
        out = "".join(sorted(label for label in set(left + right) if (left + right).count(label) == 1))
    if repeated := [term for term in (left, right, out) if len(set(term)) < len(term)]:
        raise ValueError(f"einsum {equation!r}: {repeated[0]!r} repeats a label, which no nest can express")
    if strays := sorted(set(out) - set(left + right)):
        raise ValueError(f"einsum {equation!r}: the output's {strays[0]!r} is in neither operand")
    return left, right, out


def _role(left: bool, right: bool, out: bool) -> str:
    """The role of a label, by the operands that have it."""
    if not out:
        return "C"
    return "G" if left and right else "P" if left else "K"


def _checked(nest: Nest) -> Nest:
    verify_nest(nest)
    return nest
