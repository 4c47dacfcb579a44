"""The translator of a whole processor: blocks by linear address and physical page, and the TLB that their accesses go through.

Plain Python and Numba read this source, as they do `translate`, whose parts it uses. A block lies in one page; jumps inside the page are linked,
all others go through the jump cache of the privilege level, which is forgotten with the TLB (Intel SDM volume 3, 4.10; 11.6 on modified code).
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86 import layout as L
from tanken.isa.x86.kernels import walk as W
from tanken.isa.x86.kernels.decoder import decode_one
from tanken.isa.x86.kernels.fields import C_ADDRESS, C_FAULT, C_FORM, C_IMMEDIATE, C_LENGTH, C_SIZES, COLUMNS
from tanken.isa.x86.kernels.walk import walk
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import paged_tables as N
from tanken.isa.x86.native import template as P
from tanken.isa.x86.native.choice import fuse, liveness, note_x87
from tanken.isa.x86.native.emission import hole_value, put, side, site
from tanken.isa.x86.native.keys import R_COUNT, R_HOOK, R_HOST, R_LEFT, R_LENGTH, R_LIVE, R_STENCIL, R_TARGET, RECORD, ask, find_key, first_key, hashed, second_key
from tanken.isa.x86.native.keys import enter_key as enter_key
from tanken.isa.x86.native.translate import find_site
from tanken.isa.x86.native.translate import look_up as look_up

# -- blocks by (linear address, physical page)


@bare
def find_block(tab: Sequence[int], pc: int, page: int, second: int) -> int:
    """The code of the block, -1 where there is none; `second`: the page of the bytes beyond the first page's end, 0 for none."""
    slot = hashed(pc ^ hashed(page)) & (N.BLOCK_SLOTS - 1)
    while tab[N.BLOCKS + 4 * slot] != 0:
        at = N.BLOCKS + 4 * slot
        if tab[at] == pc + 1 and tab[at + 2] == page and (tab[at + 3] == 0 or tab[at + 3] == second):
            return tab[at + 1] - 1
        slot = (slot + 1) & (N.BLOCK_SLOTS - 1)
    return -1


@bare
def enter_block(tab: MutableSequence[int], pc: int, page: int, second: int, code: int) -> None:
    """Remember, or with -1 forget, the code of a block."""
    slot = hashed(pc ^ hashed(page)) & (N.BLOCK_SLOTS - 1)
    while tab[N.BLOCKS + 4 * slot] != 0:
        at = N.BLOCKS + 4 * slot
        if tab[at] == pc + 1 and tab[at + 2] == page and tab[at + 3] == second:
            break
        slot = (slot + 1) & (N.BLOCK_SLOTS - 1)
    at = N.BLOCKS + 4 * slot
    tab[at] = pc + 1
    tab[at + 1] = code + 1
    tab[at + 2] = page
    tab[at + 3] = second


# -- addresses


@bare
def physical_of(tab: Sequence[int], ram: MutableSequence[int], linear: int, access: int) -> int:
    """The physical address, -1 where paging or the address itself forbids the access."""
    top = linear >> tab[N.CANONICAL]
    if top != 0 and top != -1:
        return -1
    if tab[N.NOW] == 0:
        access |= W.USER
    code, physical, _ = walk(ram, tab[N.RAM_LIMIT], tab[N.ROOT], tab[N.HOW], tab[N.KEY_RIGHTS], linear, access, 1)
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
def fill(tab: MutableSequence[int], words: MutableSequence[int], ram: MutableSequence[int], linear: int, write: int) -> int:
    """Put the page of `linear` into the TLB: 1, or 0 where the access is not a plain one."""
    page = linear & -4096
    at = tab[N.CONTEXTS] + tab[N.NOW] * N.STRIDE + ((linear >> 7) & 0x7FE0)
    entry = (at + (N.WRITE_AT if write else N.TLB_AT)) >> 3
    if words[entry] == page:
        tab[N.CROSSINGS] += 1
        return 0  # it is there: the access goes over its end
    physical = physical_of(tab, ram, linear, W.WRITE if write else 0)
    if physical < 0:
        return 0
    number = physical >> 12
    host = host_of(tab, number, write)
    if host < 0 or (write and (number >= N.MOST_PAGES or tab[N.CODE_MAP + number] != 0)):
        return 0
    tab[N.MISSES] += 1
    put_entry(words, entry, page, host, number)
    if write:
        put_entry(words, (at + N.TLB_AT) >> 3, page, host, number)
    return 1


@bare
def put_entry(words: MutableSequence[int], entry: int, page: int, host: int, number: int) -> None:
    """Fill a TLB entry."""
    words[entry] = page
    words[entry + 1] = host - page
    words[entry + 2] = number


@bare
def stuck(S: Sequence[int], tab: MutableSequence[int]) -> int:
    """Whether one instruction misses again and again: its accesses drive each other out."""
    same = tab[N.MISS_HOST] == S[N.HOST_AT >> 3] and tab[N.MISS_BUDGET] == S[N.BUDGET_AT >> 3]
    tab[N.MISS_TURNS] = tab[N.MISS_TURNS] + 1 if same else 0
    tab[N.MISS_HOST] = S[N.HOST_AT >> 3]
    tab[N.MISS_BUDGET] = S[N.BUDGET_AT >> 3]
    return 1 if tab[N.MISS_TURNS] > 4 else 0


@bare
def mark_code(tab: MutableSequence[int], words: MutableSequence[int], page: int) -> None:
    """From now on a store to the page goes the slow way."""
    if tab[N.CODE_MAP + page] != 0:
        return
    tab[N.CODE_MAP + page] = 1
    for context in range(N.CONTEXT_COUNT):
        at = (tab[N.CONTEXTS] + context * N.STRIDE + N.WRITE_AT) >> 3
        for n in range(N.TLB_ENTRIES):
            if words[at + 4 * n + 2] == page:
                words[at + 4 * n] = -1


@bare
def fetch_page(tab: MutableSequence[int], ram: MutableSequence[int], pc: int) -> int:
    """The physical page of code at a linear address; -1 where it cannot be run natively."""
    physical = physical_of(tab, ram, pc, W.FETCH)
    if physical < 0:
        return -1
    page = physical >> 12
    return page if page < N.MOST_PAGES and host_of(tab, page, 0) >= 0 else -1


# -- decoding a block


@bare
def choose(T: Sequence[int], tab: MutableSequence[int], code: MutableSequence[int], ram: MutableSequence[int], start: int, page: int) -> int:
    """Decode a block and find its stencils; the number of records, -1 where something is missing."""
    base = host_of(tab, page, 0) - (start & -4096)
    end = (start & -4096) + 4096
    pc, n = start, 0
    tab[N.SECOND_PAGE] = 0
    while n < N.LONGEST and pc < end:
        row, where = N.ROWS + n * COLUMNS, base + pc
        length = decode_one(T, code, base + pc, base + min(pc + 15, end), 8, pc, tab, row)
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
        if kind >= N.INTERPRETED:
            return n + 1
        tab[record + R_STENCIL] = stencil
        again = tab[N.STENCILS + stencil * N.STENCIL_FIELDS + N.AGAIN]
        tab[record + R_TARGET] = pc if again else pc + length + tab[row + C_IMMEDIATE]
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
    return decode_one(T, code, scratch, scratch + 15, 8, pc, tab, row)


# -- emitting it


@bare
def emit(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], start: int, page: int, n: int) -> int:
    """Copy the stencils of the chosen records behind the code so far; where the block begins."""
    at = (tab[N.AREA_AT] + 15) & -16
    block = at
    total = 0
    for i in range(n):
        total += tab[N.RECORDS + i * RECORD + R_COUNT]
    second = tab[N.SECOND_PAGE]
    enter_block(tab, start, page, second, block)
    site(tab, at, start, N.AT_INSTRUCTION, total, 0)
    put(area, at, 0xEE8149, 3)  # sub r14, total
    put(area, at + 3, total, 4)
    put(area, at + 7, 0x880F, 2)  # js: out of budget
    budget_hole = at + 9
    at += 13
    left = total
    for i in range(n):
        row, record = N.ROWS + i * COLUMNS, N.RECORDS + i * RECORD
        site(tab, at, tab[row + C_ADDRESS], N.AT_INSTRUCTION, left, 0)
        at = copy(tab, area, blob, row, record, at, left)
        left -= tab[record + R_COUNT]
    last_row, last = N.ROWS + (n - 1) * COLUMNS, N.RECORDS + (n - 1) * RECORD
    following = tab[last_row + C_ADDRESS] + tab[last_row + C_LENGTH]
    fall = -1
    if tab[last + R_STENCIL] >= 0:
        kind = tab[N.STENCILS + tab[last + R_STENCIL] * N.STENCIL_FIELDS + N.KIND]
        if kind == N.NORMAL or kind == N.BRANCH:
            put(area, at, 0xE9, 1)
            fall = at + 1
            at += 5
    at = cold(tab, area, start, n, total, at, budget_hole)
    left = total
    for i in range(n):
        left -= tab[N.RECORDS + i * RECORD + R_COUNT]
        tab[N.RECORDS + i * RECORD + R_LEFT] = left
    if fall >= 0:
        at = way(tab, area, fall, following, at, start, page)
    for i in range(n):
        record = N.RECORDS + i * RECORD
        if tab[record + R_STENCIL] >= 0:
            stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
            variant = stencil + (N.LIVE_AT if tab[record + R_LIVE] else N.DEAD_AT)
            for h in range(tab[variant + 2], tab[variant + 2] + tab[variant + 3]):
                if tab[N.HOLES + 4 * h + 2] == N.TAKEN:
                    hole = tab[record + R_HOST] + tab[N.HOLES + 4 * h]
                    if tab[record + R_LEFT]:
                        hole, at = side(tab, area, hole, tab[record + R_TARGET], tab[record + R_LEFT], at)
                    at = way(tab, area, hole, tab[record + R_TARGET], at, start, page)
    tab[N.AREA_AT] = at
    remember(tab, start, page, second, block)
    return block


@bare
def remember(tab: MutableSequence[int], start: int, page: int, second: int, block: int) -> None:
    """Enter a block into the lists of its pages."""
    for side_of in range(2):
        number = page if side_of == 0 else second - 1
        if number < 0:
            continue
        entry = N.BLOCK_LIST + tab[N.BLOCK_COUNT] * N.BLOCK_FIELDS
        tab[N.BLOCK_COUNT] += 1
        tab[entry] = start
        tab[entry + 1] = page
        tab[entry + 2] = second
        tab[entry + 3] = block
        tab[entry + 4] = tab[N.PAGE_HEAD + number]
        tab[N.PAGE_HEAD + number] = tab[N.BLOCK_COUNT]


@bare
def copy(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], row: int, record: int, at: int, left: int) -> int:
    """One stencil, with its holes filled; the ways out are left to `cold`, the taken way to `emit`."""
    if tab[record + R_STENCIL] < 0:
        put(area, at, 0xE8, 1)
        put(area, at + 1, tab[N.STUBS + N.PYTHON] - (at + 5), 4)
        return at + 5
    stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
    variant = stencil + (N.LIVE_AT if tab[record + R_LIVE] else N.DEAD_AT)
    source, length = tab[variant], tab[variant + 1]
    for i in range(length):
        area[at + i] = blob[source + i]
    for h in range(tab[variant + 2], tab[variant + 2] + tab[variant + 3]):
        hole = N.HOLES + 4 * h
        where, size, kind, more = at + tab[hole], tab[hole + 1], tab[hole + 2], tab[hole + 3]
        if kind == N.NEXT:
            put(area, where, at + length - (where + 4), 4)
        elif kind == N.DISPATCH_WAY:
            put(area, where, tab[N.STUBS + N.DISPATCH] - (where + 4), 4)
        elif kind == N.LEFT:
            put(area, where, left + more, size)
        elif kind != N.SLOW_WAY and kind != N.TAKEN and kind != N.MISS_READ_WAY and kind != N.MISS_WRITE_WAY:
            put(area, where, hole_value(tab, row, record, kind, tab[stencil + N.ONE]) + more, size)
    tab[record + R_HOST] = at
    return at + length


@bare
def cold(tab: MutableSequence[int], area: MutableSequence[int], start: int, n: int, total: int, at: int, budget_hole: int) -> int:
    """Behind the block: calls of the stubs, by whose return address the instruction is known; of a miss also where its stencil begins."""
    site(tab, at, start, N.AT_INSTRUCTION, total, 0)
    put(area, at, 0xE8, 1)
    put(area, at + 1, tab[N.STUBS + N.OUT_OF_BUDGET] - (at + 5), 4)
    put(area, budget_hole, at - (budget_hole + 4), 4)
    at += 5
    left = total
    for i in range(n):
        row, record = N.ROWS + i * COLUMNS, N.RECORDS + i * RECORD
        if tab[record + R_STENCIL] >= 0:
            stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
            variant = stencil + (N.LIVE_AT if tab[record + R_LIVE] else N.DEAD_AT)
            for kind in (N.SLOW_WAY, N.MISS_READ_WAY, N.MISS_WRITE_WAY):
                made = 0
                for h in range(tab[variant + 2], tab[variant + 2] + tab[variant + 3]):
                    hole = N.HOLES + 4 * h
                    if tab[hole + 2] == kind:
                        made = 1
                        where = tab[record + R_HOST] + tab[hole]
                        put(area, where, at - (where + 4), 4)
                if made:
                    stub = N.SLOW if kind == N.SLOW_WAY else N.MISS_READ if kind == N.MISS_READ_WAY else N.MISS_WRITE
                    site(tab, at, tab[row + C_ADDRESS], N.AT_INSTRUCTION, left, tab[record + R_HOST])
                    put(area, at, 0xE8, 1)
                    put(area, at + 1, tab[N.STUBS + stub] - (at + 5), 4)
                    at += 5
        left -= tab[record + R_COUNT]
    return at


@bare
def way(tab: MutableSequence[int], area: MutableSequence[int], hole: int, target: int, at: int, start: int, page: int) -> int:
    """Let the jump whose distance stands at `hole` go on at `target`: linked inside the page, else through the jump cache."""
    if target >> 12 == start >> 12 and tab[N.SECOND_PAGE] == 0 and target & 4095 <= 4096 - 15:
        block = find_block(tab, target, page, -1)
        if block >= 0:
            put(area, hole, block - (hole + 4), 4)
            return at
        site(tab, at, target, N.AT_LINK, 0, hole)
        put(area, hole, at - (hole + 4), 4)
        put(area, at, 0xE8, 1)
        put(area, at + 1, tab[N.STUBS + N.LINK] - (at + 5), 4)
        return at + 5
    put(area, hole, at - (hole + 4), 4)
    put(area, at, 0xB848, 2)  # mov rax, target
    put(area, at + 2, target, 8)
    put(area, at + 10, 0xE9, 1)
    put(area, at + 11, tab[N.CROSS] - (at + 15), 4)
    return at + 15


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
    second = 0
    if pc & 4095 > 4096 - 15:
        second = fetch_page(tab, ram, (pc & -4096) + 4096) + 1
    block = find_block(tab, pc, page, second)
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
    if reason == N.DISPATCH:
        pc = S[B.RIP >> 3]
        block = block_at(T, tab, code, area, blob, words, ram, pc)
        if block < 0:
            return 0
        slot = (tab[N.CONTEXTS] + tab[N.NOW] * N.STRIDE + 16 * (pc & (N.JUMP_CACHE - 1))) >> 3
        words[slot] = pc
        words[slot + 1] = tab[N.AREA_HOST] + block
        return tab[N.AREA_HOST] + block
    number = N.SITES + find_site(tab, S[N.HOST_AT >> 3] - 1 - tab[N.AREA_HOST]) * N.SITE_FIELDS
    if reason == N.MISS_READ or reason == N.MISS_WRITE:
        if not stuck(S, tab) and fill(tab, words, ram, S[N.MISS_AT >> 3], 1 if reason == N.MISS_WRITE else 0):
            return tab[N.AREA_HOST] + tab[number + 3]
        S[N.REASON_AT >> 3] = N.SLOW
        return 0
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


@bare
def guard(tab: MutableSequence[int], words: MutableSequence[int], page: int) -> int:
    """The slow engine has decoded code there."""
    mark_code(tab, words, page)
    return 0
