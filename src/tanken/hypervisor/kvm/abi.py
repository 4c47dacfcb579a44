"""KVM's numbers and structures: ioctl codes, exit reasons, offsets in the shared page.

linux/Documentation/virt/kvm/api.rst; include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h for the sizes.
"""

from __future__ import annotations

import struct

KVMIO = 0xAE


def _io(number: int) -> int:
    return KVMIO << 8 | number


def _ior(number: int, size: int) -> int:
    return 2 << 30 | size << 16 | KVMIO << 8 | number


def _iow(number: int, size: int) -> int:
    return 1 << 30 | size << 16 | KVMIO << 8 | number


def _iowr(number: int, size: int) -> int:
    return 3 << 30 | size << 16 | KVMIO << 8 | number


# of the device
GET_API_VERSION, CREATE_VM, CHECK_EXTENSION, GET_VCPU_MMAP_SIZE, GET_SUPPORTED_CPUID = _io(0x00), _io(0x01), _io(0x03), _io(0x04), _iowr(0x05, 8)
API_VERSION = 12

# of a machine
CREATE_VCPU, SET_USER_MEMORY_REGION, SET_TSS_ADDR, SET_IDENTITY_MAP_ADDR = _io(0x41), _iow(0x46, 32), _io(0x47), _iow(0x48, 8)
REGISTER_COALESCED, UNREGISTER_COALESCED, ENABLE_CAP, SET_MSR_FILTER = _iow(0x67, 16), _iow(0x68, 16), _iow(0xA3, 104), _iow(0xC6, 392)
READ_ONLY = 2  # flag of a memory region

# of a vcpu
RUN, GET_REGS, SET_REGS, GET_SREGS, SET_SREGS = _io(0x80), _ior(0x81, 144), _iow(0x82, 144), _ior(0x83, 312), _iow(0x84, 312)
INTERRUPT, GET_MSRS, SET_MSRS, SET_CPUID2, SET_SIGNAL_MASK = _iow(0x86, 4), _iowr(0x88, 8), _iow(0x89, 8), _iow(0x90, 8), _iow(0x8B, 4)
GET_XSAVE, SET_XSAVE, GET_XCRS, SET_XCRS, NMI = _ior(0xA4, 4096), _iow(0xA5, 4096), _ior(0xA6, 392), _iow(0xA7, 392), _io(0x9A)
GET_EVENTS, SET_EVENTS, GET_DEBUGREGS, SET_DEBUGREGS, GET_TSC_KHZ, GET_STATS_FD = _ior(0x9F, 64), _iow(0xA0, 64), _ior(0xA1, 128), _iow(0xA2, 128), _io(0xA3), _io(0xCE)

CAP_COALESCED_MMIO, CAP_COALESCED_PIO, CAP_USER_SPACE_MSR, CAP_MSR_FILTER, CAP_EXIT_ON_EMULATION_FAILURE, CAP_IMMEDIATE_EXIT, CAP_READONLY_MEM, CAP_BINARY_STATS_FD = (
    15, 162, 188, 189, 204, 136, 81, 203)  # fmt: skip
COALESCED_PAGE = 2  # of the mapping of a vcpu
MSR_REASONS = 1 | 2 | 4  # unknown, invalid, and filtered MSRs

# the shared page, struct kvm_run
REQUEST_WINDOW, IMMEDIATE_EXIT, EXIT_REASON, READY_FOR_INTERRUPT, IF_FLAG, CR8, APIC_BASE, UNION = 0, 1, 8, 12, 13, 16, 24, 32
IO = struct.Struct("<BBHIQ")  # direction, size, port, count, offset of the data
MMIO = struct.Struct("<Q8sIB")  # address, data, length, is write
MSR = struct.Struct("<B7xIIQ")  # error, reason, index, data
INTERNAL = struct.Struct("<II")  # suberror, number of words
EMULATION = struct.Struct("<QB15s")  # flags, length, bytes: behind INTERNAL
DEBUG = struct.Struct("<IIQQQ")  # exception, pad, pc, dr6, dr7
MSR_ERROR, MSR_DATA = UNION, UNION + 16

EXIT_IO, EXIT_HYPERCALL, EXIT_DEBUG, EXIT_HLT, EXIT_MMIO, EXIT_IRQ_WINDOW, EXIT_SHUTDOWN, EXIT_FAIL_ENTRY, EXIT_INTR = 2, 3, 4, 5, 6, 7, 8, 9, 10
EXIT_SET_TPR, EXIT_INTERNAL, EXIT_RDMSR, EXIT_WRMSR = 11, 17, 29, 30
INTERNAL_EMULATION, EMULATION_HAS_BYTES = 1, 1

# structures
REGION = struct.Struct("<IIQQQ")  # slot, flags, guest-physical address, size, address in our own memory
ZONE = struct.Struct("<QII")  # address, size, is PIO
CAPABILITY = struct.Struct("<II4Q64x")
REGS = struct.Struct("<18Q")
SEGMENT = struct.Struct("<QIHBBBBBBBBBx")
TABLE = struct.Struct("<QH6x")
CONTROL = struct.Struct("<7Q32s")
CPUID_ENTRY = struct.Struct("<7I12x")  # function, index, flags, eax, ebx, ecx, edx
MSR_ENTRY = struct.Struct("<I4xQ")
EVENTS = struct.Struct("<4BI4B4BII4BB26xBQ")
DEBUGREGS = struct.Struct("<7Q72x")
RING = struct.Struct("<II")
RING_ENTRY = struct.Struct("<QII8s")  # address, length, is PIO, data
