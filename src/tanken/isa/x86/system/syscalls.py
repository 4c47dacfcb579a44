"""The fast ways in and out of the kernel: SYSCALL, SYSRET, SYSENTER and SYSEXIT, whose segments no table is asked for.

Intel SDM volume 2 by instruction, volume 3, 5.8.7 and 5.8.8; AMD APM volume 3 for SYSRET to an address that is not canonical (the fault is the program's).
SYSENTER is Intel's: it works in long mode too.
"""

from __future__ import annotations

from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import GP, MASK64, UD, Core
from tanken.isa.x86.system.state import CS

CHANGED_BY_SYSRET = 0x3C_7FD7
FLAT_CODE, FLAT_DATA = 0xC09B, 0xC093


def _flat(core: Core, selector: int, cpl: int, code: bool, long: bool) -> None:
    """A flat segment that no table was asked for."""
    rights = (FLAT_CODE if code else FLAT_DATA) | cpl << 5
    if code and long:
        rights = rights & ~S.R_DB | S.R_L
    core.state.set_segment(CS if code else S.SS, selector, 0, 0xFFFF_FFFF, rights)


def syscall(core: Core) -> int:
    state = core.state
    if not state.efer & S.SCE or not state.efer & S.LMA:
        core.fault(UD, None, "SYSCALL is off")
    long = state.mode == 64
    state.regs[1] = core.following
    state.regs[11] = state.rflags
    selector = state.star >> 32 & 0xFFFC
    _flat(core, selector, 0, True, True)
    _flat(core, selector + 8 & 0xFFFF, 0, False, False)
    state.rflags = state.rflags & ~(state.sfmask | S.RF) | S.ALWAYS
    state.cpl = 0
    core.memory.changed()
    return state.lstar if long else state.cstar


def sysret(core: Core, size: int) -> int:
    state = core.state
    if not state.efer & S.SCE or not state.efer & S.LMA:
        core.fault(UD, None, "SYSRET is off")
    if state.cpl:
        core.fault(GP, 0, "SYSRET at a privilege level other than 0")
    selector = state.star >> 48
    target = state.regs[1]
    if size == 8:
        _flat(core, selector + 16 & 0xFFFF | 3, 3, True, True)
    else:
        _flat(core, selector | 3, 3, True, False)
        target &= 0xFFFF_FFFF
    _flat(core, selector + 8 & 0xFFFF | 3, 3, False, False)
    state.rflags = state.regs[11] & CHANGED_BY_SYSRET | S.ALWAYS
    state.cpl = 3
    core.memory.changed()
    return target


def sysenter(core: Core) -> int:
    state = core.state
    if state.real or not state.sysenter_cs & 0xFFFC:
        core.fault(GP, 0, "SYSENTER without a code segment")
    long = bool(state.efer & S.LMA)
    state.system_flags &= ~(S.IF | S.VM | S.RF)
    state.regs[4] = state.sysenter_esp if long else state.sysenter_esp & 0xFFFF_FFFF
    _flat(core, state.sysenter_cs & 0xFFFC, 0, True, long)
    _flat(core, (state.sysenter_cs & 0xFFFC) + 8 & 0xFFFF, 0, False, False)
    state.cpl = 0
    core.memory.changed()
    return state.sysenter_eip if long else state.sysenter_eip & 0xFFFF_FFFF


def sysexit(core: Core, size: int) -> int:
    state = core.state
    if state.real or state.cpl or not state.sysenter_cs & 0xFFFC:
        core.fault(GP, 0, "SYSEXIT without a code segment, or not at privilege level 0")
    long, selector = size == 8, state.sysenter_cs & 0xFFFC
    if long and not (core.is_canonical(state.regs[1]) and core.is_canonical(state.regs[2])):
        core.fault(GP, 0, "SYSEXIT to an address, or a stack, that is not canonical")
    _flat(core, selector + (32 if long else 16) & 0xFFFF | 3, 3, True, long)
    _flat(core, selector + (40 if long else 24) & 0xFFFF | 3, 3, False, False)
    mask = MASK64 if long else 0xFFFF_FFFF
    state.regs[4] = state.regs[1] & mask
    target = state.regs[2] & mask
    state.cpl = 3
    core.memory.changed()
    return target
