"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep CNNs", NIPS 2012.

The original network: 227x227 images, two groups in conv2, conv4 and conv5 (the halves on the paper's two
GPUs), and the paper's order conv - relu - norm - pool.
"""

from __future__ import annotations

import onnx
from layers import Builder

# conv1 raises unit-variance images to the range of 0..255 pixels that the paper's constants were chosen for;
# fc8 brings logits back to a range in which softmax does not saturate.
PIXEL_GAIN = 60.0
LOGIT_GAIN = 1 / 10


def alexnet(weights: bool = True) -> onnx.ModelProto:
    """AlexNet with softmax: 61.0 M parameters, 724 M multiply-accumulates."""
    net = Builder("alexnet", (3, 227, 227), weights=weights)
    x = net.relu("relu1", net.conv("conv1", net.input, 96, 11, stride=4, gain=PIXEL_GAIN))
    x = net.max_pool("pool1", _norm(net, "norm1", x), 3, 2)
    x = net.relu("relu2", net.conv("conv2", x, 256, 5, pad=2, groups=2))
    x = net.max_pool("pool2", _norm(net, "norm2", x), 3, 2)
    x = net.relu("relu3", net.conv("conv3", x, 384, 3, pad=1))
    x = net.relu("relu4", net.conv("conv4", x, 384, 3, pad=1, groups=2))
    x = net.relu("relu5", net.conv("conv5", x, 256, 3, pad=1, groups=2))
    x = net.flatten("flatten", net.max_pool("pool5", x, 3, 2))
    x = net.relu("relu6", net.linear("fc6", x, 4096))
    x = net.relu("relu7", net.linear("fc7", x, 4096))
    x = net.linear("fc8", x, 1000, gain=LOGIT_GAIN)
    return net.finish(net.softmax("prob", x))


def _norm(net: Builder, name: str, x: str) -> str:
    """x / (2 + 1e-4 * sum of squares)^0.75 over five channels; ONNX divides alpha by the five."""
    return net.lrn(name, x, size=5, alpha=5 * 1e-4, beta=0.75, bias=2.0)
