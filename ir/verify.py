"""The rules that a well-formed nest, schedule and graph obey, as tables: a name, a sentence, a check.

``verify_nest``, ``verify_schedule`` and ``verify_graph`` apply a table from top to bottom and raise a ``VerifyError``
for the first rule that is broken; a check may rely on the rules above it. What depends on a target (levels, axes,
capacities) is not checked here.
"""

from __future__ import annotations

from effc.ir.control_rules import control_rules
from effc.ir.graph import Graph
from effc.ir.graph_rules import GRAPH_RULES as PLAIN_RULES
from effc.ir.graph_rules import text_in_graph
from effc.ir.nest import Nest
from effc.ir.nest_rules import NEST_RULES, text_in_nest
from effc.ir.rules import Rule, VerifyError, apply
from effc.ir.schedule import Schedule
from effc.ir.schedule_rules import SCHEDULE_RULES, Mapped, text_in_schedule

__all__ = [
    "GRAPH_RULES",
    "NEST_RULES",
    "SCHEDULE_RULES",
    "VerifyError",
    "verify_graph",
    "verify_nest",
    "verify_schedule",
]

GRAPH_RULES: tuple[Rule[Graph], ...] = (*PLAIN_RULES, *control_rules(lambda: GRAPH_RULES))
"""Those of one graph, then those of the bodies inside it."""


def verify_nest(nest: Nest) -> None:
    """Raise a ``VerifyError`` unless ``nest`` obeys ``NEST_RULES``."""
    apply(NEST_RULES, nest, f"nest {nest.name}", lambda place: text_in_nest(nest, place))


def verify_schedule(nest: Nest, schedule: Schedule) -> None:
    """Raise a ``VerifyError`` unless ``schedule`` obeys ``SCHEDULE_RULES`` on ``nest``."""
    where = f"schedule of {nest.name}"
    apply(SCHEDULE_RULES, Mapped(nest, schedule), where, lambda place: text_in_schedule(nest, schedule, place))


def verify_graph(graph: Graph) -> None:
    """Raise a ``VerifyError`` unless ``graph`` obeys ``GRAPH_RULES``, and its nests and schedules theirs."""
    apply(GRAPH_RULES, graph, f"graph {graph.name}", lambda place: text_in_graph(graph, place))
