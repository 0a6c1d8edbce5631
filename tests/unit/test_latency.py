"""Latency: what overlaps, what waits, and which ports and networks words pass; cycles worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.target import Target, parse_target
from effc.ir import nests, parse_schedule

NEST = nests.gemm(m=4, n=6, k=8)  # O[m, n] += I[m, k] * W[k, n]

SCHEDULE = """
keep I @ L
keep W @ L
for N in 0..6 by 2
  keep O @ L
  keep W @ R
  for M
    keep I @ R
    for K
      par N @ L.x
"""


def machine(level: str = "", array: str = "", register: str = "", ports: str = "bandwidth unlimited") -> Target:
    return parse_target(
        f"""
        target t {{
          word 16 bit
          clock 100 MHz
          memory D {{ size unbounded; energy 1x; {ports} }}
          memory L {{ size 400 words; keeps ifmap, psum; may keep filter; energy 1x; {level or "bandwidth unlimited"} }}
          array A [2 x] {{ {array} multicast words; reduce none }}
          memory R {{ ifmap 8 words; filter 8 words; energy 1x; bandwidth unlimited; {register} }}
          mac {{ energy 1x }}
        }}"""
    )


def cost(target: Target, text: str = SCHEDULE) -> Evaluation:
    return evaluate(NEST, parse_schedule(text, NEST), target)


COMPUTE = 3 * 4 * 8
"""Iterations: pairs of columns, rows, products."""


def test_without_limits_the_macs_alone_take_time() -> None:
    found = cost(machine())
    assert (found.cycles, found.latency.bound_by, found.latency.ports) == (COMPUTE, "compute", {})


def test_exposed_fills_add_up() -> None:
    """One word per cycle: W, 16 words for each of three fills of the registers, and I, 8 words for each of twelve."""
    found = cost(machine("bandwidth 1 word/cycle"))
    assert found.latency.ports == {"L port": 32 + 48 + 3 * 16 + 12 * 8 + 2 * (COMPUTE * 2) - 24 + 24}
    assert found.latency.bound_by == "L port"
    assert found.cycles == found.latency.ports["L port"]  # which does everything that is waited for itself


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_networks(bits: int) -> None:
    """Of each operand one network; what both PEs need passes it once; the work waits for each word."""
    found = cost(machine(array=f"bandwidth ifmap {bits} bit/cycle; bandwidth filter {bits} bit/cycle;"))
    slower = 16 // bits
    assert found.latency.ports == {"A I port": 12 * 8 * slower, "A W port": 3 * 16 * slower}
    assert found.cycles == COMPUTE + (12 * 8 + 3 * 16) * slower
    assert found.latency.bound_by == ("compute" if bits == 16 else "A I port")


def test_operands_share_a_network() -> None:
    found = cost(machine(array="bandwidth ifmap, filter 1 word/cycle;"))
    assert found.latency.ports == {"A I+W port": 12 * 8 + 3 * 16}


def test_ways_of_a_network() -> None:
    """Sums leave the PEs in every iteration, a word each, on the way outwards only."""
    found = cost(machine(array="bandwidth psum read 1 word/cycle write 1 word/cycle;"))
    assert found.latency.ports == {"A O write": 2 * COMPUTE}
    assert found.cycles == 2 * COMPUTE


LINKS = "bandwidth ifmap 1 word/cycle; bandwidth filter 1 word/cycle;"


def test_a_buffet_waits_for_the_first_fill_of_every_phase() -> None:
    """New filters stop the work three times; each time the first row of the ifmap is waited for, the others are not."""
    found = cost(machine(array=LINKS, register="buffering buffet for ifmap"))
    assert found.cycles == COMPUTE + 3 * 16 + 3 * 8


def test_without_stops_there_is_one_phase() -> None:
    """The first filters and the first row of the ifmap come at the same time, where they do not share a network."""
    found = cost(machine("bandwidth unlimited; buffering buffet", LINKS, "buffering buffet"))
    assert found.cycles == COMPUTE + 16
    shared = "bandwidth ifmap, filter 1 word/cycle;"
    assert cost(machine("bandwidth unlimited; buffering buffet", shared, "buffering buffet")).cycles >= COMPUTE + 16 + 8


BURST = """
target burst {
  word 16 bit
  clock 100 MHz
  memory D { size unbounded; energy 1x; bandwidth unlimited }
  memory L {
    bank { size 400 words; keeps psum; energy 1x; bandwidth unlimited }
    bank { size 400 words; may keep bias; energy 1x; bandwidth 1 word/cycle }
  }
  array A [4 x] { multicast words; reduce none }
  mac { energy 1x }
}
"""


def test_macs_stop_for_the_bias() -> None:
    """Four words of it in each first update: three cycles more than other iterations take; and four that come first."""
    nest = nests.conv2d(n=1, k=4, c=5, p=3, q=1, r=1, s=1, bias=True)
    text = "keep O @ L\nkeep B @ L\nfor P\n  for C\n    par K @ L.x\n"
    found = evaluate(nest, parse_schedule(text, nest), parse_target(BURST))
    assert (found.counters.cycles, found.cycles) == (3 * 5, 4 + 3 * 5 + 3 * 3)


def test_buffets_need_no_room_and_double_buffers_twice_the_room() -> None:
    buffet = cost(machine(array=LINKS, register="buffering buffet"))
    assert buffet.counts.tiles["R", "W"] == 8
    halved = """
    keep I @ L
    keep W @ L
    for N in 0..6 by 2
      keep O @ L
      for K in 0..8 by 4
        keep W @ R
        for M
          keep I @ R
          for K
            par N @ L.x
    """
    double = machine(array=LINKS, register="buffering double")
    assert cost(double, halved).counts.tiles["R", "W"] == 4
    with pytest.raises(Exception, match="tiles of I 8 words need 8 words, 4 fit"):
        cost(double)


def test_stops_further_in_begin_no_phase() -> None:
    """Where a row of the ifmap stays for all filters, the next one comes in meanwhile."""
    once = """
    keep I @ L
    keep W @ L
    keep O @ L
    for M
      keep I @ R
      for N in 0..6 by 2
        keep W @ R
        for K
          par N @ L.x
    """
    found = cost(machine(array=LINKS, register="buffering buffet for ifmap"), once)
    assert found.latency.bound_by == "A W port"
    assert found.cycles == COMPUTE + 12 * 16 + 8


def test_drains() -> None:
    """Of a single-buffered psum memory every drain is waited for; of a buffet the last one."""
    ports, level = "bandwidth read unlimited write 1 word/cycle;", "buffering buffet for psum"
    assert cost(machine(ports=ports)).cycles == COMPUTE + 24
    assert cost(machine(ports=ports, level=f"bandwidth unlimited; {level}")).cycles == COMPUTE + 8


PASSING = SCHEDULE.replace("keep W @ L\n", "")


@pytest.mark.parametrize(("words", "waits"), [(0, 3 * 32), (8, 32 + 2 * 16), (16, 32 + 2 * 16), (99, 32 + 2 * 16)])
def test_prefetch(words: int, waits: int) -> None:
    """Filters of 16 words take two cycles a word from D, but for what waits in L after the first; one in the array."""
    ports = "bandwidth read 8 bit/cycle write unlimited;"
    level = "bandwidth unlimited; buffering buffet;" + (f" prefetch filter {words} words" if words else "")
    target = machine(level, "bandwidth filter 1 word/cycle;", "buffering buffet for ifmap", ports)
    found = cost(target, PASSING)
    ifmap = 32 * 2  # the first fill of L
    assert found.latency.ports == {"D read": (32 + 48) * 2, "A W port": Fraction(48)}
    assert found.cycles == COMPUTE + ifmap + waits
