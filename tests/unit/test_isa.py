"""Programs as text: what is printed can be parsed, and errors have a place."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from cases import random_case

from effc.backends.accel.asm_parser import parse_program
from effc.backends.accel.assembler import instruction_text, print_layer, print_program
from effc.backends.accel.binary import decode_program, encode_program
from effc.backends.accel.emit import emit
from effc.backends.accel.isa import VERSION, Fill, Instruction, Loop, Mac, NestLayer, NodeLayer, Program
from effc.backends.accel.machine import graph_of
from effc.compiler.target import bundled_targets, load_target
from effc.ir import nests
from effc.ir.epilogue_rules import ELEMENTWISE, QUANTISED
from effc.ir.errors import InputError
from effc.ir.graph import NodeOp
from effc.ir.schedule import For, Item, Keep, Par, Schedule

GEMM = (
    Keep("I", "GLB"),
    Keep("O", "GLB"),
    For("N", 64),
    Keep("I", "spad"),
    Keep("W", "spad"),
    Keep("O", "spad"),
    For("M", 1),
    For("N", 1),
    For("K", 1),
)


def program(m: int = 4, n: int = 256, k: int = 8, items: tuple[Item, ...] = GEMM) -> Program:
    nest = nests.gemm(m, n, k)
    return emit(graph_of(nest, Schedule(items), dict.fromkeys("IW", 0)), load_target("eyeriss_like"))


def notes(parsed: Program) -> list[str]:
    return [i.note for layer in parsed.layers if isinstance(layer, NestLayer) for i in layer.code]


@pytest.mark.parametrize("seed", range(40))
def test_text_is_lossless(seed: int) -> None:
    case = random_case(Random(seed))
    made = emit(graph_of(case.nest, case.schedule, case.arrays), case.target)
    text = print_program(made)
    assert parse_program(text) == made
    assert notes(parse_program(text)) == notes(made)
    assert print_program(parse_program(text)) == text
    binary = decode_program(encode_program(made))
    assert binary == made
    assert print_program(binary) == text


def test_names_may_be_anything() -> None:
    names = ('a "quoted" name', "back\\slash", "", "nest", "ü;\n\t", "t0", "host 1")
    node = NodeOp(
        names[0], "Op", names, names[:2], b"\x00\xff", "ai.onnx.ml", 3, "host", 'no "kernel"; none', names[:1]
    )
    base = program()
    slots = tuple(replace(base.slots[0], name=name, shape=None, address=None) for name in names)
    made = replace(base, name=names[4], slots=slots, inputs=names[:2], outputs=names[3:], layers=(NodeLayer(node),))
    assert parse_program(print_program(made)) == made
    assert decode_program(encode_program(made)) == made


def test_a_binary_program_of_another_version() -> None:
    data = encode_program(program())
    assert data[:5] == b"EFFB" + bytes([2 * VERSION])
    for version, age, remedy in (
        (VERSION - 1, "an older", "compile the model again"),
        (VERSION + 1, "a newer", "use the effc that wrote it"),
    ):
        with pytest.raises(InputError) as caught:
            decode_program(b"EFFB" + bytes([2 * version]) + data[5:], "x.bin")
        assert str(caught.value).splitlines() == [
            f"x.bin:byte 4: error: the program is for version {version} of the instruction set, {age} one",
            f"  expected: version {VERSION}",
            f"  remedy:   {remedy}",
        ]


def test_damaged_binaries_are_rejected_or_mean_something_else() -> None:
    """Cut, changed or random bytes: an error with its place, or another program; memory stays within the file's."""
    made, random = encode_program(program()), Random(3)
    for cut in range(len(made)):
        with pytest.raises(InputError, match=r"x\.bin:byte"):
            decode_program(made[:cut], "x.bin")
    with pytest.raises(InputError, match="the end of the program"):
        decode_program(made + b"\0")
    for _ in range(2000):
        data = bytearray(made)
        for _ in range(random.choice([1, 2, 9])):
            data[random.randrange(len(data))] = random.randrange(256)
        with suppress(InputError):
            encode_program(decode_program(bytes(data)))
        with suppress(InputError):
            decode_program(made[:5] + random.randbytes(60))


def test_size_does_not_depend_on_trip_counts() -> None:
    small, large = program(), program(m=4000, n=64 * 4000)
    lines = [text.count("\n") for text in map(print_program, (small, large))]
    assert lines[0] == lines[1]


def test_a_layer_reads_as_loops() -> None:
    text = print_layer(program().layers[0])
    code = [line.strip() for line in text.splitlines() if not line.strip().startswith(("nest", "dim", "read", "write"))]
    assert [line for line in code if not line.startswith("region")] == [
        "fill I GLB from DRAM                          ; keep I @ GLB",
        "take I GLB                                    ; keep I @ GLB",
        "open O GLB from DRAM                          ; keep O @ GLB",
        "take O GLB                                    ; keep O @ GLB",
        "fill I spad from GLB                          ; keep I @ spad",
        "take I spad                                   ; keep I @ spad",
        "loop t0                                       ; for N in 0..256 by 64",
        "fill W spad from DRAM                       ; keep W @ spad",
        "take W spad                                 ; keep W @ spad",
        "open O spad from GLB                        ; keep O @ spad",
        "take O spad                                 ; keep O @ spad",
        "mac                                         ; for M in 0..4, for N in 0..64, for K in 0..8",
        "give O spad                                 ; keep O @ spad",
        "drain O spad to GLB                         ; keep O @ spad",
        "give W spad                                 ; keep W @ spad",
        "end",
        "give I spad                                   ; keep I @ spad",
        "give O GLB                                    ; keep O @ GLB",
        "drain O GLB to DRAM                           ; keep O @ GLB",
        "give I GLB                                    ; keep I @ GLB",
    ]


def test_instructions_as_text() -> None:
    assert instruction_text(Loop(12)) == "loop t12"
    assert instruction_text(Mac("a note")) == "mac"
    assert instruction_text(Fill("I", "my level", "DRAM", True)) == 'fill I "my level" from DRAM sweep'


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("effc 4", "effc 9", "1:6", "the program is for version 9 of the instruction set, a newer one"),
        ("effc 4", "effc 2", "1:6", "the program is for version 2 of the instruction set, an older one"),
        ("mac ", "mack ", "32:5", "unexpected 'mack'"),
        ("loop t0", "loop 0", "27:8", "unexpected '0'"),
        ("fill W spad from DRAM", "fill W spad to DRAM", "28:17", "unexpected 'to'"),
        ("loops 1 window 0 buffers 1", "loops 1", "19:37", "unexpected the end of the line"),
        ("[4, 8]", "[4 8]", "4:23", "unexpected '8'"),
        ("dram ", "drum ", "3:1", "unexpected 'drum'"),
        ("t0*64", "x0*64", "11:15", "unexpected 'x0'"),
        ("end", "end end", "36:7", "unexpected 'end'"),
    ],
)
def test_errors_have_a_place(old: str, new: str, place: str, message: str) -> None:
    text = print_program(program())
    assert old in text
    with pytest.raises(InputError) as caught:
        parse_program(text.replace(old, new, 1), "x.asm")
    found = str(caught.value).splitlines()
    assert found[0] == f"x.asm:{place}: error: {message}"
    assert any(line.startswith("  expected:") for line in found)


def test_a_text_that_ends_early() -> None:
    lines = print_program(program()).splitlines()
    for count in range(len(lines)):
        text = "\n".join(lines[:count])
        try:
            parse_program(text)
        except InputError:
            continue
        assert count >= 3  # a program may have no layers


PAGE = Path(__file__).parents[2] / "docs" / "isa.md"


def test_the_manual_names_every_operation() -> None:
    """The instructions, and the operators of the vector units; of the latter those that are steps of epilogues."""
    page = PAGE.read_text(encoding="utf-8")
    instructions = {kind.__name__.lower() for kind in get_args(Instruction)}
    headings = re.findall(r"^(`.*?) -- ", page, re.MULTILINE)
    assert instructions == {name for heading in headings for name in re.findall(r"`([a-z]+)", heading)}
    rows = re.findall(r"^\| \S[^|]*\| ([A-Z][^|]*) \| (yes|no|all but Where|the first four) \|$", page, re.MULTILINE)
    named = {name: place for text, place in rows for name in re.findall(r"\b[A-Z][A-Za-z]+", text)}
    units = [unit for name in bundled_targets() if (unit := load_target(name).vector) is not None]
    assert set().union(*(unit.ops for unit in units)) <= named.keys()
    steps = {name for name, place in named.items() if place != "no"} - {"Where"}
    assert steps & {*ELEMENTWISE, *QUANTISED} == named.keys() & {*ELEMENTWISE, *QUANTISED}


def test_the_manual_shows_what_is_emitted() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (text,) = re.findall(r"^```effc\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    nest = nests.conv2d(1, 32, 8, 16, 16, 3, 3, pad=1, h=16, w=16, name="conv")
    items = (
        *(Keep("I", "GLB"), Keep("O", "GLB"), For("C", 4), Par("K", 16, "GLB", "x"), Par("R", 1, "GLB", "y")),
        *(Keep("W", "spad"), For("P", 1), For("Q", 1), Keep("I", "spad"), Keep("O", "spad")),
        *(For("K", 1), For("C", 1), For("S", 1)),
    )
    made = emit(graph_of(nest, Schedule(items), dict.fromkeys("IW", 0)), load_target("eyeriss_like"))
    assert print_program(made) == text
