"""Integers: stepper, machine and numpy agree bit for bit, zero points and requantisation included."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import onnx
import pytest
from cases import Case, random_case, reference
from mutants import mutated
from test_machine_fuzz import LIMITS, binary_outcome, outcome

from effc.backends.accel import Machine, print_program
from effc.backends.accel.emit import emit
from effc.backends.accel.stepper import Finish, Stepper
from effc.backends.reference import reference_run
from effc.compiler.cost.epilogue import count_op, op_target
from effc.compiler.target.model import Numeric, VectorUnit
from effc.ir.graph import Graph, NestOp, NodeOp, Tensor, View
from effc.ir.nest import Operand
from effc.ir.nest_rules import NEST_RULES
from effc.ir.rules import violations
from effc.ir.verify import verify_graph

READS = ["int8", "uint8", "int16"]
STEPS = ("DequantizeLinear", "QuantizeLinear")


@dataclass(frozen=True)
class Integers:
    """A nest of integers with its graph, and the operands above their zero points."""

    case: Case
    graph: Graph
    centred: dict[str, Any]
    expected: Any


def integers(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Any:
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))


def zero_point(random: Random, rng: np.random.Generator, operand: Operand, dtype: str) -> tuple[Any, tuple[int, ...]]:
    """A zero point of all words, or one for each index of an axis; and its strides."""
    strides = [0] * len(operand.axes)
    if random.random() < 0.5:
        return integers(rng, dtype, ()), tuple(strides)
    axis = random.randrange(len(operand.axes))
    strides[axis] = 1
    return integers(rng, dtype, (operand.shape[axis],)), tuple(strides)


def drawn(seed: int) -> Integers:
    random, rng = Random(seed), np.random.default_rng(seed)
    case = random_case(random, 250)
    while list(violations(NEST_RULES, case.nest)):  # all padding
        case = random_case(random, 250)
    nest, constants, uses, centred = case.nest, dict[str, Any](), dict[str, View](), dict[str, Any]()
    for operand in nest.reads:
        dtype = random.choice(READS if operand is nest.reads[0] else READS[:2])
        words, zero = integers(rng, dtype, operand.shape), None
        centred[operand.name] = words.astype(np.float64)
        if random.random() < 0.6:
            point, strides = zero_point(random, rng, operand, dtype)
            shape = [size if stride else 1 for size, stride in zip(operand.shape, strides)]
            centred[operand.name] -= point.reshape(shape if point.ndim else ())
            zero = View(f"z{operand.name}", 0, strides)
            constants[zero.tensor] = point
        constants[operand.name] = words
        uses[operand.name] = View(operand.name, 0, row_major(operand.shape), zero)
    if nest.bias is not None:
        constants["B"] = rng.integers(-(10**6), 10**6, nest.bias.shape).astype(np.int32)
        centred["B"] = constants["B"].astype(np.float64)
        uses["B"] = View("B", 0, row_major(nest.bias.shape))
    uses["O"] = View("O", 0, row_major(nest.output.shape))
    sums = reference(replace(case, arrays=centred))
    unit = VectorUnit(STEPS, random.choice([1, 2, 8]), Fraction(random.randint(0, 3)))
    target = replace(case.target, vector=unit, numeric=Numeric(("int8",), packing=random.random() < 0.5))
    case = replace(case, target=target)
    expected, steps, made = sums.astype(np.int64), (), {}
    if random.random() < 0.7:
        steps, made, expected = requantised(random, rng, sums, constants)
    tensors = {name: Tensor(name, value.dtype.name, value.shape) for name, value in constants.items()}
    tensors |= {"O": Tensor("O", "int32", nest.output.shape), **made}
    op = NestOp(nest, uses, "Nest", nest.name, case.schedule, steps)
    graph = Graph(nest.name, (), op.outputs, tensors, (op,), constants)
    verify_graph(graph)
    return Integers(case, graph, centred, expected)


def requantised(random: Random, rng: np.random.Generator, sums: Any, constants: dict[str, Any]) -> tuple[Any, ...]:
    """An epilogue that scales sums to 8 bits, for all or along an axis, and what numpy makes of them."""
    axis, dtype = random.randrange(sums.ndim), random.choice(["int8", "uint8"])
    size = (sums.shape[axis],) if random.random() < 0.5 else ()
    scale = (rng.uniform(50, 200, size) / max(1.0, np.abs(sums).max())).astype(np.float32)
    zero = integers(rng, dtype, ())
    constants |= {"scale": scale, "one": np.array(1, np.float32), "zero": zero}
    made = {"real": Tensor("real", "float32", sums.shape), "y": Tensor("y", dtype, sums.shape)}
    inputs = [("O", "scale"), ("real", "one", "zero")]
    nodes = [onnx.helper.make_node(*step, axis=axis) for step in zip(STEPS, inputs, (["real"], ["y"]))]
    steps = tuple(
        NodeOp(op, op, names, (output,), node.SerializeToString(), version=14, where="vector")
        for op, names, output, node in zip(STEPS, inputs, ("real", "y"), nodes)
    )
    wide = scale.reshape([-1 if i == axis else 1 for i in range(sums.ndim)] if size else ())
    real = sums.astype(np.float32) * wide
    limits = np.iinfo(dtype)
    expected = np.clip(np.rint(real) + zero.astype(np.float32), limits.min, limits.max).astype(dtype)
    return steps, made, expected


def check(found: Integers, exact: bool) -> int:
    """Values and counters of a case; the partial sums that came back to the array from the outermost level."""
    case, graph = found.case, found.graph
    (op,) = graph.nests
    name, shape = op.outputs[0], case.nest.output.shape
    result = Machine(case.target, exact=exact).run(emit(graph, case.target), {}, graph.constants)
    assert result.outputs[name].dtype == graph.tensors[name].dtype
    assert np.array_equal(result.outputs[name], found.expected)
    assert np.array_equal(reference_run(graph, {})[name], found.expected)
    centred = {key: np.vectorize(int, otypes=[object])(value) for key, value in found.centred.items()}
    finish = Finish(op.epilogue, op.uses["O"], shape, graph.constants, "int32") if op.epilogue else None
    stepped, steps = Stepper(case.nest, case.schedule, case.target, centred, finish).run()
    assert np.array_equal(stepped.astype(np.int64), found.expected.astype(np.int64))
    predicted = count_op(op, graph, case.target).counters
    assert predicted.difference(result.counters[op.name]) == []
    assert predicted.difference(steps) == []
    return int(steps.reads.get((case.target.levels[0].name, "O"), 0) > 0)


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_three_ways_to_compute(first: int) -> None:
    assert sum(check(drawn(seed), exact=seed % 3 == 0) for seed in range(first, first + 10))


def test_the_clock_knows_widths() -> None:
    """What passes the ports of the outermost level takes the bits that the cost model says, finished words theirs."""
    narrowed = 0
    for seed in range(8):
        found = drawn(seed)
        outermost, *inner = found.case.target.levels
        bank = replace(outermost.banks[0], read_bandwidth=Fraction(16), write_bandwidth=Fraction(24))
        target = replace(found.case.target, levels=(replace(outermost, banks=(bank,)), *inner))
        result = Machine(target, cycles=True).run(emit(found.graph, target), {}, found.graph.constants)
        (op,) = found.graph.nests
        counters, seen = result.counters[op.name], op_target(op, found.graph, target)
        for way, table, rate in (("read", counters.reads, 16), ("write", counters.writes, 24)):
            moved = [(name, words) for (level, name), words in table.items() if level == outermost.name]
            bits = sum(seen.access_bits(0, name, way, words) for name, words in moved)
            assert result.timings[op.name].ports.get(f"{outermost.name} {way}", 0) == pytest.approx(float(bits / rate))
        narrowed += seen.finished_bits() < seen.bits(0, "O")
    assert narrowed >= 2


def test_damaged_programs() -> None:
    """A result or a typed fault, whatever is changed."""
    outcomes = Counter[str]()
    for seed in range(10):
        found, random = drawn(seed), Random(seed)
        machine = Machine(found.case.target, limits=LIMITS)
        text = print_program(emit(found.graph, found.case.target))
        for _ in range(15):
            outcomes[outcome(machine, mutated(text, random), found.graph.constants)] += 1
            outcomes[binary_outcome(machine, text, found.graph.constants, random)] += 1
    assert min(outcomes[kind] for kind in ("rejected", "faulted", "ran")) > 10


@pytest.mark.validate
@pytest.mark.parametrize("first", range(1000, 4000, 100))
def test_three_ways_to_compute_many(first: int) -> None:
    for seed in range(first, first + 100):
        check(drawn(seed), exact=seed % 3 == 0)
