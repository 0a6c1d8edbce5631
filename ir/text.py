"""The text of the IR: what is printed can be parsed, and ``print -> parse -> print`` is the identity."""

from effc.ir.parser import parse_graph as parse_graph
from effc.ir.parser import parse_nest as parse_nest
from effc.ir.parser import parse_schedule as parse_schedule
from effc.ir.parser import parse_scheduled as parse_scheduled
from effc.ir.printer import print_graph as print_graph
from effc.ir.printer import print_nest as print_nest
from effc.ir.printer import print_schedule as print_schedule
from effc.ir.printer import print_scheduled as print_scheduled
