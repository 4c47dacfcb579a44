"""IN, OUT, INS and OUTS: whether they may, what they ask for, and how they end once somebody has answered.

Intel SDM volume 1, chapter 19 (I/O permission bitmap), volume 2 by instruction. A string instruction asks for one element at a time.
"""

from __future__ import annotations

from tanken.isa.x86.paging import USER, WRITE
from tanken.isa.x86.system import debug
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import GP, MASK64, SS, Core, LinearMemory, PortAccess
from tanken.isa.x86.system.stacks import inside
from tanken.isa.x86.system.state import SystemState

BITMAP_AT = 102  # of a 32-bit or 64-bit task state segment


def check(core: Core, port: int, size: int) -> None:
    """#GP where neither IOPL nor the bitmap of the task lets the program."""
    state = core.state
    if state.real or (state.cpl <= state.iopl and not state.virtual):
        return
    allowed = bool(state.tr_rights & 8) and BITMAP_AT + 1 <= state.tr_limit
    if allowed:
        offset = core.load_system(state.tr_base + BITMAP_AT & MASK64, 2) + (port >> 3)
        allowed = offset + 1 <= state.tr_limit
        if allowed:
            bits = core.load_system(state.tr_base + offset & MASK64, 2)
            allowed = not bits >> (port & 7) & (1 << size) - 1
    if not allowed:
        core.fault(GP, 0, f"port {port:#x}: not for this program")


def read_port(core: Core, port: int, size: int) -> None:
    check(core, port, size)
    core.leave(PortAccess(port, size, True, 0, False, False, core.following))


def write_port(core: Core, port: int, size: int, value: int) -> None:
    check(core, port, size)
    core.leave(PortAccess(port, size, False, value & (1 << 8 * size) - 1, False, False, core.following))


def string_port(core: Core, is_in: bool, size: int, address_size: int, segment: int, repeated: bool) -> None:
    """One element of INS or OUTS; nothing where the count is 0."""
    state = core.state
    mask = (1 << 8 * address_size) - 1
    if repeated and not state.regs[1] & mask:
        return
    port = state.regs[2] & 0xFFFF
    check(core, port, size)
    offset = state.regs[7 if is_in else 6] & mask
    linear = segment_address(core, segment, offset, size, is_in)
    value = 0
    if is_in:
        core.memory.probe(linear, size, (USER if state.cpl == 3 else 0) | WRITE)
    else:
        value = core.memory.load(linear, size)
    core.leave(PortAccess(port, size, is_in, value, True, repeated, core.following, linear, address_size))


def segment_address(core: Core, segment: int, offset: int, size: int, write: bool) -> int:
    """The linear address in a data segment, checked."""
    state = core.state
    if state.mode == 64:
        return offset + (state.base(segment) if segment >= S.FS else 0) & MASK64
    if segment_error(offset, state.limits[segment], state.rights[segment], size, int(write and not state.real))[0]:
        core.fault(SS if segment == S.SS else GP, 0, "beyond the segment, or not its right")
    return state.base(segment) + offset & 0xFFFF_FFFF


def segment_error(offset: int, limit: int, rights: int, size: int, write: int) -> tuple[int]:
    """Whether an access of a program of 16 or 32 bits is forbidden by its segment (SDM volume 3, 5.3 and 5.4)."""
    if rights & S.R_UNUSABLE:
        return (1,)
    if rights & 8:
        forbidden = write or not rights & 2
        return (int(bool(forbidden or not inside(offset, size, limit, rights & ~4))),)
    return (int(bool((write and not rights & 2) or not inside(offset, size, limit, rights))),)


def complete(state: SystemState, memory: LinearMemory, access: PortAccess, value: int) -> None:
    """End the instruction that asked; `value` is what IN got."""
    if state.dr7 & debug.ENABLED:
        state.pending |= debug.touched(state, access.port, access.size, debug.PORT)
        if access.string:
            state.pending |= debug.touched(state, access.linear, access.size, debug.STORE if access.is_in else debug.LOAD)
    value &= (1 << 8 * access.size) - 1
    if not access.string:
        if access.is_in:
            keep = ~0xFFFF_FFFF_FFFF_FFFF if access.size == 4 else ~((1 << 8 * access.size) - 1)
            state.regs[0] = state.regs[0] & keep & MASK64 | value
        state.rip = access.following
        return
    if access.is_in:
        memory.store(access.linear, access.size, value)
    mask = (1 << 8 * access.address_size) - 1
    _advance(state, 7 if access.is_in else 6, -access.size if state.df else access.size, mask)
    if access.repeated:
        _advance(state, 1, -1, mask)
        if state.regs[1] & mask:
            return
    state.rip = access.following


def _advance(state: SystemState, number: int, step: int, mask: int) -> None:
    old = state.regs[number]
    new = old + step & mask
    state.regs[number] = new if mask >= 0xFFFF_FFFF else old & ~mask | new
