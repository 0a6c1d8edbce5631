"""The digits network at 32, 16, 8, 4, 2 and 1 bits on one machine: accuracy, energy, traffic and cycles, all executed.

    python benchmarks/quantised.py [--write]     # --write: into docs/quantised.md

Accuracy is that of the held-out images through the simulated machine, all in one batch; the other figures are of one
image, whose program is run, too: its counters have to be those of the cost model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

import effc
from effc.compiler.target import Target, parse_target

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/quantised.md"
BEGIN, END = "<!-- table: `python benchmarks/quantised.py --write` -->\n", "<!-- end -->"
BITS = (32, 16, 8, 4, 2, 1)

MACS = {32: "4.6", 16: "1.5", 8: "0.3", 4: "0.15", 2: "0.11", 1: "0.1"}
"""pJ of a multiplication and an addition: Horowitz, ISSCC 2014, of floating point and of int8 with a sum of 32 bits; of
fewer bits the multiplication shrinks as the product of both widths (invented), the addition does not."""

TARGET = """
target bits {{
  word {word} bit
  clock 1 GHz
  numeric {{ types int1, uint1, int2, uint2, int4, uint4, int8, uint8 -> int32; packing yes }}
  memory DRAM {{ size unbounded; energy 20.3125 pJ/bit; bandwidth read 128 bit/cycle write 128 bit/cycle }}
  memory buffer {{
    size 64 KiB; keeps ifmap, filter; energy 0.43125 pJ/bit; bandwidth 512 bit/cycle; buffering double
  }}
  memory sums {{
    word 32 bit; size 16 KiB; keeps psum; may keep bias; energy 0.3125 pJ/bit
    bandwidth read 1024 bit/cycle write 1024 bit/cycle; buffering double
  }}
  array mesh [16 rows, 16 columns] {{
    unroll C, R, S on rows; unroll K on columns
    multicast none on rows; multicast tiles on columns; reduce rows
  }}
  memory weights {{ bank {{ size 64 bit; keeps filter }} energy 0.00375 pJ/bit; bandwidth unlimited; buffering double }}
  mac {{ energy {mac} pJ }}
  vector {{ lanes 16; energy {mac} pJ; ops Add, Clip, DequantizeLinear, Div, MaxPool, QuantizeLinear, Relu }}
}}
"""


@dataclass(frozen=True)
class Row:
    """A line of the table. Energy in uJ."""

    bits: int
    accuracy: float
    energy: float
    dram_bytes: float
    cycles: int


def target(bits: int) -> Target:
    """The machine; elements of floating point have words of their own size."""
    return parse_target(TARGET.format(word=max(bits, 8), mac=MACS[bits]), "bits.hw")


def network(bits: int) -> onnx.ModelProto:
    """The network of so many bits."""
    sys.path.insert(0, str(ROOT / "models"))
    from digits import digits
    from quantised_digits import quantised_digits

    if bits < 16:
        return quantised_digits(bits)
    return halved(digits()) if bits == 16 else digits()


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of float32 in float16."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            value = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    for value_info in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value_info.type.tensor_type.elem_type = TensorProto.FLOAT16
    return model


def measured(bits: int) -> Row:
    """A row: one image for costs, all held-out images for accuracy."""
    sys.path.insert(0, str(ROOT / "models"))
    from digits import test_set

    images, labels = test_set()
    machine, dtype = target(bits), np.float16 if bits == 16 else np.float32
    one = effc.compile(network(bits), machine)
    (name,) = one.graph.inputs
    found = one.verify({name: images[:1].astype(dtype)})
    if any(not check.ok for check in found.checks if check.where != "output"):
        raise AssertionError(f"{bits} bits: {found.failed}")
    everything = effc.compile(network(bits), machine, batch=len(images))
    (scores,) = everything.run({name: images.astype(dtype)}).values()
    accuracy = float((scores.argmax(1) == labels).mean())
    totals = one.report.totals
    return Row(bits, accuracy, float(totals.energy) / 1e6, float(totals.dram_bytes), totals.cycles)


def table(rows: Iterator[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| bits | accuracy | energy uJ | DRAM bytes | cycles |", "|---:|---:|---:|---:|---:|"]
    for row in rows:
        print(row, flush=True)
        lines.append(
            f"| {row.bits} | {100 * row.accuracy:.1f} % | {row.energy:.2f} | {row.dram_bytes:,.0f} | {row.cycles:,} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The digits network at 32 to 1 bits.")
    parser.add_argument("--write", action="store_true", help="write the table into docs/quantised.md")
    write = parser.parse_args().write
    found = table(measured(bits) for bits in BITS)
    print(found)
    if write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + found + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
