"""The x87 register stack during one instruction, and the exceptions that it leaves in the status word.

Intel SDM volume 1, 8.1 and 8.5. An unmasked invalid operation, denormal operand or division by zero leaves registers, stack and memory as
they were.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86 import ieee754 as F
from tanken.isa.x86.inst import Memory
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.vectors import wait_for_x87
from tanken.isa.x86.semantics.x87_numbers import BUSY, C1, ERROR, FUNCTIONS, NAN, STACK_FAULT
from tanken.isa.x86.state import FPU_CONTROL, FPU_CS, FPU_DP, FPU_DS, FPU_IP, FPU_OPCODE, FPU_STATUS, FPU_TOP, FPU_VALID, SEGMENT


class Fpu:
    """The register stack during one instruction, and its exceptions, which `end` puts into the status word."""

    def __init__(self, x: Execution, waits: bool = True, steers: bool = False) -> None:
        """`steers`: a control instruction, which the pointers to the last instruction do not mind."""
        self.x, self.steers, self.control = x, steers, x.get(FPU_CONTROL)
        self.status, self.top, self.valid = x.get(FPU_STATUS), x.get(FPU_TOP), x.get(FPU_VALID)
        self.flags = x.constant(0, 16)
        self.unmasked = x.machine.rarely(~(self.control & 63).equals(63))
        self.stopping = F.INVALID | F.DENORMAL | F.ZERO_DIVIDE
        if waits:
            wait_for_x87(x)

    def index(self, number: int) -> Value:
        return self.top + number

    def is_valid(self, number: int) -> Value:
        return (self.valid >> self.index(number).zext(8)).trunc(1)

    def is_taken(self) -> Value:
        """Whether the place that a push would fill holds something."""
        return self.x.machine.rarely((self.valid >> (self.top - 1).zext(8)).trunc(1))

    def raw(self, number: int) -> Value:
        return self.x.machine.get_at("st", self.index(number), 80)

    def need(self, *numbers: int) -> Value:
        """Whether all of them hold something; an invalid operation where not."""
        empty = self.x.constant(0, 1)
        for number in numbers:
            empty = empty | ~self.is_valid(number)
        empty = self.x.machine.rarely(empty)
        self.flags = empty.select(F.INVALID | STACK_FAULT, self.flags)
        return ~empty

    def apply(self, name: str, width: int, *operands: Value) -> Value:
        """A function's result; its exceptions count unless the stack was at fault."""
        result, flags = self.x.machine.apply(FUNCTIONS[name], (width, 16), *operands)
        self.flags = self.flags.bit(6).select(self.flags, flags)
        return result

    def stopped(self, mask: int = 0) -> Value:
        """Whether an unmasked exception of `mask` keeps the instruction from its result."""
        return self.unmasked & ~(self.flags & ~self.control & (mask or self.stopping)).is_zero()

    def write(self, number: int, value: Value) -> None:
        stopped, index = self.stopped(), self.index(number)
        self.x.machine.set_at("st", index, stopped.select(self.raw(number), value))
        self.valid = stopped.select(self.valid, self.valid | self.x.constant(1, 8) << index.zext(8))

    def push(self, value: Value) -> None:
        """Onto the stack; where the place is taken the default NaN instead."""
        taken = self.is_taken()
        self.flags = (taken & ~self.flags.bit(6)).select(F.INVALID | STACK_FAULT | C1, self.flags)
        stopped = self.stopped()
        self.top = self.top - (~stopped).zext(3)
        self.write(0, taken.select(NAN, value))

    def pop(self, count: int = 1, mask: int = 0) -> None:
        stopped = self.stopped(mask)
        for _ in range(count):
            self.valid = stopped.select(self.valid, self.valid & ~(self.x.constant(1, 8) << self.top.zext(8)))
            self.top = stopped.select(self.top, self.top + 1)

    def keep_c1(self) -> None:
        """For `end(mask=0)`: C1 changes only where the stack is at fault."""
        self.status = self.flags.bit(6).select(self.status & ~C1, self.status)

    def end(self, conditions: Value | None = None, mask: int = C1) -> None:
        """Record: the condition bits in `mask` are this instruction's, the others stay."""
        x = self.x
        before = F.INVALID | F.DENORMAL | F.ZERO_DIVIDE | STACK_FAULT
        self.flags = (self.stopped() & ~self.flags.bit(6)).select(self.flags & before, self.flags)
        flags = self.flags if conditions is None else self.flags | conditions
        status = self.status & ~mask | flags
        pending = self.unmasked & ~(status & ~self.control & 63).is_zero()
        x.set(FPU_STATUS, pending.select(status | (ERROR | BUSY), status))
        x.set(FPU_TOP, self.top)
        x.set(FPU_VALID, self.valid)
        if not self.steers:
            remember(x)


def remember(x: Execution) -> None:
    """Keep where the instruction stands, its opcode and its memory operand (SDM volume 1, 8.1.8 and 8.1.9)."""
    x.set(FPU_OPCODE, x.constant(x.inst.x87_opcode, 16))
    x.set(FPU_IP, x.constant(x.inst.address, 64))
    x.set(FPU_CS, x.get(SEGMENT[1]))
    operand = x.operands[0] if x.operands else None
    if isinstance(operand, Memory):
        x.set(FPU_DP, x.offset(operand))
        x.set(FPU_DS, x.get(SEGMENT[operand.segment]))
