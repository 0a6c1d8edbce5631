"""What the host does for control ops: it decides which body runs, and how often, and hands values on.

A backend gives ``run``: body number and inputs in, outputs out. A value that a body takes or gives is handed on as it
is, a step of a sequence as a slice of it; results of all trips are stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from effc.ir.errors import InputError
from effc.ir.graph import Graph, NodeOp

Value = Any
Run = Callable[[int, Sequence[Value]], list[Value]]
Shape = tuple[str, tuple[int, ...] | None]

ENDLESS = 1_000_000
"""Trips after which a loop is taken for one without an end."""


def run_control(op: NodeOp, inputs: Sequence[Value | None], run: Run, shapes: Sequence[Shape]) -> list[Value]:
    """The outputs of a control op, whose bodies ``run`` runs; inputs that are left out are None.

    ``shapes``: type and shape of each output of a body, for the results of loops that make no trip.
    """
    return {"If": _branch, "Loop": _loop, "Scan": _scan}[op.op](op, inputs, run, shapes)


def result_shapes(body: Graph) -> list[Shape]:
    """Types and shapes of what a body puts out."""
    return [(body.tensors[name].dtype, body.tensors[name].shape) for name in body.outputs]


def _branch(op: NodeOp, inputs: Sequence[Value | None], run: Run, shapes: Sequence[Shape]) -> list[Value]:
    return run(0 if _single(op, inputs[0]) else 1, ())


def _loop(op: NodeOp, inputs: Sequence[Value | None], run: Run, shapes: Sequence[Shape]) -> list[Value]:
    most, condition, *carried = (*inputs, None, None)[: max(2, len(inputs))]
    limit = None if most is None else int(_single(op, most))
    goes_on = condition is None or bool(_single(op, condition))
    rows: list[list[Value]] = []
    trip = 0
    while goes_on and (limit is None or trip < limit):
        if trip == ENDLESS:
            raise InputError(f"it made {ENDLESS} trips", op.name, "a loop that comes to an end")
        condition, *results = run(0, [np.array(trip, np.int64), np.array(True), *carried])
        carried, row = results[: len(carried)], results[len(carried) :]
        rows.append(row)
        goes_on, trip = bool(_single(op, condition)), trip + 1
    return [*carried, *_stacked(op, rows, shapes[1 + len(carried) :], [0] * len(shapes), [0] * len(shapes))]


def _scan(op: NodeOp, inputs: Sequence[Value | None], run: Run, shapes: Sequence[Shape]) -> list[Value]:
    attributes = _attributes(op)
    count = attributes.get("num_scan_inputs", 0)
    if not isinstance(count, int) or not 0 < count <= len(inputs):
        raise InputError(f"{count} of its {len(inputs)} inputs are sequences", op.name, "one at least, and no more")
    carried, sequences = list(inputs[:-count]), [np.asarray(value) for value in inputs[-count:]]
    axes, backwards = (_each(op, attributes, f"scan_input_{what}", count) for what in ("axes", "directions"))
    results = len(shapes) - len(carried)
    out_axes, out_backwards = (_each(op, attributes, f"scan_output_{what}", results) for what in ("axes", "directions"))
    lengths = {_along(op, sequence.shape, axis) for sequence, axis in zip(sequences, axes)}
    if len(lengths) != 1:
        raise InputError(f"sequences of the lengths {sorted(lengths)}", op.name, "one length")
    (trips,) = lengths
    rows: list[list[Value]] = []
    for trip in range(trips):
        places = [trips - 1 - trip if back else trip for back in backwards]
        items = [np.take(sequence, place, axis) for sequence, place, axis in zip(sequences, places, axes)]
        values = run(0, [*carried, *items])
        carried, row = values[: len(carried)], values[len(carried) :]
        rows.append(row)
    return [*carried, *_stacked(op, rows, shapes[len(carried) :], out_axes, out_backwards)]


def _attributes(op: NodeOp) -> dict[str, Any]:
    try:
        node = onnx.NodeProto.FromString(op.node)
        return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    except (DecodeError, ValueError):
        raise InputError("its node cannot be read", op.name, "a serialised NodeProto") from None


def _each(op: NodeOp, attributes: Mapping[str, Any], name: str, count: int) -> list[int]:
    """An attribute with a number for each of ``count`` values, zero if it is left out."""
    found = attributes.get(name, [0] * count)
    if not isinstance(found, Sequence) or len(found) != count or not all(isinstance(item, int) for item in found):
        raise InputError(f"{name} is {found}", op.name, f"{count} numbers")
    return list(found)


def _along(op: NodeOp, shape: Sequence[int], axis: int) -> int:
    """The size along an axis."""
    if not -len(shape) <= axis < len(shape):
        raise InputError(f"it has no axis {axis}", op.name, f"an axis of the shape {list(shape)}")
    return shape[axis]


def _stacked(
    op: NodeOp, rows: list[list[Value]], shapes: Sequence[Shape], axes: Sequence[int], backwards: Sequence[int]
) -> list[Value]:
    """The results of all trips, stacked along an axis each, the last trip first where it is ``backwards``."""
    stacks = []
    for position, (dtype, shape) in enumerate(shapes):
        parts = [row[position] for row in rows]
        if len(found := {np.shape(part) for part in parts}) > 1:
            raise InputError(f"results of the shapes {sorted(found)}", op.name, "the same shape in every trip")
        if parts:
            _along(op, (len(parts), *np.shape(parts[0])), axes[position])
            stacks.append(np.stack(parts[::-1] if backwards[position] else parts, axes[position]))
        else:
            stacks.append(np.zeros((0, *(shape or ())), dtype))
    return stacks


def _single(op: NodeOp, value: Value) -> Any:
    """What a trip count or a condition is."""
    if np.size(value) != 1:
        raise InputError(f"its condition has {np.size(value)} values", op.name, "one")
    return np.asarray(value).item()
