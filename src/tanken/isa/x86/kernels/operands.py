"""The operands: registers, immediates, memory with Intel's keyword and the broadcast, implied ones, and what EVEX adds to them.

Forms as GNU objdump 2.40 prints them; docs/x86-text.md.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.base.wide import item
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86.kernels.fields import C_FAULT, C_IMMEDIATE, C_MEMORY, C_PREFIXES, C_REGISTERS, C_SIZES, clashes, numbered, resolve
from tanken.isa.x86.kernels.letters import general, put_hex, put_register, put_word, register_name
from tanken.isa.x86.kernels.places import put_memory, put_segment, target


@bare
def keyword(size: int) -> int:
    """The word of Intel's `... PTR` for a memory operand of `size` bytes, -1 for none."""
    if size == 4:
        return N.W_DWORD
    if size == 8:
        return N.W_QWORD
    if size == 1:
        return N.W_BYTE
    if size == 2:
        return N.W_WORD
    if size == 16:
        return N.W_XMM
    if size == 32:
        return N.W_YMM
    if size == 64:
        return N.W_ZMM
    if size == 6:
        return N.W_FWORD
    if size == 10:
        return N.W_TBYTE
    return N.W_OWORD if size == 17 else -1


@bare
def put_keyword(B: Sequence[int], buf: MutableSequence[int], p: int, size: int) -> int:
    """Intel's `... PTR ` for a memory operand of `size` bytes; nothing for 0."""
    word = keyword(size)
    return put_word(B, buf, p, word) if word >= 0 else p


@bare
def put_operand(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, flags: int, i: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """One operand."""
    slot = L.FORMS + form * L.STRIDE + L.SLOTS + L.SLOT * i
    source = item(T, slot + L.SOURCE)
    sizes = out[o + C_SIZES]
    bits = out[o + C_PREFIXES]
    mode = (sizes >> 24) & 255
    registers = out[o + C_REGISTERS]
    if source <= L.O_FIXED:
        if source == L.O_RM and not registers & L.RM_IS_REGISTER:
            if out[o + C_FAULT] == L.NEEDS_MEMORY or out[o + C_FAULT] == L.NEEDS_REGISTER:
                return put_word(B, buf, p, N.W_BAD)
            return put_rm_memory(T, B, out, o, form, flags, slot, att, buf, p)
        if source == L.O_REG:
            number = registers & 255
        elif source == L.O_RM or source == L.O_OPC:
            number = (registers >> 8) & 255
        elif source == L.O_VVVV:
            number = (registers >> 16) & 255
        elif source == L.O_FIXED:
            number = item(T, slot + L.NUMBER)
        else:
            number = (out[o + C_IMMEDIATE] >> 4) & (15 if mode == 8 else 7)
        file = item(T, slot + L.FILE)
        size = resolve(item(T, slot + L.REGISTER_SIZE), sizes & 255, (sizes >> 8) & 255, (sizes >> 16) & 255, bits & L.REX_W and mode == 8, mode)
        if number < 16 and not flags & (L.F_STAR | L.F_DISTINCT) and out[o + C_FAULT] == L.OK:
            if file == L.R_GPR:
                return put_register(B, buf, p, general(size, number, bits & L.REX), att)
            if file == L.R_VEC:
                return put_register(B, buf, p, (N.XMM if size <= 16 else (N.YMM if size == 32 else N.ZMM)) * 32 + number, att)
        return put_other_register(B, out, o, flags, source, file, size, number, i, att, buf, p)
    if source <= L.O_IMM4:
        value = out[o + C_IMMEDIATE]
        if source == L.O_IMM2:
            value >>= 16 if T[L.FORMS + form * L.STRIDE + L.IMMEDIATE] == L.I_WB else 8
        elif source == L.O_IMM4:
            value &= 15
        if att:
            buf[p] = 36
            p += 1
        return put_hex(buf, p, value, resolve(item(T, slot + L.REGISTER_SIZE), sizes & 255, 0, 0, 0, mode))
    if source == L.O_REL:
        return put_hex(buf, p, target(T, out, o, form), 8)
    return put_implied(T, B, out, o, slot, source, att, buf, p)


@bare
def put_other_register(
    B: Sequence[int], out: Sequence[int], o: int, flags: int, source: int, file: int, size: int, number: int, i: int, att: int, buf: MutableSequence[int], p: int
) -> int:
    """A register of any file, or (bad) where there is no such one."""
    bits = out[o + C_PREFIXES]
    mode = (out[o + C_SIZES] >> 24) & 255
    registers = out[o + C_REGISTERS]
    if source == L.O_RM:
        if out[o + C_FAULT] == L.NEEDS_MEMORY or out[o + C_FAULT] == L.NEEDS_REGISTER:
            return put_word(B, buf, p, N.W_BAD)
        if file == L.R_ST:
            number &= 7
        elif file != L.R_VEC:
            number &= 15
    most = 31
    if file == L.R_K or file == L.R_TMM:
        most = 7
    elif file == L.R_BND:
        most = 3
    elif file == L.R_GPR or source == L.O_VVVV and mode != 8:
        most = 15
    if file == L.R_CR and flags & L.F_CR8 and bits & L.LOCK and mode != 8:
        number |= 8
    if number > most or i == 0 and flags & L.F_DISTINCT and not_distinct(registers, mode):
        return put_word(B, buf, p, N.W_BAD)
    if att and flags & L.F_STAR:
        buf[p] = 42
        p += 1
    if file == L.R_MM and bits & L.DATA and flags & L.F_3DNOW:
        file = L.R_VEC
    return put_register(B, buf, p, register_name(file, size, number, bits & L.REX, att), att)


@bare
def not_distinct(registers: int, mode: int) -> int:
    """Whether the register in reg is also the one in vvvv (outside 64-bit mode without its fifth bit) or rm."""
    reg = registers & 255
    return 1 if reg == (registers >> 16) & (255 if mode == 8 else 7) or registers & L.RM_IS_REGISTER and reg == (registers >> 8) & 255 else 0


@bare
def put_rm_memory(
    T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, flags: int, slot: int, att: int, buf: MutableSequence[int], p: int
) -> int:
    """The memory operand that ModRM names, with Intel's keyword and the broadcast."""
    sizes = out[o + C_SIZES]
    bits = out[o + C_PREFIXES]
    mode = (sizes >> 24) & 255
    if flags & (L.F_MPX | L.F_NO_RIP | L.F_VSIB | L.F_TILE_SIB) and bad_place(flags, sizes, out[o + C_MEMORY]):
        if not att and flags & (L.F_VSIB | L.F_TILE_SIB) and not bits & L.EVEX_B:
            p = put_keyword(B, buf, p, resolve(T[slot + L.OPERAND_MEMORY], sizes & 255, 0, (sizes >> 16) & 255, 1 if bits & L.REX_W else 0, mode))
        if bits & L.SEGMENT:
            p = put_segment(B, buf, p, (out[o + C_MEMORY] >> 24) & 255, att)
        return put_word(B, buf, p, N.W_BAD)
    size = resolve(item(T, slot + L.OPERAND_MEMORY), sizes & 255, (sizes >> 8) & 255, (sizes >> 16) & 255, bits & L.REX_W and mode == 8, mode)
    if flags & L.F_3DNOW and bits & L.DATA:
        size = 16
    if bits & L.EVEX_B:
        return put_broadcast(T, B, out, o, form, flags, size, att, buf, p)
    if att:
        if flags & L.F_STAR:
            buf[p] = 42
            p += 1
    else:
        p = put_keyword(B, buf, p, size)
    return put_memory(T, B, out, o, form, att, buf, p)


@bare
def bad_place(flags: int, sizes: int, memory: int) -> int:
    """Whether the instruction does not take a memory operand of this kind."""
    if flags & L.F_MPX and (sizes >> 8) & 255 == 2 or flags & L.F_NO_RIP and memory & 255 == L.RIP:
        return 1
    return 1 if flags & (L.F_VSIB | L.F_TILE_SIB) and not memory & L.SIB else 0


@bare
def put_broadcast(
    T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, flags: int, size: int, att: int, buf: MutableSequence[int], p: int
) -> int:
    """A memory operand with EVEX.b: broadcast, or marked as bad where the row has none."""
    bits = out[o + C_PREFIXES]
    vector = (out[o + C_SIZES] >> 16) & 255
    wide = bits & L.REX_W
    element = T[L.FORMS + form * L.STRIDE + L.BROADCAST]
    refused = element == 0
    if element > 2:
        element = 8 if wide else 4
    if not att and not refused:
        p = put_word(B, buf, p, N.W_BCST2 if element == 2 else (N.W_BCST4 if element == 4 else N.W_BCST8))
    p = put_memory(T, B, out, o, form, att, buf, p)
    if refused:
        if not att or not flags & L.F_GHOST or not wide:
            return put_word(B, buf, p, N.W_BAD_MARK)
        element = 8
    first = L.FORMS + form * L.STRIDE + L.SLOTS
    nameless = T[first + L.FILE] == L.R_K or T[first + L.SOURCE] == L.O_VVVV  # with (bad) for vvvv no vector register tells the length
    if att or nameless and (out[o + C_SIZES] >> 24) & 255 != 8 and (out[o + C_REGISTERS] >> 16) & 16 or flags & L.F_BCST_TEXT or flags & L.F_BCST_TEXT_XY and vector < 64:
        p = put_word(B, buf, p, N.W_ONE_TO)
        n = vector // 8 if wide and (element == 8 or size < vector) else size // element
        if n >= 10:
            buf[p] = 48 + n // 10
            p += 1
        buf[p] = 48 + n % 10
        buf[p + 1] = 125
        p += 2
    return p


@bare
def put_implied(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, slot: int, source: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """Operands that stand in no ModRM byte: string and port operands, absolute offsets, far pointers, the shift count 1."""
    sizes = out[o + C_SIZES]
    osize = sizes & 255
    asize = (sizes >> 8) & 255
    if source == L.O_ONE:
        buf[p] = 49
        return p + 1
    if source == L.O_BAD:
        return put_word(B, buf, p, N.W_BAD)
    if source == L.O_PORT:
        if att:
            buf[p] = 40
            p += 1
        p = put_register(B, buf, p, N.WORD * 32 + 2, att)
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
            p = put_segment(B, buf, p, segment, att)
        return put_hex(buf, p, out[o + C_IMMEDIATE], asize)
    base = 3 if source == L.O_XLAT else 6
    if source == L.O_DI:
        base = 7
        segment = 0
    if not att:
        p = put_keyword(B, buf, p, resolve(T[slot + L.REGISTER_SIZE], osize, asize, 0, 0, 0))
    p = put_segment(B, buf, p, segment, att)
    buf[p] = 40 if att else 91
    p = put_register(B, buf, p + 1, general(asize, base, 0), att)
    buf[p] = 41 if att else 93
    return p + 1


@bare
def put_clash(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, i: int, buf: MutableSequence[int], p: int) -> int:
    """The mark of a register of a VEX gather or of a tile product that another operand names too."""
    if T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_TILES and numbered(T, out, o, form, i) > 7:
        return p
    return put_word(B, buf, p, N.W_OR_BAD) if clashes(T, out, o, form, i) else p


@bare
def put_decoration(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, i: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The mask of an EVEX destination: {%k1}{z}."""
    mask = (out[o + C_REGISTERS] >> 24) & 7
    if mask and i == 0:
        buf[p] = 123
        p = put_register(B, buf, p + 1, N.MASK * 32 + mask, att)
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
            p = put_word(B, buf, p, N.W_OR_BAD)
    return p
