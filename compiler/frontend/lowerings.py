"""The tables of lowerings: which ONNX operators become nests, and why others do not.

    def conv(node: Node, build: Builder) -> None: ...

A lowering adds nests, tensors and constants to the builder, or raises ``NotANest`` with the reason before it has added
an op. Then, as for every operator without a lowering, the ONNX node itself becomes an op.

    def recurrent(node: Node, fresh: Fresh) -> list[onnx.NodeProto]: ...

An expansion gives simpler nodes that take the place of one, and are lowered in turn; or it raises ``NotANest``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import NamedTuple

import onnx

from effc.compiler.errors import InputError
from effc.compiler.frontend import (
    activated,
    attention,
    bodies,
    classical,
    contrib,
    deform,
    einsum,
    experiments,
    fourier,
    fused,
    nchwc,
    norms,
    rearranged,
    rotary,
    svm,
    unroll,
)
from effc.compiler.frontend.builder import Builder
from effc.compiler.frontend.control import CONTROL
from effc.compiler.frontend.conv import conv
from effc.compiler.frontend.conv_transpose import conv_transpose
from effc.compiler.frontend.gemm import gemm
from effc.compiler.frontend.matmul import matmul
from effc.compiler.frontend.node import Node
from effc.compiler.frontend.quantised import conv_integer, matmul_integer, qgemm, qlinear_conv, qlinear_matmul
from effc.compiler.frontend.recurrent import recurrent
from effc.compiler.frontend.subgraphs import Fresh, subgraphs
from effc.compiler.frontend.writer import OPSET

GROUP = "effc.lowerings"
"""The entry points under which other packages offer lowerings."""

Lower = Callable[[Node, Builder], None]


class Lowering(NamedTuple):
    """A row of the table: the function, and the forms of the operator that become nests."""

    function: Lower
    forms: str


_KNOWN = "scales for all or for each filter"

LOWERINGS: dict[tuple[str, str], Lowering] = {
    ("", "Conv"): Lowering(conv, "1-D, 2-D, 3-D; groups, strides, dilations, any padding"),
    ("", "ConvTranspose"): Lowering(conv_transpose, "1-D, 2-D, 3-D, any attributes; a nest per phase of the strides"),
    ("", "Einsum"): Lowering(einsum.einsum, "any equation of two operands and more; a nest for each product"),
    ("", "Gemm"): Lowering(gemm, "any; a constant row C is a bias, other C an Add"),
    ("", "MatMul"): Lowering(matmul, "any rank, batched, broadcast"),
    ("", "ConvInteger"): Lowering(conv_integer, "as Conv; zero points for all or for each filter"),
    ("", "MatMulInteger"): Lowering(matmul_integer, "as MatMul; zero points for all, each row or each column"),
    ("", "QLinearConv"): Lowering(qlinear_conv, f"as Conv; {_KNOWN}"),
    ("", "QLinearMatMul"): Lowering(qlinear_matmul, f"as MatMul; {_KNOWN}"),
    (contrib.DOMAIN, "QGemm"): Lowering(qgemm, f"as Gemm; {_KNOWN}"),
}
"""By domain and operator."""

Nodes = tuple[list[onnx.NodeProto], int]
"""The nodes that take the place of one, and the version of the operator set that they are written in."""


class Expansion(NamedTuple):
    """A row of the second table."""

    function: Callable[[Node, Fresh], Nodes]
    forms: str
    where: str = "accel"


def _written(function: Callable[[Node, Fresh], list[onnx.NodeProto]]) -> Callable[[Node, Fresh], Nodes]:
    return lambda node, fresh: (function(node, fresh), OPSET)


def _own(function: Callable[[Node, Fresh], list[onnx.NodeProto]]) -> Callable[[Node, Fresh], Nodes]:
    """The nodes are of the operator set of the model."""
    return lambda node, fresh: (function(node, fresh), node.version)


_RECURRENT = Expansion(_written(recurrent), "any steps; a nest for all inputs, and a loop over that of the states")
_BODY = Expansion(bodies.body, "by its function in ONNX: its products are nests")
_STEPS = Expansion(bodies.steps, "by its function in ONNX, of float32", "vector")

_NORM = Expansion(norms.reduction, "of float32: of simpler ones", "vector")

_EXPERIMENT = "of ONNX's first years: of simpler ones"

_PROBABILITIES = "a batch; sums, their Softmax or their Sigmoid"

_KNOWN_LENGTH = "causal, a cache of known length, of integers perhaps; rotary positions, a window, softcap, sinks, bias"

_TRANSFORMERS = {
    "Attention": Expansion(_written(attention.attention), "masks of up to 3 axes, a past; no rotary positions"),
    "QAttention": Expansion(_written(attention.quantised_attention), "as Attention, a product of integers"),
    "MultiHeadAttention": Expansion(
        _written(attention.multi_head_attention), "queries, keys, values apart or in one; a past"
    ),
    "GroupQueryAttention": Expansion(_written(attention.group_query_attention), _KNOWN_LENGTH),
    "RotaryEmbedding": Expansion(_written(rotary.rotary_embedding), "any but packed batches", "vector"),
    "MatMulNBits": Expansion(_written(fused.matmul_nbits), "2, 4, 8 bits, known weights: written out"),
    **dict.fromkeys(
        ("DynamicQuantizeMatMul", "MatMulIntegerToFloat"), Expansion(_written(fused.dynamic_matmul), "any")
    ),
    **dict.fromkeys(("Gelu", "BiasGelu", "FastGelu"), Expansion(fused.gelu, "any", "vector")),
    "DynamicQuantizeLSTM": Expansion(_written(recurrent), "as LSTM, all sequences of one length; products of integers"),
    "QuickGelu": Expansion(_written(fused.quick_gelu), "any", "vector"),
    **dict.fromkeys(
        ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
        Expansion(_written(fused.skip_layer_norm), "whose mean and deviation nobody reads", "vector"),
    ),
    "EmbedLayerNormalization": Expansion(_written(fused.embed_layer_norm), "any", "vector"),
}
"""Operators of ``com.microsoft`` in optimised transformers."""

STEPS: tuple[str, ...] = ("GroupNormalization", "RMSNormalization", "MeanVarianceNormalization", "RotaryEmbedding")
STEPS += ("Mish", "Softsign")
"""Operators that no vector unit has, and that are several which it has."""

EXPANSIONS: dict[tuple[str, str], Expansion] = {
    **dict.fromkeys((("", "LSTM"), ("", "GRU"), ("", "RNN")), _RECURRENT),
    **dict.fromkeys((("", "Attention"), ("", "LinearAttention"), ("", "CausalConvWithState")), _BODY),
    **dict.fromkeys((("", op) for op in STEPS), _STEPS),
    ("", "CastLike"): Expansion(_own(bodies.cast), "to float32, as Cast", "vector"),
    ("", "Einsum"): Expansion(_written(einsum.pairs), "any equation of two operands and more; a nest for each product"),
    **dict.fromkeys(
        ((contrib.DOMAIN, "FusedMatMul"), (contrib.DOMAIN, "TransposeMatMul")),
        Expansion(_written(contrib.fused_matmul), "any"),
    ),
    (contrib.DOMAIN, "QLinearConv"): Expansion(_written(contrib.qlinear_conv), "as QLinearConv; channels last, too"),
    **dict.fromkeys(
        ((contrib.DOMAIN, "QuantizeLinear"), (contrib.DOMAIN, "DequantizeLinear")),
        Expansion(contrib.quantiser, "as ONNX's", "vector"),
    ),
    (contrib.DOMAIN, "FusedConv"): Expansion(_written(contrib.fused_conv), activated.FORMS),
    (contrib.DOMAIN, "FusedGemm"): Expansion(_written(contrib.fused_gemm), activated.FORMS),
    **{(contrib.DOMAIN, op): entry for op, entry in _TRANSFORMERS.items()},
    ("", "SimplifiedLayerNormalization"): Expansion(
        _written(fused.simplified_layer_norm), "over the last axis", "vector"
    ),
    (classical.DOMAIN, "LinearRegressor"): Expansion(_written(classical.linear_regressor), _PROBABILITIES),
    (classical.DOMAIN, "LinearClassifier"): Expansion(_written(classical.linear_classifier), _PROBABILITIES),
    (classical.DOMAIN, "SVMRegressor"): Expansion(
        _written(svm.svm_regressor), "any kernel: products with the support vectors, and of these with weights"
    ),
    (classical.DOMAIN, "SVMClassifier"): Expansion(
        _written(svm.svm_classifier), "as SVMRegressor, a sum for each pair of classes; the host decides by these"
    ),
    (classical.DOMAIN, "Scaler"): Expansion(_written(classical.scaler), "of float32", "vector"),
    (nchwc.DOMAIN, "Conv"): Expansion(_written(nchwc.convolution), "known filters; in blocks of this processor"),
    (nchwc.DOMAIN, "ReorderInput"): Expansion(_written(nchwc.reorder_input), "any", "vector"),
    (nchwc.DOMAIN, "ReorderOutput"): Expansion(_written(nchwc.reorder_output), "any", "vector"),
    (nchwc.DOMAIN, "Upsample"): Expansion(_written(nchwc.upsample), "any", "vector"),
    **{(nchwc.DOMAIN, op): Expansion(_written(nchwc.pool), "any", "vector") for op in nchwc.POOLS},
    ("", "DepthToSpace"): Expansion(_written(rearranged.depth_to_space), "as Transpose", "vector"),
    ("", "SpaceToDepth"): Expansion(_written(rearranged.space_to_depth), "as Transpose", "vector"),
    ("", "Tile"): Expansion(_written(rearranged.tile), "a known number of times: as Expand", "vector"),
    ("", "Upsample"): Expansion(_written(rearranged.upsample), "as Resize", "vector"),
    **dict.fromkeys((("", op) for op in ("ReduceL1", "ReduceL2", "ReduceSumSquare")), _NORM),
    ("", "LpNormalization"): Expansion(_written(norms.normalization), "of float32: of simpler ones", "vector"),
    ("", "Mean"): Expansion(_written(norms.mean), "of float32: of simpler ones", "vector"),
    ("", "ImageScaler"): Expansion(_written(experiments.image_scaler), _EXPERIMENT, "vector"),
    ("", "Affine"): Expansion(_written(experiments.affine), _EXPERIMENT, "vector"),
    ("", "Scale"): Expansion(_written(experiments.scale), _EXPERIMENT, "vector"),
    ("", "Crop"): Expansion(_written(experiments.crop), _EXPERIMENT, "vector"),
    ("", "DynamicSlice"): Expansion(_written(experiments.dynamic_slice), _EXPERIMENT, "vector"),
    ("", "Compress"): Expansion(_written(bodies.compress), "with a known condition: Gather", "vector"),
    ("", "DeformConv"): Expansion(
        _written(deform.deform_conv), "2-D: its taps are read by GridSample, then multiplied"
    ),
    ("", "DFT"): Expansion(_written(fourier.dft), f"up to {fourier.LONGEST} points: a product"),
    ("", "STFT"): Expansion(_written(fourier.stft), f"up to {fourier.LONGEST} points, a known window: a convolution"),
    ("", "Loop"): Expansion(_own(unroll.loop), CONTROL["Loop"]),
    ("", "Scan"): Expansion(unroll.scan, CONTROL["Scan"]),
}
"""By domain and operator; an operator that is in both tables is expanded where it can be."""


def multiplies(proto: onnx.NodeProto) -> bool:
    """Whether a node, or one in its subgraphs, is of an operator that becomes nests."""
    inner = list(subgraphs(proto))
    if inner:
        return any(multiplies(node) for graph in inner for node in graph.node)
    key = (proto.domain, proto.op_type)
    return key in LOWERINGS or (key in EXPANSIONS and EXPANSIONS[key].where == "accel")


VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
"""Operators of ONNX's own domain that give the same words another shape."""

REASONS: dict[str, str] = {
    **dict.fromkeys(sorted(VIEWS), "shape only: no words move"),
    **dict.fromkeys(("Shape", "Size"), "integers about shapes"),
    **dict.fromkeys(("NonZero", "Unique", "NonMaxSuppression"), "the shape of its result depends on the data"),
    "SequenceMap": "control flow",
}
"""Why operators of ONNX's own domain are no nests, where there is more to say than that they are none."""


def register_lowering(op: str, forms: str = "", domain: str = "") -> Callable[[Lower], Lower]:
    """A decorator: the function becomes the lowering of an operator, in the place of an earlier one."""

    def register(function: Lower) -> Lower:
        LOWERINGS[domain, op] = Lowering(function, forms)
        return function

    return register


@cache
def load_offered() -> None:
    """Load the lowerings of other packages: modules that register them when they are imported."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            entry.load()
        except Exception as error:  # whatever another package raises
            problem = f"the lowerings '{entry.name}' cannot be loaded: {type(error).__name__}: {error}"
            raise InputError(problem, remedy=f"repair or remove the package that offers {entry.value}") from error


class Row(NamedTuple):
    """A line of ``effc ops``."""

    op: str
    forms: str
    where: str


def operator_table() -> list[Row]:
    """What becomes of ONNX's operators: the nests, then what never is one and why, then the rest."""
    load_offered()
    forms = {key: (entry.forms, entry.where) for key, entry in EXPANSIONS.items()}
    forms |= {key: (entry.forms, "accel") for key, entry in LOWERINGS.items()}
    forms |= {("", op): (text, "accel") for op, text in CONTROL.items()}
    nests = [Row(f"{domain}.{op}" if domain else op, *text) for (domain, op), text in forms.items()]
    others = [Row(op, reason, "host") for op, reason in REASONS.items() if ("", op) not in forms]
    return [*sorted(nests), *sorted(others), Row("any other", "as the target's vector unit can", "vector or host")]
