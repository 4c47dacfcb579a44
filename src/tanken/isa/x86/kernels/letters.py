"""The smallest pieces of text: words, register names, hexadecimal numbers, and the prefix bytes that selected nothing.

Names stand in `names.py`; rules of GNU objdump 2.40. Every function writes at `p` and returns the position behind; up to 24 bytes behind that are clobbered.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.base.wide import bit_length, copy16, load8, store8
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86.kernels.fields import C_PREFIXES, C_REGISTERS, C_SIZES, segment_of

REGISTER_COUNT = N.REGISTER_COUNT


@bare
def put_word(B: Sequence[int], buf: MutableSequence[int], p: int, word: int) -> int:
    """Copies a word of `names.WORDS`."""
    at = N.WORDS_AT + word * N.WORD_SLOT
    copy16(buf, p, B, at + 1)
    return p + (B[at] & 255)


@bare
def put_register(B: Sequence[int], buf: MutableSequence[int], p: int, name: int, att: int) -> int:
    """Copies a register's name, with % in AT&T text."""
    letters = load8(B, (name + REGISTER_COUNT * att) * N.SLOT)
    store8(buf, p, letters >> 8)
    return p + (letters & 255)


@bare
def eight_digits(value: int) -> int:
    """The eight hexadecimal digits of a number of 32 bits as the bytes of a word, the first digit in the lowest."""
    x = (value >> 16) | (value & 0xFFFF) << 32
    x = (x >> 8 & 0x000000FF000000FF) | (x & 0x000000FF000000FF) << 16
    x = (x >> 4 & 0x000F000F000F000F) | (x & 0x000F000F000F000F) << 8
    return x + 0x3030303030303030 + ((x + 0x0606060606060606) >> 4 & 0x0101010101010101) * 39


@bare
def put_digits(buf: MutableSequence[int], p: int, value: int) -> int:
    """The hexadecimal digits of `value` without leading zeros, a negative one as 64 bits."""
    high = (value >> 32) & 0xFFFFFFFF
    if high:
        digits = (bit_length(high) + 3) >> 2
        store8(buf, p, eight_digits(high << (32 - 4 * digits)))
        store8(buf, p + digits, eight_digits(value & 0xFFFFFFFF))
        return p + digits + 8
    low = value & 0xFFFFFFFF
    digits = (bit_length(low | 1) + 3) >> 2
    store8(buf, p, eight_digits(low << (32 - 4 * digits)))
    return p + digits


@bare
def put_hex(buf: MutableSequence[int], p: int, value: int, size: int) -> int:
    """0x and the unsigned digits of the low `size` bytes of `value`."""
    buf[p] = 48
    buf[p + 1] = 120
    return put_digits(buf, p + 2, value if size >= 8 else value & ((1 << (8 * size)) - 1))


@bare
def general(size: int, number: int, rex: int) -> int:
    """The name index of a general register of `size` bytes."""
    if size == 8:
        return N.QUAD * 32 + number
    if size == 4:
        return N.DOUBLE * 32 + number
    if size == 2:
        return N.WORD * 32 + number
    return (N.BYTE_REX if rex else N.BYTE) * 32 + number


@bare
def register_name(file: int, size: int, number: int, rex: int, att: int) -> int:
    """The name index of register `number` of a file."""
    if file == L.R_GPR:
        return general(size, number & 15, rex)
    if file == L.R_VEC:
        return (N.XMM if size <= 16 else (N.YMM if size == 32 else N.ZMM)) * 32 + number
    if file == L.R_MM:
        return N.MM * 32 + (number & 7)
    if file == L.R_ST:
        return N.ST * 32 + (number if number == 8 else number & 7)
    if file == L.R_K:
        return N.MASK * 32 + (number & 7)
    if file == L.R_SEG:
        return N.SEG * 32 + (number & 7)
    if file == L.R_CR:
        return N.CR * 32 + (number & 15)
    if file == L.R_DR:
        return (N.DB if att else N.DR) * 32 + (number & 15)
    if file == L.R_TR:
        return N.TR * 32 + (number & 7)
    if file == L.R_BND:
        return N.BND * 32 + (number & 3)
    return N.TMM * 32 + (number & 7)


@bare
def put_rex(B: Sequence[int], buf: MutableSequence[int], p: int, byte: int) -> int:
    """rex, and behind a dot the letters of its bits."""
    p = put_word(B, buf, p, N.W_REX)
    if byte & 15:
        buf[p] = 46
        p += 1
        for j in range(4):
            if (byte >> (3 - j)) & 1:
                buf[p] = 87 if j == 0 else (82 if j == 1 else (88 if j == 2 else 66))
                p += 1
    return p


@bare
def hint_of(code: Sequence[int], pos: int, count: int) -> int:
    """The branch hint among the prefixes: 0x2e not taken, 0x3e taken, 0 where none or both stand there."""
    hint = 0
    for i in range(count):
        byte = code[pos + i] & 255
        if byte == 0x2E or byte == 0x3E:
            if hint and hint != byte:
                return 0
            hint = byte
    return hint


@bare
def repeat_word(byte: int, flags: int, locked: int, memory: int, last: int) -> int:
    """The name of the last F2 or of the last F3; `last` where the other does not follow it."""
    hle = memory and flags & L.F_HLE and (locked or flags & L.F_HLE_XCHG)
    if byte == 0xF3:
        if flags & L.F_REP:
            return N.W_REP
        return N.W_XRELEASE if hle or memory and flags & L.F_HLE_MOV and last else N.W_REPZ
    if flags & L.F_BND:
        return N.W_BND
    return N.W_XACQUIRE if hle else N.W_REPNZ


@bare
def prefix_word(byte: int, mode: int) -> int:
    """The name of a prefix byte by itself."""
    if byte == 0x66:
        return N.W_DATA32 if mode == 2 else N.W_DATA16
    if byte == 0x67:
        return N.W_ADDR16 if mode == 4 else N.W_ADDR32
    if byte == 0xF0:
        return N.W_LOCK
    if byte == 0xF3:
        return N.W_REPZ
    if byte == 0xF2:
        return N.W_REPNZ
    if byte == 0x9B:
        return N.W_FWAIT
    return N.W_ES + segment_of(byte)


@bare
def put_prefixes(B: Sequence[int], code: Sequence[int], pos: int, out: Sequence[int], o: int, flags: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The prefix bytes that selected nothing, in byte order, each followed by a space."""
    bits = out[o + C_PREFIXES]
    mode = (out[o + C_SIZES] >> 24) & 255
    count = (bits >> L.PREFIX_COUNT_SHIFT) & 15
    memory = flags & L.F_MODRM and (flags & L.F_NEED_MEM or not out[o + C_REGISTERS] & L.RM_IS_REGISTER)
    last_repz = -1
    last_repnz = -1
    last66 = -1
    last67 = -1
    lastseg = -1
    for i in range(count):
        byte = code[pos + i] & 255
        if byte == 0xF3:
            last_repz = i
        elif byte == 0xF2:
            last_repnz = i
        elif byte == 0x66:
            last66 = i
        elif byte == 0x67:
            last67 = i
        elif byte == 0x2E or byte == 0x36 or byte == 0x3E or byte == 0x26 or byte == 0x64 or byte == 0x65:
            lastseg = i
    hint = hint_of(code, pos, count) if att and flags & L.F_HINT else 0
    for i in range(count):
        if not (bits >> i) & 1:
            continue
        byte = code[pos + i] & 255
        if mode == 8 and 0x40 <= byte < 0x50:
            p = put_rex(B, buf, p, byte)
        elif att and flags & L.F_ATT_ADDR and i == last67 or i == lastseg and hint or i == last66 and not att and flags & L.F_ATT_66:
            continue
        else:
            word = prefix_word(byte, mode)
            if i == last_repz or i == last_repnz:
                word = repeat_word(byte, flags, bits & L.LOCK, memory, i >= max(last_repz, last_repnz))
            elif i == lastseg and bits & L.NOTRACK:
                word = N.W_NOTRACK
            p = put_word(B, buf, p, word)
        buf[p] = 32
        p += 1
    return p
