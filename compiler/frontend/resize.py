"""The size that Resize and Upsample give an axis: ``size * scale`` in float32, cut off, as onnxruntime computes it.

ONNX's shape inference multiplies in float64: 9 rows times 17 / 9 are 16 of its rows, and 17 of onnxruntime's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from effc.ir.graph import Array

RESIZING = ("Resize", "Upsample")


def resized(proto: onnx.NodeProto, kind: onnx.TypeProto, image: onnx.TypeProto, values: Mapping[str, Array]) -> None:
    """Put the sizes that follow from known scales into ``kind``, the inferred type of what becomes of ``image``."""
    scales = _scales(proto, values)
    dims, given = kind.tensor_type.shape.dim, image.tensor_type.shape.dim
    attributes = {attribute.name: attribute for attribute in proto.attribute}
    axes = list(attributes["axes"].ints) if "axes" in attributes else list(range(len(given)))
    if scales is None or len(dims) != len(given) or len(axes) != scales.size:
        return
    for axis, scale in zip(axes, scales.astype(np.float32)):
        if -len(dims) <= axis < len(dims) and given[axis].HasField("dim_value") and 0 < scale < np.inf:
            dims[axis].dim_value = int(np.float32(given[axis].dim_value) * scale)


def _scales(proto: onnx.NodeProto, values: Mapping[str, Array]) -> Array | None:
    """The scales, where they are known and no sizes are given in their place."""
    names = list(proto.input)
    if len(names) > 3 and names[3]:
        return None
    if len(names) == 1:
        return next((np.array(entry.floats) for entry in proto.attribute if entry.name == "scales"), None)
    return values.get(names[2 if len(names) > 2 else 1])
