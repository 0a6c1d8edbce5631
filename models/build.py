"""Writes the models as ONNX files: `python models/build.py resnet18 [-o DIR]`, `bert --tiny`, or `all`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
from alexnet import alexnet
from dense import deeplab, unet
from digits import digits
from mobilenetv2 import mobilenetv2
from quantise import FORMS, quantised
from quantised_digits import BITS, quantised_digits
from resnet import resnet18, resnet50
from speech import ds_cnn, lstm
from squeezenet import squeezenet
from transformers import bert, gpt2, llama, vit, whisper
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
"""Classifiers of images; the argument says whether they have weights."""

NETWORKS: dict[str, Callable[[bool], onnx.ModelProto]] = {
    "bert": bert,
    "gpt2": gpt2,
    "llama": llama,
    "vit": vit,
    "whisper": whisper,
    "unet": unet,
    "deeplab": deeplab,
    "ds_cnn": ds_cnn,
    "lstm": lstm,
}
"""Networks of all other kinds; the argument asks for a tiny one of the same structure."""


QUANTISED: dict[str, Callable[[], onnx.ModelProto]] = {
    **{
        f"{name}_{form}": partial(lambda name, form: quantised(build(name), form), name, form)
        for name in ("resnet18", "mobilenetv2", "squeezenet", "bert", "digits")
        for form in FORMS
    },
    **{f"digits_{bits}bit": partial(quantised_digits, bits) for bits in BITS},
}
"""Networks of integers: of 8 bits by onnxruntime's quantiser, which takes minutes for a large one, and of fewer."""


def build(name: str, weights: bool = True) -> onnx.ModelProto:
    """The model of that name; without weights, its parameters are graph inputs. ``bert_tiny`` is a tiny BERT."""
    if name in MODELS:
        return MODELS[name](weights)
    if name in QUANTISED:
        return QUANTISED[name]()
    return NETWORKS[name.removesuffix("_tiny")](name.endswith("_tiny"))


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
    parser.add_argument("model", choices=[*MODELS, *NETWORKS, *QUANTISED, "all"])
    parser.add_argument("-o", "--output", type=Path, default=Path("build/models"), metavar="DIR")
    parser.add_argument("--tiny", action="store_true", help="NAME_tiny.onnx: the same structure in a few kilobytes")
    arguments = parser.parse_args()
    if arguments.tiny and arguments.model in (*MODELS, *QUANTISED):
        parser.error(f"there is no tiny {arguments.model}: one of {', '.join(NETWORKS)}")
    names = [*NETWORKS] if arguments.tiny else [*MODELS, *NETWORKS]
    for name in names if arguments.model == "all" else [arguments.model]:
        path = write(f"{name}_tiny" if arguments.tiny else name, arguments.output)
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
