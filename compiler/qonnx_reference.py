"""QONNX's operators for the reference implementation of onnx, in floating point as their definition has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

DOMAIN = "qonnx.custom_op.general"

_ROUNDING = {"ROUND": np.rint, "CEIL": np.ceil, "FLOOR": np.floor, "ROUND_TO_ZERO": np.trunc, "HALF_EVEN": np.rint}


class Quant(OpRun):
    """``(clip(round(x / scale + zeropt)) - zeropt) * scale``."""

    op_domain = DOMAIN

    def _run(
        self,
        x: Any,
        scale: Any,
        zeropt: Any,
        bitwidth: Any,
        narrow: int = 0,
        rounding_mode: str = "ROUND",
        signed: int = 1,
    ) -> tuple[Any]:
        bits = float(np.reshape(bitwidth, -1)[0])
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        rounded = _ROUNDING[(rounding_mode or "ROUND").upper()](x / scale + zeropt)
        return (((np.clip(rounded, low, high) - zeropt) * scale).astype(np.float32),)


class BipolarQuant(OpRun):
    """``scale`` from zero on, and ``-scale`` below."""

    op_domain = DOMAIN

    def _run(self, x: Any, scale: Any) -> tuple[Any]:
        return (np.where(x >= 0, scale, -scale).astype(np.float32),)


OPERATORS = [Quant, BipolarQuant]
