"""Published mappings, as functions from a nest and the published parameters to a schedule, and tables of them."""

from effc.compiler.dataflows.layer import Layer as Layer
from effc.compiler.dataflows.optimum import RowStationary as RowStationary
from effc.compiler.dataflows.optimum import best_row_stationary as best_row_stationary
from effc.compiler.dataflows.row_stationary import active_pes as active_pes
from effc.compiler.dataflows.row_stationary import row_stationary as row_stationary
from effc.compiler.dataflows.table import read_table as read_table
