"""LSTM, GRU and RNN: the products with the inputs of all steps at once, the recurrent products in a loop.

    op LSTM (x, w, r) -> (y)

    g = MatMul(x, w')                        # one nest for all steps
    h, c, y = Scan(h0, c0, g) { t = MatMul(h, r');  h, c = gates(g + t, c);  h }

Tensors have the axes [steps, batch, words], as in ONNX; the weights of a direction are [gates * hidden, words]. Those
of onnxruntime's DynamicQuantizeLSTM are integers, [words, gates * hidden]; what they multiply is quantised first.
"""

from __future__ import annotations

import numpy as np
import onnx

from effc.compiler.frontend.node import Node
from effc.compiler.frontend.recurrent_form import GATES, Form
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer


def recurrent(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The nodes that an LSTM, a GRU or an RNN stands for."""
    write = Writer(node, fresh)
    form = Form.of(node)
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


class _Direction:
    """The steps of one direction."""

    def __init__(self, form: Form, write: Writer, direction: int) -> None:
        self.form, self.write, self.direction = form, write, direction
        self.hidden = form.hidden
        self.r = self._weights(2)
        self.scaling = [self._own(i) for i in range(8, 12)] if form.quantised else []
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

    def _weights(self, position: int) -> str:
        """The weights of this direction, [words, gates * hidden]."""
        own = self._own(position)
        return own if self.form.quantised else self.write("Transpose", own, perm=[1, 0])

    def _product(self, tensor: str, weights: str, position: int) -> str:
        """What weights, which are those of an input of the node, make of a tensor."""
        write = self.write
        if not self.form.quantised:
            return write("MatMul", tensor, weights, hint="product")
        factor, zero = self.scaling[2 * position - 2 : 2 * position]
        names = [write.fresh(hint) for hint in ("q", "scale", "zero")]
        words, scale, middle = write.many("DynamicQuantizeLinear", tensor, outputs=names)
        product = write("MatMulInteger", words, weights, middle, zero)
        return write("Mul", write("Cast", product, to=onnx.TensorProto.FLOAT), write("Mul", scale, factor))

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
        total = self._product(x, self._weights(1), 1)
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
        i, o, forget, cell = self._split(write("Add", self._product(h, self.r, 2), x), 4)
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
