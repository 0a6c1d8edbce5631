"""The pass ``fuse-epilogues``: what goes into a nest, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import effc
from effc.backends.accel import (
    Machine,
    MachineFault,
    decode_program,
    emit,
    encode_program,
    parse_program,
    print_program,
)
from effc.backends.accel.isa import NestLayer, Program
from effc.backends.cpu import CpuProgram
from effc.ir.graph import Graph


def model(*nodes: str, outputs: str = "y") -> onnx.ModelProto:
    """``relu y = Relu t``: nodes by name, result, operator and inputs; a Conv of four channels has weights ``w``."""
    made = []
    for text in nodes:
        name, result, _, op, *inputs = text.split()
        extra = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]} if op == "Conv" else {}
        made.append(helper.make_node(op, inputs, [result], name, **extra))
    generator = np.random.default_rng(3)
    values = {"w": (4, 4, 3, 3), "v": (4, 4, 3, 3), "c": (4, 1, 1), "k": (1, 1, 1, 1)}
    graph = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 5, 5])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 5, 5]) for name in outputs.split()],
        [numpy_helper.from_array(generator.standard_normal(s).astype(np.float32), n) for n, s in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compiled(made: onnx.ModelProto, target: str = "eyeriss", **options: Any) -> effc.CompiledProgram:
    return effc.compile(made, target, time_limit=0.2, **options)


def fused(graph: Graph) -> dict[str, list[str]]:
    """The steps of every nest, and the ops that are none by themselves."""
    return {op.name: [step.name for step in getattr(op, "epilogue", ())] for op in graph.ops}


CONV = "conv t = Conv x w"
CASES = {
    "activation": ((CONV, "relu y = Relu t"), "y", {"conv": ["relu"]}),
    "chain": ((CONV, "add u = Add t x", "relu y = Relu u"), "y", {"conv": ["add", "relu"]}),
    "gate": ((CONV, "sig s = Sigmoid t", "mul y = Mul t s"), "y", {"conv": ["sig", "mul"]}),
    "channels": ((CONV, "mul u = Mul t c", "clip y = Clip u"), "y", {"conv": ["mul", "clip"]}),
    "the later of two": (
        (CONV, "other u = Conv x v", "add y = Add t u"),
        "y",
        {"conv": [], "other": ["add"]},
    ),
    "behind what it needs": (
        (CONV, "pool p = Softmax x", "add y = Add t p"),
        "y",
        {"pool": [], "conv": ["add"]},
    ),
    "needed elsewhere": ((CONV, "relu y = Relu t", "soft z = Softmax t"), "y z", {"conv": [], "relu": [], "soft": []}),
    "an output": ((CONV, "relu y = Relu t"), "t y", {"conv": [], "relu": []}),
    "a gate needed elsewhere": (
        (CONV, "sig s = Sigmoid t", "mul y = Mul t s", "soft z = Softmax s"),
        "y z",
        {"conv": [], "sig": [], "mul": [], "soft": []},
    ),
    "up to what is needed elsewhere": (
        (CONV, "relu u = Relu t", "other v2 = Conv u v", "add y = Add v2 u"),
        "y",
        {"conv": ["relu"], "other": ["add"]},
    ),
    "not elementwise": ((CONV, "soft y = Softmax t"), "y", {"conv": [], "soft": []}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_fused(case: str) -> None:
    nodes, outputs, expected = CASES[case]
    program = compiled(model(*nodes, outputs=outputs))
    assert fused(program.graph) == expected
    assert program.verify().ok
    x = np.random.default_rng(5).standard_normal((1, 4, 5, 5)).astype(np.float32)
    on_cpu = CpuProgram(program.graph).run({"x": x})
    for name, value in program.run({"x": x}).items():
        assert np.allclose(value, on_cpu[name], atol=1e-5)


def test_only_where_the_vector_unit_can() -> None:
    text = effc.load_target("eyeriss").source.replace("Relu, LeakyRelu", "LeakyRelu")
    program = effc.compile(model(CONV, "relu y = Relu t"), effc.parse_target(text), time_limit=0.2)
    assert fused(program.graph) == {"conv": [], "relu": []}
    assert program.report.host[0].name == "relu"


def test_what_is_saved() -> None:
    """An addition and an activation apart read 100 words three times and write them twice."""
    together = compiled(model(CONV, "add u = Add t x", "relu y = Relu u")).report
    apart = compiled(model(CONV, "add u = Add t x", "relu y = Relu u", outputs="t u y")).report
    (layer,) = together.layers
    assert [op.op for op in layer.fused] == ["Add", "Relu"]
    assert layer.saved_words == together.totals.saved_words == 400
    assert together.totals.dram_words == apart.totals.dram_words - 400
    assert layer.accesses["DRAM"]["E"].read == 100
    assert layer.vector_results == 200
    assert layer.energy_by["vector"] == sum(other.energy_by.get("vector", 0) for other in apart.layers)


def program_of() -> tuple[Program, effc.CompiledProgram]:
    made = compiled(model(CONV, "add u = Add t x", "relu y = Relu u"))
    assert made.program is not None
    return made.program, made


def test_every_form_of_the_program_has_it() -> None:
    program, _ = program_of()
    assert parse_program(print_program(program)) == program
    assert decode_program(encode_program(program)) == program


def broken(program: Program, **changes: Any) -> Program:
    (layer,) = program.layers
    assert isinstance(layer, NestLayer)
    assert layer.epilogue is not None
    return replace(program, layers=(replace(layer, epilogue=replace(layer.epilogue, **changes)),))


def test_faults() -> None:
    program, made = program_of()
    (layer,) = program.layers
    assert isinstance(layer, NestLayer)
    assert layer.epilogue is not None
    add, relu = layer.epilogue.steps
    operands = tuple(
        replace(o, axes=(*o.axes[:-1], replace(o.axes[-1], size=4))) if o.kind == "write" else o for o in layer.operands
    )
    wrong = {
        "does not end in y": broken(program, steps=()),
        "step add is a Softmax": broken(program, steps=(replace(add, op="Softmax"), relu)),
        "step add gives": broken(program, steps=(replace(add, outputs=("u", "z")), relu)),
        "step relu reads x": broken(program, steps=(add, replace(relu, inputs=("x",)))),
        "conv does not end in y": broken(program, steps=(add, replace(relu, outputs=("x",)))),
        "step relu reads u, y": broken(program, steps=(add, replace(relu, inputs=("u", "y")))),
        "uses z": broken(program, steps=(replace(add, inputs=("t", "z")), relu)),
        "the vector unit has no Sign": broken(program, steps=(add, replace(relu, op="Sign"))),
        "writes a part of y": replace(program, layers=(replace(layer, operands=operands),)),
    }
    for message, mutant in wrong.items():
        with pytest.raises(MachineFault, match=message):
            Machine(made.target).run(mutant, {"x": np.zeros((1, 4, 5, 5), np.float32)}, made.graph.constants)


def test_emitted_again_it_is_the_same() -> None:
    program, made = program_of()
    assert emit(made.graph, made.target) == program


def test_what_cannot_be_broadcast_is_no_step() -> None:
    """A Clip whose bound is no scalar, which onnxruntime will refuse, does not break the graph."""
    program = effc.compile(model("conv t = Conv x w", "clip y = Clip t w"), "eyeriss", time_limit=0.2)
    assert [len(op.epilogue) for op in program.graph.nests] == [0]
