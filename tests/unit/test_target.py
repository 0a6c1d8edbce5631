"""Targets: what is printed can be parsed, units convert exactly, and whatever cannot be read is an InputError."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effc.compiler.errors import InputError
from effc.compiler.target import (
    OPERAND_TERMS,
    Bank,
    Coding,
    FanOut,
    Level,
    Link,
    Mac,
    MeshAxis,
    Numeric,
    Prefetch,
    Target,
    VectorUnit,
    bundled_targets,
    load,
    load_target,
    parse_target,
    print_target,
    target_names,
)
from effc.compiler.target.show import decimal
from effc.compiler.target.units import number
from effc.ir.nest import ROLES
from effc.ir.zeros import Code

quick = settings(derandomize=True, deadline=None, database=None, max_examples=50)

HEAD = (
    "target t {{ word 16 bit; clock 200 MHz; {head} memory D {{ size unbounded; energy 1{unit}; bandwidth unlimited }}"
)
TAIL = "{chain} mac {{ energy 1{unit} }} }}"


def small(chain: str = "", head: str = "", unit: str = "x") -> Target:
    """A target with the least that must be there, and some more."""
    return parse_target((HEAD + TAIL).format(head=head, chain=chain, unit=unit))


def bank(statements: str) -> Bank:
    """The bank of an inner memory with these statements beside what must be there."""
    defaults = {"size": "size 8 words", "energy": "energy 1x", "bandwidth": "bandwidth unlimited"}
    missing = [text for word, text in defaults.items() if word not in statements]
    return small(f"memory M {{ keeps psum; {statements}; {'; '.join(missing)} }}").level("M").banks[0]


# Random targets


def fractions(least: int) -> st.SearchStrategy[Fraction]:
    return st.fractions(min_value=Fraction(least, 1000), max_value=10**9, max_denominator=10**6)


def names(count: int) -> st.SearchStrategy[list[str]]:
    """Names, words of the language among them."""
    words = st.sampled_from(["GLB", "spad", "x", "size", "keeps", "any", "array", "words", "mac", "on", "ifmap"])
    other = st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "none")
    return st.lists(words | other, min_size=count, max_size=count, unique=True)


@st.composite
def banks(draw: st.DrawFn, word_bits: int, outermost: bool) -> tuple[Bank, ...]:
    operands = draw(st.permutations(list(OPERAND_TERMS)))
    cuts = sorted(draw(st.sets(st.integers(1, 3 if outermost else 4), max_size=3)))
    groups = [
        operands[a:b] for a, b in zip([0, *cuts], [*cuts, 4 if outermost else draw(st.sampled_from(cuts or [4]))])
    ]
    same = draw(st.booleans())
    rest = draw(rates())
    energies = draw(st.tuples(fractions(0), fractions(0)))
    found = []
    for group in filter(None, groups):
        split = len(group) if outermost else draw(st.integers(0, len(group)))
        bits = None if outermost else draw(st.none() | st.integers(word_bits, 2**40))
        read, write, shared = rest if same else draw(rates())
        costs = energies if same else draw(st.tuples(fractions(0), fractions(0)))
        area = draw(st.none() | fractions(1))
        word = draw(st.none() | st.integers(1, word_bits))
        found.append(Bank(tuple(group[:split]), tuple(group[split:]), bits, *costs, read, write, shared, area, word))
    return tuple(found)


@st.composite
def rates(draw: st.DrawFn) -> tuple[Fraction | None, Fraction | None, bool]:
    read, write = draw(st.none() | fractions(1)), draw(st.none() | fractions(1))
    shared = read is not None and draw(st.booleans())
    return read, (read if shared else write), shared


@st.composite
def fanouts(draw: st.DrawFn, name: str) -> FanOut:
    count = draw(st.integers(1, 3))
    axes = tuple(
        MeshAxis(
            axis,
            draw(st.integers(1, 2**31 - 1)),
            draw(st.none() | st.lists(st.sampled_from(ROLES), unique=True).map(tuple)),
            draw(st.sampled_from(["none", "tiles", "words"])),
            draw(st.booleans()),
        )
        for axis in draw(names(count))
    )
    groups = draw(operand_groups())
    return FanOut(name, axes, draw(fractions(0)), tuple(Link(group, *draw(rates())) for group in groups))


@st.composite
def operand_groups(draw: st.DrawFn) -> list[tuple[str, ...]]:
    """Some of the operands, in groups."""
    numbers = draw(st.lists(st.integers(0, 4), min_size=4, max_size=4))
    groups = [tuple(o for o, number in zip(OPERAND_TERMS, numbers) if number == n) for n in range(1, 5)]
    return [group for group in groups if group]


@st.composite
def levels(draw: st.DrawFn, name: str, array: str, word_bits: int, outermost: bool) -> Level:
    held = draw(banks(word_bits, outermost))
    kept = {operand for bank in held for operand in bank.operands}
    double = draw(st.booleans())
    buffets = () if double else tuple(o for o in OPERAND_TERMS if o in kept and draw(st.booleans()))
    passing = tuple(o for o in OPERAND_TERMS if o not in kept)
    return Level(
        name,
        held,
        draw(st.sampled_from(["free", "stored"])),
        double,
        draw(st.booleans()),
        draw(st.none() | fanouts(array)),
        buffets,
        draw(st.none() | st.builds(Prefetch, st.just(passing), st.integers(1, 2**40))) if passing else None,
        draw(codings(kept)),
    )


@st.composite
def codings(draw: st.DrawFn, kept: set[str]) -> tuple[Coding, ...]:
    groups = [tuple(operand for operand in group if operand in kept) for group in draw(operand_groups())]
    return tuple(Coding(group, Code(draw(st.none() | st.integers(1, 63)))) for group in groups if group)


@st.composite
def macs(draw: st.DrawFn) -> Mac:
    gates = draw(st.sampled_from([(), ("I",), ("I", "W")]))
    return Mac(draw(fractions(0)), draw(st.none() | fractions(1)), gates, bool(gates) and draw(st.booleans()))


numerics = st.builds(
    Numeric,
    st.sampled_from([("int8",), ("uint8", "int8"), ("int16",)]),
    st.sampled_from(["int16", "int32"]),
    st.booleans(),
)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    depth = draw(st.integers(1, 4))
    called = draw(names(2 * depth + 1))
    word_bits = draw(st.sampled_from([1, 8, 16, 24, 32]))
    unit = draw(st.sampled_from(["pJ", "x"]))
    chain = tuple(draw(levels(called[i], called[depth + i], word_bits, i == 0)) for i in range(depth))
    ops = st.lists(st.from_regex("[A-Z][A-Za-z0-9]{0,20}", fullmatch=True), min_size=1, max_size=40, unique=True)
    vectors = st.builds(VectorUnit, ops.map(tuple), st.integers(1, 2**31 - 1), fractions(0))
    clocking = draw(fractions(0))
    return Target(
        name=called[-1],
        word_bits=word_bits,
        clock_mhz=draw(fractions(1)),
        levels=chain,
        mac=draw(macs()),
        vector=draw(st.none() | vectors),
        energy_unit=unit,
        pj_per_unit=Fraction(1) if unit == "pJ" else draw(st.none() | fractions(1)),
        leakage=clocking + draw(fractions(0)),
        clocking=clocking,
        technology=draw(st.text(max_size=20)),
        fps_target=draw(st.none() | fractions(1)),
        numeric=draw(st.just(Numeric()) | numerics),
    )


@quick
@given(targets())
def test_printed_targets_parse_to_themselves(target: Target) -> None:
    text = print_target(target)
    parsed = parse_target(text)
    assert parsed == target
    assert print_target(parsed) == text


@pytest.mark.parametrize("name", bundled_targets())
def test_bundled_targets_print_and_parse(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert parse_target(print_target(target)) == target
    assert target.source.startswith("#")


@quick
@given(st.data())
def test_damaged_targets_are_input_errors(data: st.DataObject) -> None:
    text = load_target(data.draw(st.sampled_from(bundled_targets()))).source
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(st.text(max_size=3) | st.sampled_from(list("{};,@/-0x\n"))) + text[end:]
    try:
        target = parse_target(text, "damaged.hw")
    except InputError as error:
        assert str(error).startswith("damaged.hw:")
    else:
        assert parse_target(print_target(target)) == target


# The bundled machines


def test_eyeriss_is_the_published_chip() -> None:
    target = load_target("eyeriss")
    dram, glb, spad = target.levels
    assert [level.name for level in target.levels] == ["DRAM", "GLB", "spad"]
    assert (target.word_bits, target.clock_mhz, target.fps_target) == (16, 200, 30)
    assert dram.banks[0].read_bandwidth == Fraction(192, 10)  # 64 bit at 60 MHz, per cycle of 200 MHz
    assert glb.banks[0].bits == 102400 * 8
    assert not glb.bank("W")
    assert [(axis.name, axis.size, axis.reduce) for _, axis in target.axes()] == [
        ("rows", 12, True),
        ("columns", 14, False),
    ]
    assert {bank.keeps[0]: bank.bits for bank in spad.banks} == {"I": 12 * 16, "W": 224 * 16, "O": 24 * 16}
    assert glb.fanout and glb.fanout.hop_energy == 4
    energies = [level.banks[0].read_energy for level in target.levels]
    assert (*energies, target.mac.energy) == (460, 15, 1, 2)
    assert target.leakage - target.clocking == 150  # 30 mW are 150 pJ in a cycle of 5 ns
    assert target.clocking == pytest.approx(Fraction(33, 100) * 332 * 5, rel=0.01)
    assert (glb.padding, target.instances(2), target.pj_per_unit) == ("stored", 168, 1)


def test_eyeriss_like_is_the_benchmark_machine() -> None:
    target = load_target("eyeriss_like")
    dram, glb, spad = target.levels
    assert glb.banks[0].bits == 55296 * 16
    assert (glb.banks[0].keeps, glb.banks[0].may_keep) == (("I", "O"), ("W", "B"))
    assert {bank.keeps[0]: bank.bits for bank in spad.banks} == {"I": 12 * 16, "W": 224 * 16, "O": 24 * 16}
    energies = [level.banks[0].read_energy for level in (dram, glb, spad)]
    assert (*energies, target.mac.energy, target.energy_unit, target.pj_per_unit) == (200, 6, 1, 1, "x", None)
    axes = [(axis.name, axis.size, axis.unroll, axis.multicast, axis.reduce) for _, axis in target.axes()]
    assert axes == [("x", 14, None, "words", True), ("y", 12, None, "words", True)]
    assert all(bank.read_bandwidth is bank.write_bandwidth is None for level in target.levels for bank in level.banks)


# Units


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("12 words", 192),
        ("1 word", 16),
        ("100 KiB", 819200),
        ("1.5 MiB", 12582912),
        ("1/2 GiB", 2**32),
        ("64 bytes", 512),
        ("24 bits", 24),
        ("1e3 byte", 8000),
    ],
)
def test_sizes(text: str, bits: int) -> None:
    assert bank(f"size {text}").bits == bits


@pytest.mark.parametrize(
    ("text", "bits_per_cycle"),
    [
        ("64 bit/cycle", Fraction(64)),
        ("64 bit/cycle @ 60 MHz", Fraction(96, 5)),
        ("1 byte/cycle @ 1/3 GHz", Fraction(40, 3)),
        ("2 words/cycle", Fraction(32)),
        ("25.6 GB/s", Fraction(1024)),
        ("100 MB/s", Fraction(4)),
        ("0.1 Gbit/s", Fraction(1, 2)),
    ],
)
def test_bandwidths_in_bits_per_cycle_of_200_mhz(text: str, bits_per_cycle: Fraction) -> None:
    shared = bank(f"bandwidth {text}")
    assert (shared.read_bandwidth, shared.write_bandwidth, shared.shared_port) == (bits_per_cycle, bits_per_cycle, True)
    split = bank(f"bandwidth read unlimited write {text}")
    assert (split.read_bandwidth, split.write_bandwidth, split.shared_port) == (None, bits_per_cycle, False)


@pytest.mark.parametrize(
    ("text", "energy"), [("15 pJ", 15), ("15 pJ/word", 15), ("1 pJ/bit", 16), ("1 pJ/byte", 2), ("2 nJ", 2000)]
)
def test_energies_per_word_of_16_bit(text: str, energy: int) -> None:
    target = small(
        f"memory M {{ size 8 words; keeps psum; bandwidth unlimited; energy read {text} write 3 fJ }}", "", "pJ"
    )
    found = target.level("M").banks[0]
    assert (found.read_energy, found.write_energy) == (energy, Fraction(3, 1000))
    assert (target.energy_unit, target.pj_per_unit) == ("pJ", 1)


def test_energies_in_x_of_known_size() -> None:
    target = small("", "unit 2x = 5 pJ; leakage 30 mW;", "nJ")
    assert (target.energy_unit, target.pj_per_unit) == ("x", Fraction(5, 2))
    assert target.mac.energy == 400
    assert target.leakage == 60  # 150 pJ per cycle


def test_energies_in_x_of_unknown_size() -> None:
    assert small(head="leakage 0.5x/cycle;").leakage == Fraction(1, 2)
    assert small().pj_per_unit is None


@pytest.mark.parametrize(("text", "um2"), [("2.5 mm2", 2500000), ("7 um2", 7)])
def test_areas(text: str, um2: int) -> None:
    assert bank(f"area {text}").area == um2


def test_two_statements_of_a_rule_for_different_axes() -> None:
    array = "array A [2 x, 3 y] { unroll K, C on x; multicast tiles on y; multicast none on x; reduce none }"
    assert [axis for _, axis in small(array).axes()] == [
        MeshAxis("x", 2, ("K", "C"), "none", False),
        MeshAxis("y", 3, None, "tiles", False),
    ]


def test_levels_know_their_lines() -> None:
    target = parse_target(
        (HEAD + "\n" + TAIL).format(head="", chain="array A [2 x] { multicast none; reduce x }", unit="x"), "t.hw"
    )
    assert target.levels[0].place == "t.hw:1:48"
    assert target.levels[0].fanout and target.levels[0].fanout.place == "t.hw:2:7"


def test_a_word_of_the_language_may_be_a_name() -> None:
    assert small("memory size { size 8 words; keeps psum; energy 1x; bandwidth unlimited }").levels[1].name == "size"


def test_line_ends_of_other_systems() -> None:
    target = load_target("eyeriss")
    assert parse_target(target.source.replace("\n", "\r\n")) == target
    assert parse_target(target.source.replace("\n", "\r")) == target


@pytest.mark.parametrize("text", ["0", "12", "0.15", "1e3", "2.5E-2", "10/3", "1e3/7"])
def test_numbers(text: str) -> None:
    top, _, bottom = text.partition("/")
    assert number(text) == Fraction(top) / Fraction(bottom or "1")


@pytest.mark.parametrize("text", ["1e999999999", "1/0", "9" * 40, "1/" + "9" * 40, "1" * 5000])
def test_numbers_out_of_range(text: str) -> None:
    assert number(text) is None


@quick
@given(st.fractions())
def test_decimals_are_exact(value: Fraction) -> None:
    top, _, bottom = decimal(value).partition("/")
    assert Fraction(top) / Fraction(bottom or "1") == value


# Loading


def refused(what: str | Path) -> InputError:
    with pytest.raises(InputError) as error:
        load_target(what)
    return error.value


def test_a_path_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "mine.hw"
    path.write_text(print_target(load_target("eyeriss")), encoding="utf-8-sig")
    assert load_target(path) == load_target(str(path)) == load_target("eyeriss")
    assert load_target(path).levels[0].place.startswith(f"{path}:")


def test_an_unknown_name() -> None:
    assert str(refused("eyerise")) == (
        "error: unknown target 'eyerise'\n"
        f"  expected: {', '.join(bundled_targets())}, or the path of a file that ends in `.hw`\n"
        "  remedy:   did you mean 'eyeriss'?"
    )


def test_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "mine.hw").touch()
    assert refused(str(tmp_path / "mime.hw")).remedy == f"did you mean '{tmp_path / 'mine.hw'}'?"
    assert "eyeriss" in refused("nowhere/eyeriss.hw").remedy


def test_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "folder.hw").mkdir()
    assert refused(tmp_path / "folder.hw").message == "this is a folder"
    (tmp_path / "binary.hw").write_bytes(b"\x7fELF\0\0\1\2")
    assert refused(tmp_path / "binary.hw").message == "this is a binary file"
    (tmp_path / "latin.hw").write_bytes("target t {\n# 1 µm\n}".encode("latin-1"))
    assert refused(tmp_path / "latin.hw").place == f"{tmp_path / 'latin.hw'}:2"
    (tmp_path / "huge.hw").write_bytes(b"#" * (2**20 + 1))
    assert "too large" in refused(tmp_path / "huge.hw").message
    assert "cannot be read" in refused("nul\0.hw").message
    assert "cannot be read" in refused("n" * 5000 + ".hw").message


def test_a_text_that_is_too_large() -> None:
    with pytest.raises(InputError, match="too large"):
        parse_target("#" * (2**20 + 1))


def test_a_large_text_is_read() -> None:
    assert parse_target(load_target("eyeriss").source + "#\n" * 500_000) == load_target("eyeriss")


OTHER = small()


@pytest.mark.parametrize("value", ["OTHER", "small", "PATH"])
def test_targets_of_other_packages(value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "other.hw"
    path.write_text(print_target(OTHER), encoding="utf-8")
    monkeypatch.setattr(sys.modules[__name__], "PATH", path, raising=False)
    point = EntryPoint("other", f"{__name__}:{value}", load.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] if group == load.GROUP else [])
    assert target_names() == sorted([*bundled_targets(), "other"])
    assert load_target("other") == OTHER


@pytest.mark.parametrize("value", ["refused", "nothing", "ROLES"])
def test_broken_targets_of_other_packages(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("other", f"{__name__}:{value}", load.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    assert "target 'other'" in refused("other").message


def test_the_door_is_light() -> None:
    code = "import sys, effc.compiler.target; print('lark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
