"""The clock of a layer of a program, whose tensors say how wide elements are and what an epilogue reads."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod

from effc.backends.accel.check import widths_of
from effc.backends.accel.isa import ControlLayer, NestLayer, Program, Slot
from effc.backends.accel.timing import Clock, Timing
from effc.backends.accel.trace import Recorder
from effc.compiler.target.model import Target


def clock_of(
    layer: NestLayer,
    slots: Mapping[str, Slot],
    target: Target,
    recorder: Recorder | None = None,
    work: Fraction = Fraction(1),
) -> Clock:
    """The clock of a layer on the array. ``work``: the share of the MACs that are done, where others are skipped."""
    return Clock(layer, target.with_widths(widths_of(layer, slots)), recorder, work, _others(layer, slots, target))


def _others(layer: NestLayer, slots: Mapping[str, Slot], target: Target) -> tuple[tuple[int, Fraction], ...]:
    """Of the tensors that the epilogue of a layer reads, the elements, and the bits of each."""
    named = () if layer.epilogue is None else layer.epilogue.inputs
    read = [slots[name] for name in named if slots[name].address is not None]
    return tuple((prod(slot.shape or ()), target.stored_bits(slot.dtype)) for slot in read)


def timings(program: Program, target: Target) -> dict[str, Timing]:
    """The time of one run of every layer on the array, by its name, whatever its data.

    Equal layers are followed once; those of bodies are here, too.
    """
    slots = {slot.name: slot for slot in program.slots}
    known: dict[object, Timing] = {}
    found = {}
    for layer in program.layers:
        if isinstance(layer, NestLayer):
            operands = tuple((operand.name, operand.kind, operand.axes) for operand in layer.operands)
            steps = 0 if layer.epilogue is None else len(layer.epilogue.steps)
            settings = layer.dims, operands, layer.regions, layer.code, steps
            key = settings, widths_of(layer, slots), _others(layer, slots, target)
            if key not in known:
                known[key] = clock_of(layer, slots, target).run()
            found[layer.name] = known[key]
        elif isinstance(layer, ControlLayer):
            for body in layer.bodies:
                found |= timings(body, target)
    return found
