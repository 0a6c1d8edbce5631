"""docs/validation.md: what effc says of published machines, beside what was published.

    python benchmarks/published.py            # write the page
    python benchmarks/published.py --search   # first look for the mappings again that were not published (minutes)

The words of the page are in published.md, with a name in braces for every table and figure. The mappings found are in
published.json; they are costed anew whenever the page is written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from eyeriss import EYERISS, TABLE, Layer, read_table

from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.dataflows import best_row_stationary, row_stationary
from effc.compiler.target import Target, load_target

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "validation.md"
TEXT, FOUND = (Path(__file__).with_suffix(suffix) for suffix in (".md", ".json"))
ISCA = ROOT / "tests" / "validation" / "eyeriss_isca2016.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/validation.md.")
    parser.add_argument("--search", action="store_true", help="look for the mappings that were not published again")
    options = parser.parse_args()
    if options.search:
        FOUND.write_text(json.dumps(mappings(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


def mappings() -> dict[str, Any]:
    """The best row-stationary mappings of AlexNet, by the name of the target and of the layer."""
    return {
        "eyeriss": {layer.name: best_row_stationary(layer.nest, EYERISS).parameters for layer in read_table(TABLE)},
        "eyeriss_isca16": {
            layer.name: best_row_stationary(layer.nest, layer.target).parameters for layer in isca_layers()
        },
    }


def page() -> str:
    """The whole page."""
    found, layers = json.loads(FOUND.read_text(encoding="utf-8")), read_table(TABLE)
    parts = {
        **chip(layers),
        "headroom": headroom(layers, found["eyeriss"]),
        "isca": isca(found["eyeriss_isca16"]),
    }
    return TEXT.read_text(encoding="utf-8").format(**parts)


# Tables


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def beside(published: float, found: float, digits: int = 1) -> list[str]:
    """What was published, what effc says, and by how much that differs."""
    return [f"{published:.{digits}f}", f"{found:.{digits}f}", f"{100 * (found / published - 1):+.1f} %"]


# The chip


EXACT = {
    "glb_ifmap_KB": "GLB ifmap KB",
    "glb_psum_KB": "GLB psum KB",
    "spad_filter": "spad filter",
    "spad_ifmap": "spad ifmap",
    "spad_psum": "spad psum",
    "active_PEs": "active PEs",
}

MEASURED = {"DRAM_MB": 2, "GLB_MB": 1, "processing_ms": 1, "total_ms": 1, "power_mW": 0}
"""The figures of Table V, and the digits shown."""


def chip(layers: Sequence[Layer]) -> dict[str, str | float]:
    """Tables III and V of the publication, and the frames per second."""
    rows = [[layer.name, *(exact_cell(layer, figure) for figure in EXACT)] for layer in layers]
    agree = sum(layer.exact()[figure] == layer.published_exact()[figure] for layer in layers for figure in EXACT)
    parts = {
        "exact": table(["layer", *EXACT.values()], rows),
        "agree": f"{agree} of {len(layers) * len(EXACT)}",
        **anomaly(layers),
    }
    for figure, digits in MEASURED.items():
        figures = [(layer.name, layer.row[figure], layer.measured()[figure]) for layer in layers]
        cells = [[name, *beside(*pair, digits)] for name, *pair in [*figures, total(figure, layers)]]
        parts[figure] = table(["layer", "published", "effc", "deviation"], cells)
    _, *milliseconds = total("total_ms", layers)
    parts["fps"], parts["fps_effc"] = (1000 * layers[0].batch / ms for ms in milliseconds)
    return parts


def exact_cell(layer: Layer, figure: str) -> str:
    found, published = layer.exact()[figure], layer.published_exact()[figure]
    return f"{found}" if found == published else f"{found} (published: {published})"


def total(figure: str, layers: Sequence[Layer]) -> tuple[str, float, float]:
    """All layers: a sum; of power, the average over their time."""
    weights = [1.0] * len(layers), [1.0] * len(layers)
    if figure == "power_mW":
        weights = [row.row["total_ms"] for row in layers], [row.measured()["total_ms"] for row in layers]
    published = sum(row.row[figure] * weight for row, weight in zip(layers, weights[0]))
    found = sum(row.measured()[figure] * weight for row, weight in zip(layers, weights[1]))
    if figure == "power_mW":
        published, found = published / sum(weights[0]), found / sum(weights[1])
    return "all", published, found


def anomaly(layers: Sequence[Layer]) -> dict[str, float]:
    """The traffic of CONV3's buffer: of psums, and all of it with the q, r and t of CONV4."""
    named = {layer.name: layer for layer in layers}
    layer, theirs = named["CONV3"], named["CONV4"].row["mapping"]
    mapping = layer.row["mapping"] | {name: theirs[name] for name in "qrt"}
    counters, glb = layer.dense.counters, layer.target.levels[1].name
    words = counters.reads[glb, "O"] + counters.writes[glb, "O"]
    return {
        "psums": layer.groups * words * layer.target.word_bits / 8e6,
        "conv3": replace(layer, row={**layer.row, "mapping": mapping}).measured()["GLB_MB"],
    }


# The mapping of the paper, and the best


def headroom(layers: Sequence[Layer], found: Mapping[str, Mapping[str, int]]) -> str:
    """What the published mapping costs, and the best row-stationary one."""
    rows = []
    for layer in layers:
        best = evaluate(layer.nest, row_stationary(layer.nest, **found[layer.name], target=EYERISS), EYERISS)
        old, new = (" ".join(str(one[name]) for name in "mnepqrt") for one in (layer.row["mapping"], found[layer.name]))
        theirs, mine = (millijoules(cost, layer) for cost in (layer.dense, best))
        ms = [f"{layer.ms(cost):.1f}" for cost in (layer.dense, best)]
        rows.append([layer.name, old, new, f"{theirs:.2f}", f"{mine:.2f}", f"{100 * (1 - mine / theirs):.1f} %", *ms])
    head = [
        "layer",
        "published m n e p q r t",
        "best",
        "published mJ",
        "best mJ",
        "headroom",
        "published ms",
        "best ms",
    ]
    return table(head, rows)


def millijoules(cost: Evaluation, layer: Layer) -> float:
    return float(layer.groups * cost.energy) / 1e9


# The machine of ISCA 2016


def isca_layers() -> list[Layer]:
    data = json.loads(ISCA.read_text(encoding="utf-8"))
    target = load_target("eyeriss_isca16")
    return [Layer(row, data["batch"], Fraction(0), target) for row in data["layers"]]


def isca(found: Mapping[str, Mapping[str, int]]) -> str:
    """The energy of every layer by component, in 10^9 MACs."""
    rows = []
    for layer in isca_layers():
        schedule = row_stationary(layer.nest, **found[layer.name], target=layer.target)
        figures = isca_energies(layer, evaluate(layer.nest, schedule, layer.target))
        pairs = [(layer.row["published"][part], figures[part]) for part in ("ALU", "RF", "DRAM")]
        rows.append([layer.name, *(cell for pair in pairs for cell in beside(*pair, 2)), f"{figures['RF, all']:.2f}"])
    head = [f"{part}{what}" for part in ("ALU", "RF", "DRAM") for what in (" published", "", " deviation")]
    return table(["layer", *head, "RF, all"], rows)


def isca_energies(layer: Layer, cost: Evaluation) -> dict[str, float]:
    """Energies of all groups, in 10^9 MACs."""
    by = {part: float(layer.groups * energy) / 1e9 for part, energy in cost.energy_by.items()}
    dram, _, rf = (level.name for level in layer.target.levels)
    return {
        "ALU": by["MAC"],
        "RF": layer.groups * mac_accesses(layer.target, cost) / 1e9,
        "DRAM": by[dram],
        "RF, all": by[rf],
    }


def mac_accesses(target: Target, cost: Evaluation) -> int:
    """What the MACs read, and their updates, each a read and a write."""
    transfers = [transfer for transfer in cost.counts.transfers if transfer.child == len(target.levels)]
    return sum(transfer.words.writes * (2 if transfer.kind == "update" else 1) for transfer in transfers)


if __name__ == "__main__":
    main()
