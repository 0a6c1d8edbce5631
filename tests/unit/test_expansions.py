"""Operators in whose place simpler ones are lowered, and Einsum: each form against onnxruntime on the whole model."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import assert_close, assert_equal_to_onnxruntime, model, node, ops, random, random_inputs

from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.errors import InputError
from effc.compiler.frontend.from_onnx import lower
from effc.ir.bodies import every_op
from effc.ir.graph import ControlOp, NestOp, NodeOp

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FUNCTIONS = ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Elu", "Softsign", "Softplus"]


def random_recurrence(op: str, seed: int) -> onnx.ModelProto:
    """A recurrent node with any of its optional inputs and attributes."""
    rng = np.random.default_rng([seed, GATES[op]])

    def chance(of: int = 2) -> bool:
        return not rng.integers(of)

    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    directions = 1 + (direction == "bidirectional")
    steps, batch, words, hidden = (int(rng.integers(1, 5)) for _ in range(4))
    gates = GATES[op] * hidden
    constants: dict[str, Any] = {"w": random((directions, gates, words)), "r": random((directions, gates, hidden))}
    optional = {
        "b": random((directions, 2 * gates)),
        "lengths": rng.integers(1, steps + 1, batch).astype(np.int32),
        "h": random((directions, batch, hidden)),
    }
    if op == "LSTM":
        optional |= {"c": random((directions, batch, hidden), 1), "p": random((directions, 3 * hidden))}
    names = ["x", "w", "r"]
    for name, value in optional.items():
        names.append(name if chance() else ".")
        constants |= {name: value} if names[-1] == name else {}
    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    if op == "GRU" and chance():
        attributes["linear_before_reset"] = 1
    if op == "LSTM" and chance(4):
        attributes["input_forget"] = 1
    if chance(4):
        attributes["clip"] = 0.5
    if chance(3):
        count = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
        attributes["activations"] = [str(rng.choice(FUNCTIONS)) for _ in range(count)] * directions
    outputs = "y yh yc" if op == "LSTM" else "y yh"
    made = node(op, " ".join(names), outputs, **attributes)
    return model([made], {"x": (steps, batch, words)}, constants, outputs, opset=int(rng.choice([7, 14, 17])))


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("op", GATES)
def test_random_recurrence(op: str, seed: int) -> None:
    found = ops(assert_equal_to_onnxruntime(random_recurrence(op, seed)))
    assert "MATMUL" in found
    assert not {op, "MatMul"} & set(found)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "opset"),
    [
        ("GroupNormalization", "x c d", {"num_groups": 2}, 21),
        ("RMSNormalization", "x row", {"axis": -1}, 23),
        ("MeanVarianceNormalization", "x", {}, 13),
        ("RotaryEmbedding", "x cos cos", {}, 23),
        ("RotaryEmbedding", "x cos cos", {"interleaved": 1}, 23),
        ("Mish", "x", {}, 18),
        ("Softsign", "x", {}, 22),
        ("ReduceL1", "x axes", {}, 18),
        ("ReduceL2", "x axes", {"keepdims": 0}, 18),
        ("ReduceSumSquare", "x", {}, 18),
        ("CastLike", "x c", {}, 19),
    ],
)
def test_operators_in_steps(op: str, inputs: str, attributes: dict[str, Any], opset: int) -> None:
    """None of them is left to the host."""
    values = {"c": random((4,)), "d": random((4,), 1), "row": random((6,)), "cos": random((2, 3, 3))}
    values["axes"] = np.array([2], np.int64)
    constants = {name: values[name] for name in inputs.split() if name != "x"}
    made = model([node(op, inputs, "y", **attributes)], {"x": (2, 4, 3, 6)}, constants, opset=opset)
    assert op not in ops(assert_equal_to_onnxruntime(made))


@pytest.mark.parametrize("op", ["DepthToSpace", "SpaceToDepth"])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_blocks_of_an_image(op: str, mode: str) -> None:
    attributes = {"mode": mode} if op == "DepthToSpace" else {}
    made = model([node(op, "x", "y", blocksize=2, **attributes)], {"x": (2, 8, 4, 6)})
    assert ops(assert_equal_to_onnxruntime(made)) == ["Reshape", "Transpose", "Reshape"]


@pytest.mark.parametrize("times", [(1, 1, 1), (3, 1, 2), (2, 4, 3)])
def test_repetitions(times: tuple[int, ...]) -> None:
    made = model([node("Tile", "x times", "y")], {"x": (2, 1, 3)}, {"times": np.array(times)})
    assert set(ops(assert_equal_to_onnxruntime(made))) <= {"Reshape", "Expand"}


def test_blocks_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="blocks of 2 in 6"):
        lower(model([node("DepthToSpace", "x", "y", blocksize=2)], {"x": (1, 6, 2, 2)}))


def test_too_many_repetitions() -> None:
    made = model([node("Tile", "x times", "y")], {"x": (2, 3)}, {"times": np.array([1 << 62, 1 << 62])})
    (op,) = lower(made).ops
    assert isinstance(op, NodeOp)
    assert op.reason == "too many words to count"


def test_the_products_of_an_lstm() -> None:
    """One for the inputs of all steps, one in the body of a loop."""
    weights = {"w": random((1, 12, 5)), "r": random((1, 12, 3))}
    graph = assert_equal_to_onnxruntime(model([node("LSTM", "x w r", "y", hidden_size=3)], {"x": (4, 2, 5)}, weights))
    nests = [(op.nest.macs, scope.runs) for op, scope in every_op(graph) if isinstance(op, NestOp)]
    assert nests == [(4 * 2 * 12 * 5, 1), (2 * 12 * 3, 4)]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (
            {"activations": ["Sigmoid", "Tanh", "Affine"]},
            "the activation Affine without alpha or beta, for which ONNX has no default",
        ),
        ({"activations": ["Sigmoid", "Tanh", "ThresholdedRelu"]}, "the activation ThresholdedRelu"),
    ],
)
def test_a_recurrence_on_the_host(attributes: dict[str, Any], reason: str) -> None:
    weights = {"w": random((1, 12, 5)), "r": random((1, 12, 3))}
    made = model([node("LSTM", "x w r", "y", hidden_size=3, **attributes)], {"x": (4, 2, 5)}, weights)
    (op,) = assert_equal_to_onnxruntime(made).ops
    assert isinstance(op, NodeOp)
    assert (op.op, op.reason) == ("LSTM", reason)


EINSUMS: dict[str, tuple[list[tuple[int, ...]], list[str]]] = {
    "mk,kn->mn": ([(3, 4), (4, 5)], ["EINSUM"]),
    "mk,kn": ([(3, 4), (4, 5)], ["EINSUM"]),
    "bhqd,bhkd->bhqk": ([(2, 3, 4, 5), (2, 3, 6, 5)], ["EINSUM"]),
    "bqhd,bkhd->bhqk": ([(2, 4, 3, 5), (2, 6, 3, 5)], ["EINSUM"]),
    "i,i->": ([(4,), (4,)], ["EINSUM"]),
    "i,j->ij": ([(4,), (3,)], ["EINSUM"]),
    "...ij,...jk->...ik": ([(2, 1, 3, 4), (1, 5, 4, 6)], ["EINSUM"]),
    "ij...,jk->ik...": ([(3, 4, 2), (4, 5)], ["EINSUM"]),
    "ii,ij->j": ([(3, 3), (3, 4)], ["EINSUM"]),
    "aA,Ab->ab": ([(2, 3), (3, 4)], ["EINSUM"]),
    "ijk,j->i": ([(2, 3, 4), (3,)], ["EINSUM"]),
    "ij,jk,kl->il": ([(2, 3), (3, 4), (4, 5)], ["EINSUM", "EINSUM"]),
    "ij,ij,j->i": ([(2, 3), (2, 3), (3,)], ["EINSUM", "EINSUM"]),
    "ij->ji": ([(2, 3)], ["Transpose"]),
    "...ij->j...": ([(2, 3, 4)], ["Transpose", "ReduceSum"]),
    "ij->": ([(2, 3)], ["ReduceSum"]),
    "->": ([()], ["Identity"]),
    "ii->i": ([(3, 3)], ["Einsum"]),
}


@pytest.mark.parametrize("equation", EINSUMS)
def test_einsum(equation: str) -> None:
    shapes, expected = EINSUMS[equation]
    names = [f"x{i}" for i in range(len(shapes))]
    made = model([node("Einsum", " ".join(names), "y", equation=equation)], dict(zip(names, shapes)))
    assert ops(assert_equal_to_onnxruntime(made)) == expected


def test_the_roles_of_an_einsum() -> None:
    made = model([node("Einsum", "x z", "y", equation="gmk,gkn->gmn")], {"x": (2, 3, 4), "z": (2, 4, 5)})
    (op,) = lower(made).nests
    assert {dim.name: dim.role for dim in op.nest.dims} == {"G": "G", "M": "P", "K": "C", "N": "K"}


def body(nodes: list[onnx.NodeProto], inputs: dict[str, Any], outputs: str, **weights: Any) -> onnx.GraphProto:
    """A body; a value of ``inputs`` is a type of elements. What is no float is a scalar."""
    shapes = {kind: None if kind == TensorProto.FLOAT else () for kind in inputs.values()}
    given = [helper.make_tensor_value_info(name, kind, shapes[kind]) for name, kind in inputs.items()]
    results = [onnx.ValueInfoProto(name=name) for name in outputs.split()]
    for value in results:
        value.type.tensor_type.elem_type = TensorProto.BOOL if value.name == "goes" else TensorProto.FLOAT
    return helper.make_graph(nodes, "body", given, results, [numpy_helper.from_array(v, k) for k, v in weights.items()])


def loop_model(turns: int | None, goes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Powers of a matrix, each of them collected; ``turns`` are an input of the model if they are None."""
    inner = body(
        [*goes, node("MatMul", "s v", "t"), node("Add", "t w", "u")],
        {"i": TensorProto.INT64, "c": TensorProto.BOOL, "s": TensorProto.FLOAT},
        "goes u u",
        v=random((3, 3)),
    )
    placeholder = node("Split", "x", "y z")
    made = model([placeholder], {"x": (4, 3)}, {"w": random((3,)), "c0": np.array(True)}, "y z")
    if turns is None:
        made.graph.input.append(helper.make_tensor_value_info("turns", TensorProto.INT64, []))
    else:
        made.graph.initializer.append(numpy_helper.from_array(np.array(turns), "turns"))
    made.graph.node[0].CopyFrom(node("Loop", "turns c0 x", "y z", body=inner))
    return made


def test_a_loop_of_known_length() -> None:
    graph = assert_equal_to_onnxruntime(loop_model(3, [node("Identity", "c", "goes")]))
    assert ops(graph) == ["Loop", "Identity", "MATMUL", "Add", "Identity"]
    (op,) = graph.ops
    assert isinstance(op, ControlOp)
    assert op.trips == 3


@pytest.mark.parametrize("known", [True, False], ids=["its condition does", "its length does"])
def test_a_loop_that_depends_on_the_data(known: bool) -> None:
    goes = [node("ReduceSum", "s", "n", keepdims=0), node("Cast", "n", "goes", to=TensorProto.BOOL)]
    made = loop_model(3 if known else None, goes if known else [node("Identity", "c", "goes")])
    graph = lower(made)
    (op,) = graph.ops
    assert isinstance(op, ControlOp)
    assert (op.op, op.trips) == ("Loop", None)
    assert "MATMUL" in ops(graph)
    inputs = {"x": random((4, 3))} | ({} if known else {"turns": np.array(2)})
    for name, expected in run_model(made, inputs).items():
        assert_close(reference_run(graph, inputs)[name], expected)


def test_a_loop_whose_values_grow_is_unrolled() -> None:
    inner = body(
        [node("Identity", "c", "goes"), node("MatMul", "s v", "t"), node("Concat", "s t", "u", axis=0)],
        {"i": TensorProto.INT64, "c": TensorProto.BOOL, "s": TensorProto.FLOAT},
        "goes u",
        v=random((3, 3)),
    )
    made = model([node("Relu", "x", "y")], {"x": (4, 3)}, {"turns": np.array(2), "c0": np.array(True)})
    made.graph.node[0].CopyFrom(node("Loop", "turns c0 x", "y", body=inner))
    graph = assert_equal_to_onnxruntime(made)
    assert ops(graph).count("MATMUL") == 2
    assert "Loop" not in ops(graph)
    assert len([name for name in graph.constants if name.endswith("/v")]) == 1  # not one for each turn


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("backwards", [0, 1])
def test_a_scan(axis: int, backwards: int) -> None:
    inner = body(
        [node("MatMul", "s v", "t"), node("Add", "t e", "u"), node("Relu", "u", "r")],
        {"s": TensorProto.FLOAT, "e": TensorProto.FLOAT},
        "u r",
        v=random((2, 2)),
    )
    placeholder = node("Split", "x", "y z", axis=1)
    made = model([placeholder], {"x": (1, 2), "e": (4, 2) if axis == 0 else (2, 4)}, outputs="y z")
    scan = node(
        "Scan",
        "x e",
        "y z",
        body=inner,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_input_directions=[backwards],
        scan_output_axes=[1],
        scan_output_directions=[backwards],
    )
    made.graph.node[0].CopyFrom(scan)
    graph = assert_equal_to_onnxruntime(made)
    assert ops(graph) == ["Scan", "MATMUL", "Add", "Relu"]


def test_a_scan_without_products_stays_one_op() -> None:
    inner = body([node("Add", "s e", "u")], {"s": TensorProto.FLOAT, "e": TensorProto.FLOAT}, "u")
    made = model([node("Relu", "x", "y")], {"x": (3,), "e": (4, 3)})
    made.graph.node[0].CopyFrom(node("Scan", "x e", "y", body=inner, num_scan_inputs=1))
    assert ops(assert_equal_to_onnxruntime(made)) == ["Scan"]


@pytest.mark.parametrize("element", [TensorProto.FLOAT16, TensorProto.FLOAT])
def test_attention_is_two_products(element: int) -> None:
    if onnx.defs.onnx_opset_version() < 23:
        pytest.skip("this onnx knows no Attention")
    shapes = {"q": (1, 4, 3, 8), "k": (1, 2, 5, 8), "v": (1, 2, 5, 8)}
    made = model([node("Attention", "q k v", "y", is_causal=1)], shapes, opset=23, element=element)
    graph = lower(made)
    assert ops(graph).count("MATMUL") == 2
    assert not {"Attention", "MatMul"} & set(ops(graph))
    dtype = helper.tensor_dtype_to_np_dtype(element)
    inputs = {name: value.astype(dtype) for name, value in random_inputs(graph).items()}
    limit = 1e-5 if element == TensorProto.FLOAT else 4e-3
    assert_close(reference_run(graph, inputs)["y"], run_model(made, inputs)["y"], limit)


def test_names_tell_where_a_nest_comes_from() -> None:
    weights = {"w": random((1, 4, 5)), "r": random((1, 4, 4))}
    cell = helper.make_node("RNN", ["x", "w", "r"], ["y"], name="/encoder/RNN", hidden_size=4)
    graph = lower(model([cell], {"x": (2, 1, 5)}, weights))
    assert all(op.name.startswith("encoder_RNN_") for op in graph.nests)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(("groups", "moved", "stride"), [(1, 1, 1), (2, 1, 2), (1, 2, 1), (2, 4, 1)])
def test_deformable_convolutions(groups: int, moved: int, stride: int, mask: bool) -> None:
    """Taps that leave the image, also: offsets of up to several points."""
    size = (7 + 2 - 5) // stride + 1
    wide = (7 + 2 - 2) // stride + 1
    inputs = {"x": (2, 4, 7, 7), "o": (2, moved * 12, size, wide)}
    constants = {"w": random((6, 4 // groups, 3, 2)), "b": random((6,))}
    if mask:
        inputs["m"] = (2, moved * 6, size, wide)
    made = node(
        "DeformConv",
        "x w o b m" if mask else "x w o b",
        "y",
        group=groups,
        offset_group=moved,
        strides=[stride, stride],
        dilations=[2, 1],
        pads=[1, 1, 1, 1],
    )
    found = ops(assert_equal_to_onnxruntime(model([made], inputs, constants, opset=19)))
    assert found.count("MATMUL") == 1
    assert "DeformConv" not in found


def test_states_of_another_size_are_refused_by_name() -> None:
    """As PyTorch exports an LSTM with projections: the node is named, not one that takes its place."""
    weights = {"w": random((1, 16, 3)), "r": random((1, 16, 4)), "c": random((1, 2, 8))}
    made = model([node("LSTM", "x w r . . . c", "y", hidden_size=4)], {"x": (5, 2, 3)}, weights)
    with pytest.raises(
        InputError, match=r"LSTM 'lstm1': error: initial_c has the shape \[1, 2, 8\]\n *expected: *\[1, 2, 4\]"
    ):
        lower(made)


def contrib_model(op: str, shapes: dict[str, tuple[int, ...]], **attributes: Any) -> onnx.ModelProto:
    """A node of onnxruntime's own domain, and a product behind it that needs its shape."""
    names = list(shapes)
    fused = helper.make_node(op, names, ["t"], domain="com.microsoft", **attributes)
    made = model([node("Relu", "t", "y")], {"t": None}, {name: random(shapes[name]) for name in names[1:]})
    del made.graph.input[:]
    made.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes["x"]))
    made.graph.node.insert(0, fused)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


CONV = {"x": (1, 2, 5, 5), "w": (3, 2, 3, 3)}


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "expected"),
    [
        ("FusedMatMul", {"x": (2, 4, 3), "w": (5, 4)}, {"transA": 1, "transB": 1, "alpha": 0.5}, "MATMUL"),
        ("FusedMatMul", {"x": (3, 4), "w": (4, 5)}, {}, "MATMUL"),
        ("FusedMatMul", {"x": (5, 4, 3), "w": (3, 4, 6)}, {"transBatchA": 1, "transBatchB": 1}, "MATMUL"),
        ("FusedMatMul", {"x": (5, 4, 3), "w": (4, 5, 6)}, {"transBatchA": 1, "transA": 1}, "MATMUL"),
        ("FusedGemm", {"x": (3, 4), "w": (5, 4), "b": (5,)}, {"transB": 1, "activation": "Relu"}, "GEMM"),
        ("FusedConv", {"x": (1, 2, 5, 5), "w": (3, 2, 3, 3), "b": (3,)}, {"activation": "Relu"}, "CONV"),
        ("FusedConv", CONV, {"activation": "LeakyRelu", "activation_params": [0.2]}, "CONV"),
        ("FusedConv", CONV, {"activation": "Clip", "activation_params": [-0.1, 0.2]}, "CONV"),
        ("FusedConv", CONV, {"activation": "HardSigmoid", "activation_params": [0.3, 0.4]}, "CONV"),
        ("FusedGemm", {"x": (3, 4), "w": (4, 5), "b": (5,)}, {"activation": "Elu", "activation_alpha": 0.5}, "GEMM"),
        ("FusedConv", {"x": (1, 2, 3, 3), "w": (3, 2, 3, 3), "b": (3,), "z": (1, 3, 1, 1)}, {}, "CONV"),
    ],
)
def test_what_onnxruntime_fuses_is_taken_apart(
    op: str, shapes: dict[str, tuple[int, ...]], attributes: dict[str, Any], expected: str
) -> None:
    found = ops(assert_equal_to_onnxruntime(contrib_model(op, shapes, **attributes)))
    assert expected in found
    assert op not in found


def test_onnxruntime_knows_the_shapes_of_its_own_operators() -> None:
    made = contrib_model("Inverse", {"x": (4, 4)})
    made.graph.node[1].CopyFrom(node("MatMul", "t v", "y"))
    made.graph.initializer.append(numpy_helper.from_array(random((4, 5)), "v"))
    assert ops(assert_equal_to_onnxruntime(made)) == ["Inverse", "MATMUL"]
