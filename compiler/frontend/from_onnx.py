"""From an ONNX model to a graph of nests and nodes.

``lower`` walks the nodes once, in the order of the model. Of each it infers the types of the outputs; if all that it
reads is known, it computes them (``fold``); if the table of lowerings has an entry, nests are made of it; or else the
node itself becomes an op. Since the dims of the inputs are bound before, a shape that is not known then depends on the
data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import fields, replace
from functools import partial

import onnx
import onnx.inliner
import onnx.shape_inference

from effc.backends.host import output_types
from effc.compiler.errors import InputError
from effc.compiler.frontend import bind, control, fold, infer, qdq, qonnx, rows
from effc.compiler.frontend.builder import Builder
from effc.compiler.frontend.contrib import plain_quantiser
from effc.compiler.frontend.control import CONTROL
from effc.compiler.frontend.lowerings import EXPANSIONS, LOWERINGS, REASONS, load_offered, multiplies
from effc.compiler.frontend.node import Node, NotANest
from effc.compiler.frontend.read import check, guard, read_model, skeleton
from effc.compiler.frontend.sequences import Sequences
from effc.compiler.frontend.shell import initializers, plain_domain, with_plain_domain, without_functions
from effc.compiler.frontend.sizes import Sizes
from effc.compiler.frontend.subgraphs import captured, defined, spliced, subgraphs
from effc.compiler.frontend.trial import require_survival
from effc.compiler.frontend.weights import Model
from effc.compiler.frontend.writer import OPSET
from effc.ir.graph import Array, ControlOp, Graph, NestOp, NodeOp, Op
from effc.ir.rules import LIMIT

__all__ = ["check", "lower", "read_model"]


def lower(
    model: onnx.ModelProto | Model,
    *,
    batch: int = 1,
    dims: Mapping[str, int] | None = None,
    name: str = "",
    host: Mapping[str, str] | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Graph:
    """The graph of a checked model.

    ``dims`` gives the symbolic dims of the inputs their values; the batch, where it is one of them, is ``batch``. The
    nodes that ``host`` names become no nests; it says why. ``meanwhile`` is called where there is time to wait.
    """
    load_offered()
    given = model if isinstance(model, Model) else Model(model)
    graph = given.proto.graph
    walk = partial(_lowered, batch=batch, dims=dims or {}, host=host or {})
    seconds = 10 + len(graph.node) // 100
    small = Model(skeleton(given.proto, given.weights))
    require_survival(partial(walk, small), "infer the shapes of the model", seconds=seconds, meanwhile=meanwhile)
    return walk(given).graph(name or graph.name or "model")


def _lowered(model: Model, batch: int, dims: Mapping[str, int], host: Mapping[str, str]) -> _Frontend:
    with guard("the local functions of the model cannot be inlined"):
        shell = without_functions(model)
    frontend = _Frontend(model, shell, host)
    frontend.bind(batch, dims)
    frontend.lower(frontend.fused(shell.graph.node))
    return frontend


class _Frontend:
    """The walk over the nodes, and what is known so far.

    ``shell`` is the model with its local functions inlined; only ``model`` is sure to have the initializers' data.
    """

    def __init__(self, model: Model, shell: onnx.ModelProto, host: Mapping[str, str]) -> None:
        graph = model.proto.graph
        constants = dict(initializers(graph, model.weights))
        self.inputs = [value for value in graph.input if value.name not in constants]
        self.outputs = tuple(dict.fromkeys(value.name for value in graph.output))
        outputs = (name for node in shell.graph.node for name in node.output)
        self.build = Builder([*constants, *(value.name for value in self.inputs), *outputs])
        self.budget = fold.Budget()
        self.versions = {plain_domain(entry.domain): entry.version for entry in shell.opset_import}
        self.context = onnx.ModelProto(ir_version=shell.ir_version)
        self.context.opset_import.extend(onnx.helper.make_opsetid(*entry) for entry in self.versions.items())
        self.context.functions.extend(shell.functions)
        self.host = host
        self.narrow: dict[str, str] = {}  # types of integers that ONNX has not, by the names of tensors
        self.host_reasons: dict[str, str] = {}  # of nodes that could not be expanded
        self.types: dict[str, onnx.TypeProto] = {}
        self.sequences, self.sizes = Sequences(), Sizes()
        self.declared = {value.name: value.type for value in (*shell.graph.value_info, *graph.output)}
        for name, array in constants.items():
            self._add(name, infer.array_type(array), array)

    def bind(self, batch: int, dims: Mapping[str, int]) -> None:
        """Give the symbolic dims of the inputs their values."""
        symbols = bind.bind(self.inputs, batch, dims)
        self.declared = {name: bind.bound(kind, symbols) for name, kind in self.declared.items()}
        for value in self.inputs:
            self._add(value.name, bind.bound(value.type, symbols, value.name))

    def fused(self, nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """The nodes of the model, operators on dequantised tensors made operators of integers."""
        nodes = [plain_quantiser(node, self.versions.get("", 1)) for node in nodes]
        known = {**self.build.constants, **dict(qonnx.constants(nodes))}
        plain, self.narrow = qonnx.quantised(nodes, known, self.build.fresh)
        return qdq.fused(plain, self.build.constants, self.outputs, self.build.fresh, self.narrow)

    def lower(self, nodes: Iterable[onnx.NodeProto]) -> None:
        for proto in nodes:
            self._lower_node(with_plain_domain(proto))

    def graph(self, name: str) -> Graph:
        """What was built, without the tensors that nobody uses."""
        ops = tuple(self.build.ops)
        inputs = tuple(value.name for value in self.inputs)
        used = dict.fromkeys([*inputs, *(name for op in ops for name in _touched(op)), *self.outputs])
        self._require(self.outputs, name)
        tensors = {name: self.build.tensors[name] for name in used}
        constants = {name: value for name, value in self.build.constants.items() if name in used}
        return Graph(name, inputs, self.outputs, tensors, ops, constants)

    def _add(self, name: str, kind: onnx.TypeProto, value: Array | None = None) -> None:
        """A tensor of the model."""
        tensor = infer.tensor(name, kind)
        if name in self.narrow:
            tensor = replace(tensor, dtype=self.narrow[name])
        if tensor.shape is not None and tensor.words >= LIMIT:
            raise InputError(f"the tensor '{name}' of shape {list(tensor.shape)} is too large")
        self.types[name] = kind
        self.build.tensors[name] = tensor
        if value is not None:
            self.build.constants[name] = value

    def _require(self, names: Iterable[str], place: str) -> None:
        for name in names:
            if name and name not in self.build.tensors:
                raise InputError(f"nothing in the model gives the tensor '{name}'", place)

    def _lower_node(self, proto: onnx.NodeProto) -> None:
        outside = tuple(captured(proto))
        self._require((*proto.input, *outside), proto.name or proto.op_type)
        if self._took_branch(proto):
            return
        inputs = tuple(self.build.tensors[name] if name else None for name in proto.input)
        name = self.build.op_name(proto)
        node = Node(proto, name, self.versions.get(proto.domain, 1), inputs, (), self.build.constants)
        for known in (self.sequences, self.sizes):
            if (nodes := known.read(node, self.build.fresh)) is not None:
                self.lower(nodes)
                return
        self.sequences.note(node)
        self.sizes.note(node, self.types)
        kinds = self._infer(node, outside)
        as_op = partial(self._op, node, outside)
        values = fold.fold(node, kinds, as_op, self.budget)
        if values is None and (
            self._controlled(node, kinds, outside) or self._by_rows(node, kinds) or self._expanded(node, kinds)
        ):
            return
        for i, output in enumerate(proto.output):
            value = None if values is None else values[i]
            if output:
                self._add(output, kinds[i] if value is None else infer.array_type(value), value)
        if values is None:
            outputs = tuple(self.build.tensors.get(name) for name in proto.output)
            self._emit(Node(proto, name, node.version, inputs, outputs, self.build.constants), as_op)

    def _took_branch(self, proto: onnx.NodeProto) -> bool:
        """An ``If`` whose condition is known is replaced with one of its branches."""
        condition = self.build.constants.get(proto.input[0]) if (proto.domain, proto.op_type) == ("", "If") else None
        if condition is None or condition.size != 1:
            return False
        branch = "then_branch" if condition.item() else "else_branch"
        self.lower(spliced(proto, branch, self.build.fresh))
        return True

    def _expanded(self, node: Node, kinds: list[onnx.TypeProto]) -> bool:
        """Lower the simpler nodes that a node stands for, if it does."""
        entry = EXPANSIONS.get(node.key)
        if entry is None or node.name in self.host:
            return False
        if entry.where == "accel" and not multiplies(node.proto) and not self.sequences.collected(node):
            return False
        try:
            nodes, version = entry.function(node, self.build.fresh)
        except NotANest as why:
            if node.key not in LOWERINGS:
                self.host_reasons.setdefault(node.name, str(why))
            return False
        self._replace(node, kinds, nodes, version)
        return True

    def _by_rows(self, node: Node, kinds: list[onnx.TypeProto]) -> bool:
        """Lower the loop over the rows of a product, if there are as many as the data say."""
        if node.key not in LOWERINGS or node.name in self.host or len(kinds) != 1:
            return False
        try:
            nodes = rows.by_rows(
                node, [*(self.types[name] for name in node.proto.input if name), *kinds], self.build.fresh
            )
        except NotANest:
            return False
        self._replace(node, kinds, nodes, OPSET)
        return True

    def _replace(self, node: Node, kinds: list[onnx.TypeProto], nodes: list[onnx.NodeProto], version: int) -> None:
        """Lower nodes of some operator set in the place of one."""
        self.declared |= {
            name: kind for name, kind in zip(node.proto.output, kinds) if name and kind.WhichOneof("value")
        }
        before, self.versions = self.versions, {**self.versions, "": version}
        context, self.context = self.context, self._context_at(version)
        self.lower(nodes)
        self.versions, self.context = before, context

    def _controlled(self, node: Node, kinds: list[onnx.TypeProto], outside: tuple[str, ...]) -> bool:
        """Compile the bodies of an If, a Loop or a Scan that has products in them, if it can be."""
        if node.proto.op_type not in CONTROL or node.proto.domain:
            return False
        if self.sequences.collected(node) and self._expanded(node, kinds):
            return True
        if not multiplies(node.proto):
            self.host_reasons[node.name] = control.WITHOUT
            return False
        types = [self.types[name] if name else onnx.TypeProto() for name in node.proto.input]
        try:
            plan = control.plan(node, types)
            bodies, results = self._bodies(plan)
        except (NotANest, InputError) as why:
            return self._left(node, why)
        if not control.keeps_shape(plan, results[0]):
            if self._expanded(node, kinds):
                return True
            try:
                plan, bodies, results = self._widened(plan, results)
            except (NotANest, InputError) as why:
                return self._left(node, why)
        kinds = control.result_types(plan, results)
        names = [*node.proto.output, *([""] * (len(kinds) - len(node.proto.output)))]
        for name, kind in zip(names, kinds):
            if name:
                self._add(name, kind)
        graphs = tuple(body.body(graph) for body, graph in zip(bodies, plan.bodies))
        captures = dict.fromkeys(name for graph in graphs for name in graph.inputs[len(plan.given) :])
        self.build.ops.append(self._control_op(node, tuple(names), tuple(captures), graphs, plan.trips))
        return True

    def _control_op(
        self,
        node: Node,
        outputs: tuple[str, ...],
        captures: tuple[str, ...],
        bodies: tuple[Graph, ...],
        trips: int | None,
    ) -> ControlOp:
        proto = onnx.NodeProto()
        proto.CopyFrom(node.proto)
        del proto.attribute[:]
        proto.attribute.extend(attribute for attribute in node.proto.attribute if not attribute.HasField("g"))
        plain = self._op(replace(node, proto=proto), captures, control.REASON)
        values = {field.name: getattr(plain, field.name) for field in fields(plain)}
        return ControlOp(**values | {"outputs": outputs, "context": b""}, bodies=bodies, trips=trips)

    def _left(self, node: Node, why: NotANest | InputError) -> bool:
        """Leave a node to the host: a body that these inputs never run need not be right for them."""
        text = (
            f"control flow, whose body cannot be compiled: {why.message}" if isinstance(why, InputError) else str(why)
        )
        self.host_reasons[node.name] = text
        return False

    def _widened(
        self, plan: control.Plan, results: list[list[onnx.TypeProto]]
    ) -> tuple[control.Plan, list[_Frontend], list[list[onnx.TypeProto]]]:
        """A loop some of whose sizes are not known, with the walks over its body; not without any product left."""
        while not control.keeps_shape(plan, results[0]):
            plan = control.widened(plan, results[0])
            bodies, results = self._bodies(plan)
        if not any(isinstance(op, (NestOp, ControlOp)) for body in bodies for op in body.build.ops):
            raise NotANest(control.CHANGES)
        return plan, bodies, results

    def _bodies(self, plan: control.Plan) -> tuple[list[_Frontend], list[list[onnx.TypeProto]]]:
        """The walks over the bodies of a node, and the types of what each puts out."""
        bodies = [self._body(graph, plan.given) for graph in plan.bodies]
        return bodies, [[body.types[name] for name in body.outputs] for body in bodies]

    def _body(self, graph: onnx.GraphProto, given: Iterable[onnx.TypeProto]) -> _Frontend:
        """The walk over a body, which reads what is known outside."""
        inner = copy(self)
        inner.build = self.build.inside(defined(graph))
        inner.types, inner.declared = dict(self.types), {}
        inner.sequences, inner.sizes = Sequences(), Sizes()
        for value, kind in zip(graph.input, given):
            inner.build.constants.pop(value.name, None)
            inner._add(value.name, kind)
        for name, array in initializers(graph, {}):
            inner._add(name, infer.array_type(array), array)
        inner.lower(graph.node)
        inner._require([value.name for value in graph.output], graph.name)
        inner.inputs = list(graph.input)
        inner.outputs = tuple(inner._results(graph))
        return inner

    def _results(self, graph: onnx.GraphProto) -> Iterator[str]:
        """The outputs of a body: copies of those that come from outside, or that are put out twice."""
        own = {name for op in self.build.ops for name in op.outputs} | {value.name for value in graph.input}
        for value in graph.output:
            name = value.name
            if name in own:
                own.remove(name)
            else:
                name = self.build.fresh(name)
                self._lower_node(onnx.helper.make_node("Identity", [value.name], [name], name))
            yield name

    def body(self, graph: onnx.GraphProto) -> Graph:
        """What was built of a body; what it reads from outside, constants excepted, are inputs behind its own."""
        ops = tuple(self.build.ops)
        given = [value.name for value in self.inputs]
        made = {*given, *(name for op in ops for name in op.outputs)}
        used = dict.fromkeys([*given, *(name for op in ops for name in _touched(op)), *self.outputs])
        constants = {name: value for name, value in self.build.constants.items() if name in used and name not in made}
        captured = [name for name in used if name not in made and name not in constants]
        tensors = {name: self.build.tensors[name] for name in used}
        return Graph(graph.name or "body", (*given, *captured), self.outputs, tensors, ops, constants)

    def _context_at(self, version: int) -> onnx.ModelProto:
        """The context for nodes of another operator set."""
        context = onnx.ModelProto()
        context.CopyFrom(self.context)
        for entry in context.opset_import:
            if entry.domain == "":
                entry.version = version
        return context

    def _infer(self, node: Node, outside: tuple[str, ...]) -> list[onnx.TypeProto]:
        if node.key == ("", "Constant"):
            return []
        types = {name: self.types[name] for name in (*node.proto.input, *outside) if name}
        inferred = infer.infer(node.proto, self.context, types, self.build.constants, node.place)
        merged = infer.merged(inferred, (self.declared.get(name) for name in node.proto.output))
        whole = all(map(infer.is_known, merged))
        if not whole and not infer.is_inferred(node) and all(map(infer.is_known, types.values())):
            given = [self.types[name] if name else None for name in node.proto.input]
            return infer.merged(merged, output_types(self._op(node, outside), given), infer.is_known)
        return merged

    def _emit(self, node: Node, as_op: partial[NodeOp]) -> None:
        entry = LOWERINGS.get(node.key)
        reason = "" if node.proto.domain else REASONS.get(node.proto.op_type, "")
        if node.name in self.host:
            reason = self.host[node.name]
        elif node.name in self.host_reasons:
            reason = self.host_reasons[node.name]
        elif entry is not None:
            try:
                return entry.function(node, self.build)
            except NotANest as why:
                reason = str(why)
        self.build.ops.append(as_op(reason=reason))
        return None

    def _op(self, node: Node, outside: tuple[str, ...], reason: str = "") -> NodeOp:
        proto = onnx.NodeProto()
        proto.CopyFrom(node.proto)
        proto.name = node.name
        proto.ClearField("doc_string")
        data = proto.SerializeToString(deterministic=True)
        inputs, outputs = tuple(proto.input), tuple(proto.output)
        op = NodeOp(node.name, proto.op_type, inputs, outputs, data, proto.domain, node.version)
        return replace(op, reason=reason, captures=outside, context=self._context_of(proto))

    def _context_of(self, proto: onnx.NodeProto) -> bytes:
        """What a node needs besides its own operator set, where it has subgraphs or calls a function."""
        needed = bool(self.context.functions) or (len(self.versions) > 1 and any(subgraphs(proto)))
        return self.context.SerializeToString(deterministic=True) if needed else b""


def _touched(op: Op) -> Iterator[str]:
    """The tensors of an op."""
    yield from (name for name in (*op.inputs, *op.outputs) if name)
    if not isinstance(op, NestOp):
        yield from op.captures
