"""Networks that give an output for every pixel: a U-Net and a segmentation network with dilated convolutions.

U-Net: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015; padded, half as
wide, on 128 x 128. DeepLab-style: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017: a
head with rates of 6, 12 and 18 and features of the whole image, on a small residual backbone.
"""

from __future__ import annotations

import onnx
from network import Network

RATES = (6, 12, 18)


def unet(tiny: bool = False) -> onnx.ModelProto:
    """A U-Net of four steps down and up, one channel in, two classes out."""
    width, side, steps = (4, 16, 2) if tiny else (32, 128, 4)
    net = Network("unet")
    x = net.input("input", ("batch", 1, side, side))
    skips, channels = [], 1
    for step in range(steps):
        x = _twice(net, f"down{step}", x, channels, width << step)
        channels = width << step
        skips.append(x)
        x = net("MaxPool", f"pool{step}", x, kernel_shape=[2, 2], strides=[2, 2])
    x = _twice(net, "bottom", x, channels, width << steps)
    for step in reversed(range(steps)):
        narrow = width << step
        weight = net.weight(f"up{step}.weight", (2 * narrow, narrow, 2, 2), 2 * narrow)
        x = net("ConvTranspose", f"up{step}", x, weight, net.vector(f"up{step}.bias", narrow), strides=[2, 2])
        x = _twice(net, f"join{step}", net("Concat", f"skip{step}", skips[step], x, axis=1), 2 * narrow, narrow)
    net.output(net.conv("classes", x, width, 2, (1, 1)), "output", ("batch", 2, side, side))
    return net.model


def deeplab(tiny: bool = False) -> onnx.ModelProto:
    """A backbone with a stride of 16 in its last stage, atrous spatial pyramid pooling, and a bilinear enlargement."""
    width, side, classes = (4, 32, 3) if tiny else (32, 256, 21)
    net = Network("deeplab")
    x = net.input("input", ("batch", 3, side, side))
    x, channels = net("Relu", "stem.relu", net.conv("stem", x, 3, width, (3, 3), strides=[2, 2])), width
    for stage in range(3):
        x = _residual(net, f"stage{stage}", x, channels, 2 * channels)
        channels *= 2
    small = side // 16
    branches = [net("Relu", "aspp0.relu", net.conv("aspp0", x, channels, 2 * width, (1, 1)))]
    for i, rate in enumerate(RATES, 1):
        wide = net.conv(f"aspp{i}", x, channels, 2 * width, (3, 3), dilations=[rate, rate])
        branches.append(net("Relu", f"aspp{i}.relu", wide))
    pooled = net.conv("pooled", net("GlobalAveragePool", "pool", x), channels, 2 * width, (1, 1))
    pooled = net("Relu", "pooled.relu", pooled)
    branches.append(net("Resize", "spread", pooled, "", "", net.integers(1, 2 * width, small, small), mode="linear"))
    x = net("Concat", "aspp", *branches, axis=1)
    x = net("Relu", "project.relu", net.conv("project", x, 10 * width, 2 * width, (1, 1)))
    x = net.conv("classes", x, 2 * width, classes, (1, 1))
    x = net("Resize", "enlarge", x, "", "", net.integers(1, classes, side, side), mode="linear")
    net.output(x, "output", ("batch", classes, side, side))
    return net.model


def _twice(net: Network, name: str, x: str, inputs: int, outputs: int) -> str:
    x = net("Relu", f"{name}.relu1", net.conv(f"{name}.conv1", x, inputs, outputs, (3, 3)))
    return net("Relu", f"{name}.relu2", net.conv(f"{name}.conv2", x, outputs, outputs, (3, 3)))


def _residual(net: Network, name: str, x: str, inputs: int, outputs: int) -> str:
    """A block of two convolutions, the first with a stride of two, beside a projection."""
    branch = net("Relu", f"{name}.relu1", net.conv(f"{name}.conv1", x, inputs, outputs, (3, 3), strides=[2, 2]))
    branch = net.conv(f"{name}.conv2", branch, outputs, outputs, (3, 3))
    kept = net.conv(f"{name}.project", x, inputs, outputs, (1, 1), strides=[2, 2])
    return net("Relu", f"{name}.relu2", net("Add", f"{name}.add", branch, kept))
