"""A peer in an environment of its own, and its figures beside effc's: the same nests, the same cost table, one run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mapper import nest_of

from effc.compiler.search import search
from effc.compiler.search.cache import cache_folder
from effc.compiler.target import load_target
from effc.compiler.target.model import Target

LAYERS: list[dict[str, Any]] = [
    {"name": "l2_1x1a_first", "N": 1, "K": 64, "C": 64, "P": 56, "Q": 56, "R": 1, "S": 1, "stride": 1},
    {"name": "l5_3x3", "N": 1, "K": 512, "C": 512, "P": 7, "Q": 7, "R": 3, "S": 3, "stride": 1},
    {"name": "qk_head", "M": 512, "K": 64, "N": 512},
]
"""Two layers of ResNet-50 and a product of BERT-base: what is compared where no file is given."""


@dataclass(frozen=True)
class Peer:
    """A mapper on PyPI: how pip installs it, the oldest Python that it runs on, and the script that asks it."""

    name: str
    requirements: tuple[str, ...]
    python: tuple[int, int]
    worker: str


def main(peer: Peer) -> None:
    """Compare effc with a peer, layer by layer."""
    options = arguments(peer)
    python = environment(peer, options.python)
    target = load_target(options.target)
    layers = [layer for path in options.layers for layer in json.loads(path.read_text(encoding="utf-8"))] or LAYERS
    chosen = [layer for layer in layers if not options.only or layer["name"] in options.only]
    heads = (
        "layer",
        "effc CPU s",
        f"{peer.name} CPU s",
        "ratio",
        "effc energy",
        f"{peer.name} energy",
        "effc/peer",
        "",
    )
    print("  ".join(f"{head:>16}" for head in heads))
    rows = []
    for layer, theirs in zip(chosen, answers(peer, python, chosen, machine_of(target), options.timeout)):
        began = time.process_time()
        best = search(nest_of(layer), target, "energy", perfect_factors=not options.full)
        ours = {"energy": float(best.energy), "cpu_s": time.process_time() - began, "status": best.certificate.status}
        rows.append({"name": layer["name"], "effc": ours, peer.name: theirs})
        print(line(layer["name"], ours, theirs), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def arguments(peer: Peer) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"effc beside {peer.name}: the same nests and cost table, one run.")
    parser.add_argument(
        "layers", nargs="*", type=Path, help="files of layers, as mapper.py reads them; else three layers"
    )
    parser.add_argument("--only", action="append", metavar="LAYER", help="this layer alone; may be repeated")
    parser.add_argument(
        "--target", default="eyeriss_like_tiles", help="tiles: identical tiles are shared, as peers have it"
    )
    parser.add_argument("--full", action="store_true", help="effc's whole space, and not only steps that divide")
    parser.add_argument("--python", default=sys.executable, help="the Python of the peer's environment")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for the peer per layer")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    return parser.parse_args()


def environment(peer: Peer, python: str) -> Path:
    """The Python of the peer's environment, which is made if there is none yet."""
    ask = "import sys; print(*sys.version_info[:2])"
    version = tuple(
        map(int, subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split())
    )
    if version < peer.python:
        needed, found = (".".join(map(str, numbers)) for numbers in (peer.python, version))
        sys.exit(f"{peer.name} needs Python {needed}, {python} is {found}: give another one with --python")
    folder = cache_folder() / "peers" / f"{peer.name.lower()}-{version[0]}.{version[1]}"
    own = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (folder / "installed").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(own), "-m", "pip", "install", "--quiet", *peer.requirements], check=True)
        (folder / "installed").touch()
    return own


def machine_of(target: Target) -> dict[str, Any]:
    """The cost table of a target that is built like Eyeriss: a DRAM, a buffer, an array, a scratchpad per operand."""
    dram, glb, spad = target.levels
    assert glb.fanout is not None
    (buffer,), (memory,) = glb.banks, dram.banks
    return {
        "dram": {"energy": one(memory.read_energy, memory.write_energy)},
        "glb": {
            "words": words(buffer.bits, target),
            "energy": one(buffer.read_energy, buffer.write_energy),
            "keep": [operand for operand in buffer.keeps if operand != "B"],
            "may_keep": [operand for operand in buffer.may_keep if operand != "B"],
        },
        "array": [axis.size for axis in glb.fanout.axes],
        "spads": [
            {
                "holds": [operand for operand in bank.operands if operand != "B"],
                "words": words(bank.bits, target),
                "energy": one(bank.read_energy, bank.write_energy),
            }
            for bank in spad.banks
        ],
        "mac_energy": float(target.mac.energy),
    }


def one(read: Fraction, write: Fraction) -> float:
    assert read == write, "the peers are told one energy per access"
    return float(read)


def words(bits: int | None, target: Target) -> int:
    assert bits is not None
    return bits // target.word_bits


def answers(
    peer: Peer, python: Path, layers: list[dict[str, Any]], machine: dict[str, Any], timeout: float
) -> Iterator[dict[str, Any]]:
    """What the peer finds, a process per layer: energy and CPU-seconds, or why there is nothing."""
    command = [str(python), str(Path(__file__).resolve().with_name(peer.worker))]
    for layer in layers:
        task = json.dumps({"layers": [layer], "machine": machine})
        try:
            with tempfile.TemporaryDirectory() as folder:  # for what peers leave behind
                run = subprocess.run(command, input=task, capture_output=True, text=True, timeout=timeout, cwd=folder)
        except subprocess.TimeoutExpired:
            yield {"energy": None, "cpu_s": None, "why": f"nothing after {timeout:g} s"}
            continue
        if run.returncode:
            yield {"energy": None, "cpu_s": None, "why": (run.stderr.strip().splitlines() or ["failed"])[-1][:80]}
        else:
            yield json.loads(run.stdout.splitlines()[-1])


def line(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    if theirs["energy"] is None:
        cells = [
            name,
            f"{ours['cpu_s']:.3f}",
            "-",
            "-",
            f"{ours['energy']:.0f}",
            "-",
            "-",
            ours["status"],
            theirs["why"],
        ]
    else:
        seconds, energy = theirs["cpu_s"] / ours["cpu_s"], ours["energy"] / theirs["energy"]
        cells = [name, f"{ours['cpu_s']:.3f}", f"{theirs['cpu_s']:.2f}", f"{seconds:.0f}x", f"{ours['energy']:.0f}"]
        cells += [f"{theirs['energy']:.0f}", f"{energy:.3f}", ours["status"]]
    return "  ".join(f"{cell:>16}" for cell in cells)
