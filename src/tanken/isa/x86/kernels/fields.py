"""What the parts of the decoder share: the columns of a row, numbers in the bytes, sizes, and the walk from an opcode to a row of the map.

Columns are those of `isa.architecture.Column`; their packing stands in `layout`.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.base.wide import item
from tanken.isa.x86 import layout as L

COLUMNS = 10
(C_ADDRESS, C_FORM, C_LENGTH, C_PREFIXES, C_SIZES, C_REGISTERS, C_MEMORY, C_DISPLACEMENT, C_IMMEDIATE, C_FAULT) = range(10)


@bare
def signed(code: Sequence[int], pos: int, size: int) -> int:
    """The little-endian signed integer of `size` bytes at `pos`."""
    value = item(code, pos + size - 1)
    if value >= 128:
        value -= 256
    for i in range(size - 2, -1, -1):
        value = (value << 8) | item(code, pos + i)
    return value


@bare
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


@bare
def segment_of(byte: int) -> int:
    """The segment register that an override byte names: es cs ss ds fs gs."""
    return byte - 0x60 if byte >= 0x64 else (byte - 0x26) >> 3


@bare
def strange(out: MutableSequence[int], o: int, length: int, count: int, mask: int, mode: int, fault: int) -> int:
    """Fills the row for bytes that are no instruction; returns their length. `mask` has the prefixes to show."""
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


@bare
def truncated(out: MutableSequence[int], o: int, count: int, mode: int) -> int:
    """The row where the bytes end inside an instruction: its first byte alone, a prefix by its name."""
    return strange(out, o, 1, 1 if count else 0, 1 if count else 0, mode, L.TRUNCATED)


@bare
def walk(T: Sequence[int], node: int, modrm: int, mode: int, prefix: int, data: int, osize: int, asize: int, rexb: int, wide: int, ll: int) -> int:
    """From the root of an opcode to a form, 0 if none fits."""
    while node > 0:
        kind = item(T, node)
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
        elif kind == L.N_DATA:
            pick = 1 if data else 0
        else:
            pick = 1 if (modrm & 0xC7) == 5 else 0
        node = item(T, node + 1 + pick)
    return -node


@bare
def disp_scale(T: Sequence[int], form: int, bits: int, osize: int, asize: int, vector: int, wide: int, mode: int) -> int:
    """The N of disp8*N (SDM Vol. 2A, 2.7.5)."""
    element = T[L.FORMS + form * L.STRIDE + L.BROADCAST]
    if bits & L.EVEX_B and element:
        return (2 << wide) if element == 2 else (8 if wide else 4)
    size = resolve(T[L.FORMS + form * L.STRIDE + L.SCALE], osize, asize, vector, wide and mode == 8, mode)
    return size if size else 1


@bare
def bad_eats_prefix(T: Sequence[int], node: int, modrm: int) -> int:
    """Whether the walk to nowhere goes, in 64-bit mode, through a choice by prefix: then the prefix is not shown.

    A choice by ModRM.rm below it was made before it by objdump (0f ae f9, where only f8 is an instruction).
    """
    while node > 0:
        kind = T[node]
        if kind == L.N_PREFIX:
            for i in range(4):
                if T[node + 1 + i] > 0 and T[T[node + 1 + i]] == L.N_RM:
                    return 0
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


@bare
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


@bare
def clashes(T: Sequence[int], out: Sequence[int], o: int, form: int, i: int) -> int:
    """Whether operand `i` of a gather or tile instruction names the register, or index, that another operand names."""
    number = numbered(T, out, o, form, i)
    for j in range(3):
        if j != i and number >= 0 and number == numbered(T, out, o, form, j):
            return 1
    return 0
