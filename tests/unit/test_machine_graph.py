"""Whole programs: DRAM with lifetimes, vector and host layers, what a run returns."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest

from effc.backends.accel import dram, engine
from effc.backends.accel.emit import emit
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import NestLayer, Program
from effc.backends.accel.layout import place_tensors
from effc.backends.accel.machine import Machine
from effc.backends.accel.memory import Memory
from effc.compiler.target.model import Bank, Level, Mac, Target, VectorUnit
from effc.ir import nests
from effc.ir.graph import Graph, NestOp, NodeOp, Tensor, View
from effc.ir.schedule import For, Keep, Schedule

BANK = Bank((), ("I", "W", "O", "B"), None, Fraction(1), Fraction(1))
UNIT = VectorUnit(("Relu", "Add", "Clip"), 4, Fraction(1))
TARGET = Target("small", 16, Fraction(100), (Level("DRAM", (BANK,)), Level("L1", (BANK,))), Mac(Fraction(1)), UNIT)


def node(
    op: str, inputs: tuple[str, ...], outputs: tuple[str, ...], where: Any = "vector", **attributes: Any
) -> NodeOp:
    proto = onnx.helper.make_node(op, inputs, outputs, **attributes)
    return NodeOp(op.lower(), op, inputs, outputs, proto.SerializeToString(), version=17, where=where)


def product(name: str, read: str, weights: str, write: str) -> NestOp:
    """A product of 2 x 4 and 4 x 4."""
    nest = replace(nests.gemm(2, 4, 4), name=name)
    uses = {"I": View(read, 0, (4, 1)), "W": View(weights, 0, (4, 1)), "O": View(write, 0, (4, 1))}
    schedule = Schedule((Keep("W", "L1"), For("M", 1), Keep("O", "L1"), For("N", 1), For("K", 1)))
    return NestOp(nest, uses, "Gemm", name, schedule)


def graph(*ops: Any, inputs: tuple[str, ...], outputs: tuple[str, ...], constants: Mapping[str, Any]) -> Graph:
    names = dict.fromkeys((*inputs, *constants, *(name for op in ops for name in (*op.inputs, *op.outputs) if name)))
    tensors = {
        name: Tensor(name, str(constants[name].dtype), constants[name].shape)
        if name in constants
        else Tensor(name, "float32", (2, 4))
        for name in names
    }
    return Graph("net", inputs, outputs, tensors, ops, constants)


def values(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


def residual() -> Graph:
    """y = relu(x W) W + x, with a constant added by the vector unit in between."""
    ops = (
        product("first", "x", "W", "a"),
        node("Relu", ("a",), ("b",)),
        product("second", "b", "W", "c"),
        node("Add", ("c", "x"), ("y",)),
    )
    return graph(*ops, inputs=("x",), outputs=("y",), constants={"W": values(0, 4, 4)})


def test_a_graph_of_nests_and_vector_ops() -> None:
    net, x = residual(), values(1, 2, 4)
    weights = net.constants["W"]
    result = Machine(TARGET).run(emit(net, TARGET), {"x": x}, net.constants)
    assert np.array_equal(result.outputs["y"], np.maximum(x @ weights, 0) @ weights + x)
    assert result.tensors == {}
    assert list(result.counters) == ["first", "relu", "second", "add"]
    assert dict(result.counters["add"].entries()) == {
        "I read at DRAM": 16,
        "O write at DRAM": 8,
        "MACs": 0,
        "cycles": 2,
        "vector results": 8,
    }
    assert result.counters["first"].reads["DRAM", "W"] == 16
    assert result.counters["first"].writes["DRAM", "O"] == 8


def test_tensors_are_kept_on_request() -> None:
    net, x = residual(), values(1, 2, 4)
    program = emit(net, TARGET)
    every = Machine(TARGET).run(program, {"x": x}, net.constants, keep="all").tensors
    assert sorted(every) == ["a", "b", "c", "y"]
    assert np.array_equal(every["b"], np.maximum(x @ net.constants["W"], 0))
    assert list(Machine(TARGET).run(program, {"x": x}, net.constants, keep=["b"]).tensors) == ["b"]


def test_no_memory_outlives_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even until garbage is collected: those of a large model are large."""
    made: list[weakref.ref[Memory]] = []

    class Watched(Memory):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(weakref.ref(self))

    for module in (dram, engine):
        monkeypatch.setattr(module, "Memory", Watched)
    gc.disable()
    try:
        net = residual()
        Machine(TARGET).run(emit(net, TARGET), {"x": values(1, 2, 4)}, net.constants)
        assert made
        assert not any(memory() for memory in made)
    finally:
        gc.enable()


def test_progress_is_reported_before_each_layer() -> None:
    net, seen = residual(), list[tuple[int, str]]()
    Machine(TARGET).run(
        emit(net, TARGET), {"x": values(1, 2, 4)}, net.constants, progress=lambda n, name: seen.append((n, name))
    )
    assert seen == [(0, "first"), (1, "relu"), (2, "second"), (3, "add")]


def test_words_of_dead_tensors_are_used_again() -> None:
    # W is a constant. x lives to the end, a until b is made, b until c is made.
    slots, words = place_tensors(residual())
    addresses = {slot.name: slot.address for slot in slots}
    assert addresses == {"W": 0, "x": 16, "a": 24, "b": 32, "c": 24, "y": 32}
    assert words == 16 + 8 + 2 * 8


def test_no_two_live_tensors_share_words() -> None:
    names = [f"t{i}" for i in range(30)]
    generator = np.random.default_rng(7)
    ops = []
    for i, name in enumerate(names[1:], start=1):
        sources = tuple(names[j] for j in sorted(generator.integers(0, i, 2)))
        ops.append(node("Add", sources, (name,)))
    shapes = {name: (int(generator.integers(1, 50)),) for name in names}
    tensors = {name: Tensor(name, "float32", shapes[name]) for name in names}
    net = Graph("net", ("t0",), (names[-1],), tensors, tuple(ops))
    slots, words = place_tensors(net)
    for i, a in enumerate(slots):
        assert a.address is not None
        assert a.shape is not None
        assert a.address + a.shape[0] <= words
        for b in slots[i + 1 :]:
            assert b.address is not None
            assert b.shape is not None
            apart = a.address + a.shape[0] <= b.address or b.address + b.shape[0] <= a.address
            assert apart or a.last < b.first or b.last < a.first


def test_integers_and_unknown_shapes_stay_with_the_host() -> None:
    ops = (
        node("Relu", ("x",), ("a",)),
        node("Shape", ("a",), ("shape",), "host"),
        node("NonZero", ("a",), ("places",), "host"),
        node("Reshape", ("a", "to"), ("y",), "host"),
    )
    constants = {"to": np.array([4, 2], np.int64)}
    net = graph(*ops, inputs=("x",), outputs=("y", "shape", "places"), constants=constants)
    tensors = {
        **net.tensors,
        "shape": Tensor("shape", "int64", (2,)),
        "places": Tensor("places", "int64", None),
        "y": Tensor("y", "float32", (4, 2)),
    }
    net = replace(net, tensors=tensors)
    x = values(3, 2, 4)
    result = Machine(TARGET).run(emit(net, TARGET), {"x": x}, constants)
    positive = np.maximum(x, 0)
    assert np.array_equal(result.outputs["y"], positive.reshape(4, 2))
    assert result.outputs["shape"].tolist() == [2, 4]
    assert np.array_equal(result.outputs["places"], np.stack(np.nonzero(positive)))
    assert dict(result.counters["relu"].entries()) == {
        "I read at DRAM": 8,
        "O write at DRAM": 8,
        "MACs": 0,
        "cycles": 2,
        "vector results": 8,
    }
    assert dict(result.counters["reshape"].entries()) == {"MACs": 0, "cycles": 0}  # the host is outside the target


def test_omitted_inputs_and_constants_of_a_vector_op() -> None:
    ops = (node("Clip", ("x", "", "high"), ("y",)),)
    constants = {"high": np.array(2, np.float32)}
    net = graph(*ops, inputs=("x",), outputs=("y",), constants=constants)
    x = values(5, 2, 4)
    result = Machine(TARGET).run(emit(net, TARGET), {"x": x}, constants)
    assert np.array_equal(result.outputs["y"], np.minimum(x, 2))
    assert result.counters["clip"].reads["DRAM", "I"] == 9


def test_views_turn_and_slice_tensors() -> None:
    """The nest reads a transposed x, and two nests write one tensor in turns."""
    first, second = product("first", "x", "W", "y"), product("second", "x", "W", "y")
    turned = View("x", 0, (1, 2))
    first = replace(first, uses={**first.uses, "I": turned, "O": View("y", 0, (4, 1))})
    second = replace(second, uses={**second.uses, "I": turned, "O": View("y", 8, (4, 1))})
    net = graph(first, second, inputs=("x",), outputs=("y",), constants={"W": values(0, 4, 4)})
    tensors = {**net.tensors, "x": Tensor("x", "float32", (4, 2)), "y": Tensor("y", "float32", (2, 2, 4))}
    x = values(1, 4, 2)
    result = Machine(TARGET).run(emit(replace(net, tensors=tensors), TARGET), {"x": x}, net.constants, keep="all")
    expected = x.T @ net.constants["W"]
    assert np.array_equal(result.outputs["y"], np.stack([expected, expected]))
    assert list(result.tensors) == ["y"]


def test_a_part_of_an_output_that_nobody_writes_is_a_fault() -> None:
    net = residual()
    program = emit(net, TARGET)
    layer = program.layers[0]
    assert isinstance(layer, NestLayer)
    operands = tuple(replace(o, base=o.base + 1) if o.kind == "write" else o for o in layer.operands)
    mutant = replace(program, layers=(replace(layer, operands=operands), *program.layers[1:]))
    with pytest.raises(MachineFault):
        Machine(TARGET).run(mutant, {"x": values(1, 2, 4)}, net.constants)


def test_a_program_for_another_target_is_a_fault() -> None:
    net = residual()
    with pytest.raises(MachineFault, match="the program is for small, 16 bit"):
        Machine(replace(TARGET, name="other")).run(emit(net, TARGET), {"x": values(1, 2, 4)}, net.constants)


def test_a_vector_layer_needs_a_vector_unit() -> None:
    net = residual()
    with pytest.raises(MachineFault, match="small has no vector unit"):
        Machine(replace(TARGET, vector=None)).run(emit(net, TARGET), {"x": values(1, 2, 4)}, net.constants)


def test_a_nest_without_a_schedule_is_no_program() -> None:
    net = residual()
    with pytest.raises(ValueError, match="first has no schedule"):
        emit(net.with_ops((replace(net.nests[0], schedule=None), *net.ops[1:])), TARGET)


def test_inputs_of_a_wrong_shape_are_a_fault() -> None:
    net = residual()
    program: Program = emit(net, TARGET)
    with pytest.raises(MachineFault, match=r"tensor x has shape \(4, 2\)"):
        Machine(TARGET).run(program, {"x": values(1, 4, 2)}, net.constants)


def test_tensors_that_a_program_does_not_have() -> None:
    net = residual()
    program = emit(net, TARGET)
    layer = program.layers[0]
    assert isinstance(layer, NestLayer)
    far = tuple(replace(o, base=o.base + 99) for o in layer.operands)
    host = tuple(replace(slot, address=None) if slot.name == "a" else slot for slot in program.slots)
    wrong = [
        ("does not fit", replace(program, dram_words=20)),
        ("layer first uses x", replace(program, slots=program.slots[1:])),
        ("the program has no tensor z", replace(program, outputs=("z",))),
        ("two slots have one name", replace(program, slots=program.slots * 2)),
        (
            "operand I of layer first lies at 115 to 122",
            replace(program, layers=(replace(layer, operands=far), *program.layers[1:])),
        ),
        ("layer first uses a", replace(program, slots=host)),
    ]
    slots = {slot.name for slot in program.slots}
    assert slots == {"x", "W", "a", "b", "c", "y"}
    for message, mutant in wrong:
        with pytest.raises(MachineFault, match=message):
            Machine(TARGET).run(mutant, {"x": values(1, 2, 4)}, net.constants)
