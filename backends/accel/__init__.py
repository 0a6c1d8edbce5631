"""The accelerator: its instruction set, the emitter, the assembler, and the machine that runs programs.

What compiling does not need is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from effc.backends.accel.assembler import print_layer as print_layer
from effc.backends.accel.assembler import print_program as print_program
from effc.backends.accel.emit import emit as emit
from effc.backends.accel.isa import Program as Program
from effc.backends.accel.layer_clock import timings as timings
from effc.backends.accel.timing import Timing as Timing

if TYPE_CHECKING:
    from effc.backends.accel.asm_parser import parse_program as parse_program
    from effc.backends.accel.binary import decode_program as decode_program
    from effc.backends.accel.binary import encode_program as encode_program
    from effc.backends.accel.faults import MachineFault as MachineFault
    from effc.backends.accel.machine import Machine as Machine
    from effc.backends.accel.machine import run_nest as run_nest
    from effc.backends.accel.machine import run_zeros as run_zeros
    from effc.backends.accel.run import RunResult as RunResult
    from effc.backends.accel.trace import Trace as Trace

_HOMES = {
    "parse_program": "asm_parser",
    "decode_program": "binary",
    "encode_program": "binary",
    "MachineFault": "faults",
    "Machine": "machine",
    "run_nest": "machine",
    "run_zeros": "machine",
    "RunResult": "run",
    "Trace": "trace",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
