"""MatMul: a matrix product, or a batch of them."""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

from effc.compiler.frontend.builder import Builder, plain, row_major
from effc.compiler.frontend.node import Node
from effc.ir.graph import View
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, Dim, Nest

NAMES = {"G": "G", "N": "B", "K": "E"}
"""What batch dims are called: those of both operands, of the left one, of the right one. N and K name the matrices'."""


class Batch(NamedTuple):
    """A batch dim. A stride is None where the operand does not have the dim: it is broadcast."""

    size: int
    left: int | None
    right: int | None
    output: int

    @property
    def role(self) -> str:
        return "N" if self.right is None else "K" if self.left is None else "G"


def matmul(node: Node, build: Builder) -> None:
    """``O[b, m, n] += I[b, m, k] * W[b, k, n]``; an operand that is broadcast along ``b`` does not have it."""
    nest, uses = products(node, node.operand(0), node.operand(1), node.result()[0])
    build.add_nest(nest, uses, "MatMul", node.name)


def products(
    node: Node, a: tuple[str, tuple[int, ...]], b: tuple[str, tuple[int, ...]], y: str
) -> tuple[Nest, dict[str, View]]:
    """The nest of the matrix products of two tensors, and its views of them and of the output."""
    left, right = a[1], b[1]
    left = (1, *left) if len(left) == 1 else left
    right = (*right, 1) if len(right) == 1 else right
    if not left or not right or left[-1] != right[-2]:
        raise node.error(f"{list(left)} x {list(right)} is no matrix product")
    batch = _batch(node, left, right)
    m, k, n = left[-2], left[-1], right[-1]
    nest = product_nest(m, n, k, batch)
    uses = {
        "I": View(a[0], 0, (*(dim.left for dim in batch if dim.left is not None), k, 1)),
        "W": View(b[0], 0, (*(dim.right for dim in batch if dim.right is not None), n, 1)),
        OUTPUT_NAME: View(y, 0, (*(dim.output for dim in batch), n, 1)),
    }
    return nest, uses


def product_nest(m: int, n: int, k: int, batch: tuple[Batch, ...] = (), bias: bool = False) -> Nest:
    """The nest of ``I[M, K] * W[K, N]``, for every index of the batch. A column of the product has one bias."""
    rows, columns, inner = Dim("M", m, "P"), Dim("N", n, "K"), Dim("K", k, "C")
    names = _names(batch)
    dims = [Dim(name, dim.size, dim.role) for name, dim in zip(names, batch)]
    left = [dim for dim, form in zip(dims, batch) if form.left is not None]
    right = [dim for dim, form in zip(dims, batch) if form.right is not None]
    return Nest(
        "matmul",
        (*dims, rows, columns, inner),
        (plain("I", *left, rows, inner), plain("W", *right, inner, columns)),
        plain(OUTPUT_NAME, *dims, rows, columns),
        plain(BIAS_NAME, columns) if bias else None,
    )


def _names(batch: tuple[Batch, ...]) -> list[str]:
    """``G``, or ``G0``, ``G1`` where there are several of a kind."""
    roles = [dim.role for dim in batch]
    return [
        NAMES[role] if roles.count(role) == 1 else f"{NAMES[role]}{roles[:i].count(role)}"
        for i, role in enumerate(roles)
    ]


def _batch(node: Node, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[Batch, ...]:
    """The batch dims, outermost first; those of size one are left out."""
    sizes = list(zip_longest(reversed(left[:-2]), reversed(right[:-2]), fillvalue=1))[::-1]
    if any(p != q and 1 not in (p, q) for p, q in sizes):
        raise node.error(f"{list(left)} x {list(right)}: the batches do not match")
    output = row_major((*(max(p, q) for p, q in sizes), left[-2], right[-1]))
    strides = zip(sizes, _outer_strides(left, len(sizes)), _outer_strides(right, len(sizes)), output)
    return tuple(
        Batch(max(p, q), ps if p > 1 else None, qs if q > 1 else None, os)
        for (p, q), ps, qs, os in strides
        if max(p, q) > 1
    )


def _outer_strides(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The strides of the batch axes, of the absent ones too."""
    return row_major((1,) * (rank + 2 - len(shape)) + shape)[:rank]
