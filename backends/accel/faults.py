"""What the machine does with a wrong program: it stops, and says where and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class MachineFault(Exception):  # noqa: N818 - a fault is what machines have
    """The machine stopped.

    ``pc`` is the position in the code of the layer, or -1 before the first instruction; ``loops`` are the loop
    registers that ran, by name.
    """

    message: str
    layer: str = ""
    pc: int = -1
    instruction: str = ""
    loops: Mapping[str, int] = field(default_factory=dict)
    level: str = ""
    expected: str = ""
    remedy: str = "compile the model again"

    def __str__(self) -> str:
        lines = [f"fault: {self.message}"]
        if self.layer:
            lines.append(f"  layer:       {self.layer}")
        if self.instruction:
            lines.append(f"  instruction: {self.pc}: {self.instruction}")
        if self.loops:
            lines.append("  loops:       " + ", ".join(f"{name} = {value}" for name, value in self.loops.items()))
        if self.level:
            lines.append(f"  level:       {self.level}")
        if self.expected:
            lines.append(f"  expected:    {self.expected}")
        return "\n".join(lines)
