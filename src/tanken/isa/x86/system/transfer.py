"""Far transfers: JMP, CALL, RET and IRET between segments and privilege levels, and the fast ways in and out of the kernel.

Intel SDM volume 2 by instruction, volume 3, 5.8; AMD APM volume 3 for SYSRET to an address that is not canonical (the fault is the program's).
Task gates and IRET from a nested task are not implemented: they raise #GP with a message that says so.
"""

from __future__ import annotations

from tanken.isa.x86.system import descriptors as D
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import GP, NP, SS, UD, Core
from tanken.isa.x86.system.events import MASK64, inner_stack, inside, push_all
from tanken.isa.x86.system.state import CS

CHANGED_BY_SYSRET = 0x3C_7FD7
FLAT_CODE, FLAT_DATA = 0xC09B, 0xC093


class Stack:
    """Reads words off the current stack without moving its pointer."""

    def __init__(self, core: Core, size: int) -> None:
        state = core.state
        self.core, self.size, self.at, self.wide = core, size, state.regs[4], state.stack_mask
        self.long = state.mode == 64

    def pop(self) -> int:
        core, state = self.core, self.core.state
        offset = self.at & self.wide
        if self.long:
            if not core.is_canonical(offset):
                core.fault(SS, 0, "a stack that is no canonical address")
            linear = offset
        else:
            if not inside(offset, self.size, state.limits[S.SS], state.rights[S.SS]):
                core.fault(SS, 0, "nothing more on the stack")
            linear = state.bases[S.SS] + offset & 0xFFFF_FFFF
        value = core.memory.load(linear, self.size)
        self.skip(self.size)
        return value

    def skip(self, count: int) -> None:
        self.at = self.at & ~self.wide | self.at + count & self.wide


def _offset_in(core: Core, descriptor: D.Descriptor, offset: int) -> int:
    """The offset, checked against the segment it is in."""
    if core.state.efer & S.LMA and descriptor.rights & S.R_L:
        return offset
    offset &= 0xFFFF_FFFF
    if offset > descriptor.limit:
        core.fault(GP, 0, "a target beyond its code segment")
    return offset


def _enter_code(core: Core, selector: int, descriptor: D.Descriptor, cpl: int) -> None:
    D.put(core, CS, selector & 0xFFFC | cpl, D.mark_accessed(core, descriptor))
    core.state.cpl = cpl
    core.memory.changed()


def _real(core: Core, selector: int) -> None:
    state = core.state
    state.segments[CS], state.bases[CS] = selector, selector << 4


def far_jump(core: Core, selector: int, offset: int, size: int) -> int:
    """JMP ptr16:16, ptr16:32, m16:16, m16:32, m16:64; `size` bytes of offset."""
    state = core.state
    if state.real:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a target beyond its code segment")
        _real(core, selector)
        return offset
    if not selector & 0xFFFC:
        core.fault(GP, 0, "a far jump to a null selector")
    descriptor = D.read(core, selector)
    if not descriptor.is_segment:
        gate = _call_gate(core, selector, descriptor)
        target = _gate_target(core, gate)
        if not target.conforming and target.dpl != state.cpl:
            core.fault(GP, gate.selector & 0xFFFC, "a jump by a call gate to another privilege level")
        offset = _offset_in(core, target, _gate_offset(gate))
        _enter_code(core, gate.selector, target, state.cpl)
        return offset
    D.check_code(core, selector, descriptor, state.cpl)
    offset = _offset_in(core, descriptor, offset)
    _enter_code(core, selector, descriptor, state.cpl)
    return offset


def _call_gate(core: Core, selector: int, descriptor: D.Descriptor) -> D.Descriptor:
    """The call gate that a far CALL or JMP names."""
    state = core.state
    kinds = (D.CALL32,) if state.efer & S.LMA else (D.CALL16, D.CALL32)
    if descriptor.type not in kinds:
        task = not state.efer & S.LMA and descriptor.type in (D.TASK_GATE, D.TSS16, D.TSS32)
        core.fault(GP, selector & 0xFFFC, "a task switch: not implemented" if task else "neither a code segment nor a call gate")
    if descriptor.dpl < max(state.cpl, selector & 3):
        core.fault(GP, selector & 0xFFFC, "a call gate of higher privilege")
    if not descriptor.present:
        core.fault(NP, selector & 0xFFFC, "a call gate that is not present")
    return D.upper_half(core, descriptor, selector)


def _gate_offset(gate: D.Descriptor) -> int:
    return gate.offset if gate.type & 8 else gate.offset & 0xFFFF


def _gate_target(core: Core, gate: D.Descriptor) -> D.Descriptor:
    selector = gate.selector
    if not selector & 0xFFFC:
        core.fault(GP, 0, "a call gate with a null selector")
    target = D.read(core, selector)
    if not target.is_code or target.dpl > core.state.cpl:
        core.fault(GP, selector & 0xFFFC, "a call gate to no code segment, or to one of lower privilege")
    if core.state.efer & S.LMA and (not target.rights & S.R_L or target.rights & S.R_DB):
        core.fault(GP, selector & 0xFFFC, "a call gate to a code segment that is not of 64 bits")
    if not target.present:
        core.fault(NP, selector & 0xFFFC, "a call gate to a segment that is not present")
    return target


def far_call(core: Core, selector: int, offset: int, size: int) -> int:
    state = core.state
    if state.real:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a target beyond its code segment")
        _push(core, [state.segments[CS], core.following], size)
        _real(core, selector)
        return offset
    if not selector & 0xFFFC:
        core.fault(GP, 0, "a far call to a null selector")
    descriptor = D.read(core, selector)
    if not descriptor.is_segment:
        return _call_by_gate(core, selector, descriptor)
    D.check_code(core, selector, descriptor, state.cpl)
    offset = _offset_in(core, descriptor, offset)
    _push(core, [state.segments[CS], core.following], size)
    _enter_code(core, selector, descriptor, state.cpl)
    return offset


def _push(core: Core, values: list[int], size: int) -> None:
    """On the current stack, of the program's own privilege level."""
    state = core.state
    if state.mode == 64:
        state.regs[4] = _push_long(core, values, size, state.regs[4], state.cpl)
    else:
        top = push_all(core, values, size, state.regs[4] & 0xFFFF_FFFF, state.bases[S.SS], state.limits[S.SS], state.rights[S.SS], state.cpl, 0, 0)
        state.regs[4] = top


def _push_long(core: Core, values: list[int], size: int, stack: int, cpl: int) -> int:
    top = stack - size * len(values) & MASK64
    if not core.is_canonical(top):
        core.fault(SS, 0, "a stack that is no canonical address")
    kind = core.access(cpl) | 2
    core.memory.probe(top, size * len(values), kind)
    for number, value in enumerate(reversed(values)):
        core.memory.store_as(top + size * number, size, value & (1 << 8 * size) - 1, kind)
    return top


def _call_by_gate(core: Core, selector: int, descriptor: D.Descriptor) -> int:
    state = core.state
    gate = _call_gate(core, selector, descriptor)
    target = _gate_target(core, gate)
    cpl = state.cpl if target.conforming else target.dpl
    offset = _offset_in(core, target, _gate_offset(gate))
    back = [state.segments[CS], core.following]
    size = 8 if state.efer & S.LMA else 4 if gate.type & 8 else 2
    if cpl == state.cpl:
        _push(core, back, size)
    elif size == 8:
        stack = core.load_system(state.tr_base + 4 + 8 * cpl & MASK64, 8)
        frame = [state.segments[S.SS], state.regs[4], *back]
        top = _push_long(core, frame, 8, stack, cpl)
        state.set_segment(S.SS, cpl, 0, 0xFFFF_FFFF, S.R_UNUSABLE | cpl << 5)
        state.regs[4] = top
    else:
        new, stack, segment = inner_stack(core, cpl, 0)
        old, count = Stack(core, size), gate.raw >> 32 & 31
        parameters = [old.pop() for _ in range(count)]
        frame = [state.segments[S.SS], state.regs[4], *reversed(parameters), *back]
        top = push_all(core, frame, size, stack, segment.base, segment.limit, segment.rights, cpl, new, 0)
        D.put(core, S.SS, new, D.mark_accessed(core, segment))
        state.regs[4] = top
    _enter_code(core, gate.selector, target, cpl)
    return offset


# -- back ------------------------------------------------------------------------------------------------------------------------


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
    if state.real:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a return beyond its code segment")
        stack.skip(release)
        state.regs[4] = stack.at
        _real(core, selector)
        return offset
    descriptor = _return_code(core, selector)
    offset = _offset_in(core, descriptor, offset)
    stack.skip(release)
    cpl = selector & 3
    if cpl == state.cpl:
        state.regs[4] = stack.at
        _enter_code(core, selector, descriptor, cpl)
        return offset
    outer, new = stack.pop(), stack.pop() & 0xFFFF
    to_long = bool(state.efer & S.LMA and descriptor.rights & S.R_L)
    segment = _outer_stack(core, new, cpl, to_long)
    _enter_code(core, selector, descriptor, cpl)
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


def interrupt_return(core: Core, size: int) -> int:
    """IRET, IRETD, IRETQ."""
    state = core.state
    stack = Stack(core, size)
    if not state.real and state.system_flags & S.NT:
        core.fault(GP, 0, "IRET from a nested task: task switches are not implemented")
    offset, selector, flags = stack.pop(), stack.pop() & 0xFFFF, stack.pop()
    state.nmi_blocked = 0
    if state.real:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a return beyond its code segment")
        state.regs[4] = stack.at
        _real(core, selector)
        restore_flags(core, flags, size, 0, True)
        return offset
    if size >= 4 and flags & S.VM and state.cpl == 0 and not state.efer & S.LMA:
        core.fault(GP, 0, "virtual-8086 mode is not implemented")
    descriptor = _return_code(core, selector)
    offset = _offset_in(core, descriptor, offset)
    cpl, before = selector & 3, state.cpl
    to_long = bool(state.efer & S.LMA and descriptor.rights & S.R_L)
    if cpl == before and state.mode != 64:
        state.regs[4] = stack.at
        _enter_code(core, selector, descriptor, cpl)
        restore_flags(core, flags, size, before, True)
        return offset
    outer, new = stack.pop(), stack.pop() & 0xFFFF
    segment = _outer_stack(core, new, cpl, to_long)
    restore_flags(core, flags, size, before, True)
    _enter_code(core, selector, descriptor, cpl)
    _set_outer(core, new, segment, outer, cpl, to_long)
    return offset


# -- SYSCALL, SYSENTER ---------------------------------------------------------------------------------------------------------


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
    _flat(core, selector + (32 if long else 16) & 0xFFFF | 3, 3, True, long)
    _flat(core, selector + (40 if long else 24) & 0xFFFF | 3, 3, False, False)
    mask = MASK64 if long else 0xFFFF_FFFF
    state.regs[4] = state.regs[1] & mask
    target = state.regs[2] & mask
    state.cpl = 3
    core.memory.changed()
    return target
