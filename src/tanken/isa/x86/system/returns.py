"""Back from segments, gates and interrupts: RETF and IRET, to the same or an outer privilege level, and which flags they may change.

Intel SDM volume 2, RET, IRET, POPF (table 4-22); volume 3, 5.8.6. IRET with NT ends a task (`tasks`), with VM in the flags it begins a virtual 8086 (`virtual`).
"""

from __future__ import annotations

from tanken.isa.x86.system import descriptors as D
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system import tasks, virtual
from tanken.isa.x86.system.core import GP, MASK64, NP, Core
from tanken.isa.x86.system.stacks import Stack
from tanken.isa.x86.system.state import CS
from tanken.isa.x86.system.transfer import enter_code, offset_in


def _return_code(core: Core, selector: int) -> D.Descriptor:
    """The code segment that RETF or IRET goes back to."""
    state = core.state
    if not selector & 0xFFFC:
        core.fault(GP, 0, "a return to a null selector")
    if selector & 3 < state.cpl:
        core.fault(GP, selector & 0xFFFC, "a return to an inner privilege level")
    descriptor = D.read(core, selector)
    wrong = descriptor.dpl > selector & 3 if descriptor.conforming else descriptor.dpl != selector & 3
    if not descriptor.is_code or wrong:
        core.fault(GP, selector & 0xFFFC, "a return to no code segment of its privilege level")
    D.check_long_code(core, selector, descriptor)
    if not descriptor.present:
        core.fault(NP, selector & 0xFFFC, "a return to a segment that is not present")
    return descriptor


def _outer_stack(core: Core, selector: int, cpl: int, to_long: bool) -> D.Descriptor | None:
    """The stack segment of the outer level; None: a null one, which 64-bit mode allows below level 3."""
    if not selector & 0xFFFC:
        if not to_long or cpl == 3 or selector & 3 != cpl:
            core.fault(GP, 0, "a return to a null stack segment")
        return None
    descriptor = D.read(core, selector)
    D.check_stack(core, selector, descriptor, cpl, GP)
    return descriptor


def _set_outer(core: Core, selector: int, segment: D.Descriptor | None, stack: int, cpl: int, to_long: bool) -> None:
    """The outer stack, and no segment left that the outer level may not have."""
    state = core.state
    if segment is None:
        state.set_segment(S.SS, selector, 0, 0xFFFF_FFFF, S.R_UNUSABLE | cpl << 5)
    else:
        D.put(core, S.SS, selector, D.mark_accessed(core, segment))
    if to_long:
        state.regs[4] = stack
    elif state.rights[S.SS] & S.R_DB:
        state.regs[4] = stack & 0xFFFF_FFFF
    else:
        state.regs[4] = state.regs[4] & ~0xFFFF | stack & 0xFFFF
    for number in (S.ES, S.DS, S.FS, S.GS):
        rights = state.rights[number]
        conforming = rights & 0x1C == 0x1C
        if not rights & S.R_UNUSABLE and not conforming and rights >> 5 & 3 < cpl:
            state.segments[number] = 0
            state.rights[number] = S.R_UNUSABLE
            if number < 4:
                state.bases[number] = 0


def far_return(core: Core, size: int, release: int) -> int:
    """RETF, with `release` bytes of parameters."""
    state = core.state
    stack = Stack(core, size)
    offset, selector = stack.pop(), stack.pop() & 0xFFFF
    if state.real or state.virtual:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a return beyond its code segment")
        stack.skip(release)
        state.regs[4] = stack.at
        state.load_real(CS, selector)
        return offset
    descriptor = _return_code(core, selector)
    offset = offset_in(core, descriptor, offset)
    stack.skip(release)
    cpl = selector & 3
    if cpl == state.cpl:
        state.regs[4] = stack.at
        enter_code(core, selector, descriptor, cpl)
        return offset
    outer, new = stack.pop(), stack.pop() & 0xFFFF
    to_long = bool(state.efer & S.LMA and descriptor.rights & S.R_L)
    segment = _outer_stack(core, new, cpl, to_long)
    enter_code(core, selector, descriptor, cpl)
    _set_outer(core, new, segment, outer, cpl, to_long)
    state.regs[4] = state.regs[4] + release & (MASK64 if to_long else 0xFFFF_FFFF)
    return offset


def restore_flags(core: Core, value: int, size: int, cpl: int, from_iret: bool) -> None:
    """What POPF and IRET change at privilege level `cpl` (SDM volume 2, POPF table 4-22, IRET)."""
    state = core.state
    changed = 0xDD5 | S.TF | S.NT | S.AC | S.ID
    if from_iret:
        changed |= S.RF
    if cpl <= state.iopl:
        changed |= S.IF
    if cpl == 0:
        changed |= S.IOPL | (S.VIF | S.VIP if from_iret else 0)
    if size == 2:
        changed &= 0xFFFF
    old = state.rflags
    if not from_iret:
        old &= ~S.RF
    state.rflags = old & ~changed | value & changed


def _to_virtual(core: Core, stack: Stack, offset: int, selector: int, flags: int) -> int:
    """The rest of the frame, and into it."""
    pointer, ss, es, ds, fs, gs = (stack.pop() for _ in range(6))
    if offset > 0xFFFF:
        core.fault(GP, 0, "a return beyond 64 KiB to a virtual 8086")
    virtual.enter(core, flags, pointer, [word & 0xFFFF for word in (es, selector, ss, ds, fs, gs)])
    return offset


def interrupt_return(core: Core, size: int) -> int:
    """IRET, IRETD, IRETQ."""
    state = core.state
    stack = Stack(core, size)
    if not state.real and not state.virtual and state.system_flags & S.NT:
        return tasks.back(core)
    offset, selector, flags = stack.pop(), stack.pop() & 0xFFFF, stack.pop()
    state.nmi_blocked = 0
    if state.real or state.virtual:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a return beyond its code segment")
        if not state.virtual or not virtual.restores_flags(core, flags, size):
            restore_flags(core, flags, size, state.cpl, True)
        state.regs[4] = stack.at
        state.load_real(CS, selector)
        return offset
    if size == 4 and flags & S.VM and state.cpl == 0 and not state.efer & S.LMA:
        return _to_virtual(core, stack, offset, selector, flags)
    descriptor = _return_code(core, selector)
    offset = offset_in(core, descriptor, offset)
    cpl, before = selector & 3, state.cpl
    to_long = bool(state.efer & S.LMA and descriptor.rights & S.R_L)
    if cpl == before and state.mode != 64:
        state.regs[4] = stack.at
        enter_code(core, selector, descriptor, cpl)
        restore_flags(core, flags, size, before, True)
        return offset
    outer, new = stack.pop(), stack.pop() & 0xFFFF
    segment = _outer_stack(core, new, cpl, to_long)
    restore_flags(core, flags, size, before, True)
    enter_code(core, selector, descriptor, cpl)
    _set_outer(core, new, segment, outer, cpl, to_long)
    return offset
