"""The reference backend: the scheduled nests of a model as readable C, compiled and called in this process."""

from effc.backends.cpu.emit import emit_c
from effc.backends.cpu.run import CpuProgram, check_types, run_nest

__all__ = ["CpuProgram", "check_types", "emit_c", "run_nest"]
