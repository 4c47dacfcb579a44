"""An instruction being executed by a whole processor: segments with limits, stacks of 16 and 32 bits, privilege.

Intel SDM volume 3, 5.3 (limits), 5.8; volume 1, 3.3.4 (64-bit mode has no segments but FS and GS). What a long mode program's addresses
must be, canonical, is looked at where memory is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.isa.architecture import Machine, Value
from tanken.isa.x86.inst import Inst, Memory
from tanken.isa.x86.semantics.execution import GP, PREFIXES, SEGMENT_PREFIXES, Execution, GeneralRegister
from tanken.isa.x86.state import RSP
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.ports import segment_error
from tanken.isa.x86.system.state import BASE, CPL, LIMIT, RIGHTS, SystemState

SYSTEM: dict[str, Callable[[SystemExecution], None]] = {}
SEGMENTS = {0x26: S.ES, 0x2E: S.CS, 0x36: S.SS, 0x3E: S.DS, 0x64: S.FS, 0x65: S.GS}


def system(*mnemonics: str) -> Callable[[Callable[[SystemExecution], None]], Callable[[SystemExecution], None]]:
    """Enter a function that stands before that of user programs."""

    def enter(function: Callable[[SystemExecution], None]) -> Callable[[SystemExecution], None]:
        for mnemonic in mnemonics:
            assert mnemonic not in SYSTEM, f"{mnemonic} twice"
            SYSTEM[mnemonic] = function
        return function

    return enter


class SystemExecution(Execution):
    """`context` is the state as far as it is part of what the instruction is: mode, width of the stack, whether segments are real."""

    def __init__(self, machine: Machine, inst: Inst, context: SystemState, translating: bool = False) -> None:
        super().__init__(machine, inst)
        self.context, self.translating = context, translating

    # -- addresses

    def address(self, operand: Memory, index: Value | None = None) -> Value:
        if self.inst.mode == 64:
            return super().address(operand, index)
        return self.segmented(operand.segment, self.offset(operand, index), max(operand.size, 1), "w" in operand.access)

    def segmented(self, number: int, offset: Value, size: int, write: bool) -> Value:
        """The linear address of `size` bytes in a segment of a program of 16 or 32 bits, checked."""
        write = write and not self.context.real
        if self.translating:
            return self._flat(number, offset, size)
        words = (offset, self.get(LIMIT[number]), self.get(RIGHTS[number]), self.constant(size, 32), self.constant(write, 1))
        (wrong,) = self.machine.apply(segment_error, (1,), *words)
        self.fault(12 if number == S.SS else GP, "beyond the segment, or not its right", wrong, 0)
        return (offset + self.get(BASE[number])).trunc(32).zext(64)

    def _flat(self, number: int, offset: Value, size: int) -> Value:
        """The same where the segments are flat but for the bases of FS and GS; over 4 GiB no page goes on."""
        if number < S.FS:
            return offset
        self.fault(GP, "beyond the segment", ~offset.below((1 << 32) - size + 1), 0)
        return (offset + self.get(BASE[number])).trunc(32).zext(64)

    def linear(self, offset: Value) -> Value:
        if self.inst.mode == 64:
            return super().linear(offset)
        number = S.DS
        for byte in self.inst.code:
            if byte not in PREFIXES:
                break
            number = SEGMENTS[byte] if byte in SEGMENT_PREFIXES else number
        return self.segmented(number, offset, 1, True)

    # -- stack

    @property
    def stack(self) -> GeneralRegister:
        return self.register(RSP, self.context.stack_width)

    def stack_address(self, offset: Value, size: int, write: bool) -> Value:
        wide = offset.zext(64)
        return wide if self.inst.mode == 64 else self.segmented(S.SS, wide, size, write)

    # -- privilege

    def privileged(self) -> None:
        """#GP unless at privilege level 0."""
        self.fault(GP, "only for privilege level 0", ~self.get(CPL).is_zero(), 0)

    def ask(self, procedure: Callable[..., Any], *operands: Value) -> Any:
        """What a procedure on the processor gives, at once: machines that record leave the instruction to the slow engine."""
        answer: list[Any] = []

        def call(core: Any, *numbers: int) -> None:
            answer.append(procedure(core, *numbers))

        self.machine.handle(call, *operands)
        return answer[0]

    def do(self, procedure: Callable[[Any], None]) -> None:
        """The same where nothing is given."""
        self.ask(procedure)


