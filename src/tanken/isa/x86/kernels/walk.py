"""The walk through page tables: linear address to physical address, with all rights, or a page fault's error code.

Intel SDM volume 3, chapter 4 (32-bit, PAE, 4-level and 5-level paging; 4.6 rights, 4.7 faults, 4.8 accessed and dirty); AMD APM volume 2,
chapter 5. Plain Python and Numba read this source: physical memory is indexed by 8-byte words, as signed or unsigned 64-bit numbers.
"""

from __future__ import annotations

from collections.abc import MutableSequence

from tanken.base.native import bare

# The kind of access, and the error code of its fault (SDM 4.7), share their bits; IMPLICIT is privileged whatever the program is.
PRESENT, WRITE, USER, RESERVED, FETCH, KEY, IMPLICIT = 1, 2, 4, 8, 16, 32, 64
ACCESSED, DIRTY, LARGE, GLOBAL = 1 << 5, 1 << 6, 1 << 7, 1 << 8

# How to walk: one word, made by `isa.x86.paging` from the control registers.
LEVELS = 7  # 0 no paging, 2 32-bit, 3 PAE, 4, 5
WP, SMEP, SMAP, NXE, PSE, PGE, PKE, AC, GIGABYTE = (1 << bit for bit in range(3, 12))
WIDTH_SHIFT = 16  # bits of a physical address, above the flags

# What a walk finds beside the physical address: rights of all levels, where the page ends, its protection key.
MAY_WRITE, MAY_USER, MAY_FETCH, IS_GLOBAL, IS_DIRTY = 1, 2, 4, 8, 16
PAGE_SHIFT, KEY_SHIFT = 8, 16

ADDRESS = 0x000F_FFFF_FFFF_F000
NOT_BACKED = 1 << 30  # no error code: a table lies where there is no memory


@bare
def entry_at(memory: MutableSequence[int], address: int, size: int) -> int:
    """The entry of a table, of 4 or 8 bytes."""
    word = memory[address >> 3]
    if size == 8:
        return word
    return (word >> 32) & 0xFFFFFFFF if address & 4 else word & 0xFFFFFFFF


@bare
def put_bits(memory: MutableSequence[int], address: int, bits: int) -> None:
    """Set bits in the low byte pair of an entry."""
    word = memory[address >> 3]
    memory[address >> 3] = word | (bits << 32 if address & 4 else bits)


@bare
def reserved_bits(entry: int, levels: int, level: int, large: int, how: int) -> int:
    """Not 0 where a bit is set that must be clear."""
    width = (how >> WIDTH_SHIFT) & 63
    if levels == 2:
        if level == 2 and large:
            return entry & (1 << 21) | (entry >> 13 & 255) >> max(width - 32, 0)
        return 0
    bad = (entry & ADDRESS) >> width
    if (entry >> 63) & 1 and how & NXE == 0:
        bad |= 1
    if levels == 3:
        if level == 3:
            return bad | entry & 0x1E6 | (entry >> 52) & 0xFFF
        bad |= (entry >> 52) & 0x7FF
    if level >= 4 or (level == 3 and how & GIGABYTE == 0):
        bad |= entry & LARGE
    if large:
        bad |= entry & (((1 << (12 + 9 * (level - 1))) - 1) & ~0x1FFF)
    return bad


@bare
def permitted(rights: int, key: int, how: int, access: int, keys: int) -> int:
    """The error code bits (beside PRESENT) that forbid the access, -1 where it is allowed; KEY where a protection key does."""
    user = access & USER and access & IMPLICIT == 0
    code = 0
    if access & FETCH:
        if rights & MAY_FETCH == 0:
            code = 1
        if user and rights & MAY_USER == 0:
            code = 1
        if not user and rights & MAY_USER and how & SMEP:
            code = 1
    else:
        if user and rights & MAY_USER == 0:
            code = 1
        if not user and rights & MAY_USER and how & SMAP and (how & AC == 0 or access & IMPLICIT):
            code = 1
        if access & WRITE and rights & MAY_WRITE == 0 and (user or how & WP):
            code = 1
    if code:
        return 0
    if how & PKE and rights & MAY_USER and access & FETCH == 0:
        pair = (keys >> (2 * key)) & 3
        if pair & 1 or (pair & 2 and access & WRITE and (user or how & WP)):
            return KEY
    return -1


@bare
def walk(memory: MutableSequence[int], limit: int, root: int, how: int, keys: int, linear: int, access: int, update: int) -> tuple[int, int, int]:
    """(error code or -1, physical address, what was found); `limit`: where memory ends; `update`: set accessed and dirty bits.

    `root` is CR3's address, `keys` PKRU; the error code has the access's own bits as SDM 4.7 says. NOT_BACKED comes with the entry's address.
    """
    levels = how & LEVELS
    if levels == 0:
        return -1, linear, MAY_WRITE | MAY_USER | MAY_FETCH | IS_DIRTY | 12 << PAGE_SHIFT
    told = access & (WRITE | USER)
    if access & IMPLICIT:
        told &= ~USER
    if access & FETCH and (how & SMEP or (how & NXE and levels > 2)):
        told |= FETCH
    size = 4 if levels == 2 else 8
    bits = 10 if levels == 2 else 9
    table = root & ~31 if levels == 3 else root & ADDRESS
    rights = MAY_WRITE | MAY_USER | MAY_FETCH
    visited, level = 0, levels
    path0 = path1 = path2 = path3 = path4 = 0
    while True:
        shift = 12 + bits * (level - 1)
        index = (linear >> shift) & (3 if levels == 3 and level == 3 else (1 << bits) - 1)
        place = table + index * size
        if place + 8 > limit or place < 0:
            return NOT_BACKED, place, 0
        entry = entry_at(memory, place, size)
        if entry & PRESENT == 0:
            return told, 0, 0
        large = 0
        if level > 1 and entry & LARGE and not (levels == 2 and how & PSE == 0):
            large = 1
        if reserved_bits(entry, levels, level, large, how):
            return told | PRESENT | RESERVED, 0, 0
        if not (levels == 3 and level == 3):
            if entry & 2 == 0:
                rights &= ~MAY_WRITE
            if entry & 4 == 0:
                rights &= ~MAY_USER
            if levels > 2 and (entry >> 63) & 1:
                rights &= ~MAY_FETCH
            path4, path3, path2, path1, path0 = path3, path2, path1, path0, place + 1
            visited += 1
        if level == 1 or large:
            break
        table = entry & ADDRESS
        level -= 1
    span = (1 << shift) - 1
    if levels == 2 and large:
        page = (entry & 0xFFC00000) | ((entry >> 13) & 255) << 32
    else:
        page = entry & ADDRESS & ~span
    key = (entry >> 59) & 15 if levels > 3 else 0
    forbidden = permitted(rights, key, how, access, keys)
    if forbidden >= 0:
        return told | PRESENT | forbidden, 0, 0
    if update:
        for n in range(visited):
            place = (path0 if n == 0 else path1 if n == 1 else path2 if n == 2 else path3 if n == 3 else path4) - 1
            wanted = ACCESSED | (DIRTY if n == 0 and access & WRITE else 0)
            if entry_at(memory, place, size) & wanted != wanted:
                put_bits(memory, place, wanted)
    if entry & DIRTY or access & WRITE:
        rights |= IS_DIRTY
    if entry & GLOBAL and how & PGE:
        rights |= IS_GLOBAL
    return -1, page | linear & span, rights | shift << PAGE_SHIFT | key << KEY_SHIFT
