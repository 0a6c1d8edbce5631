"""The accuracy of a compiled classifier: the share of labelled samples that it puts into the right class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from effc.compiler.errors import InputError
from effc.compiler.inputs import check_array, saving
from effc.compiler.npz import read_arrays
from effc.compiler.program import CompiledProgram
from effc.ir.graph import Array, Graph, Tensor

LABELS = "labels"
"""The name of the array of classes."""

Progress = Callable[[int, int], None]
"""Called before each run with the number of samples that are done, and of all."""


def read_samples(path: Path, graph: Graph) -> tuple[dict[str, Array], Array]:
    """Inputs with an axis of samples in the place of the batch, and the class of each sample."""
    what = f"a .npz file with samples for each of {', '.join(graph.inputs)}, and `{LABELS}`, the class of each sample"
    tensors = {name: graph.tensors[name] for name in graph.inputs} | {LABELS: Tensor(LABELS, "int64", (1,))}
    if unbound := [name for name, tensor in tensors.items() if not tensor.shape]:
        raise InputError(f"the input '{unbound[0]}' has no batch", str(path), "a first axis of samples for every input")
    arrays = read_arrays(path, {name: replace(tensor, shape=None) for name, tensor in tensors.items()}, what)
    if missing := [name for name in tensors if name not in arrays]:
        raise InputError(f"the array '{missing[0]}' is missing", str(path), what, saving(tensors))
    labels = arrays[LABELS]
    if not labels.size:
        raise InputError("there are no samples", str(path), what)
    for name, tensor in tensors.items():
        assert tensor.shape
        check_array(
            replace(tensor, shape=(labels.size, *tensor.shape[1:])), arrays[name].shape, arrays[name].dtype, str(path)
        )
    return {name: arrays[name] for name in graph.inputs}, labels


def accuracy(
    program: CompiledProgram, samples: Mapping[str, Array], labels: Array, progress: Progress | None = None
) -> Fraction:
    """The share of samples whose class the program's first output says: by its largest score, or itself if it is an
    integer. Samples run in batches as the model is compiled for; the last one is filled up.
    """
    shape = program.graph.tensors[program.graph.inputs[0]].shape
    assert shape
    right = 0
    for start in range(0, len(labels), shape[0]):
        if progress is not None:
            progress(start, len(labels))
        rows = np.arange(start, start + shape[0]).clip(max=len(labels) - 1)
        outputs = program.run({name: array[rows] for name, array in samples.items()})
        wanted = labels[start : start + shape[0]]
        right += int((_classes(program, outputs, shape[0])[: len(wanted)] == wanted).sum())
    return Fraction(right, len(labels))


def _classes(program: CompiledProgram, outputs: Mapping[str, Any], batch: int) -> Array:
    """The class that the first output gives to each sample of a batch."""
    name = program.graph.outputs[0]
    value = outputs[name]
    if not isinstance(value, np.ndarray) or not value.ndim or value.shape[0] != batch or not value.size:
        raise InputError(
            f"the output '{name}' has no score for each class of each sample", expected=f"[{batch}, classes]"
        )
    rows = value.reshape(batch, -1)
    whole: Array = rows[:, 0] if value.dtype.kind in "iu" and rows.shape[1] == 1 else rows.argmax(axis=1)
    return whole


def with_accuracy(program: CompiledProgram, path: Path, progress: Progress | None = None) -> CompiledProgram:
    """The program with its accuracy on the samples of a file in its report."""
    from effc.compiler.report.build import number

    if program.others:
        raise InputError("the model is compiled for several sizes", "--data", "one", "give one size to each --dim")
    value = accuracy(program, *read_samples(path, program.graph), progress)
    totals = replace(program.draft.totals, accuracy=number(value))
    return replace(program, draft=replace(program.draft, totals=totals))
