"""The stepper: executes a schedule word by word, loop by loop, with sets and dictionaries.

It is the reference for every count: slow, obvious, and written from `docs/semantics.md` alone. It knows neither the
cost model nor the machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from effc.backends.accel.walk import Digits, Residence, Walk, Word
from effc.backends.host import run_node
from effc.compiler.target.model import Target
from effc.ir.counters import EPILOGUE_NAME, Counters
from effc.ir.epilogue_rules import QUANTISING
from effc.ir.graph import NodeOp, View
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Finish:
    """An epilogue: its steps, where the sums lie in the tensor that the first one reads, all other tensors.

    ``dtype``: the type of the sums, if they are integers.
    """

    steps: tuple[NodeOp, ...]
    view: View
    shape: tuple[int, ...]
    others: Mapping[str, Array]
    dtype: str = ""


class Stepper(Walk):
    """One run of one nest, and of the epilogue behind it if there is one."""

    def __init__(
        self,
        nest: Nest,
        schedule: Schedule,
        target: Target,
        arrays: Mapping[str, Array] | None = None,
        finish: Finish | None = None,
    ) -> None:
        super().__init__(nest, schedule, target)
        self.arrays, self.finish = arrays or {}, finish
        self.pending: dict[Word, int] = {}  # the products that an output word still lacks
        self.taken: set[tuple[str, Word]] = set()  # the words of tensors that the epilogue has read
        self.counters = Counters()
        self.initialised: set[Word] = set()

    # Movement

    def name(self, level: int) -> str:
        return self.target.levels[level].name

    def coordinates(self, instance: Digits, start: int, stop: int, *kinds: str) -> tuple[int, ...]:
        """The digits of an instance on the axes of fan-outs ``start..stop-1`` with multicast of one of ``kinds``."""
        return tuple(
            instance[position]
            for position, par, axis in self.mesh
            if start <= self.target.index[par.level] < stop and axis.multicast in kinds
        )

    def served(self, parent: int, child: int, wanted: list[tuple[Digits, set[Word]]]) -> int:
        """The words that the parent reads so that every child instance receives the words it wants."""
        united: dict[tuple[Any, Any, Any], dict[tuple[int, ...], set[Word]]] = {}
        for instance, words in wanted:
            above = self.coordinates(instance, 0, parent, "none", "tiles", "words")
            serial = self.coordinates(instance, parent, child, "none")
            shared = self.coordinates(instance, parent, child, "tiles")
            group = united.setdefault((above, serial, None), {})
            group[shared] = group.get(shared, set()) | words
        return sum(
            sum(len(words) for words in {frozenset(words) for words in group.values()}) for group in united.values()
        )

    def hop(self, operand: str, start: int, stop: int, words: int) -> None:
        """``words`` cross every fan-out between two levels."""
        for level in self.target.levels[start:stop]:
            if level.fanout is not None:
                self.counters.hop(level.name, operand, words)

    def fill(self, residence: Residence, now: Digits, sweep: bool) -> None:
        """Move the tiles of a read operand from the parent to every busy instance."""
        assert residence.parent is not None
        operand, parent = residence.operand, residence.parent
        fetched = self.stores_padding(residence) and self.stores_padding(parent)
        wanted = []
        for instance in self.instances(residence.level):
            tile = self.tile(residence, now, instance)
            if tile is None:
                continue
            key = tuple(instance.values())
            new = tile - residence.held.get(key, set()) if sweep else tile
            residence.held[key] = tile
            wanted.append((instance, {w for w in new if fetched or not self.padding(operand, w)}))
        moved = sum(len(words) for _, words in wanted)
        self.counters.write(self.name(residence.level), operand.name, moved)
        self.counters.read(self.name(parent.level), operand.name, self.served(parent.level, residence.level, wanted))
        self.hop(operand.name, parent.level, residence.level, moved)

    def start(self, residence: Residence, now: Digits) -> None:
        """Start a residence of the output: partial sums that the parent holds return to the first that needs them."""
        assert residence.parent is not None
        name, parent = residence.operand.name, residence.parent
        taken: set[tuple[Hashable, Word]] = set()
        for instance in self.instances(residence.level):
            above = self.above(instance, parent.level)
            psums = residence.psums[tuple(instance.values())] = {}
            for word in self.tile(residence, now, instance) or ():
                if word in parent.psums[above] and (above, word) not in taken:
                    taken.add((above, word))
                    psums[word] = parent.psums[above][word]
        self.counters.read(self.name(parent.level), name, len(taken))
        self.counters.write(self.name(residence.level), name, len(taken))
        self.hop(name, parent.level, residence.level, len(taken))

    def drain(self, residence: Residence) -> None:
        """End a residence of the output: the partial sums leave, those that share a word added on the way."""
        assert residence.parent is not None
        name, parent = residence.operand.name, residence.parent
        arriving: dict[Hashable, dict[Word, Any]] = defaultdict(dict)
        sent = 0
        for instance in self.instances(residence.level):
            above = arriving[self.above(instance, parent.level)]
            for word, value in residence.psums.pop(tuple(instance.values()), {}).items():
                above[word] = above[word] + value if word in above else value
                sent += 1
        for key, words in arriving.items():
            if parent.level == 0:
                words = {word: self.finished(word, value) for word, value in words.items()}
            parent.psums[key].update(words)
        self.counters.read(self.name(residence.level), name, sent)
        self.counters.write(self.name(parent.level), name, sum(len(words) for words in arriving.values()))
        self.hop(name, parent.level, residence.level, sent)

    def above(self, instance: Digits, level: int) -> tuple[int, ...]:
        """The instance of an outer level that an instance lies under."""
        return tuple(instance[position] for position, par, _ in self.mesh if self.target.index[par.level] < level)

    # Work

    def mac(self, now: Digits) -> None:
        """One executed iteration: every busy lane multiplies and accumulates."""
        lanes, bottom = [], len(self.target.levels)
        for instance in self.instances(bottom):
            reach = {dim: self.indices(dim, {**now, **instance}) for dim in self.chains}
            if all(reach.values()):
                lanes.append((instance, {dim: indices[0] for dim, indices in reach.items()}))
        self.counters.cycles += 1
        self.counters.macs += len(lanes)
        for operand in self.nest.reads:
            self.read_operand(self.residences[operand.name][-1], lanes)
        self.update(lanes)

    def read_operand(self, residence: Residence, lanes: list[tuple[Digits, dict[str, int]]]) -> None:
        """The lanes read one word each of a read operand."""
        operand, bottom = residence.operand, len(self.target.levels)
        words = [(i, self.word(operand, point, self.stores_padding(residence))) for i, point in lanes]
        wanted = [(instance, {word}) for instance, word in words if word is not None]
        self.counters.read(self.name(residence.level), operand.name, self.served(residence.level, bottom, wanted))
        self.hop(operand.name, residence.level, bottom, len(wanted))

    def update(self, lanes: list[tuple[Digits, dict[str, int]]]) -> None:
        """The products of the lanes arrive at the innermost memory of the output, those for one word as one update."""
        residence, output = self.residences[self.nest.output.name][-1], self.nest.output
        arriving: dict[tuple[Hashable, Word], Any] = {}
        for instance, point in lanes:
            word = self.word(output, point, False)
            assert word is not None
            key = (self.above(instance, residence.level), word)
            arriving[key] = arriving.get(key, 0) + self.product(point)
            self.pending[word] = self.pending.get(word, self.sum_length()) - 1
        self.hop(output.name, residence.level, len(self.target.levels), len(lanes))
        level = self.name(residence.level)
        for (above, word), value in arriving.items():
            value = value + self.initial(word)
            psums = residence.psums[above]
            self.counters.read(level, output.name, int(word in psums))
            self.counters.write(level, output.name, 1)
            psums[word] = psums[word] + value if word in psums else value
            if residence.level == 0:
                psums[word] = self.finished(word, psums[word])

    def sum_length(self) -> int:
        """The products that are added up to an output word."""
        return prod(self.nest.bounds[dim] for dim in self.nest.reduction_dims)

    def finished(self, word: Word, value: Any) -> Any:
        """What comes to the outermost level: the sums, as long as products are missing, then the last step's result."""
        if self.finish is None or self.pending[word]:
            return value
        value = np.array(value, self.finish.dtype) if self.finish.dtype else value
        view, made = self.finish.view, {self.finish.view.tensor: value}
        address = view.offset + sum(stride * index for stride, index in zip(view.strides, word))
        place = tuple(int(i) for i in np.unravel_index(address, self.finish.shape))
        for step in self.finish.steps:
            inputs = [made[name] if name in made else self.other(step, name, place) for name in step.inputs]
            made[step.outputs[0]] = run_node(step, [None if x is None else np.reshape(x, (1,)) for x in inputs])[0]
            self.counters.results += 1
        return made[self.finish.steps[-1].outputs[0]][0]

    def other(self, step: NodeOp, name: str, place: Word) -> Any:
        """The word of another tensor, as broadcast to a place; read when it is needed for the first time."""
        if not name:
            return None
        assert self.finish is not None
        array = self.finish.others[name]
        if step.op in QUANTISING and array.ndim == 1:
            place = (place[axis_of(step)],)
        index = tuple(0 if size == 1 else i for i, size in zip(place[len(place) - array.ndim :], array.shape))
        self.counters.read(self.name(0), EPILOGUE_NAME, int((name, index) not in self.taken))
        self.taken.add((name, index))
        return array[index]

    def initial(self, word: Word) -> Any:
        """What an output word starts from at its first update in the run: its bias, read here, or zero."""
        bias = self.nest.bias
        if bias is None or word in self.initialised:
            return 0
        self.initialised.add(word)
        residence = self.residences[bias.name][-1]
        self.counters.read(self.name(residence.level), bias.name, 1)
        self.hop(bias.name, residence.level, len(self.target.levels), 1)
        axes = [(axis, index) for axis, index in zip(self.nest.output.axes, word) if axis.terms]
        point = {axis.dims[0]: (index - axis.offset) // axis.terms[0][0] for axis, index in axes}
        index = tuple(sum(c * point[d] for c, d in axis.terms) + axis.offset for axis in bias.axes)
        return self.arrays[bias.name][index] if self.arrays else 0

    def product(self, point: dict[str, int]) -> Any:
        """The product of the read operands at a point; padding is zero."""
        value: Any = 1
        for operand in self.nest.reads:
            word = self.word(operand, point, False)
            value = value * (0 if word is None else self.arrays[operand.name][word] if self.arrays else 1)
        return value

    def run(self) -> tuple[Array, Counters]:
        """Run the nest; returns the output, of shape ``nest.output.shape``, and what was counted."""
        reads = [r for name, chain in self.residences.items() if name != self.nest.output.name for r in chain[1:]]
        psums = self.residences[self.nest.output.name][1:]
        first = True
        for changed, now in self.executed():
            for residence in reversed(psums):
                if not first and changed < residence.fill_depth:
                    self.drain(residence)
            for residence in psums:
                if first or changed < residence.fill_depth:
                    self.start(residence, now)
            for residence in reads:
                if first or changed < residence.fill_depth:
                    self.fill(residence, now, not first and self.sweeps(residence, changed))
            self.mac(now)
            first = False
        for residence in reversed(psums):
            self.drain(residence)
        dtype = next(iter(self.arrays.values())).dtype if self.arrays else np.dtype(np.int64)
        output = np.zeros(self.nest.output.shape, dtype)
        for word, value in self.residences[self.nest.output.name][0].psums[()].items():
            output[word] = value
        return output, self.counters

    def sweeps(self, residence: Residence, changed: int) -> bool:
        """Whether the step that changed loop ``changed`` moves only the new words."""
        dims = {loop.dim for _, loop in self.time[changed : residence.fill_depth]}
        return self.target.levels[residence.level].sliding and len(dims) == 1


def axis_of(step: NodeOp) -> int:
    """The axis that the parameters of a QuantizeLinear or a DequantizeLinear lie along."""
    import onnx

    node = onnx.NodeProto.FromString(step.node)
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def run(
    nest: Nest,
    schedule: Schedule,
    target: Target,
    arrays: Mapping[str, Array] | None = None,
    finish: Finish | None = None,
) -> tuple[Array, Counters]:
    """Execute a legal schedule of ``nest`` on ``target``; without ``arrays`` every operand word counts as one."""
    return Stepper(nest, schedule, target, arrays, finish).run()
