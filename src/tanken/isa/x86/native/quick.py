"""The instructions of an operating system that native code leaves out and that come often, done without decoding: known by their first bytes.

Intel SDM volume 2 by instruction. At privilege level 0 only, and of 32-bit code only the ports; a fault on the way leaves the instruction to the slow engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tanken.isa.x86.system import control as C
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system.core import MASK64, PortAccess
from tanken.isa.x86.system.returns import interrupt_return, restore_flags

# Opcodes of IN and OUT without a prefix: whether in, bytes, whether the port is an immediate.
PORTS = {0xE4: (True, 1, 1), 0xE5: (True, 4, 1), 0xE6: (False, 1, 1), 0xE7: (False, 4, 1),
         0xEC: (True, 1, 0), 0xED: (True, 4, 0), 0xEE: (False, 1, 0), 0xEF: (False, 4, 0)}  # fmt: skip
LOW = 0xFFFF_FFFF


def done(core: Any, code: bytes) -> Any:
    """An exit, True where the instruction is done, None for any other; `code` are its first bytes, up to 4."""
    state = core.state
    if state.cpl or state.system_flags & S.VM:
        return None
    if code[0] in PORTS:
        return _port(state, code)
    if state.mode != 64:
        return None
    found = ONE.get(code[0]) or TWO.get(code[:2])
    if found is not None:
        return found(core, code)
    long = code[0] == 0x41
    return _by_register(core, code[long:], 8 * long) if code[long : long + 2] in (b"\x0f\x22", b"\x0f\x01") else None


def _port(state: Any, code: bytes) -> PortAccess:
    is_in, size, immediate = PORTS[code[0]]
    port = code[1] if immediate else state.regs[2] & 0xFFFF
    value = 0 if is_in else state.regs[0] & (1 << 8 * size) - 1
    return PortAccess(port, size, is_in, value, False, False, state.rip + 1 + immediate)


def _by_register(core: Any, code: bytes, high: int) -> bool | None:
    """MOV to CR3, INVLPG of a plain address; SWAPGS, CLAC, STAC, RDPKRU."""
    state = core.state
    if len(code) < 3:
        return None
    value = state.regs[code[2] & 7 | high]
    if code[1] == 0x22:
        if code[2] & 0xF8 != 0xD8 or value >> 48 & (0x7FFF if state.cr4 & S.PCIDE else 0xFFFF):
            return None  # another register, or a fault
        C.write_cr3(core, value)
    elif code[2] & 0xF8 == 0x38 and code[2] & 7 not in (4, 5):
        C.invalidate_page(core, value)
    elif high:
        return None
    elif code[2] == 0xF8:
        C.swap_gs(core)
    elif code[2] in (0xCA, 0xCB):
        state.system_flags = state.system_flags & ~S.AC | (S.AC if code[2] == 0xCB else 0)
        core.memory.changed()
    elif code[2] == 0xEE and state.cr4 & S.PKE and not state.regs[1] & LOW:
        state.regs[0], state.regs[2] = state.pkru, 0
    else:
        return None
    state.rip += 3 + (high >> 3)
    return True


def _sti(core: Any, code: bytes) -> bool:
    state = core.state
    state.shadow = state.shadow if state.system_flags & S.IF else state.rip + 1
    state.system_flags |= S.IF
    state.rip += 1
    return True


def _popf(core: Any, code: bytes) -> bool:
    state = core.state
    restore_flags(core, core.memory.load(state.regs[4], 8), 8, 0, False)
    core.memory.changed()
    state.regs[4] = state.regs[4] + 8 & MASK64
    state.rip += 1
    return True


def _iret(core: Any, code: bytes) -> bool | None:
    if code[1:2] != b"\xcf" or core.state.system_flags & S.NT:
        return None
    core.following = core.state.rip + 2
    core.state.rip = interrupt_return(core, 8)
    return True


def _read_msr(core: Any, code: bytes) -> bool:
    state = core.state
    core.following = state.rip + 2
    value = C.read_msr(core, state.regs[1] & LOW)
    state.regs[0], state.regs[2] = value & LOW, value >> 32
    state.rip += 2
    return True


def _write_msr(core: Any, code: bytes) -> bool:
    state = core.state
    core.following = state.rip + 2
    C.write_msr(core, state.regs[1] & LOW, state.regs[0] & LOW | (state.regs[2] & LOW) << 32)
    state.rip += 2
    return True


def _cpuid(core: Any, code: bytes) -> bool:
    state = core.state
    words = core.cpuid(state.regs[0] & LOW, state.regs[1] & LOW)
    for number, value in zip((0, 3, 1, 2), words, strict=True):
        state.regs[number] = value
    state.rip += 2
    return True


ONE: dict[int, Callable[[Any, bytes], bool | None]] = {0xFB: _sti, 0x9D: _popf, 0x48: _iret}
TWO: dict[bytes, Callable[[Any, bytes], bool | None]] = {b"\x0f\x30": _write_msr, b"\x0f\x32": _read_msr, b"\x0f\xa2": _cpuid}
