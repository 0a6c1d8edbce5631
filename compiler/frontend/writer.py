"""What an expansion writes: nodes in place of one, with names that are free."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from effc.compiler.frontend.node import Node
from effc.compiler.frontend.subgraphs import Fresh
from effc.ir.graph import Array

OPSET = 17
"""The operator set in which expansions are written."""


class Writer:
    """The nodes so far, of those that take the place of one."""

    def __init__(self, node: Node, fresh: Fresh, place: str = "", dtype: str = "") -> None:
        self.node, self._fresh, self._place = node, fresh, place or node.name
        first = node.inputs[0]
        self.dtype = dtype or (first.dtype if first is not None else "float32")
        self.nodes: list[onnx.NodeProto] = []

    def __call__(self, op: str, *inputs: str, hint: str = "", output: str = "", **attributes: Any) -> str:
        """A node of one output, which is called ``output``, or gets a name of its own; that name."""
        return self.many(op, *inputs, outputs=[output or self.fresh(hint or op.lower())], **attributes)[0]

    def many(self, op: str, *inputs: str, outputs: list[str], **attributes: Any) -> list[str]:
        """A node of several outputs."""
        proto = onnx.helper.make_node(op, inputs, outputs, self.fresh(f"{op.lower()}_node"), **attributes)
        self.nodes.append(proto)
        return outputs

    def constant(self, value: Array, hint: str = "constant") -> str:
        """A tensor with a value."""
        return self("Constant", hint=hint, value=numpy_helper.from_array(value))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64), "integers")

    def scalar(self, value: float) -> str:
        """A number of the type of the node's first input, or of the one given."""
        return self.constant(np.array(value).astype(self.dtype), "scalar")

    def inside(self) -> Writer:
        """A writer of nodes of a subgraph, a step."""
        return Writer(self.node, self._fresh, f"{self._place}/step", self.dtype)

    def fresh(self, hint: str) -> str:
        return self._fresh(f"{self._place}/{hint}")
