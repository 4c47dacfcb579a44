"""Every register name that a person types, as a pair of functions on a State: "rax", "eax", "ah", "rflags", "xmm3", "ymm3", "st0", "fs_base".

Intel SDM volume 1, 3.4. A write to a 32-bit name clears the upper half of the register, to an 8 or 16-bit name leaves the rest, as instructions do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from tanken.isa.x86.state import FLAG_BITS, GPR_NAMES, SEGMENT_NAMES, State

WORDS = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
PLAIN = {"mxcsr": 32, "fs_base": 64, "gs_base": 64, "fpu_control": 16, "fpu_status": 16, "fpu_top": 3, "fpu_valid": 8}


@dataclass(frozen=True, slots=True)
class Register:
    """One name: its width in bits, how it is read and written, and whether it stands in a list of the state alone."""

    name: str
    width: int
    read: Callable[[State], int]
    write: Callable[[State, int], None]
    listed: bool = True


def _part(name: str, number: int, width: int, shift: int = 0) -> Register:
    """Bits of a general register."""
    if width == 64:
        return _element(name, "regs", number, 64)
    mask = (1 << width) - 1
    kept = 0 if width >= 32 else ~(mask << shift) & (1 << 64) - 1

    def read(state: State) -> int:
        return state.regs[number] >> shift & mask

    def write(state: State, value: int) -> None:
        state.regs[number] = state.regs[number] & kept | value << shift

    return Register(name, width, read, write)


def _field(name: str, field: str, width: int) -> Register:
    return Register(name, width, lambda state: int(getattr(state, field)), lambda state, value: setattr(state, field, value), False)


def _element(name: str, field: str, number: int, width: int) -> Register:
    def write(state: State, value: int) -> None:
        getattr(state, field)[number] = value

    pick = attrgetter(field)
    return Register(name, width, lambda state: pick(state)[number], write)


def _wide(number: int) -> Register:
    """A vector register of 256 bits."""

    def write(state: State, value: int) -> None:
        state.xmm[number], state.upper[number] = value & (1 << 128) - 1, value >> 128

    return Register(f"ymm{number}", 256, lambda state: state.xmm[number] | state.upper[number] << 128, write)


def _stack(number: int) -> Register:
    """ST(number), 80 bits; writing it marks it as valid."""

    def write(state: State, value: int) -> None:
        physical = state.fpu_top + number & 7
        state.st[physical] = value
        state.fpu_valid |= 1 << physical

    return Register(f"st{number}", 80, lambda state: int(state.st[state.fpu_top + number & 7]), write, False)


def _flags(name: str, width: int) -> Register:
    def write(state: State, value: int) -> None:
        state.rflags = value

    return Register(name, width, lambda state: state.rflags, write, False)


def _all() -> list[Register]:
    found = [_field("rip", "rip", 64), _flags("rflags", 64), _flags("eflags", 32)]
    for number, name in enumerate(GPR_NAMES):
        found.append(_part(name, number, 64))
        low, half = (WORDS[number], "e" + WORDS[number]) if number < 8 else (name + "w", name + "d")
        found += [_part(half, number, 32), _part(low, number, 16)]
        byte = name + "b" if number >= 8 else low[0] + "l" if number < 4 else low + "l"
        found.append(_part(byte, number, 8))
        if number < 4:
            found.append(_part(low[0] + "h", number, 8, 8))
    found += [_field(name, name, 1) for name in FLAG_BITS] + [_field(name, name, width) for name, width in PLAIN.items()]
    found += [_element(name, "segments", number, 16) for number, name in enumerate(SEGMENT_NAMES)]
    found += [_element(f"xmm{number}", "xmm", number, 128) for number in range(16)] + [_wide(number) for number in range(16)]
    return found + [_stack(number) for number in range(8)]


REGISTERS = {register.name: register for register in _all()}
