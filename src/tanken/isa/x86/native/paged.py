"""The translator of a whole processor: blocks by linear address and physical page, and the TLB that their accesses go through.

Plain Python and Numba read this source, as they do `translate`, whose parts it uses. A block lies in one page; jumps inside the page are linked,
all others go through the jump cache of the privilege level, which is forgotten with the TLB (Intel SDM volume 3, 4.10; 11.6 on modified code).
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels.decoder import decode_one
from tanken.isa.x86.kernels.fields import C_FAULT, C_FORM, C_IMMEDIATE, C_PREFIXES, C_SIZES, COLUMNS
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import paged_tables as N
from tanken.isa.x86.native import template as P
from tanken.isa.x86.native.choice import branch_target, fuse, liveness, note_x87
from tanken.isa.x86.native.emission import put
from tanken.isa.x86.native.keys import R_COUNT, R_HOOK, R_LENGTH, R_STENCIL, R_TARGET, RECORD, ask, find_key, first_key, second_key
from tanken.isa.x86.native.keys import enter_key as enter_key
from tanken.isa.x86.native.paged_crossing import done, goes_down, set_up
from tanken.isa.x86.native.paged_crossing import let_go as let_go
from tanken.isa.x86.native.paged_emission import emit, enter_block, find_block, key_of
from tanken.isa.x86.native.paged_tlb import drop_page as drop_page
from tanken.isa.x86.native.paged_tlb import drop_space as drop_space
from tanken.isa.x86.native.paged_tlb import fetch_page, fill, host_of, mark_code, note_fetch
from tanken.isa.x86.native.paged_tlb import guard as guard
from tanken.isa.x86.native.translate import find_site
from tanken.isa.x86.native.translate import look_up as look_up


@bare
def stuck(S: Sequence[int], tab: MutableSequence[int]) -> int:
    """Whether one instruction misses again and again: its accesses drive each other out."""
    same = tab[N.MISS_HOST] == S[N.HOST_AT >> 3] and tab[N.MISS_BUDGET] == S[N.BUDGET_AT >> 3]
    tab[N.MISS_TURNS] = tab[N.MISS_TURNS] + 1 if same else 0
    tab[N.MISS_HOST] = S[N.HOST_AT >> 3]
    tab[N.MISS_BUDGET] = S[N.BUDGET_AT >> 3]
    return 1 if tab[N.MISS_TURNS] > 4 else 0


# -- decoding a block


@bare
def choose(T: Sequence[int], tab: MutableSequence[int], code: MutableSequence[int], ram: MutableSequence[int], start: int, page: int) -> int:
    """Decode a block and find its stencils; the number of records, -1 where something is missing."""
    base = host_of(tab, page, 0) - (start & -4096)
    end = (start & -4096) + 4096
    pc, n = start, 0
    tab[N.SECOND_PAGE] = 0
    size, longest = 4 if tab[N.NARROW] else 8, 1 if tab[N.ALONE] else N.LONGEST
    while n < longest and pc < end:
        row, where = N.ROWS + n * COLUMNS, base + pc
        length = decode_one(T, code, base + pc, base + min(pc + 15, end), size, pc, tab, row)
        fault = tab[row + C_FAULT]
        if fault == L.TRUNCATED or fault == L.PREFIXES_ONLY:
            if n > 0:
                return n
            length = decode_crossing(T, tab, code, ram, base, pc, end, row)
            if length < 0:
                return ask(tab, N.NO_CODE, pc, 0, 0, 0, 0, 0)
            fault = tab[row + C_FAULT]
            where = tab[N.TABLE_HOST] + 8 * N.SCRATCH
        record = N.RECORDS + n * RECORD
        tab[record + R_STENCIL] = -1  # the interpreter's
        tab[record + R_COUNT] = 1
        tab[record + R_LENGTH] = length
        tab[record + R_HOOK] = 0  # hooks are for user programs
        if fault != L.OK:
            return n + 1
        form = tab[row + C_FORM]
        known = tab[N.FORMS + form]
        if known == 0:
            return ask(tab, N.ANALYSIS, pc, 0, 0, 0, 0, form)
        note_x87(tab, code, where, row, record)
        if known & P.PYTHON or known & tab[N.OFF] or (known & P.BRANCH and tab[row + C_SIZES] & 15 == 2):
            return n + 1
        if tab[row + C_PREFIXES] & L.SEGMENT and tab[N.TAG] & N.OF_SEGMENTS:
            return n + 1  # FS and GS have limits
        k0, k1 = first_key(T, tab, row, known), second_key(T, tab, row, known)
        k2 = tab[row + C_IMMEDIATE] if known & P.IMMEDIATE_MATTERS else 0
        condition = known >> P.CONDITION_SHIFT & 31
        if condition and n:
            fused = fuse(T, tab, n, condition, pc)
            if fused == -1:
                return -1
            if fused == 1:
                if n >= N.LONGEST - 8 or tab[N.RECORDS + (n - 1) * RECORD + R_TARGET] <= pc:
                    return n
                pc += length
                continue
        stencil = find_key(tab, k0, k1, k2)
        if stencil < 0:
            return ask(tab, N.STENCIL, pc, k0, k1, k2, 0, form)
        kind = tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.KIND]
        if kind >= N.INTERPRETED or (kind == N.INDIRECT and tab[N.ALONE]):
            return n + 1  # alone it would not come out behind itself
        tab[record + R_STENCIL] = stencil
        again = tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.AGAIN]
        tab[record + R_TARGET] = pc if again else branch_target(tab, pc + length + tab[row + C_IMMEDIATE])
        n += 1
        if kind != N.NORMAL and not (kind == N.BRANCH and n < N.LONGEST - 8 and tab[record + R_TARGET] > pc):
            return n
        pc += length
    return n


@bare
def decode_crossing(
    T: Sequence[int], tab: MutableSequence[int], code: MutableSequence[int], ram: MutableSequence[int], base: int, pc: int, end: int, row: int
) -> int:
    """Decode an instruction whose bytes go on in the next page; its length, -1 where that page cannot be had."""
    second = fetch_page(tab, ram, end)
    if second < 0:
        return -1
    scratch, other = tab[N.TABLE_HOST] + 8 * N.SCRATCH, host_of(tab, second, 0)
    first = end - pc
    for i in range(15):
        code[scratch + i] = code[base + pc + i] if i < first else code[other + i - first]
    tab[N.SECOND_PAGE] = second + 1
    return decode_one(T, code, scratch, scratch + 15, 4 if tab[N.NARROW] else 8, pc, tab, row)


# -- answering


@bare
def block_at(
    T: Sequence[int], tab: MutableSequence[int], code: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int],
    words: MutableSequence[int], ram: MutableSequence[int], pc: int,
) -> int:  # fmt: skip
    """The code of the block at `pc`, made if need be; -1 where something is missing."""
    page = fetch_page(tab, ram, pc)
    if page < 0:
        return ask(tab, N.NO_CODE, pc, 0, 0, 0, 0, 0)
    note_fetch(tab, pc)
    second = 0
    if pc & 4095 > 4096 - 15:
        second = fetch_page(tab, ram, (pc & -4096) + 4096) + 1
        note_fetch(tab, pc)
    block = find_block(tab, key_of(tab, pc), page, second)
    if block >= 0:
        return block
    full = tab[N.AREA_AT] > tab[N.AREA_SIZE] - 65536 or tab[N.SITE_COUNT] > N.MOST_SITES - 1024 or tab[N.BLOCK_COUNT] > N.MOST_BLOCKS - 16
    if full:
        return ask(tab, N.FULL, pc, 0, 0, 0, 0, 0)
    n = choose(T, tab, code, ram, pc, page)
    if n < 0:
        return -1
    mark_code(tab, words, page)
    if tab[N.SECOND_PAGE]:
        mark_code(tab, words, tab[N.SECOND_PAGE] - 1)
    liveness(tab, n)
    return emit(tab, area, blob, pc, page, n)


@bare
def answer(
    S: MutableSequence[int], tab: MutableSequence[int], T: Sequence[int], code: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int],
    words: MutableSequence[int], ram: MutableSequence[int],
) -> int:  # fmt: skip
    """Guest code came out: the host address to go on at, 0 where Python is needed (the reason is then SLOW, or what is missing stands in NEED)."""
    reason = S[N.REASON_AT >> 3] & 0xFFFFFFFF
    tab[N.NEED] = N.NOTHING
    if reason == N.MISS_READ or reason == N.MISS_WRITE:
        return missed(S, tab, T, code, area, blob, words, ram, 1 if reason == N.MISS_WRITE else 0)
    if reason == N.CROSSED:
        done(tab, words, code)
        S[N.REASON_AT >> 3] = reason = N.DISPATCH
    elif tab[N.ALONE]:
        let_go(tab, words)
    if reason == N.DISPATCH:
        pc = S[B.RIP >> 3]
        block = block_at(T, tab, code, area, blob, words, ram, pc)
        if block < 0:
            return 0
        if tab[N.ALONE]:
            return tab[N.AREA_HOST] + block
        slot = (tab[N.CONTEXTS] + tab[N.PLACE] * N.STRIDE + 16 * (pc & (N.JUMP_CACHE - 1))) >> 3
        words[slot] = pc
        words[slot + 1] = tab[N.AREA_HOST] + block
        return tab[N.AREA_HOST] + block
    number = N.SITES + find_site(tab, S[N.HOST_AT >> 3] - 1 - tab[N.AREA_HOST]) * N.SITE_FIELDS
    pc = tab[number + 1]
    S[B.RIP >> 3] = pc
    block = block_at(T, tab, code, area, blob, words, ram, pc)
    if block < 0:
        return 0
    if reason == N.LINK:
        hole = tab[number + 3]
        put(area, hole, block - (hole + 4), 4)
    return tab[N.AREA_HOST] + block


@bare
def missed(
    S: MutableSequence[int], tab: MutableSequence[int], T: Sequence[int], code: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int],
    words: MutableSequence[int], ram: MutableSequence[int], write: int,
) -> int:  # fmt: skip
    """An access had no entry in the TLB: where its instruction begins once it has, or another that does the same alone; 0 for the slow engine."""
    number = N.SITES + find_site(tab, S[N.HOST_AT >> 3] - 1 - tab[N.AREA_HOST]) * N.SITE_FIELDS
    linear, begins = S[N.MISS_AT >> 3], tab[N.AREA_HOST] + tab[number + 3]
    found = 0 if stuck(S, tab) else fill(tab, words, ram, linear, write)
    if found == 1:
        return begins
    if found == 2 and goes_down(S) == 0:
        tab[N.CROSSINGS] += 1
        if tab[N.ALONE]:
            if set_up(tab, words, ram, code, linear, write):
                return begins
        else:
            tab[N.ALONE] = 1
            block = block_at(T, tab, code, area, blob, words, ram, tab[number + 1])
            if block < 0:  # made, or decoded by the slow engine, and then begun again
                tab[N.ALONE] = tab[N.BY_ONES]
                S[N.REASON_AT >> 3] = N.DISPATCH
                S[B.RIP >> 3] = tab[number + 1]
                S[N.BUDGET_AT >> 3] += tab[number + 2] >> 8
                return 0
            if set_up(tab, words, ram, code, linear, write):
                S[N.BUDGET_AT >> 3] += tab[number + 2] >> 8
                return tab[N.AREA_HOST] + block
    let_go(tab, words)
    S[N.REASON_AT >> 3] = N.SLOW
    return 0


@bare
def forget(tab: MutableSequence[int], area: MutableSequence[int], page: int) -> int:
    """Turn away from the blocks that have bytes in a physical page: their heads lead back to the translator; how many they were."""
    count = 0
    entry = tab[N.PAGE_HEAD + page]
    while entry:
        at = N.BLOCK_LIST + (entry - 1) * N.BLOCK_FIELDS
        block = tab[at + 3]
        put(area, block, 0xE8, 1)
        put(area, block + 1, tab[N.STUBS + N.STALE] - (block + 5), 4)
        enter_block(tab, tab[at], tab[at + 1], tab[at + 2], -1)
        entry = tab[at + 4]
        count += 1
    tab[N.PAGE_HEAD + page] = 0
    tab[N.CODE_MAP + page] = 0
    return count

