"""Runs inside ZigZag's own environment: layers and a machine on stdin as JSON, energies and CPU-seconds on stdout.

Started by ``vs_zigzag.py``. The machine is written in ZigZag's terms: every port is one word wide, so that an access is
a word; memories from the PE outward; the scratchpads belong to one PE, the buffer and the DRAM to the whole array.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from zigzag.api import get_hardware_performance_zigzag

TERMS = {"I": "I1", "W": "I2", "O": "O"}
WORD = 16
UNBOUNDED = 10**12


def memory(words: int, read: float, write: float, operands: list[str], shared: bool) -> dict[str, Any]:
    reads = [f"{TERMS[o]}, {flow}" for o in operands for flow in (("tl", "th") if o == "O" else ("tl",))]
    writes = [f"{TERMS[o]}, {flow}" for o in operands for flow in (("fh", "fl") if o == "O" else ("fh",))]
    ports = [
        {"name": name, "type": kind, "bandwidth_min": WORD, "bandwidth_max": WORD, "allocation": flows}
        for name, kind, flows in (("r_port_1", "read", reads), ("w_port_1", "write", writes))
    ]
    return {
        "size": words * WORD,
        "r_cost": read,
        "w_cost": write,
        "area": 0,
        "latency": 1,
        "operands": [TERMS[o] for o in operands],
        "ports": ports,
        "served_dimensions": ["D1", "D2"] if shared else [],
    }


def accelerator(machine: dict[str, Any]) -> dict[str, Any]:
    memories = {
        f"spad_{spad['holds'][0]}": memory(spad["words"], spad["energy"], spad["energy"], spad["holds"], False)
        for spad in machine["spads"]
    }
    glb, dram = machine["glb"], machine["dram"]
    memories["glb"] = memory(glb["words"], glb["energy"], glb["energy"], glb["keep"], True)
    memories["dram"] = memory(UNBOUNDED, dram["energy"], dram["energy"], ["I", "W", "O"], True)
    array = {
        "unit_energy": machine["mac_energy"],
        "unit_area": 0,
        "dimensions": ["D1", "D2"],
        "sizes": machine["array"],
    }
    return {"name": "machine", "memories": memories, "operational_array": array}


def workload(layer: dict[str, Any]) -> list[dict[str, Any]]:
    common = {
        "id": 0,
        "name": layer["name"],
        "operand_precision": {"I": WORD, "W": WORD, "O": WORD, "O_final": WORD},
        "operand_source": {"I": 0, "W": 0},
    }
    if "M" in layer:
        sizes = [layer[dim] for dim in ("M", "K", "N")]
        equation = "O[d][k]+=I[d][c]*W[c][k]"
        return [
            {**common, "operator_type": "Gemm", "equation": equation, "loop_dims": ["D", "C", "K"], "loop_sizes": sizes}
        ]
    dims = [("B", "N"), ("K", "K"), ("C", "C"), ("OY", "P"), ("OX", "Q"), ("FY", "R"), ("FX", "S")]
    stride = layer.get("stride", 1)
    return [
        {
            **common,
            "operator_type": "Conv",
            "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
            "dimension_relations": [f"ix={stride}*ox+1*fx", f"iy={stride}*oy+1*fy"],
            "loop_dims": [ours for ours, _ in dims],
            "loop_sizes": [layer[theirs] for _, theirs in dims],
        }
    ]


def search(layer: dict[str, Any], machine: dict[str, Any], folder: Path) -> dict[str, Any]:
    mapping = [{"name": "default", "memory_operand_links": TERMS | {"W": "I2", "I": "I1"}}]
    paths = []
    for name, content in (("work", workload(layer)), ("machine", accelerator(machine)), ("map", mapping)):
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(content, sort_keys=False))
    began = time.process_time()
    energy, _, _ = get_hardware_performance_zigzag(
        *map(str, paths), opt="energy", dump_folder=str(folder / "out"), loma_show_progress_bar=False
    )
    return {"energy": energy, "cpu_s": time.process_time() - began}


def main() -> None:
    task = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    for layer in task["layers"]:
        with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
            found = search(layer, task["machine"], Path(folder))
        print(json.dumps({"name": layer["name"], **found}), flush=True)


if __name__ == "__main__":
    main()
