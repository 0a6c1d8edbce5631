"""Verification: the program is run, and everything it did is compared with something that does not know it.

* The outputs with onnxruntime on the original model.
* Every nest on the very inputs that the machine gave it, with the tensor product that the nest means, in float64.
* Every counter that the machine kept with the cost model's prediction, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite, prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from effc.compiler.comparison import WIDER, Check, compare, relative_error
from effc.ir.bodies import Inside, every_op, scopes
from effc.ir.constants import present
from effc.ir.counters import Counters
from effc.ir.graph import Array, Graph, NestOp, NodeOp
from effc.ir.nest import Nest
from effc.ir.types import integer_bits

if TYPE_CHECKING:
    from effc.compiler.target.model import Target

OUTPUT_LIMIT = 1e-4
"""Of ``max|y - y_ort| / max|y_ort|`` for float32: onnxruntime's own modes differ by a tenth of it."""

LAYER_LIMIT = 1e-5
"""The same for one nest on equal inputs, whose sums are of up to LONG products; longer ones grow with the root."""

LONG = 25_000

ROUNDING = 2.0**-22
"""How far a sum may be off, relative to the sum of the magnitudes of its terms: units in the last place of float32.
Where large terms cancel, this is more than the above.
"""

STEPS = 80
"""How much wider the limit is behind a DynamicQuantizeLinear: two steps of its 255. Sums that differ in the last place
may be rounded to different words there.
"""

RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
)
"""Operators whose results nobody can predict."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared; it holds if every check does."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    def lines(self) -> list[str]:
        """The result in a few lines."""
        return [*filter(None, map(self._values, ("output", "accel"))), *self._counters(), *self.notes]

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checks": [
                {
                    "name": check.name,
                    "op": check.op,
                    "where": check.where,
                    "ok": check.ok,
                    "error": check.error,
                    "limit": check.limit,
                    "counters": check.counters,
                    "differences": list(check.differences),
                }
                for check in self.checks
            ],
            "notes": list(self.notes),
        }

    def _values(self, where: str) -> str:
        checks = [check for check in self.checks if check.where == where and check.error is not None]
        if not checks:
            return ""
        worst = max(checks, key=lambda check: (check.error or 0.0) / (check.limit or 1.0))
        equal = all(
            check.error is not None and check.limit is not None and check.error <= check.limit for check in checks
        )
        what = "outputs with onnxruntime" if where == "output" else "layers on equal inputs"
        verdict = "equal" if equal else "NOT EQUAL"
        largest = f"largest error {worst.error:.1e} (limit {worst.limit:.0e}) in {worst.name}"
        return f"{len(checks)} {what}: {verdict}, {largest}"

    def _counters(self) -> Iterator[str]:
        checks = [check for check in self.checks if check.counters]
        if checks:
            wrong = sum(1 for check in checks if any(COUNTED in line for line in check.differences))
            verdict = f"{wrong} layers DIFFER" if wrong else "equal to the cost model"
            yield f"{sum(check.counters for check in checks)} counters of {len(checks)} layers: {verdict}"


def joined(parts: Mapping[str, Verification]) -> Verification:
    """Several verifications as one; a check is called after its part, too."""
    checks = [replace(check, name=f"{check.name} ({name})") for name, part in parts.items() for check in part.checks]
    return Verification(tuple(checks), tuple(dict.fromkeys(note for part in parts.values() for note in part.notes)))


COUNTED = "counted"
"""The word in a difference that tells one of counters."""


def compare_outputs(graph: Graph, found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[Check]:
    """The outputs of the program with those of onnxruntime."""
    scales = {name: SCALES[last_operator(op)] for op in graph.ops for name in op.outputs if last_operator(op) in SCALES}
    coarse = coarseness(graph)
    return [
        compare(
            name, "output", "output", found[name], expected[name], coarse[name] * OUTPUT_LIMIT, scales.get(name, 0.0)
        )
        for name in graph.outputs
    ]


def coarseness(graph: Graph) -> dict[str, float]:
    """How much wider the limit is for each tensor: that of a type with fewer bits which its words went through, of a
    quantiser whose scale they gave, or of one that rounds what follows from sums of floating point.
    """
    found: dict[str, float] = {name: WIDER.get(tensor.dtype, 1) for name, tensor in graph.tensors.items()}
    sums = set[str]()  # what follows from them
    for op in graph.ops:
        inside = [factor for body in getattr(op, "bodies", ()) for factor in coarseness(body).values()]
        read = (*op.inputs, *getattr(op, "captures", ()), *getattr(op, "inner", ()))
        worst = max([1, *inside, *(found[name] for name in read if name)])
        worst = max(worst, STEPS) if op.op == "DynamicQuantizeLinear" else worst
        if _adds_floats(op, graph) or not sums.isdisjoint(read):
            sums.update(op.outputs)
            worst = max(worst, *(_steps(step, graph) for step in (op, *getattr(op, "epilogue", ()))))
        for name in filter(None, op.outputs):
            found[name] = max(found[name], worst)
    return {name: 1 if graph.tensors[name].dtype in WIDER else factor for name, factor in found.items()}


def _adds_floats(op: NestOp | NodeOp, graph: Graph) -> bool:
    return isinstance(op, NestOp) and integer_bits(graph.tensors[op.uses[op.nest.output.name].tensor].dtype) is None


def _steps(op: NestOp | NodeOp, graph: Graph) -> float:
    """How much wider the limit is behind a static quantiser: by two steps of the integers that it rounds to."""
    bits = integer_bits(graph.tensors[op.outputs[0]].dtype) if op.op == "QuantizeLinear" else None
    return 1.0 if bits is None else 1.0 + 2 / ((1 << bits) - 1) / OUTPUT_LIMIT


SCALES = {"Sigmoid": 1.0}
"""Operators whose results, however small, are differences of numbers of this size: in float32, 0.5 + f(x)."""


def last_operator(op: NestOp | NodeOp) -> str:
    """The ONNX operator that puts the words out: of a nest, the last one of its epilogue."""
    return op.epilogue[-1].op if isinstance(op, NestOp) and op.epilogue else op.op


def compare_layers(graph: Graph, tensors: Mapping[str, Any]) -> Iterator[Check]:
    """Every nest with its definition, on the machine's own tensors: in a body, on those of its last run."""
    for scope in scopes(graph):
        found = Inside(tensors, scope.prefix) if scope.prefix else tensors
        yield from _compare_layers(scope.graph, found)


def _compare_layers(graph: Graph, tensors: Mapping[str, Any]) -> Iterator[Check]:
    from effc.backends.reference import run_nest

    values = _Values(graph.constants, tensors)
    for op in graph.nests:
        if op.outputs[0] not in values:
            continue  # in a body that did not run
        sums, limit = run_nest(op, values, np.float64), layer_limit(op.nest)
        check = _compare_nest(op, sums, values, limit)
        if not check.ok and sums.dtype.kind == "f":
            check = _compare_nest(op, sums, values, max(limit, cancellation(op, sums, values)))
        yield check


class _Values(Mapping[str, Any]):
    """Tensors of a run, and constants."""

    def __init__(self, constants: Mapping[str, Array], tensors: Mapping[str, Any]) -> None:
        self._constants, self._tensors = constants, tensors

    def __getitem__(self, name: str) -> Any:
        return self._tensors[name] if name in self._tensors else present(self._constants[name])

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._tensors, *self._constants)))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _compare_nest(op: NestOp, sums: Array, values: Mapping[str, Any], limit: float) -> Check:
    view = op.uses[op.nest.output.name]
    found = np.ascontiguousarray(values[op.outputs[0]])
    if op.epilogue:
        sums, limit = _finished(op, sums, values, found.shape, limit)
    else:
        found = _viewed(found.reshape(-1), view.offset, view.strides, sums.shape)
    return compare(op.name, op.op, "accel", found, sums, limit)


def cancellation(op: NestOp, sums: Array, values: Mapping[str, Any]) -> float:
    """How far float32 may be from the sums of a nest, relative to the largest, for the magnitudes of their terms."""
    from effc.backends.reference import run_nest

    largest = float(np.max(np.abs(sums), initial=0.0))
    terms = {use.tensor: np.abs(values[use.tensor]) for use in op.uses.values() if use.tensor in op.inputs}
    off = ROUNDING * float(np.max(run_nest(op, terms, np.float64), initial=0.0))
    return off / largest if largest and isfinite(off) else 0.0


def _finished(
    op: NestOp, sums: Array, values: Mapping[str, Any], shape: tuple[int, ...], limit: float
) -> tuple[Array, float]:
    """The result of an epilogue, and how far one may be from it: as far as it comes from sums that are off by ``limit``
    of the largest.
    """
    from effc.backends.reference import run_epilogue, whole

    off = sums.dtype.type(limit * np.max(np.abs(sums), initial=0.0))
    expected, *others = (run_epilogue(op, whole(op, some, shape), values) for some in (sums, sums + off, sums - off))
    if expected.dtype.kind != "f":
        return expected, limit
    return expected, max(limit, *(relative_error(other, expected) for other in others))


def layer_limit(nest: Nest) -> float:
    """How far float32 may be from the exact sums of a nest, relative to the largest of them."""
    products = prod(nest.bounds[dim] for dim in nest.reduction_dims)
    return LAYER_LIMIT * max(1.0, sqrt(products / LONG))


def unpredictable(graph: Graph) -> str:
    """The first op that draws random numbers; empty if none does."""
    ops = (op for op, _ in every_op(graph))
    return next((op.name for op in ops if isinstance(op, NodeOp) and op.op in RANDOM and not op.domain), "")


def compare_counters(
    graph: Graph, target: Target, counted: Mapping[str, Counters], runs: Mapping[str, int] | None = None
) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """For every layer on the target its name, the number of counters, and those that are not as predicted.

    ``runs``: how often each layer ran, where the data decide.
    """
    for op, scope in every_op(graph):
        predicted = predict(op, scope.graph, target)
        if predicted is not None:
            found = counted.get(op.name, Counters())
            times = scope.runs if scope.runs is not None else (runs or {}).get(op.name, 0)
            predicted = predicted.times(times)
            lines = (line.replace(" and ", " predicted, ") + f" {COUNTED}" for line in predicted.difference(found))
            yield op.name, sum(1 for _ in predicted.entries()), tuple(lines)


def predict(op: NestOp | NodeOp, graph: Graph, target: Target) -> Counters | None:
    """The counters of the cost model; None on the host, where nothing is counted."""
    from effc.compiler.cost import count_op
    from effc.compiler.cost.vector import count_vector

    if isinstance(op, NestOp):
        return count_op(op, graph, target).counters
    return count_vector(op, graph, target) if op.where == "vector" else None


def _viewed(flat: Array, offset: int, strides: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """The words of a tensor that an output operand wrote."""
    index = np.full(shape, offset)
    for axis, (stride, size) in enumerate(zip(strides, shape)):
        index += (stride * np.arange(size)).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    words: Array = flat[index]
    return words
