"""The artefact, a ``.effx`` file: everything about a compiled model, and nothing about the run that compiled it.

artefact.json   the backend, and the sizes that the model is compiled for
graph.txt       the graph with its schedules; it names the constants by their digests
target.hw       the target
report.json     the report, without times and paths
program.asm     the program of the accelerator
model.onnx      the original model, its large tensors as external data in ``data/``
graph_1.txt ... graph, report and program for other sizes of symbolic dims
data/SHA-256    constants and tensors, row-major, little end first; of constants that are tensors of the model times
                factors, the factors, and none of those that are parts of tensors, or show their words in another
                order: artefact.json says which
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache, cached_property, partial
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from effc.compiler.container import Container, Entries, writing_container
from effc.compiler.cost import try_schedule
from effc.compiler.original import Original
from effc.compiler.program import CompiledProgram
from effc.compiler.recipes import Held, Part
from effc.compiler.target import parse_target, print_target
from effc.ir import parse_graph, print_graph
from effc.ir.bodies import every_constant, every_nest, with_constants
from effc.ir.constants import AbsentConstant, Scaled, StoredConstant, digest, scaled
from effc.ir.graph import Array, Graph, NestOp, NodeOp, Tensor
from effc.ir.types import is_narrow, storage

if TYPE_CHECKING:
    from effc.backends.accel import Program
    from effc.compiler.report import Report
    from effc.compiler.target.model import Target

SHARED = ("artefact.json", "target.hw")
"""Texts that all variants have in common."""

MOST_VARIANTS = 64

MAX_GRAPH = 2**27
"""Characters of the text of a graph."""

T = TypeVar("T")

_DTYPE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def saving(compiled: CompiledProgram, path: Path) -> AbstractContextManager[None]:
    """Write an artefact, whole or not at all, beside what a ``with`` does. Equal programs give equal bytes."""
    sizes = [variant.sizes for variant in compiled.variants]
    held = Held(compiled.original.data)
    held.add_constants(value for variant in compiled.variants for value in every_constant(variant.graph).values())
    head = {"backend": compiled.backend, "sizes": sizes, **held.to_json()}
    shared = {"artefact.json": json.dumps(head), "target.hw": compiled.target.source or print_target(compiled.target)}

    def texts() -> Iterator[tuple[str, bytes]]:
        yield "model.onnx", compiled.original.shell
        own = (_texts(variant, number) for number, variant in enumerate(compiled.variants))
        for name, text in chain(shared.items(), *own):
            yield name, text.encode()

    return writing_container(path, texts(), held.data)


def _texts(compiled: CompiledProgram, number: int) -> Iterator[tuple[str, str]]:
    """The entries of one variant; the report, which may be waited for, is the last."""
    from effc.compiler.report import to_json

    yield entry("graph.txt", number), print_graph(compiled.graph)
    if compiled.program is not None:
        from effc.backends.accel import print_program

        yield entry("program.asm", number), print_program(compiled.program)
    yield entry("report.json", number), to_json(compiled.report.stored())


def entry(name: str, number: int) -> str:
    """The name of an entry of a variant: ``graph.txt``, ``graph_1.txt``."""
    stem, suffix = name.split(".")
    return f"{stem}_{number}.{suffix}" if number else name


Data = Literal["loaded", "stored", "absent"]
"""Where the values of constants are: in memory; in the file, which is read each time; nowhere, for programs that are
shown, but not run.
"""


def load(path: str | Path, data: Data = "loaded") -> CompiledProgram:
    """The compiled model in a file."""
    with Container(Path(path)) as container:
        read = container.data if data == "stored" else cache(container.data)
        sizes = _Reader(container).sizes()
        first, *others = (_loaded(_Reader(container, number, read), text, data) for number, text in enumerate(sizes))
        return replace(first, others=tuple(others))


def _loaded(reader: _Reader, sizes: str, data: Data) -> CompiledProgram:
    """One variant."""
    graph = reader.graph()
    if data != "absent":
        of = reader.stored if data == "stored" and reader.backend() == "accel" else reader.array
        graph = with_constants(graph, lambda name, value: of(value))
    backend, program, target = reader.backend(), reader.program(), reader.target()
    if misfit := next(misfits(graph, target, program), ""):
        raise reader.container.damaged(misfit)
    report, original = reader.report(), reader.original(graph, data)
    return CompiledProgram(graph, target, report, lambda: report.model.sha256, backend, program, original, sizes)


def load_reports(path: str | Path) -> dict[str, Report]:
    """The reports in an artefact, by the sizes that they are of."""
    with Container(Path(path)) as container:
        return {text: _Reader(container, number).report() for number, text in enumerate(_Reader(container).sizes())}


def misfits(graph: Graph, target: Target, program: Program | None) -> Iterator[str]:
    """Where the parts of an artefact, each well formed, do not fit each other."""
    for nest, _ in every_nest(graph):
        if nest.schedule is None:
            yield f"nest {nest.name} has no schedule"
        elif isinstance(found := try_schedule(nest.nest, nest.schedule, target), list):
            yield f"nest {nest.name}: {found[0]}"
    if program is not None:
        yield from _misfits(graph, program)


def _misfits(graph: Graph, program: Program) -> Iterator[str]:
    """Where a graph and its program, or those of a body, do not fit each other."""
    from effc.backends.accel.emit import epilogue_of, plain_node

    if (program.inputs, program.outputs) != (graph.inputs, graph.outputs):
        yield "the program has other inputs or outputs than the graph"
    if [layer.name for layer in program.layers] != [op.name for op in graph.ops]:
        yield "the program has other layers than the graph"
    for layer, op in zip(program.layers, graph.ops):
        if isinstance(op, NodeOp) and getattr(layer, "node", None) != plain_node(op):
            yield f"the program has another op '{op.name}' than the graph"
        bodies, programs = getattr(op, "bodies", ()), getattr(layer, "bodies", ())
        if len(bodies) != len(programs):
            yield f"'{op.name}' of the program has other bodies than the graph"
        for body, inner in zip(bodies, programs):
            yield from _misfits(body, inner)
        if isinstance(op, NestOp) and {dim.name: dim.bound for dim in getattr(layer, "dims", ())} != op.nest.bounds:
            yield f"layer '{op.name}' of the program has other dims than the graph"
    for slot in program.slots:
        known = graph.tensors.get(slot.name)
        if known is None or replace(known, place=None) != Tensor(slot.name, slot.dtype, slot.shape):
            yield f"the program has another tensor '{slot.name}' than the graph"
    for layer, op in zip(program.layers, graph.ops):
        if isinstance(op, NestOp) and getattr(layer, "epilogue", None) != epilogue_of(op, graph):
            yield f"layer '{op.name}' of the program has another epilogue than the graph"


class _Reader:
    """Reads the entries of a container, each with the checks of its own format."""

    def __init__(self, container: Container, number: int = 0, data: Callable[[str], bytes] | None = None) -> None:
        self.container, self.number, self.data = container, number, data or container.data

    def text(self, name: str) -> tuple[str, str]:
        """An entry, and its place in messages; of a variant's entries its own."""
        name = name if name in SHARED else entry(name, self.number)
        try:
            return self.container.text(name).decode(), f"{self.container.path}:{name}"
        except UnicodeDecodeError:
            raise self.container.damaged(f"the entry {name} is no text in UTF-8") from None

    def sizes(self) -> list[str]:
        """The sizes of every variant, as text."""
        try:
            sizes = json.loads(self.text("artefact.json")[0]).get("sizes", [""])
        except (ValueError, TypeError, AttributeError, RecursionError):
            sizes = None
        whole = isinstance(sizes, list) and all(isinstance(text, str) for text in sizes)
        if not whole or not 1 <= len(set(sizes)) == len(sizes) <= MOST_VARIANTS:
            raise self.container.damaged("the entry artefact.json does not list the sizes")
        return list(sizes)

    def backend(self) -> Any:
        try:
            backend = json.loads(self.text("artefact.json")[0])["backend"]
        except (ValueError, TypeError, KeyError, RecursionError):
            backend = None
        if backend not in ("accel", "cpu"):
            raise self.container.damaged("the entry artefact.json names no backend")
        return backend

    def graph(self) -> Graph:
        text, place = self.text("graph.txt")
        return parse_graph(text, None, place, MAX_GRAPH)

    def target(self) -> Any:
        return parse_target(*self.text("target.hw"))

    def report(self) -> Report:
        from effc.compiler.report import from_json

        return from_json(*self.text("report.json"))

    def program(self) -> Program | None:
        if self.backend() == "cpu":
            return None
        from effc.backends.accel import parse_program

        return parse_program(*self.text("program.asm"))

    def original(self, graph: Graph, data: Data) -> Original:
        """The original model, with the tensors that are no constants of the graph."""
        shell = self.container.text("model.onnx")
        known = {digest(value) for value in every_constant(graph).values()}
        known |= {recipe[1] for recipe in self.recipes.values()}
        rest = [entry for entry in self.container.digests if entry not in known] if data != "absent" else []
        return Original(shell, Entries(rest, self.data) if data == "stored" else {key: self.data(key) for key in rest})

    @cached_property
    def recipes(self) -> dict[str, list[Any]]:
        """Of constants that follow from others the digests of these, and shapes."""
        return self._table("scaled", lambda source, factors, *shapes: [str(source), str(factors), *map(tuple, shapes)])

    @cached_property
    def parts(self) -> dict[str, Part]:
        """Constants that are parts of others, by their digests."""
        return self._table("parts", Part.from_json)

    def _table(self, name: str, row: Callable[..., T]) -> dict[str, T]:
        """What artefact.json says of constants, by their digests."""
        try:
            table = json.loads(self.text("artefact.json")[0]).get(name, {})
            return {str(key): row(*values) for key, values in table.items()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise self.container.damaged("the entry artefact.json says nonsense of constants") from None

    def stored(self, constant: Any) -> Any:
        """A constant that the graph declares, whose values stay in the file."""
        assert isinstance(constant, AbsentConstant)
        assert self.recipes is not None and self.parts is not None  # known before the container is closed
        return StoredConstant(
            constant.name, constant.dtype, constant.shape, constant.sha256, partial(self.array, constant)
        )

    def array(self, constant: Any) -> Array:
        """The values of a constant that the graph declares."""
        assert isinstance(constant, AbsentConstant)
        if constant.sha256 in (recipes := self.recipes):
            return self.scaled(constant, *recipes[constant.sha256])
        part = self.parts.get(constant.sha256)
        content = self.data(part.source if part else constant.sha256)
        try:
            if part is not None:
                return self._checked(constant, part.words(content, dtype_of(constant.dtype), constant.shape))
            array = (
                _strings(content) if constant.dtype == "object" else np.frombuffer(content, dtype_of(constant.dtype))
            )
            if array.size != prod(constant.shape):
                raise ValueError(f"{array.size} values for the shape {list(constant.shape)}")
            return array.reshape(constant.shape)
        except (ValueError, TypeError, AttributeError) as error:
            raise self.container.damaged(f"constant {constant.name!r}: {error}") from None

    def scaled(self, constant: AbsentConstant, source: str, factors: str, *shapes: tuple[int, ...]) -> Array:
        """A constant that follows from others."""
        try:
            words = np.frombuffer(self.data(source), dtype_of(constant.dtype)).reshape(constant.shape)
            known = np.frombuffer(self.data(factors), np.float64).reshape(shapes[1])
            value = scaled(Scaled(words, shapes[0], known))
        except (ValueError, TypeError, AttributeError) as error:
            raise self.container.damaged(f"constant {constant.name!r}: {error}") from None
        return self._checked(constant, value)

    def _checked(self, constant: AbsentConstant, value: Array) -> Array:
        if digest(value) != constant.sha256:
            raise self.container.damaged(f"constant {constant.name!r} is not what its digest says")
        return value


def dtype_of(name: str) -> np.dtype[Any]:
    """A type of plain numbers by its name, the narrow floats that onnx brings along included."""
    import ml_dtypes

    if not _DTYPE.fullmatch(name):
        raise ValueError(f"no type is called {name!r}")
    dtype = storage(name) if is_narrow(name) else np.dtype(getattr(ml_dtypes, name, name))
    if dtype.hasobject or dtype.fields is not None or dtype.itemsize == 0:
        raise ValueError(f"no type of numbers is called {name!r}")
    return dtype


def _strings(content: bytes) -> Array:
    items, position = [], 0
    while position < len(content):
        start = position + 8
        position = start + int.from_bytes(content[position:start], "little")
        if position > len(content):
            raise ValueError("a string ends behind its entry")
        items.append(content[start:position].decode("utf-8", "surrogatepass"))
    return np.array(items, dtype=object)
