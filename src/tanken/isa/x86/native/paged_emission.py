"""A whole processor's blocks: found by linear address and physical page, and emitted: stencils copied, holes filled, ways out, sites.

As `emission` does for user programs, without hooks; a block lies in one page. Plain Python and Numba read this source.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86.kernels.fields import C_ADDRESS, C_LENGTH, COLUMNS
from tanken.isa.x86.native import paged_tables as N
from tanken.isa.x86.native.choice import branch_target
from tanken.isa.x86.native.emission import hole_value, put, side, site
from tanken.isa.x86.native.keys import R_COUNT, R_HOST, R_LEFT, R_LIVE, R_STENCIL, R_TARGET, RECORD, hashed

# -- blocks by (linear address, physical page)


@bare
def key_of(tab: Sequence[int], pc: int) -> int:
    """An address of code, told apart by what code it is: bits that are alike in every address say so."""
    return pc ^ tab[N.TAG] ^ (N.BY_ITSELF if tab[N.ALONE] else 0)


@bare
def find_block(tab: Sequence[int], pc: int, page: int, second: int) -> int:
    """The code of the block with this key, -1 where there is none; `second`: the page of the bytes beyond the first page's end, 0 for none."""
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
    enter_block(tab, key_of(tab, start), page, second, block)
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
    following = branch_target(tab, tab[last_row + C_ADDRESS] + tab[last_row + C_LENGTH])
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
        tab[entry] = key_of(tab, start)
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
    """Let the jump whose distance stands at `hole` go on at `target`: linked inside the page, else through the jump cache; alone, out."""
    if tab[N.ALONE] == 0 and target >> 12 == start >> 12 and tab[N.SECOND_PAGE] == 0 and target & 4095 <= 4096 - 15:
        block = find_block(tab, key_of(tab, target), page, -1)
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
    put(area, at + 11, (tab[N.CROSSED_AT] if tab[N.ALONE] else tab[N.CROSS]) - (at + 15), 4)
    return at + 15
