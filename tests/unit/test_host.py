"""The host runs nodes as onnxruntime does, whatever their types; nests are evaluated as their loops say."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import assert_close, model, node, random

from effc.backends import host
from effc.backends.host import NoValue, Sequence, run_model, run_node
from effc.backends.reference import reference_run, run_nest
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import lower
from effc.ir import nests
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Tensor, View
from effc.ir.nest import Axis, Dim, Nest, Operand


def op(kind: str, inputs: str, outputs: str = "y", version: int = 17, domain: str = "", **attributes: Any) -> NodeOp:
    proto = node(kind, inputs, outputs, domain=domain, **attributes)
    names = tuple(proto.input), tuple(proto.output)
    return NodeOp(f"{kind.lower()}1", kind, *names, proto.SerializeToString(), domain, version)


def test_a_node() -> None:
    a, b = random((2, 3)), random((3,), 1)
    (y,) = run_node(op("Add", "a b"), [a, b])
    np.testing.assert_array_equal(y, a + b)


def test_omitted_inputs_and_outputs() -> None:
    x = random((2, 8))
    (y,) = run_node(op("Clip", "x . high"), [x, None, np.float32(0.5)])
    np.testing.assert_array_equal(y, np.minimum(x, np.float32(0.5)))
    values, places = run_node(op("TopK", "x k", ". i"), [x, np.array([1])])
    assert values is None
    np.testing.assert_array_equal(places[:, 0], x.argmax(axis=1))


def test_views_of_memory() -> None:
    x = random((3, 4))
    for view in (x.T, x[::2, 1:3], np.broadcast_to(x[0], (5, 4))):
        (y,) = run_node(op("Neg", "x"), [view])
        np.testing.assert_array_equal(y, -view)
    (y,) = run_node(op("Neg", "x"), [np.array(2.0, np.float32)])
    assert y.shape == ()


def test_sessions_are_shared_by_equal_nodes_and_forgotten() -> None:
    host._sessions.clear()
    x = random((2, 3))
    for name in ("one", "two"):
        proto = node("Relu", "x", name, name=name)
        run_node(NodeOp(name, "Relu", ("x",), (name,), proto.SerializeToString(), version=17), [x])
    assert len(host._sessions) == 1
    for size in range(1, host.SESSIONS + 5):
        run_node(op("Relu", "x"), [random((size,))])
    assert len(host._sessions) == host.SESSIONS


def test_strings() -> None:
    for words in (np.array(["to", "be"], object), np.array(["to", "be"])):
        (y,) = run_node(op("StringConcat", "x x", version=20), [words, words])
        assert y.tolist() == ["toto", "bebe"]


def test_sequences_know_their_type_even_when_empty() -> None:
    (empty,) = run_node(op("SequenceEmpty", "", dtype=TensorProto.INT64), [])
    assert isinstance(empty, Sequence)
    assert empty.onnx_type == "seq(tensor(int64))"
    (one,) = run_node(op("SequenceInsert", "s x"), [empty, np.array([1, 2])])
    (length,) = run_node(op("SequenceLength", "s"), [one])
    assert length == 1
    (same,) = run_node(op("SequenceAt", "s i"), [one, np.array(0)])
    np.testing.assert_array_equal(same, [1, 2])


def test_optionals() -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    (nothing,) = run_node(op("Optional", "", type=kind), [])
    assert nothing == NoValue("optional(tensor(float))")
    for value, expected in ((nothing, False), (random((2,)), True)):
        (has,) = run_node(op("OptionalHasElement", "o", version=15), [value])
        assert has == expected


def test_maps() -> None:
    (maps,) = run_node(op("ZipMap", "x", version=1, domain="ai.onnx.ml", classlabels_int64s=[3, 4]), [random((1, 2))])
    assert [sorted(item) for item in maps] == [[3, 4]]
    (row,) = run_node(op("DictVectorizer", "m", version=1, domain="ai.onnx.ml", int64_vocabulary=[4, 3]), [maps[0]])
    assert_close(row, random((1, 2))[:, ::-1])


def test_types_that_onnxruntime_does_not_exchange_run_in_the_reference_implementation() -> None:
    x = random((3,)).astype(ml_dtypes.bfloat16)
    (y,) = run_node(op("Add", "x x"), [x, x])
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y.astype(np.float32), 2 * x.astype(np.float32))


def test_an_operator_that_nobody_has() -> None:
    with pytest.raises(InputError, match=r"^mystery1: error: no kernel for com.example.Mystery: onnxruntime says: "):
        run_node(op("Mystery", "x", domain="com.example", version=1), [random((2,))])


def test_inputs_that_an_operator_refuses() -> None:
    with pytest.raises(InputError, match=r"^matmul1: error: "):
        run_node(op("MatMul", "a b"), [random((2, 3)), random((2, 3))])


def test_a_model() -> None:
    made = model([node("Relu", "x", "t"), node("Neg", "t", "y")], {"x": (2,)})
    x = random((2,))
    assert sorted(run_model(made, {"x": x})) == ["y"]
    assert sorted(run_model(made, {"x": x}, ["t", "y"])) == ["t", "y"]
    with pytest.raises(InputError, match="onnxruntime cannot run the model"):
        run_model(made, {"x": random((3, 3))})


def test_a_missing_input() -> None:
    graph = lower(model([node("Relu", "x", "y")], {"x": (2,)}))
    with pytest.raises(InputError, match="the input 'x' is missing"):
        reference_run(graph, {})


# Nests


def at(axis: Axis, index: dict[str, int]) -> int:
    return sum(factor * index[dim] for factor, dim in axis.terms) + axis.offset


def looped(nest: Nest, arrays: dict[str, Array]) -> Array:
    """The output of a nest whose operands are whole tensors, by its loops."""
    output = np.zeros(nest.output.shape)
    if nest.bias is not None:
        for place in np.ndindex(*nest.output.shape):
            index = {axis.dims[0]: i for axis, i in zip(nest.output.axes, place)}
            output[place] = arrays["B"][tuple(at(axis, index) for axis in nest.bias.axes)]
    for point in product(*(range(dim.bound) for dim in nest.dims)):
        index = dict(zip(nest.bounds, point))
        term = 1.0
        for read in nest.reads:
            place = tuple(at(axis, index) for axis in read.axes)
            inside = all(0 <= i < axis.size for i, axis in zip(place, read.axes))
            term *= float(arrays[read.name][place]) if inside else 0.0
        output[tuple(at(axis, index) for axis in nest.output.axes)] += term
    return output


def on_whole_tensors(nest: Nest) -> NestOp:
    shapes = {name: operand.shape for name, operand in nest.operands.items()}
    strides = {name: tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape))) for name, shape in shapes.items()}
    return NestOp(nest, {name: View(name, 0, strides[name]) for name in shapes}, "test", "test")


M, N, K = Dim("M", 3, "P"), Dim("N", 2, "K"), Dim("K", 4, "C")


def plain(name: str, *dims: Dim) -> Operand:
    return Operand(name, tuple(Axis(((1, dim.name),), 0, dim.bound) for dim in dims))


NESTS = {
    "conv": nests.conv2d(2, 4, 6, 3, 2, 2, 3, stride=2, pad=1, groups=2, bias=True),
    "gemm": nests.gemm(3, 4, 5, bias=True),
    "products": nests.matmul(3, 2, 4, batch=(2, 3)),
    "transposed": nests.einsum("km,nk->nm", k=3, m=2, n=4),
    "one operand": Nest("sum", (M, K), (plain("I", M, K),), plain("O", M)),
    "summed on one side": Nest("sums", (M, N, K), (plain("I", M, K), plain("W", N)), plain("O", N, M)),
    "repeated": Nest("repeated", (M, N, K), (plain("I", M), plain("W", N)), plain("O", M, N)),
    "backwards": Nest(
        "backwards",
        (M, K),
        (Operand("I", (Axis(((-1, "M"), (-2, "K")), 6, 7),)), plain("W", K)),
        Operand("O", (Axis(((-1, "M"),), 2, 3),)),
    ),
}


@pytest.mark.parametrize("name", NESTS)
def test_a_nest_is_its_loops(name: str) -> None:
    nest = NESTS[name]
    arrays = {key: random(operand.shape, i) for i, (key, operand) in enumerate(nest.operands.items())}
    for accumulate in (np.float32, np.float64):
        value = run_nest(on_whole_tensors(nest), arrays, accumulate)
        assert_close(value, looped(nest, arrays).astype(np.float32), 1e-6)


def test_an_output_is_stored_where_its_view_lies() -> None:
    """Two products, side by side in one tensor."""
    nest = nests.gemm(2, 3, 4)
    uses = {"I": View("x", 0, (4, 1)), "W": View("w", 0, (3, 1))}
    both = [NestOp(nest, uses | {"O": View("y", 3 * i, (6, 1))}, "Gemm", f"half{i}") for i in range(2)]
    tensors = {name: Tensor(name, "float32", shape) for name, shape in (("x", (2, 4)), ("w", (4, 3)), ("y", (2, 6)))}
    x, w = random((2, 4)), random((4, 3))
    values = reference_run(Graph("halves", ("x",), ("y",), tensors, tuple(both), {"w": w}), {"x": x})
    assert_close(values["y"], np.hstack([x @ w, x @ w]))


def test_two_quantisers_in_a_row_are_two() -> None:
    """Whoever removes what stood between them, as a Dropout: the words went through both scales."""
    steps = ["QuantizeLinear:x a z:p", "DequantizeLinear:p a z:d", "Identity:d:i", "QuantizeLinear:i b z:q"]
    nodes = [node(*step.split(":")) for step in [*steps, "DequantizeLinear:q b z:y"]]
    constants = {"a": np.float32(0.01), "b": np.float32(0.0137), "z": np.uint8(100)}
    made = model(nodes, {"x": (8, 64)}, constants)
    inputs = {"x": random((8, 64))}
    assert (run_model(made, inputs, integers=True)["y"] == run_model(made, inputs)["y"]).all()
