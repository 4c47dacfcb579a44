"""The x86 texts: one row of columns to Intel or AT&T text, byte for byte as GNU objdump 2.40 prints it; also under Numba.

The rules were found by experiment with objdump; docs/x86-text.md lists them with the classes that still differ.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import kernel
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86.kernel import (
    C_ADDRESS, C_DISPLACEMENT, C_FAULT, C_FORM, C_IMMEDIATE, C_LENGTH, C_MEMORY, C_PREFIXES, C_REGISTERS, C_SIZES, COLUMNS,
    clashes, decode_one, numbered, resolve, segment_of,
)  # fmt: skip

REGISTER_COUNT = N.REGISTER_COUNT


@kernel
def put_word(T: Sequence[int], B: Sequence[int], buf: MutableSequence[int], p: int, word: int) -> int:
    """Copies a word of `names.WORDS`."""
    at = N.WORDS_AT + word * N.WORD_SLOT
    for i in range(B[at] & 255):
        buf[p + i] = B[at + 1 + i]
    return p + (B[at] & 255)


@kernel
def put_register(T: Sequence[int], B: Sequence[int], buf: MutableSequence[int], p: int, name: int, att: int) -> int:
    """Copies a register's name, with % in AT&T text."""
    at = (name + REGISTER_COUNT * att) * N.SLOT
    n = B[at] & 255
    for i in range(n):
        buf[p + i] = B[at + 1 + i]
    return p + n


@kernel
def put_hex(buf: MutableSequence[int], p: int, value: int, size: int) -> int:
    """0x and the unsigned digits of the low `size` bytes of `value`."""
    buf[p] = 48
    buf[p + 1] = 120
    p += 2
    shift = 8 * size - 4
    while shift > 0 and (value >> shift) & 15 == 0:
        shift -= 4
    while shift >= 0:
        digit = (value >> shift) & 15
        buf[p] = digit + 48 if digit < 10 else digit + 87
        p += 1
        shift -= 4
    return p


@kernel
def general(size: int, number: int, rex: int) -> int:
    """The name index of a general register of `size` bytes."""
    if size == 8:
        return N.QUAD * 32 + number
    if size == 4:
        return N.DOUBLE * 32 + number
    if size == 2:
        return N.WORD * 32 + number
    return (N.BYTE_REX if rex else N.BYTE) * 32 + number


@kernel
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


@kernel
def put_prefixes(T: Sequence[int], B: Sequence[int], code: Sequence[int], pos: int, out: Sequence[int], o: int, flags: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The prefix bytes that selected nothing, in byte order, each followed by a space."""
    bits = out[o + C_PREFIXES]
    mode = (out[o + C_SIZES] >> 24) & 255
    count = (bits >> L.PREFIX_COUNT_SHIFT) & 15
    memory = flags & L.F_MODRM and not out[o + C_REGISTERS] & L.RM_IS_REGISTER
    last_repz = -1
    last_repnz = -1
    last67 = -1
    lastseg = -1
    locked = bits & L.LOCK
    hint = 0
    for i in range(count):
        byte = code[pos + i] & 255
        if byte == 0xF3:
            last_repz = i
        if byte == 0xF2:
            last_repnz = i
        if byte == 0x67:
            last67 = i
        if byte == 0x2E or byte == 0x36 or byte == 0x3E or byte == 0x26 or byte == 0x64 or byte == 0x65:
            lastseg = i
    if att and flags & L.F_HINT:
        hint = hint_of(code, pos, count)
    for i in range(count):
        if not (bits >> i) & 1:
            continue
        byte = code[pos + i] & 255
        word = -1
        if byte == 0x66:
            word = N.W_DATA32 if mode == 2 else N.W_DATA16
        elif byte == 0x67:
            word = N.W_ADDR16 if mode == 4 else N.W_ADDR32
            if att and flags & L.F_ATT_ADDR and i == last67:
                continue
        elif byte == 0xF0:
            word = N.W_LOCK
        elif byte == 0xF3:
            word = N.W_REPZ
            if i == last_repz:
                if flags & L.F_REP:
                    word = N.W_REP
                elif memory and (flags & L.F_HLE and (locked or flags & L.F_HLE_XCHG) or flags & L.F_HLE_MOV):
                    word = N.W_XRELEASE
        elif byte == 0xF2:
            word = N.W_REPNZ
            if i == last_repnz:
                if flags & L.F_BND:
                    word = N.W_BND
                elif memory and flags & L.F_HLE and (locked or flags & L.F_HLE_XCHG):
                    word = N.W_XACQUIRE
        elif byte == 0x9B:
            word = N.W_FWAIT
        elif mode == 8 and byte >= 0x40 and byte < 0x50:
            p = put_word(T, B, buf, p, N.W_REX)
            if byte & 15:
                buf[p] = 46
                p += 1
                for j in range(4):
                    if (byte >> (3 - j)) & 1:
                        buf[p] = 87 if j == 0 else (82 if j == 1 else (88 if j == 2 else 66))
                        p += 1
            buf[p] = 32
            p += 1
            continue
        else:
            word = N.W_ES + segment_of(byte)
            if i == lastseg and bits & L.NOTRACK:
                word = N.W_NOTRACK
            if i == lastseg and hint:
                continue
        p = put_word(T, B, buf, p, word)
        buf[p] = 32
        p += 1
    return p


@kernel
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


@kernel
def letter(size: int, att: int) -> int:
    """The size letter: b w l q, in Intel text d for l."""
    if size == 1:
        return 98
    if size == 2:
        return 119
    if size == 4:
        return 108 if att else 100
    return 113


@kernel
def put_marker(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, marker: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """What a marker of the mnemonic stands for, in this instruction."""
    sizes = out[o + C_SIZES]
    osize = sizes & 255
    mode = (sizes >> 24) & 255
    bits = out[o + C_PREFIXES]
    memory = not out[o + C_REGISTERS] & L.RM_IS_REGISTER
    if marker == L.K_SMEM:
        if att and memory:
            buf[p] = letter(resolve(T[L.FORMS + form * L.STRIDE + L.MEMORY_SIZE], osize, 0, 0, 0, mode), att)
            p += 1
    elif marker == L.K_SALL:
        if att:
            first = L.FORMS + form * L.STRIDE + L.SLOTS
            if T[first + L.SOURCE] == L.O_PORT:
                first += L.SLOT
            buf[p] = letter(resolve(T[first + L.REGISTER_SIZE], osize, 0, 0, 0, mode), att)
            p += 1
    elif marker == L.K_DMEM or marker == L.K_DALL:
        usual = mode if mode != 8 or T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_D64 else 4
        if osize != usual and (marker == L.K_DALL or att and (memory or not T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_MODRM)):
            buf[p] = letter(osize, att)
            p += 1
    elif marker == L.K_Y:
        if att and memory and mode == 8:
            buf[p] = 113 if bits & L.REX_W else 108
            p += 1
    elif marker == L.K_XY or marker == L.K_XYZ:
        vector = (sizes >> 16) & 255
        if att and memory and not bits & L.EVEX_B and (vector < 64 or marker == L.K_XYZ):
            buf[p] = 120 if vector == 16 else (121 if vector == 32 else 122)
            p += 1
    elif marker >= L.K_WS:
        if wrong_w(T, out, o, form):
            p = put_word(T, B, buf, p, N.W_BAD_MARK)
        else:
            buf[p] = 115 if marker == L.K_WS else (100 if marker == L.K_WD else 104)
            p += 1
    elif marker == L.K_N:
        if not bits & L.FWAIT:
            buf[p] = 110
            p += 1
    elif marker == L.K_Q:
        if bits & L.REX_W and mode == 8:
            buf[p] = 113
            p += 1
    elif marker == L.K_PSEUDO:
        entry = T[L.FORMS + form * L.STRIDE + L.PSEUDO]
        value = predicate(T, B, form, out[o + C_IMMEDIATE])
        if value >= 0:
            entry += 2 + 2 * value
        at = T[entry + 2]
        for i in range(T[entry + 3]):
            buf[p] = B[at + i]
            p += 1
    return p


@kernel
def wrong_w(T: Sequence[int], out: Sequence[int], o: int, form: int) -> int:
    """Whether EVEX.W is not the one that the row wants."""
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    if not flags & L.F_W_BAD:
        return 0
    return (1 if out[o + C_PREFIXES] & L.REX_W else 0) != (1 if flags & L.F_W_WANT else 0)


@kernel
def predicate(T: Sequence[int], B: Sequence[int], form: int, imm: int) -> int:
    """The number of the predicate name that `imm` selects, -1 where the immediate is shown instead."""
    entry = T[L.FORMS + form * L.STRIDE + L.PSEUDO]
    if imm < T[entry] and T[entry + 4 + 2 * imm] >= 0:
        return imm
    return -1


@kernel
def put_keyword(T: Sequence[int], B: Sequence[int], buf: MutableSequence[int], p: int, size: int) -> int:
    """Intel's `... PTR` for a memory operand of `size` bytes; nothing for 0."""
    if size == 4:
        return put_word(T, B, buf, p, N.W_DWORD)
    if size == 8:
        return put_word(T, B, buf, p, N.W_QWORD)
    if size == 1:
        return put_word(T, B, buf, p, N.W_BYTE)
    if size == 2:
        return put_word(T, B, buf, p, N.W_WORD)
    if size == 16:
        return put_word(T, B, buf, p, N.W_XMM)
    if size == 32:
        return put_word(T, B, buf, p, N.W_YMM)
    if size == 64:
        return put_word(T, B, buf, p, N.W_ZMM)
    if size == 6:
        return put_word(T, B, buf, p, N.W_FWORD)
    if size == 10:
        return put_word(T, B, buf, p, N.W_TBYTE)
    if size == 17:
        return put_word(T, B, buf, p, N.W_OWORD)
    return p


@kernel
def put_segment(T: Sequence[int], B: Sequence[int], buf: MutableSequence[int], p: int, segment: int, att: int) -> int:
    p = put_register(T, B, buf, p, N.SEG * 32 + segment, att)
    buf[p] = 58
    return p + 1


@kernel
def put_displacement(buf: MutableSequence[int], p: int, disp: int, plus: int) -> int:
    """A signed displacement; `plus` puts + before one that is not negative."""
    if disp < 0:
        buf[p] = 45
        return put_hex(buf, p + 1, -disp, 8)
    if plus:
        buf[p] = 43
        p += 1
    return put_hex(buf, p, disp, 8)


@kernel
def put_memory(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The address of the memory operand, with its segment override."""
    memory = out[o + C_MEMORY]
    sizes = out[o + C_SIZES]
    asize = (sizes >> 8) & 255
    mode = (sizes >> 24) & 255
    disp = out[o + C_DISPLACEMENT]
    base = memory & 255
    index = (memory >> 8) & 255
    sib = memory & L.SIB
    dbytes = (memory >> L.DISP_BYTES_SHIFT) & 15
    override = out[o + C_PREFIXES] & L.SEGMENT
    if override:
        p = put_segment(T, B, buf, p, (memory >> 24) & 255, att)
    file = N.QUAD * 32 if asize == 8 else (N.DOUBLE * 32 if asize == 4 else N.WORD * 32)
    iname = file + index
    if T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_VSIB and index != L.NONE:
        vsize = resolve(T[L.FORMS + form * L.STRIDE + L.VSIB], 0, 0, (sizes >> 16) & 255, 0, mode)
        iname = (N.XMM if vsize <= 16 else (N.YMM if vsize == 32 else N.ZMM)) * 32 + index
    elif sib and index == L.NONE and ((base & 7) != 4 or base == L.NONE or (memory >> 16) & 3):
        if base != L.NONE or asize == 4 or (memory >> 16) & 3:
            index = 18
            iname = N.QUAD * 32 + (18 if asize == 8 else 19)
    if base == L.RIP:
        bname = N.QUAD * 32 + (16 if asize == 8 else 17)
    else:
        bname = file + base
    if base == L.NONE and index == L.NONE:
        if asize == 2:
            if att:
                return put_displacement(buf, p, disp, 0)
        if not att and not override:
            p = put_segment(T, B, buf, p, 3, att)
        return put_hex(buf, p, disp, asize)
    if att:
        if dbytes:
            if base == L.NONE and asize == 4 and mode == 8 and index == 18:
                p = put_hex(buf, p, disp, 4)
            else:
                p = put_displacement(buf, p, disp, 0)
        buf[p] = 40
        p += 1
        if base != L.NONE:
            p = put_register(T, B, buf, p, bname, 1)
        if index != L.NONE:
            buf[p] = 44
            p = put_register(T, B, buf, p + 1, iname, 1)
            if asize != 2:
                buf[p] = 44
                buf[p + 1] = 48 + (1 << ((memory >> 16) & 3))
                p += 2
        buf[p] = 41
        return p + 1
    buf[p] = 91
    p += 1
    if base != L.NONE:
        p = put_register(T, B, buf, p, bname, 0)
    if index != L.NONE:
        if base != L.NONE:
            buf[p] = 43
            p += 1
        p = put_register(T, B, buf, p, iname, 0)
        if asize != 2:
            buf[p] = 42
            buf[p + 1] = 48 + (1 << ((memory >> 16) & 3))
            p += 2
    if dbytes:
        if base == L.RIP:
            buf[p] = 43
            p = put_hex(buf, p + 1, disp, 8)
        elif base == L.NONE and asize == 4 and mode == 8 and index == 18:
            buf[p] = 43
            p = put_hex(buf, p + 1, disp, 4)
        else:
            p = put_displacement(buf, p, disp, 1)
    buf[p] = 93
    return p + 1


@kernel
def target(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int) -> int:
    """Where a relative branch goes, masked as the mode and operand size say."""
    sizes = out[o + C_SIZES]
    mode = (sizes >> 24) & 255
    osize = sizes & 255
    after = out[o + C_ADDRESS] + out[o + C_LENGTH]
    value = after + out[o + C_IMMEDIATE]
    if T[L.FORMS + form * L.STRIDE + L.IMMEDIATE] == L.I_JZ and osize == 2:
        value &= 0xFFFF
        if not out[o + C_PREFIXES] & L.DATA:
            value |= after & ~0xFFFF
    if mode != 8:
        value &= 0xFFFFFFFF
    return value


@kernel
def put_operand(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, i: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """One operand."""
    slot = L.FORMS + form * L.STRIDE + L.SLOTS + L.SLOT * i
    source = T[slot + L.SOURCE]
    sizes = out[o + C_SIZES]
    osize = sizes & 255
    asize = (sizes >> 8) & 255
    vector = (sizes >> 16) & 255
    mode = (sizes >> 24) & 255
    bits = out[o + C_PREFIXES]
    wide = bits & L.REX_W and mode == 8
    registers = out[o + C_REGISTERS]
    if source == L.O_REG or source == L.O_RM or source == L.O_OPC or source == L.O_VVVV or source == L.O_FIXED or source == L.O_IS4:
        number = registers & 255
        if source == L.O_RM:
            if out[o + C_FAULT] == L.NEEDS_MEMORY or out[o + C_FAULT] == L.NEEDS_REGISTER:
                return put_word(T, B, buf, p, N.W_BAD)
            if not registers & L.RM_IS_REGISTER:
                return put_rm_memory(T, B, out, o, form, slot, att, buf, p)
            number = (registers >> 8) & 255
            if T[slot + L.FILE] == L.R_ST:
                number &= 7
            elif T[slot + L.FILE] != L.R_VEC:
                number &= 15
        elif source == L.O_OPC:
            number = (registers >> 8) & 255
        elif source == L.O_VVVV:
            number = (registers >> 16) & 255
            if mode != 8 and number > 15:
                return put_word(T, B, buf, p, N.W_BAD)
        elif source == L.O_FIXED:
            number = T[slot + L.NUMBER]
        elif source == L.O_IS4:
            number = (out[o + C_IMMEDIATE] >> 4) & (15 if mode == 8 else 7)
        file = T[slot + L.FILE]
        if (file == L.R_K or file == L.R_TMM) and number > 7:
            return put_word(T, B, buf, p, N.W_BAD)
        if file == L.R_CR and T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_CR8 and bits & L.LOCK and mode != 8:
            number |= 8
        if file == L.R_BND and number > 3:
            return put_word(T, B, buf, p, N.W_BAD)
        if att and T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_STAR:
            buf[p] = 42
            p += 1
        if file == L.R_MM and bits & L.DATA and T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_3DNOW:
            file = L.R_VEC
        if i == 0 and T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_DISTINCT and not_distinct(registers):
            return put_word(T, B, buf, p, N.W_BAD)
        if number > (7 if file == L.R_K else (15 if file == L.R_GPR else 31)):
            return put_word(T, B, buf, p, N.W_BAD)
        size = resolve(T[slot + L.REGISTER_SIZE], osize, asize, vector, wide, mode)
        return put_register(T, B, buf, p, register_name(file, size, number, bits & L.REX, att), att)
    if source == L.O_IMM or source == L.O_IMM2 or source == L.O_IMM4:
        value = out[o + C_IMMEDIATE]
        if source == L.O_IMM2:
            value >>= 16 if T[L.FORMS + form * L.STRIDE + L.IMMEDIATE] == L.I_WB else 8
        elif source == L.O_IMM4:
            value &= 15
        if att:
            buf[p] = 36
            p += 1
        return put_hex(buf, p, value, resolve(T[slot + L.REGISTER_SIZE], osize, asize, vector, wide, mode))
    if source == L.O_REL:
        return put_hex(buf, p, target(T, B, out, o, form), 8)
    return put_implied(T, B, out, o, form, slot, att, buf, p)


@kernel
def not_distinct(registers: int) -> int:
    """Whether the register in reg is also the one in vvvv or rm."""
    reg = registers & 255
    return reg == (registers >> 16) & 255 or registers & L.RM_IS_REGISTER and reg == (registers >> 8) & 255


@kernel
def put_rm_memory(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, slot: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The memory operand that ModRM names, with Intel's keyword and the broadcast."""
    sizes = out[o + C_SIZES]
    bits = out[o + C_PREFIXES]
    mode = (sizes >> 24) & 255
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    if flags & L.F_MPX and (sizes >> 8) & 255 == 2 or flags & L.F_NO_RIP and out[o + C_MEMORY] & 255 == L.RIP:
        if bits & L.SEGMENT:
            p = put_segment(T, B, buf, p, (out[o + C_MEMORY] >> 24) & 255, att)
        return put_word(T, B, buf, p, N.W_BAD)
    size = resolve(T[slot + L.OPERAND_MEMORY], sizes & 255, (sizes >> 8) & 255, (sizes >> 16) & 255, bits & L.REX_W and mode == 8, mode)
    if flags & L.F_3DNOW and bits & L.DATA:
        size = 16
    element = T[L.FORMS + form * L.STRIDE + L.BROADCAST]
    broadcast = bits & L.EVEX_B and element
    refused = bits & L.EVEX and bits & L.EVEX_B and not element
    wide = bits & L.REX_W
    if element > 2:
        element = 8 if wide else 4
    if att:
        if T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_STAR:
            buf[p] = 42
            p += 1
    elif broadcast:
        p = put_word(T, B, buf, p, N.W_BCST2 if element == 2 else (N.W_BCST4 if element == 4 else N.W_BCST8))
    elif not refused:
        p = put_keyword(T, B, buf, p, size)
    if T[L.FORMS + form * L.STRIDE + L.FLAGS] & (L.F_VSIB | L.F_TILE_SIB) and not out[o + C_MEMORY] & L.SIB:
        if bits & L.SEGMENT:
            p = put_segment(T, B, buf, p, (out[o + C_MEMORY] >> 24) & 255, att)
        return put_word(T, B, buf, p, N.W_BAD)
    p = put_memory(T, B, out, o, form, att, buf, p)
    vector = (sizes >> 16) & 255
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    if refused:
        if not att or not flags & L.F_GHOST or not wide:
            return put_word(T, B, buf, p, N.W_BAD_MARK)
        broadcast = 1
        element = 8
    if broadcast and (att or flags & L.F_BCST_TEXT or flags & L.F_BCST_TEXT_XY and vector < 64):
        buf[p] = 123
        buf[p + 1] = 49
        buf[p + 2] = 116
        buf[p + 3] = 111
        p += 4
        n = vector // 8 if wide and (element == 8 or size < vector) else size // element
        if n >= 10:
            buf[p] = 48 + n // 10
            p += 1
        buf[p] = 48 + n % 10
        buf[p + 1] = 125
        p += 2
    return p


@kernel
def put_implied(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, slot: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """Operands that stand in no ModRM byte: string and port operands, absolute offsets, far pointers, the shift count 1."""
    source = T[slot + L.SOURCE]
    sizes = out[o + C_SIZES]
    osize = sizes & 255
    asize = (sizes >> 8) & 255
    if source == L.O_ONE:
        buf[p] = 49
        return p + 1
    if source == L.O_BAD:
        return put_word(T, B, buf, p, N.W_BAD)
    if source == L.O_PORT:
        if att:
            buf[p] = 40
            p += 1
        p = put_register(T, B, buf, p, N.WORD * 32 + 2, att)
        if att:
            buf[p] = 41
            p += 1
        return p
    if source == L.O_FAR:
        imm = out[o + C_IMMEDIATE]
        if att:
            buf[p] = 36
            p += 1
        p = put_hex(buf, p, imm >> 32, 2)
        buf[p] = 44 if att else 58
        p += 1
        if att:
            buf[p] = 36
            p += 1
        return put_hex(buf, p, imm, osize)
    segment = (out[o + C_MEMORY] >> 24) & 255
    if source == L.O_MOFFS:
        if not att or out[o + C_PREFIXES] & L.SEGMENT:
            p = put_segment(T, B, buf, p, segment, att)
        return put_hex(buf, p, out[o + C_IMMEDIATE], asize)
    base = 3 if source == L.O_XLAT else 6
    if source == L.O_DI:
        base = 7
        segment = 0
    if not att:
        p = put_keyword(T, B, buf, p, resolve(T[slot + L.REGISTER_SIZE], osize, asize, 0, 0, 0))
    p = put_segment(T, B, buf, p, segment, att)
    buf[p] = 40 if att else 91
    p = put_register(T, B, buf, p + 1, general(asize, base, 0), att)
    buf[p] = 41 if att else 93
    return p + 1


@kernel
def put_clash(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, i: int, buf: MutableSequence[int], p: int) -> int:
    """The mark of a register of a VEX gather or of a tile product that another operand names too."""
    if T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_TILES and numbered(T, out, o, form, i) > 7:
        return p
    return put_word(T, B, buf, p, N.W_OR_BAD) if clashes(T, out, o, form, i) else p


@kernel
def put_decoration(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, i: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The mask of an EVEX destination: {%k1}{z}."""
    mask = (out[o + C_REGISTERS] >> 24) & 7
    if mask and i == 0:
        buf[p] = 123
        p = put_register(T, B, buf, p + 1, N.MASK * 32 + mask, att)
        buf[p] = 125
        p += 1
    if out[o + C_PREFIXES] & L.EVEX_Z and i == 0:
        buf[p] = 123
        buf[p + 1] = 122
        buf[p + 2] = 125
        p += 3
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    if flags & (L.F_GATHER | L.F_SCATTER):
        registers = out[o + C_REGISTERS]
        same = flags & L.F_GATHER and out[o + C_MEMORY] & L.SIB and registers & 255 == (out[o + C_MEMORY] >> 8) & 255
        if i == 0 and (not mask or out[o + C_PREFIXES] & L.EVEX_Z) or i == 1 and same and att:
            p = put_word(T, B, buf, p, N.W_OR_BAD)
    return p


@kernel
def put_strange(T: Sequence[int], B: Sequence[int], code: Sequence[int], pos: int, out: Sequence[int], o: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The text of bytes that are no instruction."""
    bits = out[o + C_PREFIXES]
    fault = out[o + C_FAULT]
    mode = (out[o + C_SIZES] >> 24) & 255
    if fault == L.TRUNCATED:
        byte = code[pos] & 255
        if T[byte + (256 if mode == 8 else 0)] == L.P_NONE:
            p = put_word(T, B, buf, p, N.W_BYTE_DATA)
            return put_hex(buf, p, byte, 1)
    p = put_prefixes(T, B, code, pos, out, o, 0, att, buf, p)
    if fault == L.TRUNCATED or fault == L.PREFIXES_ONLY:
        return p - 1
    p = put_word(T, B, buf, p, N.W_BAD)
    if not bits & L.EVEX:
        return p
    registers = out[o + C_REGISTERS]
    mask = (registers >> 24) & 7 or bits & L.EVEX_Z
    rounding = registers & L.RM_IS_REGISTER and bits & L.EVEX_B
    if mask or rounding:
        buf[p] = 32
        buf[p + 1] = 32
        p += 2
    if rounding and att:
        p = put_word(T, B, buf, p, N.W_RN_BAD + ((bits >> L.LL_SHIFT) & 3))
        if mask:
            buf[p] = 44
            p += 1
    p = put_decoration(T, B, out, o, 0, 0, att, buf, p)
    if rounding and not att:
        if mask:
            buf[p] = 44
            p += 1
        p = put_word(T, B, buf, p, N.W_RN_BAD + ((bits >> L.LL_SHIFT) & 3))
    return p


@kernel
def put_text(T: Sequence[int], B: Sequence[int], code: Sequence[int], pos: int, out: Sequence[int], o: int, att: int, comment: int, buf: MutableSequence[int], p: int) -> int:
    """The text of the row at `out[o:]`, whose bytes stand at `code[pos:]`; returns the end. At most 160 bytes."""
    form = out[o + C_FORM]
    if form == 0:
        return put_strange(T, B, code, pos, out, o, att, buf, p)
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    begin = p
    bits = out[o + C_PREFIXES]
    if bits & 0x7FFF:
        p = put_prefixes(T, B, code, pos, out, o, flags, att, buf, p)
    h = L.FORMS + form * L.STRIDE + L.HEADS + att * L.HEAD
    at = T[h]
    if bits & L.EVEX and flags & L.F_TWIN and plain_evex(out, o):
        p = put_word(T, B, buf, p, N.W_EVEX)
    elif flags & L.F_VEXMARK:
        p = put_word(T, B, buf, p, N.W_VEX)
    late = T[h + 2] == L.K_PSEUDO and wrong_w(T, out, o, form)
    for part in range(1, 6):
        n = T[h + part]
        if part & 1:
            for i in range(n):
                buf[p + i] = B[at + i]
            p += n
            at += n
        elif n and not late:
            p = put_marker(T, B, out, o, form, n, att, buf, p)
    if late:
        # The predicate goes in before the last two characters, here of {bad}.
        p = put_word(T, B, buf, p, N.W_BAD_MARK) - 2
        p = put_marker(T, B, out, o, form, L.K_PSEUDO, att, buf, p)
        buf[p] = 100
        buf[p + 1] = 125
        p += 2
    if att and flags & L.F_HINT and bits & 0x7FFF:
        hint = hint_of(code, pos, (bits >> L.PREFIX_COUNT_SHIFT) & 15)
        if hint:
            buf[p] = 44
            buf[p + 1] = 112
            buf[p + 2] = 110 if hint == 0x2E else 116
            p += 3
    slot = L.FORMS + form * L.STRIDE + L.SLOTS
    last = 0
    while last < L.OPERANDS and T[slot + L.SLOT * last + L.SOURCE]:
        last += 1
    if last and flags & L.F_PSEUDO and predicate(T, B, form, out[o + C_IMMEDIATE]) >= 0:
        last -= 1
    if att and last and T[slot + L.SLOT * (last - 1) + L.SOURCE] == L.O_ONE:
        last -= 1
    if last == 0 or not att and flags & L.F_ATT_ONLY:
        return p
    buf[p] = 32
    p += 1
    while p - begin < 7:
        buf[p] = 32
        p += 1
    return put_operands(T, B, out, o, form, flags, last, att, comment, buf, p)


@kernel
def put_operands(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, flags: int, last: int, att: int, comment: int, buf: MutableSequence[int], p: int) -> int:
    """All operands in the order of the syntax, EVEX rounding, and the comment with the address of a rip-relative operand."""
    bits = out[o + C_PREFIXES]
    rounding = -1
    refused = 0
    word = N.W_SAE
    if bits & L.EVEX_B and out[o + C_REGISTERS] & L.RM_IS_REGISTER:
        if flags & (L.F_ER | L.F_SAE):
            slot = L.FORMS + form * L.STRIDE + L.SLOTS
            for i in range(last):
                if T[slot + L.SLOT * i + L.SOURCE] < L.O_IMM and (not att or T[slot + L.SLOT * i + L.FILE] == L.R_VEC):
                    rounding = i
        else:
            refused = 1
        if flags & L.F_ER_BAD or refused:
            word = N.W_RN_BAD + ((bits >> L.LL_SHIFT) & 3)
        elif flags & L.F_ER:
            word = N.W_RN + ((bits >> L.LL_SHIFT) & 3)
    if refused and att:
        p = put_word(T, B, buf, p, word)
        buf[p] = 44
        p += 1
    forward = 1 if not att or flags & L.F_KEEP else 0
    for j in range(last):
        i = j if forward else last - 1 - j
        if j:
            buf[p] = 44
            p += 1
        if att and i == rounding:
            p = put_word(T, B, buf, p, word)
            buf[p] = 44
            p += 1
        p = put_operand(T, B, out, o, form, i, att, buf, p)
        if flags & (L.F_GATHER | L.F_TILES) and bits & L.VEX:
            p = put_clash(T, B, out, o, form, i, buf, p)
        if bits & L.EVEX:
            p = put_decoration(T, B, out, o, form, i, att, buf, p)
        if not att and i == rounding:
            p = put_word(T, B, buf, p, word)
    if refused and not att:
        buf[p] = 44
        p = put_word(T, B, buf, p + 1, word)
    if comment and out[o + C_MEMORY] & 255 == L.RIP and flags & L.F_MODRM and not flags & L.F_NO_RIP:
        p = put_word(T, B, buf, p, N.W_COMMENT)
        p = put_hex(buf, p, out[o + C_ADDRESS] + out[o + C_LENGTH] + out[o + C_DISPLACEMENT], 8)
    return p


@kernel
def plain_evex(out: Sequence[int], o: int) -> int:
    """Whether nothing in the text shows that the encoding is EVEX."""
    bits = out[o + C_PREFIXES]
    registers = out[o + C_REGISTERS]
    if bits & (L.EVEX_B | L.EVEX_Z) or (registers >> 24) & 7 or (bits >> L.LL_SHIFT) & 3 > 1:
        return 0
    if (registers & 16) or (registers >> 16) & 16:
        return 0
    if registers & L.RM_IS_REGISTER:
        return 0 if (registers >> 8) & 16 else 1
    return 1


@kernel
def text_run(T: Sequence[int], B: Sequence[int], code: Sequence[int], start: int, end: int, mode: int, address: int, att: int, comment: int, line: int, buf: MutableSequence[int], room: int, where: MutableSequence[int]) -> int:
    """Decodes and prints from `start` until `end` or until `buf` (of `room` bytes) is nearly full.

    Each instruction makes a line: its address in hexadecimal, colon and tab where `line` is set, text, newline.
    `where[0]` becomes the position reached, `where[1]` the instructions printed; returns the bytes written.
    """
    pos = start
    n = 0
    p = 0
    row = where
    while pos < end and p + 256 < room:
        length = decode_one(T, code, pos, end, mode, address + pos - start, row, 2)
        if line:
            q = put_hex(buf, p, address + pos - start, 8)
            for i in range(p + 2, q):
                buf[i - 2] = buf[i]
            p = q - 2
            buf[p] = 58
            buf[p + 1] = 9
            p += 2
        p = put_text(T, B, code, pos, row, 2, att, comment, buf, p)
        buf[p] = 10
        p += 1
        pos += length
        n += 1
    where[0] = pos
    where[1] = n
    return p
