"""The local APIC of one processor, as xAPIC and as x2APIC: priorities, interrupts to itself, LINT pins, and the timer in its three modes.

Intel SDM volume 3, chapter 11; the end of interrupt in the guest's memory: Linux Documentation/virt/kvm/x86/msr.rst. There is one processor: messages to others are sent to nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.board.clock import SECOND, Clock
from tanken.board.device import Device, table
from tanken.board.memory import Memory

R = table("lapic")
OFFSETS = {register.name: register.offset for register in R}
TPR, EOI, LDR, DFR, SVR, ESR, SELF_IPI = (OFFSETS[name] for name in ("TPR", "EOI", "LDR", "DFR", "SVR", "ESR", "SELF_IPI"))
ICR_LOW, ICR_HIGH, LVT_TIMER, LINT0, LINT1, LVT_ERROR = (OFFSETS[name] for name in ("ICR_LOW", "ICR_HIGH", "LVT_TIMER", "LVT_LINT0", "LVT_LINT1", "LVT_ERROR"))
INITIAL, CURRENT, DIVIDE, CMCI = (OFFSETS[name] for name in ("TIMER_INITIAL", "TIMER_CURRENT", "TIMER_DIVIDE", "LVT_CMCI"))
ENABLE, MASK, PENDING = 0x100, 0x1_0000, 0x1000
SEND_VECTOR, RECEIVE_VECTOR, ILLEGAL_REGISTER = 0x20, 0x40, 0x80
WRITABLE = {  # offset -> the bits that keep what is written
    OFFSETS["ID"]: 0xFF00_0000, TPR: 0xFF, LDR: 0xFF00_0000, DFR: 0xF000_0000, SVR: 0x11FF, ICR_LOW: 0xC_CFFF, ICR_HIGH: 0xFF00_0000,
    LVT_TIMER: 0x7_00FF, OFFSETS["LVT_THERMAL"]: 0x1_07FF, OFFSETS["LVT_PERFORMANCE"]: 0x1_07FF, LINT0: 0x1_A7FF, LINT1: 0x1_A7FF, LVT_ERROR: 0x1_00FF,
    CMCI: 0x1_07FF, INITIAL: 0xFFFF_FFFF, DIVIDE: 0xB,
}  # fmt: skip
LVTS = (LVT_TIMER, OFFSETS["LVT_THERMAL"], OFFSETS["LVT_PERFORMANCE"], LINT0, LINT1, LVT_ERROR, CMCI)
FIXED, LOWEST, SMI, NMI, INIT, STARTUP, EXTINT = 0, 1, 2, 4, 5, 6, 7  # delivery modes
ONE_SHOT, PERIODIC, DEADLINE = 0, 1, 2  # timer modes, 11.5.4
BASE_MSR, DEADLINE_MSR, X2APIC_MSRS = 0x1B, 0x6E0, range(0x800, 0x900)
SHARED_MSR = 0x4B56_4D04  # MSR_KVM_PV_EOI_EN
DEFAULT_BASE, BSP, X2APIC, GLOBAL = 0xFEE0_0000, 0x100, 0x400, 0x800


def _highest(bits: int) -> int:
    return bits.bit_length() - 1


class LocalApic(Device):
    """`hz` is what its timer counts at before it is divided; a guest may end interrupts by a word in `memory`.

    `send_nmi` and `broadcast_eoi(vector)` go to processor and I/O APICs.
    """

    name = "lapic"
    registers = R
    largest = 4
    KEPT = ("base", "values", "request", "service", "trigger", "errors", "started", "deadline", "shared", "lent")

    def __init__(self, clock: Clock, hz: int, number: int = 0, memory: Memory | None = None) -> None:
        self.clock, self.hz, self.number, self.memory = clock, hz, number, memory
        self.send_nmi: Callable[[], None] = lambda: None
        self.broadcast_eoi: Callable[[int], None] = lambda vector: None
        self.rebased: Callable[[int], None] = lambda base: None
        self.timer = clock.timer("lapic", self._expired)
        self.reset()

    def reset(self) -> None:
        self.base = DEFAULT_BASE | GLOBAL | (BSP if self.number == 0 else 0)
        self._clear()
        self.rebased(self.base)

    def _clear(self) -> None:
        self.values = {str(offset): R.find(offset, "r")[0].reset for offset in WRITABLE}  # type: ignore[index]  # each is in the table
        self.values[str(OFFSETS["ID"])] = self.number << 24
        self.request = self.service = self.trigger = 0
        self.errors = [0, 0]  # collected, and shown since the last write of ESR
        self.started = 0  # when the timer began to count
        self.deadline = 0  # IA32_TSC_DEADLINE
        self.shared = 0  # where the word is; bit 0: there is one
        self.lent = 0  # whether the guest may end the interrupt in service there
        self.timer.disarm()

    def virtual_wire(self) -> None:
        """As a PC's firmware leaves it: on, the 8259s at LINT0, NMI at LINT1 (MultiProcessor Specification 1.4, 3.6.2.2)."""
        self._put(SVR, 0x1FF)
        self._put(LINT0, EXTINT << 8)
        self._put(LINT1, NMI << 8)

    def _value(self, offset: int) -> int:
        return self.values[str(offset)]

    def _put(self, offset: int, value: int) -> None:
        self.values[str(offset)] = value

    @property
    def is_x2apic(self) -> bool:
        return self.base & (GLOBAL | X2APIC) == GLOBAL | X2APIC

    # -- what the processor asks

    @property
    def priority(self) -> int:
        """PPR."""
        task, serving = self._value(TPR), max(_highest(self.service), 0)
        return task if task & 0xF0 >= serving & 0xF0 else serving & 0xF0

    @property
    def cr8(self) -> int:
        return self._value(TPR) >> 4

    @cr8.setter
    def cr8(self, value: int) -> None:
        self._put(TPR, value << 4 & 0xF0)

    @property
    def is_enabled(self) -> bool:
        """By the MSR and by software."""
        return bool(self.base & GLOBAL and self._value(SVR) & ENABLE)

    def pending(self) -> bool:
        return self.request != 0 and self.is_enabled and _highest(self.request) & 0xF0 > self.priority & 0xF0

    def acknowledge(self) -> int:
        """The vector, now in service; the spurious one where none is pending (11.9)."""
        if not self.pending():
            return self._value(SVR) & 0xFF
        vector = _highest(self.request)
        self.request &= ~(1 << vector)
        self.service |= 1 << vector
        return vector

    def takes_external(self) -> bool:
        lint0 = self._value(LINT0)
        return not self.base & GLOBAL or (not lint0 & MASK and lint0 >> 8 & 7 == EXTINT)

    # -- messages

    def deliver(self, mode: int, vector: int, level: bool = False) -> bool:
        """A message of the interrupt bus; whether it was taken."""
        if mode in (FIXED, LOWEST):
            return self._accept(vector, level)
        if mode == NMI:
            self.send_nmi()
        return True

    def _accept(self, vector: int, level: bool) -> bool:
        if vector < 16:
            self._error(RECEIVE_VECTOR)
            return False
        if not self.is_enabled:
            return False
        bit = 1 << vector
        self.request |= bit
        self.trigger = self.trigger | bit if level else self.trigger & ~bit
        return True

    def is_addressed(self, destination: int, logical: bool) -> bool:
        """Whether a message of the I/O APIC or another processor is for this one (11.6.2)."""
        if not logical:
            return destination in (self.number, 0xFF)
        if self.is_x2apic:
            own = (self.number >> 4) << 16 | 1 << (self.number & 15)
            return destination >> 16 == own >> 16 and bool(destination & own & 0xFFFF)
        own = self._value(LDR) >> 24
        if self._value(DFR) >> 28 == 0xF:
            return bool(own & destination)
        return own >> 4 == destination >> 4 and bool(own & destination & 15)

    def _command(self, low: int, high: int) -> None:
        """A write of ICR."""
        vector, mode, shorthand = low & 0xFF, low >> 8 & 7, low >> 18 & 3
        if mode in (FIXED, LOWEST) and vector < 16:
            return self._error(SEND_VECTOR)
        destination = high if self.is_x2apic else high >> 24
        if shorthand in (1, 2) or (shorthand == 0 and (self.is_addressed(destination, bool(low & 0x800)) or (self.is_x2apic and destination == 0xFFFF_FFFF))):
            self.deliver(mode, vector)

    def _error(self, bit: int) -> None:
        self.errors[0] |= bit
        if self._value(LVT_ERROR) & 0xF0:  # a vector that is itself an error goes nowhere
            self._local(LVT_ERROR)

    def _local(self, lvt: int) -> None:
        """An interrupt of the local vector table; timer and errors have no delivery mode of their own."""
        value = self._value(lvt)
        if not value & MASK:
            self.deliver(value >> 8 & 7, value & 0xFF)

    def nmi_pin(self) -> None:
        """An edge at LINT1."""
        self._local(LINT1)

    def _end(self) -> None:
        vector = _highest(self.service)
        if vector >= 0:
            self.service &= ~(1 << vector)
            if self.trigger >> vector & 1 and not self._value(SVR) & 0x1000:
                self.broadcast_eoi(vector)

    # -- the end of an interrupt without an exit

    def lend(self) -> None:
        """Before the guest runs: where the end of the interrupt in service means nothing to anybody else, the guest may note it in its own memory."""
        if self.shared & 1 and self.memory and self.service and not self.request and not self.trigger >> _highest(self.service) & 1:
            self.memory.write(self.shared & ~1, b"\1\0\0\0")
            self.lent = 1

    def take_back(self) -> None:
        """After it ran: what it noted is done."""
        if self.lent and self.memory:
            self.lent = 0
            if self.memory.read(self.shared & ~1, 1)[0] & 1:
                self.memory.write(self.shared & ~1, b"\0\0\0\0")
            else:
                self._end()

    def _write_shared(self, value: int) -> bool:
        if value & 2 or self.memory is None or (value & 1 and not self.memory.holds(value & ~1, 4, write=True)):
            return False
        self.shared = value
        return True

    # -- the timer

    def _divisor(self) -> int:
        value = self._value(DIVIDE)
        return 1 << ((value & 3 | value >> 1 & 4) + 1 & 7)

    def _ticks(self, nanoseconds: int) -> int:
        return nanoseconds * self.hz // (SECOND * self._divisor())

    def _mode(self) -> int:
        return self._value(LVT_TIMER) >> 17 & 3

    def _current(self) -> int:
        initial = self._value(INITIAL)
        if initial == 0 or self._mode() == DEADLINE:
            return 0
        gone = self._ticks(self.clock.now() - self.started)
        return initial - gone % initial if self._mode() == PERIODIC else max(initial - gone, 0)

    def _arm(self) -> None:
        """Set the timer to the next expiry."""
        initial = self._value(INITIAL)
        if self._mode() == DEADLINE:
            if self.deadline:
                return self.timer.arm(self.clock.moment_of_tsc(self.deadline))
        elif initial:
            ticks = initial
            if self._mode() == PERIODIC:
                ticks += self._ticks(self.clock.now() - self.started) // initial * initial
            due = self.started - (-ticks * SECOND * self._divisor() // self.hz)
            if due > self.clock.now() or self._mode() == PERIODIC:
                return self.timer.arm(due)
        self.timer.disarm()

    def _start(self) -> None:
        self.started = self.clock.now()
        self._arm()

    def _expired(self) -> None:
        if self._mode() == DEADLINE:
            self.deadline = 0
        self._local(LVT_TIMER)
        self._arm()

    # -- registers

    def read(self, offset: int, size: int) -> int:
        """Accesses are to be 32 bits wide at multiples of 16 (11.4.1.1); narrower ones are given the bytes all the same."""
        if offset & 15 >= 4 or self.is_x2apic or not self.base & GLOBAL:
            return (1 << 8 * size) - 1 if self.is_x2apic else 0
        return self._read(offset & ~3) >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def _read(self, offset: int) -> int:
        if str(offset) in self.values:
            return self._value(offset)
        for start, bits in ((0x100, self.service), (0x180, self.trigger), (0x200, self.request)):
            if start <= offset < start + 0x80:
                return bits >> 2 * (offset - start) & 0xFFFF_FFFF
        plain = {0x30: R["VERSION"].reset, 0xA0: self.priority, 0x90: self.priority, CURRENT: self._current(), ESR: self.errors[1]}
        if offset not in plain and offset not in (EOI, 0xC0):
            self._error(ILLEGAL_REGISTER)
        return plain.get(offset, 0)

    def write(self, offset: int, value: int, size: int) -> None:
        if size == 4 and not offset & 15 and self.base & GLOBAL and not self.is_x2apic:
            self._write(offset, value)

    def _write(self, offset: int, value: int) -> None:
        if offset in WRITABLE:
            self._write_kept(offset, value & WRITABLE[offset])
        elif offset == EOI:
            self._end()
        elif offset == ESR:
            self.errors = [0, self.errors[0]]
        elif offset not in (0x30, 0x90, 0xA0, 0xC0, CURRENT) and not 0x100 <= offset < 0x280:
            self._error(ILLEGAL_REGISTER)

    def _write_kept(self, offset: int, value: int) -> None:
        if offset == DFR:
            value |= 0x0FFF_FFFF
        if offset in LVTS and not self._value(SVR) & ENABLE:
            value |= MASK
        before = self._value(offset)
        self._put(offset, value)
        if offset == ICR_LOW:
            self._command(value, self._value(ICR_HIGH))
        elif offset == SVR and not value & ENABLE:
            for lvt in LVTS:  # 11.4.7.2
                self._put(lvt, self._value(lvt) | MASK)
        elif offset == INITIAL:
            if self._mode() == DEADLINE:
                self._put(offset, before)
            else:
                self._start()
        elif offset == DIVIDE and value != before and self._value(INITIAL):
            self._arm()
        elif offset == LVT_TIMER and (value ^ before) >> 17:
            self._change_mode(before)

    def _change_mode(self, before: int) -> None:
        """A change to or from TSC-deadline disarms the timer (11.5.4.1)."""
        if DEADLINE in (before >> 17 & 3, self._mode()):
            self.deadline = 0
            self._put(INITIAL, 0)
        self._arm()

    # -- MSRs

    def has_msr(self, index: int) -> bool:
        return index in (BASE_MSR, DEADLINE_MSR, SHARED_MSR) or index in X2APIC_MSRS

    def read_msr(self, index: int) -> int | None:
        """The MSR's value; None where the processor is to fault (11.12.1.2)."""
        if index == BASE_MSR:
            return self.base
        if index == SHARED_MSR:
            return self.shared
        if index == DEADLINE_MSR:
            return self.deadline if self._mode() == DEADLINE else 0
        offset = (index & 0xFF) << 4
        if not self.is_x2apic or offset in (EOI, DFR, ICR_HIGH, SELF_IPI, 0x90, 0xC0):
            return None
        if offset == OFFSETS["ID"]:
            return self.number
        if offset == LDR:
            return (self.number >> 4) << 16 | 1 << (self.number & 15)
        if offset == ICR_LOW:
            return self._value(ICR_LOW) | self._value(ICR_HIGH) << 32
        return self._read(offset) if R.find(offset, "r") else None

    def write_msr(self, index: int, value: int) -> bool:
        """Whether the write is allowed; else the processor is to fault."""
        if index == BASE_MSR:
            return self._write_base(value)
        if index == SHARED_MSR:
            return self._write_shared(value)
        if index == DEADLINE_MSR:
            if self._mode() == DEADLINE:
                self.deadline = value
                self._arm()
            return True
        offset = (index & 0xFF) << 4
        if not self.is_x2apic:
            return False
        if offset == ICR_LOW:
            self._put(ICR_LOW, value & WRITABLE[ICR_LOW])
            self._put(ICR_HIGH, value >> 32)
            self._command(value & WRITABLE[ICR_LOW], value >> 32)
            return True
        if offset == SELF_IPI:
            if value <= 0xFF:
                self._command(value | 1 << 18, 0)
            return value <= 0xFF
        if value >> 32 or offset in (OFFSETS["ID"], LDR, DFR, ICR_HIGH) or (offset in (EOI, ESR) and value) or R.find(offset, "w") is None:
            return False
        self._write(offset, value)
        return True

    def _write_base(self, value: int) -> bool:
        enabled, was = value & (GLOBAL | X2APIC), self.base & (GLOBAL | X2APIC)
        reserved = value & 0x2FF or value >> 52
        wrong = enabled == X2APIC or (was == GLOBAL | X2APIC and enabled == GLOBAL) or (was == 0 and enabled == GLOBAL | X2APIC)  # figure 11-27
        if reserved or wrong:
            return False
        if not enabled:
            self._clear()
        self.base = value & ~BSP | self.base & BSP
        self.rebased(self.base)
        return True

    def restored(self) -> None:
        self.rebased(self.base)
        self._arm()
