"""SqueezeNet 1.1: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016.

Version 1.1 is the authors' later release: 2.4 times less computation than the paper's network.  At 224x224
no pooling window is partial, so the release's ceiling mode changes nothing and is left out.
"""

from __future__ import annotations

import onnx
from layers import Builder

# (squeeze, expand) filters of fire2 to fire9
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
POOLED = (3, 5)  # fire modules followed by a pooling


def squeezenet(weights: bool = True) -> onnx.ModelProto:
    """SqueezeNet 1.1, to logits: 1.24 M parameters, 349 M multiply-accumulates."""
    net = Builder("squeezenet", (3, 224, 224), weights=weights)
    x = net.relu("relu1", net.conv("conv1", net.input, 64, 3, stride=2))
    x = net.max_pool("pool1", x, 3, 2)
    for number, (squeeze, expand) in enumerate(FIRES, start=2):
        x = _fire(net, f"fire{number}", x, squeeze, expand)
        if number in POOLED:
            x = net.max_pool(f"pool{number}", x, 3, 2)
    x = net.relu("relu10", net.conv("conv10", x, 1000, 1))
    return net.finish(net.flatten("flatten", net.global_average_pool("pool10", x)))


def _fire(net: Builder, name: str, x: str, squeeze: int, expand: int) -> str:
    """A 1x1 squeeze, then 1x1 and 3x3 expansions side by side."""
    x = net.relu(f"{name}.squeeze.relu", net.conv(f"{name}.squeeze", x, squeeze, 1))
    narrow = net.relu(f"{name}.expand1x1.relu", net.conv(f"{name}.expand1x1", x, expand, 1))
    wide = net.relu(f"{name}.expand3x3.relu", net.conv(f"{name}.expand3x3", x, expand, 3, pad=1))
    return net.concat(f"{name}.concat", [narrow, wide])
