"""Loop and Scan whose body cannot be compiled once: the body again and again, where the number of turns is known.

op Loop (3, true, s) { s' = MatMul(s, w) } -> (y)

s1 = MatMul(s, w);  s2 = MatMul(s1, w);  y = MatMul(s2, w)
"""

from __future__ import annotations

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh, initializers, inlined, names_of_initializers
from effc.compiler.frontend.trips import known_trips
from effc.compiler.frontend.writer import Writer

MAX_NODES = 20_000
"""Of all turns together."""

WITHOUT_BATCH = 9
"""The operator set since which the sequences of a Scan are no batch."""

ON_DATA = "control flow that depends on the data"


def loop(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A ``Loop`` that makes a known number of turns, whatever its body computes."""
    body = next(attribute.g for attribute in node.proto.attribute if attribute.name == "body")
    turns = known_trips(node, body)
    if turns is None:
        raise NotANest(ON_DATA)
    unroll = _Unrolled(node, body, fresh, turns)
    write, carried = unroll.write, list(node.proto.input[2:])
    true = write.constant(np.array(True), "true")
    for turn in range(unroll.turns):
        number = write.constant(np.array(turn, np.int64), "turn")
        results = unroll.turn([number, true, *carried])[1:]
        carried = results[: len(carried)]
        unroll.collect(results[len(carried) :])
    unroll.finish(carried, [0] * len(unroll.collected), [0] * len(unroll.collected))
    return write.nodes


def scan(node: Node, fresh: Fresh) -> tuple[list[onnx.NodeProto], int]:
    """A ``Scan`` over sequences of known length, and the operator set that its nodes are written in."""
    if node.version < WITHOUT_BATCH:
        return _batches(node, fresh), WITHOUT_BATCH
    return _steps(node, fresh), node.version


def _batches(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The ``Scan`` of operator set 8 over the sequences of a batch: one over the batch of one over the sequences."""
    body = next(attribute.g for attribute in node.proto.attribute if attribute.name == "body")
    if node.input(0) is not None:
        raise NotANest("sequences whose lengths are only known at run time")
    if any(proto.op_type in ("Upsample", "Scan", "BatchNormalization") for proto in body.node):
        raise NotANest("control flow whose body later operator sets read in another way")
    write = Writer(node, fresh, dtype="float32")
    names = {name: write.fresh(name) for name in (*node.proto.input[1:], *node.proto.output) if name}
    inner = onnx.helper.make_node(
        "Scan",
        [names[name] for name in node.proto.input[1:]],
        [names.get(name, "") for name in node.proto.output],
        write.fresh("sequence_node"),
        body=body,
        num_scan_inputs=int(node.attributes.get("num_scan_inputs", 0)),
    )
    if backwards := node.attributes.get("directions"):
        inner.attribute.append(onnx.helper.make_attribute("scan_input_directions", backwards))
    given, made = ([onnx.ValueInfoProto(name=name) for name in side if name] for side in (inner.input, inner.output))
    outside = onnx.helper.make_graph([inner], "batch", given, made)
    outputs = [name for name in node.proto.output if name]
    write.many("Scan", *node.proto.input[1:], outputs=outputs, body=outside, num_scan_inputs=len(given))
    return write.nodes


def _steps(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A ``Scan`` since operator set 9."""
    body = next(attribute.g for attribute in node.proto.attribute if attribute.name == "body")
    scans = int(node.attributes.get("num_scan_inputs", 0))
    if not 0 < scans <= len(node.inputs):
        raise NotANest("control flow")
    sequences, states = node.inputs[-scans:], list(node.proto.input[:-scans])
    results = len(body.output) - len(states)
    axes, backwards = (
        node.integers("scan_input_axes", (0,) * scans),
        node.integers("scan_input_directions", (0,) * scans),
    )
    out_axes = node.integers("scan_output_axes", (0,) * results)
    out_backwards = node.integers("scan_output_directions", (0,) * results)
    shapes = [tensor.shape for tensor in sequences if tensor is not None and tensor.shape is not None]
    if len(shapes) < scans:
        raise NotANest(ON_DATA)
    lengths = {shape[axis] for shape, axis in zip(shapes, axes) if -len(shape) <= axis < len(shape)}
    if len(lengths) != 1:
        raise node.error(f"its sequences have the lengths {sorted(lengths)}", "one length")
    unroll = _Unrolled(node, body, fresh, lengths.pop())
    for turn in range(unroll.turns):
        items = [unroll.item(t.name, turn, *form) for t, *form in zip(sequences, axes, backwards) if t is not None]
        values = unroll.turn([*states, *items])
        states = values[: len(states)]
        unroll.collect(values[len(states) :])
    unroll.finish(states, list(out_axes), list(out_backwards))
    return unroll.write.nodes


class _Unrolled:
    """The turns so far; ``collected`` are the values that each turn adds to a result."""

    def __init__(self, node: Node, body: onnx.GraphProto, fresh: Fresh, turns: int) -> None:
        if turns < 1 or turns * len(body.node) > MAX_NODES:
            raise NotANest(f"control flow of {turns} turns")
        self.node, self.body, self.fresh, self.turns = node, body, fresh, turns
        self.write = Writer(node, fresh)
        self.shared = names_of_initializers(body, node.name, fresh)
        self.write.nodes.extend(initializers(body, self.shared))
        outputs = len(node.proto.output)
        self.collected: list[list[str]] = [[] for _ in range(max(0, outputs - self._states))]

    @property
    def _states(self) -> int:
        if self.node.proto.op_type == "Loop":
            return len(self.body.input) - 2
        return len(self.body.input) - int(self.node.attributes.get("num_scan_inputs", 0))

    def turn(self, inputs: list[str]) -> list[str]:
        """The results of the body for these inputs."""
        names = self.shared | dict(zip((value.name for value in self.body.input), inputs))
        for proto in inlined(self.body, names, self.node.name, self.fresh):
            proto.name = self.fresh(f"{self.node.name}/{proto.name or proto.op_type.lower()}")
            self.write.nodes.append(proto)
        return [names.get(value.name, value.name) for value in self.body.output]

    def item(self, sequence: str, turn: int, axis: int, backwards: int) -> str:
        """What a turn sees of a sequence."""
        index = self.turns - 1 - turn if backwards else turn
        return self.write("Gather", sequence, self.write.constant(np.array(index, np.int64), "turn"), axis=axis)

    def collect(self, values: list[str]) -> None:
        for parts, value in zip(self.collected, values):
            parts.append(value)

    def finish(self, states: list[str], axes: list[int], backwards: list[int]) -> None:
        """The outputs of the node: the last states, and what was collected along an axis."""
        names = list(self.node.proto.output)
        for value, name in zip(states, names):
            if name:
                self.write("Identity", value, output=name)
        for parts, axis, back, name in zip(self.collected, axes, backwards, names[len(states) :]):
            if name:
                self._stacked(parts[::-1] if back else parts, axis, name)

    def _stacked(self, parts: list[str], axis: int, name: str) -> None:
        if self.node.version >= 13:
            rows = [self.write("Unsqueeze", part, self.write.integers(axis)) for part in parts]
        else:
            rows = [self.write("Unsqueeze", part, axes=[axis]) for part in parts]
        self.write("Concat", *rows, output=name, axis=axis)
