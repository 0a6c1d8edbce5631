"""How many bits the elements of a layer take: what makes its counts, which are of elements, traffic and capacity.

An element of floating point is one word, whatever its type: that of the bank where it is kept, of the target on its
way. An integer takes its own bits where the target packs narrow ones, or else a whole number of words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from effc.ir.graph import NestOp, Tensor
from effc.ir.nest import OUTPUT_NAME
from effc.ir.types import integer_bits


@dataclass(frozen=True, slots=True)
class Widths:
    """The bits of an element of each operand, None for one that is a word.

    The output's are those of its partial sums. If finished ones have another type, the outermost level keeps all
    ``outputs`` of them in ``finished`` bits. ``average``: of words of several types, whole ones where they have to be.
    ``epilogue``: what an epilogue reads there, on average.
    """

    elements: tuple[tuple[str, Fraction | None], ...] = ()
    finished: Fraction | None = None
    outputs: int = 0
    average: bool = False
    epilogue: Fraction | None = None

    @classmethod
    def of(cls, types: Mapping[str, str], finished: str, outputs: int) -> Widths:
        """Of operands with these types, and of an output of so many elements that leaves in the type ``finished``."""
        bits = {name: integer_bits(dtype) for name, dtype in types.items()}
        last = integer_bits(finished)
        if all(size is None for size in (*bits.values(), last)):
            return WORDS
        changed = outputs if last != bits[OUTPUT_NAME] else 0
        return cls(tuple((name, _exact(size)) for name, size in bits.items()), _exact(last), changed)

    @classmethod
    def of_nest(cls, op: NestOp, tensors: Mapping[str, Tensor]) -> Widths:
        """Of a nest whose tensors are known."""
        types = {name: tensors[view.tensor].dtype for name, view in op.uses.items()}
        return cls.of(types, tensors[op.outputs[0]].dtype, op.nest.output.words)

    def bits(self, operand: str) -> Fraction | None:
        """The bits of an element of an operand; None: it is a word."""
        return next((bits for name, bits in self.elements if name == operand), None)


WORDS = Widths()
"""Every element is a word."""


def _exact(bits: int | None) -> Fraction | None:
    return None if bits is None else Fraction(bits)
