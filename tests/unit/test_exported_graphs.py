"""Idioms of exporters and quantisers that once went wrong: compiled, run and verified."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model, node

import effc
from effc.compiler.comparison import compare
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.original import Original
from effc.compiler.verify import OUTPUT_LIMIT, coarseness

TARGET = "eyeriss_like"


def random(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


def test_what_onnx_infers_no_shape_of() -> None:
    """GroupNormalization: what is behind it is still a nest."""
    nodes = [
        node("GroupNormalization", "x s b", "n", num_groups=2),
        node("Conv", "n w", "y", kernel_shape=[3, 3]),
    ]
    made = model(nodes, {"x": (1, 4, 5, 5)}, {"s": random(4), "b": random(4), "w": random(2, 4, 3, 3)}, opset=21)
    assert [op.op for op in lower(made).nests] == ["Conv"]


@pytest.mark.parametrize(
    ("op", "opset", "names"), [("Upsample", 9, "x s"), ("Resize", 10, "x s"), ("Resize", 18, "x . s")]
)
def test_scales_are_multiplied_in_float32(op: str, opset: int, names: str) -> None:
    """As onnxruntime does: 17 rows of 9, where ONNX's shape inference has 16."""
    made = model(
        [node(op, names, "y", mode="nearest")], {"x": (1, 2, 9, 5)}, {"s": np.float32([1, 1, 17 / 9, 2])}, opset=opset
    )
    assert lower(made).tensors["y"].shape == (1, 2, 17, 10)
    assert effc.compile(made, TARGET).verify().ok


def test_the_arithmetic_of_shapes_quantised() -> None:
    """A quantiser cannot tell it from that of the network: the shape of what is behind it is known all the same."""
    nodes = [
        node("QuantizeLinear", "rows s z", "a"),
        node("DequantizeLinear", "a s z", "b"),
        node("QuantizeLinear", "two s z", "c"),
        node("DequantizeLinear", "c s z", "d"),
        node("Mul", "b d", "e"),
        node("QuantizeLinear", "e s z", "f"),
        node("DequantizeLinear", "f s z", "g"),
        node("Cast", "g", "h", to=TensorProto.INT64),
        node("Unsqueeze", "h zero", "i"),
        node("Concat", "i minus", "shape", axis=0),
        node("Reshape", "x shape", "t"),
        node("MatMul", "t w", "y"),
    ]
    constants = {
        **{"rows": np.float32(2), "two": np.float32(2), "s": np.float32(1), "z": np.int8(0)},
        **{"zero": np.array([0]), "minus": np.array([-1]), "w": random(3, 5)},
    }
    program = effc.compile(model(nodes, {"x": (2, 6)}, constants), TARGET, time_limit=0.2)
    assert [op.op for op in program.graph.nests] == ["MatMul"]
    assert program.verify().ok


@pytest.mark.parametrize("last", [0, 1])
def test_convolutions_of_integers_with_channels_last(last: int) -> None:
    """As onnxruntime's optimiser saves them."""
    names = "q s z w ws wz s z"
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", names, "c", domain="com.microsoft", channels_last=last, pads=[1, 0, 1, 0]),
        node("DequantizeLinear", "c s z", "y"),
    ]
    constants = {
        "s": np.float32(0.02),
        "z": np.uint8(120),
        "w": np.random.default_rng(3).integers(0, 255, (4, 2, 3, 3), np.uint8),
        "ws": np.float32(0.01),
        "wz": np.uint8(128),
    }
    made = model([node("Relu", "x", "y")], {"x": (1, 5, 6, 2) if last else (1, 2, 5, 6)}, constants)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    program = effc.compile(made, TARGET, time_limit=0.2)
    assert [op.op for op in program.graph.nests] == ["QLinearConv"]
    assert program.verify().ok


def test_large_terms_that_cancel() -> None:
    """A Gaussian process of scikit-learn: float32 is as exact as the terms are large, not the sum."""
    weights = np.float32([[(-1) ** i * 1000 + 0.1 * i] for i in range(60)])
    made = model([node("MatMul", "x w", "t"), node("Abs", "t", "y")], {"x": (4, 60)}, {"w": weights}, "t")
    rows = 1 + random(4, 60) * np.float32(0.001)
    program = effc.compile(made, TARGET, time_limit=0.2)
    (sums, *_) = program.execute({"x": rows}).outputs.values()
    exact = rows.astype(np.float64) @ weights
    assert np.max(np.abs(sums - exact)) > 1e-5 * np.max(np.abs(exact)) / 4
    (check,) = (check for check in program.verify({"x": rows}).checks if check.where == "accel")
    assert check.ok, check


@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("rows", [1, 3])
def test_linear_classifiers(rows: int, transform: str, strings: bool) -> None:
    names = ["no", "yes", "perhaps"][: max(rows, 2)]
    labels = {"classlabels_strings": names} if strings else {"classlabels_ints": list(range(5, 5 + len(names)))}
    proto = node("LinearClassifier", "n", "l s", domain="ai.onnx.ml", **labels, post_transform=transform)
    for name, values in (("coefficients", random(rows, 6)), ("intercepts", random(rows))):
        proto.attribute.append(helper.make_attribute(name, values.ravel().tolist()))
    scaled = node("Scaler", "x", "n", domain="ai.onnx.ml", offset=[0.5] * 6, scale=[0.1 * i for i in range(1, 7)])
    program = effc.compile(with_domain([scaled, proto], "l s", TensorProto.STRING if strings else 7), TARGET)
    assert [op.op for op in program.graph.nests] == ([] if transform == "SOFTMAX_ZERO" else ["Gemm"])
    assert program.verify().ok


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_linear_regressors(transform: str) -> None:
    proto = node("LinearRegressor", "x", "y", domain="ai.onnx.ml", targets=2, post_transform=transform)
    proto.attribute.append(helper.make_attribute("coefficients", random(12).tolist()))
    program = effc.compile(with_domain([proto], "y"), TARGET)
    assert [op.op for op in program.graph.nests] == ["Gemm"]
    assert program.verify().ok


KERNELS = ["LINEAR", "POLY", "SIGMOID", "RBF"]


def support_vectors(kernel: str, gamma: float = 0.1) -> dict[str, Any]:
    """Nine support vectors, and the numbers of a kernel."""
    vectors = (3 + random(9, 6)).ravel().tolist()
    return {"kernel_type": kernel, "kernel_params": [gamma, 0.5, 3.0], "support_vectors": vectors}


@pytest.mark.parametrize(("kernel", "gamma"), [*((kernel, 0.1) for kernel in KERNELS), ("RBF", 50.0)])
@pytest.mark.parametrize("one_class", [0, 1])
def test_support_vector_regressors(kernel: str, gamma: float, one_class: int) -> None:
    given = support_vectors(kernel, gamma) | {"n_supports": 9, "coefficients": random(9).tolist(), "rho": [0.25]}
    proto = node("SVMRegressor", "x", "y", domain="ai.onnx.ml", one_class=one_class, **given)
    program = effc.compile(with_domain([proto], "y"), TARGET)
    assert [op.op for op in program.graph.nests] == ["Einsum" if gamma > 1 else "Gemm", "Gemm"]
    near = np.float32(given["support_vectors"]).reshape(9, 6)[:4] + 0.1 * random(4, 6)
    assert program.verify({"x": near}).ok


FORMS = product((False, True), ([4, 5], [2, 3, 4]), (False, True))


@pytest.mark.parametrize(
    ("kernel", "probabilities", "per_class", "positive"),
    [*(("LINEAR", *form) for form in FORMS), *((kernel, True, [2, 3, 4], False) for kernel in KERNELS[1:])],
)
def test_support_vector_classifiers(kernel: str, probabilities: bool, per_class: list[int], positive: bool) -> None:
    classes = len(per_class)
    pairs, weights = classes * (classes - 1) // 2, random((classes - 1), 9)
    given = support_vectors(kernel) | {"coefficients": (abs(weights) if positive else weights).ravel().tolist()}
    given |= {"rho": random(pairs).tolist(), "vectors_per_class": per_class, "classlabels_ints": list(range(classes))}
    if probabilities:
        given |= {"prob_a": [-1.0] * pairs, "prob_b": [0.1] * pairs}
    proto = node("SVMClassifier", "x", "l p", domain="ai.onnx.ml", **given)
    program = effc.compile(with_domain([proto], "l p", TensorProto.INT64), TARGET)
    assert [op.op for op in program.graph.nests] == ["Gemm", "Gemm"]
    assert program.verify({"x": 3 + random(4, 6)}).ok


def with_domain(nodes: list[onnx.NodeProto], outputs: str, first: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A model of ``x`` [4, 6], with operators of classical machine learning."""
    kinds = [first, TensorProto.FLOAT]
    graph = helper.make_graph(
        nodes,
        "classical",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 6])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(outputs.split(), kinds)],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=versions, ir_version=8)
    return made


def test_outputs_that_went_through_fewer_bits() -> None:
    """A model of float16 whose inputs and outputs were kept in float32: its limit is that of float16."""
    nodes = [
        node("Cast", "x", "h", to=TensorProto.FLOAT16),
        node("Gemm", "h w b", "g"),
        node("Cast", "g", "y", to=TensorProto.FLOAT),
        node("Neg", "x", "z"),
    ]
    constants = {"w": random(8, 4, dtype=np.float16), "b": random(4, dtype=np.float16)}
    made = model(nodes, {"x": (2, 8)}, constants, "y z")
    assert coarseness(lower(made)) | {"y": 20, "z": 1, "g": 1} == coarseness(lower(made))
    assert effc.compile(made, TARGET, time_limit=0.2).verify().ok


def test_weights_of_four_bits_in_blocks() -> None:
    """What is compared with does not round activations, which onnxruntime would."""
    words = helper.make_tensor("w", TensorProto.INT4, [32, 8], np.random.default_rng(1).integers(-8, 8, 256).tolist())
    graph = helper.make_graph(
        [node("DequantizeLinear", "w s", "d", axis=0, block_size=16), node("MatMul", "x d", "y")],
        "blocks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8])],
        [words, numpy_helper.from_array(np.abs(random(2, 8)) + np.float32(0.1), "s")],
    )
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    assert effc.compile(made, TARGET, time_limit=0.2).verify().ok


def test_a_normalisation_of_onnxruntimes_optimiser() -> None:
    """LayerNormalization in an operator set that has none: in its default domain, as if it were ONNX's."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", "g", "b"], ["n"], axis=-1, epsilon=1e-6),
        helper.make_node("MatMul", ["n", "w"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(*end) for end in (("x", 1, [2, 8]), ("y", 1, [2, 4]))]
    values = {"g": np.abs(random(8)), "b": random(8), "w": random(8, 4)}
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "optimised", ends[:1], ends[1:], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)
    compiled = effc.compile(made, TARGET, time_limit=0.2)
    assert [layer.where for layer in compiled.report.layers] == ["vector", "accel"]
    assert compiled.verify().ok


def test_an_input_that_is_optional_and_a_domain_by_its_long_name() -> None:
    nodes = [
        helper.make_node("OptionalGetElement", ["o"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["t"]),
        helper.make_node("Relu", ["t"], ["y"], domain="ai.onnx"),
    ]
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 8]))
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])
    weights = numpy_helper.from_array(random(8, 4), "w")
    graph = helper.make_graph(nodes, "optional", [onnx.ValueInfoProto(name="o", type=kind)], [result], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(d, 18) for d in ("", "ai.onnx")], ir_version=8)
    compiled = effc.compile(made, TARGET, time_limit=0.2)
    assert "accel" in [layer.where for layer in compiled.report.layers]
    assert compiled.verify({"o": random(2, 8)}).ok


def test_nodes_in_any_order() -> None:
    """The converters to float16 put their casts at the end; a subgraph reads what stands behind its node."""
    branches = [
        helper.make_graph([node("MatMul", f"m {w}", "o")], w, [], [onnx.ValueInfoProto(name="o")]) for w in ("w", "v")
    ]
    nodes = [
        node("If", "c", "t", then_branch=branches[0], else_branch=branches[1]),
        node("Neg", "t", "y"),
        node("Cast", "x", "m", to=TensorProto.FLOAT),
        node("Cast", "f", "c", to=TensorProto.BOOL),
    ]
    ends = [helper.make_tensor_value_info(*end) for end in (("x", 10, [2, 8]), ("f", 6, []), ("y", 1, [2, 4]))]
    tensors = [numpy_helper.from_array(random(8, 4), name) for name in ("w", "v")]
    graph = helper.make_graph(nodes, "unsorted", ends[:2], ends[2:], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    compiled = effc.compile(made, TARGET, time_limit=0.2)
    assert sum(layer.where == "accel" for layer in compiled.report.layers) == 2
    assert compiled.verify().ok


def test_either_of_two_ways_of_onnxruntime_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its optimiser may round another way between quantised operators where nothing became integers."""
    nodes = [
        node("QuantizeLinear", "x s", "q"),
        node("DequantizeLinear", "q s", "d"),
        node("MatMul", "d w", "y"),
    ]
    compiled = effc.compile(model(nodes, {"x": (2, 8)}, {"s": np.float32(0.1), "w": random(8, 4)}), TARGET)
    run, wrong = Original.run, {True: 0, False: 0}

    def off(self: Original, inputs: Any, data: Any, integers: bool = True) -> Any:
        outputs, source = run(self, inputs, data, integers)
        return {name: value + wrong[integers] for name, value in outputs.items()}, source

    monkeypatch.setattr(Original, "run", off)
    assert compiled.verify().ok
    wrong[True] = 1
    assert compiled.verify().ok
    wrong[False] = 1
    assert not compiled.verify().ok


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        ([{0: 0.25, 1: 0.7500001}], True),
        ([{0: 0.25, 1: 0.76}], False),
        ([{0: 0.25, 2: 0.75}], False),
        ([{0: 0.25}], False),
        ([{0: 0.25, 1: "0.75"}], False),
        ([], False),
    ],
)
def test_probabilities_by_class(found: Any, ok: bool) -> None:
    """What classifiers of scikit-learn put out: maps to numbers, as exact as other numbers are."""
    assert compare("p", "output", "output", found, [{0: 0.25, 1: 0.75}], 1e-4).ok == ok


def test_quantisers_round_sums_of_floating_point() -> None:
    """Where sums differ in the last place, a quantiser behind them may give the next integer; behind an input, not."""
    nodes = [node("MatMul", "x w", "t")]
    for name, read in (("a", "t"), ("b", "x")):
        nodes += [node("QuantizeLinear", f"{read} s", f"{name}q"), node("DequantizeLinear", f"{name}q s", name)]
    made = model(nodes, {"x": (2, 8)}, {"w": random(8, 4), "s": np.float32(0.02)}, "a b")
    found = coarseness(lower(made))
    assert found["b"] == found["t"] == 1
    assert found["a"] == pytest.approx(1 + 2 / 255 / OUTPUT_LIMIT)


@pytest.mark.parametrize(
    ("opset", "attributes", "names"),
    [
        (7, {"scales": [1.0, 1.0, 2.0, 2.0]}, "t"),
        (9, {"mode": "linear"}, "t s"),
        (13, {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}, "t none none sizes"),
    ],
)
def test_images_enlarged_as_old_exporters_write_it(opset: int, attributes: dict[str, Any], names: str) -> None:
    """Upsample, or a Resize whose scales are left out as a tensor without words; behind it a pool with two paddings."""
    pool = {"auto_pad": "SAME_UPPER", "pads": [0, 0, 0, 0], "kernel_shape": [2, 2]}
    nodes = [
        node("Conv", "x w", "c", auto_pad="SAME_UPPER"),
        node("MaxPool", "c", "t", **pool),
        node("Upsample" if opset < 10 else "Resize", names, "y", **attributes),
    ]
    scales = {"s": np.float32([1, 1, 2, 3])} if opset == 9 else {}
    sizes = {"none": np.float32([]), "sizes": np.array([1, 3, 14, 14])} if opset == 13 else {}
    compiled = effc.compile(
        model(nodes, {"x": (1, 2, 7, 7)}, {"w": random(3, 2, 3, 3), **scales, **sizes}, opset=opset), TARGET
    )
    assert [layer.where for layer in compiled.report.layers] == ["accel", "vector", "vector"]
    assert compiled.verify().ok


def test_a_scan_over_a_batch_of_sequences() -> None:
    """As operator set 8 has it, the second one backwards."""
    steps = [node("MatMul", "h w", "a"), node("Add", "a x", "b"), node("Tanh", "b", "n"), node("Identity", "n", "o")]
    ends = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in "hxno"]
    body = helper.make_graph(steps, "body", ends[:2], ends[2:])
    scan = node("Scan", ". s x", "last y", body=body, num_scan_inputs=1, directions=[1])
    given = {"s": np.zeros((2, 1, 4), np.float32), "w": random(4, 4)}
    compiled = effc.compile(model([scan], {"x": (2, 5, 1, 4)}, given, "last y", opset=8), TARGET)
    assert compiled.report.totals.macs == 2 * 5 * 16
    assert compiled.verify().ok


def test_a_convolution_of_four_axes_of_which_one_has_a_word() -> None:
    """A sum over windows, as JAX's exporter writes it; and a Pad of nothing, as TensorFlow's does."""
    nodes = [node("Pad", "x p", "t"), node("Conv", "t w", "y", strides=[1, 2, 2, 1])]
    constants = {"p": np.zeros(12, np.int64), "w": random(1, 1, 1, 3, 3, 1)}
    compiled = effc.compile(model(nodes, {"x": (1, 1, 1, 9, 9, 4)}, constants), TARGET)
    assert [layer.where for layer in compiled.report.layers] == ["accel"]
    assert compiled.verify().ok


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("ImageScaler", {"scale": 0.5, "bias": [0.1, 0.2]}),
        ("Affine", {"alpha": 2.0, "beta": 0.5}),
        ("Scale", {"scale": 3.0}),
        ("Crop", {"border": [1, 2, 0, 1]}),
        ("Crop", {"border": [1, 2, 0, 0], "scale": [4, 3]}),
        ("MeanVarianceNormalization", {"across_channels": 0}),
    ],
)
def test_experiments_of_the_first_years_and_initializers_that_are_no_inputs(
    op: str, attributes: dict[str, Any]
) -> None:
    """What converters wrote then, and runtimes still take: of an IR that wants every initializer among the inputs."""
    graph = helper.make_graph(
        [node(op, "x", "t", **attributes), node("Conv", "t w", "y")],
        "old",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 7, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(random(3, 2, 3, 3), "w")],
    )
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=3)
    compiled = effc.compile(made, TARGET)
    assert compiled.report.layers[-1].where == "accel"
    assert compiled.verify().ok


def test_norms_and_means_of_old_operator_sets_on_the_vector_unit() -> None:
    """ONNX has functions for them since operator set 18; a row of zeros stays one."""
    forms = {"a": ("ReduceL2", {"axes": [-1], "keepdims": 0}), "b": ("ReduceL1", {"axes": [0, 2]})}
    forms |= {"c": ("ReduceSumSquare", {}), "d": ("LpNormalization", {"p": 1, "axis": 1}), "e": ("LpNormalization", {})}
    nodes = [node(op, "x", name, **attributes) for name, (op, attributes) in forms.items()]
    made = model([*nodes, node("Mean", "d e x", "y")], {"x": (2, 3, 4)}, outputs="a b c d e y", opset=13)
    compiled = effc.compile(made, TARGET)
    assert {layer.where for layer in compiled.report.layers} == {"vector"}
    rows = random(2, 3, 4)
    rows[0, :, 1] = rows[1, 2] = 0
    assert compiled.verify({"x": rows}).ok


@pytest.mark.parametrize("opset", [17, 21])
def test_quantisers_that_onnxruntime_had_before_onnx(opset: int) -> None:
    """Integers of 16 bits, in ``com.microsoft``: a scale that is dequantised has a shape, and what is behind it."""
    own = {"domain": "com.microsoft"}
    nodes = [
        node("DequantizeLinear", "k ks", "factor", **own),
        node("Mul", "x factor", "t"),
        node("QuantizeLinear", "t s z", "q", **own),
        node("DequantizeLinear", "q s z", "d", **own),
        node("MatMul", "d w", "y"),
    ]
    constants = {"k": np.uint16(3), "ks": np.float32(0.5), "s": np.float32(0.001), "z": np.uint16(32768)}
    made = model([node("Relu", "x", "y")], {"x": (2, 8)}, constants | {"w": random(8, 4)}, opset=opset)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    compiled = effc.compile(made, TARGET, time_limit=0.2)
    assert [layer.where for layer in compiled.report.layers] == ["vector", "vector", "vector", "accel"]
    assert compiled.verify().ok
