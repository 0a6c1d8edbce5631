"""The problem as the kernel reads it, and the kernel's answer as a schedule."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, product
from math import gcd
from struct import pack

from effc.compiler.search.bounds import cycles_floor
from effc.compiler.search.cycles import Words, Work, Works
from effc.compiler.search.mesh import fewest_iterations
from effc.compiler.search.problem import CYCLES, MACS, Problem, Setting, Term, Unroll
from effc.compiler.search.tiles import sharing_fanout, windowed_dims
from effc.compiler.search.windows import Window, contiguous_is_best, divisors, indices, ordered, pieces, relaxed, tables
from effc.ir.nest import Operand
from effc.ir.schedule import For, Item, Keep, Par, Schedule

IRRELEVANT, PLAIN, WINDOW = 0, 1, 2
FANOUT = "fan-out"
"""What stands for an operand in the mark of a fan-out whose pars may stand anywhere."""

KINDS = ("all", "busiest", "first", "events", "between")
OVERLAPS, STOPS, TO_MACS = 0, 1, 2
STEADY, TIMED, PRODUCT, FRONT = 0, 1, 2, 3

Key = tuple[str, int, int, int, bool, int, int]
"""What the factors depend on: operand, mark, axes of instances that move alike and apart, padding, kind, own axes."""

ITERATIONS: Key = (CYCLES, MACS, 0, 0, False, 0, 0)


@dataclass(frozen=True)
class Groups:
    """The dims, sorted into groups: those that a window couples, and every other one alone."""

    groups: tuple[tuple[str, ...], ...]
    windows: dict[tuple[str, int], Window]  # by operand and group

    @property
    def dims(self) -> list[str]:
        return [dim for group in self.groups for dim in group]


def groups_of(problem: Problem) -> Groups | None:
    """None if windows couple more than two dims, or one operand's windows overlap."""
    groups: list[tuple[str, ...]] = []
    windows: dict[tuple[str, int], Window] = {}
    for window in problem.windows:
        names = window.names
        if names not in groups:
            if len(names) > 2 or any(set(names) & set(group) for group in groups):
                return None
            groups.append(names)
        if (window.operand, groups.index(names)) in windows:
            return None
        windows[window.operand, groups.index(names)] = window
    coupled = {dim for group in groups for dim in group}
    groups += [(dim,) for dim in problem.dims if dim not in coupled]
    return Groups(tuple(groups), windows)


def contiguous(problem: Problem, trial: bool = True) -> bool:
    """Whether contiguous tiles of windows are the best there are; without a trial only what a theorem says."""
    windows = [window for window in problem.windows if len(window.dims) > 1]
    return all(contiguous_is_best(tuple(dim[1:] for dim in w.dims), w.offset, w.size, trial) for w in windows)


class Encoder:
    """Writes a problem down as integers; see ``read_problem`` in the kernel.

    ``loose``: the bias takes no room, unless its marks may be anywhere; identical tiles and windows cost what they
    cost at least, so that the optimum is a lower bound of that of all steps that divide. ``relaxed``: so do all
    chains, and the lower bound is that of the whole space. ``trial``: see ``contiguous``. ``outermost``: the marks
    of the bias stand outside all others, where it moves least and takes most room. ``known``: energy and cycles of
    points of a front; only what is better in one of both than each of them is looked for. ``fewest``: cycles that
    no schedule undercuts. ``slowest``: iterations that none may exceed, if not 0, where ports are not limited.
    ``every``: chains have loops in all segments, and none stands for another one; with ``whole``: walks, from the
    attribute ``start`` on. ``fanout``: the level whose fan-out may stand anywhere among the loops of windows; what
    instances share of identical tiles is counted.
    """

    def __init__(
        self,
        problem: Problem,
        groups: Groups,
        loose: bool = False,
        relaxed: bool = False,
        trial: bool = True,
        outermost: bool = True,
        known: Sequence[tuple[Fraction, int]] = (),
        fewest: int = 0,
        least: Fraction = Fraction(0),
        slowest: int = 0,
        whole: bool = False,
        every: bool = False,
        fanout: int | None = None,
    ) -> None:
        self.problem, self.groups, self.loose = problem, groups, loose or relaxed or whole
        self.fanout = fanout
        self.relaxed, self.whole, self.every = relaxed or whole, whole, every
        self.outermost = outermost
        self.light = (self.loose or every) and outermost and not (whole and every)
        self.known = known
        self.start = [0, 0]
        self.slowest, self.least = slowest, least
        self.fewest = max(fewest, cycles_floor(problem.nest, problem.target))
        if problem.counts_cycles:
            divide = not self.relaxed
            self.fewest = max(self.fewest, fewest_iterations(problem.nest, problem.unrolls, divide))
        self.scattered = loose and not contiguous(problem, trial)
        self.dims = groups.dims
        self.operands = list(problem.nest.operands.values())
        self.names = [*(operand.name for operand in self.operands), CYCLES]
        self.names += [FANOUT] * (fanout is not None)
        self.settings = list(problem.settings())
        self.ports: list[str] = []
        self.slides = [slides for setting in self.settings for slides in self.sweeps(setting)]
        self.twins = problem.nest.bias is not None and not (outermost or self.relaxed)

    def kind(self, operand: Operand, dim: str) -> int:
        if dim not in operand.dims:
            return IRRELEVANT
        windows = self.groups.windows.items()
        return WINDOW if any(name == operand.name and dim in w.names for (name, _), w in windows) else PLAIN

    def encode(self) -> bytes:
        problem, groups = self.problem, self.groups.groups
        used = list(self.groups.windows)
        settings = [self.setting(setting, slides) for setting, slides in self.slides]
        if self.twins:
            settings += [self.setting(setting, slides, twin=True) for setting, slides in self.slides]
        out = [len(self.dims), len(groups), len(problem.unrolls), len(self.names), len(used)]
        out += [len(settings), self.relaxed + self.whole, self.mode]
        out += [
            len(self.ports),
            self.fewest,
            *bits(self.least * problem.prices.scale),
            self.slowest,
            int(self.every),
            0 if self.fanout is None else self.names.index(FANOUT),
            len(self.known),
        ]
        for energy, cycles in self.known:
            out += [*bits(energy * problem.prices.scale), *bits(cycles)]
        for dim in self.dims:
            out += [problem.nest.bounds[dim], next(i for i, group in enumerate(groups) if dim in group)]
        for unroll in problem.unrolls:
            out += [unroll.size, sum(1 << i for i, dim in enumerate(self.dims) if dim in unroll.dims), unroll.level]
        for operand in self.operands:
            out += [self.kind(operand, dim) for dim in self.dims]
            out += [used.index((operand.name, g)) if (operand.name, g) in used else -1 for g in range(len(groups))]
        out += [IRRELEVANT] * len(self.dims) + [-1] * len(groups)
        if self.fanout is not None:
            windowed = windowed_dims(problem)
            out += [WINDOW if dim in windowed else IRRELEVANT for dim in self.dims] + [-1] * len(groups)
        for key in used:
            out += [self.outside(self.groups.windows[key]), *self.window(self.groups.windows[key])]
        out += chain.from_iterable(settings)
        out += self.start
        return array("q", out).tobytes()

    def sweeps(self, setting: Setting) -> Iterator[tuple[Setting, dict[int, int]]]:
        """The setting with every choice of the group whose window slides at each mark."""
        sliding = [
            mark
            for mark, (operand, level) in enumerate(setting.marks)
            if self.relaxed
            and self.problem.target.levels[level].sliding
            and any(name == operand and len(window.dims) > 1 for (name, _), window in self.groups.windows.items())
        ]
        if self.whole:
            yield setting, dict.fromkeys(sliding, 1)
            return
        choices = [
            [g + 1 for (name, g), w in self.groups.windows.items() if name == setting.marks[m][0] and len(w.dims) > 1]
            for m in sliding
        ]
        for chosen in product(*choices):
            yield setting, dict(zip(sliding, chosen))

    def outside(self, window: Window) -> int:
        """How many words a contiguous tile may have less than others: points outside the axis."""
        index = indices(tuple(dim[1:] for dim in window.dims), window.offset)
        outside = int(((index < 0) | (index >= window.size)).sum())
        return index.size if self.scattered else outside

    def window(self, window: Window) -> list[int]:
        dims = tuple(dim[1:] for dim in window.dims)
        if self.whole:
            return self.swept_window(window)
        if self.relaxed:
            return self.relaxed_window(window)
        count = relaxed if self.scattered else tables
        counted = [count(dims, window.offset, window.size, padding) for padding in (False, True)]
        sizes = [len(divisors(bound)) for _, bound in dims]
        out = [sizes[0], sizes[1] if len(sizes) > 1 else 1]
        for table in counted:
            out += table.words
        for table in counted:
            out += table.largest
        for table in counted:
            out += table.first
        return out if self.fanout is None else out + self.index(window)

    def index(self, window: Window) -> list[int]:
        """Both dims and their coefficients, offset, and size."""
        names, steps = [self.dims.index(dim[0]) for dim in window.dims], [dim[1] for dim in window.dims]
        none = 2 - len(names)
        return [*names, *[-1] * none, *steps, *[0] * none, window.offset, window.size]

    def swept_window(self, window: Window) -> list[int]:
        """Both dims, residues of inner indices, how far those of one reach, words touched, and the axis."""
        pair = ordered(window.dims)
        (_, u, _), (_, v, r) = pair if len(pair) == 2 else (*pair, ("", 0, 1))
        modulus = u // gcd(u, v)
        reach = v // gcd(u, v) * (-(-r // modulus) - 1)
        dims = [self.dims.index(dim[0]) for dim in pair]
        return [*dims, *[-1] * (2 - len(dims)), modulus, reach, *window.touched(), u, v, window.offset, window.size]

    def relaxed_window(self, window: Window) -> list[int]:
        dims = tuple(dim[1:] for dim in window.dims)
        counted = [pieces(dims, window.offset, window.size, padding) for padding in (False, True)]
        out = [dims[0][1] + 1, dims[1][1] + 1 if len(dims) > 1 else 2]
        for table in counted:
            out += table.words
        for table in counted:
            out += table.largest
        return out

    def setting(self, setting: Setting, slides: dict[int, int], twin: bool = False) -> list[int]:
        """``twin``: with the bias outside all else, where it takes no room."""
        family = next(i for i, (other, _) in enumerate(self.slides) if other is setting)
        outermost, light, place = self.outermost or twin, self.light or twin, self.slides.index((setting, slides))
        out = [family + len(self.slides) * twin]
        out += [place + len(self.slides) if self.twins and not twin else -1]
        out += [len(setting.marks) + (self.fanout is not None)]
        for operand, level in setting.marks:
            fixed = sum(1 << i for i, unroll in enumerate(self.problem.unrolls) if unroll.level < level)
            first = outermost and self.is_bias(setting, setting.marks.index((operand, level)))
            shut = sum(2 << i for i, dim in enumerate(self.dims) if dim in self.problem.shut(operand, level))
            out += [self.names.index(operand), fixed, int(self.problem.stored(level)), int(first) + shut]
        if self.fanout is not None:
            out += [self.names.index(FANOUT), 0, 0, 0]
        out += [*setting.weights, *[0] * (self.fanout is not None)]
        terms, constant = self.merged(setting)
        timed = self.works(setting, terms) if self.problem.timed else self.compute(terms)
        if self.every and self.problem.timed:
            timed += self.phases(setting, terms)
        out.append(len(terms))
        for (operand, mark, irrelevant, window, padding, kind, own), coefficient in terms.items():
            out += [coefficient, self.names.index(operand), mark, irrelevant, window, int(padding), slides.get(mark, 0)]
            out += [kind, own]
        out += [constant, len(setting.capacities)]
        for room, held in setting.capacities:
            out += [room, sum(1 << mark for mark in held if not (light and self.is_bias(setting, mark)))]
        return out + timed

    def works(self, setting: Setting, terms: dict[Key, int]) -> list[int]:
        """The transfers of a setting; adds the terms that they need."""
        compute = number_of(ITERATIONS, terms)
        works = [work for work in Works(self.problem, setting.marks).all() if work.loads]
        works.sort(key=lambda work: len(setting.marks) if work.mark == MACS else work.mark)
        out = [*bits(self.problem.prices.cycle), compute, len(works)]
        for work in works:
            out += self.work(work, len(setting.marks), terms)
        return out

    def phases(self, setting: Setting, terms: dict[Key, int]) -> list[int]:
        """Of each mark the term of the loops outside, the level, and whether its fills stop the work; of those that do
        the terms of the loops between it and each mark.
        """

        def term(mark: int, kind: str, since: int = 0) -> int:
            return number_of((CYCLES, mark, 0, 0, False, KINDS.index(kind), since), terms)

        stops = [not self.problem.target.levels[level].overlaps(name) for name, level in setting.marks]
        out = []
        for mark, (_, level) in enumerate(setting.marks):
            out += [term(mark, "all"), level, int(stops[mark])]
        for mark in range(len(setting.marks)):
            out += [term(other, "between", mark) for other in range(len(setting.marks)) if stops[mark]]
        return out

    def compute(self, terms: dict[Key, int]) -> list[int]:
        """The same where nothing but the iterations takes cycles: the term of these, which may have a price."""
        if self.slowest:
            terms.setdefault(ITERATIONS, 0)
        return [*bits(0), list(terms).index(ITERATIONS) if ITERATIONS in terms else -1, 0]

    def work(self, work: Work, marks: int, terms: dict[Key, int]) -> list[int]:
        def term(words: Words | None) -> int:
            return -1 if words is None else number_of(self.key(words), terms)

        kind = TO_MACS if work.mark == MACS else STOPS if work.stops else OVERLAPS
        room, first, level = work.fifo or (Fraction(0), None, 0)
        unit = 0 if first is None else self.unit(first)
        out = [marks if work.mark == MACS else work.mark, kind, term(first), *bits(room), *bits(unit), len(work.loads)]
        for load in work.loads:
            each, less = load.bits / load.port.bandwidth, load.less / load.port.bandwidth
            if load.port.name not in self.ports:
                self.ports.append(load.port.name)
            out += [self.ports.index(load.port.name), term(load.words), term(load.back), term(load.first)]
            out += [int(first is not None and load.level < level)]
            out += [*bits(each * self.unit(load.words)), *bits(each), *bits(less)]
        return out

    def key(self, words: Words) -> Key:
        """The term of words that pass a port."""
        term = Term(0, words.operand, words.parent, words.child, words.mark, words.reads, words.padding)
        if words.kind == "events":
            return (words.operand, words.mark, 0, 0, False, KINDS.index("events"), 0)
        own = self.own(words)
        alone = self.axes(lambda u: self.multicast(term, u.level, u.multicast) == "none") if words.reads else 0
        if words.kind == "busiest" and not own:
            return (words.operand, words.mark, self.moved(term), self.apart(term), words.padding, 0, 0)
        return (words.operand, words.mark, alone, self.apart(term), words.padding, KINDS.index(words.kind), own)

    def own(self, words: Words) -> int:
        """The axes over which each instance has a part of the words."""
        level = words.parent if words.reads else words.child
        return self.axes(lambda u: u.level < level and u.size > 1 and bool(u.dims))

    def unit(self, words: Words) -> int:
        """The words that a term counts as one: those of its plain dims that the kernel leaves out."""
        if words.kind == "first":
            return 1
        own = self.own(words)
        parts = frozenset[str]().union(*(u.dims for i, u in enumerate(self.problem.unrolls) if own >> i & 1))
        return self.problem.words(self.problem.nest.operands[words.operand], frozenset(self.dims) - parts)

    @property
    def mode(self) -> int:
        """What is compared."""
        if self.known:
            return FRONT
        return PRODUCT if self.problem.product else TIMED if self.problem.timed else STEADY

    @property
    def monotone(self) -> bool:
        """Whether no cost falls when more moves; it may where instances that share psums start them from zero."""
        return all(c > 0 for setting in self.settings for c in self.merged(setting)[0].values())

    def is_bias(self, setting: Setting, mark: int) -> bool:
        """The bias is kept outside all else, which moves it least; without its tile that is a bound of every place."""
        bias = self.problem.nest.bias
        return bias is not None and setting.marks[mark][0] == bias.name

    def merged(self, setting: Setting) -> tuple[dict[Key, int], int]:
        """The terms by what their factors depend on, with the plain dims multiplied into the coefficients."""
        merged: dict[Key, int] = {}
        for term in setting.terms:
            if term.operand == CYCLES:
                merged[ITERATIONS] = 0 if self.problem.timed else term.coefficient
                continue
            operand = self.problem.nest.operands[term.operand]
            key = (term.operand, term.mark, self.moved(term), self.apart(term), term.padding, 0, self.shared(term))
            words = self.problem.words(operand, frozenset(self.dims))
            merged[key] = merged.get(key, 0) + term.coefficient * words
        return {key: value for key, value in merged.items() if value}, setting.constant

    def axes(self, chosen: Callable[[Unroll], bool]) -> int:
        return sum(1 << i for i, unroll in enumerate(self.problem.unrolls) if chosen(unroll))

    def multicast(self, term: Term, level: int, multicast: str) -> str:
        """What a par at ``level`` is to a transfer: above, free, or how it shares words."""
        if level >= term.child:
            return "free"
        if level < term.parent:
            return "above"
        return "words" if term.operand == self.problem.nest.output.name else multicast

    def moved(self, term: Term) -> int:
        """The axes whose instances each move a tile although they want the identical one."""
        alike = ("free", "words", "tiles") if term.reads else ("free",)
        return self.axes(lambda u: self.multicast(term, u.level, u.multicast) not in alike)

    def apart(self, term: Term) -> int:
        """The axes whose instances each move the words of their own tile."""
        united = ["free"]
        if term.reads:
            united += ["words"] if self.fanout is None and not self.loose else ["words", "tiles"]
        return self.axes(lambda u: self.multicast(term, u.level, u.multicast) not in united)

    def shared(self, term: Term) -> int:
        """The axes whose instances share what is read of identical tiles, where these are counted."""
        counted = self.fanout is not None and term.reads
        return self.axes(lambda u: counted and self.multicast(term, u.level, u.multicast) == "tiles")


def number_of(key: Key, terms: dict[Key, int]) -> int:
    """The place of a term, which is added if it has none."""
    terms.setdefault(key, 0)
    return list(terms).index(key)


def bits(value: Fraction | int) -> list[int]:
    """A double, as the kernel reads it."""
    return [int.from_bytes(pack("=d", float(value)), sys.byteorder, signed=True)]


@dataclass(frozen=True, slots=True)
class Answer:
    """The kernel's optimum: marks in order, and the loops as (dim, in time, segment or axis, trips)."""

    setting: Setting
    order: tuple[int, ...]
    loops: tuple[tuple[str, bool, int, int], ...]


def pulled(answer: Answer, problem: Problem) -> Answer:
    """The loops in such an order that fills stand directly inside of those outside their marks, where that can be: the
    last one of a segment is one that all marks need up to the next loop.
    """
    marks = [answer.setting.marks[m] for m in answer.order]
    used = {at for _, time, at, _ in answer.loops if time}

    def last(loop: tuple[str, bool, int, int]) -> bool:
        dim, time, at, _ = loop
        end = next((i for i in range(at + 1, len(marks)) if i in used), len(marks))
        return time and all(dim in problem.nest.operands[name].dims for name, _ in marks[at:end])

    return replace(answer, loops=tuple(sorted(answer.loops, key=last)))


def schedule_of(answer: Answer, problem: Problem) -> Schedule:
    """The schedule in its canonical text: the pars of a fan-out directly outside the mark of what passes through it."""
    nest, target = problem.nest, problem.target
    tiles = {dim.name: 1 for dim in nest.dims}
    marks = [(*answer.setting.marks, (FANOUT, sharing_fanout(problem) or 0))[m] for m in answer.order]
    fanouts = _places(marks, problem)
    items: list[Item] = []
    for segment in range(len(marks), -1, -1):
        if segment < len(marks) and marks[segment][0] != FANOUT:
            operand, level = marks[segment]
            items.append(Keep(operand, target.levels[level].name))
        for level in sorted(fanouts.get(segment, []), reverse=True):
            items += _pars(answer, problem, level, tiles)
        for dim, time, at, trips in reversed(answer.loops):
            if time and at == segment:
                items.append(For(dim, tiles[dim]))
                tiles[dim] *= trips
    items.reverse()
    return Schedule(tuple(items))


def _pars(answer: Answer, problem: Problem, level: int, tiles: dict[str, int]) -> list[Item]:
    """The pars of a fan-out, innermost first; axes that share no words stand outside those that do."""
    chosen = [loop for loop in answer.loops if not loop[1] and problem.unrolls[loop[2]].level == level]
    chosen.sort(key=lambda loop: (problem.unrolls[loop[2]].multicast != "words", -loop[2]))
    pars: list[Item] = []
    for dim, _, at, trips in chosen:
        unroll = problem.unrolls[at]
        pars.append(Par(dim, tiles[dim], problem.target.levels[level].name, unroll.name))
        tiles[dim] *= trips
    return pars


def _places(marks: list[tuple[str, int]], problem: Problem) -> dict[int, list[int]]:
    """By segment, the fan-outs at its end: each before the first mark of a windowed operand that is further in."""
    windowed = {window.operand for window in problem.windows}
    places: dict[int, list[int]] = {}
    for level in sorted({unroll.level for unroll in problem.unrolls}):
        inner = [i for i, mark in enumerate(marks) if mark == (FANOUT, level)] or [
            i for i, (operand, at) in enumerate(marks) if operand in windowed and at > level
        ]
        places.setdefault(min(inner, default=len(marks)), []).append(level)
    return places
