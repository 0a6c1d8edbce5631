"""What ``effc show`` prints: a compiled model, or one layer of it, as loop nests, as IR or as assembly."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from effc.compiler.errors import InputError
from effc.ir import NestOp, NodeOp, print_graph, print_scheduled
from effc.ir.bodies import every_op
from effc.ir.graph import Graph, Op
from effc.ir.printer import print_op_head

if TYPE_CHECKING:
    from effc.compiler.program import CompiledProgram

FORMS = ("loops", "ir", "asm")


def show(compiled: CompiledProgram, layer: str | None, form: str) -> str:
    """The text of a compiled model, or of one of its layers; it can be parsed again."""
    if form not in FORMS:
        raise InputError(f"no form is called '{form}'", expected=", ".join(FORMS))
    every = tuple(op for op, _ in every_op(compiled.graph))
    ops = every if layer is None else layers(every, layer)
    if form == "loops":
        return "\n".join(map(loops, ops))
    if form == "ir":
        return print_graph(compiled.graph if layer is None else part(around(compiled.graph, ops[0]), ops))
    return assembly(compiled, None if layer is None else {op.name for op in ops})


def around(graph: Graph, op: Op) -> Graph:
    """The graph, or the body in it, that an op stands in."""
    return next(scope.graph for found, scope in every_op(graph) if found is op)


def layers(ops: tuple[Op, ...], name: str) -> tuple[Op, ...]:
    """The op of that name, or all that came from the ONNX node of that name, or the nest that it was fused into."""
    found = [op for op in ops if op.name == name] or [op for op in ops if op.origin == name]
    nests = [op for op in ops if isinstance(op, NestOp)]
    found = found or [op for op in nests if name in [step.name for step in op.epilogue]]
    if found:
        return tuple(found)
    names = [op.name for op in ops]
    close = get_close_matches(name, names, 1)
    some = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    remedy = f"did you mean '{close[0]}'?" if close else "`effc report` lists the layers"
    raise InputError(f"no layer is called '{name}'", expected=some or "a model with layers", remedy=remedy)


def loops(op: Op) -> str:
    """A nest with its loops; of another op a comment, and of each step of an epilogue."""
    if isinstance(op, NodeOp):
        return f"# {print_op_head(op)}\n"
    assert op.schedule is not None
    steps = (f"# epilogue: {print_op_head(step)}\n" for step in op.epilogue)
    return print_scheduled(op.nest, op.schedule) + "".join(steps)


def part(graph: Graph, ops: tuple[Op, ...]) -> Graph:
    """The graph of some ops alone: what they read comes from outside."""
    made = [name for op in ops for name in op.outputs if name]
    read = [name for op in ops for name in (*op.inputs, *_captures(op)) if name and name not in made]
    used = dict.fromkeys([*read, *made, *(name for op in ops if isinstance(op, NestOp) for name in op.inner)])
    return replace(
        graph,
        inputs=tuple(dict.fromkeys(name for name in read if name not in graph.constants)),
        outputs=tuple(dict.fromkeys(made)),
        tensors={name: replace(graph.tensors[name], place=None) for name in used},
        ops=ops,
        constants={name: graph.constants[name] for name in used if name in graph.constants},
    )


def assembly(compiled: CompiledProgram, names: set[str] | None) -> str:
    """The program, or those of its layers that are named; of a program for the CPU the C."""
    if compiled.program is None:
        from effc.backends.cpu import CpuProgram

        source: str = CpuProgram(compiled.graph).source
        return source
    from effc.backends.accel import print_layer, print_program
    from effc.backends.accel.check import every_layer

    if names is None:
        return print_program(compiled.program)
    return "\n".join(print_layer(layer) for layer in every_layer(compiled.program) if layer.name in names)


def _captures(op: Op) -> tuple[str, ...]:
    return () if isinstance(op, NestOp) else op.captures
