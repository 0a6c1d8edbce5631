"""LSTM, GRU and RNN: the products with the inputs of all steps at once, the recurrent products in a loop.

    op LSTM (x, w, r) -> (y)

    g = MatMul(x, w')                        # one nest for all steps
    h, c, y = Scan(h0, c0, g) { t = MatMul(h, r');  h, c = gates(g + t, c);  h }

Tensors have the axes [steps, batch, words], as in ONNX; the weights of a direction are [gates * hidden, words].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FUNCTIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}

DEFAULTS: dict[str, tuple[float | None, float | None]] = {
    "LeakyRelu": (0.01, None),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, None),
    "Affine": (1.0, 0.0),
    "ScaledTanh": (1.0, 1.0),
}
"""alpha and beta of the activations that have them."""

Activation = Callable[[str], str]


def recurrent(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The nodes that an LSTM, a GRU or an RNN stands for."""
    write = Writer(node, fresh)
    form = _Form.of(node)
    x = write("Transpose", node.proto.input[0], perm=[1, 0, 2]) if form.layout else node.proto.input[0]
    results = [_Direction(form, write, d).run(x) for d in range(form.directions)]
    for i, (position, axis) in enumerate((("Y", 1), ("Y_h", 0), ("Y_c", 0))):
        output = node.proto.output[i] if i < len(node.proto.output) else ""
        if not output:
            continue
        parts = [result[i] for result in results]
        if not form.layout:
            write("Concat", *parts, output=output, axis=axis)
        else:
            joined = write("Concat", *parts, hint=position, axis=axis)
            write("Transpose", joined, output=output, perm=[2, 0, 1, 3] if position == "Y" else [1, 0, 2])
    return write.nodes


@dataclass(frozen=True)
class _Form:
    """The sizes and attributes of a recurrent node."""

    node: Node
    op: str
    layout: int
    directions: int
    steps: int
    batch: int
    hidden: int

    @classmethod
    def of(cls, node: Node) -> _Form:
        op, layout = node.proto.op_type, int(node.attributes.get("layout", 0))
        x, w, r = (node.operand(i)[1] for i in range(3))
        direction = node.attributes.get("direction", b"forward").decode(errors="replace")
        if direction not in ("forward", "reverse", "bidirectional"):
            raise node.error(f"direction is '{direction}'", "forward, reverse, bidirectional")
        directions = 1 + (direction == "bidirectional")
        if len(x) != 3 or len(w) != 3 or len(r) != 3:
            raise node.error(f"its inputs have {len(x)}, {len(w)} and {len(r)} axes", "three each")
        hidden = r[2]
        gates = GATES[op] * hidden
        if w != (directions, gates, x[2]) or r != (directions, gates, hidden):
            raise node.error(
                f"the weights have the shapes {list(w)} and {list(r)}",
                f"[{directions}, {gates}, {x[2]}] and [{directions}, {gates}, {hidden}]",
            )
        steps, batch = (x[1], x[0]) if layout else (x[0], x[1])
        state = (batch, directions, hidden) if layout else (directions, batch, hidden)
        others = {"bias": (directions, 2 * gates), "sequence_lens": (batch,), "initial_h": state, "initial_c": state}
        for position, (name, shape) in enumerate({**others, "peepholes": (directions, 3 * hidden)}.items(), 3):
            tensor = node.input(position)
            if tensor is not None and tensor.shape not in (None, shape):
                raise node.error(f"{name} has the shape {list(tensor.shape or ())}", str(list(shape)))
        if op == "LSTM" and node.attributes.get("clip", 0.0) > 0:
            raise NotANest("clip: onnxruntime's LSTM clips its output gate otherwise than ONNX says")
        return cls(node, op, layout, directions, steps, batch, hidden)

    @property
    def lengths(self) -> str:
        """The tensor of the lengths of the sequences; empty where all have every step."""
        given = self.node.input(4)
        known = self.node.constant(4)
        return "" if given is None or (known is not None and bool(np.all(known == self.steps))) else given.name

    def reverse(self, direction: int) -> bool:
        return direction == 1 or self.node.attributes.get("direction") == b"reverse"

    def activations(self, write: Writer, direction: int) -> list[Activation]:
        """The functions of a direction, behind the clipping of their inputs."""
        count = len(FUNCTIONS[self.op])
        names = [name.decode() for name in self.node.attributes.get("activations", ())]
        names = names or list(FUNCTIONS[self.op]) * self.directions
        if len(names) != count * self.directions:
            raise self.node.error(f"it has {len(names)} activations", f"{count * self.directions}")
        alphas = iter(self.node.attributes.get("activation_alpha", ()))
        betas = iter(self.node.attributes.get("activation_beta", ()))
        functions = list(self._functions(write, names, alphas, betas))
        return functions[direction * count : (direction + 1) * count]

    def _functions(
        self, write: Writer, names: list[str], alphas: Iterator[float], betas: Iterator[float]
    ) -> Iterator[Activation]:
        clip = float(self.node.attributes.get("clip", 0.0))
        known = {name.lower(): name for name in (*DEFAULTS, "Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")}
        for name in names:
            if name.lower() not in known:
                raise NotANest(f"the activation {name}")
            name = known[name.lower()]
            alpha, beta = DEFAULTS.get(name, (None, None))
            alpha = alpha if alpha is None else next(alphas, alpha)
            beta = beta if beta is None else next(betas, beta)
            yield partial(_activated, write, name, alpha, beta, clip)


def _activated(write: Writer, name: str, alpha: float | None, beta: float | None, clip: float, x: str) -> str:
    if clip > 0:
        x = write("Clip", x, write.scalar(-clip), write.scalar(clip))
    if name == "Affine":
        return write("Add", write("Mul", x, write.scalar(alpha or 0.0)), write.scalar(beta or 0.0))
    if name == "ScaledTanh":
        scaled = write("Tanh", write("Mul", x, write.scalar(beta or 0.0)))
        return write("Mul", scaled, write.scalar(alpha or 0.0))
    attributes: dict[str, Any] = {k: value for k, value in (("alpha", alpha), ("beta", beta)) if value is not None}
    return write(name, x, **attributes)


class _Direction:
    """The steps of one direction."""

    def __init__(self, form: _Form, write: Writer, direction: int) -> None:
        self.form, self.write, self.direction = form, write, direction
        self.hidden = form.hidden
        self.r = self._transposed(2)
        self.backwards = form.reverse(direction)

    def run(self, x: str) -> tuple[str, str, str]:
        """Y with an axis for the direction, the last hidden state and the last cell."""
        form, write = self.form, self.write
        per_sequence = self.backwards and bool(form.lengths)
        if per_sequence:
            x = write("ReverseSequence", x, self._long(form.lengths), time_axis=0, batch_axis=1)
        inputs = self._inputs(x)
        h, c = self._initial(5), self._initial(6) if form.op == "LSTM" else ""
        back = self.backwards and not per_sequence
        y, h, c = self._once(inputs, h, c) if form.steps == 1 else self._loop(inputs, h, c, back)
        if per_sequence:
            y = write("ReverseSequence", y, self._long(form.lengths), time_axis=0, batch_axis=1)
        return write("Unsqueeze", y, write.integers(1)), h, c

    def _once(self, x: str, h: str, c: str) -> tuple[str, str, str]:
        """The only step, without a loop."""
        number = self.write.constant(np.array(0, np.int64), "step") if self.form.lengths else ""
        return self._living_step(x, h, c, number)

    def _loop(self, inputs: str, h: str, c: str, back: bool) -> tuple[str, str, str]:
        """All steps: a Scan over the inputs, and over their numbers where sequences end before."""
        write, form = self.write, self.form
        states, sequences = [h, *filter(None, [c])], [inputs]
        if form.lengths:
            sequences.append(write.constant(np.arange(form.steps), "steps"))
        inner = self.write = write.inside()
        given = [inner.fresh(hint) for hint in ("h", "c")[: len(states)]]
        x, *number = (inner.fresh(hint) for hint in ("x", "number")[: len(sequences)])
        item = inner("Unsqueeze", x, inner.integers(0))
        y, new_h, new_c = self._living_step(item, given[0], "".join(given[1:]), "".join(number))
        row = inner("Squeeze", y, inner.integers(0), hint="y")
        results = [inner("Identity", name) for name in filter(None, (new_h, new_c))]
        self.write = write
        body = onnx.helper.make_graph(
            inner.nodes,
            f"{form.node.name}/step",
            [onnx.ValueInfoProto(name=name) for name in (*given, x, *number)],
            [onnx.ValueInfoProto(name=name) for name in (*results, row)],
        )
        last = write.many(
            "Scan",
            *states,
            *sequences,
            outputs=[write.fresh(hint) for hint in (*("h", "c")[: len(states)], "y")],
            body=body,
            num_scan_inputs=len(sequences),
            scan_input_directions=[int(back)] * len(sequences),
            scan_output_directions=[int(back)],
        )
        return last[-1], last[0], last[1] if c else ""

    def _living_step(self, x: str, h: str, c: str, number: str) -> tuple[str, str, str]:
        """What a step puts out, and its states: those before where a sequence has no such step."""
        self.functions = self.form.activations(self.write, self.direction)
        new_h, new_c = self._step(x, h, c)
        if not number:
            return new_h, new_h, new_c
        write, lives = self.write, self._lives(number)
        y = write("Where", lives, new_h, write.scalar(0.0))
        return y, write("Where", lives, new_h, h), write("Where", lives, new_c, c) if c else ""

    # What does not depend on a step

    def _transposed(self, position: int) -> str:
        """The weights of this direction, [words, gates * hidden]."""
        return self.write("Transpose", self._own(position), perm=[1, 0])

    def _own(self, position: int) -> str:
        """This direction's part of an input."""
        index = self.write.constant(np.array(self.direction, np.int64), "direction")
        return self.write("Gather", self.form.node.proto.input[position], index, axis=0)

    def _part(self, tensor: str, first: int, last: int) -> str:
        """The words of gates ``first`` to ``last - 1`` along the last axis."""
        write, hidden = self.write, self.hidden
        return write("Slice", tensor, write.integers(first * hidden), write.integers(last * hidden), write.integers(-1))

    def _biases(self) -> tuple[str, str]:
        """Those of the inputs and those of the recurrence; empty if there are none."""
        if self.form.node.input(3) is None:
            return "", ""
        gates, both = GATES[self.form.op], self._own(3)
        return self._part(both, 0, gates), self._part(both, gates, 2 * gates)

    def _inputs(self, x: str) -> str:
        """What the inputs contribute to every step, with all biases that can be added before."""
        write = self.write
        total = write("MatMul", x, self._transposed(1), hint="inputs")
        outside, inside = self._biases()
        self.inner_bias = ""
        if outside:
            if self._resets_behind:
                self.inner_bias = self._part(inside, 2, 3)
                inside = write("Concat", self._part(inside, 0, 2), self._zeros(self.hidden), axis=0)
            total = write("Add", total, write("Add", outside, inside))
        return total

    @property
    def _resets_behind(self) -> bool:
        """A GRU whose reset gate multiplies the product, not the state."""
        return self.form.op == "GRU" and bool(self.form.node.attributes.get("linear_before_reset", 0))

    def _initial(self, position: int) -> str:
        """The state before the first step, [1, batch, hidden]."""
        if self.form.node.input(position) is None:
            return self._zeros(1, self.form.batch, self.hidden)
        given = self.form.node.proto.input[position]
        if self.form.layout:
            given = self.write("Transpose", given, perm=[1, 0, 2])
        one, two = self.write.integers(self.direction), self.write.integers(self.direction + 1)
        return self.write("Slice", given, one, two, self.write.integers(0))

    def _zeros(self, *shape: int) -> str:
        first = self.form.node.inputs[0]
        return self.write.constant(np.zeros(shape).astype(first.dtype if first is not None else "float32"), "zeros")

    def _long(self, tensor: str) -> str:
        return self.write("Cast", tensor, to=onnx.TensorProto.INT64)

    def _lives(self, number: str) -> str:
        """Which sequences have the step of this number."""
        write = self.write
        lives = write("Greater", self._long(self.form.lengths), number)
        return write("Unsqueeze", lives, write.integers(0, 2))

    # Steps

    def _step(self, x: str, h: str, c: str) -> tuple[str, str]:
        if self.form.op == "LSTM":
            return self._lstm(x, h, c)
        return (self._gru(x, h) if self.form.op == "GRU" else self._rnn(x, h)), ""

    def _rnn(self, x: str, h: str) -> str:
        (f,) = self.functions
        return f(self.write("Add", self.write("MatMul", h, self.r), x))

    def _gru(self, x: str, h: str) -> str:
        write, (f, g) = self.write, self.functions
        gates, rest = self._part(x, 0, 2), self._part(x, 2, 3)
        if self._resets_behind:
            product = write("MatMul", h, self.r)
            inner = self._part(product, 2, 3)
            inner = write("Add", inner, self.inner_bias) if self.inner_bias else inner
            z, r = self._split(f(write("Add", self._part(product, 0, 2), gates)), 2)
            new = g(write("Add", write("Mul", r, inner), rest))
        else:
            z, r = self._split(f(write("Add", write("MatMul", h, self._part(self.r, 0, 2)), gates)), 2)
            new = g(write("Add", write("MatMul", write("Mul", r, h), self._part(self.r, 2, 3)), rest))
        kept = write("Mul", write("Sub", write.scalar(1.0), z), new)
        return write("Add", kept, write("Mul", z, h), hint="h")

    def _lstm(self, x: str, h: str, c: str) -> tuple[str, str]:
        write, (f, g, last) = self.write, self.functions
        i, o, forget, cell = self._split(write("Add", write("MatMul", h, self.r), x), 4)
        peep_i, peep_o, peep_f = self._peepholes()
        i = f(self._seen(i, peep_i, c))
        if self.form.node.attributes.get("input_forget", 0):
            forget = write("Sub", write.scalar(1.0), i)
        else:
            forget = f(self._seen(forget, peep_f, c))
        c = write("Add", write("Mul", forget, c), write("Mul", i, g(cell)), hint="c")
        return write("Mul", f(self._seen(o, peep_o, c)), last(c), hint="h"), c

    def _peepholes(self) -> tuple[str, str, str]:
        if self.form.node.input(7) is None:
            return "", "", ""
        own = self._own(7)
        return self._part(own, 0, 1), self._part(own, 1, 2), self._part(own, 2, 3)

    def _seen(self, gate: str, weights: str, c: str) -> str:
        return self.write("Add", gate, self.write("Mul", weights, c)) if weights else gate

    def _split(self, tensor: str, parts: int) -> list[str]:
        return self.write.many("Split", tensor, outputs=[self.write.fresh("gate") for _ in range(parts)], axis=-1)
