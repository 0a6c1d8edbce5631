"""What a nest layer must obey before it runs; what breaks it is a fault. `check_code.py` has its regions and code."""

from __future__ import annotations

from effc.backends.accel.assembler import instruction_text
from effc.backends.accel.check_code import Faults, code_faults, region_faults
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import LoopDigit, MeshDigit, NestLayer, OperandSetting
from effc.backends.accel.limits import Limits, over_limits, over_size
from effc.compiler.target.model import Target
from effc.ir.epilogue_rules import is_elementwise


def check_layer(layer: NestLayer, target: Target, limits: Limits) -> None:
    """Raise the first fault of a layer."""
    for fault in _faults(layer, target, limits):
        fault.layer = layer.name
        if fault.pc >= 0:
            fault.instruction = instruction_text(layer.code[fault.pc])
        raise fault


def _faults(layer: NestLayer, target: Target, limits: Limits) -> Faults:
    yield from over_size(layer)
    yield from _dims(layer, target)
    yield from _operands(layer)
    yield from _mesh(layer, target)
    yield from _registers(layer)
    yield from region_faults(layer, target)
    yield from code_faults(layer, target)
    yield from _epilogue(layer)
    yield from over_limits(layer, target, limits)


def _epilogue(layer: NestLayer) -> Faults:
    """Steps are elementwise, have one result, and read the sums or what a step before them made."""
    if layer.epilogue is None:
        return
    known = {layer.epilogue.tensor}
    made = {name for step in layer.epilogue.steps for name in step.outputs}
    for step in layer.epilogue.steps:
        if not is_elementwise(step) or step.captures or step.context:
            yield MachineFault(f"step {step.name} is a {step.op}", expected="an elementwise operator")
        if len(step.outputs) != 1 or not step.outputs[0] or step.outputs[0] in known:
            yield MachineFault(f"step {step.name} gives {list(step.outputs)}", expected="a tensor of its own")
        if not known.intersection(step.inputs) or (made - known).intersection(step.inputs):
            yield MachineFault(
                f"step {step.name} reads {', '.join(step.inputs)}",
                expected="the sums, or what a step before it makes",
            )
        known.update(step.outputs)


def _dims(layer: NestLayer, target: Target) -> Faults:
    axes = {(target.levels[i].name, axis.name) for i, axis in target.axes()}
    names = [dim.name for dim in layer.dims]
    if len(set(names)) < len(names):
        yield MachineFault("two dims have one name", expected="distinct names")
    for dim in layer.dims:
        extent = dim.bound
        for digit in dim.digits:
            if not 1 <= digit.step <= extent:
                yield MachineFault(
                    f"dim {dim.name}: step {digit.step} in a range of {extent}", expected="1 <= step <= range"
                )
            elif isinstance(digit, MeshDigit) and (digit.level, digit.axis) not in axes:
                yield MachineFault(
                    f"dim {dim.name}: there is no axis {digit.level}.{digit.axis}",
                    level=digit.level,
                    expected="an axis",
                )
            extent = digit.step
        if extent != 1 or dim.bound < 1:
            yield MachineFault(f"dim {dim.name}: the innermost digit has step {extent}", expected="step 1")


def _registers(layer: NestLayer) -> Faults:
    registers: list[int] = []
    for dim in layer.dims:
        own = [digit.register for digit in dim.digits if isinstance(digit, LoopDigit)]
        if own != sorted(set(own)):
            yield MachineFault(
                f"dim {dim.name}: its registers are not in order", expected="registers from the outermost in"
            )
        registers += own
    if sorted(registers) != list(range(len(registers))):
        yield MachineFault("a register counts no dim, or two", expected=f"t0 .. t{len(registers) - 1}, one dim each")


def _operands(layer: NestLayer) -> Faults:
    bounds = {dim.name: dim.bound for dim in layer.dims}
    kinds = [operand.kind for operand in layer.operands]
    names = [operand.name for operand in layer.operands]
    if kinds.count("read") not in (1, 2) or kinds.count("write") != 1 or kinds.count("bias") > 1:
        yield MachineFault("operands: " + ", ".join(kinds), expected="one or two reads, one write, at most one bias")
    if len(set(names)) < len(names):
        yield MachineFault("two operands have one name", expected="distinct names")
    for operand in layer.operands:
        used = [name for axis in operand.axes for name in axis.dims]
        if (
            len(set(used)) < len(used)
            or not bounds.keys() >= set(used)
            or any(coefficient < 1 for axis in operand.axes for coefficient, _ in axis.terms)
        ):
            yield MachineFault(
                f"operand {operand.name}: its axes are malformed",
                expected="every dim in one axis at most, times a positive number",
            )
        if operand.kind != "read":
            yield from _plain(operand, bounds)
    written = {name for o in layer.operands if o.kind == "write" for axis in o.axes for name in axis.dims}
    for operand in layer.operands:
        if operand.kind == "bias" and not written.issuperset(name for axis in operand.axes for name in axis.dims):
            yield MachineFault(f"operand {operand.name} has a dim of its own", expected="dims of the output")


def _plain(operand: OperandSetting, bounds: dict[str, int]) -> Faults:
    """An output or bias has no padding, and a word of it one index in each dim."""
    for axis in operand.axes:
        last = axis.offset + sum(coefficient * (bounds[name] - 1) for coefficient, name in axis.terms)
        if len(axis.terms) > 1 or axis.offset < 0 or last >= axis.size:
            yield MachineFault(
                f"operand {operand.name}: an axis of {len(axis.terms)} dims runs from {axis.offset} to {last}",
                expected=f"one dim at most, within 0 to {axis.size - 1}",
            )


def _mesh(layer: NestLayer, target: Target) -> Faults:
    """Instances: no two on one place, none beside the mesh, sums only where the mesh adds."""
    written = {name for o in layer.operands if o.kind == "write" for axis in o.axes for name in axis.dims}
    for position, axis in target.axes():
        level, span = target.levels[position].name, 1
        found: list[tuple[int, int, str]] = []
        for dim in layer.dims:
            extent = dim.bound
            for digit in dim.digits:
                if isinstance(digit, MeshDigit) and (digit.level, digit.axis) == (level, axis.name):
                    found.append((digit.stride, -(-extent // digit.step), dim.name))
                extent = digit.step
        for stride, trips, name in sorted(found):
            if trips > 1 and stride < span:
                yield MachineFault(
                    f"dim {name} puts instances {stride} apart on axis {axis.name}",
                    level=level,
                    expected=f"at least {span}: no two on one place",
                )
            if trips > 1 and name not in written and not axis.reduce:
                yield MachineFault(
                    f"dim {name} is summed along axis {axis.name}", level=level, expected="an axis that reduces"
                )
            span += stride * (trips - 1)
        if span > axis.size:
            names = ", ".join(name for _, _, name in found)
            yield MachineFault(
                f"dim {names} needs more instances than there are", level=level, expected=f"{axis.size} at most"
            )
