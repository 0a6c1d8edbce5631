"""Mappings that another tool made, replayed: read from its format, counted under its convention or under effc's."""

from effc.compiler.replay.cases import Case as Case
from effc.compiler.replay.cases import load_cases as load_cases
from effc.compiler.replay.cases import parse_cases as parse_cases
from effc.compiler.replay.replayed import CONVENTIONS as CONVENTIONS
from effc.compiler.replay.replayed import Replayed as Replayed
from effc.compiler.replay.replayed import number as number
from effc.compiler.replay.replayed import replay as replay
from effc.compiler.replay.replayed import to_json as to_json
from effc.compiler.replay.timeloop import STEPS as STEPS
from effc.compiler.replay.timeloop import TimeloopCounts as TimeloopCounts
from effc.compiler.replay.timeloop import Words as Words
from effc.compiler.replay.timeloop import timeloop_counts as timeloop_counts
