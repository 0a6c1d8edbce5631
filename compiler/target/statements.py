"""The statements of a block: which must be there, and which may be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from effc.compiler.target.syntax import Node, Source

_REPEATABLE = {"", "axis", "memory", "array", "bank", "holder", "coding", "unroll", "multicast", "link"}

_WORDS = {
    "cost": "energy",
    "may_keep": "may keep",
    "sliding": "sliding windows",
    "link": "bandwidth",
    "coding": "compress",
    "zeros": "gate",
    "clocking": "clock power",
}
"""The words of statements whose rule has another name."""

_EXAMPLES = {
    "word": "`word 16 bit`",
    "clock": "`clock 200 MHz`",
    "memory": "`memory DRAM { size unbounded; energy 200x; bandwidth unlimited }`",
    "mac": "`mac { energy 1x }` or `mac { energy 2 pJ }`",
    "size": "`size 100 KiB`",
    "keeps": "`keeps ifmap, psum`",
    "energy": "`energy 6x` or `energy read 15 pJ write 15 pJ`",
    "bandwidth": "`bandwidth 64 bit/cycle` or `bandwidth unlimited`",
    "multicast": "`multicast words`",
    "reduce": "`reduce rows` or `reduce none`",
    "cost": "`energy 1x` or `energy 2 pJ`",
    "lanes": "`lanes 4`",
    "ops": "`ops Relu, MaxPool`",
    "types": "`types int8, uint8 -> int32`",
}
"""An example of every statement that can be missing."""


def statements(source: Source, block: Node, title: str, at: Node, needs: Sequence[str] = ()) -> dict[str, Node]:
    """The statements of a block by rule; of those that may be repeated, the first."""
    found: dict[str, Node] = {}
    for node in block.children:
        if node.rule in found and node.rule not in _REPEATABLE:
            first = found[node.rule].line
            expected, remedy = f"once; line {first} has it already", "remove one of the two"
            raise source.error(node, f"{title} has '{word(node.rule)}' twice", expected, remedy)
        found.setdefault(node.rule, node)
    for rule in needs:
        need(source, found, rule, title, at)
    return found


def need(source: Source, found: Mapping[str, Node], rule: str, title: str, at: Node) -> Node:
    """The statement of a rule; an error at ``at`` if it is missing."""
    if rule not in found:
        message, remedy = f"{title} has no '{word(rule)}'", f"add for example {_EXAMPLES[rule]}"
        raise source.error(at, message, f"the statement `{word(rule)}`", remedy)
    return found[rule]


def word(rule: str) -> str:
    """What the statements of a rule begin with."""
    return _WORDS.get(rule, rule)
