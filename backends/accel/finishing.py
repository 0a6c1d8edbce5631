"""What the epilogue of a layer asks of ports, in cycle mode."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import prod

from effc.backends.accel.demands import Use
from effc.backends.accel.isa import NestLayer
from effc.backends.accel.ports import Port, Ports


class Finishing:
    """``uses`` are the ports that every finished word passes on its way to the outermost level: the vector unit, and
    the port to read what belongs to that word alone of ``others``: for each tensor that the epilogue reads its elements
    and their bits. ``before`` is the port that smaller tensors pass before all else, and for how many ticks.
    ``narrowed`` is the port that finished words are written through in fewer ticks, and how many fewer.
    """

    def __init__(self, layer: NestLayer, ports: Ports, others: Iterable[tuple[int, Fraction]]) -> None:
        self.uses: list[Use] = []
        self.before: tuple[str, int] | None = None
        self.narrowed = ports.narrowed()
        if layer.epilogue is None:
            return
        self.uses.append(Use(ports.steps(len(layer.epilogue.steps)), 0))
        finished = prod(axis.size for operand in layer.operands if operand.kind == "write" for axis in operand.axes)
        name, each, before = "", 0, 0
        for elements, bits in others:
            if port := ports.others(bits):
                name = port.name
                each += port.ticks * (elements == finished)
                before += port.ticks * elements * (elements != finished)
        if each:
            self.uses.append(Use(Port(name, each), 0))
        if before:
            self.before = name, before
