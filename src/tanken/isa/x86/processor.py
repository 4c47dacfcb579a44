"""x86-64 as an engine is handed it: how to decode and how to execute.

See isa.architecture's `Architecture`.
"""

from __future__ import annotations

from tanken.isa.architecture import Instruction, Machine
from tanken.isa.x86.inst import Inst, decode
from tanken.isa.x86.semantics import execute


class Processor:
    """The architecture for `Interpreter(state, memory, Processor())`: 64-bit mode."""

    mode = 64

    def decode(self, code: bytes, address: int) -> Inst:
        """The first instruction of `code`."""
        return decode(code, address, self.mode)

    def execute(self, machine: Machine, instruction: Instruction) -> None:
        """Do it on `machine`."""
        execute(machine, instruction)  # type: ignore[arg-type]  # it came from `decode`
