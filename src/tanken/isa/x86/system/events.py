"""Exceptions and interrupts: through the interrupt table to their handler, with the change of stack and privilege; double and triple faults.

Intel SDM volume 3, 6.10 to 6.15 (table 6-5: conditions for a double fault), 20.1.4 (real mode); volume 2, INT n (the order of checks).
"""

from __future__ import annotations

from tanken.isa.architecture import Fault, Faulted
from tanken.isa.x86.paging import WRITE
from tanken.isa.x86.system import descriptors as D
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system import tasks
from tanken.isa.x86.system.core import BP, DB, DE, DF, EXTERNAL, GP, HAS_CODE, MASK64, NMI, NP, OF, PF, SS, TS, Core, Shutdown, Vectoring
from tanken.isa.x86.system.debug import GENERAL_DETECT
from tanken.isa.x86.system.stacks import from_task, inner_stack, push_all

HARDWARE, SOFTWARE, OUTSIDE = range(3)  # an exception; INT n, INT3, INTO; an external interrupt or NMI
OUTSIDE_SEGMENTS = (S.GS, S.FS, S.DS, S.ES)  # of a virtual 8086, as they are pushed
CONTRIBUTORY = frozenset((DE, TS, NP, SS, GP))
TRAPS = frozenset((DB, NMI, BP, OF, DF))  # what is met behind an instruction, or for good: RF stays as it is


def raised(core: Core, fault: Fault) -> Shutdown | None:
    """Deliver an exception, and what happens while it is delivered (SDM volume 3, 6.15)."""
    first, now = fault, fault
    while True:
        try:
            deliver(core, now.vector, now.code, HARDWARE)
            return None
        except Faulted as faulted:
            second = faulted.exit
        if now.vector == DF:
            return Shutdown(first)
        both = now.vector in CONTRIBUTORY and second.vector in CONTRIBUTORY
        if both or (now.vector == PF and (second.vector in CONTRIBUTORY or second.vector == PF)):
            now = Fault(DF, 0, core.state.rip, f"{second.message}, while vector {now.vector} was delivered")
        else:
            now = second


def interrupt(core: Core, vector: int) -> Shutdown | None:
    """Deliver an external interrupt, or with vector 2 an NMI."""
    try:
        deliver(core, vector, None, OUTSIDE)
    except Faulted as faulted:
        return raised(core, faulted.exit)
    if vector == NMI:
        core.state.nmi_blocked = 1
    return None


def deliver(core: Core, vector: int, code: int | None, source: int) -> None:
    """One attempt; Faulted leaves the registers as they were. The saved address is RIP."""
    state = core.state
    external = 0 if source == SOFTWARE else EXTERNAL
    if vector not in HAS_CODE or source != HARDWARE:
        code = None
    elif code is None:
        code = 0
    core.vectoring = Vectoring(vector, _kind(core, vector, source), code)
    if state.real:
        real_mode(core, vector)
    elif state.efer & S.LMA:
        long_mode(core, vector, code, source, external)
    else:
        protected_mode(core, vector, code, source, external)
    state.shadow = S.NOWHERE - 1
    if vector == DB and source == HARDWARE:
        state.dr7 &= ~GENERAL_DETECT
    core.vectoring = None
    core.memory.changed()


def _kind(core: Core, vector: int, source: int) -> int:
    """The kind of event in VMX's words: INT n, INT1, INT3 and INTO are told apart by the instruction."""
    if source == OUTSIDE:
        return 2 if vector == NMI else 0
    name = core.inst.mnemonic if core.inst is not None else ""
    if source == SOFTWARE:
        return 6 if name in ("int3", "into") else 4
    return 5 if name == "int1" and vector == DB else 3


def saved_flags(core: Core, vector: int, source: int) -> int:
    """RFLAGS as they are pushed: a fault asks to be tried again with RF set."""
    flags = core.state.rflags
    return flags | S.RF if source == HARDWARE and vector not in TRAPS else flags


def real_mode(core: Core, vector: int) -> None:
    state = core.state
    if vector * 4 + 3 > state.idtr_limit:
        core.fault(GP, None, f"vector {vector:#x} beyond the interrupt table")
    target = core.load_system(state.idtr_base + vector * 4, 4)
    sp = state.regs[4]
    for value in (state.rflags & 0xFFFF, state.segments[S.CS], state.rip & 0xFFFF):
        sp = sp & ~0xFFFF | sp - 2 & 0xFFFF
        core.memory.store(state.bases[S.SS] + (sp & 0xFFFF), 2, value)
    state.regs[4] = sp
    state.system_flags &= ~(S.IF | S.TF | S.AC | S.RF)
    state.load_real(S.CS, target >> 16)
    state.rip = target & 0xFFFF


def gate_of(core: Core, vector: int, source: int, external: int, size: int, types: tuple[int, ...]) -> D.Descriptor:
    state = core.state
    code = vector * 8 + 2
    if vector * size + size - 1 > state.idtr_limit:
        core.fault(GP, code | external, f"vector {vector:#x} beyond the interrupt table")
    at = state.idtr_base + vector * size & MASK64
    gate = D.Descriptor(core.load_system(at, 8), at, core.load_system(at + 8, 8) if size == 16 else 0)
    if gate.is_segment or gate.type not in types:
        core.fault(GP, code | external, f"no gate for vector {vector:#x}")
    if source == SOFTWARE and gate.dpl < state.cpl:
        core.fault(GP, code, f"a gate of higher privilege for vector {vector:#x}")
    if not gate.present:
        core.fault(NP, code | external, f"a gate that is not present for vector {vector:#x}")
    return gate


def code_of(core: Core, selector: int, external: int) -> D.Descriptor:
    """The code segment of a handler."""
    if not selector & 0xFFFC:
        core.fault(GP, external, "a gate with a null selector")
    descriptor = D.read(core, selector, GP, external)
    if not descriptor.is_code or descriptor.dpl > core.state.cpl:
        core.fault(GP, selector & 0xFFFC | external, "a gate to no code segment, or to one of lower privilege")
    if not descriptor.present:
        core.fault(NP, selector & 0xFFFC | external, "a gate to a segment that is not present")
    return descriptor


def long_mode(core: Core, vector: int, code: int | None, source: int, external: int) -> None:
    state = core.state
    gate = gate_of(core, vector, source, external, 16, (D.INT32, D.TRAP32))
    target = code_of(core, gate.selector, external)
    if not target.rights & S.R_L or target.rights & S.R_DB:
        core.fault(GP, gate.selector & 0xFFFC | external, "a gate to a code segment that is not of 64 bits")
    cpl = state.cpl if target.conforming else target.dpl
    stack_table = gate.raw >> 32 & 7
    if stack_table:
        stack = from_task(core, 28 + 8 * stack_table, 8, external)
    elif cpl < state.cpl:
        stack = from_task(core, 4 + 8 * cpl, 8, external)
    else:
        stack = state.regs[4]
    frame = [state.segments[S.SS], state.regs[4], saved_flags(core, vector, source), state.segments[S.CS], state.rip]
    if code is not None:
        frame.append(code)
    top = (stack & ~15) - 8 * len(frame) & MASK64
    if not core.is_canonical(top) or not core.is_canonical(stack):
        core.fault(SS, external, "a stack that is no canonical address")
    kind = core.access(cpl) | WRITE
    core.memory.probe(top, 8 * len(frame), kind)
    for number, value in enumerate(reversed(frame)):
        core.memory.store_as(top + 8 * number, 8, value, kind)
    target = D.mark_accessed(core, target)
    if cpl < state.cpl:
        state.set_segment(S.SS, cpl, 0, 0xFFFF_FFFF, S.R_UNUSABLE | cpl << 5)
    enter(core, gate, target, cpl, gate.offset, top)


def enter(core: Core, gate: D.Descriptor, target: D.Descriptor, cpl: int, offset: int, stack: int) -> None:
    """The handler's registers: an interrupt gate shuts interrupts out, a trap gate does not."""
    state = core.state
    state.regs[4] = stack
    state.system_flags &= ~(S.TF | S.NT | S.RF | S.VM | (0 if gate.type & 1 else S.IF))
    D.put(core, S.CS, gate.selector & 0xFFFC | cpl, target)
    state.cpl = cpl
    state.rip = offset


def protected_mode(core: Core, vector: int, code: int | None, source: int, external: int) -> None:
    state = core.state
    gate = gate_of(core, vector, source, external, 8, (D.TASK_GATE, D.INT16, D.TRAP16, D.INT32, D.TRAP32))
    if gate.type == D.TASK_GATE:
        return _by_task(core, gate, code, external)
    target = code_of(core, gate.selector, external)
    cpl = state.cpl if target.conforming else target.dpl
    if state.virtual and cpl:
        core.fault(GP, gate.selector & 0xFFFC | external, "a handler of a virtual 8086 that is not at privilege level 0")
    size = 4 if gate.type & 8 else 2
    offset = gate.offset if size == 4 else gate.offset & 0xFFFF
    frame = [saved_flags(core, vector, source), state.segments[S.CS], state.rip]
    if cpl < state.cpl:
        selector, stack, segment = inner_stack(core, cpl, external)
        frame = [state.segments[S.SS], state.regs[4], *frame]
        if state.virtual:
            frame = [*(state.segments[number] for number in OUTSIDE_SEGMENTS), *frame]
    else:
        selector, stack, segment = state.segments[S.SS], state.regs[4], None
    if code is not None:
        frame.append(code)
    base, rights = (segment.base, segment.rights) if segment else (state.bases[S.SS], state.rights[S.SS])
    limit = segment.limit if segment else state.limits[S.SS]
    top = push_all(core, frame, size, stack, base, limit, rights, cpl, selector if segment else 0, external)
    target = D.mark_accessed(core, target)
    if segment is not None:
        D.put(core, S.SS, selector, D.mark_accessed(core, segment))
    if offset > target.limit:
        core.fault(GP, external, "a handler beyond its code segment")
    if state.virtual:
        for number in OUTSIDE_SEGMENTS:
            state.set_segment(number, 0, 0, 0, S.R_UNUSABLE)
    enter(core, gate, target, cpl, offset, top)


def _by_task(core: Core, gate: D.Descriptor, code: int | None, external: int) -> None:
    """To the handler that is a task of its own; an error code goes onto its stack."""
    state = core.state
    tasks.by_gate(core, gate, tasks.CALL, state.rip, external)
    if code is not None:
        size = tasks.shape(state.tr_rights).size
        state.regs[4] = push_all(core, [code], size, state.regs[4], state.bases[S.SS], state.limits[S.SS], state.rights[S.SS], state.cpl, 0, external)


def software(core: Core, vector: int) -> int:
    """INT n, INT3, INTO: the handler, with the address behind the instruction saved."""
    state = core.state
    before = state.rip
    state.rip = core.following
    try:
        deliver(core, vector, None, SOFTWARE)
    except Faulted:
        state.rip = before
        raise
    return state.rip


def debug_trap(core: Core, bits: int) -> None:
    """A #DB behind an instruction: what happened, into DR6 (SDM volume 3, 17.2.3); raises Faulted."""
    state = core.state
    state.dr6 |= bits
    raise Faulted(Fault(DB, None, state.rip, "debug"))
