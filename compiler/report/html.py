"""The report as one HTML page that needs nothing else: no scripts, no other files, every text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from effc.compiler.report import text
from effc.compiler.report.columns import Column, Table
from effc.compiler.report.model import Layer, Number, Report
from effc.compiler.report.rows import counted, tables, title

_COLORS = ("#c0392b", "#e67e22", "#f1c40f", "#2e86c1", "#27ae60", "#8e44ad", "#7f8c8d", "#16a085", "#34495e", "#d35400")

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem; color: #1b1b1b; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #888; } tfoot td { border-top: 2px solid #888; font-weight: bold; }
tbody tr:nth-child(even) { background: #f4f4f4; }
.number { text-align: right; white-space: nowrap; }
.bar { display: inline-block; height: .7em; background: #2e86c1; margin-left: .5em; }
.note, footer { color: #666; font-size: .9em; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; }
svg text { font: 12px system-ui, sans-serif; }
"""

_ROW, _LABEL, _BARS = 20, 220, 700
"""Pixels of the chart: the height of a row, the widths of its label and of its longest bar."""


def to_html(report: Report) -> str:
    """The page."""
    return "\n".join(page(report)) + "\n"


def page(report: Report) -> Iterator[str]:
    heading = escape(title(report))
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{heading}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{heading}</h1>"
    yield from chart(report)
    for table in tables(report):
        yield from table_html(table)
    yield "<h2>Schedules</h2>"
    for layer in report.layers:
        if layer.schedule is not None:
            name = escape(text.clean(layer.name))
            yield f"<details><summary>{name}</summary><pre>{escape(layer.schedule)}</pre></details>"
    yield f"<footer>effc {escape(report.effc)}; model sha256 {escape(report.model.sha256)};"
    yield f" target sha256 {escape(report.target.sha256)}</footer>"
    yield "</body></html>"


def table_html(table: Table) -> Iterator[str]:
    """A table with its title and notes."""
    yield f'<h2>{escape(table.title)}</h2><div class="wide"><table><thead><tr>'
    yield "".join(f"<th{kind(column)}>{escape(column.head)}</th>" for column in table.columns)
    yield "</tr></thead>"
    if table.total:
        yield f"<tfoot><tr>{cells(table, table.total)}</tr></tfoot>"
    yield "<tbody>"
    for row in table.rows:
        yield f"<tr>{cells(table, row)}</tr>"
    yield "</tbody></table></div>"
    yield from (f'<div class="note">{escape(note)}</div>' for note in table.notes)


def cells(table: Table, row: tuple[str, ...]) -> str:
    return "".join(f"<td{kind(column)}>{cell(value, column)}</td>" for value, column in zip(row, table.columns))


def cell(value: str, column: Column) -> str:
    if column.kind != "bar":
        return escape(value)
    return f'{escape(value)}<span class="bar" style="width:{float(value.rstrip("%")) / 5:.2f}em"></span>'


def kind(column: Column) -> str:
    return ' class="number"' if column.kind == "number" else ""


def chart(report: Report) -> Iterator[str]:
    """Energy by level, a stacked bar per layer."""
    layers = counted(report)
    parts = [part for part, energy in report.totals.energy_by.items() if energy]
    colors = {part: _COLORS[i % len(_COLORS)] for i, part in enumerate(parts)}
    largest = max((float(layer.energy or 0) for layer in layers), default=0.0)
    if not largest:
        return
    width, height = _LABEL + _BARS + 110, _ROW * (len(layers) + 2)
    yield "<h2>Energy by layer</h2>"
    yield f'<div class="wide"><svg width="{width}" height="{height}" role="img" aria-label="energy by layer">'
    yield from legend(colors)
    for i, layer in enumerate(layers):
        yield from bar(layer, report, _ROW * (i + 2), _BARS / largest, colors)
    yield "</svg></div>"


def legend(colors: Mapping[str, str]) -> Iterator[str]:
    """The colours, each with its name."""
    x = _LABEL
    for part, color in colors.items():
        yield f'<rect x="{x}" y="4" width="12" height="12" fill="{color}"/>'
        yield f'<text x="{x + 16}" y="14">{escape(part)}</text>'
        x += 34 + 8 * len(part)


def bar(layer: Layer, report: Report, y: int, scale: float, colors: Mapping[str, str]) -> Iterator[str]:
    """The bar of one layer: its name, its parts, its energy; each part says on hovering how much it is."""
    label = escape(text.tail(text.clean(layer.name), 30))
    yield f'<text x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{label}</text>'
    x = float(_LABEL)
    for part, color in colors.items():
        energy: Number = layer.energy_by.get(part, 0)
        if energy:
            width = float(energy) * scale
            tip = escape(f"{part}: {text.energy(report.target.units, energy)}")
            yield f'<rect x="{x:.2f}" y="{y + 2}" width="{width:.2f}" height="{_ROW - 4}" fill="{color}">'
            yield f"<title>{tip}</title></rect>"
            x += width
    yield f'<text x="{x + 6:.2f}" y="{y + 14}">{escape(text.energy(report.target.units, layer.energy))}</text>'
