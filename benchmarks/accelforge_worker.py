"""Runs inside AccelForge's own environment: layers and a machine on stdin as JSON, energies and CPU-seconds on stdout.

Started by ``vs_accelforge.py``. Sizes are in bits, energies per word; bandwidths are unlimited, as only energy counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import accelforge
import pydot
from accelforge import Metrics, Spec

WORD = 16


def memory(name: str, bits: int | str, energy: float, keep: str, may_keep: str = "Nothing") -> str:
    actions = "".join(
        f"    - {{name: {kind}, energy: {energy}, throughput: inf, latency: 0, bits_per_action: {WORD}}}\n"
        for kind in ("read", "write")
    )
    return (
        f"  - !Memory\n    name: {name}\n    size: {bits}\n    leak_power: 0\n    area: 0\n"
        f"    tensors: {{keep: {keep}, may_keep: {may_keep}}}\n    actions:\n{actions}"
    )


def architecture(machine: dict[str, Any]) -> str:
    """The machine from the outside in: DRAM, buffer, array, a scratchpad per operand, MAC."""
    glb, dram = machine["glb"], machine["dram"]
    axes = "".join(
        f"    - {{name: axis{i}, fanout: {size}, may_reuse: All}}\n" for i, size in enumerate(machine["array"])
    )
    parts = [memory("DRAM", "inf", dram["energy"], "All")]
    parts.append(
        memory("GLB", glb["words"] * WORD, glb["energy"], " | ".join(glb["keep"]), " | ".join(glb["may_keep"]))
    )
    parts.append(f"  - !Container\n    name: array\n    spatial:\n{axes}")
    for spad in machine["spads"]:
        (operand,) = spad["holds"]
        parts.append(memory(f"spad{operand}", spad["words"] * WORD, spad["energy"], operand))
    actions = f"    - {{name: compute, energy: {machine['mac_energy']}, throughput: 1, latency: 0}}\n"
    parts.append(f"  - !Compute\n    name: MAC\n    leak_power: 0\n    area: 0\n    actions:\n{actions}")
    return "arch:\n  nodes:\n" + "".join(parts)


def workload(layer: dict[str, Any]) -> str:
    """The layer as an einsum; the ifmap's rows and columns are sums of two ranks where the filter has several."""
    if "M" in layer:
        sizes = {dim: layer[dim] for dim in ("M", "K", "N")}
        tensors = {"I": {"M": "m", "K": "k"}, "W": {"K": "k", "N": "n"}, "O": {"M": "m", "N": "n"}}
    else:
        sizes = {dim: layer[dim] for dim in ("N", "K", "C", "P", "Q", "R", "S")}
        stride = layer.get("stride", 1)
        rows, columns = f"{stride}*p + r", f"{stride}*q + s"
        tensors = {
            "I": {"N": "n", "C": "c", "H": rows, "V": columns},
            "W": {"K": "k", "C": "c", "R": "r", "S": "s"},
            "O": {"N": "n", "K": "k", "P": "p", "Q": "q"},
        }
    shape = ", ".join(f"0 <= {dim.lower()} < {size}" for dim, size in sizes.items())
    accesses = "".join(
        f"    - {{name: {name}, projection: {json.dumps(axes)}{', output: True' if name == 'O' else ''}}}\n"
        for name, axes in tensors.items()
    )
    return (
        f"workload:\n  bits_per_value: {{All: {WORD}}}\n  einsums:\n  - name: layer\n"
        f"    iteration_space_shape: [{shape}]\n    tensor_accesses:\n{accesses}"
    )


def search(layer: dict[str, Any], machine: dict[str, Any], folder: Path) -> dict[str, Any]:
    paths = folder / "arch.yaml", folder / "work.yaml"
    for path, text in zip(paths, (architecture(machine), workload(layer))):
        path.write_text(text)
    began = time.process_time()
    spec = Spec.from_yaml(*map(str, paths))
    spec.mapper.metrics = Metrics.ENERGY
    found = spec.map_workload_to_arch(print_progress=False)
    return {"energy": float(found.energy()), "cpu_s": time.process_time() - began}


def main() -> None:
    task = json.load(sys.stdin)
    accelforge.set_n_parallel_jobs(1)
    pydot.Dot.create = lambda *rest, **options: b""  # the mapping is drawn with Graphviz, which nobody needs here
    for layer in task["layers"]:
        with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
            found = search(layer, task["machine"], Path(folder))
        print(json.dumps({"name": layer["name"], **found}), flush=True)


if __name__ == "__main__":
    main()
