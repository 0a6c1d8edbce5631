"""The page about the IR: every example is parsed, and the table of rules is the one of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from effc import ir
from effc.ir import nests
from effc.ir.verify import GRAPH_RULES, NEST_RULES, SCHEDULE_RULES

PAGE = (Path(__file__).parents[2] / "docs" / "ir.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```ir\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CONV = nests.conv2d(n=1, k=64, c=3, p=112, q=112, r=7, s=7, stride=2, pad=3, h=224, w=224, bias=True)


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: " ".join(text.split()[:2]))
def test_examples(text: str) -> None:
    without_comments = re.sub(r"  #.*", "", text)
    match text.split()[0]:
        case "graph":
            assert ir.print_graph(ir.parse_graph(text)) == text
        case "nest" if "+=" in text:
            assert ir.print_scheduled(*ir.parse_scheduled(text)) == without_comments
        case "nest":
            assert ir.print_nest(ir.parse_nest(text)) == text
        case _:
            schedule = ir.parse_schedule(text, CONV)
            assert re.sub(r" in 0..\d+$", "", ir.print_schedule(schedule, CONV), flags=re.MULTILINE) == re.sub(
                r" in 0..\d+$", "", text, flags=re.MULTILINE
            )


def test_the_first_example_is_what_it_says() -> None:
    assert ir.parse_nest(BLOCKS[0]) == CONV
    assert ir.parse_nest(BLOCKS[1]) == nests.gemm(128, 768, 768)


def test_the_rules_are_those_of_the_code() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \| ([^|]*) \|$", PAGE, re.MULTILINE)
    assert listed == [(rule.name, rule.sentence) for rule in (*NEST_RULES, *SCHEDULE_RULES, *GRAPH_RULES)]
