"""A processor's whole state in KVM's structures and back: general and system registers, x87 to AVX, MSRs, debug registers, events.

linux/arch/x86/include/uapi/asm/kvm.h; the XSAVE area is Intel SDM volume 1, 13.4 and 10.5.1.
"""

from __future__ import annotations

import struct

from tanken.hypervisor.kvm import abi
from tanken.hypervisor.kvm.system import buffer, call
from tanken.isa.x86.system.state import CS, DS, ES, FS, GS, NOWHERE, R_UNUSABLE, SS, SystemState

ORDER = (0, 3, 1, 2, 6, 7, 4, 5, *range(8, 16))  # KVM's general registers: rax rbx rcx rdx rsi rdi rsp rbp r8 ...
SEGMENTS = (CS, DS, ES, FS, GS, SS)
MSRS = {"star": 0xC000_0081, "lstar": 0xC000_0082, "cstar": 0xC000_0083, "sfmask": 0xC000_0084, "kernel_gs": 0xC000_0102, "tsc_aux": 0xC000_0103,
        "sysenter_cs": 0x174, "sysenter_esp": 0x175, "sysenter_eip": 0x176, "pat": 0x277}  # fmt: skip
YMM, HEADER = 576, 512
SHADOWED = 3  # interrupt shadow by STI or MOV SS


def _segment(selector: int, base: int, limit: int, rights: int) -> bytes:
    bits = [rights >> at & 1 for at in (14, 4, 13, 15, 12)]  # db s l g avl
    db, s, long, granular, available = bits
    return abi.SEGMENT.pack(base, limit, selector, rights & 15, rights >> 7 & 1, rights >> 5 & 3, db, s, long, granular, available, rights >> 16 & 1)


def _unsegment(raw: bytes) -> tuple[int, int, int, int]:
    base, limit, selector, kind, present, dpl, db, s, long, granular, available, unusable = abi.SEGMENT.unpack(raw)
    rights = kind | s << 4 | dpl << 5 | present << 7 | available << 12 | long << 13 | db << 14 | granular << 15 | (R_UNUSABLE if unusable else 0)
    return selector, base, limit, rights


def put_general(descriptor: int, state: SystemState) -> None:
    packed = abi.REGS.pack(*(state.regs[n] for n in ORDER), state.rip, state.rflags)
    call(descriptor, abi.SET_REGS, buffer(packed), what="KVM_SET_REGS")


def put_system(descriptor: int, state: SystemState) -> None:
    parts = [_segment(state.segments[n], state.base(n), state.limits[n], state.rights[n]) for n in SEGMENTS]
    parts += [_segment(state.tr, state.tr_base, state.tr_limit, state.tr_rights), _segment(state.ldtr, state.ldtr_base, state.ldtr_limit, state.ldtr_rights)]
    parts += [abi.TABLE.pack(state.gdtr_base, state.gdtr_limit), abi.TABLE.pack(state.idtr_base, state.idtr_limit)]
    parts.append(abi.CONTROL.pack(state.cr0, state.cr2, state.cr3, state.cr4, state.cr8, state.efer, state.apic_base, bytes(32)))
    call(descriptor, abi.SET_SREGS, buffer(b"".join(parts)), what="KVM_SET_SREGS")


def put_vectors(descriptor: int, state: SystemState) -> None:
    """x87, SSE and AVX state by an XSAVE area."""
    data = buffer(bytes(4096))
    call(descriptor, abi.GET_XSAVE, data, what="KVM_GET_XSAVE")
    area = bytearray(data.raw)  # what else is in it, AVX-512, stays
    status = state.fpu_status & ~0x3800 | state.fpu_top << 11
    struct.pack_into("<HHBxHQQII", area, 0, state.fpu_control, status, state.fpu_valid, state.fpu_opcode, state.fpu_ip, state.fpu_dp, state.mxcsr, 0xFFFF)
    for n in range(8):
        area[32 + 16 * n : 42 + 16 * n] = state.st[state.fpu_top + n & 7].to_bytes(10, "little")
    for n in range(16):
        area[160 + 16 * n : 176 + 16 * n] = state.xmm[n].to_bytes(16, "little")
        area[YMM + 16 * n : YMM + 16 * n + 16] = state.upper[n].to_bytes(16, "little")
    present = struct.unpack_from("<Q", area, HEADER)[0] & ~4 | (7 if any(state.upper) else 3)
    struct.pack_into("<Q", area, HEADER, present)
    call(descriptor, abi.SET_XSAVE, buffer(area), what="KVM_SET_XSAVE")


def put_msrs(descriptor: int, values: dict[int, int]) -> None:
    packed = struct.pack("<II", len(values), 0) + b"".join(abi.MSR_ENTRY.pack(*item) for item in values.items())
    call(descriptor, abi.SET_MSRS, buffer(packed), what="KVM_SET_MSRS")


def get_msrs(descriptor: int, numbers: tuple[int, ...]) -> tuple[int, ...]:
    data = buffer(struct.pack("<II", len(numbers), 0) + b"".join(abi.MSR_ENTRY.pack(number, 0) for number in numbers))
    call(descriptor, abi.GET_MSRS, data, what="KVM_GET_MSRS")
    return tuple(abi.MSR_ENTRY.unpack_from(data.raw, 8 + 16 * n)[1] for n in range(len(numbers)))


def put(descriptor: int, state: SystemState) -> None:
    """All of `state` into the vcpu."""
    put_system(descriptor, state)
    put_general(descriptor, state)
    put_vectors(descriptor, state)
    if _get_xcr0(descriptor) != state.xcr0:
        call(descriptor, abi.SET_XCRS, buffer(struct.pack("<IIIIQ", 1, 0, 0, 0, state.xcr0).ljust(392, b"\0")), what="KVM_SET_XCRS")
    put_msrs(descriptor, {number: getattr(state, name) for name, number in MSRS.items()})
    call(descriptor, abi.SET_DEBUGREGS, buffer(abi.DEBUGREGS.pack(*state.dr, state.dr6, state.dr7, 0)), what="KVM_SET_DEBUGREGS")
    events = list(abi.EVENTS.unpack(get_events(descriptor)))
    events[8] = SHADOWED if state.shadow == state.rip else 0
    events[11] = state.nmi_blocked
    events[14] = 8 | 1  # the interrupt shadow and NMI fields are valid
    call(descriptor, abi.SET_EVENTS, buffer(abi.EVENTS.pack(*events)), what="KVM_SET_VCPU_EVENTS")


def _get_xcr0(descriptor: int) -> int:
    data = buffer(bytes(392))
    call(descriptor, abi.GET_XCRS, data, what="KVM_GET_XCRS")
    return int(struct.unpack_from("<Q", data.raw, 16)[0])


def get_events(descriptor: int) -> bytes:
    data = buffer(bytes(64))
    call(descriptor, abi.GET_EVENTS, data, what="KVM_GET_VCPU_EVENTS")
    return data.raw


def get(descriptor: int, state: SystemState | None = None) -> SystemState:
    """The vcpu's state; what KVM does not tell stays as in `state`."""
    state = SystemState() if state is None else state
    data = buffer(bytes(144))
    call(descriptor, abi.GET_REGS, data, what="KVM_GET_REGS")
    *general, state.rip, state.rflags = abi.REGS.unpack(data.raw)
    for n, value in zip(ORDER, general, strict=True):
        state.regs[n] = value
    _get_system(descriptor, state)
    _get_vectors(descriptor, state)
    state.xcr0 = _get_xcr0(descriptor)
    for name, value in zip(MSRS, get_msrs(descriptor, tuple(MSRS.values())), strict=True):
        setattr(state, name, value)
    data = buffer(bytes(128))
    call(descriptor, abi.GET_DEBUGREGS, data, what="KVM_GET_DEBUGREGS")
    *state.dr, state.dr6, state.dr7, _ = abi.DEBUGREGS.unpack(data.raw)
    events = abi.EVENTS.unpack(get_events(descriptor))
    state.shadow = state.rip if events[8] else NOWHERE - 1
    state.nmi_blocked = events[11]
    return state


def _get_system(descriptor: int, state: SystemState) -> None:
    data = buffer(bytes(312))
    call(descriptor, abi.GET_SREGS, data, what="KVM_GET_SREGS")
    raw, size = data.raw, abi.SEGMENT.size
    for at, number in enumerate(SEGMENTS):
        state.set_segment(number, *_unsegment(raw[at * size : at * size + size]))
    state.tr, state.tr_base, state.tr_limit, state.tr_rights = _unsegment(raw[6 * size : 7 * size])
    state.ldtr, state.ldtr_base, state.ldtr_limit, state.ldtr_rights = _unsegment(raw[7 * size : 8 * size])
    state.gdtr_base, state.gdtr_limit = abi.TABLE.unpack_from(raw, 192)
    state.idtr_base, state.idtr_limit = abi.TABLE.unpack_from(raw, 208)
    state.cr0, state.cr2, state.cr3, state.cr4, state.cr8, state.efer, state.apic_base, _ = abi.CONTROL.unpack_from(raw, 224)
    state.cpl = state.rights[SS] >> 5 & 3 if state.cr0 & 1 else 0


def _get_vectors(descriptor: int, state: SystemState) -> None:
    data = buffer(bytes(4096))
    call(descriptor, abi.GET_XSAVE, data, what="KVM_GET_XSAVE")
    area = data.raw
    present = struct.unpack_from("<Q", area, HEADER)[0]
    if present & 1:
        state.fpu_control, status, state.fpu_valid, state.fpu_opcode, state.fpu_ip, state.fpu_dp = struct.unpack_from("<HHBxHQQ", area, 0)
        state.fpu_status, state.fpu_top = status & ~0x3800, status >> 11 & 7
        for n in range(8):
            state.st[state.fpu_top + n & 7] = int.from_bytes(area[32 + 16 * n : 42 + 16 * n], "little")
    else:
        state.fpu_control, state.fpu_status, state.fpu_top, state.fpu_valid = 0x37F, 0, 0, 0
        state.fpu_opcode = state.fpu_ip = state.fpu_dp = 0
        state.st[:] = [0] * 8
    state.mxcsr = struct.unpack_from("<I", area, 24)[0] if present & 6 else 0x1F80
    for n in range(16):
        state.xmm[n] = int.from_bytes(area[160 + 16 * n : 176 + 16 * n], "little") if present & 2 else 0
        state.upper[n] = int.from_bytes(area[YMM + 16 * n : YMM + 16 * n + 16], "little") if present & 4 else 0
