"""Remedies for words and characters that stand where they should not: what they probably meant."""

from __future__ import annotations

from collections.abc import Collection

from effc.compiler.target.suggest import did_you_mean

_BLOCKS = {
    "the target itself": "word clock technology unit leakage goal numeric memory array mac vector",
    "a memory": "size keeps may bandwidth padding buffering sliding prefetch compress bank",
    "an array": "unroll multicast reduce hop",
    "the MACs": "gate skip",
    "the vector unit": "lanes ops",
    "numeric": "types packing",
}
"""Where a statement belongs, by its first word."""

_OTHER_WORDS = {
    "ifmap": "i input inputs activation activations",
    "filter": "w weight weights kernel kernels",
    "psum": "o output outputs ofmap",
    "bias": "b",
    "size": "capacity depth",
    "clock": "frequency freq",
    "technology": "tech node process",
    "memory": "level buffer storage",
    "array": "mesh fanout spatial",
    "mac": "compute",
    "bandwidth": "bw",
    "unbounded": "unlimited infinite infinity",
    "unlimited": "unbounded",
    "read": "reads",
    "write": "writes",
    "keeps": "keep",
    "may": "bypass",
    "any": "all",
    "yes": "true on",
    "no": "false off",
}
"""Words of the language, and what others call the same."""

_HINTS = {
    '"': "close the text with a double quote on the same line",
    "'": 'put texts in double quotes: "65 nm"',
    "/": "begin a comment with `#`",
    ":": "write the value right after the word: `size 100 KiB`",
    "=": "write the value right after the word: `size 100 KiB`",
    "(": "axes stand in square brackets, statements in braces",
    ".": "write a digit before and after the point: 0.5",
    "+": "write the number without a sign",
    ";": "complete what stands in front of it",
    "}": "complete what stands in front of it",
    "²": "write mm2 or um2",
    "µ": "write u for micro: uW, um2",
    "write": "give both: `read 6x write 6x`",
}
"""A remedy by the word or character itself."""

_ONLY = {
    "a name": "write a name here, of letters, digits and `_`",
    "a number": "write a number here: 12, 0.5, 1e3 or 10/3",
    "the end of the file": "describe one target in a file, and remove what follows its `}`",
    "target": "begin with `target NAME {`",
}
"""A remedy by the only thing that is expected."""


def remedy(text: str, expected: Collection[str]) -> str:
    """What to do about ``text``, which stands where only the words and things of ``expected`` may stand."""
    words = [word for word in expected if word.isalpha()]
    meant = [word for word in words if text.lower() in _OTHER_WORDS.get(word, "").split()]
    if meant:
        return f"did you mean '{meant[0]}'?"
    near = did_you_mean(text, words, nearness=0.8 if block_of(text) else 0.6)
    if block_of(text) and words and not near:
        return f"'{text}' is a statement of {block_of(text)}"
    only = _ONLY.get(next(iter(expected)), "") if len(expected) == 1 else ""
    return near or _HINTS.get(text) or only or "for an example, see `effc targets eyeriss`"


def block_of(text: str) -> str:
    """Where the statement that begins with this word belongs; empty for any other word."""
    return next((block for block, words in _BLOCKS.items() if text in words.split()), "")
