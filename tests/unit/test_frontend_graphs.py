"""What becomes of whole graphs: shapes, constants, branches, functions, names and dims."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import assert_close, assert_equal_to_onnxruntime, conv_model, model, node, ops, random, random_inputs

from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.errors import InputError
from effc.compiler.frontend import fold
from effc.compiler.frontend.from_onnx import check, lower
from effc.compiler.frontend.lowerings import LOWERINGS, Lowering, operator_table, register_lowering
from effc.ir.graph import ControlOp, Graph, NodeOp


def shape_of_rows(x: str) -> Iterator[onnx.NodeProto]:
    """The nodes by which exporters flatten: Reshape(x, [Shape(x)[0], -1])."""
    yield node("Shape", x, "shape")
    yield node("Gather", "shape zero", "rows")
    yield node("Unsqueeze", "rows axes", "rows1")
    yield node("Concat", "rows1 rest", "target", axis=0)
    yield node("Reshape", f"{x} target", "flat")


def test_shapes_are_computed_while_compiling() -> None:
    constants = {
        "w": random((12, 5)),
        "zero": np.array(0),
        "axes": np.array([0]),
        "rest": np.array([-1]),
    }
    made = model([*shape_of_rows("x"), node("MatMul", "flat w", "y")], {"x": ("N", 3, 4)}, constants)
    graph = lower(made, batch=2)
    assert ops(graph) == ["Reshape", "MATMUL"]
    assert graph.tensors["y"].shape == (2, 5)
    inputs = random_inputs(graph)
    assert_close(reference_run(graph, inputs)["y"], run_model(made, inputs)["y"])


def test_what_depends_on_the_data_runs_on_the_host() -> None:
    nodes = [
        node("NonZero", "x", "places"),
        node("Cast", "places", "floats", to=TensorProto.FLOAT),
        node("MatMul", "w floats", "y"),
    ]
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (3, 4)}, {"w": random((5, 2))}))
    assert ops(graph) == ["NonZero", "Cast", "MatMul"]
    assert graph.tensors["y"].shape is None
    assert [op.reason for op in graph.ops if isinstance(op, NodeOp)] == [
        "the shape of its result depends on the data",
        "",
        "the shape of 'floats' is only known at run time",
    ]


def test_constants_that_repeat_a_value_take_no_memory() -> None:
    shape = np.array([512, 1024, 1024])
    nodes = [node("ConstantOfShape", "shape", "w"), node("MatMul", "x w", "y")]
    graph = lower(model(nodes, {"x": (1, 1024)}, {"shape": shape}))
    assert graph.constants["w"].strides == (0, 0, 0)
    assert ops(graph) == ["MATMUL"]


def test_folding_stops_at_the_budget() -> None:
    repeats = np.array([1, fold.GROWTH // 8 // 1024 + 1])
    nodes = [node("Tile", "w repeats", "big"), node("ReduceSum", "big", "s"), node("Add", "x s", "y")]
    graph = lower(model(nodes, {"x": (1,)}, {"w": random((1, 1024)), "repeats": repeats}))
    assert ops(graph) == ["Expand", "Reshape", "ReduceSum", "Add"]


def test_outputs_that_nobody_wants_are_not_folded_into_others() -> None:
    nodes = [node("Split", "w", ". b .", num_outputs=3), node("MatMul", "x b", "y")]
    graph = lower(model(nodes, {"x": (1, 2)}, {"w": random((6, 2))}, opset=18))
    assert_close(graph.constants["b"], random((6, 2))[2:4])


def test_an_integer_division_by_zero_is_left_to_the_host() -> None:
    constants = {"a": np.array([1]), "b": np.array([0])}
    nodes = [node("Div", "a b", "c"), node("Add", "x c", "y")]
    graph = lower(model(nodes, {"x": (1,)}, constants, element=TensorProto.INT64))
    assert ops(graph) == ["Div", "Add"]


@pytest.mark.parametrize("condition", [True, False])
def test_an_if_whose_condition_is_known_is_its_branch(condition: bool) -> None:
    value = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    weights = numpy_helper.from_array(random((3, 3)), "v")
    then = helper.make_graph([node("MatMul", "x v", "r")], "then", [], [value], [weights])
    other = helper.make_graph([node("Neg", "x", "t"), node("Exp", "t", "r")], "else", [], [value])
    choose = node("If", "c", "y", then_branch=then, else_branch=other)
    constants = {"c": np.array(condition), "w": random((3, 3))}
    graph = assert_equal_to_onnxruntime(model([choose], {"x": (3, 3)}, constants))
    assert ops(graph) == (["MATMUL"] if condition else ["Neg", "Exp"])
    assert set(graph.tensors) == ({"x", "y/v", "y"} if condition else {"x", "y/t", "y"})


def test_an_if_whose_condition_is_not_known_keeps_what_it_captures() -> None:
    value = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    then = helper.make_graph([node("MatMul", "x w", "r")], "then", [], [value])
    other = helper.make_graph([node("Neg", "x", "r")], "else", [], [value])
    nodes = [
        node("ReduceSum", "x", "s", keepdims=0),
        node("Cast", "s", "c", to=TensorProto.BOOL),
        node("If", "c", "y", then_branch=then, else_branch=other),
    ]
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (3, 3)}, {"w": random((3, 3))}))
    op = graph.ops[-1]
    assert isinstance(op, ControlOp)
    assert op.captures == ("x",)  # w is a constant of the branch
    assert ops(graph)[-3:] == ["If", "MATMUL", "Neg"]


def test_local_functions_are_inlined() -> None:
    for opset in (17, 13):  # that of the model, and another
        made = model([node("Relu", "x", "y")], {"x": (2, 3)}, {"w": random((3, 4))})
        function = helper.make_function(
            "local",
            "Layer",
            ["a", "b"],
            ["c"],
            [node("MatMul", "a b", "t"), node("Relu", "t", "c")],
            [helper.make_opsetid("", opset)],
        )
        made.functions.append(function)
        made.opset_import.append(helper.make_opsetid("local", 1))
        made.graph.node[0].CopyFrom(helper.make_node("Layer", ["x", "w"], ["y"], domain="local"))
        assert ops(assert_equal_to_onnxruntime(made)) == ["MATMUL", "Relu"]


def test_initializers_that_are_inputs_too_are_constants() -> None:
    made = conv_model((1, 2, 5, 5), (3, 2, 3, 3))
    made.ir_version = 3
    for tensor in made.graph.initializer:
        made.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    graph = assert_equal_to_onnxruntime(made)
    assert graph.inputs == ("x",)
    assert set(graph.constants) == {"w", "b"}


def test_outputs_that_are_constants_or_inputs() -> None:
    made = model([node("Constant", "", "c", value_float=2.5)], {"x": (2,)}, outputs="c x")
    graph = lower(made)
    assert graph.ops == ()
    assert reference_run(graph, {"x": random((2,))})["c"] == np.float32(2.5)


def test_names() -> None:
    """Nodes without a name get one, those that share one are told apart, and a nest's is an identifier."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="/layer.1/MatMul"),
        helper.make_node("MatMul", ["a", "w"], ["b"], name="/layer.1/MatMul"),
        helper.make_node("MatMul", ["b", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    graph = lower(model(nodes, {"x": (2, 2)}, {"w": random((2, 2))}))
    assert [op.name for op in graph.ops] == ["layer_1_MatMul", "layer_1_MatMul_2", "matmul1", "relu1"]
    assert [op.origin for op in graph.ops][:2] == ["/layer.1/MatMul", "/layer.1/MatMul_2"]


def test_nodes_that_are_told_to_be_no_nests() -> None:
    graph = lower(conv_model((1, 2, 5, 5), (3, 2, 3, 3)), host={"conv1": "too large"})
    assert [(op.name, op.reason) for op in graph.ops if isinstance(op, NodeOp)] == [("conv1", "too large")]


# Symbolic dims


def lowered(shapes: dict[str, list[int | str | None]], **options: Any) -> Graph:
    names = " ".join(f"y{i}" for i in range(len(shapes)))
    nodes = [node("Relu", name, f"y{i}") for i, name in enumerate(shapes)]
    return lower(model(nodes, shapes, outputs=names), **options)


@pytest.mark.parametrize(
    ("shapes", "options", "expected"),
    [
        ({"x": ["N", 3]}, {}, {"x": (1, 3)}),
        ({"x": ["N", 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": ["anything", 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": [None, 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": [None, 3], "z": [None]}, {"batch": 4}, {"x": (4, 3), "z": (4,)}),
        ({"x": ["T", "batch_size"]}, {"dims": {"T": 7}}, {"x": (7, 1)}),
        ({"x": ["N", "H"]}, {"dims": {"N": 2, "H": 5}, "batch": 3}, {"x": (2, 5)}),
        ({"x": ["N", "past"], "z": ["N", "past + new"]}, {"dims": {"past": 4, "new": 3}}, {"x": (1, 4), "z": (1, 7)}),
        ({"x": ["N", "past"], "z": ["N", "past+1"]}, {"dims": {"past": 0}}, {"x": (1, 0), "z": (1, 1)}),
        ({"x": ["unk__1", 3], "z": ["unk__2"]}, {"batch": 4}, {"x": (4, 3), "z": (4,)}),
        ({"x": [2, None]}, {"dims": {"x.1": 6}}, {"x": (2, 6)}),
        ({"x": [2, -1]}, {"dims": {"x.1": 6}}, {"x": (2, 6)}),
        ({"x": [4, 3]}, {"batch": 4}, {"x": (4, 3)}),
        ({"x": [4, 3]}, {}, {"x": (4, 3)}),
    ],
)
def test_dims_are_bound(
    shapes: dict[str, list[int | str | None]], options: dict[str, Any], expected: dict[str, tuple[int, ...]]
) -> None:
    graph = lowered(shapes, **options)
    assert {name: graph.tensors[name].shape for name in graph.inputs} == expected


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (
            {"x": ["N", 3, "H", 4]},
            {},
            "error: dim 'H', axis 2 of the input 'x', has no value\n  remedy:   give --dim H=VALUE",
        ),
        (
            {"x": ["N", None]},
            {},
            "error: dim 'x.1', axis 1 of the input 'x', has no value\n  remedy:   give --dim x.1=VALUE",
        ),
        (
            {"x": [1, 3, "?", "?"], "z": [2, "W"]},
            {},
            "error: dim 'x.2', axis 2 of the input 'x', has no value, nor have 2 others\n"
            "  remedy:   give --dim x.2=VALUE --dim x.3=VALUE --dim W=VALUE",
        ),
        (
            {"x": ["rows"], "z": ["columns"]},
            {},
            "error: dim 'columns', axis 0 of the input 'z', has no value\n  remedy:   give --dim columns=VALUE",
        ),
        (
            {"x": ["N", 3]},
            {"dims": {"H": 2}},
            "error: no input has a dim 'H'\n  expected: a symbolic dim of the model (N)",
        ),
        (
            {"x": [1, 3]},
            {"dims": {"H": 2}},
            "error: no input has a dim 'H'\n  expected: a symbolic dim of the model (none: every dim has a fixed size)",
        ),
        ({"x": ["N", 3]}, {"dims": {"N": -1}}, "error: N is -1\n  expected: from 0 to 2147483647"),
        ({"x": ["N", 3]}, {"batch": -1}, "error: the batch is -1\n  expected: from 0 to 2147483647"),
        (
            {"x": [1, 3]},
            {"batch": 2},
            "error: the model has no symbolic batch: axis 0 of its input 'x' is 1\n"
            "  remedy:   leave out --batch, or export the model with a symbolic batch",
        ),
    ],
)
def test_dims_that_cannot_be_bound(
    shapes: dict[str, list[int | str | None]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        lowered(shapes, **options)
    assert str(caught.value) == message


def test_an_input_of_unknown_rank() -> None:
    made = model([node("Relu", "x", "y")], {"x": None})
    graph = lower(made)
    assert graph.tensors["x"].shape is None
    x = random((2, 3))
    assert_close(reference_run(graph, {"x": x})["y"], np.maximum(x, 0))


# The table


def test_the_table_of_operators() -> None:
    rows = {row.op: row for row in operator_table()}
    assert rows["Conv"].where == rows["Gemm"].where == rows["MatMul"].where == "accel"
    assert rows["Reshape"] == ("Reshape", "shape only: no words move", "host")
    assert rows["any other"].where == "vector or host"


def test_a_lowering_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effc.compiler.frontend.lowerings.LOWERINGS", LOWERINGS)
    before: dict[tuple[str, str], Lowering] = dict(LOWERINGS)
    try:

        @register_lowering("Square", forms="any")
        def square(source: Any, build: Any) -> None:
            build.add_node("Mul", source.name, (source.proto.input[0],) * 2, source.proto.output[0])

        register_lowering("Neg", "any")(square)
        graph = lower(model([node("Neg", "x", "y")], {"x": (3,)}))
        assert ops(graph) == ["Mul"]
        x = random((3,))
        assert_close(reference_run(graph, {"x": x})["y"], x * x)
    finally:
        LOWERINGS.clear()
        LOWERINGS.update(before)


def test_a_short_time_fourier_transform_is_onesided_unless_told_otherwise() -> None:
    """ONNX's own shape inference takes it for two-sided (1.18)."""
    step, window = np.array(4), np.ones(8, np.float32)
    graph = lower(model([node("STFT", "x step w", "y")], {"x": (1, 32)}, {"step": step, "w": window}))
    assert graph.tensors["y"].shape == (1, 7, 5, 2)


def test_what_is_put_together_of_known_members_has_a_shape() -> None:
    """Lists of scripted models: built, changed and read."""
    nodes = [
        node("SequenceEmpty", "", "s0"),
        node("SequenceInsert", "s0 x", "s1"),
        node("SequenceInsert", "s1 z zero", "s2"),
        node("SequenceInsert", "s2 x", "s3"),
        node("SequenceErase", "s3 last", "s4"),
        node("ConcatFromSequence", "s4", "t", axis=1),
        node("SequenceAt", "s4 last", "a"),
        node("SequenceLength", "s4", "n"),
        node("Range", "zero n one", "r"),
        node("ConcatFromSequence", "s4", "c", axis=0, new_axis=1),
        node("Gather", "c r", "g"),
        node("MatMul", "t w", "y1"),
        node("MatMul", "a v", "y2"),
        node("MatMul", "g v", "y3"),
    ]
    constants = {
        "zero": np.array(0),
        "one": np.array(1),
        "last": np.array(-1),
        "w": random((6, 4)),
        "v": random((3, 5)),
    }
    made = model(nodes, {"x": (2, 3), "z": (2, 3)}, constants, "y1 y2 y3", opset=13)
    graph = assert_equal_to_onnxruntime(made)
    assert ops(graph).count("MATMUL") == 3


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("inside", ["MatMul", "If"])
def test_a_list_that_a_loop_collects(opset: int, inside: str) -> None:
    """Of a known number of trips: unrolled, so that the product behind it has a shape."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [node("Add", f"h {given}", name)],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])],
        )
        for name, given in (("then", "h"), ("else", "v1"))
    }
    first = node("MatMul", "h v", "k") if inside == "MatMul" else node("If", "c", "k", **branches)
    body = helper.make_graph(
        [first, node("SequenceInsert", "l k", "m"), node("Identity", "c", "d")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_sequence_value_info("l", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, [2, 3]),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_sequence_value_info("m", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("k", TensorProto.FLOAT, [2, 3]),
        ],
    )
    nodes = [
        node("SequenceEmpty", "", "none"),
        node("Loop", "three . none x", "all last", body=body),
        node("ConcatFromSequence", "all", "t", axis=0),
        node("MatMul", "t w", "y"),
    ]
    constants = {"three": np.array(3), "v": random((3, 3)), "v1": random((3,)), "w": random((3, 4))}
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (2, 3)}, constants, opset=opset))
    assert ops(graph).count("MATMUL") == (4 if inside == "MatMul" else 1)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_known_choices(axis: int | None) -> None:
    attributes = {} if axis is None else {"axis": axis}
    nodes = [
        node("Compress", "x mask", "a", **attributes),
        node("NonZero", "mask", "i"),
        node("Squeeze", "i zero", "j"),
        node("Gather", "x j", "b"),
        node("MatMul", "b w", "y1"),
        node("Relu", "a", "y2"),
    ]
    constants = {"mask": np.array([False, True, True]), "zero": np.array([0]), "w": random((4, 5))}
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (3, 4)}, constants, "y1 y2"))
    assert "MATMUL" in ops(graph)
    assert graph.tensors["y2"].shape == {None: (2,), 0: (2, 4), 1: (3, 2)}[axis]


@pytest.mark.parametrize("op", ["Gather", "Slice"])
def test_sizes_beside_those_that_depend_on_the_data(op: str) -> None:
    """How many rows there are is not known before the run, how long they are is."""
    take = node("Gather", "s one", "n") if op == "Gather" else node("Slice", "s one two", "n")
    nodes = [
        node("NonZero", "x", "all"),
        node("Gather", "all zero", "places"),
        node("Gather", "x places", "rows"),
        node("Shape", "rows", "s"),
        take,
        node("Concat", "three n", "sizes", axis=0),
        node("Expand", "x1 sizes", "e"),
        node("MatMul", "e w", "y"),
    ]
    constants: dict[str, Any] = {"zero": np.array(0), "w": random((6, 4))}
    constants |= {name: np.array([value]) for name, value in (("one", 1), ("two", 2), ("three", 3))}
    graph = assert_equal_to_onnxruntime(model(nodes, {"x": (4, 6), "x1": (1, 6)}, constants))
    assert "MATMUL" in ops(graph)


def test_axes_that_are_too_long_for_a_schedule() -> None:
    (op, *_) = lower(model([node("MatMul", "x w", "y")], {"x": (1 << 31, 2)}, {"w": random((2, 3))})).ops
    assert isinstance(op, NodeOp)
    assert op.reason == "2147483648 steps along one axis: too many to schedule"


def test_results_without_a_type() -> None:
    """As scripts that do not annotate what they return are written; onnxruntime works the types out, too."""
    body = helper.make_graph(
        [node("MatMul", "h w", "k"), node("Identity", "c", "d")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            onnx.ValueInfoProto(name="h"),
        ],
        [onnx.ValueInfoProto(name="d"), onnx.ValueInfoProto(name="k")],
    )
    made = model([node("Relu", "x", "r")], {"x": (2, 3)}, {"w": random((3, 3)), "three": np.array(3)}, "r")
    made.graph.node.append(node("Loop", "three . r", "y", body=body))
    made.graph.output.append(onnx.ValueInfoProto(name="y"))
    check(made)
    assert "MATMUL" in ops(assert_equal_to_onnxruntime(made))
