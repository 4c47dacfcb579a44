"""The text of a memory operand's address, in both syntaxes, and of a branch's target.

SDM Vol. 2A, 2.1.5; forms and signs as GNU objdump 2.40 prints them.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import names as N
from tanken.isa.x86.kernels.fields import C_ADDRESS, C_DISPLACEMENT, C_IMMEDIATE, C_LENGTH, C_MEMORY, C_PREFIXES, C_SIZES, resolve
from tanken.isa.x86.kernels.letters import put_digits, put_hex, put_register

NO_INDEX, NO_INDEX_32 = 18, 19  # riz and eiz among the names of general registers


@bare
def put_segment(B: Sequence[int], buf: MutableSequence[int], p: int, segment: int, att: int) -> int:
    """A segment register and its colon."""
    p = put_register(B, buf, p, N.SEG * 32 + segment, att)
    buf[p] = 58
    return p + 1


@bare
def put_displacement(buf: MutableSequence[int], p: int, disp: int, plus: int) -> int:
    """A signed displacement; `plus` puts + before one that is not negative."""
    if disp < 0:
        buf[p] = 45
        p += 1
        disp = -disp
    elif plus:
        buf[p] = 43
        p += 1
    buf[p] = 48
    buf[p + 1] = 120
    return put_digits(buf, p + 2, disp)


@bare
def put_scale(buf: MutableSequence[int], p: int, letter: int, memory: int) -> int:
    """The scale of the index behind a comma or an asterisk."""
    buf[p] = letter
    buf[p + 1] = 48 + (1 << ((memory >> 16) & 3))
    return p + 2


@bare
def index_name(T: Sequence[int], out: Sequence[int], o: int, form: int, file: int) -> int:
    """The name of the index register, of riz or eiz where SIB names none, -1 where none is shown."""
    memory = out[o + C_MEMORY]
    sizes = out[o + C_SIZES]
    asize = (sizes >> 8) & 255
    base = memory & 255
    index = (memory >> 8) & 255
    if index != L.NONE:
        if T[L.FORMS + form * L.STRIDE + L.FLAGS] & L.F_VSIB:
            vsize = resolve(T[L.FORMS + form * L.STRIDE + L.VSIB], 0, 0, (sizes >> 16) & 255, 0, (sizes >> 24) & 255)
            return (N.XMM if vsize <= 16 else (N.YMM if vsize == 32 else N.ZMM)) * 32 + index
        return file + index
    scaled = (memory >> 16) & 3
    if memory & L.SIB and (base & 7 != 4 or base == L.NONE or scaled) and (base != L.NONE or asize == 4 and (sizes >> 24) & 255 != 2 or scaled):
        return N.QUAD * 32 + (NO_INDEX if asize == 8 else NO_INDEX_32)
    return -1


@bare
def put_memory(T: Sequence[int], B: Sequence[int], out: Sequence[int], o: int, form: int, att: int, buf: MutableSequence[int], p: int) -> int:
    """The address of the memory operand, with its segment override."""
    memory = out[o + C_MEMORY]
    sizes = out[o + C_SIZES]
    asize = (sizes >> 8) & 255
    disp = out[o + C_DISPLACEMENT]
    base = memory & 255
    override = out[o + C_PREFIXES] & L.SEGMENT
    if override:
        p = put_segment(B, buf, p, (memory >> 24) & 255, att)
    file = N.QUAD * 32 if asize == 8 else (N.DOUBLE * 32 if asize == 4 else N.WORD * 32)
    index = -1 if memory & (0xFF00 | L.SIB) == 0xFF00 else index_name(T, out, o, form, file)
    if base == L.NONE and index < 0:
        if asize == 2 and att:
            return put_displacement(buf, p, disp, 0)
        if not att and not override:
            p = put_segment(B, buf, p, 3, att)
        return put_hex(buf, p, disp, asize)
    unsigned = 0  # an index that is none, without a base: the displacement is an address of 32 bits
    if base == L.NONE and asize == 4 and index == N.QUAD * 32 + NO_INDEX_32 and (sizes >> 24) & 255 == 8:
        unsigned = 1
    name = file + base
    if base == L.RIP:
        name = N.QUAD * 32 + (16 if asize == 8 else 17)
    dbytes = (memory >> L.DISP_BYTES_SHIFT) & 15
    if att:
        if dbytes:
            p = put_hex(buf, p, disp, 4) if unsigned else put_displacement(buf, p, disp, 0)
        buf[p] = 40
        p += 1
        if base != L.NONE:
            p = put_register(B, buf, p, name, 1)
        if index >= 0:
            buf[p] = 44
            p = put_register(B, buf, p + 1, index, 1)
            if asize != 2:
                p = put_scale(buf, p, 44, memory)
        buf[p] = 41
        return p + 1
    buf[p] = 91
    p += 1
    if base != L.NONE:
        p = put_register(B, buf, p, name, 0)
        if index >= 0:
            buf[p] = 43
            p += 1
    if index >= 0:
        p = put_register(B, buf, p, index, 0)
        if asize != 2:
            p = put_scale(buf, p, 42, memory)
    if dbytes:
        if base == L.RIP or unsigned:
            buf[p] = 43
            p = put_hex(buf, p + 1, disp, 4 if unsigned else 8)
        else:
            p = put_displacement(buf, p, disp, 1)
    buf[p] = 93
    return p + 1


@bare
def target(T: Sequence[int], out: Sequence[int], o: int, form: int) -> int:
    """Where a relative branch goes, masked as the mode and operand size say."""
    sizes = out[o + C_SIZES]
    after = out[o + C_ADDRESS] + out[o + C_LENGTH]
    value = after + out[o + C_IMMEDIATE]
    if T[L.FORMS + form * L.STRIDE + L.IMMEDIATE] == L.I_JZ and sizes & 255 == 2:
        value &= 0xFFFF
        if not out[o + C_PREFIXES] & L.DATA:
            value |= after & ~0xFFFF
    if (sizes >> 24) & 255 != 8:
        value &= 0xFFFFFFFF
    return value
