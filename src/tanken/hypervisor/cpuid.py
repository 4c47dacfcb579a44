"""What our vcpu says of itself: the CPUID of the processor, with what only a machine knows.

SDM volume 2, CPUID; leaves 40000000h and 40000001h as KVM's guests know them (Linux, Documentation/virt/kvm/x86/cpuid.rst).
"""

from __future__ import annotations

import struct

from tanken.board.clock import Clock
from tanken.board.devices.pvclock import FEATURES, SIGNATURE
from tanken.isa.x86.system.processor import SystemProcessor

CRYSTAL = 25_000_000  # hertz
HIGHEST = 0x16


def cpuid(processor: SystemProcessor, clock: Clock, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """(EAX, EBX, ECX, EDX): the processor's own, with the frequencies of the clock, TSC and crystal (15h), megahertz (16h), and the clock that KVM's guests know."""
    if leaf == 0:
        return (HIGHEST, *processor.cpuid(0, 0)[1:])
    if leaf == 0x15:
        return CRYSTAL, clock.tsc_hz, CRYSTAL, 0
    if leaf == 0x16:
        megahertz = clock.tsc_hz // 1_000_000
        return megahertz, megahertz, 100, 0
    if leaf == 0x4000_0000:
        b, c, d = struct.unpack("<III", SIGNATURE)
        return 0x4000_0001, b, c, d
    if leaf == 0x4000_0001:
        return FEATURES, 0, 0, 0
    a, b, c, d = processor.cpuid(leaf, subleaf)
    if leaf == 1:
        c |= 1 << 24  # the APIC's TSC deadline
    return a, b, c, d
