"""x86-64 as an engine is handed it: how to decode and how to execute.

See isa.architecture's `Architecture`. Decoder and semantics are imported when they are needed: an engine that kept its blocks needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tanken.isa.architecture import Instruction, Machine

if TYPE_CHECKING:
    from tanken.isa.x86.inst import Inst


class Processor:
    """The architecture for `Interpreter(state, memory, Processor())`: 64-bit mode."""

    mode = 64

    def decode(self, code: bytes, address: int) -> Inst:
        """The first instruction of `code`."""
        from tanken.isa.x86.inst import decode

        return decode(code, address, self.mode)

    def execute(self, machine: Machine, instruction: Instruction) -> None:
        """Do it on `machine`."""
        from tanken.isa.x86.semantics import execute

        execute(machine, instruction)  # type: ignore[arg-type]  # it came from `decode`
