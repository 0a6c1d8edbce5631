"""The bundled targets: published facts as numbers, a schedule for every kind of layer, and docs/targets.md."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from math import exp, log
from pathlib import Path

import pytest

from effc.compiler.cost import evaluate
from effc.compiler.search import search
from effc.compiler.target import FanOut, Level, Target, bundled_targets, load_target, parse_target, print_target
from effc.compiler.target.area import area_mm2
from effc.ir import nests, parse_schedule
from effc.ir.nest import Nest

ROOT = Path(__file__).parents[2]
NAMES = bundled_targets()

NESTS = {
    "3x3 with bias": nests.conv2d(n=1, k=3, c=2, p=4, q=3, r=3, s=3, pad=1, bias=True),
    "strided": nests.conv2d(n=1, k=2, c=3, p=3, q=2, r=3, s=3, stride=2, pad=1),
    "depthwise": nests.depthwise(n=1, c=3, p=3, q=3, r=3, s=3, pad=1),
    "1x1": nests.conv2d(n=1, k=6, c=5, p=3, q=2, r=1, s=1),
    "gemm": nests.gemm(m=1, n=12, k=10),
}

LAYERS = {
    "ResNet-50, first": nests.conv2d(n=1, k=64, c=3, p=112, q=112, r=7, s=7, stride=2, pad=3, bias=True),
    "AlexNet, groups": nests.conv2d(n=4, k=256, c=96, p=27, q=27, r=5, s=5, pad=2, groups=2),
    "MobileNetV2": nests.depthwise(n=1, c=144, p=28, q=28, r=3, s=3, stride=2, pad=1),
    "dilated": nests.conv2d(n=1, k=21, c=64, p=33, q=33, r=3, s=3, dilation=6, pad=6),
    "AlexNet, fully connected": nests.gemm(m=1, n=4096, k=9216, bias=True),
    "attention": nests.matmul(m=512, n=512, k=64, batch=(12,)),
}


# What every target has


@pytest.mark.parametrize("name", NAMES)
def test_a_target_is_called_as_its_file_and_prints_back(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert parse_target(print_target(target)) == target


@pytest.mark.parametrize("name", NAMES)
def test_whole_models_run(name: str) -> None:
    """Every operand can be kept on the chip, bypasses included, and the vector unit has the operators of Eyeriss."""
    target, eyeriss = load_target(name), load_target("eyeriss")
    assert target.vector and eyeriss.vector and target.vector.ops == eyeriss.vector.ops
    for operand in "IWOB":
        assert any(level.bank(operand) for level in target.levels[1:]), operand


@pytest.mark.parametrize("name", NAMES)
def test_comments_say_where_numbers_are_from(name: str) -> None:
    text = load_target(name).source
    head = text.partition(f"target {name} {{")[0]
    assert re.search(r"ISCA|JSSC|MICRO 2019|github\.com", head)
    assert "invented" in text


@pytest.mark.parametrize("layer", NESTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_layer_has_a_schedule(name: str, layer: str) -> None:
    check_schedule(NESTS[layer], load_target(name))


@pytest.mark.validate
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", NAMES)
def test_layers_of_real_networks_have_a_schedule(name: str, layer: str) -> None:
    check_schedule(LAYERS[layer], load_target(name))


def check_schedule(nest: Nest, target: Target) -> None:
    """A search that is stopped at once still returns a schedule; ``evaluate`` refuses one that is not legal."""
    best = search(nest, target, time_limit=0.2)
    assert evaluate(nest, best.schedule, target).energy == best.energy >= best.certificate.lower_bound


# Published facts


def measured(target: Target, what: str) -> Fraction | int:
    """A number of a target: `MACs`, `MHz`, `word` (bits), or `LEVEL OPERAND UNIT` of the operand's bank there."""
    match what:
        case "MACs":
            return target.instances(len(target.levels))
        case "MHz":
            return target.clock_mhz
        case "word":
            return target.word_bits
    level, operand, unit = what.split()
    bank = target.level(level).bank(operand)
    assert bank is not None
    rate = bank.read_bandwidth or Fraction(0)
    match unit:
        case "KiB":
            return Fraction(bank.bits or 0, 8 * 1024)
        case "words":
            return Fraction(bank.bits or 0, bank.word_bits or target.word_bits)
        case "instances":
            return target.instances(target.index[level])
        case "GB/s":
            return rate * target.clock_mhz / 8000
        case "bit/cycle":
            return rate
        case "energy":
            return bank.read_energy
    raise AssertionError(unit)


FACTS: list[tuple[str, str, Fraction | int, str]] = [
    ("eyeriss", "MACs", 12 * 14, "JSSC 2017"),
    ("eyeriss", "MHz", 200, "JSSC 2017"),
    ("eyeriss", "GLB I KiB", 100, "JSSC 2017: 108 KiB, of which 8 prefetch filters"),
    ("eyeriss", "spad W words", 224, "JSSC 2017"),
    ("eyeriss_like", "GLB I words", 108 * 1024 // 2, "JSSC 2017"),
    ("eyeriss_like_tiles", "MACs", 168, "JSSC 2017"),
    ("eyeriss_isca16", "MACs", 256, "ISCA 2016"),
    ("eyeriss_isca16", "GLB I KiB", 128, "ISCA 2016: 512 B per PE"),
    ("eyeriss_isca16", "RF W words", 256, "ISCA 2016: 512 B, words of 16 bit"),
    ("eyeriss_isca16", "RF W instances", 256, "ISCA 2016"),
    ("eyeriss_isca16", "DRAM I energy", 200, "ISCA 2016"),
    ("eyeriss_isca16", "GLB I energy", 6, "ISCA 2016"),
    ("eyeriss_isca16", "RF I energy", 1, "ISCA 2016"),
    ("tpu_v1", "MACs", 65536, "ISCA 2017: 256 x 256"),
    ("tpu_v1", "MHz", 700, "ISCA 2017"),
    ("tpu_v1", "word", 8, "ISCA 2017"),
    ("tpu_v1", "buffer I KiB", 24 * 1024, "ISCA 2017"),
    ("tpu_v1", "accumulators O words", 4096 * 256, "ISCA 2017: 4 MiB of 32 bit"),
    ("tpu_v1", "DRAM W GB/s", 34, "ISCA 2017"),
    ("tpu_v1", "DRAM I GB/s", Fraction(14 * 2**30, 10**9), "ISCA 2017: 14 GiB/s"),
    ("tpu_v1", "buffer I bit/cycle", 256 * 8, "ISCA 2017: paths of 256 bytes"),
    ("simba_chiplet", "MACs", 16 * 64, "MICRO 2019: 16 PEs of 8 vector MACs, 8 wide"),
    ("simba_chiplet", "PE I instances", 16, "MICRO 2019"),
    ("simba_chiplet", "PE I KiB", 8, "MICRO 2019"),
    ("simba_chiplet", "PE W KiB", 32, "MICRO 2019"),
    ("simba_chiplet", "PE O words", 3 * 1024 // 3, "MICRO 2019: 3 KiB of 24 bit"),
    ("simba_chiplet", "GLB I KiB", 64, "MICRO 2019"),
    ("simba_chiplet", "DRAM I GB/s", 100, "MICRO 2019"),
    ("nvdla_full", "MACs", 2048, "nv_full.spec: 64 x 32"),
    ("nvdla_full", "MHz", 1000, "performance sheet"),
    ("nvdla_full", "CBUF W KiB", 512, "nv_full.spec: 16 x 64 B x 512"),
    ("nvdla_full", "CACC O words", 2 * 128 * 136 * 8 // 34, "Unit Description: 128 x 136 B of 34 bit, twice"),
    ("nvdla_full", "DRAM I GB/s", 10, "performance sheet"),
    ("gemmini", "MACs", 256, "Configs.scala: meshRows, meshColumns"),
    ("gemmini", "scratchpad I KiB", 256, "Configs.scala: sp_capacity"),
    ("gemmini", "accumulator O words", 64 * 1024 // 4, "Configs.scala: acc_capacity, accType"),
    ("gemmini", "DRAM I bit/cycle", 128, "Configs.scala: dma_buswidth"),
    ("vta", "MACs", 256, "vta_config.json: 1 x 16 x 16"),
    ("vta", "MHz", 100, "pkg_config.py"),
    ("vta", "buffer I KiB", 32, "vta_config.json: LOG_INP_BUFF_SIZE"),
    ("vta", "buffer W KiB", 256, "vta_config.json: LOG_WGT_BUFF_SIZE"),
    ("vta", "buffer O words", 128 * 1024 // 4, "vta_config.json: LOG_ACC_BUFF_SIZE, LOG_ACC_WIDTH"),
    ("vta", "DRAM I bit/cycle", 64, "pkg_config.py: fpga_log_axi_bus_width"),
    ("shidiannao", "MACs", 64, "ISCA 2015: 8 x 8"),
    ("shidiannao", "MHz", 1000, "ISCA 2015"),
    ("shidiannao", "word", 16, "ISCA 2015"),
    ("shidiannao", "buffer I KiB", 64, "ISCA 2015: NBin"),
    ("shidiannao", "buffer O KiB", 64, "ISCA 2015: NBout"),
    ("shidiannao", "buffer W KiB", 128, "ISCA 2015: SB"),
]


@pytest.mark.parametrize(("name", "what", "published", "source"), FACTS, ids=lambda part: str(part))
def test_published_facts(name: str, what: str, published: Fraction | int, source: str) -> None:
    assert measured(load_target(name), what) == published, source


@pytest.mark.parametrize(
    ("name", "tera_operations", "source"),
    [
        ("tpu_v1", 92, "ISCA 2017, abstract"),
        ("simba_chiplet", 4, "MICRO 2019, abstract: a chiplet"),
        ("shidiannao", 0.128, "ISCA 2015: 64 MACs at 1 GHz"),
    ],
)
def test_peak_rates(name: str, tera_operations: float, source: str) -> None:
    target = load_target(name)
    peak = 2 * target.instances(len(target.levels)) * target.clock_mhz / 10**6
    assert float(peak) == pytest.approx(tera_operations, rel=0.03), source


def test_costs_of_isca16() -> None:
    target = load_target("eyeriss_isca16")
    banks = [bank for level in target.levels for bank in level.banks]
    assert [int(bank.read_energy) for bank in banks] == [int(bank.write_energy) for bank in banks] == [200, 6, 1]
    fanout = target.level("GLB").fanout
    assert fanout
    assert fanout.hop_energy == 2
    assert target.mac.energy == 1


def test_tiles_differ_from_words_in_the_multicast_alone() -> None:
    def tiles(level: Level) -> Level:
        return level if level.fanout is None else replace(level, fanout=with_tiles(level.fanout))

    def with_tiles(fanout: FanOut) -> FanOut:
        return replace(fanout, axes=tuple(replace(axis, multicast="tiles") for axis in fanout.axes))

    like = load_target("eyeriss_like")
    expected = replace(like, name="eyeriss_like_tiles", levels=tuple(map(tiles, like.levels)))
    assert load_target("eyeriss_like_tiles") == expected


# ShiDianNao publishes area and power of its parts


def test_area_of_shidiannao() -> None:
    assert area_mm2(load_target("shidiannao")) == Fraction("4.86")


def test_power_of_shidiannao() -> None:
    """All PEs busy with filters of 5 x 5: 320.10 mW on the chip, 268.82 of them in the PEs."""
    target = load_target("shidiannao")
    nest = nests.conv2d(n=1, k=4, c=16, p=8, q=8, r=5, s=5)
    schedule = parse_schedule(
        """
        keep I @ buffer
        keep W @ buffer
        keep O @ buffer
        for K
          keep O @ registers
          for C
            keep I @ registers
            par P @ buffer.rows
            par Q @ buffer.columns
              for R
                for S
        """
    )
    found = evaluate(nest, schedule, target)
    power = {part: float(energy / found.counters.cycles) for part, energy in found.energy_by.items()}  # pJ/ns, or mW
    assert power["registers"] + power["MAC"] == pytest.approx(268.82, rel=0.01)
    assert sum(power.values()) - power["DRAM"] == pytest.approx(320.10, rel=0.05)


# Energies that are not published: the rule of docs/targets.md


def sram(kib: float) -> float:
    """pJ for a byte of an SRAM: a straight line between the figures of Horowitz on logarithmic scales."""
    points = [(8, 10.0), (32, 20.0), (1024, 100.0)]  # KiB, pJ for 64 bit
    (left, low), (right, high) = points[:2] if kib <= 32 else points[1:]
    slope = log(high / low) / log(right / left)
    return low * exp(slope * log(kib / left)) / 8


RULE = [  # KiB of an array, bytes of an access
    ("tpu_v1", "buffer I", 1024, 1),
    ("tpu_v1", "accumulators O", 16, 4),
    ("simba_chiplet", "GLB I", 64, 1),
    ("simba_chiplet", "PE I", 8, 1),
    ("simba_chiplet", "PE W", 32, 1),
    ("simba_chiplet", "PE O", 3, 3),
    ("nvdla_full", "CBUF I", 32, 1),
    ("nvdla_full", "CACC O", 3, 34 / 8),
    ("nvdla_full", "CACC B", 8, 1),
    ("gemmini", "scratchpad I", 64, 1),
    ("gemmini", "accumulator O", 32, 4),
    ("vta", "buffer I", 32, 1),
    ("vta", "buffer W", 256, 1),
    ("vta", "buffer O", 128, 4),
]


@pytest.mark.parametrize(("name", "part", "kib", "size"), RULE)
def test_energies_follow_the_rule(name: str, part: str, kib: float, size: float) -> None:
    assert float(measured(load_target(name), f"{part} energy")) == pytest.approx(sram(kib) * size, rel=0.01)


@pytest.mark.parametrize("name", sorted({name for name, *_ in RULE}))
def test_dram_and_macs_follow_the_rule(name: str) -> None:
    target = load_target(name)
    assert {bank.read_energy for bank in target.levels[0].banks} == {Fraction(1300, 8)}
    assert target.mac.energy == Fraction("0.3")


# docs/targets.md


def test_the_page_describes_every_target() -> None:
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| `")]
    table = {row[0].strip(" `"): (row[2].strip(), row[3].strip()) for row in rows}
    assert table == {name: (chain(load_target(name)), meshes(load_target(name))) for name in NAMES}


def chain(target: Target) -> str:
    return ", ".join(level.name for level in target.levels)


def meshes(target: Target) -> str:
    """The sizes of the arrays, outermost first."""
    return ", ".join(
        " x ".join(str(axis.size) for axis in level.fanout.axes) for level in target.levels if level.fanout
    )
