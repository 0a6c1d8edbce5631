"""What the host does for control ops: it decides which body runs, and how often, and hands values on.

A backend gives ``run``: body number and inputs in, outputs out. A value that a body takes or gives is handed on as it
is, a step of a sequence as a slice of it; results of all trips are stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

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
    return run(0 if _truth(op, inputs[0]) else 1, ())


def _loop(op: NodeOp, inputs: Sequence[Value | None], run: Run, shapes: Sequence[Shape]) -> list[Value]:
    most, condition, *carried = (*inputs, None, None)[: max(2, len(inputs))]
    limit = None if most is None else int(np.asarray(most).item())
    goes_on = condition is None or _truth(op, condition)
    rows: list[list[Value]] = []
    trip = 0
    while goes_on and (limit is None or trip < limit):
        if trip == ENDLESS:
            raise InputError(f"it made {ENDLESS} trips", op.name, "a loop that comes to an end")
        condition, *results = run(0, [np.array(trip, np.int64), np.array(True), *carried])
        carried, row = results[: len(carried)], results[len(carried) :]
        rows.append(row)
        goes_on, trip = _truth(op, condition), trip + 1
    return [*carried, *_stacked(rows, shapes[1 + len(carried) :], [0] * len(shapes), [0] * len(shapes))]


def _scan(op: NodeOp, inputs: Sequence[Value | None], run: Run, shapes: Sequence[Shape]) -> list[Value]:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in onnx.NodeProto.FromString(op.node).attribute}
    count = int(attributes["num_scan_inputs"])
    carried, sequences = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count :]
    results = len(shapes) - len(carried)
    axes, backwards = (list(attributes.get(f"scan_input_{what}", [0] * count)) for what in ("axes", "directions"))
    out_axes, out_backwards = (
        list(attributes.get(f"scan_output_{what}", [0] * results)) for what in ("axes", "directions")
    )
    lengths = {np.asarray(sequence).shape[axis] for sequence, axis in zip(sequences, axes)}
    if len(lengths) != 1:
        raise InputError(f"sequences of the lengths {sorted(lengths)}", op.name, "one length")
    (trips,) = lengths
    rows: list[list[Value]] = []
    for trip in range(trips):
        places = [trips - 1 - trip if back else trip for back in backwards]
        items = [np.take(np.asarray(sequence), place, axis) for sequence, place, axis in zip(sequences, places, axes)]
        values = run(0, [*carried, *items])
        carried, row = values[: len(carried)], values[len(carried) :]
        rows.append(row)
    return [*carried, *_stacked(rows, shapes[len(carried) :], out_axes, out_backwards)]


def _stacked(
    rows: list[list[Value]], shapes: Sequence[Shape], axes: Sequence[int], backwards: Sequence[int]
) -> list[Value]:
    """The results of all trips, stacked along an axis each, the last trip first where it is ``backwards``."""
    stacks = []
    for position, (dtype, shape) in enumerate(shapes):
        parts = [row[position] for row in rows]
        if parts:
            stacks.append(np.stack(parts[::-1] if backwards[position] else parts, axes[position]))
        else:
            stacks.append(np.zeros((0, *(shape or ())), dtype))
    return stacks


def _truth(op: NodeOp, value: Value) -> bool:
    if np.size(value) != 1:
        raise InputError(f"its condition has {np.size(value)} values", op.name, "one")
    return bool(np.asarray(value).item())
