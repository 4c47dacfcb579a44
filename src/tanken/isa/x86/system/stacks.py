"""Stacks as the processor itself uses them: words off the current one, frames onto one of any width, and the stacks of inner privilege levels.

Intel SDM volume 3, 5.8.5 (stack switching), 6.12.1 and 6.14.2 (frames), 7.2.1 (the task state segment); volume 1, 6.2.
"""

from __future__ import annotations

from tanken.isa.x86.paging import WRITE
from tanken.isa.x86.system import descriptors as D
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import MASK64, SS, TS, Core


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


def push(core: Core, values: list[int], size: int) -> None:
    """On the current stack, of the program's own privilege level."""
    state = core.state
    if state.mode == 64:
        state.regs[4] = push_long(core, values, size, state.regs[4], state.cpl)
    else:
        top = push_all(core, values, size, state.regs[4] & 0xFFFF_FFFF, state.bases[S.SS], state.limits[S.SS], state.rights[S.SS], state.cpl, 0, 0)
        state.regs[4] = top


def push_long(core: Core, values: list[int], size: int, stack: int, cpl: int) -> int:
    top = stack - size * len(values) & MASK64
    if not core.is_canonical(top):
        core.fault(SS, 0, "a stack that is no canonical address")
    kind = core.access(cpl) | 2
    core.memory.probe(top, size * len(values), kind)
    for number, value in enumerate(reversed(values)):
        core.memory.store_as(top + size * number, size, value & (1 << 8 * size) - 1, kind)
    return top


def from_task(core: Core, offset: int, size: int, external: int) -> int:
    """A field of the task state segment."""
    state = core.state
    if offset + size - 1 > state.tr_limit or not state.tr_rights & S.R_P or state.tr_rights & S.R_UNUSABLE:
        core.fault(TS, state.tr & 0xFFFC | external, "a task state segment that is too short")
    return core.load_system(state.tr_base + offset & MASK64, size)


def inner_stack(core: Core, cpl: int, external: int) -> tuple[int, int, D.Descriptor]:
    """Selector, pointer and segment of the stack that the task state segment has for a privilege level."""
    if core.state.tr_rights & 8:
        stack, selector = from_task(core, 4 + 8 * cpl, 4, external), from_task(core, 8 + 8 * cpl, 2, external)
    else:
        stack, selector = from_task(core, 2 + 4 * cpl, 2, external), from_task(core, 4 + 4 * cpl, 2, external)
    if not selector & 0xFFFC:
        core.fault(TS, external, "a null selector for the new stack")
    segment = D.read(core, selector, TS, external)
    D.check_stack(core, selector, segment, cpl, TS, external)
    return selector, stack, segment


def inside(offset: int, size: int, limit: int, rights: int) -> bool:
    """Whether bytes are within a data segment's limit (SDM volume 3, 5.3)."""
    last = offset + size - 1
    if rights & 0xC == 4:
        return offset > limit and last <= (0xFFFF_FFFF if rights & S.R_DB else 0xFFFF)
    return last <= limit


def push_all(core: Core, frame: list[int], size: int, stack: int, base: int, limit: int, rights: int, cpl: int, selector: int, external: int) -> int:
    """Push words of `size` bytes on a stack of 16 or 32 bits; the new stack pointer. Nothing is written where one of them cannot be."""
    mask = 0xFFFF_FFFF if rights & S.R_DB else 0xFFFF
    kind, places = core.access(cpl) | WRITE, []
    offset = stack
    for value in frame:
        offset = offset - size & mask
        if not inside(offset, size, limit, rights):
            core.fault(SS, selector & 0xFFFC | external, "the stack is full")
        places.append((base + offset & 0xFFFF_FFFF, value & (1 << 8 * size) - 1))
    for linear, _ in places:
        core.memory.probe(linear, size, kind)
    for linear, value in places:
        core.memory.store_as(linear, size, value, kind)
    return stack & ~mask & 0xFFFF_FFFF | offset
