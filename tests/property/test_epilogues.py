"""Epilogues: cost model, machine and stepper count the same, and values are those of the steps on the whole tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import onnx
import pytest
from cases import Case, random_case

from effc.backends.accel import Machine, emit
from effc.backends.accel.machine import graph_of
from effc.backends.accel.stepper import Finish, Stepper
from effc.backends.accel.timing import Clock
from effc.backends.reference import reference_run
from effc.compiler.cost import count_op, evaluate_op
from effc.compiler.target.model import VectorUnit
from effc.ir.epilogue_rules import EPILOGUE_RULES
from effc.ir.graph import Graph, NestOp, NodeOp, Tensor
from effc.ir.rules import violations

UNARY = ("Relu", "Neg", "Abs", "LeakyRelu", "Clip")
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "PRelu")


def fused(case: Case, random: Random) -> tuple[Graph, NestOp]:
    """The nest of a case with one to three random steps behind it."""
    graph = graph_of(case.nest, case.schedule, case.arrays)
    shape = case.nest.output.shape
    tensors, constants = dict(graph.tensors), dict(graph.constants)
    made, steps = ["O"], list[NodeOp]()
    for number in range(random.randint(1, 3)):
        tensors[f"y{number}"] = Tensor(f"y{number}", "float32", shape)
        inputs = [made[-1]]
        op = random.choice(UNARY + BINARY)
        if op == "Clip":
            inputs += ["", "high"]
            constants["high"] = np.array(random.randint(0, 9), np.float32)
        elif op in BINARY:
            other = "r" if random.random() < 0.3 else f"c{number}"
            if other not in constants and random.random() < 0.8:
                constants[other] = words(random, shape)
            inputs.append(other if other in constants else random.choice(made))
        tensors |= {name: Tensor(name, "float32", constants[name].shape) for name in inputs if name in constants}
        proto = onnx.helper.make_node(op, inputs, [f"y{number}"])
        steps.append(NodeOp(f"s{number}", op, tuple(inputs), (f"y{number}",), proto.SerializeToString(), version=17))
        made.append(f"y{number}")
    op = replace(graph.nests[0], epilogue=tuple(replace(step, where="vector") for step in steps))
    graph = replace(graph, tensors=tensors, constants=constants, ops=(op,), outputs=op.outputs)
    assert list(violations(EPILOGUE_RULES, graph)) == []
    return graph, op


def words(random: Random, shape: tuple[int, ...]) -> Any:
    """A tensor of that shape, or one that is broadcast to it."""
    kept = tuple(1 if random.random() < 0.3 else size for size in shape[random.choice([0, 0, len(shape) - 1]) :])
    values = [random.randint(-3, 3) for _ in range(int(np.prod(kept)))]
    return np.array(values, np.float32).reshape(kept)


def cases(first: int, last: int) -> Iterator[tuple[Case, Random]]:
    for seed in range(first, last):
        random = Random(seed)
        case = random_case(random, 200)
        lanes = random.choice([1, 2, 3, 8])
        unit = VectorUnit(UNARY + BINARY, lanes, Fraction(random.randint(0, 3)))
        yield replace(case, target=replace(case.target, vector=unit)), random


def as_floats(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_counts_and_values(first: int) -> None:
    finished_late = 0
    for case, random in cases(first, first + 20):
        case = replace(case, arrays=as_floats(case.arrays))
        graph, op = fused(case, random)
        output = op.nest.output
        shape = graph.tensors[output.name].shape
        assert shape is not None
        result = Machine(case.target, exact=random.random() < 0.5).run(emit(graph, case.target), {}, graph.constants)
        predicted = count_op(op, graph, case.target)
        finish = Finish(op.epilogue, op.uses[output.name], shape, graph.constants)
        stepped, counters = Stepper(op.nest, case.schedule, case.target, case.arrays, finish).run()
        expected = reference_run(graph, {})[op.outputs[0]]
        assert np.array_equal(result.outputs[op.outputs[0]], expected)
        assert np.array_equal(stepped, expected)
        assert predicted.counters.difference(result.counters[op.name]) == []
        assert predicted.counters.difference(counters) == []
        finished_late += counters.reads.get((case.target.levels[0].name, "O"), 0) > 0
        assert counters.results == len(op.epilogue) * output.words
    assert finished_late  # partial sums came and went


def test_the_vector_unit_takes_its_time() -> None:
    """Neither the clock nor the formula is faster than the lanes, and a slow unit bounds both."""
    for case, random in cases(100, 112):
        case = replace(case, arrays=as_floats(case.arrays))
        graph, op = fused(case, random)
        unit = replace(case.target.vector, lanes=1)
        slow = replace(case.target, vector=unit)
        least = op.nest.output.words * len(op.epilogue)
        cost = evaluate_op(op, graph, slow)
        clock = Clock(emit(graph, slow).layers[0], slow).run()
        assert cost.cycles >= least
        assert clock.cycles >= least
        assert clock.ports["vector"] == least == cost.latency.ports["vector"]
        assert cost.energy_by["vector"] == unit.energy * least
