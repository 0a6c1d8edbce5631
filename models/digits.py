"""A small trained network: 8x8 handwritten digits, so that accuracy can be measured and not only speed.

`digits.npz` holds its weights and `digits_test.npz` the images it was never trained on; `train_digits.py`
makes both.  The data is the test half of the UCI "Optical Recognition of Handwritten Digits" set (E. Alpaydin,
C. Kaynak, 1998, https://archive.ics.uci.edu/dataset/80), as distributed with scikit-learn; CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from layers import Array, Builder
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent
WEIGHTS = FOLDER / "digits.npz"
TEST_SET = FOLDER / "digits_test.npz"


def digits(weights: bool = True) -> onnx.ModelProto:
    """Two convolutions and a classifier, to logits: 6,090 parameters, 84 k multiply-accumulates."""
    trained = dict(np.load(WEIGHTS, allow_pickle=False)) if weights else None
    net = Builder("digits", (1, 8, 8), weights=weights, trained=trained)
    x = net.relu("relu1", net.conv("conv1", net.input, 16, 3, pad=1))
    x = net.max_pool("pool1", x, 2, 2)
    x = net.relu("relu2", net.conv("conv2", x, 32, 3, pad=1))
    x = net.max_pool("pool2", x, 2, 2)
    return net.finish(net.linear("fc", net.flatten("flatten", x), 10))


def test_set() -> tuple[Array, NDArray[np.int64]]:
    """The held-out images, [n, 1, 8, 8] between 0 and 1, and their labels."""
    with np.load(TEST_SET, allow_pickle=False) as data:
        return data["input"], data["labels"]
