"""What a semantic function is given: one instruction on one abstract machine, and the words x86 is described with.

Operands are read and written through locations, whose address is computed once (Intel SDM volume 1, 3.4.1.1: a 32-bit result clears the
upper half of its register, a smaller one leaves the rest; 3.7.5: effective addresses).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tanken.base.errors import InternalError
from tanken.isa.architecture import Column, Exit, Machine, Place, Value
from tanken.isa.x86.inst import Immediate, Inst, Memory, Operand, Register, Relative
from tanken.isa.x86.layout import DATA
from tanken.isa.x86.state import FS_BASE, GPR, GS_BASE, RSP, SEGMENT, UPPER, XMM

UD, GP, DE, NM, XM, MF = 6, 13, 0, 7, 19, 16  # exception vectors, SDM volume 3, 6.3.1
SEGMENT_BASE = {4: FS_BASE, 5: GS_BASE}  # 64-bit mode: the other segments begin at 0

SEGMENT_PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
PREFIXES = (*SEGMENT_PREFIXES, 0x66, 0x67, 0xF0, 0xF2, 0xF3)


class Location(Protocol):
    """Where an operand stands."""

    width: int

    def read(self) -> Value: ...

    def write(self, value: Value) -> None: ...


class GeneralRegister:
    """The low `width` bits of a general register, or bits 8 to 15."""

    def __init__(self, machine: Machine, number: int, width: int, high: bool = False) -> None:
        self.machine, self.place, self.width, self.high = machine, GPR[number], width, high

    def read(self) -> Value:
        return self.machine.get(self.place).bits(8 if self.high else 0, self.width)

    def write(self, value: Value) -> None:
        if self.width >= 32:
            self.machine.set(self.place, value.zext(64))
            return
        shift = 8 if self.high else 0
        keep = ~(((1 << self.width) - 1) << shift)
        self.machine.set(self.place, self.machine.get(self.place) & keep | value.zext(64) << shift)


class WholePlace:
    """A register that is read and written whole or in its low `width` bits, the rest kept."""

    def __init__(self, machine: Machine, place: Place, width: int) -> None:
        self.machine, self.place, self.width = machine, place, width

    def read(self) -> Value:
        return self.machine.get(self.place).trunc(self.width)

    def write(self, value: Value) -> None:
        if value.width == self.place.width:
            self.machine.set(self.place, value)
        else:
            keep = ~((1 << value.width) - 1)
            self.machine.set(self.place, self.machine.get(self.place) & keep | value.zext(self.place.width))


class VexRegister:
    """The low `width` bits of a vector register of 256; writing clears all above what is written (SDM volume 1, 14.1.3)."""

    def __init__(self, machine: Machine, number: int, width: int) -> None:
        self.machine, self.number, self.width = machine, number, width

    def read(self) -> Value:
        low = self.machine.get(XMM[self.number])
        return low.trunc(self.width) if self.width <= 128 else low.below_high(self.machine.get(UPPER[self.number]))

    def write(self, value: Value) -> None:
        self.machine.set(XMM[self.number], value.fit(128))
        self.machine.set(UPPER[self.number], value.bits(128, 128) if value.width > 128 else self.machine.constant(0, 128))


class MmxRegister:
    """An MMX register: the low 64 bits of x87 register R(n); writing sets the exponent to ones (SDM volume 1, 9.5.1)."""

    width = 64

    def __init__(self, machine: Machine, number: int) -> None:
        self.machine, self.index = machine, machine.constant(number, 3)

    def read(self) -> Value:
        return self.machine.get_at("st", self.index, 80).trunc(64)

    def write(self, value: Value) -> None:
        self.machine.set_at("st", self.index, value.zext(80) | 0xFFFF << 64)


class MemoryOperand:
    """`width` bits at `address`; `modify`: what is read will be written."""

    def __init__(self, machine: Machine, address: Value, width: int, modify: bool = False) -> None:
        self.machine, self.address, self.width, self.modify = machine, address, width, modify

    def read(self) -> Value:
        return self.machine.load(self.address, self.width // 8, self.modify)

    def write(self, value: Value) -> None:
        self.machine.store(self.address, value)


class Constant:
    """An immediate."""

    def __init__(self, value: Value) -> None:
        self.value, self.width = value, value.width

    def read(self) -> Value:
        return self.value

    def write(self, value: Value) -> None:
        raise InternalError("an immediate was written to")


class Execution:
    """One instruction being executed: the machine, the instruction, and its operands by number (Intel's order)."""

    def __init__(self, machine: Machine, inst: Inst) -> None:
        self.machine, self.inst = machine, inst
        self.operands: tuple[Operand, ...] = inst.operands
        self.mnemonic = inst.mnemonic
        self.width = inst.operand_size * 8
        self.exceptions: Value | None = None  # floating-point ones of the parts that came before
        self.is_followed = False
        self.clears_upper = inst.row is not None and inst.row.section.startswith(("vex", "xop"))

    # -- values and places

    def constant(self, value: int, width: int) -> Value:
        return self.machine.constant(value, width)

    def get(self, place: Place) -> Value:
        return self.machine.get(place)

    def set(self, place: Place, value: Value) -> None:
        self.machine.set(place, value)

    def register(self, number: int, width: int) -> GeneralRegister:
        """The low `width` bits of a general register."""
        return GeneralRegister(self.machine, number, width)

    # -- operands

    def location(self, number: int, width: int = 0) -> Location:
        """The operand; of memory, immediates and vector registers the low `width` bits where a width is given."""
        operand, machine = self.operands[number], self.machine
        if isinstance(operand, Register):
            return self._register(operand, width)
        if isinstance(operand, Memory):
            return MemoryOperand(machine, self.address(operand), width or operand.size * 8, operand.access == "rw")
        if isinstance(operand, Immediate):
            return Constant(machine.constant(operand.value, width or operand.size * 8))
        if isinstance(operand, Relative):
            return Constant(machine.constant(operand.target, 64))
        raise InternalError(f"no location for {operand}")

    def _register(self, operand: Register, width: int) -> Location:
        if operand.file == "gpr":
            return GeneralRegister(self.machine, operand.number, width or operand.size * 8, operand.high)
        if operand.file == "xmm" and self.clears_upper:
            return VexRegister(self.machine, operand.number, width or operand.size * 8)
        if operand.file == "xmm" and operand.size == 16:
            return WholePlace(self.machine, XMM[operand.number], width or 128)
        if operand.file == "mm":
            return MmxRegister(self.machine, operand.number)
        if operand.file == "seg":
            return WholePlace(self.machine, SEGMENT[operand.number & 7], 16)  # REX.R says nothing here
        raise InternalError(f"no location for register {operand}")

    def is_memory(self, number: int) -> bool:
        return isinstance(self.operands[number], Memory)

    def immediate(self, number: int) -> int | None:
        """The operand's value if it is an immediate, which is known before anything runs."""
        operand = self.operands[number]
        return operand.value if isinstance(operand, Immediate) else None

    def mask(self) -> Value:
        """What the variable blends choose by: XMM0."""
        return self.get(XMM[0])

    def offset(self, operand: Memory, index: Value | None = None) -> Value:
        """The effective address without the segment's base: 64 bits, cut to the address size. A vector's element comes as `index`."""
        machine, inst = self.machine, self.inst
        total = machine.constant(operand.displacement, 64)
        if operand.base == 16:
            total = machine.constant(operand.displacement + inst.address + inst.length, 64)
        elif operand.base is not None:
            total = machine.get(GPR[operand.base]) + total
        if operand.index is not None:
            value = machine.get(GPR[operand.index]) if index is None else index
            total = total + (value << operand.scale.bit_length() - 1)
        return total.trunc(operand.address_size * 8).zext(64)

    def address(self, operand: Memory, index: Value | None = None) -> Value:
        """The linear address."""
        base = SEGMENT_BASE.get(operand.segment)
        offset = self.offset(operand, index)
        if base is None:
            return offset
        linear = offset + self.get(base)
        return linear if self.inst.mode == 64 else linear.trunc(32).zext(64)

    def clear_above(self, number: int) -> None:
        """Clear the upper half of a vector register, where the encoding does so."""
        if self.clears_upper:
            self.set(UPPER[number], self.machine.constant(0, 128))

    def linear(self, offset: Value) -> Value:
        """The linear address of an offset that stands in no operand: in DS, or the segment that a prefix names."""
        base = None
        for byte in self.inst.code:
            if byte not in PREFIXES:
                break
            base = SEGMENT_BASE.get(byte - 0x60) if byte in SEGMENT_PREFIXES else base
        return offset if base is None else offset + self.get(base)

    # -- stack

    @property
    def stack(self) -> GeneralRegister:
        """rSP, as wide as addresses of the stack are: the mode's width (a flat stack segment)."""
        return self.register(RSP, self.inst.mode)

    @property
    def branch_width(self) -> int:
        """Bits of a near return address."""
        return 64 if self.inst.mode == 64 else self.width

    def stack_address(self, offset: Value, size: int, write: bool) -> Value:
        """The linear address of `size` bytes at an offset in the stack segment."""
        return offset.zext(64)

    def push(self, value: Value) -> None:
        stack = self.stack
        below = stack.read() - value.width // 8
        self.machine.store(self.stack_address(below, value.width // 8, True), value)
        stack.write(below)

    def pop(self, width: int) -> Value:
        stack = self.stack
        top = stack.read()
        value = self.machine.load(self.stack_address(top, width // 8, False), width // 8)
        stack.write(top + width // 8)
        return value

    # -- control

    @property
    def next(self) -> int:
        """The address behind the instruction."""
        return self.inst.address + self.inst.length & 0xFFFF_FFFF_FFFF_FFFF

    def fault(
        self, vector: int, message: str, condition: Value | None = None, code: Value | int | None = None, keep: Sequence[tuple[Place, Value]] = ()
    ) -> None:
        self.machine.fault(vector, code, message, condition, keep)

    def no_operand_prefix(self) -> None:
        """#UD with prefix 66, where the SDM's opcode column says NP and the map lets it pass."""
        if self.inst.columns[Column.PREFIXES] & DATA:
            self.fault(UD, f"{self.inst.text()}: prefix 66 is not allowed")

    def privileged(self) -> None:
        """The fault of an instruction that a user program may not execute."""
        self.fault(GP, f"{self.inst.text()}: only for privilege level 0", code=0)

    def leave(self, exit: Exit) -> None:
        self.machine.leave(exit)

    def when(self, condition: Value, then: Callable[[], None]) -> None:
        self.machine.when(condition, then)
