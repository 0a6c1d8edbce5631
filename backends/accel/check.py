"""What a program must obey before it runs; what breaks it is a fault of the program.

`check_tensors.py` has the tensors and what layers use of them, `check_layer.py` nests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod

from effc.backends.accel.check_layer import check_layer
from effc.backends.accel.check_tensors import KNOWN, is_type, tensor_faults
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import ControlLayer, Layer, NestLayer, Program, Slot
from effc.backends.accel.limits import Limits
from effc.compiler.target.model import Target
from effc.compiler.target.widths import WORDS, Widths
from effc.ir.control_rules import BODIES, DEEPEST, formals, results
from effc.ir.graph import NodeOp
from effc.ir.nest import OUTPUT_NAME


def widths_of(layer: NestLayer, slots: Mapping[str, Slot]) -> Widths:
    """The bits of the elements of a layer, which follow from its tensors."""
    types = {operand.name: slots[operand.tensor].dtype for operand in layer.operands}
    written = next((operand for operand in layer.operands if operand.kind == "write"), None)
    if written is None:
        return WORDS  # a fault, as its operands show
    words = prod(axis.size for axis in written.axes)
    sums = types[written.name] if layer.epilogue is None else layer.epilogue.dtype
    return Widths.of({**types, OUTPUT_NAME: sums}, types[written.name], words)


def check_program(program: Program, target: Target, limits: Limits) -> None:
    """Raise the first fault of a program: of what it is for, of its tensors, of its layers, of their bodies."""
    _check_body(program, target, limits, 0)
    names = Counter(layer.name for layer in every_layer(program))
    if twice := [name for name, count in names.items() if count > 1]:
        raise MachineFault(f"two layers are called {twice[0]}", expected="distinct names")


def every_layer(program: Program) -> Iterator[Layer]:
    """The layers of a program, those of bodies behind the layer that they belong to."""
    for layer in program.layers:
        yield layer
        for body in layer.bodies if isinstance(layer, ControlLayer) else ():
            yield from every_layer(body)


def nodes_of(layer: Layer) -> tuple[NodeOp, ...]:
    """The ONNX nodes of a layer: itself, or the steps of its epilogue."""
    if isinstance(layer, NestLayer):
        return () if layer.epilogue is None else layer.epilogue.steps
    return (layer.node,)


def _check_body(program: Program, target: Target, limits: Limits, depth: int) -> None:
    if (program.target, program.word_bits) != (target.name, target.word_bits):
        raise MachineFault(
            f"the program is for {program.target}, {program.word_bits} bit",
            expected=f"a program for {target.name}, {target.word_bits} bit",
        )
    for fault in tensor_faults(program, limits):
        fault.level = target.levels[0].name
        raise fault
    slots = {slot.name: slot for slot in program.slots}
    for layer in program.layers:
        for node in nodes_of(layer):
            if not 0 <= node.version < 2**31:
                raise MachineFault(
                    f"version {node.version} of {node.op}", layer.name, expected="one of its operator set"
                )
        if isinstance(layer, NestLayer):
            if layer.epilogue is not None and not is_type(layer.epilogue.dtype):
                raise MachineFault(f"sums of {layer.epilogue.dtype}", layer.name, expected=KNOWN)
            check_layer(layer, target.with_widths(widths_of(layer, slots)), limits)
            for step in nodes_of(layer):
                check_vector(layer.name, step.op, target)
        elif isinstance(layer, ControlLayer):
            _check_control(layer, depth)
            for body in layer.bodies:
                _check_body(body, target, limits, depth + 1)
        elif layer.node.where == "vector":
            check_vector(layer.name, layer.node.op, target)


def _check_control(layer: ControlLayer, depth: int) -> None:
    """Raise a fault unless the bodies of a layer take and give what its node says."""
    node = layer.node
    if depth >= DEEPEST:
        raise MachineFault("it stands too deep in bodies", layer.name, expected=f"up to {DEEPEST} in each other")
    if node.where != "host" or node.domain or BODIES.get(node.op) != len(layer.bodies):
        raise MachineFault(f"{node.op} with {len(layer.bodies)} bodies", layer.name, expected="an If, a Loop or a Scan")
    for body in layer.bodies:
        given, captured = body.inputs[: formals(node)], body.inputs[formals(node) :]
        if len(given) < formals(node) or len(body.outputs) != results(node) or set(captured) - set(node.captures):
            raise MachineFault(
                f"a body takes {len(body.inputs)} values and gives {len(body.outputs)}",
                layer.name,
                expected=f"{formals(node)} values and what the node captures; {results(node)} results",
            )


def check_vector(name: str, op: str, target: Target) -> None:
    if target.vector is None:
        raise MachineFault(f"{target.name} has no vector unit", name, expected="a layer on the host")
    if not target.vector.takes(op):
        known = ", ".join(target.vector.ops)
        raise MachineFault(f"the vector unit has no {op}", name, expected=f"one of {known}")
