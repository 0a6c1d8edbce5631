"""Gemm: ``alpha * A' * B' + beta * C``, a nest and what cannot be part of it."""

from __future__ import annotations

import numpy as np

from effc.compiler.frontend.builder import Builder
from effc.compiler.frontend.matmul import product_nest
from effc.compiler.frontend.node import Node
from effc.ir.graph import Array, View
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME


def gemm(node: Node, build: Builder) -> None:
    """A matrix product; its views transpose, a constant operand takes alpha in, and a constant row of C is its bias.

    What is left of ``alpha * product + beta * C`` becomes a ``Mul`` and an ``Add``.
    """
    y, (m, n) = _matrix(node, *node.result())
    beta = float(node.attributes.get("beta", 1.0)) if node.input(2) is not None else 0.0
    addend = _addend_shape(node, m, n) if beta != 0.0 else None
    left, right, alpha = _scaled_operands(node, build, float(node.attributes.get("alpha", 1.0)))
    bias = _bias(node, build, beta, addend, n) if addend is not None and alpha == 1.0 else None
    rest = addend is not None and bias is None
    product = build.add_tensor(f"{y}_product", node.dtype, (m, n)) if rest or alpha != 1.0 else y
    _add_product(node, build, left, right, bias, product)
    if alpha != 1.0:
        scaled = build.add_tensor(f"{y}_scaled", node.dtype, (m, n)) if rest else y
        _multiply(node, build, product, alpha, scaled)
        product = scaled
    if addend is not None and rest:
        build.add_node("Add", f"{node.name}_add", (product, _addend(node, build, beta, addend)), y)


def _matrix(node: Node, name: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, int]]:
    if len(shape) != 2:
        raise node.error(f"'{name}' has the shape {list(shape)}", "a matrix")
    return name, (shape[0], shape[1])


def _scaled_operands(node: Node, build: Builder, alpha: float) -> tuple[str, str, float]:
    """The names of A and B, and what remains of alpha."""
    names = [node.operand(0)[0], node.operand(1)[0]]
    for position in (1, 0):
        value = node.constant(position)
        if alpha != 1.0 and value is not None:
            names[position] = _scaled(build, names[position], value, alpha)
            alpha = 1.0
    return names[0], names[1], alpha


def _scaled(build: Builder, name: str, value: Array, factor: float) -> str:
    """A constant times a factor; ``name`` is the tensor that holds it, if one does."""
    if factor == 1.0 and name in build.constants:
        return name
    with np.errstate(all="ignore"):  # what overflows would do so at run time too
        scaled = (value.astype(np.float64) * factor).astype(value.dtype)
    return build.add_constant(f"{name}_scaled", scaled)


def _add_product(node: Node, build: Builder, left: str, right: str, bias: str | None, output: str) -> None:
    (_, a), (_, b) = node.operand(0), node.operand(1)
    uses = gemm_views(node, (left, a), (right, b), output)
    if bias is not None:
        uses[BIAS_NAME] = View(bias, 0, (1,))
    (m, n), k = node.result()[1], a[0] if node.attributes.get("transA", 0) else a[1]
    build.add_nest(product_nest(m, n, k, bias=bias is not None), uses, "Gemm", node.name)


def gemm_views(
    node: Node, left: tuple[str, tuple[int, ...]], right: tuple[str, tuple[int, ...]], output: str
) -> dict[str, View]:
    """The views of two matrices, which may be transposed, and of their product."""
    a, b = _matrix(node, *left)[1], _matrix(node, *right)[1]
    across, along = bool(node.attributes.get("transA", 0)), bool(node.attributes.get("transB", 0))
    (k, m) = a if across else a[::-1]
    (n, inner) = b if along else b[::-1]
    if inner != k:
        raise node.error(f"a product of {m} x {k} and {inner} x {n}", "inner sizes that are equal")
    return {
        "I": View(left[0], 0, (1, m) if across else (k, 1)),
        "W": View(right[0], 0, (1, k) if along else (n, 1)),
        OUTPUT_NAME: View(output, 0, (n, 1)),
    }


def _addend_shape(node: Node, m: int, n: int) -> tuple[int, ...]:
    name, shape = node.operand(2)
    if len(shape) > 2 or any(size not in (1, full) for size, full in zip(shape[::-1], (n, m))):
        raise node.error(f"'{name}' has the shape {list(shape)}", f"one that broadcasts to [{m}, {n}]")
    return shape


def _bias(node: Node, build: Builder, beta: float, shape: tuple[int, ...], n: int) -> str | None:
    """The constant row that is ``beta * C``, if it is one: a word per column."""
    name, value = node.operand(2)[0], node.constant(2)
    if value is None or (len(shape) == 2 and shape[0] != 1):
        return None
    if value.size == n:
        return _scaled(build, name, value, beta)
    return _scaled(build, f"{name}_row", np.full(n, value.reshape(())), beta)


def _addend(node: Node, build: Builder, beta: float, shape: tuple[int, ...]) -> str:
    """The name of ``beta * C``."""
    name, value = node.operand(2)[0], node.constant(2)
    if beta == 1.0:
        return name
    if value is not None:
        return _scaled(build, name, value, beta)
    scaled = build.add_tensor(f"{name}_scaled", node.dtype, shape)
    _multiply(node, build, name, beta, scaled)
    return scaled


def _multiply(node: Node, build: Builder, name: str, factor: float, output: str) -> None:
    constant = build.add_constant(f"{output}_factor", np.array(factor).astype(node.dtype))
    build.add_node("Mul", f"{node.name}_mul", (name, constant), output)
