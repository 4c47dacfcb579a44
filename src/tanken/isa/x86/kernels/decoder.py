"""The x86 decoder: bytes to one row of int64 columns by a walk through the map's trie.

Instruction format after SDM Vol. 2A chapter 2; where bytes are no instruction, lengths and what is shown follow GNU objdump 2.40.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.base.wide import item, put
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels.address import memory
from tanken.isa.x86.kernels.encoded import EXT_B, EXT_EVEX, EXT_R, EXT_R2, EXT_W, EXT_X, fields, kind_of, payload_size, table_of
from tanken.isa.x86.kernels.fields import (
    C_ADDRESS,
    C_DISPLACEMENT,
    C_FAULT,
    C_FORM,
    C_IMMEDIATE,
    C_LENGTH,
    C_MEMORY,
    C_PREFIXES,
    C_REGISTERS,
    C_SIZES,
    COLUMNS,
    bad_eats_prefix,
    clashes,
    disp_scale,
    signed,
    strange,
    truncated,
    walk,
)
from tanken.isa.x86.kernels.prefixes import LAST_66, LAST_REP, NO_MARKS, NOWHERE, SEEN_DS, acting, rex_acted, scan

LONGEST = 15  # bytes of an instruction
FETCHED = 20  # bytes that objdump reads at most before it gives up


@bare
def immediate_size(kind: int, osize: int, asize: int) -> int:
    """The bytes of an immediate of that kind."""
    if kind == L.I_B or kind == L.I_BS or kind == L.I_JB or kind == L.I_IS4:
        return 1
    if kind == L.I_W or kind == L.I_BB:
        return 2
    if kind == L.I_Z or kind == L.I_JZ:
        return 2 if osize == 2 else 4
    if kind == L.I_V:
        return osize
    if kind == L.I_D:
        return 4
    if kind == L.I_WB:
        return 3
    if kind == L.I_O:
        return asize
    return 4 if osize == 2 else 6


@bare
def immediate(code: Sequence[int], pos: int, kind: int, size: int) -> int:
    """The immediate at `pos`, signed where the instruction takes it so; a far pointer as selector << 32 | offset."""
    value = signed(code, pos, size)
    if kind == L.I_B or kind == L.I_IS4:
        return value & 255
    if kind == L.I_W or kind == L.I_BB:
        return value & 0xFFFF
    if kind == L.I_WB:
        return value & 0xFFFFFF
    if kind == L.I_AP:
        return (value & 0xFFFF) | ((value >> 16) & 0xFFFF) << 32 if size == 4 else value & 0xFFFFFFFFFFFF
    if kind == L.I_O and size < 8:
        return value & ((1 << (8 * size)) - 1)
    return value


@bare
def register_only(opcode: int, mode: int) -> int:
    """Whether mod is not looked at: moves to and from control, debug and test registers."""
    return 1 if 0x120 <= opcode <= 0x123 or mode != 8 and (opcode == 0x124 or opcode == 0x126) else 0


@bare
def operand_size(flags: int, osize: int, data: int, wide: int, mode: int) -> int:
    """The operand size where the row does not leave it to 66 and REX.W."""
    if flags & L.F_D64:
        if mode == 8:
            return 2 if data and not wide else 8
    elif flags & L.F_NO_SIZE or flags & L.F_66:
        if not (wide and mode == 8) or flags & L.F_NO_SIZE:
            if flags & L.F_NO_SIZE and flags & L.F_OSIZE:
                return (4 if data else 2) if mode == 2 else (2 if data else 4)
            return 4 if mode != 2 else 2
    return osize


@bare
def broken_start(out: MutableSequence[int], o: int, outcome: int, count: int, fwaits: int, mode: int) -> int:
    """The row of prefixes that no instruction follows."""
    if outcome == L.TRUNCATED:
        return truncated(out, o, count, mode)
    if count == 14:
        return strange(out, o, 14, 14, (1 << 14) - 1, mode, L.PREFIXES_ONLY)
    return strange(out, o, count - (fwaits & 1), count, ((1 << count) - 1) & ~fwaits, mode, L.PREFIXES_ONLY)


@bare
def lone_fwait(T: Sequence[int], out: MutableSequence[int], o: int, fwait: int, fwaits: int, mode: int) -> int:
    """The row of a wait that joins no x87 instruction."""
    last = fwait + 1 if fwaits > 1 and fwaits & 1 else fwait
    strange(out, o, fwait + 1, last, ((1 << last) - 1) & ~fwaits, mode, L.OK)
    out[o + C_FORM] = -T[L.ROOTS + 0x9B]
    return fwait + 1


@bare
def stricter(T: Sequence[int], root: int, modrm: int, mode: int, data: int, osize: int, asize: int, extensions: int, ll: int, bits: int) -> int:
    """The form that wants another selecting prefix and with it would take the bytes whole (attribute strict), 0 if there is none."""
    rexb, wide = extensions & EXT_B, 1 if extensions & EXT_W else 0
    if ll > 2:
        return 0
    for prefix in range(1, -1, -1):
        form = walk(T, root, modrm, mode, prefix, data, osize, asize, rexb, wide if prefix or not bits & L.EVEX else 0, ll)
        if form and T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_STRICT:
            return form
        if form and bits & L.EVEX:
            return 0
    return 0


@bare
def whole(T: Sequence[int], code: Sequence[int], pos: int, end: int, form: int, modrm: int, osize: int, asize: int, mode: int, extensions: int) -> int:
    """Where the operands of `form`, whose ModRM byte stands at `pos`, end; beyond `end` when they are cut off."""
    cursor = pos + 1
    if modrm < 0xC0 and not T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_NEED_REG:
        cursor, _, _, _, _ = memory(code, cursor, end, modrm, asize, mode, extensions, -1, 0, 1)
        if cursor < 0:
            return end + 1
    kind = T[L.FORMS + form * L.STRIDE + L.IMMEDIATE]
    return cursor + immediate_size(kind, osize, asize) if kind else cursor


@bare
def no_row(
    T: Sequence[int], code: Sequence[int], start: int, pos: int, end: int, out: MutableSequence[int], o: int, opcode: int, modrm: int, mode: int,
    prefix: int, data: int, osize: int, asize: int, extensions: int, ll: int, raw: int, bits: int, count: int, shown: int, marks: int,
) -> int:  # fmt: skip
    """The row of an opcode that no row of the map fits; `pos` is behind it."""
    root = T[L.ROOTS + opcode]
    length = pos - start
    encoded = bits & (L.VEX | L.EVEX | L.XOP)
    if prefix and not encoded and bad_eats_prefix(T, root, modrm):
        shown &= ~(1 << ((marks >> LAST_REP if prefix > 1 else marks >> LAST_66) & 15))
    strict = stricter(T, root, modrm, mode, data, osize, asize, extensions, ll, bits)
    if strict:
        behind = whole(T, code, pos, end, strict, modrm, osize, asize, mode, extensions)
        if behind > end or behind - start > FETCHED:
            return truncated(out, o, count, mode)
    mask_register = extensions >> 8 & 7
    if strict or raw or bits & L.EVEX_Z and not mask_register:
        shown = 0
    elif length > LONGEST:
        length = LONGEST
    strange(out, o, length, count, shown, mode, L.NO_ROW)
    if encoded == L.EVEX and raw == 0 and not strict and (mask_register or not bits & L.EVEX_Z):
        out[o + C_PREFIXES] |= bits & (L.EVEX | L.EVEX_Z | L.EVEX_B | (3 << L.LL_SHIFT))
        out[o + C_REGISTERS] = (mask_register << 24) | (L.RM_IS_REGISTER if modrm >= 0xC0 else 0)
    return length


@bare
def decode_one(T: Sequence[int], code: Sequence[int], start: int, end: int, mode: int, address: int, out: MutableSequence[int], o: int) -> int:
    """Decodes the bytes of `code` from `start`, never at or past `end`, into the columns at `out[o:]`; returns the length.

    `mode` is the default operand size's mode in bytes (2, 4 or 8); `address` is that of the first byte.
    """
    put(out, o + C_ADDRESS, address)
    count, bits, rex, marks, active, fwaits, fwait = 0, 0, 0, NO_MARKS, -1, 0, -1
    if item(T, (256 if mode == 8 else 0) + item(code, start)) != L.P_NONE:
        outcome, count, bits, rex, marks, active, fwaits, fwait = scan(T, code, start, end, mode)
        if outcome != L.OK:
            return broken_start(out, o, outcome, count, fwaits, mode)
    pos = start + count
    opcode = item(code, pos)
    if fwait >= 0 and (opcode < 0xD8 or opcode > 0xDF):
        return lone_fwait(T, out, o, fwait, fwaits, mode)
    shown = (1 << count) - 1
    if fwait >= 0:
        shown &= ~fwaits
        bits |= L.FWAIT

    # The opcode: its map, and the fields of VEX, EVEX and XOP.
    pos += 1
    first = pos
    extensions = rex & 15
    encoded = 0
    vvvv = 0
    if opcode == 0x0F:
        if pos >= end:
            return truncated(out, o, count, mode)
        opcode = item(code, pos) + 0x100
        pos += 1
        if opcode == 0x138 or opcode == 0x13A:
            if pos >= end:
                return truncated(out, o, count, mode)
            opcode = item(code, pos) + (0x200 if opcode == 0x138 else 0x300)
            pos += 1
    elif opcode == 0xC5 or opcode == 0xC4 or opcode == 0x62 or opcode == 0x8F:
        if pos >= end:
            return truncated(out, o, count, mode)
        encoded = kind_of(opcode, item(code, pos), mode)
        if encoded:
            table = table_of(opcode, item(code, pos))
            behind = pos + payload_size(opcode)
            if encoded == L.XOP and code[pos] & 31 > 15:
                if item(code, pos) < 0xC0 and code[pos] & 7 == 4 and pos + 1 >= end and (mode != 2) != (bits & L.ADDR != 0 and mode != 8):
                    return truncated(out, o, count, mode)  # read as pop's ModRM byte, it wants a SIB byte
                return strange(out, o, count + 1, count, shown, mode, L.BAD_MAP)
            if behind >= end:
                return truncated(out, o, count, mode)
            # The extension bits of the payload stand in for REX: when all are clear, no REX is shown.
            unshown = 1 << (count - 1) if rex and code[pos] & 0xE0 == 0xE0 else 0
            if table == 0:
                return strange(out, o, count + 1, count, shown & ~unshown, mode, L.BAD_MAP)
            if opcode == 0x62 and code[pos + 1] & 4 == 0:
                return strange(out, o, count + 2, count, shown & ~unshown if item(code, pos + 1) < 128 else shown, mode, L.BAD_RESERVED)
            extensions, vvvv, more = fields(code, pos, opcode, mode)
            bits |= more
            opcode = item(code, behind) + table * 256
            pos = behind + 1

    # Sizes, then the row.
    known = item(T, L.MODRM + opcode)
    if encoded:
        known = 1 if opcode & 255 != 0x77 or opcode >> 8 != L.VEX_MAPS[0] else known
    elif opcode >= 0x200 or opcode == 0x10F or opcode & ~1 == 0x17A or opcode == 0x125:
        known = 1
    modrm = 0
    asize = mode
    if bits & L.ADDR:
        asize = 4 if mode == 8 else 6 - mode
    if known:
        if pos >= end:
            return truncated(out, o, count, mode)
        modrm = item(code, pos)
        if modrm & 7 == 4 and modrm < 0xC0 and asize != 2 and pos + 1 >= end and not register_only(opcode, mode):
            return truncated(out, o, count, mode)
    ll = (bits >> L.LL_SHIFT) & 3
    if bits & L.EVEX_B and modrm >= 0xC0:
        ll = 2  # the length field is the rounding mode
    wide = 1 if extensions & EXT_W else 0
    data = bits & L.DATA
    osize = 8 if wide and mode == 8 else ((2 if mode != 2 else 4) if data else (4 if mode != 2 else 2))
    if encoded:
        prefix = (bits >> L.PP_SHIFT) & 3
    elif bits & L.REPZ:
        prefix = 2
    elif bits & L.REPNZ:
        prefix = 3
    else:
        prefix = 1 if data else 0
    raw = vvvv & 15
    if mode != 8:
        vvvv &= 23
    form = 0
    if opcode != 0x10F:
        if ll < 3:
            form = walk(T, item(T, L.ROOTS + opcode), modrm, mode, prefix, data, osize, asize, extensions & EXT_B, wide, ll)
        if form == 0:
            return no_row(T, code, start, pos, end, out, o, opcode, modrm, mode, prefix, data, osize, asize, extensions, ll, raw, bits, count, shown, marks)
    flags = item(T, L.FORMS + form * L.STRIDE + L.FLAGS)
    if known:
        pos += 1
    is_register = 1 if modrm >= 0xC0 else 0
    if opcode == 0x10F:
        flags = L.F_MODRM
    if flags & L.F_MOD_IGNORED:
        is_register = 1
    osize = operand_size(flags, osize, data, wide, mode)
    if flags & L.F_MPX and mode == 8:
        asize = 8
    vector = 16 << ll
    cursor = pos
    fault = L.OK
    used = 0
    displacement = 0
    packed = L.NONE | (L.NONE << 8)
    tracked = flags & L.F_NOTRACK and marks & SEEN_DS and (mode != 8 or (marks >> LAST_66) & 15 == NOWHERE)
    if flags & L.F_MODRM and not is_register:
        scale8 = disp_scale(T, form, bits, osize, asize, vector, wide, mode) if extensions & EXT_EVEX and modrm >> 6 == 1 else 1
        cursor, packed, displacement, used, fault = memory(code, pos, end, modrm, asize, mode, extensions, -1 if tracked else active, flags, scale8)
        if cursor < 0:
            return truncated(out, o, count, mode)
    if opcode == 0x10F:
        # 3DNow!: the opcode is the byte behind the operands.
        if cursor >= end:
            return truncated(out, o, count, mode)
        form = -item(T, L.ROOTS + 0x400 + (item(code, cursor)))
        cursor += 1
        flags = item(T, L.FORMS + form * L.STRIDE + L.FLAGS) | L.F_MODRM
        if data:
            flags |= L.F_EAT_66 | L.F_R | L.F_B
    if flags & L.F_MODRM:
        if is_register and flags & L.F_NEED_MEM:
            fault = L.NEEDS_MEMORY
            cursor = first
        elif not is_register and flags & L.F_NEED_REG:
            fault = L.NEEDS_REGISTER
            cursor = first
            used = 0
            packed = L.NONE | (L.NONE << 8)
        elif flags & L.F_NO_OPERAND:
            fault = L.NO_MEANING
        elif flags & L.F_RM0:
            fault = L.NEEDS_REGISTER
            cursor = first
    value = 0
    kind = item(T, L.FORMS + form * L.STRIDE + L.IMMEDIATE)
    if kind:
        size = immediate_size(kind, osize, asize)
        if cursor + size > end:
            return truncated(out, o, count, mode)
        value = immediate(code, cursor, kind, size)
        cursor += size
    length = cursor - start
    if flags & L.F_BAD:
        fault = L.NO_MEANING
    if encoded and (raw and not flags & L.F_VVVV or bits & L.EVEX_Z and not extensions >> 8 & 7):
        if length > FETCHED:
            return truncated(out, o, count, mode)
        refused = L.BAD_VVVV if raw and not flags & L.F_VVVV else L.BAD_ZEROING
        return strange(out, o, count + (3 if item(code, first - 1) == 0xC5 else (5 if encoded == L.EVEX else 4)), count, 0, mode, refused)

    # Which prefixes acted: the others are shown.
    if count:
        if tracked:
            active = -1
            bits |= L.NOTRACK
        shown &= ~acting(code, start, count, bits, marks, active, mode, flags, used, packed, wide)
        if rex and not encoded and rex_acted(rex, wide, flags, used, modrm, is_register, opcode, 1 if fault == L.NEEDS_MEMORY else 0):
            shown &= ~(1 << (count - 1))
    if length > FETCHED:
        return truncated(out, o, count, mode)
    if form == 0:
        strange(out, o, count + 1, count, shown, mode, L.NO_ROW)
        if packed & 255 == L.RIP:  # objdump's comment stays
            out[o + C_MEMORY] = packed
            out[o + C_DISPLACEMENT] = displacement
            out[o + C_SIZES] |= asize << 8
        return count + 1
    if length > LONGEST:
        strange(out, o, LONGEST, count, shown, mode, L.TOO_LONG)
        out[o + C_FORM] = form
        out[o + C_PREFIXES] |= bits & (L.LOCK | L.NOTRACK)
        out[o + C_REGISTERS] = L.RM_IS_REGISTER if is_register else 0
        return LONGEST
    if active >= 0:
        bits |= L.SEGMENT
        if flags & (L.F_STRING | L.F_ADDR_SHOWN):
            packed = (packed & ~(255 << 24)) | (active << 24)
    elif flags & (L.F_STRING | L.F_ADDR_SHOWN):
        packed = (packed & ~(255 << 24)) | (3 << 24)
    rexb = extensions & EXT_B
    rm = (opcode if flags & L.F_OPC_REG else modrm) & 7 | rexb << 3
    reg = (modrm >> 3) & 7 | (8 if extensions & EXT_R else 0)
    if encoded == L.EVEX:
        reg |= extensions & EXT_R2
        if is_register and extensions & EXT_X:
            rm |= 16
    bits |= (L.REX if rex else 0) | wide << 22 | (extensions & EXT_R) << 21 | (extensions & EXT_X) << 23 | rexb << 25
    put(out, o + C_FORM, form)
    put(out, o + C_LENGTH, length)
    put(out, o + C_PREFIXES, bits | shown | (count << L.PREFIX_COUNT_SHIFT))
    put(out, o + C_SIZES, osize | (asize << 8) | (vector << 16) | (mode << 24))
    put(out, o + C_REGISTERS, reg | (rm << 8) | (vvvv << 16) | (extensions >> 8 & 7) << 24 | (L.RM_IS_REGISTER if is_register else 0))
    put(out, o + C_MEMORY, packed)
    put(out, o + C_DISPLACEMENT, displacement)
    put(out, o + C_IMMEDIATE, value)
    put(out, o + C_FAULT, fault)
    if flags & (L.F_GATHER | L.F_TILES) and encoded == L.VEX and fault == L.OK:
        if clashes(T, out, o, form, 0) or clashes(T, out, o, form, 1):
            put(out, o + C_FAULT, L.BAD_INDEX)
    return length


@bare
def decode_run(T: Sequence[int], code: Sequence[int], start: int, end: int, mode: int, address: int, out: MutableSequence[int], rows: int) -> int:
    """Decodes one after the other from `start` until `end` or until `rows` rows of `out` are full; returns the rows filled."""
    pos = start
    n = 0
    while pos < end and n < rows:
        pos += decode_one(T, code, pos, end, mode, address + pos - start, out, n * COLUMNS)
        n += 1
    return n
