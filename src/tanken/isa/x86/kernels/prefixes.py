"""The prefix bytes: which there are, and, once the row is known, which of them acted, since the text shows the others.

SDM Vol. 2A, 2.1.1 and 2.2.1; runs of prefixes and their limits as GNU objdump 2.40 has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels.fields import segment_of

MOST = 14  # prefixes of a line
NOWHERE = 15
# Places of the last prefix of each class, four bits each, NOWHERE where there is none; then whether 3e was among them.
LAST_66, LAST_67, LAST_REP, LAST_SEGMENT = 0, 4, 8, 12
SEEN_DS = 1 << 16
NO_MARKS = 0xFFFF


@bare
def scan(T: Sequence[int], code: Sequence[int], start: int, end: int, mode: int) -> tuple[int, int, int, int, int, int, int, int]:
    """The prefixes from `start` on: (outcome, count, bits, REX, marks, active segment, places of FWAIT, prefixes before the last FWAIT).

    The outcome is OK, TRUNCATED or PREFIXES_ONLY; the active segment is -1 without an override, the last number -1 without FWAIT.
    """
    pos = start
    wide64 = 256 if mode == 8 else 0
    count = 0
    bits = 0
    rex = 0
    marks = NO_MARKS
    active = -1
    fwaits = 0
    fwait = -1
    while True:
        if pos >= end:
            return L.TRUNCATED, count, bits, rex, marks, active, fwaits, fwait
        byte = code[pos] & 255
        kind = T[wide64 + byte]
        if kind == L.P_NONE:
            break
        if rex:
            return L.PREFIXES_ONLY, count, bits, rex, marks, active, fwaits, fwait
        if kind == L.P_FWAIT:
            fwait = count - (fwaits & 1)
            fwaits |= 1 << count
            pos += 1
            count += 1
            if count > 1:
                if pos >= end:
                    return L.TRUNCATED, count, bits, rex, marks, active, fwaits, fwait
                break
            continue
        if kind == L.P_REX:
            rex = byte
        elif kind == L.P_DATA:
            marks = (marks & ~(15 << LAST_66)) | (count << LAST_66)
            bits |= L.DATA
        elif kind == L.P_ADDR:
            marks = (marks & ~(15 << LAST_67)) | (count << LAST_67)
            bits |= L.ADDR
        elif kind == L.P_REPZ:
            marks = (marks & ~(15 << LAST_REP)) | (count << LAST_REP)
            bits = (bits & ~L.REPNZ) | L.REPZ
        elif kind == L.P_REPNZ:
            marks = (marks & ~(15 << LAST_REP)) | (count << LAST_REP)
            bits = (bits & ~L.REPZ) | L.REPNZ
        elif kind == L.P_LOCK:
            bits |= L.LOCK
        else:
            marks = (marks & ~(15 << LAST_SEGMENT)) | (count << LAST_SEGMENT)
            if byte == 0x3E:
                marks |= SEEN_DS
            if mode != 8 or byte >= 0x64:
                active = segment_of(byte)
        pos += 1
        count += 1
        if count == MOST:
            return L.PREFIXES_ONLY, count, bits, rex, marks, active, fwaits, fwait
    return L.OK, count, bits, rex, marks, active, fwaits, fwait


@bare
def acting(code: Sequence[int], start: int, count: int, bits: int, marks: int, active: int, mode: int, flags: int, used: int, memory: int, wide: int) -> int:
    """The places of the prefixes other than REX that acted, as a mask.

    `used` says what the operands used: 1 a memory operand, 2 its SIB byte, 4 memory without the index it needs.
    """
    acted = 0
    encoded = bits & (L.VEX | L.EVEX | L.XOP)
    last66 = (marks >> LAST_66) & 15
    last67 = (marks >> LAST_67) & 15
    lastrep = (marks >> LAST_REP) & 15
    lastseg = (marks >> LAST_SEGMENT) & 15
    in_memory = used & 5
    if last66 != NOWHERE and not encoded:
        acts = flags & L.F_OSIZE and not (wide and mode == 8 and not flags & L.F_NO_SIZE)
        if flags & (L.F_66 | L.F_EAT_66) or acts and not (flags & (L.F_SHOW_66 | L.F_ATT_66) or flags & L.F_SIZE_REG and in_memory):
            acted |= 1 << last66
    if last67 != NOWHERE and not flags & L.F_ADDR_SHOWN and (used & 1 or flags & (L.F_STRING | L.F_ASIZE)):
        bare = mode == 2 and not flags & L.F_ASIZE and used & 1 and memory & 0xFFFF == (L.NONE | (L.NONE << 8))
        if not bare and not (flags & L.F_MPX and mode != 2):
            acted |= 1 << last67
    if lastrep != NOWHERE and flags & (L.F_F3 | L.F_F2) and not encoded:
        acted |= 1 << lastrep
    if lastseg != NOWHERE and (flags & L.F_STRING or active >= 0 and (in_memory or flags & L.F_ADDR_SHOWN)):
        acted |= 1 << lastseg
    if flags & L.F_CR8 and bits & L.LOCK and mode != 8:
        for i in range(count - 1, -1, -1):
            if code[start + i] & 255 == 0xF0:
                return acted | 1 << i
    return acted


@bare
def rex_acted(rex: int, wide: int, flags: int, used: int, modrm: int, is_register: int, opcode: int, misplaced: int) -> int:
    """Whether every bit of REX meant something; `misplaced` is a register where memory must be."""
    if rex == 0x40:
        if flags & L.F_BYTE_REG and (modrm >> 3) & 7 >= 4 or flags & L.F_BYTE_RM and is_register and not misplaced and modrm & 7 >= 4:
            return 1
        return 1 if flags & L.F_BYTE_OPC and opcode & 7 >= 4 else 0
    idle = rex & 15
    if wide and flags & L.F_W and not (flags & L.F_SIZE_REG and not is_register):
        idle &= 7
    if flags & L.F_R:
        idle &= 11
    if used & 2:
        idle &= 13
    if used & 1 or flags & L.F_B and (is_register and not misplaced or flags & L.F_OPC_REG):
        idle &= 14
    return 1 if idle == 0 else 0
