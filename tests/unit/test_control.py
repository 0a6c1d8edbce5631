"""Control flow: bodies compiled once, run by the host as often as the node says; every count is that of all runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from control_models import STEPS, counted_model, graph, growing_model, if_model, scan_model, while_model, with_node
from onnx import TensorProto
from onnx_models import assert_close, model, node, ops, random
from small import TINY

import effc
from effc.backends.accel import Machine, MachineFault, parse_program, print_program, timings
from effc.backends.accel.binary import decode_program, encode_program
from effc.backends.accel.isa import ControlLayer
from effc.backends.accel.limits import Limits
from effc.backends.host import run_model
from effc.backends.reference import reference_run
from effc.compiler.frontend.from_onnx import lower
from effc.compiler.target import parse_target
from effc.ir.bodies import every_constant, every_op
from effc.ir.graph import ControlOp, NestOp

TARGET = parse_target(TINY)


def compiled(made: onnx.ModelProto, **options: Any) -> effc.CompiledProgram:
    return effc.compile(made, TARGET, time_limit=0.2, **options)


def inputs_of(made: onnx.ModelProto, scale: float = 1.0) -> dict[str, Any]:
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in made.graph.input}
    values = {name: 1 + np.abs(random(shape)) for name, shape in shapes.items() if name != "c"}
    return {**values, "x": values["x"] * np.float32(scale)}


def test_counts_are_those_of_all_trips() -> None:
    program = compiled(scan_model())
    assert [op for op in ops(program.graph) if op != "Identity"] == ["Scan", "MATMUL"]  # Add and Relu follow in it
    values = inputs_of(scan_model())
    result = program.execute(values, cycles=True)
    (nest,) = (op for op, _ in every_op(program.graph) if isinstance(op, NestOp))
    assert result.counters[nest.name].macs == STEPS * 2 * 3 * 3 == program.report.totals.macs
    assert result.runs[nest.name] == program.report.layer(nest.name).runs == STEPS
    assert program.program is not None
    assert result.timings[nest.name].cycles == STEPS * timings(program.program, TARGET)[nest.name].cycles
    verified = program.verify()
    assert verified.ok, verified.failed
    assert {check.name for check in verified.checks} == {"y", "z", nest.name}


def test_zeros_are_those_of_all_trips() -> None:
    """A state of which Relu makes a word zero gates the MACs that read it, in the trip that comes next."""
    program = effc.compile(scan_model(), "eyeriss", time_limit=0.2)
    values = {"x": random((2, 3)), "e": random((STEPS, 3))}
    result = program.execute(values, zeros=True)
    ((nest, _),) = nests(program)
    states = [values["x"], *result.outputs["z"][:-1]]
    gated = sum(3 * int(np.sum(state == 0)) for state in states)
    assert result.zeros[nest.name].gated == gated > 0
    report = program.measured(result)
    found = report.layer(nest.name).zeros
    assert found is not None
    assert found == report.totals.zeros
    assert found.gated_macs == gated
    assert set(found.gated_reads["spad"].values()) == {gated}
    coded = found.coded["DRAM"]["I"]
    assert (coded.words, coded.nonzero) == (STEPS * 6, sum(int(np.count_nonzero(state)) for state in states))
    assert 0 < found.energy < (report.layer(nest.name).energy or 0)


def test_a_loop_that_ends_when_the_data_say() -> None:
    """Another number of trips in every run; what a trip counts is predicted, how often is counted."""
    made = while_model()
    program = compiled(made)
    found = set()
    for scale in (0.01, 1.0):
        values = inputs_of(made, scale)
        assert program.verify(values).ok
        result = program.execute(values)
        for name, expected in run_model(made, values).items():
            assert_close(result.outputs[name], expected)
        (trips,) = {result.runs[op.name] for op, _ in every_op(program.graph) if isinstance(op, NestOp)}
        assert result.outputs["z"].shape[0] == trips
        found.add(trips)
    assert len(found) == 2
    assert {layer.runs for layer in program.report.layers if layer.where == "accel"} == {None}


@pytest.mark.parametrize("trips", [1, 4, 30])
def test_a_condition_of_known_numbers_is_counted(trips: int) -> None:
    """What the loop collects has a shape, so that the product behind it is a nest."""
    program = compiled(counted_model(trips))
    assert program.verify().ok
    (last,) = (op for op in program.graph.nests if op.nest.macs == min(trips, 20) * 2 * 3 * 4)
    assert program.report.layer(last.name).runs == 1
    assert program.report.totals.macs == min(trips, 20) * (2 * 3 * 4 + 2 * 3 * 3)


def test_products_run_on_the_array_though_other_values_grow() -> None:
    """Only what depends on a size that a trip changes is the host's."""
    program = compiled(growing_model())
    verified = program.verify(inputs_of(growing_model()))
    assert verified.ok, verified.failed
    ((nest, _),) = nests(program)
    result = program.execute(inputs_of(growing_model()))
    assert result.runs[nest.name] > 1
    assert result.outputs["z"].shape == (2 + 2 * result.runs[nest.name], 3)


@pytest.mark.parametrize("condition", [True, False])
def test_an_if_runs_one_branch(condition: bool) -> None:
    made = if_model()
    values = {**inputs_of(made), "c": np.array([condition])}
    program = compiled(made)
    assert ops(program.graph) == ["If", "MATMUL", "MATMUL"]
    assert program.verify(values).ok
    assert_close(program.run(values)["y"], run_model(made, values)["y"])
    (op,) = program.graph.ops
    assert isinstance(op, ControlOp)
    assert [program.execute(values).runs[body.ops[0].name] for body in op.bodies] == [condition, not condition]


def test_a_branch_that_fits_no_input_is_never_run() -> None:
    """The shapes of ``x`` make nonsense of one branch, which is no error as long as nobody takes it."""
    made = if_model()
    other = next(attribute.g for attribute in made.graph.node[0].attribute if attribute.name == "else_branch")
    other.node[0].CopyFrom(node("MatMul", "x x", other.node[0].output[0]))
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    values = {"x": random((2, 3)), "v": random((3, 4)), "c": np.array([True])}
    program = compiled(made, dims={"N": 2})
    assert "cannot be compiled" in program.report.host[0].reason
    assert_close(program.run(values)["y"], run_model(made, values)["y"])


def test_a_loop_in_a_loop() -> None:
    """A Scan in the body of a Loop, which reads from outside of both."""
    inner = graph(
        [node("MatMul", "s v", "t"), node("Add", "t e", "u")],
        {"s": ([2, 3], TensorProto.FLOAT), "e": ([3], TensorProto.FLOAT)},
        {"u": TensorProto.FLOAT},
    )
    scan = node("Scan", "a e", "b", body=inner, num_scan_inputs=1)
    outer = graph(
        [scan, node("Identity", "c", "goes")],
        {"i": ([], TensorProto.INT64), "c": ([], TensorProto.BOOL), "a": ([2, 3], TensorProto.FLOAT)},
        {"goes": TensorProto.BOOL, "b": TensorProto.FLOAT},
    )
    loop = node("Loop", "turns . x", "y", body=outer)
    shapes = {"x": (2, 3), "e": (4, 3), "v": (3, 3)}
    made = with_node(loop, shapes, {"turns": np.array(3)})
    program = compiled(made)
    assert program.verify().ok
    assert sum(program.execute(inputs_of(made)).counters[op.name].macs for op, _ in nests(program)) == 3 * 4 * 18


def nests(program: effc.CompiledProgram) -> list[tuple[NestOp, Any]]:
    return [(op, scope) for op, scope in every_op(program.graph) if isinstance(op, NestOp)]


@pytest.mark.parametrize("make", [scan_model, while_model, growing_model, if_model])
def test_every_form_is_lossless(make: Any, tmp_path: Path) -> None:
    """IR, assembly, binary form and artefact."""
    program = compiled(make())
    text = effc.print_graph(program.graph)
    assert effc.print_graph(effc.parse_graph(text)) == text
    assert program.program is not None
    assert parse_program(print_program(program.program)) == program.program
    assert decode_program(encode_program(program.program)) == program.program
    program.save(tmp_path / "a.effx")
    again = effc.load(tmp_path / "a.effx")
    again.save(tmp_path / "b.effx")
    assert (tmp_path / "a.effx").read_bytes() == (tmp_path / "b.effx").read_bytes()
    assert again.verify({**inputs_of(make()), **({"c": np.array([True])} if make is if_model else {})}).ok


def test_constants_of_bodies_are_given_by_their_names_outside() -> None:
    graph = compiled(scan_model()).graph
    text, values = effc.print_graph(graph), every_constant(graph)
    assert effc.parse_graph(text, values) == graph
    inside = min(values.keys() - graph.constants.keys())
    assert inside.startswith(f"{graph.ops[0].name}[0].")
    for wrong in (graph.constants, {**values, inside: values[inside] + 1}):
        with pytest.raises(effc.InputError, match="in a body is missing, or another one"):
            effc.parse_graph(text, wrong)


def test_an_artefact_does_not_grow_with_the_trips(tmp_path: Path) -> None:
    sizes = []
    for steps in (2, 1000):
        compiled(scan_model(steps)).save(tmp_path / f"{steps}.effx")
        sizes.append((tmp_path / f"{steps}.effx").stat().st_size)
    assert sizes[1] < sizes[0] + 100  # the digits of larger numbers


@pytest.mark.parametrize("make", [scan_model, while_model])
def test_on_the_cpu(make: Any) -> None:
    assert compiled(make(), backend="cpu").verify(inputs_of(make())).ok


def test_what_breaks_a_control_op_is_an_error() -> None:
    text = effc.print_graph(compiled(scan_model()).graph)
    broken = {
        text.replace("trips 6", "trips 6 trips 6"): "unexpected",
        text.replace("op Scan", "op If"): "If has 1 bodies",
        text.replace("-> (y, z)", "-> (y)"): "has 2 outputs, and not 1",
    }
    for form, message in broken.items():
        with pytest.raises(effc.InputError, match=message):
            effc.parse_graph(form)


def test_outputs_without_a_number_are_told() -> None:
    """They are equal to onnxruntime's, and nothing was compared."""
    verified = compiled(scan_model()).verify({"x": np.full((2, 3), np.nan, np.float32), "e": random((STEPS, 3))})
    assert verified.ok
    assert any("no number of 'y' is finite" in note for note in verified.notes)


def scan_node(**attributes: Any) -> bytes:
    return bytes(node("Scan", "x e", "y z", **attributes).SerializeToString())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "its node cannot be read"),
        (scan_node(), "0 of its 2 inputs are sequences"),
        (scan_node(num_scan_inputs=3), "3 of its 2 inputs"),
        (scan_node(num_scan_inputs=1, scan_input_axes=[0, 0]), "scan_input_axes is"),
        (scan_node(num_scan_inputs=1, scan_input_axes=[2]), "it has no axis 2"),
        (scan_node(num_scan_inputs=1, scan_output_axes=[4]), "it has no axis 4"),
        (scan_node(num_scan_inputs=2), "sequences of the lengths"),
    ],
)
def test_a_scan_that_makes_no_sense_is_a_fault(data: bytes, message: str) -> None:
    program = compiled(scan_model())
    assert program.program is not None
    (layer,) = program.program.layers
    assert isinstance(layer, ControlLayer)
    wrong = replace(program.program, layers=(replace(layer, node=replace(layer.node, node=data)),))
    with pytest.raises(MachineFault, match=message):
        Machine(TARGET).run(wrong, inputs_of(scan_model()), every_constant(program.graph))


def test_bodies_run_a_limited_number_of_times() -> None:
    program = compiled(scan_model())
    assert program.program is not None
    machine = Machine(TARGET, limits=Limits(trips=STEPS - 1))
    with pytest.raises(MachineFault, match=f"bodies ran {STEPS - 1} times"):
        machine.run(program.program, inputs_of(scan_model()), every_constant(program.graph))


ROWS: dict[str, tuple[tuple[int, ...], str, dict[str, tuple[int, ...]], dict[str, Any]]] = {
    "Gemm": ((6,), "w b", {"w": (6, 5), "b": (5,)}, {}),
    "MatMul": ((6,), "w", {"w": (6, 5)}, {}),
    "MatMul of three axes": ((3, 6), "w", {"w": (6, 5)}, {}),
    "Conv": ((3, 5, 5), "w b", {"w": (4, 3, 3, 3), "b": (4,)}, {"pads": [1] * 4}),
    "ConvTranspose": ((3, 5, 5), "w", {"w": (3, 4, 2, 2)}, {"strides": [2, 2]}),
}


@pytest.mark.parametrize("name", ROWS)
def test_as_many_rows_as_the_data_say(name: str) -> None:
    """A product of them runs in turns on the array; there may be none."""
    shape, others, shapes, attributes = ROWS[name]
    nodes = [
        node("NonZero", "mask", "all"),
        node("Gather", "all zero", "places"),
        node("Gather", "x places", "rows"),
        node(name.split()[0], f"rows {others}", "y", **attributes),
    ]
    constants = {"zero": np.array(0), **{key: random(size) for key, size in shapes.items()}}
    made = model(nodes, {"x": (20, *shape), "mask": (20,)}, constants)
    lowered = lower(made)
    assert [scope.runs for op, scope in every_op(lowered) if isinstance(op, NestOp)][:1] == [None]
    for mask in (np.zeros(20), np.ones(20), np.arange(20) % 3):
        inputs = {"x": random((20, *shape)), "mask": mask.astype(np.float32)}
        assert_close(reference_run(lowered, inputs)["y"], run_model(made, inputs)["y"])


def test_rows_that_no_memory_holds() -> None:
    """They are described, or refused, and not written out."""
    nodes = [
        node("NonZero", "mask", "all"),
        node("Reshape", "all column", "places"),
        node("Cast", "places", "numbers", to=TensorProto.FLOAT),
        node("Expand", "numbers size", "rows"),
        node("MatMul", "rows w", "y"),
    ]
    constants = {"column": np.array([-1, 1, 1]), "size": np.array([1, 1 << 38, 1]), "w": random((1, 3))}
    graph = lower(model(nodes, {"mask": (20,)}, constants))
    assert max(value.size for value in every_constant(graph).values()) <= 20


def test_the_machine_counts_the_turns() -> None:
    """17 rows of 20 are two turns of 16."""
    nodes = [
        node("NonZero", "mask", "all"),
        node("Gather", "all zero", "places"),
        node("Gather", "x places", "rows"),
        node("MatMul", "rows w", "y"),
    ]
    made = model(nodes, {"x": (20, 4), "mask": (20,)}, {"zero": np.array(0), "w": random((4, 3))})
    program = compiled(made)
    inputs = {"x": random((20, 4)), "mask": (np.arange(20) < 17).astype(np.float32)}
    result = program.execute(inputs)
    ((nest, _),) = [(op, scope) for op, scope in every_op(program.graph) if isinstance(op, NestOp)]
    assert result.counters[nest.name].macs == 2 * 16 * 4 * 3
    assert program.verify(inputs).ok
