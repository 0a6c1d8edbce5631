"""The cost model: pure functions from (nest, schedule, target) to counts, energy and latency."""

from effc.compiler.cost.counts import Counts as Counts
from effc.compiler.cost.counts import count as count
from effc.compiler.cost.epilogue import count_op as count_op
from effc.compiler.cost.epilogue import evaluate_op as evaluate_op
from effc.compiler.cost.evaluate import OBJECTIVES as OBJECTIVES
from effc.compiler.cost.evaluate import Evaluation as Evaluation
from effc.compiler.cost.evaluate import evaluate as evaluate
from effc.compiler.cost.evaluate import price as price
from effc.compiler.cost.evaluate import try_schedule as try_schedule
