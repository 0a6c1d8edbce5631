"""``effc dataflow``: a table of layers with row-stationary mappings, beside what was published of them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effc.compiler.cli_output import check_outputs, owns_stdout, progress, write_json
from effc.compiler.cli_tables import print_rows

if TYPE_CHECKING:
    from effc.compiler.dataflows import Layer

DIGITS = {
    "glb_ifmap_KB": 1,
    "glb_psum_KB": 1,
    "active_PEs": 0,
    "DRAM_MB": 2,
    "GLB_MB": 1,
    "processing_ms": 1,
    "total_ms": 1,
    "power_mW": 0,
}
"""The figures that are printed, and with how many decimals."""

SUMMED = ("DRAM_MB", "GLB_MB", "processing_ms", "total_ms")


def dataflow(arguments: Namespace) -> int:
    """Cost the row-stationary mapping of every layer of a table."""
    from effc.compiler.api import find_target
    from effc.compiler.dataflows import read_table

    check_outputs(arguments, "json")
    layers, figures = read_table(Path(arguments.table), find_target(arguments.target)), []
    with progress() as shown:
        for number, layer in enumerate(layers):
            shown.layer(number, layer.name)
            figures.append(_figures(layer))
    total = _total(layers[0].batch, figures)
    head = {"target": arguments.target, "batch": layers[0].batch}
    write_json(arguments.json, {**head, "layers": figures, "total": total})
    if not owns_stdout(arguments, "json"):
        names = [name for name in DIGITS if all(name in row for row in figures)]
        sums = [f"{total[name]:.{DIGITS[name]}f}" if name in total else "" for name in names]
        heads = ("layer", "m n e p q r t", *(name.replace("_", " ") for name in names))
        print_rows(heads, [*_rows(layers, figures, names), ["all", "", *sums]])
        print(f"{total['fps']:.1f} frames per second; in brackets what the table says")
    return 0


def _figures(layer: Layer) -> dict[str, Any]:
    """Everything that is known of a layer, under the names of the table."""
    from effc.ir import print_schedule

    spads = {name[5:]: words for name, words in layer.exact().items() if name.startswith("spad_")}
    exact = {name: value for name, value in layer.exact().items() if not name.startswith("spad_")}
    schedule = print_schedule(layer.schedule, layer.nest)
    found = {"name": layer.name, "mapping": dict(layer.mapping), **exact, "spad_words": spads, **layer.measured()}
    return {**found, "schedule": schedule}


def _total(batch: int, figures: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Sums, the average power over the time, and frames per second."""
    total = {name: sum(row[name] for row in figures) for name in SUMMED}
    if all("power_mW" in row for row in figures):
        total["power_mW"] = sum(row["power_mW"] * row["total_ms"] for row in figures) / total["total_ms"]
    return {**total, "fps": 1000 * batch / total["total_ms"]}


def _rows(layers: Sequence[Layer], figures: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[list[str]]:
    for layer, found in zip(layers, figures):
        mapping = " ".join(str(value) for value in found["mapping"].values())
        yield [layer.name, mapping, *(_cell(name, found[name], layer.row.get(name)) for name in names)]


def _cell(name: str, found: float, published: object) -> str:
    cell = f"{found:.{DIGITS[name]}f}"
    return f"{cell} ({published})" if isinstance(published, (int, float)) else cell
