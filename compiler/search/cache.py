"""Solved nests on disk, so that nothing is searched twice: a SQLite file that several processes may share.

Nothing that is read is believed. An entry has a checksum; its schedule is costed again, and has to cost what the entry
says. Whatever is damaged, cut off or of another version counts as not there. A file that cannot be used at all is left
alone for the rest of the run, with one warning.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import closing
from dataclasses import astuple
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.errors import CacheWarning
from effc.compiler.search.constraints import narrowed, relative_to, satisfies
from effc.compiler.search.result import Best, Certificate, Point, measure
from effc.compiler.search.task import Task
from effc.ir.errors import InputError
from effc.ir.schedule import For, Item, Keep, Par, Schedule
from effc.ir.verify import verify_schedule

if TYPE_CHECKING:
    import sqlite3

VARIABLE = "EFFC_CACHE_DIR"
FILE = "nests.sqlite"
PATIENCE = 10.0
"""Seconds to wait for another process that writes."""

_TABLE = "CREATE TABLE IF NOT EXISTS solved (key TEXT PRIMARY KEY, entry BLOB NOT NULL, checksum BLOB NOT NULL)"


def cache_folder() -> Path:
    """Where the cache is: the folder that EFFC_CACHE_DIR names, else ``effc`` in the user's cache of the platform."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "effc" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "effc"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "effc"


class Cache:
    """The solved tasks in a folder, which is made when there is something to keep."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.path = Path(folder if folder is not None else cache_folder()) / FILE
        self.usable = True

    def find(self, task: Task, limited: bool = False) -> Best | None:
        """What was kept of a task, verified; of searches under a time limit only if ``limited``."""
        for key in (task.key, _limited(task.key))[: 1 + limited]:
            row = self._run("SELECT entry, checksum FROM solved WHERE key = ?", (key,)) if self._exists() else None
            if row is not None and (best := _read(task, key, *row)) is not None:
                return best
        return None

    def keep(self, task: Task, best: Best, limited: bool = False) -> None:
        """Keep an answer. One that was found under a time limit is kept apart, and only if it is proven optimal."""
        if limited and best.certificate.status != "optimal":
            return
        key, entry = _limited(task.key) if limited else task.key, _written(best)
        self._run("INSERT OR REPLACE INTO solved VALUES (?, ?, ?)", (key, entry, _checksum(key, entry)))

    def _exists(self) -> bool:
        try:
            return self.path.exists()
        except OSError:
            return False

    def _run(self, statement: str, values: tuple[Any, ...]) -> Any:
        """The first row that a statement gives; None if the file cannot be used."""
        if not self.usable:
            return None
        try:
            with closing(self._open()) as connection:
                return connection.execute(statement, values).fetchone()
        except Exception as error:
            if not _is_expected(error):
                raise
            self.usable = False
            remedy = f"delete it, or name another folder in {VARIABLE}"
            warnings.warn(f"the cache {self.path} is not used: {error}; {remedy}", CacheWarning, stacklevel=2)
            return None

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute(_TABLE)
        except BaseException:
            connection.close()
            raise
        return connection


def _is_expected(error: Exception) -> bool:
    """Whether this is what a damaged, locked or forbidden file does, or a Python without SQLite."""
    if isinstance(error, (OSError, ImportError, UnicodeError)):  # SQLite quotes the damage in its messages
        return True
    import sqlite3

    return isinstance(error, sqlite3.Error)


def _limited(key: str) -> str:
    return f"{key} limited"


def _checksum(key: str, entry: bytes) -> bytes:
    return sha256(key.encode() + b"\0" + entry).digest()


def _written(best: Best) -> bytes:
    found = best.certificate
    entry = {
        "schedule": _rows(best.schedule),
        "value": str(found.value),
        "lower_bound": str(found.lower_bound),
        "floor_dram_words": found.floor_dram_words,
        "space": found.space,
        "expanded": found.expanded,
        "discarded": dict(found.discarded),
        "front": [_point(point) for point in best.front],
    }
    return json.dumps(entry).encode()


def _point(point: Point) -> list[Any]:
    cost = point.evaluation
    return [_rows(point.schedule), str(cost.energy), cost.cycles, point.proven]


_ITEMS: dict[str, tuple[type[Item], tuple[type, ...]]] = {
    "keep": (Keep, (str, str)),
    "for": (For, (str, int)),
    "par": (Par, (str, int, str, str)),
}
"""The items of a schedule, and what they are made of."""

_WORDS = {kind: word for word, (kind, _) in _ITEMS.items()}


def _rows(schedule: Schedule) -> list[list[Any]]:
    """A schedule as JSON: it is read so often that its text, and a grammar, would take too long."""
    return [[_WORDS[type(item)], *astuple(item)] for item in schedule.items]


def _schedule(rows: list[list[Any]]) -> Schedule:
    """The schedule of such rows; ValueError if they have none."""
    items = []
    for word, *parts in rows:
        kind, types = _ITEMS[word]
        if tuple(map(type, parts)) != types:
            raise ValueError(f"{parts} is no {word}")
        items.append(kind(*parts))
    return Schedule(tuple(items))


def _read(task: Task, key: str, entry: object, checksum: object) -> Best | None:
    """The answer in an entry; None if it is not what was written, or not true."""
    if not isinstance(entry, bytes) or checksum != _checksum(key, entry):
        return None
    try:
        return _verified(task, json.loads(entry))
    except (InputError, ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError):
        return None


def _verified(task: Task, entry: dict[str, Any]) -> Best | None:
    """The answer with its schedules costed again."""
    schedule, evaluation = _costed(task, entry["schedule"])
    value, bound = Fraction(entry["value"]), Fraction(entry["lower_bound"])
    if evaluation.value(measure(task.objective)) != value or bound > value:
        return None
    front = []
    for rows, energy, cycles, proven in entry["front"]:
        other, cost = _costed(task, rows)
        if (cost.energy, cost.cycles) != (Fraction(energy), cycles):
            return None
        front.append(Point(other, cost, bool(proven)))
    certificate = Certificate(
        status="optimal" if value == bound else "bounded",
        value=value,
        lower_bound=bound,
        floor_dram_words=entry["floor_dram_words"],
        space=entry["space"],
        expanded=entry["expanded"],
        search_s=0.0,
        relative_to=relative_to(task.constraints),
        discarded={str(rule): int(number) for rule, number in entry["discarded"].items()},
    )
    return Best(task.nest, task.target, task.objective, schedule, evaluation, certificate, tuple(front))


def _costed(task: Task, rows: list[list[Any]]) -> tuple[Schedule, Evaluation]:
    """A schedule and its cost; ValueError if the constraints of the task do not allow it."""
    schedule = _schedule(rows)
    verify_schedule(task.nest, schedule)
    narrow = narrowed(task.nest, task.target, task.constraints)
    if not satisfies(task.nest, narrow, task.constraints, schedule):
        raise ValueError("the schedule does not satisfy the constraints")
    if not task.perfect_factors:
        return schedule, evaluate(task.nest, schedule, task.target)
    from effc.compiler.search.problem import without_windows

    return schedule, evaluate(task.nest, schedule, without_windows(task.target))
