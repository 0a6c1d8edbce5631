"""Attention as onnxruntime's optimiser and exporters of language models write it: operators of ``com.microsoft``.

    op com.microsoft.Attention (x, w, b) -> (y)

    q, k, v = Split(MatMul(x, w) + b)
    y = MatMul(Softmax(MatMul(q, k') * scale + mask), v)

Tensors in heads are [batch, heads, steps, words].
"""

from __future__ import annotations

import onnx

from effc.compiler.frontend.caches import Cache, column, out_of_sight, scale
from effc.compiler.frontend.heads import NEVER, Form
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.rotary import rotated
from effc.compiler.frontend.subgraphs import Fresh


def attention(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Self-attention: weights of all products side by side, of which there is one."""
    form = Form.of(node, fresh)
    _, steps, _ = node.operand(0)[1]
    columns = node.operand(1)[1][1]
    product = form.write("MatMul", *node.proto.input[:2], hint="projected")
    if form.given(2):
        product = form.write("Add", product, form.given(2))
    return form.packed(product, columns, steps, mask=3, past=4, bias=5)


def quantised_attention(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The same with integers in the product of the weights."""
    form, names = Form.of(node, fresh, scalar=3), node.proto.input
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
    form = Form.of(node, fresh)
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


def _projected(form: Form) -> list[str]:
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


def _side_by_side(form: Form) -> list[str]:
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
    form = Form.of(node, fresh)
    write, attributes = form.write, node.attributes
    if odd := [name for name in ("qk_output", "sliding_window_cache") if attributes.get(name, 0)]:
        raise NotANest(f"the attribute {odd[0]}")
    if any(form.given(position) for position in range(14, 17)) or attributes.get("causal", 1) != 1:
        raise NotANest("normalised heads, padded queries, or scores of later steps")
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
    before = _steps(form, 3)
    length = max(before, int(total.item()))
    caches = [Cache(write, batch, groups, before, length, size, *_stored(form, i, groups, size)) for i in range(2)]
    (new_k, k), (new_v, v) = (
        cache.grown(x, form.given(3 + i), start, steps) for i, (x, cache) in enumerate(zip((k, v), caches))
    )
    form.put(new_k, 1)
    form.put(new_v, 2)
    if groups < form.count:
        k, v = (form.repeated(x, (batch, groups, length, size)) for x in (k, v))
    places = column(write, start, steps, batch)
    hidden = out_of_sight(write, length, places, int(attributes.get("local_window_size", -1)))
    mask = write("Where", hidden, write.scalar(NEVER), write.scalar(0.0), hint="mask")
    if form.given(10) and form.node.operand(10)[1][-1] != length:
        raise NotANest("a bias for scores of another length")
    return form.finish(form.attended(q, k, v, size, mask, 10, form.sink(11)))


def _steps(form: Form, position: int) -> int:
    """The steps in a cache of numbers or integers."""
    tensor = form.node.input(position)
    integers = tensor is not None and tensor.dtype in ("int8", "uint8") and tensor.shape is not None
    return tensor.shape[2] if integers and tensor and tensor.shape else form.before(position)


def _stored(form: Form, index: int, groups: int, size: int) -> tuple[int, str]:
    """The bits of the integers in the cache of keys (0) or values (1), and their scale."""
    kind = form.node.attributes.get(f"{'kv'[index]}_quant_type", b"NONE").decode(errors="replace")
    if kind == "NONE":
        return 0, ""
    past, factor = form.node.input(3 + index), form.node.input(12 + index)
    bits = int(form.node.attributes.get("kv_cache_bit_width", 0))
    if past is None or factor is None or factor.shape is None or (bits, past.dtype) not in ((8, "int8"), (4, "uint8")):
        raise NotANest(f"a cache of {past.dtype if past else 'an unknown type'} with {bits} bits a word")
    return bits, scale(form.write, factor.name, factor.words, groups, size)
