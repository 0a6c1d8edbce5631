"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

ResNet-50 is the "v1.5" in common use: a block that halves the image does so in its 3x3 convolution, where
the paper does it in the 1x1 before.  Node names are torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
from layers import Builder

WIDTHS = (64, 128, 256, 512)  # of the four stages
BRANCH_SCALE = 0.4  # of a block's last batch norm, so that sums do not grow with depth
SHORTCUT_SCALE = 0.7  # of the batch norm on a projected shortcut

Branch = Callable[[Builder, str, str, int, int], str]


def resnet18(weights: bool = True) -> onnx.ModelProto:
    """ResNet-18, to logits: 11.7 M parameters, 1.81 G multiply-accumulates."""
    return _resnet(Builder("resnet18", (3, 224, 224), weights=weights), _basic, 1, (2, 2, 2, 2))


def resnet50(weights: bool = True) -> onnx.ModelProto:
    """ResNet-50 v1.5, to logits: 25.6 M parameters, 4.09 G multiply-accumulates."""
    return _resnet(Builder("resnet50", (3, 224, 224), weights=weights), _bottleneck, 4, (3, 4, 6, 3))


def _resnet(net: Builder, branch: Branch, expansion: int, depths: tuple[int, ...]) -> onnx.ModelProto:
    x = net.conv("conv1", net.input, 64, 7, stride=2, pad=3, bias=False)
    x = net.relu("relu", net.batch_norm("bn1", x))
    x = net.max_pool("maxpool", x, 3, 2, pad=1)
    for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), start=1):
        for block in range(depth):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _residual(net, f"layer{stage}.{block}", x, branch, width, expansion, stride)
    x = net.flatten("flatten", net.global_average_pool("avgpool", x))
    return net.finish(net.linear("fc", x, 1000))


def _residual(net: Builder, name: str, x: str, branch: Branch, width: int, expansion: int, stride: int) -> str:
    """relu(branch(x) + x), with x projected where its shape changes."""
    y = branch(net, name, x, width, stride)
    if stride > 1 or net.shapes[x][0] != width * expansion:
        x = net.conv(f"{name}.downsample.0", x, width * expansion, 1, stride=stride, bias=False)
        x = net.batch_norm(f"{name}.downsample.1", x, SHORTCUT_SCALE)
    return net.relu(f"{name}.relu", net.add(f"{name}.add", y, x))


def _basic(net: Builder, name: str, x: str, width: int, stride: int) -> str:
    """Two 3x3 convolutions."""
    x = net.conv(f"{name}.conv1", x, width, 3, stride=stride, pad=1, bias=False)
    x = net.relu(f"{name}.relu1", net.batch_norm(f"{name}.bn1", x))
    x = net.conv(f"{name}.conv2", x, width, 3, pad=1, bias=False)
    return net.batch_norm(f"{name}.bn2", x, BRANCH_SCALE)


def _bottleneck(net: Builder, name: str, x: str, width: int, stride: int) -> str:
    """A 3x3 convolution between two 1x1 that narrow and widen by four."""
    x = net.conv(f"{name}.conv1", x, width, 1, bias=False)
    x = net.relu(f"{name}.relu1", net.batch_norm(f"{name}.bn1", x))
    x = net.conv(f"{name}.conv2", x, width, 3, stride=stride, pad=1, bias=False)
    x = net.relu(f"{name}.relu2", net.batch_norm(f"{name}.bn2", x))
    x = net.conv(f"{name}.conv3", x, 4 * width, 1, bias=False)
    return net.batch_norm(f"{name}.bn3", x, BRANCH_SCALE)
