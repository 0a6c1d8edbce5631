"""The instruction set: what a program is. ``docs/isa.md`` is the manual, ``assembler.py`` the text form.

A program is a list of layers over one DRAM. A *nest layer* configures the address generators (dims, operands, regions)
and then runs code whose meaning follows from the hardware loops around it: an instruction works on the tile that the
running loop registers select; a register that does not run is a free counter of the address generators.

Addresses in DRAM and sizes are in elements, wherever these take one word each or not; places in other memories in bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from effc.ir.graph import NodeOp
from effc.ir.nest import Axis

VERSION = 4
"""Of the instruction set; a program names the version that it is written for."""

MAX_BUFFERS = 4
"""Of a region: one for a tile that arrives, one in use, one that leaves, one in hand."""


def other_version(version: int) -> tuple[str, str, str]:
    """What is wrong with a program of another version of the instruction set, what is expected, and what to do."""
    older = version < VERSION
    return (
        f"the program is for version {version} of the instruction set, {'an older' if older else 'a newer'} one",
        f"version {VERSION}",
        "compile the model again" if older else "use the effc that wrote it",
    )


@dataclass(frozen=True, slots=True)
class LoopDigit:
    """A digit of a dim that loop register ``register`` counts; a step of the register is ``step`` indices."""

    register: int
    step: int


@dataclass(frozen=True, slots=True)
class MeshDigit:
    """A digit of a dim that is the place of an instance on an axis of the mesh below ``level``, ``stride`` apart."""

    level: str
    axis: str
    stride: int
    step: int


@dataclass(frozen=True, slots=True)
class DimSetting:
    """A dim: its bound, and its digits from the outermost in; the last one has step 1."""

    name: str
    bound: int
    digits: tuple[LoopDigit | MeshDigit, ...]


@dataclass(frozen=True, slots=True)
class ZeroSetting:
    """The zero point of an operand of integers: at ``base + sum(stride * index)`` for the word of the same index."""

    tensor: str
    base: int
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OperandSetting:
    """An operand: its index map, and where it lies in DRAM: word ``base + sum(stride * index)``; its zero point."""

    name: str
    kind: Literal["read", "bias", "write"]
    axes: tuple[Axis, ...]
    tensor: str
    base: int
    strides: tuple[int, ...]
    zero: ZeroSetting | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """The part of a memory, from bit ``base`` on, that holds the tile of an operand, in every instance of a level.

    The registers ``t0 .. t(loops-1)`` select the tile; of those, the last ``window`` ones slide it: words that stay
    keep their addresses. ``extents`` are the words along each axis of the operand, the last axis packed densest.
    ``buffers``: how many tiles may be on their way or in use at a time, 1 where nothing overlaps.
    """

    level: str
    operand: str
    base: int
    extents: tuple[int, ...]
    loops: int
    window: int = 0
    buffers: int = 1


@dataclass(frozen=True, slots=True)
class Loop:
    """Run the code up to the matching ``end`` once for each value of a register."""

    register: int
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class End:
    """The end of the innermost loop."""

    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Fill:
    """Move tiles of an operand from ``parent`` to every busy instance of ``level``; a sweep moves only what is new."""

    operand: str
    level: str
    parent: str
    sweep: bool = False
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Open:
    """Start tiles of partial sums at ``level``: from what ``parent`` holds, the rest from zero."""

    operand: str
    level: str
    parent: str
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Drain:
    """Send the tiles of partial sums at ``level`` to ``parent``, those that share a word added up."""

    operand: str
    level: str
    parent: str
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Take:
    """Whoever uses the tile of an operand at ``level`` waits until it is complete: takes its token."""

    operand: str
    level: str
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Give:
    """Whoever uses the tile is done: gives the token back, to the next fill or, of partial sums, to the drain."""

    operand: str
    level: str
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Mac:
    """One array pass: multiply and accumulate over every loop register that does not run, on every busy lane."""

    note: str = field(default="", compare=False)


Instruction = Loop | End | Fill | Open | Drain | Take | Give | Mac
Move = Fill | Open | Drain
Token = Take | Give


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What the vector unit does to finished words on their way to the outermost level.

    The steps are elementwise ONNX nodes. ``tensor`` is what they call the sums, ``dtype`` the type of these; the result
    of the last step is the tensor that the layer writes.
    """

    tensor: str
    dtype: str
    steps: tuple[NodeOp, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that the steps read from outside, each once."""
        made = {self.tensor, *(name for step in self.steps for name in step.outputs)}
        return tuple(dict.fromkeys(name for step in self.steps for name in step.inputs if name and name not in made))


@dataclass(frozen=True, slots=True)
class NestLayer:
    """A layer on the array. ``origin`` is the ONNX node that it came from, ``op`` that node's operator."""

    name: str
    op: str
    origin: str
    dims: tuple[DimSetting, ...]
    operands: tuple[OperandSetting, ...]
    regions: tuple[Region, ...]
    code: tuple[Instruction, ...]
    epilogue: Epilogue | None = None


@dataclass(frozen=True, slots=True)
class NodeLayer:
    """A layer on the vector unit or on the host: an ONNX node."""

    node: NodeOp

    @property
    def name(self) -> str:
        return self.node.name


@dataclass(frozen=True, slots=True)
class ControlLayer:
    """An ``If``, ``Loop`` or ``Scan``: a node on the host, which runs the programs of its bodies.

    Each has a DRAM of its own; the host hands values on. The inputs of a body are those that ONNX gives it, then what
    it captures, by name.
    """

    node: NodeOp
    bodies: tuple[Program, ...]

    @property
    def name(self) -> str:
        return self.node.name


Layer = NestLayer | NodeLayer | ControlLayer


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor lives: at a DRAM address, or with the host (None).

    ``dtype`` and ``shape`` are those of the model; ``constant`` tensors are loaded before the first layer. ``first``
    and ``last`` are the layers between which the words belong to the tensor, -1 and the number of layers if for good.
    A part lies ``within`` another tensor, with these ``strides``; any other tensor is row-major.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    address: int | None
    constant: bool
    first: int
    last: int
    within: str = ""
    strides: tuple[int, ...] = ()


@dataclass(frozen=True)
class Program:
    """A model as the machine runs it."""

    name: str
    target: str
    word_bits: int
    dram_words: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    slots: tuple[Slot, ...]
    layers: tuple[Layer, ...]
