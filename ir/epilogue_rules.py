"""The rules of epilogues: what the vector unit does to the words of a nest on their way out."""

from __future__ import annotations

from collections.abc import Iterator

from effc.ir.graph import Graph, NestOp, NodeOp
from effc.ir.rules import Rule, Violation

ELEMENTWISE = frozenset(
    "Abs Add Cast Ceil Celu Clip DequantizeLinear Div Elu Erf Exp Floor Gelu HardSigmoid HardSwish"  # noqa: SIM905
    " LeakyRelu Log Max Mean Min Mish Mod Mul Neg PRelu Pow QuantizeLinear Reciprocal Relu Round Selu Sigmoid Sign"
    " Softplus Softsign Sqrt Sub Sum Swish Tanh ThresholdedRelu".split()
)
"""ONNX operators that make each word of their result from the words at the same place of their inputs."""

QUANTISED = frozenset({"QLinearAdd", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid"})
"""Those of ``com.microsoft`` on integers."""

QUANTISING = ("DequantizeLinear", "QuantizeLinear")
"""Those with parameters along an axis, which their attribute names."""


def is_elementwise(op: NodeOp) -> bool:
    """Whether an op may be a step, as far as its operator goes."""
    return op.op in {"": ELEMENTWISE, "com.microsoft": QUANTISED}.get(op.domain, ())


def _steps(graph: Graph) -> Iterator[Violation]:
    for i, op in _fused(graph):
        known = {op.uses[op.nest.output.name].tensor}
        made = {*op.inner, *op.outputs}
        for j, step in enumerate(op.epilogue):
            for found, remedy in _step(step, op, graph, known, made):
                yield Violation(("ops", i, "epilogue", j), found, remedy)
            known.update(step.outputs)


def _step(step: NodeOp, op: NestOp, graph: Graph, known: set[str], made: set[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a step that may read the inner tensors ``known`` of those ``made`` in all."""
    if not is_elementwise(step):
        yield f"{step.op} is not elementwise", "make it an op of its own"
    if step.where != "vector" or step.captures or step.context:
        yield f"step {step.name!r} does not run on the vector unit", "make it an op of its own"
    if len(step.outputs) != 1 or step.outputs[0] not in graph.tensors:
        yield f"step {step.name!r} has the outputs {step.outputs}", "give it one, a tensor of the graph"
        return
    shape = graph.tensors[op.uses[op.nest.output.name].tensor].shape
    if graph.tensors[step.outputs[0]].shape != shape:
        yield f"the result of step {step.name!r} is of another shape than the nest's", "make it an op of its own"
    if not known.intersection(step.inputs):
        yield f"step {step.name!r} reads nothing that is made on the way", "make it an op of its own"
    if wide := next(
        (name for name in step.inputs if name and not fits_step(step, graph.tensors[name].shape, shape)), ""
    ):
        yield f"{wide!r} cannot be broadcast to the shape of the nest's tensor", "make it an op of its own"
    if late := next((name for name in step.inputs if name in made and name not in known), ""):
        yield f"{late!r} is made by a later step", "order the steps"


def fits_step(step: NodeOp, shape: tuple[int, ...] | None, to: tuple[int, ...] | None) -> bool:
    """Whether a step may read a tensor: one that is broadcast, or a scale or zero point for each index of an axis."""
    along = step.op in QUANTISING and shape is not None and len(shape) == 1 and to is not None and shape[0] in to
    return along or _broadcasts(shape, to)


def _broadcasts(shape: tuple[int, ...] | None, to: tuple[int, ...] | None) -> bool:
    """Whether every word of a tensor belongs to words of a larger one."""
    if shape is None or to is None or len(shape) > len(to):
        return False
    return all(size in (1, other) for size, other in zip(reversed(shape), reversed(to)))


def _inner(graph: Graph) -> Iterator[Violation]:
    users = [name for op in graph.ops for name in _outside(op)]
    outside = {*graph.inputs, *graph.outputs, *graph.constants, *users}
    seen: set[str] = set()
    for i, op in _fused(graph):
        for name in op.inner:
            if name in outside or name in seen:
                yield Violation(("ops", i), f"{name!r} is used outside of the epilogue, too", "write it to a tensor")
            seen.add(name)
        written = graph.tensors[op.outputs[0]].words if op.outputs[0] in graph.tensors else 0
        if op.nest.output.words != written:
            yield Violation(("ops", i), f"the nest writes a part of {op.outputs[0]!r} only", "drop the epilogue")
        if sum(op.outputs[0] in other.outputs for other in graph.ops) > 1:
            yield Violation(("ops", i), f"{op.outputs[0]!r} is written by other nests, too", "drop the epilogue")


def _outside(op: NestOp | NodeOp) -> Iterator[str]:
    """The tensors that an op uses, those inside an epilogue left out."""
    yield from (*op.inputs, *op.outputs)
    if isinstance(op, NodeOp):
        yield from op.captures


def _fused(graph: Graph) -> Iterator[tuple[int, NestOp]]:
    return ((i, op) for i, op in enumerate(graph.ops) if isinstance(op, NestOp) and op.epilogue)


EPILOGUE_RULES: tuple[Rule[Graph], ...] = (
    Rule(
        "epilogue-steps",
        "A step is an elementwise op of the vector unit with one output, of the nest's shape.",
        _steps,
    ),
    Rule(
        "epilogue-tensors",
        "What an epilogue makes on the way, its steps alone use; it writes a whole tensor.",
        _inner,
    ),
)
