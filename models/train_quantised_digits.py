"""Trains the digits network with weights and activations of 8, 4, 2 and 1 bits, and writes digits_quantised.npz.

    python models/train_quantised_digits.py

It begins from the trained network and computes forwards with what is left of every number; gradients pass the
quantisers as if they were not there, where they do not saturate (Bengio, Leonard, Courville, "Estimating or Propagating
Gradients Through Stochastic Neurons", 2013). Weights of 1 bit are -1 or 1. Needs scikit-learn, for the data only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from digits import WEIGHTS
from layers import Array
from quantised_digits import BITS, PARAMETERS
from train_digits import SEED, AdamW, ConvReluPool, Labels, Parameters, dataset, shifted, split

EPOCHS = 16
BATCH = 32
RATE = 1e-3
LAYERS = ("conv1", "conv2", "fc")


def weight_scale(weights: Array, bits: int) -> np.float32:
    """What a step of quantised weights is worth: of 1 bit their mean magnitude, else what the least error has."""
    if bits == 1:
        return np.float32(np.abs(weights).mean())
    most = 2 ** (bits - 1) - 1
    scales = np.abs(weights).max() / most * np.linspace(0.2, 1, 41)
    errors = [np.square(np.clip(np.rint(weights / s), -most, most) * s - weights).sum() for s in scales]
    return np.float32(scales[int(np.argmin(errors))])


def quantised_weights(weights: Array, scale: np.float32, bits: int) -> Array:
    """The integers that stand for weights."""
    if bits == 1:
        return np.where(weights >= 0, 1, -1).astype(np.float32)
    most = 2 ** (bits - 1) - 1
    found: Array = np.clip(np.rint(weights / scale), -most, most).astype(np.float32)
    return found


def activation_scale(values: Array, bits: int) -> np.float32:
    """The step of activations, none of which is negative, that has the least error."""
    most = 2**bits - 1
    scales = values.max() / most * np.linspace(0.1, 1, 46)
    errors = [np.square(np.clip(np.rint(values / s), 0, most) * s - values).sum() for s in scales]
    return np.float32(scales[int(np.argmin(errors))])


def quantised_activations(values: Array, scale: np.float32, bits: int) -> Array:
    found: Array = (np.clip(np.rint(values / scale), 0, 2**bits - 1) * scale).astype(np.float32)
    return found


class Network:
    """The network of so many bits; ``parameters`` are of full precision, and become those of ``seen``."""

    def __init__(self, parameters: Parameters, images: Array, bits: int) -> None:
        self.parameters, self.bits = parameters, bits
        self.scales: dict[str, np.float32] = {}
        x = images
        for name in LAYERS[:2]:
            x = ConvReluPool(name, parameters).forward(x)
            self.scales[name] = activation_scale(x, bits)

    def seen(self) -> Parameters:
        """The parameters as the quantised network has them."""
        found = dict(self.parameters)
        for name in LAYERS:
            weights = self.parameters[f"{name}.weight"]
            scale = weight_scale(weights, self.bits)
            found[f"{name}.weight"] = quantised_weights(weights, scale, self.bits) * scale
        return found

    def features(self, seen: Parameters, images: Array) -> tuple[Array, list[tuple[ConvReluPool, Any]]]:
        """What the last layer sees, and the layers before it with where their outputs did not saturate."""
        passed = []
        for name in LAYERS[:2]:
            layer = ConvReluPool(name, seen)
            real = layer.forward(images)
            passed.append((layer, real < self.scales[name] * (2**self.bits - 1)))
            images = quantised_activations(real, self.scales[name], self.bits)
        return images, passed

    def gradients(self, images: Array, labels: Labels) -> Parameters:
        """Of the mean cross-entropy."""
        seen = self.seen()
        x, passed = self.features(seen, images)
        flat = x.reshape(len(x), -1)
        scores = flat @ seen["fc.weight"].T + seen["fc.bias"]
        odds = np.exp(scores - scores.max(1, keepdims=True))
        error = odds / odds.sum(1, keepdims=True)
        error[np.arange(len(labels)), labels] -= 1
        error /= np.float32(len(labels))
        result = {"fc.weight": error.T @ flat, "fc.bias": error.sum(0)}
        dx = (error @ seen["fc.weight"]).reshape(x.shape)
        for layer, inside in reversed(passed):
            dx, own = layer.backward(dx * inside)
            result |= own
        return result

    def accuracy(self, images: Array, labels: Labels) -> float:
        seen = self.seen()
        x, _ = self.features(seen, images)
        scores = x.reshape(len(x), -1) @ seen["fc.weight"].T + seen["fc.bias"]
        return float((scores.argmax(1) == labels).mean())

    def record(self) -> dict[str, Array]:
        """Integers, scales and biases, each under its name and the number of bits."""
        found: dict[str, Any] = {}
        for name in LAYERS:
            weights = self.parameters[f"{name}.weight"]
            scale = weight_scale(weights, self.bits)
            found[f"{name}.weight.{self.bits}"] = quantised_weights(weights, scale, self.bits).astype(np.int8)
            found[f"{name}.scale.{self.bits}"] = scale
            found[f"{name}.bias.{self.bits}"] = self.parameters[f"{name}.bias"]
        found |= {f"{name}.step.{self.bits}": scale for name, scale in self.scales.items()}
        return found


def train(images: Array, labels: Labels, bits: int) -> Network:
    """A network of so many bits, the rate falling along a cosine."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    with np.load(WEIGHTS, allow_pickle=False) as file:
        parameters = {name: np.array(value) for name, value in file.items()}
    network = Network(parameters, images, bits)
    optimizer = AdamW(parameters)
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            optimizer.step(network.gradients(shifted(images[batch], rng), labels[batch]), rate)
    return network


def main() -> None:
    """Trains every width, reports both accuracies and writes the file."""
    images, labels = dataset()
    training, test = split(len(images))
    record: dict[str, Array] = {}
    for bits in BITS:
        network = train(images[training], labels[training], bits)
        seen, held = (network.accuracy(images[part], labels[part]) for part in (training, test))
        print(f"{bits} bits: training images {seen:.4f}  test images {held:.4f}", flush=True)
        record |= network.record()
    np.savez_compressed(PARAMETERS, allow_pickle=False, **record)


if __name__ == "__main__":
    main()
