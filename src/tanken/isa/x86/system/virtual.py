"""Virtual-8086 mode: how it is entered, its segments, and the instructions whose meaning IOPL, VME and the task's redirection bitmap decide.

Intel SDM volume 3, chapter 20: 20.2 (entering, leaving, IOPL), 20.3 and table 20-2 (virtual-mode extensions), 20.4 (PVI, protected mode's own).
"""

from __future__ import annotations

from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import GP, MASK64, Core
from tanken.isa.x86.system.events import software
from tanken.isa.x86.system.stacks import push
from tanken.isa.x86.system.state import CS

STATUS = 0xCD5 | S.TF | S.NT  # what POPF and IRET with virtual interrupts change, beside VIF
BITMAP_AT = 102  # where the task state segment says where its I/O bitmap is; the redirection bitmap ends there


def enter(core: Core, flags: int, stack: int, selectors: list[int]) -> None:
    """IRET, or a task switch, to flags with VM: `selectors` of ES, CS, SS, DS, FS, GS."""
    state = core.state
    state.rflags = flags
    for number, selector in enumerate(selectors):
        state.load_real(number, selector)
    state.regs[4] = stack
    state.cpl = 3
    core.memory.changed()


def _virtual_interrupts(core: Core, size: int = 2) -> bool:
    """Whether the interrupt flag is the program's own, #GP where it has neither that nor IF."""
    state = core.state
    if state.iopl == 3:
        return False
    if not state.cr4 & S.VME or size != 2:
        core.fault(GP, 0, "a virtual 8086 below IOPL 3")
    return True


def set_interrupt_flag(core: Core, on: bool) -> None:
    """CLI and STI, where IOPL does not let the program, or it is a virtual 8086."""
    state = core.state
    if state.cpl <= state.iopl:
        if on and not state.system_flags & S.IF:
            state.shadow = core.following
        state.system_flags = state.system_flags & ~S.IF | (S.IF if on else 0)
    elif state.cpl == 3 and state.cr4 & (S.VME if state.virtual else S.PVI):
        if on and state.system_flags & S.VIP:
            core.fault(GP, 0, "STI while a virtual interrupt is pending")
        state.system_flags = state.system_flags & ~S.VIF | (S.VIF if on else 0)
    else:
        core.fault(GP, 0, "CLI or STI above IOPL")


def _seen_flags(core: Core) -> int:
    """The flags as a virtual 8086 with its own interrupt flag sees them."""
    flags = core.state.rflags & ~S.IF | S.IOPL
    return flags | (S.IF if flags & S.VIF else 0)


def pushed_flags(core: Core, size: int) -> int:
    """What PUSHF pushes."""
    flags = _seen_flags(core) if _virtual_interrupts(core, size) else core.state.rflags
    return flags & ~(S.RF | S.VM)


def restores_flags(core: Core, value: int, size: int) -> bool:
    """POPF and IRET with virtual interrupts; False where the flags are restored as in any mode."""
    if not _virtual_interrupts(core, size):
        return False
    state = core.state
    if value & S.TF or (value & S.IF and state.system_flags & S.VIP):
        core.fault(GP, 0, "a trap flag, or interrupts let in while one is pending, for the monitor to see to")
    changed = STATUS
    flags = state.rflags & ~(changed | S.VIF) | value & changed
    state.rflags = flags | (S.VIF if value & S.IF else 0)
    return True


def interrupt(core: Core, vector: int) -> int:
    """INT n of a virtual 8086: by the interrupt table, or with VME by its own at address 0; where it goes on."""
    state = core.state
    if state.cr4 & S.VME and not _redirected(core, vector):
        flags = state.rflags if state.iopl == 3 else _seen_flags(core)
        target = core.memory.load(vector * 4, 4)
        push(core, [flags & 0xFFFF, state.segments[CS], core.following], 2)
        state.system_flags &= ~(S.TF | (S.IF if state.iopl == 3 else S.VIF))
        state.load_real(CS, target >> 16)
        return target & 0xFFFF
    if state.iopl < 3:
        core.fault(GP, 0, "INT of a virtual 8086 below IOPL 3")
    return software(core, vector)


def _redirected(core: Core, vector: int) -> bool:
    """The bit of the redirection bitmap: set where the monitor is meant."""
    state = core.state
    if BITMAP_AT + 1 > state.tr_limit:
        return True
    offset = core.load_system(state.tr_base + BITMAP_AT & MASK64, 2) - 32 + (vector >> 3)
    if not 0 <= offset <= state.tr_limit:
        return True
    return bool(core.load_system(state.tr_base + offset & MASK64, 1) >> (vector & 7) & 1)
