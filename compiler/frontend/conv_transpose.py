"""ConvTranspose: a convolution for each phase of the strides, since a nest that scatters would overlap its sums.

Output ``o`` of an axis is the sum over the taps ``r`` and the inputs ``i`` with ``o = U*i + D*r - pad``. The outputs of
one *phase* ``f``, ``o = U*p + f``, all meet the same taps, every ``ρ``-th where ``ρ = U / gcd(U, D)``, in the order in
which the inputs pass them the other way round: an ordinary convolution, whose output lies in every ``U``-th word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import gcd
from typing import NamedTuple

import numpy as np

from effc.compiler.frontend.builder import Builder, row_major
from effc.compiler.frontend.conv import AUTO_PADS, OUTER, Channels, grouped, nest_of
from effc.compiler.frontend.node import Node, NotANest
from effc.ir.graph import View
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, Axis


@dataclass(frozen=True, slots=True)
class Scatter:
    """How a filter is laid over the outputs along one spatial axis."""

    size: int  # of the input
    taps: int
    stride: int
    dilation: int
    before: int  # outputs cut off in front
    outputs: int

    def phases(self) -> Iterator[Phase]:
        """The phases that have outputs."""
        step = gcd(self.stride, self.dilation)
        for start in range(min(self.stride, self.outputs)):
            outputs = -(-(self.outputs - start) // self.stride)
            taps = [r for r in range(self.taps) if (start + self.before - self.dilation * r) % self.stride == 0]
            last = taps[-1] if taps else 0
            axis = Phase(
                start=start,
                outputs=outputs,
                taps=len(taps),
                last=last,
                between=self.stride // step,
                dilation=self.dilation // step,
                offset=(start + self.before - self.dilation * last) // self.stride,
                size=self.size,
            )
            yield axis if axis.sees_words else axis._replace(taps=0)


class Phase(NamedTuple):
    """The outputs of one phase of an axis; without taps they meet no word of the input."""

    start: int  # the first output
    outputs: int
    taps: int
    last: int  # the tap that comes first, since they come in reverse
    between: int  # taps from one to the next
    dilation: int  # of the inputs that they meet
    offset: int  # of the first of these
    size: int

    @property
    def sees_words(self) -> bool:
        return any(
            0 <= p + self.dilation * r + self.offset < self.size
            for r in range(self.taps)
            for p in {0, self.outputs - 1, min(max(0, -self.offset - self.dilation * r), self.outputs - 1)}
        )

    def axis(self, outer: str, inner: str) -> Axis:
        return Axis(((1, outer), (max(1, self.dilation), inner)), self.offset if self.taps else 0, self.size)


def conv_transpose(node: Node, build: Builder) -> None:
    """``O[n, g, k, U*p + f] += I[n, g, c, p + D*r + off] * W[g, c, k, last - ρ*r]`` for every phase ``f``."""
    x, image = node.operand(0)
    w, filters = node.operand(1)
    y, result = node.result()
    if len(image) - 2 not in OUTER or len(filters) != len(image):
        raise NotANest(f"{len(image) - 2}-D convolution")
    if len(result) != len(image):
        raise NotANest("its output is not as large as its attributes say")
    channels = _channels(node, image, filters)
    axes = _axes(node, image[2:], filters[2:], result[2:])
    bias = node.operand(2)[0] if node.input(2) is not None else None
    forms = list(product(*(axis.phases() for axis in axes)))
    several = len(forms) > 1
    for phases in forms:
        nest = nest_of(image[0], channels, phases, bias is not None)
        uses = {
            "I": View(x, 0, grouped(row_major(image), 1, channels.inputs, channels.groups)),
            "W": _weights(build, w, filters, channels, phases),
            OUTPUT_NAME: _output(y, result, channels, axes, phases),
        }
        if bias is not None:
            uses[BIAS_NAME] = View(bias, 0, grouped((1,), 0, channels.filters, channels.groups))
        part = "_".join(str(phase.start) for phase in phases) if several else ""
        build.add_nest(nest, uses, "ConvTranspose", node.name, part)


def _weights(
    build: Builder, name: str, filters: tuple[int, ...], channels: Channels, phases: tuple[Phase, ...]
) -> View:
    """The taps of a phase, the last one first; a single zero where an axis has none."""
    if not all(phase.taps for phase in phases):
        zero = build.add_constant(f"{name}_none", np.zeros(1).astype(build.tensors[name].dtype))
        return View(zero, 0, (0,) * (2 + (channels.groups > 1) + len(phases)))
    c, k, *taps = row_major(filters)
    group = (c * channels.inputs,) if channels.groups > 1 else ()
    offset = sum(stride * phase.last for stride, phase in zip(taps, phases))
    return View(name, offset, (*group, k, c, *(-stride * phase.between for stride, phase in zip(taps, phases))))


def _output(
    name: str, shape: tuple[int, ...], channels: Channels, axes: list[Scatter], phases: tuple[Phase, ...]
) -> View:
    n, k, *spatial = row_major(shape)
    group = (k * channels.filters,) if channels.groups > 1 else ()
    offset = sum(stride * phase.start for stride, phase in zip(spatial, phases))
    return View(name, offset, (n, *group, k, *(stride * axis.stride for stride, axis in zip(spatial, axes))))


def _channels(node: Node, image: tuple[int, ...], filters: tuple[int, ...]) -> Channels:
    groups = int(node.attributes.get("group", 1))
    if groups < 1 or image[1] % groups or image[1] != filters[0]:
        raise node.error(
            f"the input has {image[1]} channels, the weights have {filters[0]} and there are {groups} groups",
            "as many channels, which the groups divide",
        )
    return Channels(groups, filters[1], image[1] // groups)


def _axes(node: Node, sizes: tuple[int, ...], taps: tuple[int, ...], outputs: tuple[int, ...]) -> list[Scatter]:
    """How the filter lies along every spatial axis."""
    rank = len(sizes)
    if node.integers("kernel_shape", taps) != taps:
        raise node.error(f"kernel_shape is {list(node.attributes['kernel_shape'])}", f"{list(taps)}")
    strides, dilations = node.integers("strides", (1,) * rank), node.integers("dilations", (1,) * rank)
    if min(*strides, *dilations) < 1:
        raise node.error("strides and dilations are at least 1")
    pads, extra = node.integers("pads", (0,) * (2 * rank)), node.integers("output_padding", (0,) * rank)
    mode = node.attributes.get("auto_pad", b"NOTSET").decode(errors="replace")
    if mode not in AUTO_PADS:
        raise node.error(f"auto_pad is '{mode}'", ", ".join(AUTO_PADS))
    given = mode == "NOTSET" and "output_shape" not in node.attributes
    axes = []
    for i, (size, tap, stride, dilation, out) in enumerate(zip(sizes, taps, strides, dilations, outputs)):
        cut = stride * (size - 1) + (tap - 1) * dilation + 1 + extra[i] - out  # in front and behind
        if given and cut != pads[i] + pads[rank + i]:
            raise NotANest("its output is not as large as its attributes say")
        before = pads[i] if given else 0 if mode == "VALID" else cut // 2 if mode == "SAME_UPPER" else cut - cut // 2
        axes.append(Scatter(size, tap, stride, dilation, before, out))
    return axes
