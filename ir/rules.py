"""What a rule of the IR is: a name, a sentence and a check; and the error of an IR that breaks one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Place = tuple[str | int, ...]
"""The way from the root to the spot by attributes, positions and keys: ``("reads", 0, "axes", 2)``."""

LIMIT = 2**63
"""Counts of words and of multiply-accumulates stay below this."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule is broken at ``place``; what is expected is the rule's sentence unless ``expected`` is more precise."""

    place: Place
    found: str
    remedy: str
    expected: str = ""
    rule: str = ""  # where it is not the one whose check found it


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One rule: its name, what it says, and the check that yields its violations."""

    name: str
    sentence: str
    check: Callable[[T], Iterator[Violation]]


class VerifyError(ValueError):
    """An IR breaks a rule. ``place`` is the way to the spot from the root, ``where`` the same in words."""

    def __init__(self, rule: str, place: Place, where: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(rule, place, where, found, expected, remedy)
        self.rule = rule
        self.place = place
        self.where = where
        self.message = f"{found} (rule {rule!r})"
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where}: error: {self.message}\n  expected: {self.expected}\n  remedy:   {self.remedy}"


def apply(rules: Iterable[Rule[T]], subject: T, title: str, text_at: Callable[[Place], str]) -> None:
    """Raise a ``VerifyError`` for the first rule that ``subject`` breaks; ``text_at`` shows what stands at a place."""
    for rule, found in violations(rules, subject):
        text = text_at(found.place)
        where = title + "".join(f"[{step}]" if isinstance(step, int) else f" {step}" for step in found.place)
        raise VerifyError(
            found.rule or rule.name,
            found.place,
            f"{where} `{text}`" if text else where,
            found.found,
            found.expected or rule.sentence,
            found.remedy,
        )


def violations(rules: Iterable[Rule[T]], subject: T) -> Iterator[tuple[Rule[T], Violation]]:
    """Every violation, with the rule whose check found it."""
    return ((rule, found) for rule in rules for found in rule.check(subject))
