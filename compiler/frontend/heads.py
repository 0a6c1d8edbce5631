"""What operators of attention are made of: heads, masks, caches, and the two products.

Tensors in heads are [batch, heads, steps, words].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer

MASKED = -10000.0
"""What is added to scores that a mask hides, unless the node says otherwise."""

NEVER = -1e30
"""What is added to those of steps to come."""


@dataclass(frozen=True)
class Form:
    """A node of attention, and what writes the nodes in its place."""

    node: Node
    write: Writer
    count: int  # of heads

    @classmethod
    def of(cls, node: Node, fresh: Fresh, scalar: int = 0) -> Form:
        if int(node.attributes.get("do_rotary", 0)) and node.proto.op_type in ("Attention", "QAttention"):
            raise NotANest("rotary positions")
        if any(node.proto.output[3:]):
            raise NotANest("the scores are wanted, too")
        node.operand(scalar)
        tensor = node.inputs[scalar]
        return cls(node, Writer(node, fresh, dtype=tensor.dtype if tensor else ""), int(node.attributes["num_heads"]))

    def given(self, position: int) -> str:
        """The name of an input, empty where it is left out."""
        names = self.node.proto.input
        return names[position] if 0 <= position < len(names) else ""

    def names(self, hint: str, count: int) -> list[str]:
        return [self.write.fresh(hint) for _ in range(count)]

    def packed(self, product: str, columns: int, steps: int, mask: int, past: int, bias: int) -> list[onnx.NodeProto]:
        """Queries, keys and values side by side in one product."""
        sizes = [int(size) for size in self.node.attributes.get("qkv_hidden_sizes", ())] or [columns // 3] * 3
        parts = self.write.many("Split", product, self.write.integers(*sizes), outputs=self.names("part", 3), axis=-1)
        q, k, v = (self.heads(part, (0, steps, size), self.count) for part, size in zip(parts, sizes))
        before = 0
        if self.given(past):
            before = self.node.operand(past)[1][3]
            halves = self.write.many(
                "Split", self.given(past), self.write.integers(1, 1), outputs=self.names("past", 2)
            )
            halves = [self.write("Squeeze", half, self.write.integers(0)) for half in halves]
            k, v = (self.write("Concat", half, new, axis=2) for half, new in zip(halves, (k, v)))
        if len(self.node.proto.output) > 1 and self.node.proto.output[1]:
            rows = [self.write("Unsqueeze", x, self.write.integers(0)) for x in (k, v)]
            self.write("Concat", *rows, axis=0, output=self.node.proto.output[1])
        hidden = self.mask(mask, steps, before + steps, before)
        return self.finish(self.attended(q, k, v, sizes[0] // self.count, hidden, bias))

    def heads(self, name: str, shape: tuple[int, ...], count: int) -> str:
        """[batch, steps, heads * words] in heads."""
        split = self.write("Reshape", name, self.write.integers(0, shape[1], count, shape[2] // count))
        return self.write("Transpose", split, perm=[0, 2, 1, 3], hint="heads")

    def joined(self, k: str, v: str, *positions: int) -> tuple[str, str]:
        """Keys and values behind those of the past, if there are such."""
        k, v = (
            self.write("Concat", self.given(p), x, axis=2) if self.before(p) else x for x, p in zip((k, v), positions)
        )
        return k, v

    def sink(self, position: int) -> str:
        """A score for each head that takes part in the softmax, and has no value; empty if there is none."""
        if self.given(position):
            return self.write("Reshape", self.given(position), self.write.integers(1, self.count, 1, 1), hint="sink")
        smooth = self.node.attributes.get("smooth_softmax", 0)
        return self.write("Reshape", self.write.scalar(0.0), self.write.integers(1, 1, 1, 1)) if smooth > 0 else ""

    def probabilities(self, scores: str, sink: str) -> str:
        """The softmax of scores [batch, heads, steps, length]."""
        if not sink:
            return self.write("Softmax", scores, axis=-1)
        write, node = self.write, self.node
        batch, steps = node.operand(0)[1][:2]
        column = write("Expand", sink, write.integers(batch, self.count, steps, 1))
        softmax = write("Softmax", write("Concat", scores, column, axis=-1), axis=-1)
        return write("Slice", softmax, *(write.integers(value) for value in (0, -1, -1)))

    def attended(self, q: str, k: str, v: str, size: int, mask: str, bias: int, sink: str = "") -> str:
        """Both products, in heads."""
        write = self.write
        scale = float(self.node.attributes.get("scale", 0.0)) or 1 / sqrt(size)
        scores = write("MatMul", q, write("Transpose", k, perm=[0, 1, 3, 2]), hint="scores")
        scores = write("Mul", scores, write.scalar(scale))
        if cap := float(self.node.attributes.get("softcap", 0.0)):
            scores = write("Mul", write("Tanh", write("Div", scores, write.scalar(cap))), write.scalar(cap))
        for added in (mask, self.given(bias)):
            scores = write("Add", scores, added) if added else scores
        return write("MatMul", self.probabilities(scores, sink), v, hint="mixed")

    def finish(self, result: str) -> list[onnx.NodeProto]:
        """The result with its heads side by side again."""
        turned = self.write("Transpose", result, perm=[0, 2, 1, 3])
        self.write("Reshape", turned, self.write.integers(0, 0, -1), output=self.node.proto.output[0])
        return self.write.nodes

    def put(self, name: str, position: int) -> None:
        """Give an output its value, if it is wanted."""
        outputs = self.node.proto.output
        if position < len(outputs) and outputs[position]:
            self.write("Identity", name, output=outputs[position])

    # Masks

    def mask(self, position: int, steps: int, length: int, past: int) -> str:
        """What is added to scores [batch, heads, steps, length]; empty if it is nothing."""
        write, found = self.write, []
        if self.given(position):
            found.append(self._hidden(position, length))
        if self.node.attributes.get("unidirectional", 0):
            later = np.arange(length)[None, :] > past + np.arange(steps)[:, None]
            found.append(write("Where", write.constant(later, "later"), write.scalar(NEVER), write.scalar(0.0)))
        return write("Add", *found) if len(found) == 2 else "".join(found)

    def _hidden(self, position: int, length: int) -> str:
        """The mask that is given: [batch, length] or with steps between, 1 where a score is seen; or lengths."""
        write, tensor = self.write, self.node.input(position)
        if tensor is None or tensor.shape is None or len(tensor.shape) > 3:
            raise NotANest("a mask of this form")
        name, shape = tensor.name, tensor.shape
        batch = self.node.inputs[0].shape[0] if self.node.inputs[0] is not None and self.node.inputs[0].shape else 0
        if len(shape) == 1:
            if shape[0] != batch:
                raise NotANest("a mask of this form")
            ends = write("Unsqueeze", write("Cast", name, to=onnx.TensorProto.INT64), write.integers(1))
            seen = write("Less", write.integers(*range(length)), ends)
            shape = (batch, length)
        else:
            seen = write("Greater", write("Cast", name, to=onnx.TensorProto.INT64), write.integers(0))
        value = float(self.node.attributes.get("mask_filter_value", MASKED))
        added = write("Where", seen, write.scalar(0.0), write.scalar(value), hint="mask")
        return write("Unsqueeze", added, write.integers(*((1, 2) if len(shape) == 2 else (1,))))

    # Caches

    def before(self, position: int) -> int:
        """The steps in a cache that is given, [batch, heads, steps, words]; it may be empty."""
        tensor = self.node.input(position)
        if tensor is None or tensor.shape == ():
            return 0
        return tensor.shape[2] if tensor.shape and tensor.words == 0 else self.node.operand(position)[1][2]

    def repeated(self, name: str, shape: tuple[int, ...]) -> str:
        """Every head of keys or values for each head of queries that uses it."""
        write, (batch, groups, length, size) = self.write, shape
        times = self.count // groups
        wide = write(
            "Expand", write("Unsqueeze", name, write.integers(2)), write.integers(batch, groups, times, length, size)
        )
        return write("Reshape", wide, write.integers(batch, groups * times, length, size))
