"""Hardware task switches: by JMP, CALL and IRET, and by task gates, also those in the interrupt table.

Intel SDM volume 3, chapter 7: 7.2 (task state segments, 104 bytes of 32 bits, 44 of 16), 7.3 (the order of checks; table 7-1: what each fault is),
7.4 (links). Once the new task's registers are loaded, faults are the new task's. Long mode has no task switches (7.7): they are #GP there.
"""

from __future__ import annotations

from dataclasses import dataclass

from tanken.isa.x86.paging import IMPLICIT, WRITE
from tanken.isa.x86.system import descriptors as D
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import GP, MASK64, NP, TS, Core

JUMP, CALL, RETURN = range(3)  # an exception or interrupt is a CALL
LOCAL_BREAKPOINTS = 0x55
TASK_TRAP = 1 << 15  # of DR6


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a task state segment has what, and how wide."""

    last: int  # the smallest limit
    size: int  # bytes of a register
    at: int  # EIP, EFLAGS, and the eight registers
    segments: tuple[int, ...]  # ES, CS, SS, DS and perhaps FS, GS
    ldt: int


WIDE = Shape(0x67, 4, 0x20, tuple(range(0x48, 0x60, 4)), 0x60)
NARROW = Shape(0x2B, 2, 0x0E, (0x22, 0x24, 0x26, 0x28), 0x2A)


def shape(rights: int) -> Shape:
    return WIDE if rights & 8 else NARROW


def go(core: Core, selector: int, descriptor: D.Descriptor, how: int) -> int:
    """JMP or CALL to a task or its gate; where the new task goes on."""
    state, code = core.state, selector & 0xFFFC
    if descriptor.dpl < max(state.cpl, selector & 3):
        core.fault(GP, code, "a task, or a task gate, of higher privilege")
    if descriptor.type == D.TASK_GATE:
        if not descriptor.present:
            core.fault(NP, code, "a task gate that is not present")
        return by_gate(core, descriptor, how, core.following, 0)
    if not descriptor.present:
        core.fault(NP, code, "a task that is not present")
    return switch(core, selector, descriptor, how, core.following, 0)


def by_gate(core: Core, gate: D.Descriptor, how: int, back: int, external: int) -> int:
    """To the task that a task gate names, which was checked."""
    selector = gate.selector
    code = selector & 0xFFFC | external
    if selector & 4 or not selector & 0xFFFC:
        core.fault(GP, code, "a task gate with a null or local selector")
    descriptor = D.read(core, selector, GP, external)
    if descriptor.is_segment or descriptor.type not in (D.TSS16, D.TSS32):
        core.fault(GP, code, "a task gate to no available task")
    if not descriptor.present:
        core.fault(NP, code, "a task that is not present")
    return switch(core, selector, descriptor, how, back, external)


def back(core: Core) -> int:
    """IRET with NT: to the task that called."""
    state = core.state
    if state.efer & S.LMA:
        core.fault(GP, 0, "IRET from a nested task in long mode")
    selector = core.load_system(state.tr_base, 2)
    if selector & 4 or not selector & 0xFFFC:
        core.fault(TS, selector & 0xFFFC, "a link to a null or local selector")
    descriptor = D.read(core, selector, TS)
    if descriptor.is_segment or descriptor.type not in (D.TSS16_BUSY, D.TSS32_BUSY):
        core.fault(TS, selector & 0xFFFC, "a link to no busy task")
    if not descriptor.present:
        core.fault(NP, selector & 0xFFFC, "a link to a task that is not present")
    return switch(core, selector, descriptor, RETURN, core.following, 0)


def switch(core: Core, selector: int, descriptor: D.Descriptor, how: int, back: int, external: int) -> int:
    """From the task in TR to another, which is available, or busy for RETURN; `back`: where the old one will go on."""
    state, new = core.state, shape(descriptor.rights)
    if descriptor.limit < new.last:
        core.fault(TS, selector & 0xFFFC | external, "a task state segment that is too short")
    found = _read(core, descriptor.base, new)
    _keep(core, back, how)
    if how != CALL:
        at = state.gdtr_base + (state.tr & 0xFFF8) + 5 & MASK64
        core.store_system(at, 1, core.load_system(at, 1) & ~D.BUSY)
    else:
        core.store_system(descriptor.base, 2, state.tr)
        found.flags |= S.NT
    descriptor = D.mark_accessed(core, descriptor, D.BUSY)
    state.tr, state.tr_base, state.tr_limit, state.tr_rights = selector, descriptor.base, descriptor.limit, descriptor.rights
    state.cr0 |= S.TS
    state.dr7 &= ~LOCAL_BREAKPOINTS
    state.shadow = S.NOWHERE - 1
    if new is WIDE and state.cr0 & S.PG:
        state.cr3 = found.cr3
        core.memory.flush_space(state.space)
    _load(core, found)
    if found.trap:
        state.pending |= TASK_TRAP
    return state.rip


# -- the task state segment


@dataclass(slots=True)
class Registers:
    """What a task state segment holds."""

    rip: int
    flags: int
    regs: list[int]
    segments: list[int]
    ldt: int
    cr3: int
    trap: int


def _read(core: Core, base: int, form: Shape) -> Registers:
    """All of a new task, before anything changes; the place of the link can be written."""
    core.memory.probe(base, 2, IMPLICIT | WRITE)
    at = form.at
    rip, flags, *regs = (core.load_system(base + at + form.size * n & MASK64, form.size) for n in range(10))
    segments = [core.load_system(base + place & MASK64, 2) for place in form.segments]
    ldt = core.load_system(base + form.ldt & MASK64, 2)
    cr3 = core.load_system(base + 0x1C & MASK64, 4) if form is WIDE else 0
    trap = core.load_system(base + 0x64 & MASK64, 1) & 1 if form is WIDE else 0
    return Registers(rip, flags, regs, segments + [0] * (6 - len(segments)), ldt, cr3, trap)


def _keep(core: Core, back: int, how: int) -> None:
    """The old task's registers into its segment."""
    state = core.state
    form, base = shape(state.tr_rights), state.tr_base
    flags = state.rflags & ~S.NT if how == RETURN else state.rflags
    mask = (1 << 8 * form.size) - 1
    core.memory.probe(base + form.at & MASK64, form.segments[-1] + 2 - form.at, IMPLICIT | WRITE)
    for n, value in enumerate((back, flags, *state.regs[:8])):
        core.store_system(base + form.at + form.size * n & MASK64, form.size, value & mask)
    for place, selector in zip(form.segments, state.segments, strict=False):
        core.store_system(base + place & MASK64, 2, selector)


# -- the new task


def _load(core: Core, found: Registers) -> None:
    """Registers first; then the segments, each of which may fault as an instruction of the new task."""
    state = core.state
    state.rip, state.rflags = found.rip, found.flags
    for number, value in enumerate(found.regs):
        state.regs[number] = value
    state.ldtr, state.ldtr_rights = found.ldt, S.R_UNUSABLE
    state.cpl = 3 if found.flags & S.VM else found.segments[S.CS] & 3
    for number, selector in enumerate(found.segments):
        if found.flags & S.VM:
            state.load_real(number, selector)
        else:
            state.segments[number] = selector  # what stands behind it is the old task's until it is loaded: a handler of its faults finds a stack
    core.memory.changed()
    if found.ldt & 0xFFFC:
        _load_ldt(core, found.ldt)
    if not found.flags & S.VM:
        _load_code(core, found.segments[S.CS])
        _load_stack(core, found.segments[S.SS])
        for number in (S.ES, S.DS, S.FS, S.GS):
            _load_data(core, number, found.segments[number])
    core.memory.changed()
    if state.rip > state.limits[S.CS]:
        core.fault(GP, 0, "a task that goes on beyond its code segment")


def _load_ldt(core: Core, selector: int) -> None:
    state = core.state
    descriptor = D.read(core, selector, TS) if not selector & 4 else None
    if descriptor is None or descriptor.is_segment or descriptor.type != D.LDT or not descriptor.present:
        core.fault(TS, selector & 0xFFFC, "a task without a local table that it has")
    state.ldtr_base, state.ldtr_limit, state.ldtr_rights = descriptor.base, descriptor.limit, descriptor.rights


def _load_code(core: Core, selector: int) -> None:
    code = selector & 0xFFFC
    if not code:
        core.fault(TS, 0, "a task with a null code segment")
    descriptor = D.read(core, selector, TS)
    wrong = descriptor.dpl > selector & 3 if descriptor.conforming else descriptor.dpl != selector & 3
    if not descriptor.is_code or wrong:
        core.fault(TS, code, "a task with no code segment of its privilege level")
    if not descriptor.present:
        core.fault(NP, code, "a task with a code segment that is not present")
    D.put(core, S.CS, selector, D.mark_accessed(core, descriptor))


def _load_stack(core: Core, selector: int) -> None:
    if not selector & 0xFFFC:
        core.fault(TS, 0, "a task with a null stack segment")
    descriptor = D.read(core, selector, TS)
    D.check_stack(core, selector, descriptor, core.state.cpl, TS)
    D.put(core, S.SS, selector, D.mark_accessed(core, descriptor))


def _load_data(core: Core, number: int, selector: int) -> None:
    code = selector & 0xFFFC
    if not code:
        return
    descriptor = D.read(core, selector, TS)
    if not descriptor.is_segment or (descriptor.is_code and not descriptor.type & D.READ_CODE):
        core.fault(TS, code, "a task with a segment that cannot be read")
    if not (descriptor.is_code and descriptor.conforming) and max(selector & 3, core.state.cpl) > descriptor.dpl:
        core.fault(TS, code, "a task with a segment of higher privilege")
    if not descriptor.present:
        core.fault(NP, code, "a task with a segment that is not present")
    D.put(core, number, selector, D.mark_accessed(core, descriptor))
