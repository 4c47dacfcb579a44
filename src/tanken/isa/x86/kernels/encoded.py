"""The payload of VEX, EVEX and XOP: two to four bytes that hold the map, register extensions, vvvv, the vector length and the selecting prefix.

SDM Vol. 2A, 2.3.5 and 2.7.1; AMD APM Vol. 3, 1.8.
"""

from __future__ import annotations

from collections.abc import Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L

# Extensions: rm (B), index (X), reg (R), W, the fifth bit of reg (EVEX R'), then EVEX's third byte, then whether there is one.
EXT_B, EXT_X, EXT_R, EXT_W, EXT_R2, EXT_THIRD, EXT_EVEX = 1, 2, 4, 8, 16, 8, 1 << 16


@bare
def kind_of(opcode: int, byte: int, mode: int) -> int:
    """VEX, EVEX or XOP for a first byte and the one behind it, 0 where they are pop, les, lds or bound."""
    if opcode == 0x8F:
        return L.XOP if byte & 31 >= 8 else 0
    if mode == 8 or byte >= 0xC0:
        return L.EVEX if opcode == 0x62 else L.VEX
    return 0


@bare
def payload_size(opcode: int) -> int:
    """Bytes between the first byte and the opcode."""
    return 1 if opcode == 0xC5 else (3 if opcode == 0x62 else 2)


@bare
def table_of(opcode: int, byte: int) -> int:
    """The map (index of `layout.MAPS`) that the payload's first byte names, 0 for none."""
    if opcode == 0xC5:
        return 5
    if opcode == 0xC4:
        field = byte & 31
        return 4 + field if 1 <= field <= 3 else 0
    if opcode == 0x8F:
        field = byte & 31
        return 5 + field if field <= 10 else 0
    field = byte & 15
    if field == 0 or field == 4 or field > 6:
        return 0
    return 7 + field if field < 4 else 6 + field


@bare
def fields(code: Sequence[int], pos: int, opcode: int, mode: int) -> tuple[int, int, int]:
    """The payload at `pos`: (extensions, vvvv, prefix bits). XOP keeps R and X in every mode, as objdump has it."""
    byte = code[pos] & 255
    if opcode == 0xC5:
        last = byte
        extensions = EXT_R if byte < 128 else 0
    else:
        last = code[pos + 1] & 255
        extensions = ((7 - (byte >> 5)) & 1) * EXT_B | ((7 - (byte >> 5)) >> 1 & 1) * EXT_X | (1 - (byte >> 7)) * EXT_R | (last >> 7) * EXT_W
    vvvv = 15 - ((last >> 3) & 15)
    bits = (last & 3) << L.PP_SHIFT
    if opcode == 0x62:
        third = code[pos + 2] & 255
        extensions |= (EXT_R2 if byte & 16 == 0 else 0) | third << EXT_THIRD | EXT_EVEX
        vvvv |= 16 - ((third & 8) << 1)
        bits |= L.EVEX | ((third >> 5) & 3) << L.LL_SHIFT | (L.EVEX_Z if third & 128 else 0) | (L.EVEX_B if third & 16 else 0)
    else:
        bits |= (L.XOP if opcode == 0x8F else L.VEX) | ((last >> 2) & 1) << L.LL_SHIFT
    if mode != 8:
        extensions &= ~(EXT_B if opcode == 0x8F else EXT_B | EXT_X | EXT_R | EXT_R2)
    return extensions, vvvv, bits
