"""What onnxruntime's optimiser makes of convolutions on a processor: channels in blocks, in ``com.microsoft.nchwc``.

op com.microsoft.nchwc.ReorderInput (x) -> (t)      t = x, its channels filled up with zeros to whole blocks
op com.microsoft.nchwc.Conv (t, w, b, z) -> (u)     u = activation(Conv(t, w', b) + z)
op com.microsoft.nchwc.ReorderOutput (u) -> (y)     y = u without the channels that were filled up

Between these operators nothing depends on the order of words in blocks, which is undone in the filters: [filters /
block, channels / block, rows, columns, block of channels, block of filters]; where channels are fewer than a block, or
every channel has filters of its own, without blocks of channels. A block is what onnxruntime has on this processor.
Either all of these operators are taken apart or the model is refused: the host would read words in another order.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import helper

from effc.backends.host import run_model
from effc.compiler.errors import InputError
from effc.compiler.frontend import activated
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.subgraphs import Fresh
from effc.compiler.frontend.writer import Writer
from effc.ir.graph import Array

DOMAIN = "com.microsoft.nchwc"

POOLS = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")


@cache
def block() -> int:
    """How many channels onnxruntime puts side by side on this processor."""
    graph = helper.make_graph(
        [helper.make_node("ReorderInput", ["x"], ["y"], domain=DOMAIN)],
        "block",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4, 1, 1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    return int(run_model(model, {"x": np.zeros((1, 4, 1, 1), np.float32)})["y"].shape[1])


def reorder_input(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Channels second, and whole blocks of them."""
    tensor = node.input(0)
    if tensor is None or tensor.shape is None:
        raise _refused(node, "the number of its channels is only known at run time")
    x, rank = tensor.name, len(tensor.shape)
    write = Writer(node, fresh)
    last = bool(node.attributes.get("channels_last", 0))
    if last:
        x = write("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)])
    missing = -tensor.shape[-1 if last else 1] % block()
    pads = [0] * (rank + 1) + [missing] + [0] * (rank - 2)
    write(*(("Pad", x, write.integers(*pads)) if missing else ("Identity", x)), output=node.proto.output[0])
    return write.nodes


def reorder_output(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """The channels that there are, last or second."""
    write, x = Writer(node, fresh), node.proto.input[0]
    if channels := int(node.attributes.get("channels", 0)):
        x = write("Slice", x, write.integers(0), write.integers(channels), write.integers(1))
    order = [0, 2, 3, 1] if node.attributes.get("channels_last", 0) else [0, 1, 2, 3]
    write("Transpose", x, perm=order, output=node.proto.output[0])
    return write.nodes


def convolution(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A convolution with its filters in the order of ONNX, a sum perhaps, and an activation."""
    words = node.constant(1)
    if words is None or words.ndim != 4:
        raise _refused(node, "its filters are only known at run time")
    write, groups = Writer(node, fresh), int(node.attributes.get("group", 1))
    kept = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
    attributes: dict[str, Any] = {name: value for name, value in node.attributes.items() if name in kept}
    filters = write.constant(_unblocked(node, words, groups), "filters")
    bias, added = [*node.proto.input, "", ""][2:4]
    names = [node.proto.input[0], filters, *filter(None, [bias])]
    total = write("Conv", *names, group=groups, hint="convolved", **attributes)
    _activated(node, write, write("Add", total, added) if added else total)
    return write.nodes


def pool(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """A pooling, of every channel by itself."""
    write = Writer(node, fresh)
    write(node.proto.op_type, node.proto.input[0], output=node.proto.output[0], **node.attributes)
    return write.nodes


def upsample(node: Node, fresh: Fresh) -> list[onnx.NodeProto]:
    """Rows and columns as often, or points between them."""
    write, kinds = Writer(node, fresh), ("coordinate_transformation_mode", "mode")
    attributes: dict[str, Any] = {name: node.attributes[name] for name in kinds if name in node.attributes}
    attributes.setdefault(kinds[0], "asymmetric")
    scales = write.constant(np.array(node.attributes.get("scales", ()), np.float32), "scales")
    write("Resize", node.proto.input[0], "", scales, output=node.proto.output[0], nearest_mode="floor", **attributes)
    return write.nodes


def _refused(node: Node, message: str) -> InputError:
    remedy = "save the model without onnxruntime's layouts: graph_optimization_level ORT_ENABLE_EXTENDED"
    return InputError(message, node.place, remedy=remedy)


def _unblocked(node: Node, words: Array, groups: int) -> Array:
    """Filters [filters, channels, rows, columns] whose words are in blocks, in row-major order."""
    size, (filters, channels, *window) = block(), words.shape
    if filters % size:
        raise _refused(node, f"it has {filters} filters in blocks of {size}")
    if channels < size and (groups == 1 or channels == 1):
        plain = words.reshape(filters // size, channels, *window, size).transpose(0, 4, 1, 2, 3)
    elif channels % size:
        raise _refused(node, f"its filters have {channels} channels in blocks of {size}")
    else:
        parts = words.reshape(filters // size, channels // size, *window, size, size)
        plain = parts.transpose(0, 5, 1, 4, 2, 3)
    return np.ascontiguousarray(plain.reshape(words.shape))


def _activated(node: Node, write: Writer, total: str) -> None:
    try:
        activated.activate(write, activated.activation(node), activated.numbers(node), total)
    except NotANest as why:
        raise _refused(node, f"it has {why}") from None
