"""Conv: a nest with an axis of overlapping windows per spatial axis; groups are a dim that every operand has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from effc.compiler.frontend.builder import Builder, plain, row_major
from effc.compiler.frontend.node import Node, NotANest
from effc.ir.graph import View
from effc.ir.nest import BIAS_NAME, OUTPUT_NAME, Axis, Dim, Nest, Operand

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")

OUTER = {1: ("P",), 2: ("P", "Q"), 3: ("Z", "P", "Q")}
"""The dims of the outputs, per spatial axis, by the number of axes."""

INNER = {1: ("R",), 2: ("R", "S"), 3: ("T", "R", "S")}
"""The dims of the taps. Depth, Z and T, plays the roles of P and R."""

ROLE = {"Z": "P", "T": "R"}


@dataclass(frozen=True, slots=True)
class Window:
    """How a filter slides along one spatial axis."""

    size: int
    taps: int
    stride: int
    dilation: int
    before: int  # words of padding
    after: int

    @property
    def reach(self) -> int:
        """From the first word that a window touches to the last."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def outputs(self) -> int:
        return (self.size + self.before + self.after - self.reach) // self.stride + 1

    @property
    def sees_words(self) -> bool:
        """Whether any window touches a word that is not padding."""
        for start in range(-self.before, self.taps * self.dilation - self.before, self.dilation):
            first = max(0, -(start // self.stride))  # the first output whose tap is not in front of the words
            if first < self.outputs and start + first * self.stride < self.size:
                return True
        return False

    def axis(self, outer: str, inner: str) -> Axis:
        return Axis(((self.stride, outer), (self.dilation, inner)), -self.before, self.size)


class Channels(NamedTuple):
    groups: int
    filters: int  # per group
    inputs: int  # per group


def conv(node: Node, build: Builder) -> None:
    """``O[n, g, k, p, q] += I[n, g, c, U*p + D*r - pad, ...] * W[g, k, c, r, s]``, from ``B[g, k]`` on."""
    w = node.operand(1)
    nest, uses = convolution(node, node.operand(0), w, node.result(), _bias(node, w[1][0]))
    build.add_nest(nest, uses, "Conv", node.name)


Tensor = tuple[str, tuple[int, ...]]
"""The name of a tensor and its shape."""


def convolution(node: Node, x: Tensor, w: Tensor, y: Tensor, bias: str | None) -> tuple[Nest, dict[str, View]]:
    """The nest of a node that has the attributes of a Conv, and its views of an image, filters, outputs and a bias."""
    (_, image), (_, filters), (_, result) = x, w, y
    if len(image) < 3:
        raise NotANest(f"{len(image) - 2}-D convolution")
    channels = _channels(node, image, filters)
    windows = _windows(node, image[2:], filters[2:])
    if result[2:] != tuple(window.outputs for window in windows):
        raise NotANest("its output is not as large as its attributes say")
    if not all(window.sees_words for window in windows):
        raise NotANest("every word it reads is padding")
    axes = _sliding(windows)
    nest = nest_of(image[0], channels, [windows[axis] for axis in axes], bias is not None)

    def strides(shape: tuple[int, ...]) -> tuple[int, ...]:
        steps = row_major(shape)
        return (*steps[:2], *(steps[2 + axis] for axis in axes))

    uses = {
        "I": View(x[0], 0, grouped(strides(image), 1, channels.inputs, channels.groups)),
        "W": View(w[0], 0, grouped(strides(filters), 0, channels.filters, channels.groups)),
        OUTPUT_NAME: View(y[0], 0, grouped(strides(result), 1, channels.filters, channels.groups)),
    }
    if bias is not None:
        uses[BIAS_NAME] = View(bias, 0, grouped((1,), 0, channels.filters, channels.groups))
    return nest, uses


def _sliding(windows: Sequence[Window]) -> list[int]:
    """The spatial axes that a nest has dims of: of more than three, not those of one word, where nothing slides."""
    axes = [axis for axis, window in enumerate(windows) if window.outputs > 1 or window.taps > 1 or window.before]
    axes = list(range(len(windows))) if len(windows) in OUTER else axes or [0]
    if len(axes) not in OUTER:
        raise NotANest(f"{len(axes)}-D convolution")
    return axes


def filter_strides(node: Node, filters: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a row of one word for each filter, along the axes of the filters in a nest."""
    groups = int(node.attributes.get("group", 1))
    return grouped((1, *[0] * (len(filters) - 1)), 0, filters[0] // groups, groups)


class Sliding(Protocol):
    """What slides along a spatial axis: how many outputs and taps it has, and the axis of the ifmap."""

    @property
    def outputs(self) -> int: ...

    @property
    def taps(self) -> int: ...

    def axis(self, outer: str, inner: str) -> Axis: ...


def nest_of(batch: int, channels: Channels, windows: Sequence[Sliding], bias: bool) -> Nest:
    """The nest of a convolution; a window without taps has one, of a zero."""
    n, k, c = Dim("N", batch, "N"), Dim("K", channels.filters, "K"), Dim("C", channels.inputs, "C")
    g = (Dim("G", channels.groups, "G"),) if channels.groups > 1 else ()
    outer = spatial_dims(OUTER, (window.outputs for window in windows))
    inner = spatial_dims(INNER, (max(1, window.taps) for window in windows))
    slides = tuple(window.axis(p.name, r.name) for window, p, r in zip(windows, outer, inner))
    return Nest(
        "conv",
        (n, *g, k, c, *outer, *inner),
        (Operand("I", plain("I", n, *g, c).axes + slides), plain("W", *g, k, c, *inner)),
        plain(OUTPUT_NAME, n, *g, k, *outer),
        plain(BIAS_NAME, *g, k) if bias else None,
    )


def spatial_dims(names: Mapping[int, tuple[str, ...]], bounds: Iterable[int]) -> list[Dim]:
    """A dim per spatial axis, called as ``OUTER`` or ``INNER`` say."""
    sizes = list(bounds)
    return [Dim(name, size, ROLE.get(name, name)) for name, size in zip(names[len(sizes)], sizes)]


def grouped(strides: tuple[int, ...], axis: int, size: int, groups: int) -> tuple[int, ...]:
    """The strides of a tensor whose channel axis is split into groups of ``size``."""
    group = (strides[axis] * size,) if groups > 1 else ()
    return (*strides[:axis], *group, *strides[axis:])


def _channels(node: Node, image: tuple[int, ...], filters: tuple[int, ...]) -> Channels:
    groups = int(node.attributes.get("group", 1))
    if len(filters) != len(image):
        raise node.error(f"the input has {len(image)} axes and the weights have {len(filters)}", "as many")
    if groups < 1 or filters[0] % groups:
        raise node.error(f"{filters[0]} filters cannot be divided into {groups} groups")
    if image[1] != groups * filters[1]:
        raise node.error(
            f"the input has {image[1]} channels, the weights have {filters[1]} per group and there are {groups} groups",
            f"{groups * filters[1]} channels",
        )
    return Channels(groups, filters[0] // groups, filters[1])


def _windows(node: Node, sizes: tuple[int, ...], taps: tuple[int, ...]) -> list[Window]:
    """The window of every spatial axis, its padding resolved."""
    rank = len(sizes)
    if node.integers("kernel_shape", taps) != taps:
        raise node.error(
            f"kernel_shape is {list(node.attributes['kernel_shape'])}", f"{list(taps)}, as the weights are"
        )
    strides = node.integers("strides", (1,) * rank)
    dilations = node.integers("dilations", (1,) * rank)
    if min(*strides, *dilations) < 1:
        raise node.error("strides and dilations are at least 1")
    pads = node.integers("pads", (0,) * (2 * rank))
    if min(pads) < 0:
        raise NotANest("negative padding")
    mode = node.attributes.get("auto_pad", b"NOTSET").decode(errors="replace")
    if mode not in AUTO_PADS:
        raise node.error(f"auto_pad is '{mode}'", ", ".join(AUTO_PADS))
    forms = zip(sizes, taps, strides, dilations, pads[:rank], pads[rank:])
    return [_padded(Window(*form), mode) for form in forms]


def _padded(window: Window, mode: str) -> Window:
    """The window with the padding that ``auto_pad`` asks for."""
    if mode == "NOTSET":
        return window
    total = 0
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        outputs = -(-window.size // window.stride)
        total = max(0, (outputs - 1) * window.stride + window.reach - window.size)
    before = (total + 1) // 2 if mode == "SAME_LOWER" else total // 2
    return Window(window.size, window.taps, window.stride, window.dilation, before, total - before)


def _bias(node: Node, filters: int) -> str | None:
    if node.input(2) is None:
        return None
    name, shape = node.operand(2)
    if shape != (filters,):
        raise node.error(f"the bias has the shape {list(shape)}", f"[{filters}], a word per filter")
    return name
