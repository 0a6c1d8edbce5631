"""A small model and a tiny target, on which everything is quick."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import effc
from effc.compiler.search import search as original_search

TINY = """\
target tiny {
  word 16 bit
  clock 100 MHz
  memory DRAM { size unbounded; energy 100 pJ; bandwidth 64 bit/cycle }
  memory GLB {
    size 1 KiB; keeps ifmap, psum; may keep filter, bias; energy 6 pJ; bandwidth unlimited
    padding free; buffering single; sliding windows yes
  }
  array PE [2 rows, 3 columns] { multicast words; reduce rows; hop 1 pJ }
  memory spad {
    ifmap 8 words; filter 16 words; psum 8 words
    energy 1 pJ; bandwidth unlimited; padding free; buffering single; sliding windows no
  }
  mac { energy 1 pJ }
  vector { lanes 2; energy 1 pJ; ops Relu, Add, MaxPool, Softmax }
}
"""


def small_model(batch: int | str = "N") -> onnx.ModelProto:
    """Conv, Relu, two equal Convs, Add, a matrix product, Softmax; the weights of one are in a Constant."""
    generator = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(generator.standard_normal(shape).astype(np.float32), name)

    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["t1"], "conv1", **same),
        helper.make_node("Relu", ["t1"], ["t2"], "relu1"),
        helper.make_node("Conv", ["t2", "w2"], ["t3"], "conv2", **same),
        helper.make_node("Constant", [], ["w3"], "constant", value=weights("", 3, 4, 3, 3)),
        helper.make_node("Conv", ["t2", "w3"], ["t4"], "conv3", **same),
        helper.make_node("Add", ["t3", "t4"], ["t5"], "add"),
        helper.make_node("Flatten", ["t5"], ["t6"], "flatten"),
        helper.make_node("Gemm", ["t6", "w4", "b4"], ["t7"], "fc", transB=1),
        helper.make_node("Softmax", ["t7"], ["y"], "softmax"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2, 3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 12])],
        [
            weights("w1", 4, 2, 3, 3),
            weights("b1", 4),
            weights("w2", 3, 4, 3, 3),
            weights("w4", 12, 27),
            weights("b4", 12),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_small(folder: Path) -> tuple[Path, Path]:
    """The files ``small.onnx`` and ``tiny.hw``."""
    model, target = folder / "small.onnx", folder / "tiny.hw"
    model.write_bytes(small_model().SerializeToString())
    target.write_text(TINY)
    return model, target


_found: dict[tuple[str, effc.Target, str], effc.Best] = {}


def remembered_search(nest: effc.Nest, target: effc.Target, objective: str = "energy", **options: Any) -> effc.Best:
    """The search, which a session does once per nest; for tests of what comes after it."""
    key = (effc.print_nest(replace(nest, name="n")), target, objective)
    if key not in _found:
        _found[key] = original_search(nest, target, objective, **options)
    return replace(_found[key], nest=nest)
