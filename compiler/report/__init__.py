"""The report of a compiled model: its data, its JSON, and how it is shown."""

from effc.compiler.report.build import build_report as build_report
from effc.compiler.report.build import model_info as model_info
from effc.compiler.report.build import nest_layer as nest_layer
from effc.compiler.report.build import target_info as target_info
from effc.compiler.report.build import totals as totals
from effc.compiler.report.model import Layer as Layer
from effc.compiler.report.model import ModelInfo as ModelInfo
from effc.compiler.report.model import Report as Report
from effc.compiler.report.model import from_json as from_json
from effc.compiler.report.model import to_json as to_json
