"""The TLB and the jump caches of a whole processor: filled by walks, and emptied page by page, space by space or altogether.

Intel SDM volume 3, 4.10 (4.10.2.4 global pages, 4.10.4.1 what invalidates what). Plain Python and Numba read this source. A context is what one
privilege level sees of one address space (PCID); an entry is 4 words: tag, host minus linear, physical page, size in bits and GLOBAL_ENTRY.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86.kernels import walk as W
from tanken.isa.x86.kernels.walk import walk
from tanken.isa.x86.native import paged_tables as N


@bare
def physical_of(tab: MutableSequence[int], ram: MutableSequence[int], linear: int, access: int) -> int:
    """The physical address, -1 where paging or the address itself forbids the access; what the walk found stands in WALKED."""
    top = linear >> tab[N.CANONICAL]
    if top != 0 and top != -1:
        return -1
    if tab[N.NOW] == 0:
        access |= W.USER
    code, physical, found = walk(ram, tab[N.RAM_LIMIT], tab[N.ROOT], tab[N.HOW], tab[N.KEY_RIGHTS], linear, access, 1)
    tab[N.WALKED] = found
    return physical if code == -1 else -1


@bare
def host_of(tab: Sequence[int], page: int, write: int) -> int:
    """The host's address of a physical page, -1 where no memory is, or it cannot be written."""
    for n in range(tab[N.SLOT_COUNT]):
        at = N.SLOTS + n * N.SLOT_FIELDS
        if tab[at] <= page < tab[at + 1]:
            if write and tab[at + 3] == 0:
                return -1
            return tab[at + 2] + ((page - tab[at]) << 12)
    return -1


@bare
def storable(tab: Sequence[int], page: int) -> int:
    """Whether native code may store to a physical page: it holds no code that was translated."""
    return 1 if page < N.MOST_PAGES and tab[N.CODE_MAP + page] == 0 else 0


@bare
def entry_of(tab: Sequence[int], linear: int, write: int) -> int:
    """The word at which the entry for an address begins, in the context that is in use."""
    at = tab[N.CONTEXTS] + tab[N.PLACE] * N.STRIDE + ((linear >> 7) & 0x7FE0)
    return (at + (N.WRITE_AT if write else N.TLB_AT)) >> 3


@bare
def fill(tab: MutableSequence[int], words: MutableSequence[int], ram: MutableSequence[int], linear: int, write: int) -> int:
    """Put the page of `linear` into the TLB: 1, 2 where it is there and the access goes over its end, or 0 where the access is not a plain one."""
    page = linear & -4096
    entry = entry_of(tab, linear, write)
    if words[entry] == page:
        return 2
    physical = physical_of(tab, ram, linear, W.WRITE if write else 0)
    if physical < 0:
        return 0
    number = physical >> 12
    host = host_of(tab, number, write)
    if host < 0 or (write and storable(tab, number) == 0):
        return 0
    tab[N.MISSES] += 1
    put_entry(tab, words, entry, page, host, number)
    if write:
        put_entry(tab, words, entry_of(tab, linear, 0), page, host, number)
    return 1


@bare
def put_entry(tab: MutableSequence[int], words: MutableSequence[int], entry: int, page: int, host: int, number: int) -> None:
    """Fill a TLB entry with what was just walked to."""
    shift = (tab[N.WALKED] >> W.PAGE_SHIFT) & 63
    words[entry] = page
    words[entry + 1] = host - page
    words[entry + 2] = number
    words[entry + 3] = shift | (N.GLOBAL_ENTRY if tab[N.WALKED] & W.IS_GLOBAL else 0)
    info = N.INFO + tab[N.PLACE] * N.INFO_FIELDS
    if shift > tab[info + N.DATA_SHIFT]:
        tab[info + N.DATA_SHIFT] = shift


@bare
def mark_code(tab: MutableSequence[int], words: MutableSequence[int], page: int) -> None:
    """From now on a store to the page goes the slow way."""
    if tab[N.CODE_MAP + page] != 0:
        return
    tab[N.CODE_MAP + page] = 1
    for context in range(N.CONTEXT_COUNT):
        if tab[N.INFO + context * N.INFO_FIELDS + N.IN_USE]:
            at = (tab[N.CONTEXTS] + context * N.STRIDE + N.WRITE_AT) >> 3
            for n in range(N.TLB_ENTRIES):
                if words[at + 4 * n + 2] == page:
                    words[at + 4 * n] = -1


@bare
def fetch_page(tab: MutableSequence[int], ram: MutableSequence[int], pc: int) -> int:
    """The physical page of code at a linear address; -1 where it cannot be run natively."""
    if tab[N.NARROW] and pc >> 32:
        return -1
    physical = physical_of(tab, ram, pc, W.FETCH)
    if physical < 0:
        return -1
    page = physical >> 12
    return page if page < N.MOST_PAGES and host_of(tab, page, 0) >= 0 else -1


@bare
def region_bit(pc: int) -> int:
    """Which bit of the filter stands for the 2 MiB around an address."""
    region = pc >> 21
    return (region ^ (region >> 9)) & (32 * N.REGION_WORDS - 1)


@bare
def note_fetch(tab: MutableSequence[int], pc: int) -> None:
    """Code at `pc` was walked to, and goes into the jump cache."""
    info = N.INFO + tab[N.PLACE] * N.INFO_FIELDS
    shift = (tab[N.WALKED] >> W.PAGE_SHIFT) & 63
    if shift > tab[info + N.CODE_SHIFT]:
        tab[info + N.CODE_SHIFT] = shift
    if tab[N.WALKED] & W.IS_GLOBAL == 0:
        tab[info + N.LOCAL_CODE] = 1
    for last in range(2):
        bit = region_bit(pc + 14 * last)
        tab[info + N.REGIONS + (bit >> 5)] |= 1 << (bit & 31)


# -- forgetting


@bare
def drop_page(tab: MutableSequence[int], words: MutableSequence[int], linear: int, space: int, and_global: int) -> int:
    """Forget the page of an address, in one space those that are not global; with `and_global` the global ones, which all spaces share."""
    for context in range(N.CONTEXT_COUNT):
        info = N.INFO + context * N.INFO_FIELDS
        own = 1 if context // 6 == space else 0
        if tab[info + N.IN_USE] and (own or and_global):
            at = tab[N.CONTEXTS] + context * N.STRIDE
            if tab[info + N.DATA_SHIFT] > 12:
                for table in range(2):
                    drop_wide(words, (at + (N.WRITE_AT if table else N.TLB_AT)) >> 3, linear, own, and_global)
            else:
                for table in range(2):
                    entry = (at + (N.WRITE_AT if table else N.TLB_AT) + ((linear >> 7) & 0x7FE0)) >> 3
                    if words[entry] == linear & -4096:
                        drop_entry(words, entry, own, and_global)
            bit = region_bit(linear)
            wide = 1 if tab[info + N.CODE_SHIFT] > 21 else 0
            if wide or tab[info + N.REGIONS + (bit >> 5)] >> (bit & 31) & 1:
                drop_jumps(words, at >> 3, linear, tab[info + N.CODE_SHIFT])
    return 0


@bare
def drop_entry(words: MutableSequence[int], entry: int, own: int, and_global: int) -> None:
    """Forget an entry where its kind is meant."""
    shared = words[entry + 3] & N.GLOBAL_ENTRY
    if (shared and and_global) or (own and shared == 0):
        words[entry] = -1


@bare
def drop_wide(words: MutableSequence[int], first: int, linear: int, own: int, and_global: int) -> None:
    """Forget all pieces of the page, which may be a large one."""
    for n in range(N.TLB_ENTRIES):
        entry = first + 4 * n
        shift = words[entry + 3] & 63
        if words[entry] != -1 and (words[entry] ^ linear) >> shift == 0:
            drop_entry(words, entry, own, and_global)


@bare
def drop_jumps(words: MutableSequence[int], first: int, linear: int, shift: int) -> None:
    """Forget the code that has bytes in the page: for a jump that is forgotten another walk is made."""
    if shift < 12:
        return
    for n in range(N.JUMP_CACHE):
        at = first + 2 * n
        if words[at] != -1 and ((words[at] ^ linear) >> shift == 0 or ((words[at] + 14) ^ linear) >> shift == 0):
            words[at] = -1


@bare
def drop_space(tab: MutableSequence[int], words: MutableSequence[int], context: int) -> int:
    """Forget what is not global in a context."""
    info = N.INFO + context * N.INFO_FIELDS
    if tab[info + N.IN_USE] == 0:
        return 0
    at = tab[N.CONTEXTS] + context * N.STRIDE
    first = (at + N.TLB_AT) >> 3
    for n in range(2 * N.TLB_ENTRIES):
        if words[first + 4 * n + 3] & N.GLOBAL_ENTRY == 0:
            words[first + 4 * n] = -1
    if tab[info + N.LOCAL_CODE]:
        for n in range(N.JUMP_CACHE):
            words[(at >> 3) + 2 * n] = -1
        tab[info + N.LOCAL_CODE] = 0
        tab[info + N.CODE_SHIFT] = 0
        for n in range(N.REGION_WORDS):
            tab[info + N.REGIONS + n] = 0
    return 0


@bare
def guard(tab: MutableSequence[int], words: MutableSequence[int], page: int) -> int:
    """The slow engine has decoded code there."""
    mark_code(tab, words, page)
    return 0
