"""Energies and areas that no publication gives, from technology, size, width and ports: fits to published points.

* *Horowitz*: "Computing's Energy Problem (and what we can do about it)", ISSCC 2014, for 45 nm: 64 bit of an SRAM of
  8 KiB, 32 KiB and 1 MiB 10, 20 and 100 pJ; of a DRAM 1.3 to 2.6 nJ; multiplications of 8 and 32 bit 0.2 and 3.1 pJ in
  282 and 3495 um2, additions 0.03 and 0.1 pJ in 36 and 137 um2. Between the points (and beyond them) straight lines on
  logarithmic scales.
* *Eyeriss*, 65 nm (JSSC 2017): 16 bit of half a KiB 1 pJ, of 108 KiB 15 pJ, a MAC of 16 bit 2 pJ. From 45 nm to 65 nm
  these take 1.9 times as much on the average: energy goes with the technology to the power of 1.7, and the three
  come out 17 % above, 9 % above and 17 % below.
* *Area of memories*: 64 and 128 KiB of ShiDianNao (ISCA 2015, 65 nm) take 1.12 and 1.65 mm2, 24 MiB of TPU v1 (ISCA
  2017, 28 nm) 29 % of 331 mm2. Scaled to 65 nm by the square of the technology that is 2.05 um2 a bit, give or take
  30 %, whatever the size. Half a KiB and less are registers: a rule of thumb gives ten gates of 1.44 um2 to a bit,
  for the flip-flop, its way out and the space between. A straight line in between.
* *Ports*: CACTI 7, run as hwcomponents-cacti 1.0.40 for 8 KiB to 1 MiB at 22, 45 and 65 nm. Every port beside the first
  makes a memory 0.4 times longer and wider (area within 8 % for two and three ports, at 45 and 65 nm). An access takes
  0.25 times more with each up to 32 KiB, 0.77 times at 128 KiB, 1.1 times at 1 MiB (within 7 %). Registers have two
  ports as they are.
* *Leakage*: Eyeriss, 30 mW for a core of 12.25 mm2 in a low-power process of 65 nm. One point: taken for every area,
  whatever the technology. A process made for speed leaks ten times as much.

What is estimated is an estimate: within a factor of two where nobody looked. Not checked against the text of the
publication, but quoted at second hand: Horowitz's areas, the area of a part of TPU v1, that of ShiDianNao's memories
(with its other parts they add up to the 4.86 mm2 published).
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import exp, log

_KIB = 8 * 1024
_ENERGY_EXPONENT = 1.7

Points = tuple[tuple[float, float], ...]

_SRAM_PJ: Points = ((8 * _KIB, 10.0), (32 * _KIB, 20.0), (1024 * _KIB, 100.0))  # bits, pJ for 64 bit, 45 nm
_MULTIPLY_PJ: Points = ((8, 0.2), (32, 3.1))  # bits, pJ, 45 nm
_ADD_PJ: Points = ((8, 0.03), (32, 0.1))
_MULTIPLY_UM2: Points = ((8, 282.0), (32, 3495.0))
_ADD_UM2: Points = ((8, 36.0), (32, 137.0))
_BIT_UM2: Points = ((0.5 * _KIB, 14.4), (64 * _KIB, 2.05))  # bits, um2 a bit, 65 nm
_DRAM_PJ = 1950 / 64  # a bit
_PORT_SIDE = 0.4
_PORT_PJ: Points = ((32 * _KIB, 0.25), (128 * _KIB, 0.77), (1024 * _KIB, 1.1))  # bits, times more for each port
_REGISTERS = 0.5 * _KIB  # bits
_LEAKAGE = 30 / 12.25  # mW / mm2


def dram_energy(bits: int) -> Fraction:
    """pJ for an access of so many bits of a DRAM, whatever the technology of the chip."""
    return _rounded(_DRAM_PJ * bits)


def memory_energy(size: int, bits: int, nm: Fraction, ports: int = 1) -> Fraction:
    """pJ for an access of ``bits`` of a memory of ``size`` bits."""
    (small, least), *_, (large, most) = _PORT_PJ
    more = least if size <= small else most if size >= large else _line(_PORT_PJ, size)
    extra = 1 + (ports - 1) * more * (size > _REGISTERS)
    return _rounded(_line(_SRAM_PJ, size) / 64 * bits * _energy_scale(nm) * extra)


def memory_area(size: int, nm: Fraction, ports: int = 1) -> Fraction:
    """um2 of a memory of ``size`` bits."""
    (small, _), (large, _) = _BIT_UM2
    extra = (1 + (ports - 1) * _PORT_SIDE * (size > _REGISTERS)) ** 2
    return _rounded(size * _line(_BIT_UM2, min(max(size, small), large)) * float(nm / 65) ** 2 * extra)


def leakage_power(mm2: Fraction) -> Fraction:
    """mW of a chip of so many square millimetres."""
    return _rounded(_LEAKAGE * float(mm2))


def mac_energy(bits: int, nm: Fraction) -> Fraction:
    """pJ of a multiplication of two words of ``bits`` and an addition of twice as many."""
    return _rounded((_line(_MULTIPLY_PJ, bits) + _line(_ADD_PJ, 2 * bits)) * _energy_scale(nm))


def mac_area(bits: int, nm: Fraction) -> Fraction:
    """um2 of the same."""
    return _rounded((_line(_MULTIPLY_UM2, bits) + _line(_ADD_UM2, 2 * bits)) * float(nm / 45) ** 2)


def _energy_scale(nm: Fraction) -> float:
    return float(float(nm / 45) ** _ENERGY_EXPONENT)


def _line(points: Points, at: float) -> float:
    """The straight line, on logarithmic scales, through the two points around ``at``, or the nearest two."""
    pairs = list(pairwise(points))
    (x0, y0), (x1, y1) = next((pair for pair in pairs if at <= pair[1][0]), pairs[-1])
    return y0 * exp(log(y1 / y0) / log(x1 / x0) * log(at / x0))


def _rounded(value: float) -> Fraction:
    """Three digits: more would say more than is known."""
    return Fraction(f"{value:.3g}")
