"""The state of a layer on the clock: when engines and tokens are ready, what ports are taken, what was waited for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import inf

from effc.backends.accel.demands import Demands, Table, Use, summed_registers
from effc.backends.accel.digits import Dimension
from effc.backends.accel.finishing import Finishing
from effc.backends.accel.isa import NestLayer
from effc.backends.accel.ports import Calendar, Ports
from effc.backends.accel.stores import Store
from effc.backends.accel.trace import ARRAY, Recorder
from effc.compiler.target.model import Target


class State:
    """``work`` is the share of the MACs that are done, where others are skipped, ``others`` the elements of each tensor
    that the epilogue of the layer reads, and their bits.

    ``slots``: the ticks at which engines and tokens are ready; beside it the calendars of the ports, and sums of what
    was waited for. ``counts``: how often each loop runs.
    """

    def __init__(
        self,
        layer: NestLayer,
        target: Target,
        recorder: Recorder | None = None,
        work: Fraction = Fraction(1),
        others: Iterable[tuple[int, Fraction]] = (),
    ) -> None:
        self.layer, self.target, self.recorder = layer, target, recorder
        self.dims = {setting.name: Dimension(setting, target) for setting in layer.dims}
        trips = {d.register: d.trips for dim in self.dims.values() for d in dim.digits if d.register >= 0}
        self.trips = [trips[register] for register in range(len(trips))]
        self.output = next(o.name for o in layer.operands if o.kind == "write")
        self.bias = next((o.name for o in layer.operands if o.kind == "bias"), None)
        self.stores = dict(self._stores())
        self.ports = Ports(target, work, vector=layer.epilogue is not None)
        self.finishing = Finishing(layer, self.ports, others)
        self.demands = Demands(self.ports, self.dims, self.trips, self.output)
        self.summed = tuple(summed_registers(self.dims, self.stores[self.output, target.levels[0].name]))
        self.names: dict[str, int] = {}
        self.engines: dict[int, str] = {}
        self.slots: list[int] = []
        self.calendars: dict[str, Calendar] = {}
        self.sums: dict[str, int] = {}
        self.counts: dict[int, Table] = {}
        self.running = [0] * len(self.trips)
        self.first_pass: int | None = None
        self.earliest = inf  # at which a port was asked for, in the loop at hand

    def _stores(self) -> list[tuple[tuple[str, str], Store]]:
        found = []
        outermost = self.target.levels[0]
        for operand in self.layer.operands:
            found.append(((operand.name, outermost.name), Store(operand, self.dims, outermost, 0, None)))
            for region in self.layer.regions:
                if region.operand == operand.name:
                    position = self.target.index[region.level]
                    store = Store(operand, self.dims, self.target.levels[position], position, region)
                    found.append(((operand.name, region.level), store))
        return found

    def chain(self, operand: str) -> list[Store]:
        """Where an operand is, from the outermost level in."""
        return sorted((s for (name, _), s in self.stores.items() if name == operand), key=lambda s: s.position)

    def slot(self, name: str) -> int:
        """The place of a time in the state."""
        if name not in self.names:
            self.names[name] = len(self.slots)
            self.slots.append(0)
            if name.startswith(("load ", "store ")) or name == ARRAY:
                self.engines[len(self.slots) - 1] = name
        return self.names[name]

    def user(self, store: Store, gives: bool) -> str:
        """The engine that uses the tile of a region: of the next one inward, or the array."""
        inner = [s for s in self.chain(store.operand.name) if s.position > store.position]
        if not inner:
            return ARRAY
        return engine("store" if gives and store.operand.kind == "write" else "load", inner[0])

    def reserve(self, start: int, uses: Sequence[Use], ticks: Sequence[int]) -> int:
        """The end of a transfer that begins at a tick: when the last port is through."""
        end = start
        self.earliest = min(self.earliest, start)
        for use, some in zip(uses, ticks):
            end = max(end, self.calendars[use.port.name].reserve(start, some))
            self.sums[use.port.name] += some
        return end

    def count(self, what: str, ticks: int) -> None:
        """Add to a sum."""
        self.sums[what] = self.sums.get(what, 0) + ticks

    def note(self, name: str, what: str, start: int, end: int) -> None:
        """Something that an engine did."""
        if self.recorder is not None:
            self.recorder.add(name, what, start, end)

    def wait(self, reason: str, start: int, end: int) -> None:
        """The array waits; before its first pass that is no stall, but part of the ramp-up."""
        if self.first_pass is not None:
            self.count(reason, end - start)
        self.note(ARRAY, f"wait for {reason}", start, end)


def engine(kind: str, store: Store) -> str:
    """The name of the engine that loads or stores a region."""
    return f"{kind} {store.operand.name} {store.level}"
