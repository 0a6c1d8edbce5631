"""Emits C99 from scheduled nests: one function per nest, its loops those of the schedule, in its order.

    for K in 0..70 by 16             for (long k0 = 0; k0 < 70; k0 += 16)
      keep W @ spad                    /* keep W @ spad */
      par K in 0..16 @ GLB.x           for (long k = k0; k < min(k0 + 16, 70); k++)  /* par K @ GLB.x */

A loop variable holds the index at which its tile begins, so that the last variable of a dim is the index itself. Ragged
tiles are clipped by ``min``, which is left out where the steps divide each other. A par is a loop like any other. The
sum runs in the type of the words, float32 or float64, in the order of the loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from effc.backends.cpu.epilogue import FUNCTIONS, finish
from effc.backends.cpu.names import Names, comment
from effc.ir.graph import NestOp, Tensor, View
from effc.ir.nest import Axis, Nest, Operand
from effc.ir.printer import print_nest, row_major
from effc.ir.schedule import For, Keep, Par, Schedule

WORDS = ("float32", "float64")
"""The types of words that C computes in here."""

_COLUMNS = 110
_MIN = "static inline long min(long a, long b)\n{\n  return a < b ? a : b;\n}\n"

Term = tuple[int, str]
"""A coefficient and the C expression that it multiplies."""


@dataclass(frozen=True, slots=True)
class CSource:
    """A C file, and its functions in the order of the nests it was made from: names, types of words, and whether they
    have the epilogue, too.
    """

    text: str
    functions: tuple[str, ...]
    types: tuple[str, ...]
    finished: tuple[bool, ...]


def emit_c(nest: Nest, schedule: Schedule, uses: Mapping[str, View] | None = None) -> str:
    """The scheduled nest as a C file with one function; without ``uses`` every operand is a tensor of its own."""
    return emit_file([NestOp(nest, uses or contiguous(nest), "", nest.name, schedule)]).text


def emit_file(ops: Iterable[NestOp], tensors: Sequence[Mapping[str, Tensor]] = ()) -> CSource:
    """One C file with a function per nest op; ``tensors`` are those around each, words of float32 if none are given."""
    names = Names()
    given = zip(ops, tensors or repeat(dict[str, Tensor]()))
    functions = [_Function(op, names.claim(op.name, "layer"), around) for op, around in given]
    texts = [function.text() for function in functions]
    called = [name for name in FUNCTIONS if any(f" {name}(" in text for text in texts)]
    if called:
        texts.insert(0, "".join(f"float {name}(float);\n" for name in called))
    if any(" min(" in text for text in texts):
        texts.insert(0, _MIN)
    return CSource(
        "\n".join(texts),
        tuple(function.name for function in functions),
        tuple(function.dtype for function in functions),
        tuple(function.finish is not None for function in functions),
    )


def contiguous(nest: Nest) -> dict[str, View]:
    """Views of every operand as a row-major tensor of its own."""
    return {name: View(name, 0, row_major(operand.shape)) for name, operand in nest.operands.items()}


class _Function:
    """The C function of one nest op."""

    def __init__(self, op: NestOp, name: str, around: Mapping[str, Tensor]) -> None:
        if op.schedule is None:
            raise ValueError(f"nest {op.name!r} has no schedule")
        self.op, self.nest, self.schedule, self.name = op, op.nest, op.schedule, name
        output = around.get(op.uses[op.nest.output.name].tensor) if around else None
        self.dtype = output.dtype if output else WORDS[0]
        self.word, self.zero = ("double", "0.0") if self.dtype == WORDS[1] else ("float", "0.0f")
        self.finish = finish(op, around) if around else None
        _check(self.nest, self.schedule)
        self.names = Names()
        self.params = {operand: self.names.claim(operand, "operand") for operand in self.nest.operands}
        self.tiles = self._tiles()
        self.index = {dim: chain[-1].variable for dim, chain in self.tiles.items() if len(chain) > 1}
        self.padded = self._padded()
        self.others = {name: self.names.claim(name, "input") for name in (self.finish.inputs if self.finish else ())}

    def text(self) -> str:
        lines = [*_header(self.op), *self._signature(), "{", *self._start(), "", *self._loops(), *self._finish(), "}"]
        return "\n".join(lines) + "\n"

    def _tiles(self) -> dict[str, list[_Tile]]:
        """Of each dim, its whole range and the tile that each of its loops steps to, outermost first."""
        tiles = {dim.name: [_Tile("", dim.bound)] for dim in self.nest.dims}
        loops = [loop for _, loop, _ in self.schedule.loops(self.nest)]
        for dim, chain in tiles.items():
            steps = [loop.step for loop in loops if loop.dim == dim]
            for i, step in enumerate(steps):
                suffix = "" if i == len(steps) - 1 else str(i)
                chain.append(_Tile(self.names.claim(dim.lower() + suffix, "dim"), step))
        return tiles

    def _signature(self) -> list[str]:
        output = self.nest.output.name
        params = [f"{'' if name == output else 'const '}{self.word} *restrict {c}" for name, c in self.params.items()]
        params += [f"const float *restrict {c}" for c in self.others.values()]
        line = f"void {self.name}({', '.join(params)})"
        if len(line) <= _COLUMNS:
            return [line]
        return [f"void {self.name}(", *(f"    {param}," for param in params[:-1]), f"    {params[-1]})"]

    def _start(self) -> Iterator[str]:
        """The output begins with the bias, or with zero."""
        nest, depth = self.nest, 1
        index = {}
        for dim in nest.dims:
            if dim.name in nest.output.dims and dim.name in self.index:
                variable = index[dim.name] = self.index[dim.name]
                yield _indented(depth, f"for (long {variable} = 0; {variable} < {dim.bound}; {variable}++)")
                depth += 1
        start = self.zero if nest.bias is None else self._word(nest.bias, index)
        yield _indented(depth, f"{self._word(nest.output, index)} = {start};")

    def _loops(self) -> Iterator[str]:
        depth = 1
        opened = dict.fromkeys(self.tiles, 1)
        for position, item in enumerate(self.schedule.items):
            if isinstance(item, Keep):
                yield _indented(depth, f"/* keep {comment(item.operand)} @ {comment(item.level)} */")
                continue
            brace = " {" if self.padded and not _has_loop(self.schedule.items[position + 1 :]) else ""
            yield _indented(depth, self._loop(item, opened[item.dim]) + brace + _spatial(item))
            opened[item.dim] += 1
            depth += 1
        yield from self._body(depth)
        if self.padded and depth > 1:
            yield _indented(depth - 1, "}")

    def _loop(self, item: For | Par, level: int) -> str:
        chain = self.tiles[item.dim]
        variable = chain[level].variable
        start = chain[level - 1].variable or "0"
        step = f"{variable}++" if item.step == 1 else f"{variable} += {item.step}"
        return f"for (long {variable} = {start}; {variable} < {_end(chain[:level])}; {step})"

    def _padded(self) -> dict[tuple[str, int], str]:
        """A variable for every (operand, axis) whose index may fall into padding."""
        return {
            (operand.name, i): self.names.claim(f"{operand.name.lower()}{i}", "index")
            for operand in self.nest.reads
            for i, axis in enumerate(operand.axes)
            if _outside(axis, self.nest) != (False, False)
        }

    def _body(self, depth: int) -> Iterator[str]:
        tests = []
        for (name, i), variable in self.padded.items():
            axis = self.nest.operands[name].axes[i]
            below, above = _outside(axis, self.nest)
            yield _indented(depth, f"const long {variable} = {_affine(*_index(axis, self.index))};")
            tests += [f"{variable} >= 0"] * below + [f"{variable} < {axis.size}"] * above
        if tests:
            yield _indented(depth, f"if ({' && '.join(tests)})")
            depth += 1
        output = self._word(self.nest.output, self.index)
        yield from _statement(depth, output, [self._word(read, self.index) for read in self.nest.reads])

    def _finish(self) -> Iterator[str]:
        """The epilogue, for every word of the output tensor."""
        if self.finish is None:
            return
        yield ""
        index = tuple(self.names.claim(f"i{axis}", "index") for axis, _ in enumerate(self.finish.shape))
        for depth, (variable, size) in enumerate(zip(index, self.finish.shape), 1):
            brace = " {" if depth == len(index) else ""
            yield _indented(depth, f"for (long {variable} = 0; {variable} < {size}; {variable}++){brace}")
        array, depth = self.params[self.nest.output.name], len(index) + 1
        output = f"{array}[{_affine(self.finish.address('', index), 0)}]"
        words = {self.op.inner[0]: output}
        for name, c in self.others.items():
            words[name] = f"{c}[{_affine(self.finish.address(name, index), 0)}]"
        for result, expression, inputs in self.finish.steps:
            variable = self.names.claim(result, "word")
            text = expression.format(*(words.get(name, "") for name in inputs))
            yield _indented(depth, f"const float {variable} = {text};")
            words[result] = variable
        yield _indented(depth, f"{output} = {words[self.op.outputs[0]]};")
        if index:
            yield _indented(depth - 1, "}")

    def _word(self, operand: Operand, index: Mapping[str, str]) -> str:
        """The C expression of the operand's word at the indices of the dims."""
        view = self.op.uses[operand.name]
        terms: list[Term] = []
        address = view.offset
        for i, (axis, stride) in enumerate(zip(operand.axes, view.strides, strict=True)):
            inner, offset = _index(axis, index)
            if (operand.name, i) in self.padded:
                terms.append((stride, self.padded[operand.name, i]))
            elif len(inner) > 1 and stride != 1:
                terms.append((stride, f"({_affine(inner, offset)})"))
            else:
                terms += [(stride * coefficient, variable) for coefficient, variable in inner]
                address += stride * offset
        return f"{self.params[operand.name]}[{_affine(terms, address)}]"


@dataclass(frozen=True, slots=True)
class _Tile:
    """The tile that begins at ``variable``: as long as the step of the variable's loop."""

    variable: str  # "" for the whole range of the dim
    size: int

    @property
    def end(self) -> str:
        return f"{self.variable} + {self.size}" if self.variable else str(self.size)


def _end(chain: Sequence[_Tile]) -> str:
    """Where the innermost of these tiles ends: no tile ends behind the one around it.

    A tile whose size divides those of the tiles between it and an outer one, and of that one, cannot stick out of it.
    """
    ends: list[int] = []
    for i, tile in enumerate(chain):
        ends = [j for j in ends if any(outer.size % tile.size for outer in chain[j:i])] + [i]
    text = chain[ends[0]].end
    for i in ends[1:]:
        text = f"min({chain[i].end}, {text})"
    return text


def _index(axis: Axis, index: Mapping[str, str]) -> tuple[list[Term], int]:
    """The axis' index as terms of loop variables and a constant; a dim without a loop stays at zero."""
    return [(coefficient, index[dim]) for coefficient, dim in axis.terms if dim in index], axis.offset


def _affine(terms: Sequence[Term], constant: int) -> str:
    """``2 * p + r - 3``"""
    text = ""
    for coefficient, factor in (*terms, (constant, "")):
        if coefficient:
            sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
            size = str(abs(coefficient)) if abs(coefficient) != 1 or not factor else ""
            text += sign + " * ".join(part for part in (size, factor) if part)
    return text or "0"


def _outside(axis: Axis, nest: Nest) -> tuple[bool, bool]:
    """Whether the index goes below 0, and above size-1, somewhere in the box of dims."""
    reach = [coefficient * (nest.bounds[dim] - 1) for coefficient, dim in axis.terms]
    lowest = axis.offset + sum(min(0, r) for r in reach)
    highest = axis.offset + sum(max(0, r) for r in reach)
    return lowest < 0, highest >= axis.size


def _check(nest: Nest, schedule: Schedule) -> None:
    """What the emitter relies on: every dim is stepped through word by word, and nothing but a read reaches padding."""
    tile = dict(nest.bounds)
    for _, loop, _ in schedule.loops(nest):
        if loop.step < 1:
            raise ValueError(f"nest {nest.name!r}: a loop over {loop.dim!r} has step {loop.step}")
        tile[loop.dim] = loop.step
    for dim, size in tile.items():
        if size != 1:
            raise ValueError(f"nest {nest.name!r}: the loops over {dim!r} end with tiles of {size}")
    for operand in (nest.output, *([] if nest.bias is None else [nest.bias])):
        if any(_outside(axis, nest) != (False, False) for axis in operand.axes):
            raise ValueError(f"nest {nest.name!r}: {operand.name!r} is indexed outside its shape")
        if not operand.dims <= nest.output.dims:
            raise ValueError(f"nest {nest.name!r}: {operand.name!r} depends on a reduction dim")


def _header(op: NestOp) -> list[str]:
    """A comment with the nest, and with the ONNX node that it came from."""
    lines = [f"{op.op} {op.origin}", ""] if op.op else []
    lines += print_nest(op.nest).splitlines()
    marks = ["/*"] + [" *"] * (len(lines) - 1)
    return [*(f"{mark} {comment(line)}".rstrip() for mark, line in zip(marks, lines)), " */"]


def _spatial(item: For | Par) -> str:
    if isinstance(item, For):
        return ""
    return f"  /* par {comment(item.dim)} @ {comment(f'{item.level}.{item.axis}')} */"


def _has_loop(items: Iterable[Keep | For | Par]) -> bool:
    return any(not isinstance(item, Keep) for item in items)


def _statement(depth: int, output: str, reads: Sequence[str]) -> list[str]:
    """The accumulation, on one line if it fits."""
    line = _indented(depth, f"{output} += {' * '.join(reads)};")
    if len(line) <= _COLUMNS:
        return [line]
    lines = [output, f"  += {reads[0]}", *(f"   * {read}" for read in reads[1:])]
    return [_indented(depth, text) for text in lines[:-1]] + [_indented(depth, f"{lines[-1]};")]


def _indented(depth: int, text: str) -> str:
    return "  " * depth + text
