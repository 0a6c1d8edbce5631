"""Writes the models as ONNX files: `python models/build.py resnet18 [-o DIR]`, or `all`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import onnx
from alexnet import alexnet
from digits import digits
from mobilenetv2 import mobilenetv2
from resnet import resnet18, resnet50
from squeezenet import squeezenet
from vgg16 import vgg16

MODELS: dict[str, Callable[[bool], onnx.ModelProto]] = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "mobilenetv2": mobilenetv2,
    "squeezenet": squeezenet,
    "digits": digits,
}


def build(name: str, weights: bool = True) -> onnx.ModelProto:
    """The model of that name; without weights, its parameters are graph inputs."""
    return MODELS[name](weights)


def write(name: str, folder: Path) -> Path:
    """Writes FOLDER/NAME.onnx, whole or not at all, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    partial = path.with_suffix(".part")
    partial.write_bytes(build(name).SerializeToString(deterministic=True))
    return partial.replace(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write benchmark models as ONNX files.")
    parser.add_argument("model", choices=[*MODELS, "all"])
    parser.add_argument("-o", "--output", type=Path, default=Path("build/models"), metavar="DIR")
    arguments = parser.parse_args()
    for name in MODELS if arguments.model == "all" else [arguments.model]:
        path = write(name, arguments.output)
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
