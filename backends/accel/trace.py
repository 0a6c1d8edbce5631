"""A run over time, for Chrome's and Perfetto's trace viewers: https://ui.perfetto.dev opens the file.

    {"displayTimeUnit": "ns", "otherData": {...}, "traceEvents": [
      {"ph": "M", "name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "array"}},
      {"ph": "X", "name": "mac", "cat": "conv1", "pid": 1, "tid": 2, "ts": 0.025, "dur": 0.06, "args": {"tiles": 1}},
      {"ph": "C", "name": "I spad", "pid": 1, "ts": 0.025, "args": {"words": 12}}, ...]}

Times are in microseconds of the target. There is one track for the layers, one per engine and one per unit; what an
engine does to one tile is one slice, up to LIMIT slices in a layer, after which each engine has one for all its further
tiles. The array is always in a slice, of a pass or of what it waits for: its slices in a layer add up to the layer's. A
counter shows how many words each region holds, another one the share of every 32nd part of a layer in which the array
works (percent).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

LIMIT = 1000
"""Slices of a layer, one tile each."""

WINDOWS = 32
"""The parts of a layer of which the utilization of the array is shown."""

WORK, UTILIZATION = "mac", "array utilization"
LAYERS, ARRAY, VECTOR, HOST = "layers", "array", "vector unit", "host"
MORE = "further tiles"


@dataclass
class Slice:
    """What an engine does from one tick of the layer to another, for so many tiles."""

    engine: str
    what: str
    start: int
    end: int
    tiles: int


@dataclass
class Recorder:
    """What happens in one layer; times in its ticks."""

    slices: list[Slice] = field(default_factory=list)
    words: list[tuple[int, str, int]] = field(default_factory=list)  # when, of which region, how many come or go
    _last: dict[str, Slice] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether tiles need not be told apart any more."""
        return len(self.slices) >= LIMIT

    def add(self, engine: str, what: str, start: int, end: int, tiles: int = 1) -> None:
        """Something that an engine did; from LIMIT on, part of its last slice."""
        last = self._last.get(engine)
        if not self.full:
            if end > start:
                self.slices.append(Slice(engine, what, start, end, tiles))
        elif last is not None and last.what == MORE:
            last.end, last.tiles = max(last.end, end), last.tiles + tiles
        elif end > start:
            self._last[engine] = Slice(engine, MORE, start, end, tiles)
            self.slices.append(self._last[engine])

    def occupy(self, region: str, tick: int, words: int) -> None:
        """Words that come to a region, or leave it."""
        if not self.full:
            self.words.append((tick, region, words))


class Trace:
    """The layers of a run, one after the other."""

    def __init__(self, target: str, clock_mhz: Fraction) -> None:
        self.target, self.clock_mhz = target, clock_mhz
        self.cycles = 0
        self._tracks: dict[str, int] = {}
        self._events: list[dict[str, Any]] = []

    def layer(
        self,
        name: str,
        op: str,
        where: str,
        cycles: int,
        recorder: Recorder | None = None,
        ticks: int = 1,
        compute: int = 0,
    ) -> None:
        """The next layer: its cycles, those in which the array works, and what happened in it, in ticks of which a
        cycle has ``ticks``.
        """
        self._slice(LAYERS, name, op, Fraction(0), Fraction(cycles), {"op": op, "where": where})
        if recorder is None:
            unit = {"vector": VECTOR, "host": HOST}.get(where, ARRAY)
            self._slice(unit, op, name, Fraction(0), Fraction(cycles), {})
        else:
            for one in recorder.slices:
                start, end = Fraction(one.start, ticks), Fraction(one.end, ticks)
                self._slice(one.engine, one.what, name, start, end, {"tiles": one.tiles})
            self._count(recorder, ticks)
            self._utilization(recorder, ticks, cycles, compute)
        self.cycles += cycles

    def _slice(
        self, track: str, name: str, category: str, start: Fraction, end: Fraction, args: dict[str, Any]
    ) -> None:
        tid = self._tracks.setdefault(track, len(self._tracks) + 1)
        times = {"ts": self._time(start), "dur": float((end - start) / self.clock_mhz)}
        self._events.append({"ph": "X", "name": name, "cat": category, "pid": 1, "tid": tid, **times, "args": args})

    def _count(self, recorder: Recorder, ticks: int) -> None:
        held: dict[str, int] = {}
        for tick, region, words in sorted(recorder.words, key=lambda event: event[0]):
            held[region] = held.get(region, 0) + words
            time = self._time(Fraction(tick, ticks))
            self._events.append({"ph": "C", "name": region, "pid": 1, "ts": time, "args": {"words": held[region]}})

    def _utilization(self, recorder: Recorder, ticks: int, cycles: int, compute: int) -> None:
        """The share of each window in which the array works; of passes that last longer than their compute, and of
        tiles not told apart, the same share of all.
        """
        passes = [one for one in recorder.slices if one.engine == ARRAY and one.what in (WORK, MORE)]
        known = sum(one.end - one.start for one in passes if one.what == WORK)
        rest = sum(one.end - one.start for one in passes if one.what == MORE)
        passing = Fraction(1) if rest else Fraction(compute * ticks, max(1, known))
        share = Fraction(max(compute * ticks - known, 0), rest) if rest else Fraction(0)
        length = Fraction(cycles * ticks, WINDOWS)
        busy = [Fraction(0)] * WINDOWS
        for one in passes if cycles else ():
            weight = share if one.what == MORE else passing
            for place in range(int(one.start / length), min(int(one.end / length) + 1, WINDOWS)):
                inside = min(Fraction(one.end), (place + 1) * length) - max(Fraction(one.start), place * length)
                busy[place] += weight * max(inside, Fraction(0))
        for place, some in enumerate(busy if cycles else ()):
            percent = float(min(100 * some / length, Fraction(100)))
            time = self._time(place * length / ticks)
            self._events.append({"ph": "C", "name": UTILIZATION, "pid": 1, "ts": time, "args": {"percent": percent}})

    def _time(self, cycle: Fraction) -> float:
        return float((self.cycles + cycle) / self.clock_mhz)

    def to_json(self) -> dict[str, Any]:
        """The whole trace, events in the order of time."""
        return {
            "displayTimeUnit": "ns",
            "otherData": {"target": self.target, "clock_mhz": float(self.clock_mhz), "cycles": self.cycles},
            "traceEvents": [*self._names(), *sorted(self._events, key=lambda event: event["ts"])],
        }

    def _names(self) -> Iterator[dict[str, Any]]:
        yield {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": self.target}}
        for name, tid in self._tracks.items():
            yield {"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}}
            yield {"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": tid, "args": {"sort_index": tid}}
