"""Estimates of energies and areas: the points they are fitted to, how they go with size, width and technology."""

from __future__ import annotations

import sys
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from effc.compiler.target import load_target, parse_target, print_target
from effc.compiler.target.area import area_mm2
from effc.compiler.target.estimate import (
    dram_energy,
    leakage_power,
    mac_area,
    mac_energy,
    memory_area,
    memory_energy,
)
from effc.ir.errors import InputError

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


CACTI = [
    # KiB, nm, ports: how much larger than with one port, how much more an access takes (hwcomponents-cacti 1.0.40)
    (8, 65, 2, 0.1125 / 0.0548, 13.88 / 11.13),
    (8, 65, 3, 0.1913 / 0.0548, 16.58 / 11.13),
    (32, 65, 3, 0.6630 / 0.1979, 45.52 / 30.10),
    (128, 45, 2, 0.7996 / 0.4296, 58.23 / 32.29),
    (1024, 45, 2, 6.2159 / 3.2628, 195.75 / 93.52),
    (1024, 65, 3, 21.9185 / 6.8087, 583.48 / 174.54),
]


@pytest.mark.parametrize(("kib", "nm", "ports", "area", "energy"), CACTI)
def test_ports(kib: int, nm: int, ports: int, area: float, energy: float) -> None:
    size, node = kib * KIB, NM[nm]
    assert float(memory_area(size, node, ports) / memory_area(size, node)) == pytest.approx(area, rel=0.08)
    assert float(memory_energy(size, 64, node, ports) / memory_energy(size, 64, node)) == pytest.approx(
        energy, rel=0.07
    )


def test_registers_have_two_ports_as_they_are() -> None:
    assert memory_area(KIB // 2, NM[65], 2) == memory_area(KIB // 2, NM[65])


def test_leakage() -> None:
    assert float(leakage_power(Fraction("12.25"))) == pytest.approx(30)


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


def test_ports_and_leakage_in_a_target() -> None:
    memory, text = "bandwidth unlimited }\n  mac", TEXT.format(head="leakage estimated;")
    one, two = (
        parse_target(text.replace(memory, memory.replace("unlimited", rate)))
        for rate in ("16 bit/cycle", "read 16 bit/cycle write 16 bit/cycle")
    )
    assert two.level("M").banks[0].area == memory_area(64 * KIB, NM[65], 2)
    assert two.level("M").banks[0].write_energy == memory_energy(64 * KIB, 16, NM[65], 2)
    assert one.leakage == leakage_power(area_mm2(one) or Fraction(0)) * 1000 / 100 < two.leakage
    assert parse_target(print_target(two)) == two


class Model:
    """What hwcomponents finds: a class with the name of a component and what it takes."""

    component_name = ["SRAM", "sram"]

    def __init__(self, tech_node: float, width: int, size: int) -> None: ...


class Mac:
    component_name = None

    def __init__(self, tech_node: float, adder_width: int, multiplier_width: int) -> None: ...


class FakeHwComponents(SimpleNamespace):
    """The functions of hwcomponents that effc calls, in its units: joules and square metres."""

    asked: list[Any] = []

    def get_models(self) -> list[type]:
        return [Model, Mac]

    def get_action_cost(
        self, component: str, attributes: dict[str, Any], action: str, arguments: dict[str, Any]
    ) -> SimpleNamespace:
        self.asked.append((component, attributes, action, arguments))
        if component == "unknown":
            raise ValueError("Component unknown is not supported by any models.\nAnd so on.")
        return SimpleNamespace(energy={"read": 3e-12, "write": 4e-12, "compute": 5e-12}[action])

    def get_area(self, component: str, attributes: dict[str, Any]) -> float:
        return 2e-9


BY = (
    TEXT.replace("energy estimated", "energy estimated by hwcomponents")
    .replace("area estimated; bandwidth", "area estimated by hwcomponents; bandwidth")
    .replace("mac { energy estimated by hwcomponents; area estimated", "mac { energy estimated by hwcomponents")
)


def test_by_hwcomponents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hwcomponents", FakeHwComponents())
    monkeypatch.setattr(FakeHwComponents, "asked", [])
    target = parse_target(BY.format(head=""))
    large = target.level("M").banks[0]
    assert (large.read_energy, large.write_energy, large.area) == (3, 4, 2000)
    assert target.mac.energy == 5 and target.mac.area == mac_area(16, NM[65])
    names = {"tech_node": pytest.approx(65e-9), "width": 16, "size": 64 * KIB}
    assert FakeHwComponents.asked[2] == ("SRAM", names, "read", {"bits_per_action": 16})
    assert FakeHwComponents.asked[-1][1] == {"tech_node": names["tech_node"], "adder_width": 32, "multiplier_width": 16}
    assert target.source == "" and parse_target(print_target(target)).mac == target.mac


def test_a_component_that_hwcomponents_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hwcomponents", FakeHwComponents())
    with pytest.raises(InputError) as caught:
        parse_target(
            TEXT.format(head="").replace("mac { energy estimated", 'mac { energy estimated by hwcomponents "unknown"')
        )
    assert (
        caught.value.message == "hwcomponents cannot estimate this: Component unknown is not supported by any models."
    )
    assert caught.value.place.startswith("<text>:6:16")


def test_without_hwcomponents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hwcomponents", None)
    with pytest.raises(InputError) as caught:
        parse_target(BY.format(head=""), "my.hw")
    assert caught.value.message == "hwcomponents is not installed"
    assert "pip install 'effc[hwcomponents]'" in caught.value.remedy
    assert caught.value.place == "my.hw:4:37"


def test_with_the_real_hwcomponents() -> None:
    """Where it is installed: a register of the Aladdin paper, 40 nm scaled to 65 nm."""
    pytest.importorskip("hwcomponents_library")
    text = TEXT.format(head="").replace("filter, psum 512 byte; energy estimated; area", "energy 1 pJ; area")
    register = 'memory R { filter 1 word; energy estimated by hwcomponents "Register"; bandwidth unlimited }'
    target = parse_target(text.replace("  mac", f"  {register}\n  mac"))
    assert 0.1 < float(target.level("R").banks[0].read_energy) < 0.5
