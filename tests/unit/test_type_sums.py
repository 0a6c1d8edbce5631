"""The types of sums: those of the target where no sum can leave them, and errors where one may."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import effc
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.passes.type_sums import TypeSums, largest_sum
from effc.compiler.pipeline import placing_passes
from effc.compiler.target import load_target
from effc.ir.graph import Graph


def product(words: int, weight: int, known: bool = True) -> onnx.ModelProto:
    """A row of uint8 times a column of int8, requantised; a column whose words are all the same, if it is known."""
    values = {
        "sa": np.array(0.5, np.float32),
        "za": np.array(0, np.uint8),
        "b": np.full((words, 1), weight, np.int8),
        "sb": np.array(0.25, np.float32),
        "zb": np.array(0, np.int8),
    }
    inputs = [helper.make_tensor_value_info("a", TensorProto.UINT8, [1, words])]
    if not known:
        del values["b"]
        inputs.append(helper.make_tensor_value_info("b", TensorProto.INT8, [words, 1]))
    node = helper.make_node("QLinearMatMul", ["a", "sa", "za", "b", "sb", "zb", "sa", "za"], ["y"])
    made = [helper.make_tensor_value_info("y", TensorProto.UINT8, None)]
    graph = helper.make_graph([node], "p", inputs, made, [numpy_helper.from_array(v, k) for k, v in values.items()])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model


def sums_type(model: onnx.ModelProto, target: str) -> str:
    graph: Graph = lower(model)
    for item in placing_passes(load_target(target)):
        graph = item.run(graph)
    (op,) = graph.nests
    return graph.tensors[op.uses["O"].tensor].dtype


@pytest.mark.parametrize(("words", "weight"), [(3, 5), (100, -128), (7, 0)])
def test_constants_bound_the_sums(words: int, weight: int) -> None:
    graph = lower(product(words, weight))
    assert largest_sum(graph.nests[0], graph) == 255 * abs(weight) * words
    graph = lower(product(words, weight, known=False))
    assert largest_sum(graph.nests[0], graph) == 255 * 128 * words


def test_sums_have_the_type_of_the_target_where_it_holds_them() -> None:
    """257 x 255 x 128 is below 2**23, 258 times is not."""
    assert sums_type(product(257, -128), "simba_chiplet") == "int24"
    assert sums_type(product(258, -128), "simba_chiplet") == "int32"
    assert sums_type(product(257, -128), "gemmini") == "int32"


def test_sums_that_may_overflow_are_an_error() -> None:
    graph = lower(product(65_794, -128))
    with pytest.raises(InputError, match="a sum may reach 2,147,516,160") as found:
        TypeSums(load_target("gemmini")).run(graph)
    assert "2,147,483,647, which int32 holds" in str(found.value)
    TypeSums(load_target("gemmini")).run(lower(product(65_000, -128)))


def test_native_types() -> None:
    """The MACs of tpu_v1 multiply signed and unsigned bytes, those of eyeriss neither."""
    model = product(8, 3)
    assert effc.compile(model, "tpu_v1", numeric="target").verify().ok
    with pytest.raises(InputError, match="reads uint8, and the MACs of eyeriss multiply int16"):
        effc.compile(model, "eyeriss", numeric="target")
    assert effc.compile(model, "eyeriss").verify().ok


def test_a_zero_point_is_read_once() -> None:
    """However many words it is for: a batch of 2 ** 31 took minutes, when nests had dims of any size."""
    made = product(8, 3)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1 << 24
    graph = lower(made)
    (op,) = graph.nests
    assert largest_sum(op, graph) == 8 * 255 * 3
