"""Wrong programs stop the machine, which says where and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from effc.backends.accel.emit import emit
from effc.backends.accel.faults import MachineFault
from effc.backends.accel.isa import (
    DimSetting,
    Drain,
    End,
    Fill,
    Give,
    Instruction,
    Loop,
    LoopDigit,
    Mac,
    MeshDigit,
    NestLayer,
    Open,
    Program,
    Region,
    Take,
)
from effc.backends.accel.machine import Machine, graph_of
from effc.compiler.target.model import Bank, FanOut, Level, MeshAxis, Target
from effc.compiler.target.model import Mac as MacUnit
from effc.ir import nests
from effc.ir.schedule import For, Keep, Par, Schedule

NEST = nests.conv1d(1, 4, 2, p=6, r=3)
ARRAYS = {name: np.ones(NEST.operands[name].shape, np.float32) for name in "IW"}
SCHEDULE = Schedule(
    (
        Keep("I", "GLB"),
        Keep("O", "GLB"),
        For("K", 2),
        Par("K", 1, "GLB", "x"),
        Keep("W", "spad"),
        For("P", 1),
        Keep("I", "spad"),
        Keep("O", "spad"),
        For("C", 1),
        For("R", 1),
    )
)


def bank(words: int | None) -> Bank:
    return Bank((), ("I", "W", "O", "B"), None if words is None else 16 * words, Fraction(1), Fraction(1))


def target(glb: int | None = None, spad: int | None = None, **habits: Any) -> Target:
    mesh = FanOut("PE", (MeshAxis("x", 2),))
    levels = (
        Level("DRAM", (bank(None),)),
        Level("GLB", (bank(glb),), fanout=mesh, **habits),
        Level("spad", (bank(spad),), sliding=True),
    )
    return Target("small", 16, Fraction(100), levels, MacUnit(Fraction(1)))


def program() -> Program:
    return emit(graph_of(NEST, SCHEDULE, ARRAYS), target())


def layer() -> NestLayer:
    (only,) = program().layers
    assert isinstance(only, NestLayer)
    return only


def fault(mutant: NestLayer, machine: Target | None = None, exact: bool = False) -> MachineFault:
    with pytest.raises(MachineFault) as caught:
        Machine(machine or target(), exact=exact).run(replace(program(), layers=(mutant,)), {}, ARRAYS)
    return caught.value


def test_the_layer_itself_is_right() -> None:
    result = Machine(target(16 + 24, 6 + 6 + 1)).run(program(), {}, ARRAYS)
    assert (result.outputs["O"] == 6).all()


def test_banks_overflow() -> None:
    assert "the regions need 640 bits" in str(fault(layer(), target(glb=39)))
    assert "the regions need 208 bits" in str(fault(layer(), target(spad=12)))
    halved = fault(layer(), target(glb=79, double_buffered=True))
    assert "632 bits at most" in str(halved)
    assert halved.level == "GLB"


def test_a_fault_says_where_and_why() -> None:
    found = fault(with_code(lambda code: code.pop(index(Take, 2))), exact=True)
    assert str(found).splitlines() == [
        "fault: W is full, not taken",
        "  layer:       conv1d",
        f"  instruction: {index(Mac) - 1}: mac",
        "  loops:       t0 = 0, t1 = 0",
        "  level:       spad",
        "  expected:    a take before it",
    ]


def test_a_word_that_was_never_written() -> None:
    made = program()
    slots = tuple(replace(slot, constant=False) if slot.name == "W" else slot for slot in made.slots)
    with pytest.raises(MachineFault, match="word 16 was never written") as caught:
        Machine(target()).run(replace(made, slots=slots), {}, ARRAYS)
    assert (caught.value.level, caught.value.instruction) == ("DRAM", "fill W spad from DRAM")
    assert caught.value.loops == {"t0": 0}


def with_code(change: Callable[[list[Instruction]], Any]) -> NestLayer:
    code = list(layer().code)
    change(code)
    return replace(layer(), code=tuple(code))


def index(wanted: type[Instruction], number: int = 0) -> int:  # type: ignore[valid-type]
    return [pc for pc, i in enumerate(layer().code) if isinstance(i, wanted)][number]


CODE: list[tuple[str, Callable[[list[Instruction]], Any]]] = [
    ("loops nest in order", lambda code: code.__setitem__(index(Loop), Loop(1))),
    ("loops nest in order", lambda code: code.__setitem__(index(Mac), Loop(9))),
    ("a loop has no end", lambda code: code.append(Loop(0))),
    ("it stands inside 2 loops", lambda code: code.pop(index(End))),
    ("end without loop", lambda code: code.append(End())),
    ("mac inside 0 loops", lambda code: code.append(Mac())),
    ("it stands inside 0 loops", lambda code: code.insert(0, code[index(Fill, 2)])),
    ("W has no region there", lambda code: code.append(Fill("W", "GLB", "DRAM"))),
    ("W has no region there", lambda code: code.insert(index(Mac), Fill("W", "spad", "GLB"))),
    ("the parent is no outer level", lambda code: code.append(Fill("I", "GLB", "spad"))),
    ("O is a write operand", lambda code: code.append(Fill("O", "GLB", "DRAM"))),
    ("I is a read operand", lambda code: code.append(Drain("I", "GLB", "DRAM"))),
    ("a sweep of a region that does not slide", lambda code: code.append(Fill("I", "GLB", "DRAM", True))),
    ("deadlock: O is taken", lambda code: code.insert(index(Mac), code[index(Open, 1)])),
    ("deadlock: O is free", lambda code: code.pop(index(Open, 1))),
    ("deadlock: W is free", lambda code: code.pop(index(Fill, 1))),
    ("deadlock: W is taken", lambda code: code.pop(index(Give, 2))),
    ("deadlock: I is taken", lambda code: code.pop(index(Give, 1))),
    ("W is full, not taken", lambda code: code.pop(index(Take, 2))),
    ("O is full, not taken", lambda code: code.pop(index(Take, 4))),
    ("I is free, not taken", lambda code: code.insert(index(Mac), Give("I", "spad"))),
    ("deadlock: I is taken", lambda code: code.insert(index(Mac), Take("I", "spad"))),
    ("it stands inside 0 loops", lambda code: code.insert(0, Take("I", "spad"))),
    ("W has no region there", lambda code: code.append(Give("W", "GLB"))),
    ("I is taken at the end: it was never given back", lambda code: code.pop()),
    ("O is done at the end: it was never drained", lambda code: code.pop(index(Drain, 1))),
    ("O was opened from GLB", lambda code: code.__setitem__(index(Drain), Drain("O", "spad", "DRAM"))),
    ("X has no region there", lambda code: code.append(Fill("X", "GLB", "DRAM"))),
    ("deadlock: O is free", lambda code: code.append(Drain("O", "GLB", "DRAM"))),
]


@pytest.mark.parametrize(("message", "change"), CODE)
def test_wrong_code(message: str, change: Callable[[list[Instruction]], Any]) -> None:
    found = fault(with_code(change))
    assert message in str(found)
    assert found.layer == "conv1d"


def with_region(operand: str, level: str, **changes: Any) -> NestLayer:
    regions = [replace(r, **changes) if (r.operand, r.level) == (operand, level) else r for r in layer().regions]
    return replace(layer(), regions=tuple(regions))


def with_dim(name: str, *digits: LoopDigit | MeshDigit) -> NestLayer:
    dims = [DimSetting(name, d.bound, digits) if d.name == name else d for d in layer().dims]
    return replace(layer(), dims=tuple(dims))


SETTINGS: list[tuple[str, NestLayer]] = [
    ("region of I at spad: 2 buffers", with_region("I", "spad", buffers=2)),
    ("overlaps another one", with_region("O", "GLB", base=3)),
    ("has 2 words along axis 1", with_region("I", "spad", extents=(1, 1, 3))),
    ("extents [2, 3]", with_region("I", "spad", extents=(2, 3))),
    ("loops 9 window 0", with_region("I", "spad", loops=9, window=0)),
    ("loops 2 window 3", with_region("I", "spad", window=3)),
    ("slides along K, P", with_region("I", "spad", window=2)),
    ("no such place or operand", replace(layer(), regions=(*layer().regions, Region("L9", "I", 0, (1, 1, 1), 0)))),
    ("given twice", replace(layer(), regions=(*layer().regions, layer().regions[0]))),
    ("step 9 in a range of 6", with_dim("P", LoopDigit(1, 9), LoopDigit(4, 1))),
    ("the innermost digit has step 2", with_dim("P", LoopDigit(1, 2))),
    ("there is no axis GLB.z", with_dim("P", MeshDigit("GLB", "z", 1, 1))),
    ("needs more instances than there are", with_dim("P", MeshDigit("GLB", "x", 2, 1))),
    ("puts instances 1 apart on axis x", with_dim("P", MeshDigit("GLB", "x", 1, 1))),
    ("its registers are not in order", with_dim("P", LoopDigit(5, 2), LoopDigit(1, 1))),
    ("a register counts no dim, or two", with_dim("P", LoopDigit(0, 1))),
    ("one or two reads, one write", replace(layer(), operands=layer().operands[2:])),
    ("two operands have one name", replace(layer(), operands=(*layer().operands[1:], layer().operands[1]))),
]


@pytest.mark.parametrize(("message", "mutant"), SETTINGS)
def test_wrong_settings(message: str, mutant: NestLayer) -> None:
    assert message in str(fault(mutant))


def test_a_parent_tile_that_changes_more_often_than_the_childs() -> None:
    regions = [replace(r, loops=1, window=0) if r.operand == "I" and r.level == "GLB" else r for r in layer().regions]
    regions = [replace(r, loops=0, window=0) if r.operand == "I" and r.level == "spad" else r for r in regions]
    code = list(layer().code)
    drain = code.index(Give("I", "GLB"))
    code.insert(index(End, 1), code.pop(drain))
    code[index(Loop) + 1 : index(Loop) + 1] = [code.pop(0), code.pop(0)]
    found = fault(replace(layer(), regions=tuple(regions), code=tuple(code)))
    assert "more loops select the parent's tile than the child's" in str(found)
