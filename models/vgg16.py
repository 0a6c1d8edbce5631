"""VGG-16: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015."""

from __future__ import annotations

import onnx
from layers import Builder

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (filters, convolutions) between poolings


def vgg16(weights: bool = True) -> onnx.ModelProto:
    """Configuration D of the paper, to logits: 138.4 M parameters, 15.5 G multiply-accumulates."""
    net = Builder("vgg16", (3, 224, 224), weights=weights)
    x = net.input
    for stage, (filters, depth) in enumerate(STAGES, start=1):
        for layer in range(1, depth + 1):
            x = net.conv(f"conv{stage}_{layer}", x, filters, 3, pad=1)
            x = net.relu(f"relu{stage}_{layer}", x)
        x = net.max_pool(f"pool{stage}", x, 2, 2)
    x = net.flatten("flatten", x)
    x = net.relu("relu6", net.linear("fc6", x, 4096))
    x = net.relu("relu7", net.linear("fc7", x, 4096))
    return net.finish(net.linear("fc8", x, 1000))
