"""Attention as onnxruntime's optimiser and exporters of language models write it: operators of ``com.microsoft``.

    op com.microsoft.Attention (x, w, b) -> (y)

    q, k, v = Split(MatMul(x, w) + b)
    y = MatMul(Softmax(MatMul(q, k') * scale + mask), v)

Tensors in heads are [batch, heads, steps, words].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import onnx

from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.rotary import rotated
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer

MASKED = -10000.0
"""What is added to scores that a mask hides, unless the node says otherwise."""

NEVER = -1e30
"""What is added to those of steps to come."""


def attention(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Self-attention: weights of all products side by side, of which there is one."""
    form = _Form.of(node, fresh)
    _, steps, _ = node.operand(0)[1]
    columns = node.operand(1)[1][1]
    product = form.write("MatMul", *node.proto.input[:2], hint="projected")
    if form.given(2):
        product = form.write("Add", product, form.given(2))
    return form.packed(product, columns, steps, mask=3, past=4, bias=5)


def quantised_attention(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The same with integers in the product of the weights."""
    form, names = _Form.of(node, fresh, scalar=3), node.proto.input
    write = form.write
    tensor, weights = node.input(0), node.input(1)
    if tensor is None or weights is None or tensor.shape is None or weights.shape is None:
        raise NotANest("a shape is only known at run time")
    zeros = [name for name in (form.given(6), form.given(7)) if name]
    product = write("Cast", write("MatMulInteger", *names[:2], *zeros), to=onnx.TensorProto.FLOAT, hint="projected")
    product = write("Mul", product, write("Mul", names[3], names[4], hint="scale"))
    product = write("Add", product, names[2])
    return form.packed(product, weights.shape[1], tensor.shape[1], mask=5, past=8, bias=-1)


def multi_head_attention(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Queries, keys and values that were projected before."""
    form = _Form.of(node, fresh)
    if form.given(8) or form.given(9):
        raise NotANest("a cache that is written in place")
    query = node.operand(0)[1]
    if len(query) == 3 and form.given(2):
        (q, k, v), size = _projected(form), query[2] // form.count
    else:
        (q, k, v), size = _side_by_side(form), query[-1] if len(query) == 5 else query[2] // form.count
    source = node.operand(1)[1] if form.given(1) else query
    k, v = form.joined(k, v, 6, 7)
    past = form.before(6)
    length = past + (source[2] if len(source) == 4 else source[1])
    form.put(k, 1)
    form.put(v, 2)
    return form.finish(form.attended(q, k, v, size, form.mask(4, query[1], length, past), 5))


def _projected(form: _Form) -> list[str]:
    """Queries, keys and values in heads, of three tensors; keys and values may be in heads already."""
    parts = [form.node.operand(position) for position in range(3)]
    names = [name for name, _ in parts]
    if form.given(3):
        sizes = [shape[-1] if len(shape) == 3 else shape[1] * shape[3] for _, shape in parts]
        biases = form.write.many("Split", form.given(3), form.write.integers(*sizes), outputs=form.names("bias", 3))
        names = [
            form.write("Add", name, bias) if len(shape) == 3 else name
            for name, (_, shape), bias in zip(names, parts, biases)
        ]
    return [form.heads(name, shape, form.count) if len(shape) == 3 else name for name, (_, shape) in zip(names, parts)]


def _side_by_side(form: _Form) -> list[str]:
    """The same of one tensor [batch, steps, heads, 3, words]; or of the queries, and one with 2 in the place of 3."""
    last, write = int(bool(form.given(1))), form.write
    name, shape = form.node.operand(last)
    if len(shape) != 5 or shape[3] != 3 - last or form.given(3):
        raise NotANest("queries, keys and values in tensors of this form")
    parts = write.many("Split", name, write.integers(*[1] * shape[3]), outputs=form.names("part", shape[3]), axis=3)
    heads = [write("Transpose", write("Squeeze", x, write.integers(3)), perm=[0, 2, 1, 3], hint="heads") for x in parts]
    return [form.heads(*form.node.operand(0), form.count), *heads] if last else heads


def group_query_attention(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Several heads of queries for each of keys and values, which have a cache; the data say how much of it is full."""
    form = _Form.of(node, fresh)
    write, attributes = form.write, node.attributes
    plain = {"smooth_softmax": 0, "kv_cache_bit_width": 0, "qk_output": 0}
    if odd := [name for name, value in plain.items() if attributes.get(name, value) not in (value, 0)]:
        raise NotANest(f"the attribute {odd[0]}")
    if any(form.given(position) for position in range(10, 14)) or attributes.get("causal", 1) != 1:
        raise NotANest("scores that are biased otherwise")
    (batch, steps, words), groups = node.operand(0)[1], int(attributes["kv_num_heads"])
    total = node.constant(6)
    if total is None:
        raise NotANest("the length of the cache is only known at run time")
    names = list(node.proto.input[:3])
    if form.given(1):
        size = words // form.count
    else:
        size = words // (form.count + 2 * groups)
        sizes = write.integers(form.count * size, groups * size, groups * size)
        names = write.many("Split", names[0], sizes, outputs=form.names("part", 3), axis=-1)
    counts = (form.count, groups, groups)
    q, k, v = (form.heads(name, (batch, steps, n * size), n) for name, n in zip(names, counts))
    last = write("Reshape", write("Cast", form.given(5), to=onnx.TensorProto.INT64), write.integers(batch, 1))
    start = write("Max", write("Sub", last, write.integers(steps - 1)), write.integers(0), hint="start")
    if attributes.get("do_rotary", 0):
        positions = form.given(9) or write("Add", start, write.integers(*range(steps)), hint="positions")
        interleaved = bool(attributes.get("rotary_interleaved", 0))
        q, k = (rotated(write, x, positions, form.given(7), form.given(8), size, interleaved) for x in (q, k))
    past = form.before(3)
    length = max(past, int(total.item()))
    k, v = (
        form.written(x, form.given(position), (batch, groups, past, size), steps, length, start)
        for x, position in ((k, 3), (v, 4))
    )
    form.put(k, 1)
    form.put(v, 2)
    if groups < form.count:
        k, v = (form.repeated(x, (batch, groups, length, size)) for x in (k, v))
    hidden = form.out_of_sight(length, form.column(start, steps, batch), int(attributes.get("local_window_size", -1)))
    mask = write("Where", hidden, write.scalar(NEVER), write.scalar(0.0), hint="mask")
    return form.finish(form.attended(q, k, v, size, mask, -1))


@dataclass(frozen=True)
class _Form:
    """A node of attention, and what writes the nodes in its place."""

    node: Node
    write: Writer
    count: int  # of heads

    @classmethod
    def of(cls, node: Node, fresh: Fresh, scalar: int = 0) -> _Form:
        if int(node.attributes.get("do_rotary", 0)) and node.proto.op_type in ("Attention", "QAttention"):
            raise NotANest("rotary positions")
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

    def attended(self, q: str, k: str, v: str, size: int, mask: str, bias: int) -> str:
        """Both products, in heads."""
        write = self.write
        scale = float(self.node.attributes.get("scale", 0.0)) or 1 / sqrt(size)
        scores = write("MatMul", q, write("Transpose", k, perm=[0, 1, 3, 2]), hint="scores")
        scores = write("Mul", scores, write.scalar(scale))
        if cap := float(self.node.attributes.get("softcap", 0.0)):
            scores = write("Mul", write("Tanh", write("Div", scores, write.scalar(cap))), write.scalar(cap))
        for added in (mask, self.given(bias)):
            scores = write("Add", scores, added) if added else scores
        return write("MatMul", write("Softmax", scores, axis=-1), v, hint="mixed")

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

    def out_of_sight(self, length: int, places: str, window: int) -> str:
        """Whether keys are hidden from the steps at ``places``: later ones, and those before a window."""
        write, keys = self.write, self.write.integers(*range(length))
        later = write("Greater", keys, places, hint="later")
        if window <= 0:
            return later
        first = write("Sub", places, write.integers(window - 1))
        return write("Or", later, write("Less", keys, first), hint="hidden")

    def column(self, start: str, steps: int, batch: int) -> str:
        """The place of every step, [batch, 1, steps, 1]."""
        places = self.write("Add", start, self.write.integers(*range(steps)), hint="places")
        return self.write("Reshape", places, self.write.integers(batch, 1, steps, 1))

    def written(self, new: str, past: str, shape: tuple[int, ...], steps: int, length: int, start: str) -> str:
        """A cache of ``length`` with the new steps at ``start``, [batch, 1]; what is not new is of the past."""
        write, (batch, groups, before, size) = self.write, shape
        places = write.integers(*range(length))
        start = write("Reshape", start, write.integers(batch, 1, 1, 1))
        row = write("Reshape", places, write.integers(1, 1, length, 1))
        offset = write("Sub", row, start, hint="offset")
        clipped = write("Min", write("Max", offset, write.integers(0)), write.integers(steps - 1))
        index = write("Expand", clipped, write.integers(batch, groups, length, size))
        moved = write("GatherElements", new, index, axis=2)
        if not past or not before:
            return moved
        if length > before:
            pads = write.integers(0, 0, 0, 0, 0, 0, length - before, 0)
            past = write("Pad", past, pads)
        return write("Where", write("Less", offset, write.integers(0)), past, moved)

    def repeated(self, name: str, shape: tuple[int, ...]) -> str:
        """Every head of keys or values for each head of queries that uses it."""
        write, (batch, groups, length, size) = self.write, shape
        times = self.count // groups
        wide = write(
            "Expand", write("Unsqueeze", name, write.integers(2)), write.integers(batch, groups, times, length, size)
        )
        return write("Reshape", wide, write.integers(batch, groups * times, length, size))
