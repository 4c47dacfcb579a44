"""Far transfers: JMP and CALL between segments and privilege levels, by call gates, and to other tasks.

Intel SDM volume 2 by instruction, volume 3, 5.8 (call gates) and 7.3 (task switches, which are in `tasks`); the ways back are in `returns`.
"""

from __future__ import annotations

from tanken.isa.x86.system import descriptors as D
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system import tasks
from tanken.isa.x86.system.core import GP, MASK64, NP, Core
from tanken.isa.x86.system.stacks import Stack, inner_stack, push, push_all, push_long
from tanken.isa.x86.system.state import CS


def offset_in(core: Core, descriptor: D.Descriptor, offset: int) -> int:
    """The offset, checked against the segment it is in."""
    if core.state.efer & S.LMA and descriptor.rights & S.R_L:
        return offset
    offset &= 0xFFFF_FFFF
    if offset > descriptor.limit:
        core.fault(GP, 0, "a target beyond its code segment")
    return offset


def enter_code(core: Core, selector: int, descriptor: D.Descriptor, cpl: int) -> None:
    D.put(core, CS, selector & 0xFFFC | cpl, D.mark_accessed(core, descriptor))
    core.state.cpl = cpl
    core.memory.changed()


def far_jump(core: Core, selector: int, offset: int, size: int) -> int:
    """JMP ptr16:16, ptr16:32, m16:16, m16:32, m16:64; `size` bytes of offset."""
    state = core.state
    if state.real or state.virtual:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a target beyond its code segment")
        state.load_real(CS, selector)
        return offset
    if not selector & 0xFFFC:
        core.fault(GP, 0, "a far jump to a null selector")
    descriptor = D.read(core, selector)
    if tasks_are_meant(core, descriptor):
        return tasks.go(core, selector, descriptor, tasks.JUMP)
    if not descriptor.is_segment:
        gate = _call_gate(core, selector, descriptor)
        target = _gate_target(core, gate)
        if not target.conforming and target.dpl != state.cpl:
            core.fault(GP, gate.selector & 0xFFFC, "a jump by a call gate to another privilege level")
        offset = offset_in(core, target, _gate_offset(gate))
        enter_code(core, gate.selector, target, state.cpl)
        return offset
    D.check_code(core, selector, descriptor, state.cpl)
    offset = offset_in(core, descriptor, offset)
    enter_code(core, selector, descriptor, state.cpl)
    return offset


def tasks_are_meant(core: Core, descriptor: D.Descriptor) -> bool:
    """Whether a far JMP or CALL switches tasks."""
    return not core.state.efer & S.LMA and not descriptor.is_segment and descriptor.type in (D.TASK_GATE, D.TSS16, D.TSS32)


def _call_gate(core: Core, selector: int, descriptor: D.Descriptor) -> D.Descriptor:
    """The call gate that a far CALL or JMP names."""
    state = core.state
    kinds = (D.CALL32,) if state.efer & S.LMA else (D.CALL16, D.CALL32)
    if descriptor.type not in kinds:
        core.fault(GP, selector & 0xFFFC, "neither a code segment, a call gate nor an available task")
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
    if state.real or state.virtual:
        if offset > state.limits[CS]:
            core.fault(GP, 0, "a target beyond its code segment")
        push(core, [state.segments[CS], core.following], size)
        state.load_real(CS, selector)
        return offset
    if not selector & 0xFFFC:
        core.fault(GP, 0, "a far call to a null selector")
    descriptor = D.read(core, selector)
    if tasks_are_meant(core, descriptor):
        return tasks.go(core, selector, descriptor, tasks.CALL)
    if not descriptor.is_segment:
        return _call_by_gate(core, selector, descriptor)
    D.check_code(core, selector, descriptor, state.cpl)
    offset = offset_in(core, descriptor, offset)
    push(core, [state.segments[CS], core.following], size)
    enter_code(core, selector, descriptor, state.cpl)
    return offset


def _call_by_gate(core: Core, selector: int, descriptor: D.Descriptor) -> int:
    state = core.state
    gate = _call_gate(core, selector, descriptor)
    target = _gate_target(core, gate)
    cpl = state.cpl if target.conforming else target.dpl
    offset = offset_in(core, target, _gate_offset(gate))
    back = [state.segments[CS], core.following]
    size = 8 if state.efer & S.LMA else 4 if gate.type & 8 else 2
    if cpl == state.cpl:
        push(core, back, size)
    elif size == 8:
        stack = core.load_system(state.tr_base + 4 + 8 * cpl & MASK64, 8)
        frame = [state.segments[S.SS], state.regs[4], *back]
        top = push_long(core, frame, 8, stack, cpl)
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
    enter_code(core, gate.selector, target, cpl)
    return offset
