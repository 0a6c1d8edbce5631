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

import cycles

from effc.compiler.api import search
from effc.compiler.cost import Evaluation, evaluate
from effc.compiler.dataflows import Layer, best_row_stationary, read_table, row_stationary
from effc.compiler.target import Target, load_target
from effc.compiler.target.area import area_by
from effc.ir import parse_schedule, print_schedule

ROOT = Path(__file__).parents[1]
PAGE, PLOT = (ROOT / "docs" / f"validation.{suffix}" for suffix in ("md", "svg"))
TEXT, FOUND = (Path(__file__).with_suffix(suffix) for suffix in (".md", ".json"))
TABLE, VGG, ISCA = (
    ROOT / "tests" / "validation" / f"eyeriss_{name}.json" for name in ("jssc2017", "jssc2017_vgg16", "isca2016")
)
EYERISS = load_target("eyeriss")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/validation.md.")
    parser.add_argument("--search", action="store_true", help="look for the mappings that were not published again")
    options = parser.parse_args()
    if options.search:
        FOUND.write_text(json.dumps(mappings(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    PLOT.write_text(plot(), encoding="utf-8")


def mappings() -> dict[str, Any]:
    """What has to be looked for: row-stationary parameters and schedules, by the name of the target and the layer."""
    layers = read_table(TABLE, EYERISS)
    return {
        "eyeriss": {layer.name: best_row_stationary(layer.nest, EYERISS).parameters for layer in layers},
        "eyeriss, vgg16": {
            layer.name: best_row_stationary(layer.nest, EYERISS).parameters for layer in read_table(VGG, EYERISS)
        },
        "eyeriss_isca16": {
            layer.name: best_row_stationary(layer.nest, layer.target).parameters for layer in isca_layers()
        },
        "eyeriss, free": {layer.name: free_schedule(layer) for layer in layers},
        **{target: cycles.schedules(target) for target in cycles.NESTS},
    }


def free_schedule(layer: Layer) -> dict[str, str]:
    """The best schedule that the search finds, and what no schedule at all undercuts, in pJ."""
    best = search(layer.nest, EYERISS, time_limit=cycles.SECONDS)
    return {
        "schedule": print_schedule(best.schedule, layer.nest),
        "bound": str(best.certificate.lower_bound),
    }


def page() -> str:
    """The whole page."""
    found, layers = json.loads(FOUND.read_text(encoding="utf-8")), read_table(TABLE, EYERISS)
    parts = {
        **chip(layers),
        "area": area(EYERISS, read_core()),
        **network(read_table(VGG, EYERISS), found["eyeriss, vgg16"]),
        "headroom": headroom(layers, found["eyeriss"]),
        "free": free(layers, found["eyeriss"], found["eyeriss, free"]),
        "isca": isca(found["eyeriss_isca16"]),
        **gemmini(found["gemmini"]),
        **nvdla(found["nvdla_full"]),
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
        head = ["layer", "published", "effc", "deviation"]
        if figure == "DRAM_MB":
            coded = [layer.megabytes(layer.target.levels[0].name, layer.coded) for layer in layers]
            cells = [[*row, f"{found:.2f}"] for row, found in zip(cells, [*coded, sum(coded)])]
            head = [*head, "synthetic tensors"]
        parts[figure] = table(head, cells)
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


def network(layers: Sequence[Layer], found: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """Another network: every figure with the one published in brackets, and the best row-stationary mapping."""
    columns = {"active_PEs": 0, **MEASURED}
    rows, least = [], []
    for layer in layers:
        figures = {**layer.exact(), **layer.measured()}
        cells = [f"{figures[name]:.{digits}f} ({layer.row[name]})" for name, digits in columns.items()]
        rows.append([layer.name, parameters_text(layer.mapping), *cells])
        best = replace(layer, row={**layer.row, "mapping": found[layer.name]})
        both = [f"{millijoules(one.dense, one):.2f}" for one in (layer, best)]
        ms = [f"{one.ms(one.dense):.1f}" for one in (layer, best)]
        least.append([layer.name, parameters_text(best.mapping), *both, *ms])
    sums = {name: total(name, layers)[1:] for name in MEASURED}
    cells = [f"{mine:.{MEASURED[name]}f} ({theirs:.{MEASURED[name]}f})" for name, (theirs, mine) in sums.items()]
    head = ["layer", "assumed m n e p q r t", "PEs", "DRAM MB", "GLB MB", "processing ms", "total ms", "mW"]
    return {
        "vgg": table(head, [*rows, ["all", "", "", *cells]]),
        "vgg_best": table(["layer", "best m n e p q r t", "assumed mJ", "best mJ", "assumed ms", "best ms"], least),
        "vgg_processing": f"{100 * (sums['processing_ms'][1] / sums['processing_ms'][0] - 1):+.1f} %",
        "vgg_total": f"{100 * (sums['total_ms'][1] / sums['total_ms'][0] - 1):+.1f} %",
    }


def parameters_text(mapping: Mapping[str, int]) -> str:
    """The parameters as a table has them."""
    return " ".join(str(mapping[name]) for name in "mnepqrt")


def read_core() -> float:
    """The published area of the core, in mm2."""
    return float(json.loads(TABLE.read_text(encoding="utf-8"))["core_mm2"])


def area(target: Target, published: float) -> str:
    """The area of every kind of part, all instances together, and in total."""
    parts = area_by(target) or {}
    counts = {level.name: target.instances(place) for place, level in enumerate(target.levels)}
    instances = {name: counts.get(name.split()[0], target.instances(len(target.levels))) for name in parts}
    cells = [[name, str(instances[name]), "", f"{float(um2) / 1e6:.2f}", ""] for name, um2 in parts.items()]
    total_mm2 = float(sum(parts.values())) / 1e6
    return table(
        ["part", "count", "published", "effc", "deviation"], [*cells, ["all", "", *beside(published, total_mm2, 2)]]
    )


# The mapping of the paper, and the best


def headroom(layers: Sequence[Layer], found: Mapping[str, Mapping[str, int]]) -> str:
    """What the published mapping costs, and the best row-stationary one."""
    rows = []
    for layer in layers:
        best = evaluate(layer.nest, row_stationary(layer.nest, **found[layer.name], target=EYERISS), EYERISS)
        old, new = parameters_text(layer.mapping), parameters_text(found[layer.name])
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


def energies(
    layer: Layer, parameters: Mapping[str, int], found: Mapping[str, str]
) -> tuple[Evaluation, Evaluation, Evaluation, float]:
    """The published mapping, the best of its kind, what the search finds; in mJ, what no schedule undercuts."""
    best = evaluate(layer.nest, row_stationary(layer.nest, **parameters, target=EYERISS), EYERISS)
    other = evaluate(layer.nest, parse_schedule(found["schedule"], layer.nest), EYERISS)
    return layer.dense, best, other, float(layer.groups * Fraction(found["bound"])) / 1e9


def free(
    layers: Sequence[Layer], parameters: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, str]]
) -> str:
    """The same beside schedules of any kind."""
    rows = []
    for layer in layers:
        *costs, bound = energies(layer, parameters[layer.name], found[layer.name])
        rows.append([layer.name, *(f"{millijoules(cost, layer):.2f}" for cost in costs), f"{bound:.2f}"])
    return table(["layer", "published mJ", "best row stationary", "search", "lower bound"], rows)


SERIES = {"published": "#9aa5b1", "best row stationary": "#2f6f9f", "search": "#7db36b", "lower bound": "#d9dde2"}


def plot() -> str:
    """The energies of `free` as bars."""
    found, layers = json.loads(FOUND.read_text(encoding="utf-8")), read_table(TABLE, EYERISS)
    bars, width, height = [], 26, 220
    groups = [energies(layer, found["eyeriss"][layer.name], found["eyeriss, free"][layer.name]) for layer in layers]
    values = [[*(millijoules(cost, layer) for cost in costs), bound] for layer, (*costs, bound) in zip(layers, groups)]
    scale = height / max(max(group) for group in values)
    for place, (layer, group) in enumerate(zip(layers, values)):
        left = 20 + place * (len(SERIES) + 1) * width
        for i, (value, colour) in enumerate(zip(group, SERIES.values())):
            x, tall = left + i * width, value * scale
            bars.append(
                f'<rect x="{x}" y="{height + 40 - tall:.1f}" width="{width - 3}" height="{tall:.1f}" fill="{colour}"/>'
            )
            bars.append(f'<text x="{x + 11}" y="{height + 36 - tall:.1f}" text-anchor="middle">{value:.1f}</text>')
        bars.append(f'<text x="{left + 2 * width}" y="{height + 56}" text-anchor="middle">{layer.name}</text>')
    for i, (name, colour) in enumerate(SERIES.items()):
        bars.append(f'<rect x="{20 + 150 * i}" y="8" width="10" height="10" fill="{colour}"/>')
        bars.append(f'<text x="{34 + 150 * i}" y="17">{name}, mJ</text>')
    size = f'width="{40 + len(layers) * (len(SERIES) + 1) * width}" height="{height + 70}"'
    style = 'font-family="sans-serif" font-size="11"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', *bars, "</svg>", ""])


def millijoules(cost: Evaluation, layer: Layer) -> float:
    return float(layer.groups * cost.energy) / 1e9


# The machine of ISCA 2016


def isca_layers() -> list[Layer]:
    return read_table(ISCA, load_target("eyeriss_isca16"))


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


# Cycles of other machines


def gemmini(found: Mapping[str, str]) -> dict[str, str]:
    costs = cycles.costs("gemmini", found)
    rows = [
        [name, *beside(row["cycles"], costs[name].cycles, 0), costs[name].latency.bound_by]
        for name, row in zip(costs, cycles.tables()["gemmini"]["gemms"])
    ]
    return {"gemmini": table(["M x K x N", "published", "effc", "deviation", "bound by"], rows)}


def nvdla(found: Mapping[str, str]) -> dict[str, str | float]:
    costs = cycles.costs("nvdla_full", found)
    products = {row["name"] for row in cycles.tables()["nvdla_full"]["products"]}
    convolved, multiplied = (
        sum(cost.cycles for name, cost in costs.items() if (name in products) == wanted) for wanted in (False, True)
    )
    published = cycles.tables()["nvdla_full"]["cycles"]
    rows = [[name, f"{cost.cycles}", cost.latency.bound_by] for name, cost in costs.items()]
    return {
        "nvdla": table(["layer", "effc", "bound by"], rows),
        "nvdla_published": f"{published:.0f}",
        "nvdla_convolutions": f"{convolved} ({100 * (convolved / published - 1):+.1f} %)",
        "nvdla_products": f"{multiplied}",
    }


if __name__ == "__main__":
    main()
