"""Transformers as exporters write them: attention spelled out in MatMul, Softmax and the shape operators around them.

BERT-base: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019. GPT-2 (small): Radford et al.,
"Language Models are Unsupervised Multitask Learners", 2019. Llama: Touvron et al., "LLaMA: Open and Efficient
Foundation Language Models", 2023, with the grouped queries of Llama 2; sizes are TinyLlama's, with fewer layers.
ViT-B/16: Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021. Whisper: Radford et al., "Robust Speech Recognition
via Large-Scale Weak Supervision", 2022; the encoder of its tiny size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx
from network import Network
from onnx import TensorProto


@dataclass(frozen=True)
class Sizes:
    """Of a transformer; `groups` are the heads of keys and values."""

    layers: int
    width: int
    heads: int
    inner: int
    words: int = 0  # of the vocabulary, or classes
    tokens: int = 0
    groups: int = 0

    @property
    def depth(self) -> int:
        """Words of a head."""
        return self.width // self.heads

    def tiny(self) -> Sizes:
        """Two narrow layers of the same structure."""
        groups = 2 if self.groups else 0
        return replace(
            self, layers=2, width=32, heads=4, inner=48, words=50, tokens=min(self.tokens, 10), groups=groups
        )


BERT = Sizes(12, 768, 12, 3072, 30_522, 128)
GPT2 = Sizes(12, 768, 12, 3072, 50_257, 1024)
LLAMA = Sizes(4, 2048, 32, 5632, 32_000, 2048, groups=4)
VIT = Sizes(12, 768, 12, 3072, 1000, 197)
WHISPER = Sizes(4, 384, 6, 1536, 80, 1500)


def bert(tiny: bool = False) -> onnx.ModelProto:
    """BERT-base with 128 tokens, to the hidden states and the pooled output: 110 M parameters."""
    size = BERT.tiny() if tiny else BERT
    net = Network("bert")
    tokens: tuple[int | str, int] = ("batch", size.tokens)
    ids, kinds, mask = (
        net.input(n, tokens, TensorProto.INT64) for n in ("input_ids", "token_type_ids", "attention_mask")
    )
    words = net("Gather", "embeddings.words", net.weight("embeddings.word", (size.words, size.width), 1), ids)
    types = net("Gather", "embeddings.types", net.weight("embeddings.type", (2, size.width), 1), kinds)
    x = net("Add", "embeddings.typed", words, types)
    x = net("Add", "embeddings.placed", x, net.weight("embeddings.place", (1, size.tokens, size.width), 1))
    x = net.layer_norm("embeddings.norm", x, size.width)
    kept = net("Cast", "mask.cast", net("Unsqueeze", "mask.unsqueeze", mask, net.integers(1, 2)), to=TensorProto.FLOAT)
    bias = net("Mul", "mask.bias", net("Sub", "mask.absent", net.number(1.0), kept), net.number(-10_000.0))
    for i in range(size.layers):
        name = f"layer{i}"
        q, k, v = (net.linear(f"{name}.{part}", x, size.width, size.width) for part in ("query", "key", "value"))
        mixed = _attention(
            net,
            f"{name}.attention",
            size,
            *(_heads(net, f"{name}.{n}", t, size) for n, t in zip("qkv", (q, k, v))),
            bias,
        )
        attended = net.linear(f"{name}.output", mixed, size.width, size.width, gain=0.5)
        x = net.layer_norm(f"{name}.norm1", net("Add", f"{name}.residual1", attended, x), size.width)
        grown = net.gelu(f"{name}.gelu", net.linear(f"{name}.grow", x, size.width, size.inner))
        shrunk = net.linear(f"{name}.shrink", grown, size.inner, size.width)
        x = net.layer_norm(f"{name}.norm2", net("Add", f"{name}.residual2", shrunk, x), size.width)
    first = net("Gather", "pooler.first", x, net.integer(0), axis=1)
    pooled = net(
        "Gemm",
        "pooler.dense",
        first,
        net.weight("pooler.weight", (size.width, size.width), size.width),
        net.vector("pooler.bias", size.width),
        transB=1,
    )
    net.output(x, "last_hidden_state", ("batch", size.tokens, size.width))
    net.output(net("Tanh", "pooler.tanh", pooled), "pooler_output", ("batch", size.width))
    return net.model


def gpt2(tiny: bool = False) -> onnx.ModelProto:
    """GPT-2 small with a cache of keys and values: 124 M parameters; dims `sequence` and `past` are symbolic."""
    size = GPT2.tiny() if tiny else GPT2
    net = Network("gpt2")
    table = net.weight("wte", (size.words, size.width), 1)
    ids, places = (net.input(name, (1, "sequence"), TensorProto.INT64) for name in ("input_ids", "position_ids"))
    caches = _caches(net, size, size.heads)
    bias = _causal(net, ids, caches[0][0])
    x = net(
        "Add",
        "embeddings",
        net("Gather", "words", table, ids),
        net("Gather", "places", net.weight("wpe", (size.tokens, size.width), 1), places),
    )
    for i in range(size.layers):
        name = f"h{i}"
        qkv = net.linear(f"{name}.c_attn", net.layer_norm(f"{name}.ln_1", x, size.width), size.width, 3 * size.width)
        parts = net.many("Split", f"{name}.split", [f"{name}.{n}" for n in "qkv"], qkv, axis=2)
        q, k, v = (_heads(net, f"{part}.heads", part, size) for part in parts)
        k, v = _with_past(net, i, k, v, caches)
        mixed = _attention(net, f"{name}.attention", size, q, k, v, bias)
        x = net("Add", f"{name}.residual1", x, net.linear(f"{name}.c_proj", mixed, size.width, size.width, gain=0.5))
        grown = net.linear(f"{name}.c_fc", net.layer_norm(f"{name}.ln_2", x, size.width), size.width, size.inner)
        shrunk = net.linear(f"{name}.mlp", _gelu_tanh(net, f"{name}.gelu", grown), size.inner, size.width, gain=0.5)
        x = net("Add", f"{name}.residual2", x, shrunk)
    x = net.layer_norm("ln_f", x, size.width)
    logits = net("MatMul", "lm_head", x, net("Transpose", "wte.transposed", table, perm=[1, 0]))
    net.output(logits, "logits", (1, "sequence", size.words))
    return net.model


def llama(tiny: bool = False) -> onnx.ModelProto:
    """A Llama-style decoder: RMS normalisation, rotary positions, grouped queries, SwiGLU, a cache; 4 layers."""
    size = LLAMA.tiny() if tiny else LLAMA
    net = Network("llama")
    ids, places = (net.input(name, (1, "sequence"), TensorProto.INT64) for name in ("input_ids", "position_ids"))
    caches = _caches(net, size, size.groups)
    bias = _causal(net, ids, caches[0][0])
    tables = _rotary_tables(net, size, places)
    x = net("Gather", "embed_tokens", net.weight("embedding", (size.words, size.width), 1), ids)
    narrow = size.groups * size.depth
    for i in range(size.layers):
        name = f"layers.{i}"
        normal = _rms_norm(net, f"{name}.input_norm", x, size.width)
        q = _heads(net, f"{name}.q", net.linear(f"{name}.q_proj", normal, size.width, size.width, bias=False), size)
        k, v = (
            _heads(
                net,
                f"{name}.{n}",
                net.linear(f"{name}.{n}_proj", normal, size.width, narrow, bias=False),
                size,
                size.groups,
            )
            for n in "kv"
        )
        q, k = _rotated(net, f"{name}.q_rotary", q, size, tables), _rotated(net, f"{name}.k_rotary", k, size, tables)
        k, v = _with_past(net, i, k, v, caches)
        k, v = _repeated(net, f"{name}.k_repeat", k, size), _repeated(net, f"{name}.v_repeat", v, size)
        mixed = _attention(net, f"{name}.attention", size, q, k, v, bias)
        x = net(
            "Add",
            f"{name}.residual1",
            x,
            net.linear(f"{name}.o_proj", mixed, size.width, size.width, bias=False, gain=0.5),
        )
        normal = _rms_norm(net, f"{name}.post_norm", x, size.width)
        gate = net.linear(f"{name}.gate_proj", normal, size.width, size.inner, bias=False)
        silu = net("Mul", f"{name}.silu", gate, net("Sigmoid", f"{name}.sigmoid", gate))
        grown = net(
            "Mul", f"{name}.swiglu", silu, net.linear(f"{name}.up_proj", normal, size.width, size.inner, bias=False)
        )
        x = net(
            "Add", f"{name}.residual2", x, net.linear(f"{name}.down_proj", grown, size.inner, size.width, bias=False)
        )
    logits = net.linear("lm_head", _rms_norm(net, "norm", x, size.width), size.width, size.words, bias=False)
    net.output(logits, "logits", (1, "sequence", size.words))
    return net.model


def vit(tiny: bool = False) -> onnx.ModelProto:
    """ViT-B/16 on images of 224 x 224, to logits: 86.6 M parameters."""
    size = VIT.tiny() if tiny else VIT
    patch, side = (8, 24) if tiny else (16, 14)
    side = 3 if tiny else side
    net = Network("vit")
    image = net.input("input", ("batch", 3, patch * side, patch * side))
    patches = net.conv("patches", image, 3, size.width, (patch, patch), strides=[patch, patch], pads=[0] * 4)
    rows = net("Reshape", "rows", patches, net.integers(0, size.width, side * side))
    rows = net("Transpose", "tokens", rows, perm=[0, 2, 1])
    batch = net("Shape", "batch", image, start=0, end=1)
    whole = net("Concat", "class_shape", batch, net.integers(1, size.width), axis=0)
    label = net("Expand", "class_tokens", net.weight("class_token", (1, 1, size.width), 1), whole)
    x = net("Concat", "sequence", label, rows, axis=1)
    x = net("Add", "embeddings", x, net.weight("positions", (1, side * side + 1, size.width), 1))
    x = _encoder(net, size, x)
    first = net("Gather", "first", net.layer_norm("norm", x, size.width), net.integer(0), axis=1)
    net.output(net.linear("head", first, size.width, size.words), "output", ("batch", size.words))
    return net.model


def whisper(tiny: bool = False) -> onnx.ModelProto:
    """A Whisper-style encoder of 30 seconds of audio: two 1-D convolutions, then four layers on 1500 frames."""
    size = replace(WHISPER.tiny(), words=8, tokens=12) if tiny else WHISPER
    net = Network("whisper")
    audio = net.input("input_features", ("batch", size.words, 2 * size.tokens))
    x = net.gelu("gelu1", net.conv("conv1", audio, size.words, size.width, (3,)))
    x = net.gelu("gelu2", net.conv("conv2", x, size.width, size.width, (3,), strides=[2], pads=[1, 1]))
    x = net("Transpose", "frames", x, perm=[0, 2, 1])
    x = net("Add", "embeddings", x, net.parameter("positions", _sinusoids(size.tokens, size.width)))
    x = net.layer_norm("norm", _encoder(net, size, x), size.width)
    net.output(x, "last_hidden_state", ("batch", size.tokens, size.width))
    return net.model


# Parts


def _encoder(net: Network, size: Sizes, x: str) -> str:
    """Layers that normalise first, with one projection of queries, keys and values."""
    for i in range(size.layers):
        name = f"block{i}"
        qkv = net.linear(f"{name}.qkv", net.layer_norm(f"{name}.norm1", x, size.width), size.width, 3 * size.width)
        parts = net("Reshape", f"{name}.parts", qkv, net.integers(0, -1, 3, size.heads, size.depth))
        parts = net("Transpose", f"{name}.first", parts, perm=[2, 0, 3, 1, 4])
        q, k, v = (net("Gather", f"{name}.{n}", parts, net.integer(j), axis=0) for j, n in enumerate("qkv"))
        mixed = _attention(net, f"{name}.attention", size, q, k, v, "")
        x = net("Add", f"{name}.residual1", x, net.linear(f"{name}.proj", mixed, size.width, size.width, gain=0.5))
        grown = net.linear(f"{name}.fc1", net.layer_norm(f"{name}.norm2", x, size.width), size.width, size.inner)
        shrunk = net.linear(f"{name}.fc2", net.gelu(f"{name}.gelu", grown), size.inner, size.width, gain=0.5)
        x = net("Add", f"{name}.residual2", x, shrunk)
    return x


def _heads(net: Network, name: str, x: str, size: Sizes, heads: int = 0) -> str:
    """[batch, tokens, width] as [batch, heads, tokens, words]."""
    split = net("Reshape", f"{name}.split", x, net.integers(0, -1, heads or size.heads, size.depth))
    return net("Transpose", f"{name}.transpose", split, perm=[0, 2, 1, 3])


def _attention(net: Network, name: str, size: Sizes, q: str, k: str, v: str, bias: str) -> str:
    """Scaled dot-product attention, heads joined again."""
    scores = net("MatMul", f"{name}.scores", q, net("Transpose", f"{name}.kt", k, perm=[0, 1, 3, 2]))
    scores = net("Div", f"{name}.scaled", scores, net.number(math.sqrt(size.depth)))
    scores = net("Add", f"{name}.masked", scores, bias) if bias else scores
    mixed = net("MatMul", f"{name}.mixed", net("Softmax", f"{name}.softmax", scores, axis=-1), v)
    joined = net("Transpose", f"{name}.transpose", mixed, perm=[0, 2, 1, 3])
    return net("Reshape", f"{name}.joined", joined, net.integers(0, -1, size.width))


def _caches(net: Network, size: Sizes, heads: int) -> list[tuple[str, str]]:
    shape = (1, heads, "past", size.depth)
    return [tuple(net.input(f"past_key_values.{i}.{n}", shape) for n in ("key", "value")) for i in range(size.layers)]  # type: ignore[misc]


def _with_past(net: Network, i: int, k: str, v: str, caches: list[tuple[str, str]]) -> tuple[str, str]:
    """Keys and values behind those of the past; both are outputs."""
    results = []
    for kind, past, new in zip(("key", "value"), caches[i], (k, v)):
        joined = net("Concat", f"present.{i}.{kind}.concat", past, new, axis=2)
        shape = [dim.dim_param or dim.dim_value for dim in net.graph.input[2].type.tensor_type.shape.dim]
        net.output(joined, f"present.{i}.{kind}", [*shape[:2], "total", shape[3]])
        results.append(joined)
    return results[0], results[1]


def _causal(net: Network, ids: str, past: str) -> str:
    """0 where a token may look, a large negative number where it may not: [sequence, past + sequence]."""
    length = net("Squeeze", "causal.length", net("Shape", "causal.shape", ids, start=1, end=2), net.integers(0))
    before = net("Squeeze", "causal.before", net("Shape", "causal.past", past, start=2, end=3), net.integers(0))
    total = net("Add", "causal.total", length, before)
    columns = net("Range", "causal.columns", net.integer(0), total, net.integer(1))
    rows = net("Unsqueeze", "causal.rows", net("Range", "causal.range", before, total, net.integer(1)), net.integers(1))
    return net("Where", "causal.bias", net("Greater", "causal.later", columns, rows), net.number(-1e9), net.number(0.0))


def _gelu_tanh(net: Network, name: str, x: str) -> str:
    """GPT-2's approximation of GELU."""
    cubed = net("Mul", f"{name}.cubed", net("Pow", f"{name}.pow", x, net.number(3.0)), net.number(0.044715))
    inner = net("Mul", f"{name}.inner", net("Add", f"{name}.sum", x, cubed), net.number(math.sqrt(2 / math.pi)))
    grown = net("Add", f"{name}.plus", net("Tanh", f"{name}.tanh", inner), net.number(1.0))
    return net("Mul", name, net("Mul", f"{name}.half", x, net.number(0.5)), grown)


def _rms_norm(net: Network, name: str, x: str, width: int) -> str:
    squares = net("ReduceMean", f"{name}.mean", net("Pow", f"{name}.pow", x, net.number(2.0)), axes=[-1])
    root = net("Sqrt", f"{name}.sqrt", net("Add", f"{name}.add", squares, net.number(1e-5)))
    return net("Mul", name, net.vector(f"{name}.weight", width, 1.0), net("Div", f"{name}.div", x, root))


def _rotary_tables(net: Network, size: Sizes, places: str) -> tuple[str, str]:
    """Cosines and sines for the places of the tokens, [1, 1, sequence, words of a head]."""
    half = 10_000.0 ** (-np.arange(0, size.depth, 2) / size.depth)
    angles = np.arange(size.tokens)[:, None] * np.concatenate([half, half])
    tables = []
    for name, table in (("cos", np.cos(angles)), ("sin", np.sin(angles))):
        rows = net("Gather", f"rotary.{name}", net.parameter(f"rotary.{name}.table", table.astype(np.float32)), places)
        tables.append(net("Unsqueeze", f"rotary.{name}.heads", rows, net.integers(1)))
    return tables[0], tables[1]


def _rotated(net: Network, name: str, x: str, size: Sizes, tables: tuple[str, str]) -> str:
    half, last, axis = size.depth // 2, 1 << 60, net.integers(3)
    first = net("Slice", f"{name}.first", x, net.integers(0), net.integers(half), axis)
    second = net("Neg", f"{name}.neg", net("Slice", f"{name}.second", x, net.integers(half), net.integers(last), axis))
    turned = net("Mul", f"{name}.turned", net("Concat", f"{name}.half", second, first, axis=3), tables[1])
    return net("Add", name, net("Mul", f"{name}.kept", x, tables[0]), turned)


def _repeated(net: Network, name: str, x: str, size: Sizes) -> str:
    """Each head of keys or values once for every query of its group."""
    times = size.heads // size.groups
    shape = net("Shape", f"{name}.shape", x, start=2, end=3)
    target = net(
        "Concat", f"{name}.target", net.integers(1, size.groups, times), shape, net.integers(size.depth), axis=0
    )
    wide = net("Expand", f"{name}.expand", net("Unsqueeze", f"{name}.unsqueeze", x, net.integers(2)), target)
    return net("Reshape", name, wide, net.integers(0, size.heads, -1, size.depth))


def _sinusoids(tokens: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    scales = np.exp(-math.log(10_000) * np.arange(width // 2) / (width // 2 - 1))
    angles = np.arange(tokens)[:, None] * scales
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
