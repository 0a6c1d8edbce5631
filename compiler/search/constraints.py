"""Constraints: rules that a schedule has to obey besides those of the target. `docs/mapping.md` has their text.

A schedule *satisfies* constraints if no rule finds fault with it. What a rule says of levels and axes alone it says as
a narrower target, too: a target on which every schedule obeys that part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

from effc.compiler.target.model import Level, MeshAxis, Target
from effc.ir.errors import InputError
from effc.ir.nest import ROLES, Nest
from effc.ir.printer import name as printed
from effc.ir.printer import print_item
from effc.ir.schedule import For, Item, Keep, Par, Schedule, trips


@dataclass(frozen=True)
class Narrowed(Target):
    """A target on which operands stay: each tile of these, by (operand, level position), is filled there once."""

    stationary: frozenset[tuple[str, int]] = frozenset()


_Allowed = Callable[[int, str, str], bool]
"""Whether a dim may be unrolled: by level position, axis and dim."""


@dataclass(frozen=True, slots=True)
class Stationary:
    """The operand stays: each of its tiles is filled once at the innermost level that can hold it, and kept there.

    No loop in time that is irrelevant to it stands outside its fill.
    """

    operand: str

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        dims = frozenset(nest.bounds) - nest.operands[self.operand].dims
        return _outside(nest, target, schedule, self.operand, dims)

    def narrow(self, nest: Nest, target: Target) -> Target:
        kept = _kept(target, self.operand)
        known = kept.stationary if isinstance(kept, Narrowed) else frozenset()
        values = {field.name: getattr(kept, field.name) for field in fields(Target)}
        return Narrowed(**values, stationary=known | {(self.operand, innermost(kept, self.operand))})


@dataclass(frozen=True, slots=True)
class Unspread:
    """Dims irrelevant to the operand are not unrolled above the innermost level that can hold it: for psums, each is
    finished where it is kept.
    """

    operand: str

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        last, dims = innermost(target, self.operand), nest.operands[self.operand].dims
        for _, loop, extent in schedule.loops(nest):
            above = isinstance(loop, Par) and target.index[loop.level] < last
            if above and loop.dim not in dims and trips(extent, loop.step) > 1:
                return f"{loop.dim} is unrolled above {target.levels[last].name}"
        return ""

    def narrow(self, nest: Nest, target: Target) -> Target:
        last, dims = innermost(target, self.operand), nest.operands[self.operand].dims
        return _unrolled(nest, target, lambda level, axis, dim: level >= last or dim in dims)


@dataclass(frozen=True, slots=True)
class Inside:
    """Loops in time over dims of the role stand inside the innermost residence of the operand."""

    operand: str
    role: str

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        dims = frozenset(dim for dim, role in nest.roles.items() if role == self.role)
        return _outside(nest, target, schedule, self.operand, dims)

    def narrow(self, nest: Nest, target: Target) -> Target:
        return _kept(target, self.operand)


@dataclass(frozen=True, slots=True)
class InTime:
    """Dims of the role are not unrolled."""

    role: str

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        found = [loop for loop in _busy(nest, schedule) if isinstance(loop, Par) and nest.roles[loop.dim] == self.role]
        return f"{found[0].dim} is unrolled" if found else ""

    def narrow(self, nest: Nest, target: Target) -> Target:
        return _unrolled(nest, target, lambda level, axis, dim: nest.roles[dim] != self.role)


@dataclass(frozen=True, slots=True)
class InSpace:
    """Dims of the role have no loop in time."""

    role: str

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        found = [loop for loop in _busy(nest, schedule) if isinstance(loop, For) and nest.roles[loop.dim] == self.role]
        return f"{found[0].dim} has a loop in time" if found else ""

    def narrow(self, nest: Nest, target: Target) -> Target:
        return target


Part = Stationary | Unspread | Inside | InTime | InSpace

DATAFLOWS: dict[str, tuple[Part, ...]] = {
    "weight-stationary": (Stationary("W"),),
    "input-stationary": (Stationary("I"),),
    "output-stationary": (Stationary("O"), Unspread("O")),
    "row-stationary": (InSpace("R"), InTime("S"), InTime("Q"), Inside("W", "S"), Inside("W", "Q")),
}
"""The dataflows by name."""


@dataclass(frozen=True, slots=True)
class Dataflow:
    """``dataflow NAME``: one of ``DATAFLOWS``."""

    name: str

    def __str__(self) -> str:
        return f"dataflow {self.name}"

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        return next((fault for part in DATAFLOWS[self.name] if (fault := part.fault(nest, target, schedule))), "")

    def narrow(self, nest: Nest, target: Target) -> Target:
        for part in DATAFLOWS[self.name]:
            target = part.narrow(nest, target)
        return target


@dataclass(frozen=True, slots=True)
class Unroll:
    """``unroll K, C @ GLB.rows``: nothing but dims of these names or roles is unrolled on the axis."""

    names: tuple[str, ...]
    level: str
    axis: str

    def __str__(self) -> str:
        return f"unroll {', '.join(map(printed, self.names)) or 'none'} @ {printed(self.level)}.{printed(self.axis)}"

    def allows(self, nest: Nest, dim: str) -> bool:
        return dim in self.names or nest.roles[dim] in self.names

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        for loop in _busy(nest, schedule):
            here = isinstance(loop, Par) and (loop.level, loop.axis) == (self.level, self.axis)
            if here and not self.allows(nest, loop.dim):
                return f"{loop.dim} is unrolled on {self.level}.{self.axis}"
        return ""

    def narrow(self, nest: Nest, target: Target) -> Target:
        if (self.level, self.axis) not in [(target.levels[i].name, axis.name) for i, axis in target.axes()]:
            known = ", ".join(f"{target.levels[i].name}.{axis.name}" for i, axis in target.axes()) or "no axis at all"
            raise InputError(f"{target.name} has no axis {self.level}.{self.axis}", str(self), known)
        at = target.index[self.level]
        return _unrolled(
            nest, target, lambda level, axis, dim: (level, axis) != (at, self.axis) or self.allows(nest, dim)
        )


@dataclass(frozen=True, slots=True)
class Bypass:
    """``bypass W @ GLB``: the operand is not kept at the level."""

    operand: str
    level: str

    def __str__(self) -> str:
        return f"bypass {printed(self.operand)} @ {printed(self.level)}"

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        kept = self.level in [level for _, level in schedule.keeps(self.operand)]
        return f"{self.operand} is kept at {self.level}" if kept else ""

    def narrow(self, nest: Nest, target: Target) -> Target:
        able = [level.name for level in target.levels[1:] if level.bank(self.operand) and not level.keeps(self.operand)]
        if self.level not in target.index or target.level(self.level).keeps(self.operand):
            message = f"{self.operand} cannot bypass {self.level} of {target.name}"
            raise InputError(message, str(self), ", ".join(able) or "no level that it may bypass")
        return _banked(target, target.index[self.level], self.operand, keep=False)


@dataclass(frozen=True, slots=True)
class Gap:
    """``...``: anything may stand here."""


ANY = 0
"""The step of a loop that may have any: ``for K by ...``; the range of one that need not be said."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item, and the range of a loop if it was given."""

    item: Item
    extent: int = ANY


@dataclass(frozen=True, slots=True)
class Pattern:
    """A schedule, or a part of one: items in their order, with gaps. Loops of one trip do not count."""

    wanted: tuple[Wanted | Gap, ...]

    def __str__(self) -> str:
        return "\n".join(map(_line, self.wanted))

    @property
    def whole(self) -> bool:
        """Whether there is one schedule that it matches, and no other."""
        return not any(isinstance(w, Gap) or (not isinstance(w.item, Keep) and w.item.step == ANY) for w in self.wanted)

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(wanted.item for wanted in self.wanted if isinstance(wanted, Wanted))

    def fault(self, nest: Nest, target: Target, schedule: Schedule) -> str:
        return "" if _matches(self.wanted, tuple(_counting(nest, schedule))) else "the loops differ from those given"

    def narrow(self, nest: Nest, target: Target) -> Target:
        for item in self.items:
            if isinstance(item, Keep) and item.level in target.index and item.operand in nest.operands:
                target = _banked(target, target.index[item.level], item.operand, keep=True)
        return target

    def check(self, nest: Nest) -> None:
        """Raise an ``InputError`` if it speaks of what the nest does not have."""
        for item in self.items:
            what, found = ("operand", item.operand) if isinstance(item, Keep) else ("dim", item.dim)
            known = tuple(nest.operands if isinstance(item, Keep) else nest.bounds)
            if found not in known:
                message = f"nest {nest.name} has no {what} {found}, which the schedule names"
                remedy = "put the schedule under the line `nest NAME` of the nest that it is for"
                raise InputError(message, expected=", ".join(known), remedy=remedy)


Rule = Dataflow | Unroll | Bypass | Pattern
Rules = tuple[Rule, ...]


def faults(nest: Nest, target: Target, rules: Rules, schedule: Schedule) -> Iterator[str]:
    """What the rules find fault with in a schedule that is legal on the target."""
    for rule in rules:
        if fault := rule.fault(nest, target, schedule):
            yield fault


def satisfies(nest: Nest, target: Target, rules: Rules, schedule: Schedule) -> bool:
    """Whether the rules find no fault; ``target`` is the narrowed one."""
    return not any(faults(nest, target, rules, schedule))


def narrowed(nest: Nest, target: Target, rules: Rules) -> Target:
    """The target with what the rules say of levels and axes; costs are those of the target.

    Dataflows come last: they speak of the innermost level that the others leave.
    """
    for rule in sorted(rules, key=lambda rule: isinstance(rule, Dataflow)):
        target = rule.narrow(nest, target)
    return target


def innermost(target: Target, operand: str) -> int:
    """The innermost level that can hold the operand."""
    able = [i for i, level in enumerate(target.levels) if i and level.bank(operand) is not None]
    if not able:
        raise InputError(f"{target.name} can keep {operand} nowhere on chip", expected="a level that can hold it")
    return able[-1]


def fill_of(nest: Nest, schedule: Schedule, operand: str, level: str) -> int:
    """The position of the loop inside which the operand is filled at the level; -1 before everything, or not kept."""
    mark = next((i for i, at in schedule.keeps(operand) if at == level), 0)
    dims, fill = nest.operands[operand].dims, -1
    for position, loop, extent in schedule.loops(nest):
        if position < mark and isinstance(loop, For) and loop.dim in dims and trips(extent, loop.step) > 1:
            fill = position
    return fill


def _outside(nest: Nest, target: Target, schedule: Schedule, operand: str, dims: frozenset[str]) -> str:
    level = target.levels[innermost(target, operand)].name
    if level not in [at for _, at in schedule.keeps(operand)]:
        return f"{operand} is not kept at {level}"
    fill = fill_of(nest, schedule, operand, level)
    for position, loop, extent in schedule.loops(nest):
        if position <= fill and isinstance(loop, For) and loop.dim in dims and trips(extent, loop.step) > 1:
            return f"a loop over {loop.dim} stands outside the fill of {operand} at {level}"
    return ""


def _busy(nest: Nest, schedule: Schedule) -> Iterator[For | Par]:
    """The loops of more than one trip."""
    return (loop for _, loop, extent in schedule.loops(nest) if trips(extent, loop.step) > 1)


def _counting(nest: Nest, schedule: Schedule) -> Iterator[Wanted]:
    """The items without the loops of one trip, and the ranges of the others."""
    extents = {position: (loop, extent) for position, loop, extent in schedule.loops(nest)}
    for position, item in enumerate(schedule.items):
        if position not in extents:
            yield Wanted(item)
        elif trips(extents[position][1], extents[position][0].step) > 1:
            yield Wanted(item, extents[position][1])


def _matches(pattern: tuple[Wanted | Gap, ...], items: tuple[Wanted, ...]) -> bool:
    """Whether items match a pattern; ``reached`` has the numbers of items that its beginning may match."""
    reached = {0}
    for wanted in pattern:
        if isinstance(wanted, Gap):
            reached = set(range(min(reached), len(items) + 1)) if reached else reached
        else:
            reached = {i + 1 for i in reached if i < len(items) and _alike(wanted, items[i])}
    return len(items) in reached


def _alike(wanted: Wanted, found: Wanted) -> bool:
    item = found.item
    if not isinstance(wanted.item, Keep) and wanted.item.step == ANY and not isinstance(item, Keep):
        item = replace(item, step=ANY)
    return wanted.item == item and wanted.extent in (ANY, found.extent)


def _line(wanted: Wanted | Gap) -> str:
    if isinstance(wanted, Gap):
        return "..."
    item = wanted.item
    if isinstance(item, Keep):
        return print_item(item)
    text = print_item(replace(item, step=2), wanted.extent or None)
    return text.replace(" by 2", " by ..." if item.step == ANY else "" if item.step == 1 else f" by {item.step}")


def _kept(target: Target, operand: str) -> Target:
    return _banked(target, innermost(target, operand), operand, keep=True)


def _banked(target: Target, position: int, operand: str, keep: bool) -> Target:
    """The target where the operand, if it may be kept at a level, has to be, or must not be."""
    banks = tuple(
        replace(
            bank,
            keeps=(*bank.keeps, *((operand,) if keep else ())),
            may_keep=tuple(other for other in bank.may_keep if other != operand),
        )
        if operand in bank.may_keep
        else bank
        for bank in target.levels[position].banks
    )
    return _with_level(target, position, replace(target.levels[position], banks=banks))


def _unrolled(nest: Nest, target: Target, allowed: _Allowed) -> Target:
    """The target with only these dims on its axes, as far as roles can say it."""
    for position, level in enumerate(target.levels):
        if level.fanout is not None:
            axes = tuple(_axis(nest, position, axis, allowed) for axis in level.fanout.axes)
            target = _with_level(target, position, replace(level, fanout=replace(level.fanout, axes=axes)))
    return target


def _axis(nest: Nest, level: int, axis: MeshAxis, allowed: _Allowed) -> MeshAxis:
    refused = {
        role
        for role in ROLES
        if (dims := [dim for dim in nest.bounds if nest.roles[dim] == role])
        and not any(allowed(level, axis.name, dim) for dim in dims)
    }
    roles = ROLES if axis.unroll is None else axis.unroll
    return replace(axis, unroll=tuple(role for role in roles if role not in refused)) if refused else axis


def _with_level(target: Target, position: int, level: Level) -> Target:
    return replace(target, levels=(*target.levels[:position], level, *target.levels[position + 1 :]))


def relative_to(rules: Iterable[Rule]) -> str:
    """The constraints in a line, as a certificate names them."""
    return "; ".join(" / ".join(str(rule).split("\n")) for rule in rules)
