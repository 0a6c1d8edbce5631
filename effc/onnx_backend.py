"""effc as an ONNX backend: the interface of ``onnx.backend.base``, so that ``onnx.backend.test`` runs as published.

    import effc.onnx_backend as backend

    y = backend.run_model(model, [x])[0]                       # compiled for Eyeriss, run on the simulated machine
    session = backend.prepare(model, target="gemmini")
    y = session.run([x])[0]

A model is compiled when it is first run, since its symbolic dims take their values from the inputs; once for each
combination of values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from effc.backends.host import NoValue
from effc.compiler.api import compile as compile_model
from effc.compiler.api import find_target
from effc.compiler.errors import InputError
from effc.compiler.frontend import bind
from effc.compiler.frontend.from_onnx import check
from effc.compiler.program import CompiledProgram
from effc.compiler.target.model import Target

Value = Any
"""A numpy array; a list for a sequence; None for an optional without a value."""

SEARCH_S = 2.0
"""Seconds of search per model, unless ``time_limit`` says otherwise."""


class EffcRep(BackendRep):
    """A model, and what it was compiled to so far, by the values of its symbolic dims."""

    def __init__(self, model: onnx.ModelProto, target: Target, **options: Any) -> None:
        known = {tensor.name for tensor in model.graph.initializer}
        known |= {sparse.values.name for sparse in model.graph.sparse_initializer}
        self.model, self.target = model, target
        self.options = {"time_limit": SEARCH_S, **options}
        self.inputs = [value for value in model.graph.input if value.name not in known]
        self.outputs = [value.name for value in model.graph.output]
        self._compiled: dict[tuple[tuple[str, int], ...], CompiledProgram] = {}

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Value, ...]:
        """The outputs in the order of the model; ``inputs`` are in its order, too, or given by name."""
        values = self._named(inputs)
        results = self.program(values).run(values)
        outputs = (results[name] for name in self.outputs)
        return tuple(None if isinstance(value, NoValue) else value for value in outputs)

    def program(self, inputs: Mapping[str, Value]) -> CompiledProgram:
        """The model, compiled for inputs like these."""
        dims = bind.sizes(
            self.inputs, {name: value.shape for name, value in inputs.items() if isinstance(value, np.ndarray)}
        )
        key = tuple(sorted(dims.items()))
        if key not in self._compiled:
            self._compiled[key] = compile_model(self.model, self.target, dims=dims, **self.options)
        return self._compiled[key]

    def _named(self, inputs: Any) -> dict[str, Value]:
        if isinstance(inputs, Mapping):
            return {name: _plain(given) for name, given in inputs.items()}
        values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(values) != len(self.inputs):
            expected = ", ".join(value.name for value in self.inputs) or "none"
            raise InputError(f"{len(values)} inputs", expected=f"{len(self.inputs)}: {expected}")
        return {value.name: _plain(given) for value, given in zip(self.inputs, values)}


class EffcBackend(Backend):
    """The backend for a target, which a subclass, or the argument ``target``, may change."""

    target: ClassVar[str | Path | Target] = "eyeriss"

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on ``device``: the machine is simulated by the CPU."""
        return device.split(":")[0] == "CPU"

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether ``model`` is one that compiles: every valid ONNX model is."""
        try:
            check(model)
        except InputError:
            return False
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> EffcRep:
        """The model, ready to be run; ``kwargs`` are ``target`` and the options of ``effc.compile``.

        Raises InputError if it is no valid model.
        """
        if not cls.supports_device(device):
            raise InputError(f"no device '{device}'", expected="CPU, which simulates the target")
        check(model)
        return EffcRep(model, find_target(kwargs.pop("target", cls.target)), **kwargs)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Value, ...]:
        """The outputs of a model, compiled for these inputs."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Iterable[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Value, ...]:
        """The outputs of a model of one node, by name and by place; ``opset_version`` is that of its operator set."""
        names = [name for name in node.input if name]
        given = inputs if isinstance(inputs, Mapping) else dict(zip(names, inputs))
        arrays = {name: np.asarray(given[name]) for name in names if name in given}
        model = _one_node(node, arrays, kwargs.pop("opset_version", onnx.defs.onnx_opset_version()))
        outputs = cls.run_model(model, arrays, device, **kwargs)
        result: tuple[Value, ...] = namedtupledict("Outputs", [name for name in node.output if name])(*outputs)
        return result


def _one_node(node: onnx.NodeProto, arrays: Mapping[str, np.ndarray[Any, Any]], version: int) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    shell = onnx.helper.make_graph([node], "node", inputs, outputs)
    imports = [onnx.helper.make_opsetid("", version)]
    typed: onnx.ModelProto = onnx.shape_inference.infer_shapes(
        onnx.helper.make_model(shell, opset_imports=imports, ir_version=10)
    )
    return typed


def _plain(value: Value) -> Value:
    """numpy's scalars as arrays."""
    return np.asarray(value) if isinstance(value, np.generic) else value


prepare = EffcBackend.prepare
run_model = EffcBackend.run_model
run_node = EffcBackend.run_node
supports_device = EffcBackend.supports_device
is_compatible = EffcBackend.is_compatible
