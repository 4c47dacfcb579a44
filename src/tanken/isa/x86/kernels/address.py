"""The memory operand that ModRM names: base, index, scale, displacement and segment, packed as column MEMORY.

SDM Vol. 2A, 2.1.5, tables 2-1 to 2-3; vector indexes 2.3.12; compressed displacements 2.7.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels.encoded import EXT_B, EXT_EVEX, EXT_X
from tanken.isa.x86.kernels.fields import signed


@bare
def short(modrm: int) -> tuple[int, int, int]:
    """Base, index and bytes of displacement of a 16-bit address."""
    mod, low = modrm >> 6, modrm & 7
    size = 1 if mod == 1 else (2 if mod == 2 else 0)
    if low == 6 and mod == 0:
        return L.NONE, L.NONE, 2
    if low < 4:
        return 3 if low < 2 else 5, 6 + (low & 1), size
    return (6 if low == 4 else (7 if low == 5 else (5 if low == 6 else 3))), L.NONE, size


@bare
def long(code: Sequence[int], cursor: int, modrm: int, mode: int, extensions: int, vector_index: int) -> tuple[int, int, int, int]:
    """(base, index, scale with SIB's mark, bytes of displacement) of a 32 or 64-bit address; a SIB byte stands at `cursor`.

    `vector_index` is 0 where the index is a general register, else 1, and in EVEX encodings the index's fifth bit in its place with it.
    """
    mod, low = modrm >> 6, modrm & 7
    base, index, scale = low, L.NONE, 0
    size = 1 if mod == 1 else (4 if mod == 2 else 0)
    if low == 4:
        byte = code[cursor] & 255
        scale = (byte >> 6) << 16 | L.SIB
        index = ((byte >> 3) & 7) | (8 if extensions & EXT_X else 0)
        base = byte & 7
        if vector_index:
            index |= vector_index & 16
        elif index == 4:
            index = L.NONE
    if base == 5 and mod == 0:
        return L.RIP if low == 5 and mode == 8 else L.NONE, index, scale, 4
    return base | (8 if extensions & EXT_B else 0), index, scale, size


@bare
def memory(
    code: Sequence[int], cursor: int, end: int, modrm: int, asize: int, mode: int, extensions: int, active: int, flags: int, scale8: int
) -> tuple[int, int, int, int, int]:
    """(position behind, MEMORY, displacement, what was used, fault) of the operand whose ModRM byte stands before `cursor`.

    The position is -1 where the bytes end inside; `scale8` multiplies a displacement of one byte. What was used: 1 memory, 2 a SIB byte, 4 memory
    without the SIB byte that the instruction needs: GNU objdump stops behind the ModRM byte then.
    """
    used = 1
    sib = 0
    behind = cursor
    if asize == 2:
        base, index, size = short(modrm)
    else:
        vector_index = 0
        if flags & L.F_VSIB:
            vector_index = 1 | (~extensions >> 11 & 1) << 4 if extensions & EXT_EVEX and mode == 8 else 1
        base, index, sib, size = long(code, cursor, modrm, mode, extensions, vector_index)
        if sib:
            used |= 2
            cursor += 1
    if flags & L.F_MPX and asize == 2:
        size = 0
    if flags & (L.F_VSIB | L.F_TILE_SIB) and not sib:
        if size and cursor + size > end and not (flags & L.F_VSIB and extensions & EXT_EVEX):
            return -1, 0, 0, 0, 0
        segment = active
        if segment < 0:
            segment = 3
        return behind, L.NONE | (L.NONE << 8) | (segment << 24), 0, 4, L.BAD_INDEX
    displacement = 0
    if size:
        if cursor + size > end:
            return -1, 0, 0, 0, 0
        displacement = signed(code, cursor, size)
        cursor += size
        if size == 1:
            displacement *= scale8
    segment = active
    if segment < 0:
        segment = 2 if asize > 2 and (base == 4 or base == 5) or asize == 2 and base == 5 else 3
    return cursor, base | (index << 8) | (segment << 24) | sib | (size << L.DISP_BYTES_SHIFT), displacement, used, L.OK
