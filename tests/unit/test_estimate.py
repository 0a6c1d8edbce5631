"""Estimates of energies and areas: the points they are fitted to, how they go with size, width and technology."""

from __future__ import annotations

from fractions import Fraction

import pytest

from effc.compiler.report.area import area_mm2
from effc.compiler.target import load_target, parse_target, print_target
from effc.compiler.target.estimate import dram_energy, mac_area, mac_energy, memory_area, memory_energy

KIB = 8 * 1024
NM = {nm: Fraction(nm) for nm in (28, 45, 65)}

PUBLISHED = [
    # what, estimate, published, tolerance
    ("Horowitz, 8 KiB", memory_energy(8 * KIB, 64, NM[45]), 10, 0.01),
    ("Horowitz, 32 KiB", memory_energy(32 * KIB, 64, NM[45]), 20, 0.01),
    ("Horowitz, 1 MiB", memory_energy(1024 * KIB, 64, NM[45]), 100, 0.01),
    ("Horowitz, MAC of 8 bit", mac_energy(8, NM[45]), 0.2 + 0.055, 0.02),
    ("Horowitz, DRAM, between his two", dram_energy(64), (1300 + 2600) / 2, 0.01),
    ("Eyeriss, half a KiB", memory_energy(KIB // 2, 16, NM[65]), 1, 0.2),
    ("Eyeriss, 108 KiB", memory_energy(108 * KIB, 16, NM[65]), 15, 0.1),
    ("Eyeriss, MAC", mac_energy(16, NM[65]), 2, 0.2),
    ("Eyeriss, DRAM", dram_energy(16), 460, 0.1),
    ("ShiDianNao, 64 KiB", memory_area(64 * KIB, NM[65]), 1.12e6, 0.05),
    ("ShiDianNao, 128 KiB", memory_area(128 * KIB, NM[65]), 1.65e6, 0.31),
    ("TPU v1, 24 MiB", memory_area(24 * 1024 * KIB, NM[28]), 0.29 * 331e6, 0.21),
]


@pytest.mark.parametrize(("what", "estimate", "published", "tolerance"), PUBLISHED, ids=lambda part: str(part))
def test_published_points(what: str, estimate: Fraction, published: float, tolerance: float) -> None:
    assert float(estimate) == pytest.approx(published, rel=tolerance), what


def test_area_of_eyeriss() -> None:
    """None of its areas is fitted to; the core takes 12.25 mm2."""
    assert float(area_mm2(load_target("eyeriss")) or 0) == pytest.approx(12.25, rel=0.15)


def test_more_of_anything_costs_more() -> None:
    for size in (100, 4096, 10 * KIB, 10**8):
        assert memory_energy(2 * size, 16, NM[65]) > memory_energy(size, 16, NM[65])
        assert memory_energy(size, 32, NM[65]) > memory_energy(size, 16, NM[65]) > memory_energy(size, 16, NM[28])
        assert memory_area(2 * size, NM[65]) > memory_area(size, NM[65]) > memory_area(size, NM[28])
    for bits in (1, 4, 8, 16, 32, 64):
        assert mac_energy(2 * bits, NM[65]) > mac_energy(bits, NM[65]) > mac_energy(bits, NM[28]) > 0
        assert mac_area(2 * bits, NM[65]) > mac_area(bits, NM[65]) > mac_area(bits, NM[28]) > 0


TEXT = """
target t {{
  word 16 bit; clock 100 MHz; technology "TSMC 65nm LP"; {head}
  memory D {{ size unbounded; energy estimated; bandwidth unlimited }}
  memory M {{ ifmap 64 KiB; filter, psum 512 byte; energy estimated; area estimated; bandwidth unlimited }}
  mac {{ energy estimated; area estimated }}
}}
"""


def test_in_a_target() -> None:
    target = parse_target(TEXT.format(head=""))
    large, small = target.level("M").banks
    assert target.levels[0].banks[0].read_energy == dram_energy(16)
    assert (large.read_energy, large.area) == (memory_energy(64 * KIB, 16, NM[65]), memory_area(64 * KIB, NM[65]))
    assert (small.write_energy, small.area) == (memory_energy(KIB // 2, 16, NM[65]), memory_area(KIB // 2, NM[65]))
    assert (target.mac.energy, target.mac.area) == (mac_energy(16, NM[65]), mac_area(16, NM[65]))
    assert parse_target(print_target(target)) == target


def test_in_multiples() -> None:
    target = parse_target(TEXT.format(head="unit 1x = 2 pJ;"))
    assert target.mac.energy == mac_energy(16, NM[65]) / 2
    assert target.mac.area == mac_area(16, NM[65])
