"""MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.

Blocks are numbered as in torchvision's `features`.
"""

from __future__ import annotations

import onnx
from layers import Builder

# (expansion, channels, blocks, stride of the first block): the paper's table 2, width 1.0
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LINEAR_SCALE = 0.5  # of batch norms with no ReLU6 after them, where nothing is cut off


def mobilenetv2(weights: bool = True) -> onnx.ModelProto:
    """MobileNetV2 of width 1.0, to logits: 3.50 M parameters, 300 M multiply-accumulates."""
    net = Builder("mobilenetv2", (3, 224, 224), weights=weights)
    x = _conv_bn_relu6(net, "features.0", net.input, 32, 3, stride=2)
    number = 1
    for expansion, channels, blocks, first_stride in STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            x = _inverted_residual(net, f"features.{number}", x, expansion, channels, stride)
            number += 1
    x = _conv_bn_relu6(net, f"features.{number}", x, 1280, 1)
    x = net.flatten("flatten", net.global_average_pool("avgpool", x))
    return net.finish(net.linear("classifier", x, 1000))


def _inverted_residual(net: Builder, name: str, x: str, expansion: int, channels: int, stride: int) -> str:
    """Expand by 1x1, filter each channel by 3x3, project by 1x1 without activation."""
    wide = net.shapes[x][0] * expansion
    y = _conv_bn_relu6(net, f"{name}.expand", x, wide, 1) if expansion > 1 else x
    y = _conv_bn_relu6(net, f"{name}.depthwise", y, wide, 3, stride=stride, groups=wide)
    y = net.conv(f"{name}.project", y, channels, 1, bias=False)
    y = net.batch_norm(f"{name}.project.bn", y, LINEAR_SCALE)
    return net.add(f"{name}.add", x, y) if net.shapes[x] == net.shapes[y] else y


def _conv_bn_relu6(
    net: Builder, name: str, x: str, filters: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> str:
    x = net.conv(name, x, filters, kernel, stride=stride, pad=kernel // 2, groups=groups, bias=False)
    return net.relu6(f"{name}.relu6", net.batch_norm(f"{name}.bn", x))
