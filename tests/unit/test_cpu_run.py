"""Building C and running models on the CPU."""

from __future__ import annotations

import ctypes
import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models
import pytest
from c_compiler import needs_compiler

import effc
from effc.backends import host
from effc.backends.cpu import CpuProgram, run_nest
from effc.backends.cpu.build import BuildError, build, find_compiler
from effc.backends.cpu.emit import contiguous
from effc.backends.reference import reference_run
from effc.ir.errors import InputError
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Tensor, View
from effc.ir.nest import Nest
from effc.ir.nests import conv2d, gemm
from effc.ir.schedule import For, Schedule


def plainly(nest: Nest) -> Schedule:
    return Schedule(tuple(For(dim.name, 1) for dim in nest.dims))


def nest_op(nest: Nest, **tensors: str) -> NestOp:
    uses = {name: replace(view, tensor=tensors[name]) for name, view in contiguous(nest).items()}
    return NestOp(nest, uses, "Conv", nest.name, plainly(nest))


def node_op(op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> NodeOp:
    node = onnx.helper.make_node(op, inputs, [output], **attributes)
    return NodeOp(op.lower(), op, inputs, (output,), node.SerializeToString(), version=13)


def model() -> Graph:
    """x -> conv -> y -> Relu -> z -> gemm into columns of out."""
    rng = np.random.default_rng(0)
    conv = conv2d(1, 4, 2, 5, 5, 3, 3, pad=1, bias=True, name="conv")
    halves = [gemm(4, 3, 25, name=f"half{i}") for i in range(2)]
    ops: list[NestOp | NodeOp] = [nest_op(conv, I="x", W="w", B="b", O="y"), node_op("Relu", ("y",), "z")]
    for i, half in enumerate(halves):
        op = nest_op(half, I="z", W=f"w{i}", O="out")
        ops.append(replace(op, uses={**op.uses, "O": View("out", 3 * i, (6, 1))}))
    shapes = {"w": (4, 2, 3, 3), "b": (4,), "w0": (25, 3), "w1": (25, 3)}
    constants = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    shapes |= {"x": (1, 2, 5, 5), "y": (1, 4, 5, 5), "z": (1, 4, 5, 5), "out": (4, 6)}
    tensors = {name: Tensor(name, "float32", shape) for name, shape in shapes.items()}
    return Graph("model", ("x",), ("out",), tensors, tuple(ops), constants)


def some_input() -> Array:
    return np.random.default_rng(1).standard_normal((1, 2, 5, 5)).astype(np.float32)


@needs_compiler
def test_a_model_computes_what_the_reference_computes() -> None:
    program = CpuProgram(model())
    outputs = program.run({"x": some_input()})
    assert list(outputs) == ["out"]
    expected = reference_run(model(), {"x": some_input()}, np.float64)["out"]
    np.testing.assert_allclose(outputs["out"], expected, rtol=1e-5, atol=1e-5)
    assert [line for line in program.source.splitlines() if line.startswith("void")] == [
        "void conv(const float *restrict I, const float *restrict W, const float *restrict B, float *restrict O)",
        "void half0(const float *restrict I, const float *restrict W, float *restrict O)",
        "void half1(const float *restrict I, const float *restrict W, float *restrict O)",
    ]


@needs_compiler
def test_inputs_in_any_layout_are_accepted() -> None:
    program = CpuProgram(model())
    mirrored = some_input()[:, :, ::-1, :]
    np.testing.assert_array_equal(
        program.run({"x": mirrored})["out"], program.run({"x": np.ascontiguousarray(mirrored)})["out"]
    )


@needs_compiler
def test_tensors_are_freed_after_their_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = model()
    ops = (*graph.ops[:2], node_op("Neg", ("z",), "n"), node_op("Abs", ("n",), "a"), *graph.ops[2:])
    graph = replace(graph, ops=ops, tensors={**graph.tensors, **{name: Tensor(name, "float32", None) for name in "na"}})
    made: dict[str, weakref.ref[Array]] = {}
    alive: dict[str, list[str]] = {}

    def watched(op: NodeOp, inputs: list[Array], captures: Mapping[str, Array]) -> list[Array]:
        gc.collect()
        alive[op.op] = [name for name, array in made.items() if array() is not None]
        outputs = [np.array(abs(inputs[0]))]
        made[op.outputs[0]] = weakref.ref(outputs[0])
        return outputs

    monkeypatch.setattr(host, "run_node", watched)
    CpuProgram(graph).run({"x": some_input()})
    assert alive == {"Relu": [], "Neg": ["z"], "Abs": ["z", "n"]}
    assert made["a"]() is None and made["n"]() is None


def test_an_output_may_be_an_input_or_a_constant() -> None:
    tensors = {name: Tensor(name, "int64", (2,)) for name in "xc"}
    graph = Graph("id", ("x",), ("x", "c"), tensors, (), {"c": np.arange(2)})
    outputs = CpuProgram(graph).run({"x": np.array([7, 8])})
    assert outputs["x"].tolist() == [7, 8]
    assert outputs["c"].tolist() == [0, 1]


BAD_INPUTS: list[tuple[dict[str, Any], str]] = [
    ({}, "input 'x' is missing"),
    ({"x": some_input(), "y": some_input()}, "the model has no input 'y'"),
    ({"x": some_input()[0]}, r"input 'x' is float32\[2, 5, 5\]"),
    ({"x": some_input().astype(np.float64)}, r"input 'x' is float64\[1, 2, 5, 5\]"),
    ({"x": [1.0]}, "input 'x' is no array"),
]


@pytest.mark.parametrize(("inputs", "message"), BAD_INPUTS)
def test_bad_inputs(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        CpuProgram(model()).run(inputs)
    assert caught.value.expected in ("float32[1, 2, 5, 5]", "'x'")
    assert caught.value.remedy


def test_a_nest_in_another_type_is_refused() -> None:
    graph = model()
    with pytest.raises(InputError, match="Conv 'conv' computes in float32 and float64"):
        CpuProgram(replace(graph, tensors={**graph.tensors, "x": Tensor("x", "float64", (1, 2, 5, 5))}))


def arrays_of(nest: Nest) -> dict[str, Array]:
    return {name: np.ones(operand.shape, np.float32) for name, operand in nest.operands.items()}


@needs_compiler
def test_no_view_leaves_its_tensor() -> None:
    graph = model()
    conv = graph.nests[0]
    for view, message in (
        (View("x", -1, (50, 25, 5, 1)), "begins before its tensor"),
        (View("x", 0, (50, 25, 5, -1)), "begins before its tensor"),
        (View("x", 1, (50, 25, 5, 1)), "ends behind its tensor of 50 words"),
    ):
        op = replace(conv, uses={**conv.uses, "I": view})
        with pytest.raises(ValueError, match=message):
            CpuProgram(graph.with_ops((op, *graph.ops[1:]))).run({"x": some_input()})
    nest = gemm(2, 3, 4)
    assert run_nest(nest, plainly(nest), arrays_of(nest)).tolist() == [[4.0] * 3] * 2
    with pytest.raises(ValueError, match="has shape"):
        run_nest(nest, plainly(nest), arrays_of(gemm(2, 4, 3)))
    doubles = {name: array.astype(np.float64) for name, array in arrays_of(nest).items()}
    with pytest.raises(ValueError, match="its words are float32"):
        run_nest(nest, plainly(nest), doubles)


@needs_compiler
def test_the_same_text_is_built_once() -> None:
    assert build("int answer = 42;\n") is build("int answer = 42;\n")
    assert ctypes.c_int.in_dll(build("int answer = 42;\n"), "answer").value == 42


@needs_compiler
def test_what_does_not_compile_is_an_internal_error() -> None:
    with pytest.raises(BuildError, match=r"exited with 1:\n.*layers\.c:1"):
        build("int f(\n")


def test_without_a_compiler_the_message_is_clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        build("")
    assert str(caught.value) == (
        "error: there is no C compiler on this machine\n"
        "  expected: one of cc, gcc, clang on the PATH\n"
        "  remedy:   install gcc or clang, or name a compiler in the environment variable CC"
    )


def test_the_compiler_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "my cc"
    compiler.write_text("#!/bin/sh\nexit 3\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", f"'{compiler}' -m64")
    assert find_compiler() == [str(compiler), "-m64"]
    with pytest.raises(BuildError, match="exited with 3"):
        build("int x;\n")
    for wrong in ("no-such-compiler", "'unclosed"):
        monkeypatch.setenv("CC", wrong)
        with pytest.raises(InputError, match="does not exist"):
            find_compiler()


EPILOGUES = {
    "activations": (["Relu t a", "Tanh a b", "Abs b c", "Sqrt c y"], True),
    "residual": (["Add t r a", "Neg a b", "Exp b y"], True),
    "gate": (["Sigmoid t a", "Mul t a b", "Sub b column y"], True),
    "bounds": (["Clip t low high a", "Clip a . one b", "Clip b low . y"], True),
    "gelu": (["Div t one a", "Erf a b", "Reciprocal high c", "Mul b c y"], True),
    "none in C": (["Relu t a", "Softplus a y"], False),
}


@needs_compiler
@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues(name: str) -> None:
    """In C where it has every step, or else on the host: equal to onnxruntime."""
    steps, in_c = EPILOGUES[name]
    nodes = [onnx_models.node("Conv", "x w", "t", pads=[1, 1, 1, 1])]
    for text in steps:
        op, *names, output = text.split()
        nodes.append(onnx_models.node(op, " ".join(names), output))
    constants = {"w": onnx_models.random((3, 2, 3, 3)), "column": onnx_models.random((3, 1, 1)), "one": np.float32(1)}
    constants |= {"low": np.float32(-0.5), "high": np.float32(2)}
    made = onnx_models.model(nodes, {"x": (1, 2, 5, 5), "r": (1, 3, 5, 5)}, constants)
    graph = effc.compile(made, "eyeriss", backend="cpu", time_limit=0.1).graph
    assert [len(op.epilogue) > 1 for op in graph.nests] == [True]
    program = CpuProgram(graph)
    assert program._nests.source.finished == (in_c,)
    inputs = {"x": onnx_models.random((1, 2, 5, 5), 1), "r": onnx_models.random((1, 3, 5, 5), 2)}
    onnx_models.assert_close(program.run(inputs)["y"], host.run_model(made, inputs)["y"])
