"""The host: what no other backend takes runs here, node by node, with onnxruntime.

A node becomes a model of its own, with the operator sets it was written for; its session is kept and used again for
inputs of the same types and shapes. One thread, no graph optimisation: the same inputs give the same bits. What
onnxruntime has no kernel for runs in the reference implementation that comes with onnx.

A value is a numpy array, or for ONNX's other types a Python object: ``Sequence`` (a list that knows its type, so that
an empty one has one too), a dict for a map, ``NoValue`` for an empty optional.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from effc.backends.onnx_types import parse_type, type_of
from effc.ir.errors import InputError
from effc.ir.graph import Array, NodeOp

if TYPE_CHECKING:
    import onnx

Value = Any

SESSIONS = 256
"""How many sessions are kept; the one used longest ago goes first."""

IR_VERSION = 10
"""Of the models built here: old enough for every onnxruntime that effc supports."""

_PREFIX = "effc:"
"""Of the names of inputs and outputs: no subgraph that the node carries may use them too."""


class Sequence(list[Value]):
    """ONNX's sequence: a list with ONNX's name for its type, ``seq(tensor(float))``."""

    def __init__(self, values: Iterable[Value], onnx_type: str) -> None:
        super().__init__(values)
        self.onnx_type = onnx_type


@dataclass(frozen=True)
class NoValue:
    """An optional without a value; ``onnx_type`` is ``optional(tensor(float))`` or the like."""

    onnx_type: str


def run_node(
    op: NodeOp, inputs: Iterable[Value | None], captures: Mapping[str, Value] | None = None
) -> list[Value | None]:
    """The outputs of ``op``, None where it has no output; an input is None where an optional one is omitted.

    ``captures`` holds the tensors that subgraphs of the node read from outside, by name.
    """
    feeds = {f"{_PREFIX}i{i}": value for i, value in enumerate(inputs) if value is not None}
    feeds = {name: _plain(value) for name, value in (feeds | dict(captures or {})).items()}
    fixed = [name for name in feeds if _is_asked_for(feeds[name], name in op.captures)]
    known = {name: feeds.pop(name) for name in fixed}
    with _lock:
        session = _cached_session(op, feeds, known)
    results = iter(session.run(feeds))
    return [next(results) if name else None for name in op.outputs]


def output_types(op: NodeOp, inputs: Iterable[onnx.TypeProto | None]) -> list[onnx.TypeProto | None]:
    """What onnxruntime infers of the outputs of ``op`` for inputs of these types; None where it knows nothing.

    It knows operators that onnx does not: those of ``com.microsoft``, for example.
    """
    types = {f"{_PREFIX}i{i}": kind for i, kind in enumerate(inputs) if kind is not None}
    try:
        session = _Onnxruntime(op.name, _one_node_model(op, types, {}, op.version))
    except Exception:  # it has no kernel, or one for other types
        return [None] * len(op.outputs)
    found = iter(session.types())
    return [next(found) if name else None for name in op.outputs]


def run_model(
    model: onnx.ModelProto | str | Path,
    inputs: Mapping[str, Value],
    outputs: Iterable[str] | None = None,
    integers: bool = False,
) -> dict[str, Value]:
    """The outputs of a whole model by name, from onnxruntime; or any tensors of it, those that ``outputs`` names.

    ``integers``: its optimiser makes operators of integers of those between DequantizeLinear and QuantizeLinear.
    """
    import onnx
    import onnxruntime

    if outputs is not None:
        model = onnx.load(model) if isinstance(model, (str, Path)) else model
        outputs = list(dict.fromkeys(outputs))
        model = _with_outputs(model, outputs)
    source = str(model) if isinstance(model, (str, Path)) else model.SerializeToString()
    options = _in_integers(_options()) if integers else _options()
    if isinstance(model, (str, Path)):
        options.add_session_config_entry("session.disable_prepacking", "1")  # weights stay in their files
    try:
        session = onnxruntime.InferenceSession(
            source,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,
            disabled_optimizers=FLOAT_FUSIONS if integers else None,
        )
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs))))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise InputError(f"onnxruntime cannot run the model: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The text of an exception in one line of reasonable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


_lock = threading.Lock()
_sessions: OrderedDict[tuple[Any, ...], _Session] = OrderedDict()


def _plain(value: Value) -> Value:
    return np.asarray(value) if isinstance(value, np.generic) else value


_F32 = np.dtype(np.float32)

_TAKE_OPTIONALS = ("OptionalHasElement", "OptionalGetElement")
"""In their first version they take nothing else."""


def _is_asked_for(value: Value, captured: bool) -> bool:
    """Whether an operator may ask for a value before it runs: a subgraph to know its shapes, or a Resize whether its
    scales are empty, as old exporters leave them out.
    """
    if not isinstance(value, np.ndarray):
        return False
    return (captured and value.dtype == np.int64 and value.size <= 64) or (value.shape == (0,) and value.dtype == _F32)


def _cached_session(op: NodeOp, feeds: Mapping[str, Value], known: Mapping[str, Array]) -> _Session:
    """The session for inputs like these; ``known`` are values that it is built for."""
    types = {name: type_of(value, optional=op.op in _TAKE_OPTIONALS) for name, value in feeds.items()}
    signature = tuple((name, kind.SerializeToString(deterministic=True)) for name, kind in types.items())
    values = tuple((name, value.shape, value.tobytes()) for name, value in known.items())
    wanted = tuple(bool(name) for name in op.outputs)
    given = tuple(bool(name) for name in op.inputs)
    key = (_nameless(op.node), op.domain, op.version, op.context, given, wanted, signature, values)
    if key not in _sessions:
        _sessions[key] = _open(op, types, known)
        if len(_sessions) > SESSIONS:
            _sessions.popitem(last=False)
    _sessions.move_to_end(key)
    return _sessions[key]


class _Session:
    """Something that runs a one-node model."""

    def __init__(self, place: str) -> None:
        self.place = place

    def run(self, feeds: Mapping[str, Value]) -> list[Value]:
        try:
            return self.outputs({name: _unwrap(value) for name, value in feeds.items()})
        except Exception as error:
            raise InputError(f"the host cannot run it: {one_line(error)}", self.place) from error

    def outputs(self, feeds: dict[str, Value]) -> list[Value]:
        raise NotImplementedError


class _Onnxruntime(_Session):
    def __init__(self, place: str, model: onnx.ModelProto) -> None:
        import onnxruntime

        super().__init__(place)
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), _options(), providers=["CPUExecutionProvider"], enable_fallback=0
        )
        self._types = [output.type for output in self._session.get_outputs()]
        types = [*self._types, *(argument.type for argument in self._session.get_inputs())]
        if unsupported := [kind for kind in types if any(word in kind for word in _NOT_NUMPY)]:
            raise TypeError(f"onnxruntime does not exchange {unsupported[0]} with numpy")

    def types(self) -> list[onnx.TypeProto]:
        """The types of the outputs, with the dims that are known."""
        types = []
        for argument in self._session.get_outputs():
            kind = parse_type(argument.type)
            if kind.HasField("tensor_type"):
                for size in argument.shape:
                    dim = kind.tensor_type.shape.dim.add()
                    if isinstance(size, int):
                        dim.dim_value = size
            types.append(kind)
        return types

    def outputs(self, feeds: dict[str, Value]) -> list[Value]:
        return [_wrap(value, kind) for value, kind in zip(self._session.run(None, feeds), self._types)]


class _Reference(_Session):
    """The reference implementation of onnx."""

    def __init__(self, place: str, model: onnx.ModelProto) -> None:
        from onnx.reference import ReferenceEvaluator

        super().__init__(place)
        self._evaluator = ReferenceEvaluator(model)

    def outputs(self, feeds: dict[str, Value]) -> list[Value]:
        with np.errstate(all="ignore"):
            values = self._evaluator.run(None, feeds)
        return [np.asarray(value) if isinstance(value, np.generic) else value for value in values]


_NOT_NUMPY = ("bfloat16", "float8", "int4", "int2", "float4")


def _open(op: NodeOp, types: Mapping[str, onnx.TypeProto], known: Mapping[str, Array]) -> _Session:
    """A session of onnxruntime, also by an older name of the same operator; or else of the reference implementation."""
    errors: list[str] = []
    for version in _versions(op):
        try:
            return _Onnxruntime(op.name, _one_node_model(op, types, known, version))
        except Exception as error:
            errors.append(one_line(error))
    try:
        return _Reference(op.name, _one_node_model(op, types, known, op.version))
    except Exception as error:
        raise InputError(
            f"no kernel for {op.domain + '.' if op.domain else ''}{op.op}: onnxruntime says: {errors[0]}",
            op.name,
            remedy="effc runs the operators that onnxruntime or the reference implementation of onnx has",
        ) from error


def _versions(op: NodeOp) -> list[int]:
    """The version asked for, and the one in which the operator last changed, which an older onnxruntime may know."""
    import onnx

    versions = [op.version]
    if not op.captures and not op.context:
        with suppress(onnx.defs.SchemaError):
            versions.append(onnx.defs.get_schema(op.op, op.version, op.domain).since_version)
    return list(dict.fromkeys(versions))


def _one_node_model(
    op: NodeOp, types: Mapping[str, onnx.TypeProto], known: Mapping[str, Array], version: int
) -> onnx.ModelProto:
    import onnx

    node = onnx.NodeProto.FromString(op.node)
    node.op_type, node.domain = op.op, op.domain
    del node.input[:], node.output[:]
    given = {*types, *known}
    node.input.extend(f"{_PREFIX}i{i}" if f"{_PREFIX}i{i}" in given else "" for i in range(len(op.inputs)))
    outputs = [f"{_PREFIX}o{i}" for i in range(len(op.outputs))]
    every = _has_variadic_outputs(op)  # some kernels would fall over one that has no name
    node.output.extend(new if every or old else "" for new, old in zip(outputs, op.outputs))
    model: onnx.ModelProto = onnx.ModelProto.FromString(op.context)
    imports = {entry.domain: entry.version for entry in model.opset_import} | {op.domain: version}
    imports.setdefault("", min(onnx.defs.onnx_opset_version(), 17))
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, number) for domain, number in imports.items())
    model.ir_version = IR_VERSION
    model.graph.name = "node"
    model.graph.node.append(node)
    model.graph.input.extend(onnx.helper.make_value_info(name, kind) for name, kind in types.items())
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in known.items())
    model.graph.output.extend(onnx.ValueInfoProto(name=new) for new, old in zip(outputs, op.outputs) if old)
    return model


def _has_variadic_outputs(op: NodeOp) -> bool:
    import onnx

    with suppress(onnx.defs.SchemaError):
        outputs = onnx.defs.get_schema(op.op, op.version, op.domain).outputs
        return bool(outputs) and outputs[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    return False


@lru_cache(maxsize=4096)
def _nameless(data: bytes) -> bytes:
    """A node without the names that do not count, so that equal nodes share a session."""
    import onnx

    try:
        node: onnx.NodeProto = onnx.NodeProto.FromString(data)
    except Exception as error:  # protobuf's own
        raise InputError(f"a node that cannot be read: {one_line(error)}") from None
    for field in ("name", "doc_string", "input", "output", "metadata_props"):
        node.ClearField(field)
    return bytes(node.SerializeToString(deterministic=True))


def _with_outputs(model: onnx.ModelProto, outputs: Iterable[str]) -> onnx.ModelProto:
    import onnx

    copy: onnx.ModelProto = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return copy


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return options


FLOAT_FUSIONS = ["GeluFusionL1", "GeluFusionL2", "LayerNormFusionL1", "LayerNormFusionL2", "BiasGeluFusion"]
FLOAT_FUSIONS += [
    "SkipLayerNormFusion",
    "EmbedLayerNormFusion",
    "AttentionFusion",
    "FastGeluFusion",
    "BiasSoftmaxFusion",
]
FLOAT_FUSIONS += ["SimplifiedLayerNormFusion", "MatMulScaleFusion", "MatmulTransposeFusion", "ConvActivationFusion"]
FLOAT_FUSIONS += ["DoubleQDQPairsRemover"]  # of two quantisers in a row it makes one, of another scale
"""Optimisations that change how operators of floating point round."""


def _in_integers(options: Any) -> Any:
    import onnxruntime

    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # float32: no bytes of its own
    return options


def _wrap(value: Value, onnx_type: str) -> Value:
    if value is None:
        return NoValue(onnx_type)
    if isinstance(value, list):
        inner = onnx_type.removeprefix("optional(")
        return Sequence(value, inner[:-1] if inner != onnx_type else inner)
    return value


def _unwrap(value: Value) -> Value:
    if isinstance(value, NoValue):
        return None
    if isinstance(value, np.ndarray) and not (value.flags.c_contiguous and value.flags.aligned):
        plain = np.require(value, requirements=("C", "A"))
        return plain.reshape(value.shape)  # it made a scalar one-dimensional
    return list(value) if isinstance(value, Sequence) else value
