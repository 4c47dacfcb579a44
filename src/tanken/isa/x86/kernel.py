"""The x86 decoder: bytes to one row of int64 columns by a walk through the map's trie; plain Python and Numba read this source.

Instruction format after SDM Vol. 2A chapter 2; where a byte belongs to no instruction, lengths follow GNU objdump 2.40.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import kernel
from tanken.isa.x86 import layout as L

P_NONE, P_DATA, P_ADDR, P_REPZ, P_REPNZ, P_LOCK, P_SEG, P_FWAIT, P_REX = range(9)
COLUMNS = 10
(C_ADDRESS, C_FORM, C_LENGTH, C_PREFIXES, C_SIZES, C_REGISTERS, C_MEMORY, C_DISPLACEMENT, C_IMMEDIATE, C_FAULT) = range(10)


@kernel
def signed(code: Sequence[int], pos: int, size: int) -> int:
    """The little-endian signed integer of `size` bytes at `pos`."""
    value = code[pos + size - 1] & 255
    if value >= 128:
        value -= 256
    for i in range(size - 2, -1, -1):
        value = (value << 8) | (code[pos + i] & 255)
    return value


@kernel
def resolve(size: int, osize: int, asize: int, vector: int, wide: int, mode: int) -> int:
    """The bytes that a size code means for this instruction."""
    if size < 100:
        return size
    if size == L.S_V:
        return osize
    if size == L.S_X:
        return vector
    if size == L.S_Z:
        return 4 if osize == 8 else osize
    if size == L.S_Y:
        return 8 if wide else 4
    if size == L.S_X2:
        return vector >> 1
    if size == L.S_X4:
        return vector >> 2
    if size == L.S_X8:
        return vector >> 3
    if size == L.S_A:
        return asize
    if size == L.S_P:
        return 4 if osize == 2 else 6
    if size == L.S_M:
        return 8 if mode == 8 else 4
    return 2 * osize


@kernel
def segment_of(byte: int) -> int:
    """The segment register that an override byte names: es cs ss ds fs gs."""
    return byte - 0x60 if byte >= 0x64 else (byte - 0x26) >> 3


@kernel
def unusual(out: MutableSequence[int], o: int, length: int, count: int, mask: int, mode: int, fault: int) -> int:
    """Fills the row for bytes that are no instruction; returns their length."""
    out[o + C_FORM] = 0
    out[o + C_LENGTH] = length
    out[o + C_PREFIXES] = mask | (count << L.PREFIX_COUNT_SHIFT)
    out[o + C_SIZES] = mode << 24
    out[o + C_REGISTERS] = 0
    out[o + C_MEMORY] = 0
    out[o + C_DISPLACEMENT] = 0
    out[o + C_IMMEDIATE] = 0
    out[o + C_FAULT] = fault
    return length


@kernel
def decorate(out: MutableSequence[int], o: int, bits: int, mask_register: int, modrm: int) -> int:
    """Keeps mask and rounding of an EVEX encoding that is no instruction, for the text."""
    out[o + C_PREFIXES] |= bits & (L.EVEX | L.EVEX_Z | L.EVEX_B | (3 << L.LL_SHIFT))
    out[o + C_REGISTERS] = (mask_register << 24) | (L.RM_IS_REGISTER if modrm >= 0xC0 else 0)
    return 0


@kernel
def walk(T: Sequence[int], node: int, modrm: int, mode: int, prefix: int, osize: int, asize: int, rexb: int, wide: int, ll: int) -> int:
    """From the root of an opcode to a form, 0 if none fits."""
    while node > 0:
        kind = T[node]
        if kind == L.N_REG:
            pick = (modrm >> 3) & 7
        elif kind == L.N_PREFIX:
            pick = prefix
        elif kind == L.N_MOD:
            pick = 1 if modrm >= 0xC0 else 0
        elif kind == L.N_L:
            pick = ll
        elif kind == L.N_W:
            pick = wide
        elif kind == L.N_MODE:
            pick = 2 if mode == 8 else mode >> 2
        elif kind == L.N_OSIZE:
            pick = 2 if osize == 8 else osize >> 2
        elif kind == L.N_ASIZE:
            pick = 2 if asize == 8 else asize >> 2
        elif kind == L.N_RM:
            pick = modrm & 7
        elif kind == L.N_REXB:
            pick = rexb
        else:
            pick = 1 if (modrm & 0xC7) == 5 else 0
        node = T[node + 1 + pick]
    return -node


@kernel
def decode_one(T: Sequence[int], code: Sequence[int], start: int, end: int, mode: int, address: int, out: MutableSequence[int], o: int) -> int:
    """Decodes the bytes of `code` from `start`, never at or past `end`, into the columns at `out[o:]`; returns the length.

    `mode` is the default operand size's mode in bytes (2, 4 or 8); `address` is that of the first byte.
    """
    out[o + C_ADDRESS] = address
    pos = start
    wide64 = 256 if mode == 8 else 0
    bits = 0
    rex = 0
    last66 = -1
    last67 = -1
    lastrep = -1
    lastseg = -1
    active = -1
    seen_ds = 0
    fwait = -1  # prefixes before the last FWAIT, which are not FWAIT themselves
    fwaits = 0  # positions of FWAIT
    count = 0
    while True:
        if pos >= end:
            return unusual(out, o, 1, 1 if pos > start else 0, 1 if pos > start else 0, mode, L.TRUNCATED)
        byte = code[pos] & 255
        kind = T[wide64 + byte]
        if kind == P_NONE:
            break
        if rex:
            return unusual(out, o, count - (fwaits & 1), count, ((1 << count) - 1) & ~fwaits, mode, L.PREFIXES_ONLY)
        if kind == P_FWAIT:
            fwait = count - (fwaits & 1)
            fwaits |= 1 << count
            pos += 1
            count += 1
            if count > 1:
                if pos >= end:
                    return unusual(out, o, 1, 1, 1, mode, L.TRUNCATED)
                byte = code[pos] & 255
                break
            continue
        if kind == P_REX:
            rex = byte
        elif kind == P_DATA:
            last66 = count
            bits |= L.DATA
        elif kind == P_ADDR:
            last67 = count
            bits |= L.ADDR
        elif kind == P_REPZ:
            lastrep = count
            bits = (bits & ~L.REPNZ) | L.REPZ
        elif kind == P_REPNZ:
            lastrep = count
            bits = (bits & ~L.REPZ) | L.REPNZ
        elif kind == P_LOCK:
            bits |= L.LOCK
        else:
            lastseg = count
            if byte == 0x3E:
                seen_ds = 1
            if mode != 8 or byte >= 0x64:
                active = segment_of(byte)
        pos += 1
        count += 1
        if count == 14:
            return unusual(out, o, 14, 14, (1 << 14) - 1, mode, L.PREFIXES_ONLY)
    if fwait >= 0 and (byte < 0xD8 or byte > 0xDF):
        last = fwait + 1 if fwaits > 1 and fwaits & 1 else fwait
        unusual(out, o, fwait + 1, last, ((1 << last) - 1) & ~fwaits, mode, L.OK)
        out[o + C_FORM] = -T[L.ROOTS + 0x9B]
        return fwait + 1
    rexpos = count - 1 if rex else -1

    # The opcode: its map, and the fields of VEX, EVEX and XOP.
    pos += 1
    first = pos
    opcode = byte
    evex = 0
    vvvv = 0
    raw = 0
    mask_register = 0
    ll = 0
    pp = 0
    wide = (rex >> 3) & 1
    rexr = (rex >> 2) & 1
    rexx = (rex >> 1) & 1
    rexb = rex & 1
    encoded = 0
    if opcode == 0x0F:
        if pos >= end:
            return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
        opcode = (code[pos] & 255) + 0x100
        pos += 1
        if opcode == 0x138 or opcode == 0x13A:
            if pos >= end:
                return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
            opcode = (code[pos] & 255) + (0x200 if opcode == 0x138 else 0x300)
            pos += 1
    elif opcode == 0xC5 or opcode == 0xC4 or opcode == 0x62 or opcode == 0x8F:
        if pos >= end:
            return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
        byte = code[pos] & 255
        if opcode == 0x8F:
            encoded = L.XOP if (byte & 31) >= 8 else 0
        elif mode == 8 or byte >= 0xC0:
            encoded = L.EVEX if opcode == 0x62 else L.VEX
        if encoded:
            need = 2 if opcode == 0xC5 else (4 if opcode == 0x62 else 3)
            if opcode == 0xC5:
                rexr = 1 - (byte >> 7)
                rexx = 0
                rexb = 0
                wide = 0
                table = 5
                byte2 = byte
            else:
                rexr = 1 - (byte >> 7)
                rexx = 1 - ((byte >> 6) & 1)
                rexb = 1 - ((byte >> 5) & 1)
                field = byte & 31
                if opcode == 0xC4:
                    if field < 1 or field > 3:
                        return unusual(out, o, count + 1, count, (1 << (rexpos if rex and byte >> 5 == 7 else count)) - 1, mode, L.BAD_MAP)
                    table = 4 + field
                elif opcode == 0x8F:
                    if field > 10:
                        return unusual(out, o, count + 1, count, (1 << (rexpos if rex and byte >> 5 == 7 else count)) - 1, mode, L.BAD_MAP)
                    table = 5 + field
                else:
                    field = byte & 15
                    if field == 0 or field == 4 or field > 6:
                        return unusual(out, o, count + 1, count, (1 << (rexpos if rex and byte >> 5 == 7 else count)) - 1, mode, L.BAD_MAP)
                    table = 7 + field if field < 4 else 6 + field
                if pos + 1 >= end:
                    return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
                byte2 = code[pos + 1] & 255
                wide = byte2 >> 7
            if pos + need - 1 >= end:
                return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
            vvvv = 15 - ((byte2 >> 3) & 15)
            raw = vvvv
            pp = byte2 & 3
            ll = (byte2 >> 2) & 1
            if opcode == 0x62:
                if (byte2 & 4) == 0:
                    return unusual(out, o, count + 2, count, (1 << count) - 1, mode, L.BAD_RESERVED)
                byte3 = code[pos + 2] & 255
                ll = (byte3 >> 5) & 3
                evex = byte3
                mask_register = byte3 & 7
                vvvv |= 16 - ((byte3 & 8) << 1)
                rexr |= 2 - ((byte & 16) >> 3)
                bits |= (L.EVEX_Z if byte3 & 128 else 0) | (L.EVEX_B if byte3 & 16 else 0)
            if mode != 8:
                rexr = 0
                rexx = 0
                rexb = 0
                vvvv &= 23
            bits |= encoded | (pp << L.PP_SHIFT) | (ll << L.LL_SHIFT)
            opcode = (code[pos + need - 1] & 255) + table * 256
            pos += need

    # Sizes, then the row.
    known = T[L.MODRM + opcode]
    modrm = 0
    if opcode == 0x10F:
        known = 1
    if encoded == L.EVEX:
        known = 1
    if known:
        if pos >= end:
            return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
        modrm = code[pos] & 255
    if bits & L.EVEX_B and modrm >= 0xC0:
        ll = 2  # the length field is the rounding mode
    if mode == 8:
        asize = 4 if bits & L.ADDR else 8
    else:
        asize = 6 - mode if bits & L.ADDR else mode
    data = bits & L.DATA
    osize = 8 if wide and mode == 8 else ((2 if mode != 2 else 4) if data else (4 if mode != 2 else 2))
    if encoded:
        prefix = pp if pp < 2 else 5 - pp
        prefix = pp
    elif bits & L.REPZ:
        prefix = 2
    elif bits & L.REPNZ:
        prefix = 3
    else:
        prefix = 1 if data else 0
    if opcode == 0x10F or ll == 3:
        form = 0
    else:
        form = walk(T, T[L.ROOTS + opcode], modrm, mode, prefix, osize, asize, rexb & 1, wide, ll)
    all_prefixes = (1 << count) - 1
    if fwait >= 0:
        all_prefixes &= ~fwaits
        bits |= L.FWAIT
    if form == 0 and opcode != 0x10F:
        if prefix and not encoded and bad_eats_prefix(T, T[L.ROOTS + opcode], modrm):
            all_prefixes &= ~(1 << (lastrep if prefix > 1 else last66))
        for other in range(2):
            twin = walk(T, T[L.ROOTS + opcode], modrm, mode, other, osize, asize, rexb & 1, wide, ll)
            if raw or encoded != L.EVEX and T[L.FORMS + twin * L.STRIDE + L.FLAGS] & L.F_STRICT:
                all_prefixes = 0
        unusual(out, o, pos - start, count, all_prefixes, mode, L.NO_ROW)
        if encoded == L.EVEX and raw == 0 and (mask_register or not bits & L.EVEX_Z):
            other = walk(T, T[L.ROOTS + opcode], modrm, mode, 1, osize, asize, rexb & 1, wide, ll) if ll < 3 else 0
            if other == 0 and ll < 3:
                other = walk(T, T[L.ROOTS + opcode], modrm, mode, 0, osize, asize, rexb & 1, 0, ll)
            if other == 0 or not T[L.FORMS + other * L.STRIDE + L.FLAGS] & L.F_STRICT:
                decorate(out, o, bits, mask_register, modrm)
        return pos - start
    flags = T[L.FORMS + form * L.STRIDE + L.FLAGS]
    if known:
        pos += 1
    is_register = 1 if modrm >= 0xC0 else 0
    if opcode == 0x10F:
        flags = L.F_MODRM
    if flags & L.F_MOD_IGNORED:
        is_register = 1
    if flags & L.F_D64:
        if mode == 8:
            osize = 2 if data and not wide else 8
    elif flags & L.F_NO_SIZE or flags & L.F_66:
        if not (wide and mode == 8) or flags & L.F_NO_SIZE:
            osize = (2 if data else 4) if flags & L.F_NO_SIZE and flags & L.F_OSIZE else (4 if mode != 2 else 2)
            if mode == 2 and flags & L.F_NO_SIZE and flags & L.F_OSIZE:
                osize = 4 if data else 2
    if flags & L.F_MPX and mode == 8:
        asize = 8
    vector = 16 << ll
    cursor = pos
    fault = L.OK
    used = 0
    disp = 0
    memory = L.NONE | (L.NONE << 8)
    rm = (modrm & 7) | ((rexb & 1) << 3)
    if flags & L.F_MODRM and not is_register:
        used |= 1
        mod = modrm >> 6
        low = modrm & 7
        dbytes = 0
        base = low
        index = L.NONE
        scale = 0
        sib = 0
        if asize == 2:
            if low == 6 and mod == 0:
                base = L.NONE
                dbytes = 2
            elif low < 2 or low == 7:
                base = 3
            elif low < 4 or low == 6:
                base = 5
            else:
                base = low + 2 if low == 4 else 7
            if low == 0 or low == 2:
                index = 6
            elif low == 1 or low == 3:
                index = 7
            elif low == 4:
                base = 6
            elif low == 5:
                base = 7
            if mod == 1:
                dbytes = 1
            elif mod == 2:
                dbytes = 2
        else:
            if low == 4:
                if cursor >= end:
                    return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
                byte = code[cursor] & 255
                cursor += 1
                sib = L.SIB
                used |= 2
                scale = byte >> 6
                index = ((byte >> 3) & 7) | (rexx << 3)
                base = byte & 7
                if flags & L.F_VSIB:
                    if encoded == L.EVEX and mode == 8:
                        index |= 16 - ((evex & 8) << 1)
                elif index == 4:
                    index = L.NONE
            if base == 5 and mod == 0:
                dbytes = 4
                base = L.NONE
                if low == 5 and mode == 8:
                    base = L.RIP
            else:
                base |= (rexb & 1) << 3
            if mod == 1:
                dbytes = 1
            elif mod == 2:
                dbytes = 4
        if flags & L.F_MPX and asize == 2:
            dbytes = 0
        if flags & L.F_VSIB and encoded == L.EVEX and not sib:
            dbytes = 0
            base = L.NONE
        if dbytes:
            if cursor + dbytes > end:
                return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
            disp = signed(code, cursor, dbytes)
            cursor += dbytes
            if dbytes == 1 and encoded == L.EVEX:
                disp *= disp_scale(T, form, bits, osize, asize, vector, wide, mode)
        if flags & (L.F_VSIB | L.F_TILE_SIB) and not sib:
            # Without a SIB byte there is no index: objdump stops behind the ModRM byte and prints an address-size prefix.
            cursor = pos
            disp = 0
            dbytes = 0
            base = L.NONE
            index = L.NONE
            used = 4
            fault = L.BAD_INDEX
        segment = active
        if segment < 0 or flags & L.F_NOTRACK and seen_ds:
            segment = 2 if asize > 2 and (base == 4 or base == 5) or asize == 2 and base == 5 else 3
        memory = base | (index << 8) | (scale << 16) | (segment << 24) | sib | (dbytes << L.DISP_BYTES_SHIFT)
    if opcode == 0x10F:
        # 3DNow!: the opcode is the byte behind the operands.
        if cursor >= end:
            return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
        form = -T[L.ROOTS + 0x400 + (code[cursor] & 255)]
        cursor += 1
        flags = T[L.FORMS + form * L.STRIDE + L.FLAGS] | L.F_MODRM
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
            memory = L.NONE | (L.NONE << 8)
        elif flags & L.F_NO_OPERAND:
            fault = L.NO_MEANING
        elif flags & L.F_RM0:
            fault = L.NEEDS_REGISTER
            cursor = first

    # The immediate.
    imm = 0
    size = 0
    kind = T[L.FORMS + form * L.STRIDE + L.IMMEDIATE]
    if kind:
        if kind == L.I_B or kind == L.I_BS or kind == L.I_JB or kind == L.I_IS4:
            size = 1
        elif kind == L.I_W or kind == L.I_BB:
            size = 2
        elif kind == L.I_Z:
            size = 2 if osize == 2 else 4
        elif kind == L.I_JZ:
            size = 2 if osize == 2 else 4
        elif kind == L.I_V:
            size = osize
        elif kind == L.I_D:
            size = 4
        elif kind == L.I_WB:
            size = 3
        elif kind == L.I_O:
            size = asize
        else:
            size = 4 if osize == 2 else 6
        if cursor + size > end:
            return unusual(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)
        imm = signed(code, cursor, size)
        if kind == L.I_B or kind == L.I_IS4:
            imm &= 255
        elif kind == L.I_W or kind == L.I_BB:
            imm &= 0xFFFF
        elif kind == L.I_WB:
            imm &= 0xFFFFFF
        elif kind == L.I_AP:
            if size == 4:
                imm = (imm & 0xFFFF) | (((imm >> 16) & 0xFFFF) << 32)
            else:
                imm &= 0xFFFFFFFFFFFF
        elif kind == L.I_O and size < 8:
            imm &= (1 << (8 * size)) - 1
        cursor += size
    length = cursor - start
    if length > 15:
        return unusual(out, o, 15, count, all_prefixes, mode, L.TOO_LONG)
    if flags & L.F_BAD:
        fault = L.NO_MEANING
    if encoded:
        refused = L.OK
        if raw and not flags & L.F_VVVV:
            refused = L.BAD_VVVV
            all_prefixes = 0
        elif bits & L.EVEX_Z and mask_register == 0:
            refused = L.BAD_ZEROING
        if refused:
            return unusual(out, o, count + (3 if code[first - 1] & 255 == 0xC5 else (5 if encoded == L.EVEX else 4)), count, all_prefixes, mode, refused)

    # Which prefixes acted: the others are shown.
    if count:
        if last66 >= 0:
            acts = flags & L.F_OSIZE and not (wide and mode == 8 and not flags & L.F_NO_SIZE)
            if flags & (L.F_66 | L.F_EAT_66) or acts and not (flags & L.F_SIZE_REG and not is_register):
                if not encoded:
                    all_prefixes &= ~(1 << last66)
        if last67 >= 0 and not flags & L.F_ADDR_SHOWN and (used & 1 or flags & (L.F_STRING | L.F_ASIZE)):
            bare = mode == 2 and used & 1 and memory & 0xFFFF == (L.NONE | (L.NONE << 8))
            if not bare and not (flags & L.F_MPX and mode != 2):
                all_prefixes &= ~(1 << last67)
        if lastrep >= 0 and flags & (L.F_F3 | L.F_F2) and not encoded:
            all_prefixes &= ~(1 << lastrep)
        if flags & L.F_NOTRACK and seen_ds and (mode != 8 or last66 < 0):
            active = -1
            bits |= L.NOTRACK
        if lastseg >= 0:
            if flags & L.F_STRING or active >= 0 and (used & 5 or flags & L.F_ADDR_SHOWN):
                all_prefixes &= ~(1 << lastseg)
        if flags & L.F_CR8 and bits & L.LOCK and mode != 8:
            for i in range(count):
                if code[start + i] & 255 == 0xF0:
                    all_prefixes &= ~(1 << i)
        if rexpos >= 0 and not encoded:
            idle = rex & 15
            if wide and flags & L.F_W and not (flags & L.F_SIZE_REG and not is_register):
                idle &= 7
            if flags & L.F_R:
                idle &= 11
            if used & 2:
                idle &= 13
            if used & 1 or flags & L.F_B and (is_register or flags & L.F_OPC_REG):
                idle &= 14
            if rex == 0x40:
                low = (modrm >> 3) & 7
                idle = 1
                if flags & L.F_BYTE_REG and low >= 4:
                    idle = 0
                if flags & L.F_BYTE_RM and is_register and modrm & 7 >= 4:
                    idle = 0
                if flags & L.F_BYTE_OPC and opcode & 7 >= 4:
                    idle = 0
            if idle == 0:
                all_prefixes &= ~(1 << rexpos)
    if form == 0:
        return unusual(out, o, count + 1, count, all_prefixes, mode, L.NO_ROW)
    if active >= 0:
        bits |= L.SEGMENT
        if flags & (L.F_STRING | L.F_ADDR_SHOWN):
            memory = (memory & ~(255 << 24)) | (active << 24)
    elif flags & (L.F_STRING | L.F_ADDR_SHOWN):
        memory = (memory & ~(255 << 24)) | (3 << 24)
    if flags & L.F_OPC_REG:
        rm = (opcode & 7) | ((rexb & 1) << 3)
    reg = ((modrm >> 3) & 7) | ((rexr & 1) << 3)
    if encoded == L.EVEX:
        reg |= (rexr & 2) << 3
        if is_register:
            rm |= rexx << 4
    bits |= (L.REX if rex else 0) | (wide << 22) | ((rexr & 1) << 23) | (rexx << 24) | ((rexb & 1) << 25)
    out[o + C_FORM] = form
    out[o + C_LENGTH] = length
    out[o + C_PREFIXES] = bits | all_prefixes | (count << L.PREFIX_COUNT_SHIFT)
    out[o + C_SIZES] = osize | (asize << 8) | (vector << 16) | (mode << 24)
    out[o + C_REGISTERS] = reg | (rm << 8) | (vvvv << 16) | (mask_register << 24) | (L.RM_IS_REGISTER if is_register else 0)
    out[o + C_MEMORY] = memory
    out[o + C_DISPLACEMENT] = disp
    out[o + C_IMMEDIATE] = imm
    out[o + C_FAULT] = fault
    if flags & (L.F_GATHER | L.F_TILES) and encoded == L.VEX and fault == L.OK:
        if clashes(T, out, o, form, 0) or clashes(T, out, o, form, 1):
            out[o + C_FAULT] = L.BAD_INDEX
    return length


@kernel
def clashes(T: Sequence[int], out: Sequence[int], o: int, form: int, i: int) -> int:
    """Whether operand `i` of a gather or tile instruction names the register, or index, that another operand names."""
    number = numbered(T, out, o, form, i)
    for j in range(3):
        if j != i and number >= 0 and number == numbered(T, out, o, form, j):
            return 1
    return 0


@kernel
def numbered(T: Sequence[int], out: Sequence[int], o: int, form: int, i: int) -> int:
    """The number of operand `i`'s register, or of its vector index; -1 if it has none."""
    source = T[L.FORMS + form * L.STRIDE + L.SLOTS + L.SLOT * i + L.SOURCE]
    registers = out[o + C_REGISTERS]
    if source == L.O_REG:
        return registers & 255
    if source == L.O_VVVV:
        return (registers >> 16) & 255
    if T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_TILES:
        return (registers >> 8) & 255
    return (out[o + C_MEMORY] >> 8) & 255 if out[o + C_MEMORY] & L.SIB else -1


@kernel
def disp_scale(T: Sequence[int], form: int, bits: int, osize: int, asize: int, vector: int, wide: int, mode: int) -> int:
    """The N of disp8*N (SDM Vol. 2A, 2.7.5)."""
    element = T[L.FORMS + form * L.STRIDE + L.BROADCAST]
    if bits & L.EVEX_B and element:
        return (2 << wide) if element == 2 else (8 if wide else 4)
    size = resolve(T[L.FORMS + form * L.STRIDE + L.SCALE], osize, asize, vector, wide and mode == 8, mode)
    return size if size else 1


@kernel
def bad_eats_prefix(T: Sequence[int], node: int, modrm: int) -> int:
    """Whether the walk to nowhere goes, in 64-bit mode, through a choice by prefix: then the prefix is not shown."""
    while node > 0:
        kind = T[node]
        if kind == L.N_PREFIX:
            return 1
        pick = 0
        if kind == L.N_REG:
            pick = (modrm >> 3) & 7
        elif kind == L.N_MOD:
            pick = 1 if modrm >= 0xC0 else 0
        elif kind == L.N_RM:
            pick = modrm & 7
        elif kind == L.N_MODE:
            pick = 2
        node = T[node + 1 + pick]
    return 0


@kernel
def decode_run(T: Sequence[int], code: Sequence[int], start: int, end: int, mode: int, address: int, out: MutableSequence[int], rows: int) -> int:
    """Decodes one after the other from `start` until `end` or until `rows` rows of `out` are full; returns the rows filled."""
    pos = start
    n = 0
    while pos < end and n < rows:
        pos += decode_one(T, code, pos, end, mode, address + pos - start, out, n * COLUMNS)
        n += 1
    return n
