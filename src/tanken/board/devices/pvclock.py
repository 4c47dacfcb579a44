"""The clock of KVM's guests: tells the frequency of the time stamp counter and the time, so that a guest need not measure them.

Linux Documentation/virt/kvm/x86/msr.rst and cpuid.rst; the structures are struct pvclock_vcpu_time_info and pvclock_wall_clock of
arch/x86/include/asm/pvclock-abi.h. The counter here never changes its rate, so what is written once stays true.
"""

from __future__ import annotations

import struct

from tanken.board.clock import SECOND, Clock
from tanken.board.device import Device, table
from tanken.board.memory import Memory

R = table("pvclock")
WALL_CLOCK, SYSTEM_TIME = R["WALL_CLOCK"].offset, R["SYSTEM_TIME"].offset
ENABLE, TSC_STABLE = 1, 1
SIGNATURE = b"KVMKVMKVM\0\0\0"
# The clock by its old and new registers, no need of delays by port 80h, the local APIC's end of interrupt in memory, a stable counter.
FEATURES = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 6 | 1 << 24
TIME = struct.Struct("<IIQQIbBxx")
WALL = struct.Struct("<III")


class PvClock(Device):
    """`base` is the time of the clock's zero, in seconds since 1970 (UTC)."""

    name = "pvclock"
    registers = R
    largest = 8
    KEPT = ("wall", "system", "version")

    def __init__(self, clock: Clock, memory: Memory, base: int = 0) -> None:
        self.clock, self.memory, self.base = clock, memory, base
        self.reset()

    def reset(self) -> None:
        self.wall = self.system = self.version = 0

    def scale(self) -> tuple[int, int]:
        """(multiplier, shift): nanoseconds = (ticks << shift) * multiplier >> 32; the multiplier has its highest bit set."""
        shift, hz = 0, self.clock.tsc_hz
        multiplier = (SECOND << 32) // hz
        while multiplier >= 1 << 32:
            multiplier, shift = multiplier >> 1, shift + 1
        while multiplier < 1 << 31:
            shift -= 1
            multiplier = (SECOND << 32 - shift) // hz
        return multiplier, shift

    def has_msr(self, index: int) -> bool:
        return index in (WALL_CLOCK, SYSTEM_TIME)

    def read_msr(self, index: int) -> int | None:
        return self.wall if index == WALL_CLOCK else self.system

    def write_msr(self, index: int, value: int) -> bool:
        """Whether the structure lies in memory; it is filled at once."""
        size = TIME.size if index == SYSTEM_TIME else WALL.size
        if not self.memory.holds(value & ~ENABLE, size, write=True):
            return False
        if index == WALL_CLOCK:
            self.wall = value
            self.memory.write(value, WALL.pack(2, self.base, 0))  # when the system time was 0
            return True
        self.system = value
        if value & ENABLE:
            self.version += 2
            multiplier, shift = self.scale()
            # the counter's zero is the clock's: what the counter shows now is `tsc_base` and the time since
            self.memory.write(value & ~ENABLE, TIME.pack(self.version & 0xFFFF_FFFF, 0, self.clock.tsc_base, 0, multiplier, shift, TSC_STABLE))
        return True

    def read(self, offset: int, size: int) -> int:
        return self.read_msr(offset) or 0

    def write(self, offset: int, value: int, size: int) -> None:
        self.write_msr(offset, value)
