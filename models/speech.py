"""Small networks for speech: keyword spotting with separable convolutions, and a recurrent classifier.

DS-CNN: Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017; its small size on 49 frames of 10
coefficients, 12 words. The classifier has two LSTM layers, the first in both directions.
"""

from __future__ import annotations

import onnx
from network import Network


def ds_cnn(tiny: bool = False) -> onnx.ModelProto:
    """DS-CNN-S: a convolution of 10 x 4, four separable blocks, an average, 12 words."""
    width, blocks = (8, 1) if tiny else (64, 4)
    net = Network("ds_cnn")
    x = net.input("input", ("batch", 1, 49, 10))
    x = net("Relu", "relu0", net.conv("conv0", x, 1, width, (10, 4), strides=[2, 2], pads=[4, 1, 5, 1]))
    for i in range(1, blocks + 1):
        x = net("Relu", f"depthwise{i}.relu", net.conv(f"depthwise{i}", x, width, width, (3, 3), groups=width))
        x = net("Relu", f"pointwise{i}.relu", net.conv(f"pointwise{i}", x, width, width, (1, 1)))
    pooled = net("Flatten", "flatten", net("GlobalAveragePool", "pool", x), axis=1)
    weight = net.weight("words.weight", (12, width), width)
    logits = net("Gemm", "words", pooled, weight, net.vector("words.bias", 12), transB=1)
    net.output(net("Softmax", "softmax", logits, axis=1), "output", ("batch", 12))
    return net.model


def lstm(tiny: bool = False) -> onnx.ModelProto:
    """64 steps of 40 coefficients: a bidirectional LSTM, an LSTM, and a class from its last state."""
    steps, words, hidden = (5, 6, 8) if tiny else (64, 40, 128)
    net = Network("lstm")
    x = net.input("input", (steps, "batch", words))
    both = _recurrent(net, "lstm1", x, words, hidden, 2)[0]
    rows = net("Transpose", "lstm1.rows", both, perm=[0, 2, 1, 3])
    rows = net("Reshape", "lstm1.joined", rows, net.integers(0, 0, 2 * hidden))
    last = net("Squeeze", "last", _recurrent(net, "lstm2", rows, 2 * hidden, hidden, 1)[1], net.integers(0))
    net.output(net.linear("classes", last, hidden, 10), "output", ("batch", 10))
    return net.model


def _recurrent(net: Network, name: str, x: str, inputs: int, hidden: int, directions: int) -> list[str]:
    """The states of all steps, and the last one."""
    direction = "bidirectional" if directions == 2 else "forward"
    weights = [
        net.weight(f"{name}.w", (directions, 4 * hidden, inputs), inputs),
        net.weight(f"{name}.r", (directions, 4 * hidden, hidden), hidden),
    ]
    bias = net.weight(f"{name}.b", (directions, 8 * hidden), 100)
    outputs = [f"{name}.y", f"{name}.h"]
    return net.many("LSTM", name, outputs, x, *weights, bias, hidden_size=hidden, direction=direction)
