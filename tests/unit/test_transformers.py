"""The operators of optimised transformers, in the domain of onnxruntime: every form against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_models import assert_close, ops, random

from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.frontend.from_onnx import check, lower
from effc.ir.graph import NodeOp
from effc.ir.verify import verify_graph

B, S, N, H = 2, 4, 2, 4  # batch, steps, heads, words of a head
D = N * H


def compared(
    op: str,
    values: dict[str, Any],
    inputs: str,
    outputs: str = "y",
    constant: str = "",
    wanted: str = "y",
    tolerance: float = 1e-5,
    domain: str = "com.microsoft",
    **attributes: Any,
) -> list[str]:
    """The operators that a node becomes, which give what onnxruntime gives.

    ``inputs`` are names of ``values``, a dot for one that is left out; those of ``constant`` are known.
    """
    names = [name.replace(".", "") for name in inputs.split()]
    results = [name.replace(".", "") for name in outputs.split()]
    node = helper.make_node(op, names, results, "node", domain=domain, **attributes)
    known = constant.split()
    given = {name: value for name, value in values.items() if name in names and name not in known}
    made = helper.make_model(
        helper.make_graph(
            [node],
            "test",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                for name, value in given.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in wanted.split()],
            [numpy_helper.from_array(values[name], name) for name in known],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
    )
    expected = run_model(made, given)
    for value in made.graph.output:
        kind = helper.np_dtype_to_tensor_dtype(expected[value.name].dtype)
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, expected[value.name].shape))
    check(made)
    graph = lower(made)
    verify_graph(graph)
    found = reference_run(graph, given)
    for name in wanted.split():
        assert_close(found[name], expected[name], tolerance)
    assert all(not op.domain for op in graph.ops if isinstance(op, NodeOp))
    return ops(graph)


LENGTHS = np.array([S, 2], np.int32)
SEEN = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int32)
PAST = 3
LONG_SEEN = np.concatenate([np.array([[1, 1, 1], [0, 1, 1]], np.int32), SEEN], axis=1)
ATTENTION: dict[str, Any] = {
    "x": random((B, S, D)),
    "w": random((D, 3 * D)),
    "b": random((3 * D,)),
    "lengths": LENGTHS,
    "seen": SEEN,
    "square": np.tril(np.ones((B, S, S), np.int32)),
    "past": random((2, B, N, PAST, H)),
    "long_seen": LONG_SEEN,
    "bias": random((1, N, S, S)),
}


@pytest.mark.parametrize(
    ("inputs", "outputs", "attributes"),
    [
        ("x w b", "y", {}),
        ("x w", "y", {"scale": 0.3}),
        ("x w b lengths", "y", {}),
        ("x w b seen", "y", {"mask_filter_value": -500.0}),
        ("x w b square", "y", {}),
        ("x w b . . bias", "y", {}),
        ("x w b", "y", {"unidirectional": 1}),
        ("x w b . past", "y present", {"unidirectional": 1}),
        ("x w b long_seen past", "y present", {"unidirectional": 1}),
        ("x w b", "y", {"qkv_hidden_sizes": [8, 8, 8]}),
    ],
)
def test_attention(inputs: str, outputs: str, attributes: dict[str, Any]) -> None:
    found = compared("Attention", ATTENTION, inputs, outputs, "w b", outputs, num_heads=N, **attributes)
    assert found.count("MATMUL") == 3
    assert "MatMul" not in found


HEADS: dict[str, Any] = {
    "q": random((B, S, D)),
    "k": random((B, 5, D), 1),
    "v": random((B, 5, D), 2),
    "k4": random((B, N, 5, H), 1),
    "v4": random((B, N, 5, H), 2),
    "b": random((3 * D,)),
    "seen": np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int32),
    "bias": random((B, N, S, 5)),
    "new": random((B, S, D), 3),
    "pk": random((B, N, PAST, H), 4),
    "pv": random((B, N, PAST, H), 5),
    "nothing": np.zeros((B, N, 0, H), np.float32),
}


@pytest.mark.parametrize(
    ("inputs", "outputs", "attributes"),
    [
        ("q k v", "y", {}),
        ("q k v b", "y", {"scale": 0.4}),
        ("q k v . seen", "y", {}),
        ("q k v . . bias", "y", {}),
        ("q k4 v4", "y", {}),
        ("q new new . . . pk pv", "y present_key present_value", {}),
        ("q new new . . . nothing nothing", "y present_key present_value", {}),
        ("q new new b . . pk pv", "y present_key present_value", {"unidirectional": 1}),
    ],
)
def test_multi_head_attention(inputs: str, outputs: str, attributes: dict[str, Any]) -> None:
    known = "b" if " b" in inputs else ""
    found = compared("MultiHeadAttention", HEADS, inputs, outputs, known, outputs, num_heads=N, **attributes)
    assert found.count("MATMUL") == 2


@pytest.mark.parametrize("queries", [True, False])
def test_heads_side_by_side(queries: bool) -> None:
    """Which onnxruntime's kernels for the CPU do not take: compared with the same in three tensors."""
    parts = {name: random((B, S, N, 1, H), seed) for seed, name in enumerate("qkv")}
    flat = {name: value.reshape(B, S, D) for name, value in parts.items()}
    packed = [name for name in "qkv" if queries or name != "q"]
    values = {**flat, "x": np.concatenate([parts[name] for name in packed], axis=3)}
    expected = lowered("q k v", values)
    found = lowered("x" if queries else "q x", values)
    assert np.allclose(found, expected, atol=1e-6)


def lowered(inputs: str, values: dict[str, Any]) -> Any:
    """What multi-head attention makes of inputs, as nests."""
    given = {name: values[name] for name in inputs.split()}
    attention = helper.make_node("MultiHeadAttention", inputs.split(), ["y"], domain="com.microsoft", num_heads=N)
    ends = [helper.make_tensor_value_info(name, 1, value.shape) for name, value in given.items()]
    result = helper.make_tensor_value_info("y", 1, (B, S, D))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(helper.make_graph([attention], "test", ends, [result]), opset_imports=imports)
    graph = lower(made)
    assert ops(graph).count("MATMUL") == 2
    return reference_run(graph, given)["y"]


WIDE = 16
GROUPED: dict[str, Any] = {
    "q": random((B, S, 4 * WIDE)),
    "k": random((B, S, 2 * WIDE), 1),
    "v": random((B, S, 2 * WIDE), 2),
    "qkv": random((1, S, 8 * WIDE), 3),
    "q1": random((1, S, 4 * WIDE)),
    "k1": random((1, S, 2 * WIDE), 1),
    "v1": random((1, S, 2 * WIDE), 2),
    "pk1": random((1, 2, PAST, WIDE), 4),
    "pv1": random((1, 2, PAST, WIDE), 5),
    "pk": random((B, 2, PAST, WIDE), 4),
    "pv": random((B, 2, PAST, WIDE), 5),
    "full": np.array([S + PAST - 1], np.int32),
    "first": np.array([S - 1] * B, np.int32),
    "total": np.array(S + PAST, np.int32),
    "steps": np.array(S, np.int32),
    "cos": random((16, WIDE // 2), 6),
    "sin": random((16, WIDE // 2), 7),
    "one": random((B, 1, 4 * WIDE)),
    "one_k": random((B, 1, 2 * WIDE), 1),
    "uneven": np.array([PAST, PAST - 1], np.int32),
    "next": np.array(PAST + 1, np.int32),
    "nothing": np.zeros((1, 2, 0, WIDE), np.float32),
    "bias": random((1, 4, S, S + PAST), 8),
    "sinks": random((4,), 9),
    "all": np.array([S - 1], np.int32),
}


@pytest.mark.parametrize(
    ("inputs", "known", "attributes"),
    [
        ("q k v . . first steps", "steps", {}),
        ("q k v . . first steps cos sin", "steps cos sin", {"do_rotary": 1}),
        ("q1 k1 v1 pk1 pv1 full total", "total", {"scale": 0.2}),
        ("q1 k1 v1 pk1 pv1 full total cos sin", "total cos sin", {"do_rotary": 1, "rotary_interleaved": 1}),
        ("qkv . . pk1 pv1 full total cos sin", "total cos sin", {"do_rotary": 1}),
        ("one one_k one_k pk pv uneven next cos sin", "next cos sin", {"do_rotary": 1}),
        ("q1 k1 v1 pk1 pv1 full total", "total", {"local_window_size": 2}),
        ("q k v . . first steps", "steps", {"local_window_size": 3, "softcap": 2.0}),
        ("qkv . . nothing nothing all steps", "steps", {}),
        ("q1 k1 v1 pk1 pv1 full total", "total", {"smooth_softmax": 1}),
        ("q1 k1 v1 pk1 pv1 full total . . . bias sinks", "total", {"local_window_size": 3}),
        ("q k v . . first steps cos sin . . sinks", "steps cos sin", {"do_rotary": 1, "softcap": 2.0}),
    ],
)
def test_group_query_attention(inputs: str, known: str, attributes: dict[str, Any]) -> None:
    outputs = "y pk2 pv2"
    found = compared(
        "GroupQueryAttention", GROUPED, inputs, outputs, known, outputs, num_heads=4, kv_num_heads=2, **attributes
    )
    assert found.count("MATMUL") == 2


QUANTISED: dict[str, Any] = {
    **GROUPED,
    "pk8": np.random.default_rng(0).integers(-128, 128, (B, 2, PAST, WIDE), np.int8),
    "pv8": np.random.default_rng(1).integers(-128, 128, (B, 2, PAST, WIDE), np.int8),
    "pk4": np.random.default_rng(2).integers(0, 256, (B, 2, PAST, WIDE // 2), np.uint8),
    "pv4": np.random.default_rng(3).integers(0, 256, (B, 2, PAST, WIDE // 2), np.uint8),
    "room8": np.zeros((B, 2, S + 2, WIDE), np.int8),
    "scale": np.array([0.02], np.float32),
    "scales": np.linspace(0.01, 0.4, 2 * WIDE, dtype=np.float32),
}


@pytest.mark.parametrize("kind", ["PER_TENSOR", "PER_CHANNEL"])
@pytest.mark.parametrize(
    ("bits", "inputs", "known", "attributes"),
    [
        (8, "one one_k one_k pk8 pv8 uneven next", "next", {}),
        (8, "one one_k one_k pk8 pv8 uneven next cos sin", "next cos sin", {"do_rotary": 1}),
        (8, "q k v room8 room8 first steps", "steps", {"local_window_size": 3}),
        (4, "one one_k one_k pk4 pv4 uneven next", "next", {}),
    ],
)
def test_a_quantised_cache(bits: int, inputs: str, known: str, attributes: dict[str, Any], kind: str) -> None:
    """The caches are equal to the last bit, zeros behind what is full included."""
    names = inputs.split()
    names += ["."] * (12 - len(names)) + ["scale" if kind == "PER_TENSOR" else "scales"] * 2
    quantised = {"kv_cache_bit_width": bits, "k_quant_type": kind, "v_quant_type": kind}
    found = compared(
        "GroupQueryAttention",
        QUANTISED,
        " ".join(names),
        "y pk2 pv2",
        f"{known} {names[-1]}",
        "y pk2 pv2",
        num_heads=4,
        kv_num_heads=2,
        **quantised,
        **attributes,
    )
    assert found.count("MATMUL") == 2


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("inputs", ["x3 offset", "x4 places", "x3 places"])
def test_rotary_embedding(inputs: str, interleaved: int) -> None:
    values = {
        "x3": random((B, S, D)),
        "x4": random((B, N, S, H)),
        "offset": np.array([2], np.int64),
        "places": np.array([[0, 1, 2, 3], [3, 2, 5, 1]], np.int64),
        "cos": random((8, H // 2), 1),
        "sin": random((8, H // 2), 2),
    }
    compared("RotaryEmbedding", values, f"{inputs} cos sin", constant="cos sin", interleaved=interleaved)


ROWS: dict[str, Any] = {
    "x": random((B, S, D)),
    "s": random((B, S, D), 1),
    "row": random((S, D), 1),
    "g": random((D,)),
    "b": random((D,), 1),
    "c": random((D,), 2),
}


@pytest.mark.parametrize(
    ("op", "inputs", "outputs"),
    [
        ("SkipLayerNormalization", "x s g b c", "y . . z"),
        ("SkipLayerNormalization", "x s g b", "y"),
        ("SkipLayerNormalization", "x row g", "y"),
        ("SkipSimplifiedLayerNormalization", "x s g c", "y . . z"),
        ("Gelu", "x", "y"),
        ("BiasGelu", "x b", "y"),
        ("FastGelu", "x b", "y"),
        ("FastGelu", "x", "y"),
        ("QuickGelu", "x", "y"),
    ],
)
def test_activations_and_normalisations(op: str, inputs: str, outputs: str) -> None:
    names = outputs.replace(".", " ").split()
    attributes = {"epsilon": 1e-3} if "Norm" in op else {}
    known = " ".join(name for name in inputs.split() if name in ("g", "b", "c"))
    compared(op, ROWS, inputs, outputs, known, " ".join(names), **attributes)


def test_a_normalisation_that_is_not_onnx_and_says_so_nowhere() -> None:
    found = compared("SimplifiedLayerNormalization", ROWS, "x g", constant="g", domain="", axis=-1, epsilon=1e-3)
    assert "SimplifiedLayerNormalization" not in found


@pytest.mark.parametrize(
    "inputs", ["ids kinds words places types g b mask", "ids . words places . g b", "ids . words places . g b . at"]
)
def test_embed_layer_norm(inputs: str) -> None:
    values = {
        "ids": np.array([[1, 2, 0, 3], [4, 4, 1, 0]], np.int32),
        "kinds": np.array([[0, 1, 0, 1], [1, 1, 0, 0]], np.int32),
        "words": random((6, D)),
        "places": random((S + 2, D), 1),
        "types": random((2, D), 2),
        "g": random((D,), 3),
        "b": random((D,), 4),
        "mask": SEEN,
        "at": np.array([[3, 2, 1, 0], [0, 1, 2, 5]], np.int32),
    }
    known = "words places g b" + " types" * ("types" in inputs)
    compared("EmbedLayerNormalization", values, inputs, "y m", known, "y m")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [False, True])
def test_weights_of_few_bits_are_written_out(bits: int, zeros: bool) -> None:
    columns, rows, block = 6, 40, 16
    blocks = -(-rows // block)
    generator = np.random.default_rng(3)
    values = {
        "x": random((3, rows)),
        "w": generator.integers(0, 256, (columns, blocks, block * bits // 8)).astype(np.uint8),
        "s": np.abs(random((columns * blocks,))),
        "z": generator.integers(0, 256, (columns * -(-blocks * bits // 8),)).astype(np.uint8),
    }
    inputs, known = ("x w s z", "w s z") if zeros else ("x w s", "w s")
    form = {"N": columns, "K": rows, "bits": bits, "block_size": block}
    assert "MATMUL" in compared("MatMulNBits", values, inputs, constant=known, tolerance=1e-4, **form)


def test_products_of_integers_that_are_scaled() -> None:
    generator = np.random.default_rng(5)
    values = {
        "x": random((3, 6)),
        "a": generator.integers(0, 256, (3, 6)).astype(np.uint8),
        "w": generator.integers(-128, 128, (6, 5)).astype(np.int8),
        "sa": np.array(0.03, np.float32),
        "sw": np.abs(random((5,))),
        "za": np.array(120, np.uint8),
        "zw": np.array(3, np.int8),
        "bias": random((5,)),
    }
    known = "w sw zw bias"
    assert "MATMULINTEGER" in compared("DynamicQuantizeMatMul", values, "x w sw zw bias", constant=known)
    assert "MATMULINTEGER" in compared(
        "MatMulIntegerToFloat", values, "a w sa sw za zw bias", constant=f"{known} sa za"
    )


@pytest.mark.parametrize("each", [False, True])
def test_quantised_recurrences(each: bool) -> None:
    """As onnxruntime's dynamic quantiser makes them of an LSTM, with a scale for a direction or for each column."""
    rng, columns = np.random.default_rng(5), (2, 16) if each else (2,)
    values: dict[str, Any] = {"x": random((5, B, 3)), "b": random((2, 32))}
    for name, words in (("w", 3), ("r", 4)):
        values[name] = rng.integers(0, 255, (2, words, 16), np.uint8)
        values[f"{name}s"] = rng.uniform(0.005, 0.01, columns).astype(np.float32)
        values[f"{name}z"] = np.full(columns, 130, np.uint8)
    inputs, known = "x w r b . . . . ws wz rs rz", "w r b ws wz rs rz"
    attributes = {"hidden_size": 4, "direction": "bidirectional"}
    found = compared("DynamicQuantizeLSTM", values, inputs, "y yh yc", known, "y yh yc", **attributes)
    assert "Scan" in found
    assert found.count("MATMULINTEGER") >= 2


def test_quantised_attention() -> None:
    generator = np.random.default_rng(6)
    values = {
        "x": generator.integers(0, 256, (B, S, D)).astype(np.uint8),
        "w": generator.integers(-128, 128, (D, 3 * D)).astype(np.int8),
        "b": random((3 * D,)),
        "sx": np.array(0.02, np.float32),
        "sw": np.array(0.01, np.float32),
        "seen": SEEN,
        "zx": np.array(128, np.uint8),
        "zw": np.array(0, np.int8),
    }
    found = compared("QAttention", values, "x w b sx sw seen zx zw", constant="w b sx sw zx zw", num_heads=N)
    assert found.count("MATMUL") == 2
    assert "MATMULINTEGER" in found
