"""What the tensors of a program, and what its layers use of them, must obey before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from effc.backends.accel.boxes import Box
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import Layer, NestLayer, OperandSetting, Program, Slot
from effc.backends.accel.limits import Limits
from effc.ir.types import integer_bits

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Types of floating point, whose elements are words of the target."""

KNOWN = f"{', '.join(FLOATS)} or a type of integers"


def is_type(dtype: str) -> bool:
    """Whether words in DRAM may have a type."""
    return dtype in FLOATS or integer_bits(dtype) is not None


def tensor_faults(program: Program, limits: Limits) -> Iterator[MachineFault]:
    slots = {slot.name: slot for slot in program.slots}
    if len(slots) < len(program.slots):
        yield MachineFault("two slots have one name", expected="distinct names")
    for slot in program.slots:
        yield from _slot(slot, program)
    end = max((_end(slot) for slot in program.slots if slot.address is not None), default=0)
    if program.dram_words != end or end > limits.words:
        yield MachineFault(
            f"{program.dram_words} words of DRAM",
            expected=f"{end}, where the last tensor ends, and {limits.words} at most",
        )
    yield from _overlaps([slot for slot in program.slots if slot.address is not None and not slot.within])
    for slot in program.slots:
        if slot.within:
            yield from _part(slot, slots.get(slot.within), limits)
    if len({layer.name for layer in program.layers}) < len(program.layers):
        yield MachineFault("two layers have one name", expected="distinct names")
    for number, layer in enumerate(program.layers):
        for fault in _uses(layer, number, slots, limits):
            fault.layer = layer.name
            yield fault
    for name in (*program.inputs, *program.outputs):
        if name not in slots:
            yield MachineFault(f"the program has no tensor {name}", expected="a tensor that has a slot")


def _slot(slot: Slot, program: Program) -> Iterator[MachineFault]:
    if not -1 <= slot.first <= slot.last <= len(program.layers):
        yield MachineFault(
            f"slot {slot.name} lives from layer {slot.first} to {slot.last}",
            expected=f"-1 <= first <= last <= {len(program.layers)}",
        )
    if slot.address is None:
        return
    if slot.shape is None or min(slot.shape, default=0) < 0:
        yield MachineFault(
            f"slot {slot.name} is in DRAM without a shape", expected="a known shape, or a place with the host"
        )
    elif slot.address < 0 or _end(slot) > program.dram_words:
        yield MachineFault(f"slot {slot.name} does not fit", expected=f"{program.dram_words} words at most")
    elif not is_type(slot.dtype):
        yield MachineFault(f"slot {slot.name} in DRAM is of {slot.dtype}", expected=KNOWN)


def _part(slot: Slot, whole: Slot | None, limits: Limits) -> Iterator[MachineFault]:
    """Whether a part lies in its tensor, as long as that lives."""
    if whole is None or whole.within or whole.address is None or whole.dtype != slot.dtype or slot.address is None:
        yield MachineFault(f"slot {slot.name} lies in {slot.within}", expected="a tensor in DRAM of the same type")
    elif len(slot.strides) != len(slot.shape or ()):
        yield MachineFault(f"slot {slot.name} has the strides {slot.strides}", expected="one per axis")
    elif not (whole.address <= _start(slot) <= _end(slot) <= _end(whole)):
        yield MachineFault(f"slot {slot.name} lies outside of {whole.name}", expected="a place in it")
    elif not _apart(list(slot.shape or ()), slot.strides, limits):
        yield MachineFault(f"slot {slot.name} has the strides {slot.strides}", expected="words apart")
    elif not whole.first <= slot.first <= slot.last <= whole.last:
        yield MachineFault(
            f"slot {slot.name} lives from layer {slot.first} to {slot.last}",
            expected=f"{whole.first} to {whole.last}, as {whole.name} does",
        )


def _reach(slot: Slot) -> tuple[int, int]:
    """The first and the last address of a tensor, relative to its own."""
    if not slot.within:
        return 0, prod(slot.shape or ()) - 1
    steps = [stride * (size - 1) for size, stride in zip(slot.shape or (), slot.strides)]
    return sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)


def _start(slot: Slot) -> int:
    assert slot.address is not None
    return slot.address + _reach(slot)[0]


def _end(slot: Slot) -> int:
    assert slot.address is not None
    return slot.address + _reach(slot)[1] + 1


def _overlaps(slots: list[Slot]) -> Iterator[MachineFault]:
    """Tensors that share words while both hold values."""
    alive: list[Slot] = []
    for slot in sorted(slots, key=lambda slot: (slot.address or 0, _end(slot))):
        alive = [other for other in alive if _end(other) > (slot.address or 0)]
        for other in alive:
            if slot.first <= other.last and other.first <= slot.last and _end(slot) > (slot.address or 0):
                yield MachineFault(
                    f"slots {other.name} and {slot.name} share words", expected="tensors apart while both hold values"
                )
        alive.append(slot)


def _uses(layer: Layer, number: int, slots: dict[str, Slot], limits: Limits) -> Iterator[MachineFault]:
    """What is wrong with the tensors that a layer names."""
    if isinstance(layer, NestLayer):
        names = [operand.tensor for operand in layer.operands]
        names += [operand.zero.tensor for operand in layer.operands if operand.zero is not None]
        names += layer.epilogue.inputs if layer.epilogue is not None else ()
    else:
        node = layer.node
        names = [name for name in (*node.inputs, *node.outputs, *node.captures) if name]
    for name in names:
        if name not in slots:
            yield MachineFault(f"layer {layer.name} uses {name}", expected="a tensor that has a slot")
        elif not slots[name].first <= number <= slots[name].last:
            yield MachineFault(
                f"layer {layer.name} uses {name}",
                expected=f"a tensor that lives at layer {number}, not {slots[name].first} to {slots[name].last}",
            )
    if isinstance(layer, NestLayer):
        for operand in layer.operands:
            yield from _in_dram(layer, operand, slots[operand.tensor], limits)
            if operand.zero is not None:
                yield from _zero(operand, slots[operand.zero.tensor])
        if layer.epilogue is not None:
            yield from _whole(layer, slots)


def _whole(layer: NestLayer, slots: dict[str, Slot]) -> Iterator[MachineFault]:
    """Whether a layer with an epilogue writes a whole tensor: its last result."""
    assert layer.epilogue is not None
    written = next((operand for operand in layer.operands if operand.kind == "write"), None)
    if written is None:
        return  # a fault, as its operands show
    if prod(axis.size for axis in written.axes) != prod(slots[written.tensor].shape or ()):
        yield MachineFault(
            f"layer {layer.name} has an epilogue and writes a part of {written.tensor}", expected="a whole tensor"
        )
    made = [step.outputs for step in layer.epilogue.steps]
    if made[-1:] != [(written.tensor,)]:
        yield MachineFault(
            f"the epilogue of layer {layer.name} does not end in {written.tensor}",
            expected="a last step that gives what the layer writes",
        )


def _in_dram(layer: NestLayer, operand: OperandSetting, slot: Slot, limits: Limits) -> Iterator[MachineFault]:
    """Whether an operand lies within its tensor, and an output lies there only once."""
    if slot.address is None:
        yield MachineFault(f"layer {layer.name} uses {operand.tensor}", expected="a tensor in DRAM")
        return
    if min((axis.size for axis in operand.axes), default=1) < 1 or len(operand.axes) != len(operand.strides):
        yield MachineFault(f"operand {operand.name}: its axes are malformed", expected="sizes of at least 1")
        return
    sizes = [axis.size for axis in operand.axes]
    steps = [stride * (size - 1) for size, stride in zip(sizes, operand.strides)]
    first, last = operand.base + sum(s for s in steps if s < 0), operand.base + sum(s for s in steps if s > 0)
    if first < _start(slot) or last >= _end(slot) or (slot.within and not _inside(operand, sizes, slot, limits)):
        yield MachineFault(
            f"operand {operand.name} of layer {layer.name} lies at {first} to {last}",
            expected=f"{_start(slot)} to {_end(slot) - 1}, the words of {slot.name}",
        )
    elif operand.kind == "write" and not _apart(sizes, operand.strides, limits):
        yield MachineFault(
            f"words of operand {operand.name} of layer {layer.name} share an address", expected="one address each"
        )
    elif operand.kind == "write" and slot.constant:
        yield MachineFault(f"layer {layer.name} writes {slot.name}", expected="a tensor that is no constant")


def _zero(operand: OperandSetting, slot: Slot) -> Iterator[MachineFault]:
    """Whether a zero point lies within its tensor."""
    assert operand.zero is not None
    if slot.address is None or len(operand.zero.strides) != len(operand.axes) or operand.kind == "write":
        yield MachineFault(f"the zero point of {operand.name} is malformed", expected="a stride for each axis")
        return
    steps = [stride * (axis.size - 1) for stride, axis in zip(operand.zero.strides, operand.axes)]
    first = operand.zero.base + sum(step for step in steps if step < 0)
    last = operand.zero.base + sum(step for step in steps if step > 0)
    if first < _start(slot) or last >= _end(slot):
        yield MachineFault(
            f"the zero point of {operand.name} lies at {first} to {last}",
            expected=f"{_start(slot)} to {_end(slot) - 1}, the words of {slot.name}",
        )


def _inside(operand: OperandSetting, sizes: list[int], slot: Slot, limits: Limits) -> bool:
    """Whether an operand has words of a part only, and none between them; what would take a large table has not."""
    assert slot.address is not None
    sizes = [size if stride else 1 for size, stride in zip(sizes, operand.strides)]
    if prod(sizes) > limits.table:
        return False
    words = Box(operand.base, tuple(sizes), operand.strides).list()
    return bool(np.isin(words, Box(slot.address, slot.shape or (), slot.strides).list()).all())


def _apart(sizes: list[int], strides: tuple[int, ...], limits: Limits) -> bool:
    """Whether words have an address each, and it takes no large table to see that."""
    if Box(0, tuple(sizes), strides).distinct:
        return True
    reach = sum(abs(stride) * (size - 1) for size, stride in zip(sizes, strides))
    if prod(sizes) > min(reach + 1, limits.table):
        return False
    addresses = Box(0, tuple(sizes), strides).list()
    return np.unique(addresses).size == addresses.size
