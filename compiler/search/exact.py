"""The exact search: proves which schedule of the map space is the best. See `docs/search.md`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, partial
from hashlib import sha256
from math import ceil, prod
from pathlib import Path

from effc.compiler.cost import evaluate, try_schedule
from effc.compiler.dataflows.optimum import good_row_stationary
from effc.compiler.errors import KernelWarning
from effc.compiler.search.clock import late, left, share, utc
from effc.compiler.search.encode import Answer, Encoder, Groups, contiguous, groups_of, pulled, schedule_of
from effc.compiler.search.judge import NEAR, Judge
from effc.compiler.search.mesh import fewest_iterations
from effc.compiler.search.problem import Problem, without_windows
from effc.compiler.search.ragged import Digit, schedule_of_chains
from effc.compiler.search.tally import RULES, discard
from effc.compiler.search.tiles import shared_tiles, sharing_fanout
from effc.compiler.search.widen import fitted, larger_nests
from effc.compiler.target.model import Target
from effc.ir.errors import InputError
from effc.ir.nest import Nest
from effc.ir.schedule import Schedule

try:
    from effc.compiler.search._kernel import DIGEST, solve
except ImportError:  # built without a compiler
    COMPILED = False
else:
    COMPILED = True
"""Else the kernel is its sources, translated into Python: the same answers, more slowly."""


@cache
def current() -> bool:
    """Whether the kernel was built from the sources beside it, if they are there (`setup.py` has the same digest)."""
    here = Path(__file__).parent
    sources = [here / "_kernel.c", *sorted((here / "kernel").glob("*.h"))]
    return not all(path.exists() for path in sources) or digest_of(sources) == DIGEST


def digest_of(sources: Iterable[Path]) -> str:
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


class StaleKernelError(InputError):
    """The kernel is not that of the sources: no nest can be searched."""


SLOW = (
    "the search's kernel was not compiled: searches find the same, but take some hundred times as long; "
    "install a C compiler, and effc again"
)

MOST = 2**52
"""Sums up to here are exact in the kernel."""

INFINITE = 1e300
"""More than any product of an energy and cycles."""

EFFORT = 200_000_000
"""Chains, rows and nodes that a search may look at: a number that, unlike seconds, is the same on every machine."""

BUDGET = 300_000
"""The same for a lower bound of the whole space."""


RAGGED = 24_000_000
"""The same for the whole space of a nest without windows."""

COUPLED = 8_000_000
"""The same where windows slide and cycles count."""

BOUNDED = 1_500_000
"""The same where ports are limited, or tiles of windows are shared: more work seldom finds more, or a better bound."""

EACH = 32_000_000
"""The same where each schedule is looked at for itself."""

SLID = 200_000
"""The same where windows slide there, too."""

WIDER = Fraction(26, 25)
"""A schedule of a nest that is a little larger may cost so much more there."""

SWEPT = 32_000_000
"""The same for that of a nest with windows."""

THRIFT = 4_000_000
"""The same for a schedule of little energy among the fastest."""


Solution = tuple[bool, float, float, int, list[int], list[tuple[int, int, int, int]], dict[str, int]]
"""What the kernel returns: see `_kernel.pyi`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The best schedule of a space, if there is one; no schedule of it has a value below ``lower_bound``."""

    schedule: Schedule | None
    value: Fraction
    lower_bound: Fraction
    expanded: int
    statistics: dict[str, int] = field(default_factory=dict)


def applies(nest: Nest, target: Target) -> bool:
    """Whether the kernel can search: windows over two dims at most, and all in all not too large."""
    if COMPILED and not current():
        raise StaleKernelError(
            "the search's kernel was built from other sources than those beside it",
            expected="a kernel and sources of one version",
            remedy="build it again: pip install -e .",
        )
    problem = Problem(nest, target, "dram")
    marks = sum(level.bank(name) is not None for level in target.levels[1:] for name in nest.operands)
    banks = sum(len(level.banks) for level in target.levels[1:])
    if len(problem.dims) > 16 or max(nest.bounds.values()) > 60_000 or marks > 16 or banks > 16:
        return False  # sizes of the kernel's tables
    if any(prod(bound + 1 for _, _, bound in window.dims) > 1 << 22 for window in problem.windows):
        return False
    return len(problem.unrolls) <= 8 and groups_of(problem) is not None


def perfect(nest: Nest, target: Target, objective: str, deadline: float | None = None, *, bound: bool = True) -> Proof:
    """The best schedule whose steps divide, on a target without sliding windows.

    ``bound``: whether it matters what all others cost at least, where that takes another search.
    """
    problem, groups = posed(nest, target, objective)
    fewest = 0
    if problem.product and not problem.judged:
        fewest = ceil(perfect(nest, target, "latency", share(deadline, 3)).lower_bound)
    most = _any(problem)
    trial = left(deadline) > 1
    fanout = None if problem.judged or not contiguous(problem, trial) else sharing_fanout(problem)
    counted = contiguous(problem, trial) and not shared_tiles(problem)
    strict = counted and not problem.judged
    encoder = Encoder(problem, groups, fewest=fewest, outermost=not strict)
    steps = 1 + (not strict) + problem.judged
    budget = BOUNDED if problem.judged else EFFORT
    found = _solve(problem, encoder, most, budget, share(deadline, steps))
    if not encoder.monotone:
        found = replace(found, lower_bound=Fraction(0))
    if found.schedule is None:
        return found
    evaluation = evaluate(nest, found.schedule, target)
    value, lower = evaluation.value(objective), found.lower_bound
    if strict:
        if found.statistics["stopped"] or evaluation.energy * problem.prices.scale > MOST:
            return replace(found, value=value, lower_bound=min(lower, value))
        if float(value * problem.prices.scale) != float(found.value * problem.prices.scale):
            raise AssertionError(f"{nest.name}: the search says {found.value}, the cost model {value}")
        return replace(found, value=value, lower_bound=value if encoder.monotone else Fraction(0))
    found = replace(found, value=value, lower_bound=Fraction(0))
    if fanout is not None:
        found = _sharing(problem, objective, groups, fanout, found, share(deadline, 2))
        if found.value == found.lower_bound:
            return found
    if encoder.monotone:
        encoder = Encoder(problem, groups, loose=True, trial=trial)
        if (bound or not problem.judged) and not late(deadline):
            lower = _solve(problem, encoder, most, budget, share(deadline, 1 + problem.judged)).lower_bound
            found = replace(found, lower_bound=max(found.lower_bound, min(lower, found.value)))
    if fanout is not None or not (problem.timed and bound):
        return found
    found = _judged(problem, objective, encoder, found, budget, deadline)
    gap = 0 < found.lower_bound < found.value
    return _each(problem, objective, groups, found, deadline) if counted and problem.judged and gap else found


def _each(problem: Problem, objective: str, groups: Groups, start: Proof, deadline: float | None) -> Proof:
    """The same, each schedule being looked at for itself: none is left out but what costs more than ``start``.

    With a bias one stands for all that have the marks of the bias elsewhere, which may cost less; where that leaves a
    gap, these are looked at, too.
    """
    for outermost in (True, False) if problem.nest.bias else (True,):
        encoder = Encoder(problem, groups, outermost=outermost, every=True)
        alone = not outermost or problem.nest.bias is None
        rest = share(deadline, 2)
        start = _judged(problem, objective, encoder, start, EACH, rest, thorough=True, alone=alone)
        if start.value == start.lower_bound or start.statistics["stopped"]:
            break
    return start


def thriftier(
    nest: Nest, target: Target, cycles: int, start: Proof, perfect_factors: bool = False, deadline: float | None = None
) -> Proof:
    """Of the schedules that take so many cycles at most, one of little energy: ``start``, or one of less.

    First of those whose steps divide, then, unless none but these are asked for, of all within a budget; without a
    proof. Where cycles depend on ports it is ``start``.
    """
    if target.bandwidths or not applies(nest, target):
        return start
    problem, groups = posed(nest, without_windows(target), "energy")
    if fewest_iterations(nest, problem.unrolls, divide=True) <= cycles:
        encoder, most = Encoder(problem, groups, slowest=cycles), float(start.value * problem.prices.scale) - 1
        found = _solve(problem, encoder, min(most, MOST), deadline=share(deadline, 2)).schedule
        start = start if found is None else _less(start, found, evaluate(nest, found, target).energy)
    if perfect_factors or not whole(nest, target, "energy") or late(deadline):
        return start
    problem, groups = posed(nest, target, "energy")
    encoder = Encoder(problem, groups, whole=True, slowest=cycles)
    return _costed(problem, "energy", encoder, start, THRIFT, deadline)


def _less(start: Proof, schedule: Schedule, value: Fraction) -> Proof:
    return replace(start, schedule=schedule, value=value) if value < start.value else start


def _sharing(
    problem: Problem, objective: str, groups: Groups, fanout: int, start: Proof, deadline: float | None
) -> Proof:
    """The same where instances of a ``fanout`` share identical tiles of windows; ``start`` is a good schedule.

    With a bias first as if it took no room: if what is found has room for it, there is nothing better.
    """
    scale = problem.prices.scale
    if _nothing_less(problem, groups, start, share(deadline, 3)):
        return replace(start, lower_bound=start.value)
    passes = (True, False) if problem.nest.bias else (True,)
    for i, light in enumerate(passes):
        encoder = Encoder(problem, groups, loose=light, outermost=light, fanout=fanout)
        if start.value == start.lower_bound or not encoder.monotone or late(deadline):
            break
        found = _solve(problem, encoder, float(start.value * scale), deadline=share(deadline, len(passes) - i))
        start, lower = replace(start, expanded=start.expanded + found.expanded), found.lower_bound
        evaluation = None if found.schedule is None else try_schedule(problem.nest, found.schedule, problem.target)
        if found.schedule is not None and evaluation is not None and not isinstance(evaluation, list):
            value, exact = evaluation.value(objective), evaluation.energy * scale <= MOST
            start = _less(start, found.schedule, value)
            if exact and not found.statistics["stopped"] and float(value * scale) == float(found.value * scale):
                lower = start.value
        start = replace(start, lower_bound=max(start.lower_bound, min(lower, start.value)))
        if found.statistics["stopped"]:
            break
    return start


def _nothing_less(problem: Problem, groups: Groups, start: Proof, deadline: float | None) -> bool:
    """Whether it is proven that nothing would cost less than ``start``, even if instances shared all words."""
    encoder, limit = Encoder(problem, groups, loose=True), start.value * problem.prices.scale - 1
    if not encoder.monotone or limit > MOST or late(deadline):
        return False
    less: list[float] = []

    def seen(*found: object) -> float:
        less.append(-1.0)
        return -1.0

    *_, statistics = kernel(encoder.encode(), float(limit), EFFORT, utc(deadline), seen)
    return not less and not statistics["stopped"]


def _judged(
    problem: Problem,
    objective: str,
    encoder: Encoder,
    start: Proof,
    budget: int,
    deadline: float | None,
    *,
    thorough: bool = False,
    alone: bool = False,
) -> Proof:
    """The best of all schedules whose bound is below the value of ``start``, which is known to be a good one.

    ``thorough``, ``alone``: see ``Judge``.
    """
    if start.schedule is None or start.value == start.lower_bound or not encoder.monotone or late(deadline):
        return start
    decode, best = partial(written, problem, encoder), (start.value, start.schedule)
    judge = Judge(problem, objective, decode, best, thorough=thorough, alone=alone)
    *_, statistics = kernel(encoder.encode(), judge.most(start.value), budget, utc(deadline), judge)
    whole = not statistics["stopped"] and not judge.exhausted
    lower = max(start.lower_bound, judge.lower_bound) if whole else start.lower_bound
    expanded = start.expanded + statistics["nodes"] + judge.costed
    statistics = {**statistics, "stopped": int(not whole)}
    return Proof(judge.schedule, judge.value, min(lower, judge.value), expanded, statistics)


def first(nest: Nest, target: Target, objective: str) -> Schedule | None:
    """A good schedule with steps that divide, in some hundredths of a second."""
    problem, groups = posed(nest, target, objective)
    return _solve(problem, Encoder(problem, groups), _any(problem), deadline=time.perf_counter()).schedule


def guesses(
    nest: Nest, target: Target, objective: str, most: Callable[[], Fraction], deadline: float | None = None
) -> Iterator[Schedule]:
    """Schedules whose steps do not divide, where cycles make them worth a try; what costs `most` is of no use."""
    problem, _ = posed(nest, target, objective)
    if not problem.timed or late(deadline):
        return
    for other in larger_nests(problem):
        if late(deadline):
            return
        wide, groups = posed(other, target, objective)
        limit = min(_any(wide), float(WIDER * most() * wide.prices.scale))
        found = _solve(wide, Encoder(wide, groups), limit, BOUNDED, share(deadline, 2)).schedule
        schedule = None if found is None else fitted(nest, found)
        if schedule is not None and not isinstance(try_schedule(nest, schedule, target), list):
            yield schedule
    if {"R", "S"} <= {dim.role for dim in nest.dims if dim.bound > 1}:
        rows = good_row_stationary(nest, target, objective, most(), lambda: late(deadline))
        if rows is not None:
            yield rows.schedule


def relaxed_bound(
    nest: Nest, target: Target, objective: str, value: Fraction, budget: int = BUDGET, deadline: float | None = None
) -> Proof:
    """What every schedule of the whole space costs at least, ``value`` being what one of them costs."""
    problem, groups = posed(nest, target, objective)
    encoder, most = Encoder(problem, groups, relaxed=True), float(value * problem.prices.scale) - 1
    if (most > MOST and not problem.product) or not encoder.monotone:
        return Proof(None, value, Fraction(0), 0)
    return _solve(problem, encoder, most, budget, deadline)


def plain(nest: Nest, target: Target) -> bool:
    """Whether no dims are coupled."""
    return applies(nest, target) and not Problem(nest, target, "dram").windows


def judged(nest: Nest, target: Target, objective: str) -> bool:
    """Whether ports limit what matters, so that the search has bounds only."""
    return Problem(nest, target, objective).judged


def whole(nest: Nest, target: Target, objective: str) -> bool:
    """Whether the whole space can be searched: what slides goes forward."""
    if not applies(nest, target):
        return False
    problem = Problem(nest, target, objective)
    forward = all(coefficient > 0 for window in problem.windows for _, coefficient, _ in window.dims)
    return not problem.windows or forward


def ragged(nest: Nest, target: Target, objective: str, start: Proof, deadline: float | None = None) -> Proof:
    """The best schedule with steps of any size; ``start`` is what is known of some."""
    problem, groups = posed(nest, target, objective)
    assert start.schedule is not None
    fewest, least = 0, Fraction(0)
    if problem.product and not problem.judged and not late(deadline):
        start, fewest, least = _extremes(nest, target, start, deadline)
    encoder = Encoder(problem, groups, whole=True, fewest=fewest, least=least)
    if objective == "latency" and start.value == encoder.fewest:
        return replace(start, lower_bound=start.value)
    scaled = start.value * problem.prices.scale
    if (scaled > MOST and not problem.product) or not encoder.monotone:
        return replace(start, lower_bound=Fraction(0))
    if problem.windows and not problem.timed:
        return _swept(problem, objective, encoder, start, deadline)
    coupled = any(len(window.dims) > 1 for window in problem.windows)
    budget = SLID if coupled else BOUNDED
    if not problem.judged:
        budget = COUPLED if coupled else RAGGED
    if problem.timed and not problem.product:
        return _costed(problem, objective, encoder, start, budget, deadline)
    rounded = problem.product and scaled > MOST
    most = float(scaled) * (1 + NEAR) if rounded else float(int(scaled) - 1)
    found, value, lower, setting, order, loops, statistics = kernel(encoder.encode(), most, budget, utc(deadline))
    lower = value if found and problem.timed and not statistics["stopped"] else lower
    bound = _bound(problem, lower, rounded)
    best = replace(start, lower_bound=min(bound, start.value), expanded=start.expanded + statistics["nodes"])
    if not found:
        return best
    schedule = written(problem, encoder, setting, order, loops)
    evaluation = None if schedule is None else try_schedule(nest, schedule, target)
    if schedule is not None and evaluation is not None and not isinstance(evaluation, list):
        better = evaluation.value(objective)
        best = replace(best, schedule=schedule, value=better) if better < start.value else best
    if statistics["stopped"]:
        return best
    if not problem.timed:
        return _biased(problem, objective, best, deadline)
    return _judged(problem, objective, encoder, best, budget, deadline)


def _extremes(nest: Nest, target: Target, start: Proof, deadline: float | None) -> tuple[Proof, int, Fraction]:
    """The fewest cycles and the least energy; and the best for energy x cycles of ``start`` and what has these."""
    fastest = perfect(nest, without_windows(target), "latency", share(deadline, 6))
    assert fastest.schedule is not None
    fastest = ragged(nest, target, "latency", fastest, share(deadline, 5))
    assert fastest.schedule is not None
    found = evaluate(nest, fastest.schedule, target)
    quick = thriftier(nest, target, found.cycles, replace(fastest, value=found.energy), deadline=share(deadline, 4))
    slow = perfect(nest, without_windows(target), "energy", share(deadline, 3))
    assert slow.schedule is not None
    slow = replace(slow, value=evaluate(nest, slow.schedule, target).energy)
    slow = ragged(nest, target, "energy", slow, share(deadline, 2))
    for known in (quick, slow):
        assert known.schedule is not None
        start = _less(start, known.schedule, evaluate(nest, known.schedule, target).value("edp"))
    return start, ceil(fastest.lower_bound), slow.lower_bound


def _swept(problem: Problem, objective: str, encoder: Encoder, start: Proof, deadline: float | None) -> Proof:
    """The same with windows, of which the kernel knows bounds only where tiles are not of neighbours."""
    rest = share(deadline, 2 if problem.nest.bias else 1)
    found = _costed(problem, objective, encoder, start, _swept_budget(problem), rest)
    return found if found.statistics["stopped"] else _biased(problem, objective, found, deadline)


def _swept_budget(problem: Problem) -> int:
    return BOUNDED if shared_tiles(problem) else SWEPT


def _costed(
    problem: Problem, objective: str, encoder: Encoder, start: Proof, budget: int, deadline: float | None
) -> Proof:
    """The best schedule of the whole space; each that the kernel finds is costed."""
    assert start.schedule is not None
    decode = partial(written, problem, encoder)
    judge = Judge(problem, objective, decode, (start.value, start.schedule), thorough=True)
    _, _, lower, *_, statistics = kernel(encoder.encode(), judge.most(start.value), budget, utc(deadline), judge)
    bound = min(_bound(problem, lower, problem.product), judge.lower_bound)
    return Proof(judge.schedule, judge.value, bound, start.expanded + statistics["nodes"] + judge.costed, statistics)


def _biased(problem: Problem, objective: str, start: Proof, deadline: float | None) -> Proof:
    """The same with the marks of the bias anywhere, where it takes room; ``start`` has the bound without that."""
    if problem.nest.bias is None or start.value == start.lower_bound or late(deadline):
        return start
    groups = groups_of(problem)
    assert groups is not None
    anywhere = Encoder(problem, groups, whole=True, outermost=False)
    found = _costed(problem, objective, anywhere, start, _swept_budget(problem), deadline)
    return replace(found, lower_bound=max(found.lower_bound, start.lower_bound))


def written(
    problem: Problem, encoder: Encoder, setting: int, order: list[int], loops: list[tuple[int, int, int, int]]
) -> Schedule | None:
    """The kernel's answer as a schedule; None if it cannot be written as one."""
    if not encoder.relaxed:
        found = tuple((encoder.dims[dim], bool(in_time), at, trips) for dim, in_time, at, trips in loops)
        answer = Answer(encoder.slides[setting][0], tuple(order), found)
        return schedule_of(pulled(answer, problem) if encoder.every else answer, problem)
    marks = encoder.slides[setting][0].marks
    chains: dict[str, list[Digit]] = {dim: [] for dim in problem.dims}
    for dim, in_time, at, step in loops:
        chains[encoder.dims[dim]].append(Digit(bool(in_time), at, step))
    sweeps = {i: encoder.dims[m // 256 - 1] for i, m in enumerate(order) if m >= 256}
    return schedule_of_chains([marks[m % 256] for m in order], chains, sweeps, problem)


Asked = Callable[[int, list[int], list[tuple[int, int, int, int]], float, float], float]
"""What the kernel asks about a schedule that it has found: see ``judge.py``."""


def kernel(problem: bytes, most: float, budget: int, deadline: float, judge: Asked | None = None) -> Solution:
    """The kernel's answer; what it discarded is counted."""
    found = (solve if COMPILED else translated())(problem, most, budget, deadline, judge)
    discard({rule: found[-1][rule] for rule in RULES})
    return found


def warn_if_slow() -> None:
    if not COMPILED:
        warnings.warn(SLOW, KernelWarning, stacklevel=2)


@cache
def translated() -> Callable[[bytes, float, int, float, Asked | None], Solution]:
    """What the compiled kernel's `solve` is, in Python."""
    from effc.compiler.search.translated.kernel import kernel

    warn_if_slow()
    return kernel().solve


def _bound(problem: Problem, lower: float, rounded: bool) -> Fraction:
    """A bound that the kernel gives, which may be ``rounded``."""
    lower = max(lower, 0.0)
    return Fraction(ceil(lower * (1 - NEAR)) if rounded else int(lower), problem.prices.scale)


def _any(problem: Problem) -> float:
    """No bound at all."""
    return INFINITE if problem.product else float(MOST)


def posed(nest: Nest, target: Target, objective: str) -> tuple[Problem, Groups]:
    """The problem, and its dims in groups, of a nest that the kernel can search."""
    problem = Problem(nest, target, objective)
    groups = groups_of(problem)
    assert groups is not None
    return problem, groups


def _solve(
    problem: Problem, encoder: Encoder, most: float, budget: int = EFFORT, deadline: float | None = None
) -> Proof:
    """The least value up to ``most``; without a schedule if there is none that is proven or found in time."""
    found, value, lower, setting, order, loops, statistics = kernel(encoder.encode(), most, budget, utc(deadline))
    scale, expanded = problem.prices.scale, statistics["nodes"]
    if not found:
        bound = _bound(problem, lower if statistics["stopped"] else most + 1, problem.product)
        return Proof(None, Fraction(most + 1) / scale, bound, expanded, statistics)
    bound = _bound(problem, lower if statistics["stopped"] else value, problem.product)
    exact = Fraction(int(value), scale)
    schedule = None if encoder.relaxed else written(problem, encoder, setting, order, loops)
    return Proof(schedule, exact, bound, expanded, statistics)
