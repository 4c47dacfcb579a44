"""Breakpoints in DR0 to DR3: which an access, an instruction or a port touches; and what is pending behind an instruction.

Intel SDM volume 3, 17.2.4 to 17.2.6 (DR7: kinds, lengths), 17.3.1 (faults before an instruction, traps behind an access), 19.5 of volume 1 (ports).
"""

from __future__ import annotations

from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.state import SystemState

INSTRUCTION, STORE, PORT, LOAD = range(4)  # what is touched; numbers of DR7's R/W where they mean one thing
ENABLED, GENERAL_DETECT = 0xFF, 1 << 13
SINGLE_STEP = 1 << 14  # of DR6
LENGTHS = (1, 2, 8, 4)


def touched(state: SystemState, at: int, size: int, kind: int) -> int:
    """Bits of DR6 for the enabled breakpoints that lie in `size` bytes, or ports, from `at` on."""
    hit = 0
    for number in range(4):
        if not state.dr7 >> 2 * number & 3:
            continue
        what, length = state.dr7 >> 16 + 4 * number & 3, LENGTHS[state.dr7 >> 18 + 4 * number & 3]
        if what == PORT:
            matches = kind == PORT and bool(state.cr4 & S.DE)
        else:
            matches = what == kind or (what == LOAD and kind == STORE)
        if kind == INSTRUCTION:
            length = 1
        start = state.dr[number] & ~(length - 1)
        if matches and at < start + length and start < at + size:
            hit |= 1 << number
    return hit


def ended(state: SystemState) -> None:
    """An instruction that somebody outside ended: a step is over, and RF with it."""
    if state.system_flags & S.TF:
        state.pending |= SINGLE_STEP
    state.system_flags &= ~S.RF
