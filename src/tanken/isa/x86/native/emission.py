"""A block's code: stencils copied, their holes filled, its cold part behind it, ways out that lead to other blocks, and sites, which say what belongs to what.

Plain Python and Numba read this source, as they do all that `translate` consists of.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86.kernels.fields import C_ADDRESS, C_DISPLACEMENT, C_IMMEDIATE, C_LENGTH, C_MEMORY, C_REGISTERS, COLUMNS
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import tables as N
from tanken.isa.x86.native.keys import R_COUNT, R_HOOK, R_HOST, R_LEFT, R_LENGTH, R_LIVE, R_STENCIL, R_TARGET, R_X87, RECORD, enter_block, find_block


@bare
def put(area: MutableSequence[int], at: int, value: int, size: int) -> None:
    """Little-endian."""
    for i in range(size):
        area[at + i] = value & 255
        value >>= 8


@bare
def site(tab: MutableSequence[int], host: int, pc: int, kind: int, left: int, where: int) -> None:
    """Remember what the code at `host` belongs to."""
    at = N.SITES + tab[N.SITE_COUNT] * N.SITE_FIELDS
    tab[at] = host
    tab[at + 1] = pc
    tab[at + 2] = kind | left << 8
    tab[at + 3] = where
    tab[N.SITE_COUNT] += 1


@bare
def hole_value(tab: Sequence[int], row: int, record: int, kind: int, one: int) -> int:
    """What is put into a hole."""
    registers, memory = tab[row + C_REGISTERS], tab[row + C_MEMORY]
    following = tab[row + C_ADDRESS] + tab[row + C_LENGTH]
    if kind == N.RG:
        return (registers & 255) * 8
    if kind == N.MG:
        return ((registers >> 8) & 255) * 8
    if kind == N.BG:
        return (memory & 255) * 8
    if kind == N.XG:
        return ((memory >> 8) & 255) * 8
    if kind == N.DISP:
        return tab[row + C_DISPLACEMENT]
    if kind == N.IMM or kind == N.IMM64:
        return 1 if one else tab[row + C_IMMEDIATE]
    if kind == N.NPC:
        return following
    if kind == N.FOP:
        return tab[record + R_X87]
    if kind == N.TPC:
        return tab[record + R_TARGET]
    if kind == N.PC:
        return tab[row + C_ADDRESS]
    if kind == N.RIP or kind == N.RIPHOST:
        address = tab[row + C_ADDRESS] + tab[record + R_LENGTH] + tab[row + C_DISPLACEMENT]
        return address if kind == N.RIP else address + tab[N.GUEST_HOST]
    if kind == N.VG:
        return ((registers >> 16) & 255) * 8
    number = registers & 255 if kind == N.RV else (registers >> 8) & 255 if kind == N.MV else (registers >> 16) & 255
    return B.VECTORS + number * B.VECTOR_STRIDE


@bare
def emit(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], start: int, n: int) -> int:
    """Copy the stencils of the chosen records behind the code so far; where the block begins."""
    at = (tab[N.AREA_AT] + 15) & -16
    block = at
    total = 0
    for i in range(n):
        total += tab[N.RECORDS + i * RECORD + R_COUNT]
    enter_block(tab, start, block)
    site(tab, at, start, N.AT_HEAD, total, 0)
    put(area, at, 0xEE8149, 3)  # sub r14, total
    put(area, at + 3, total, 4)
    put(area, at + 7, 0x880F, 2)  # js: out of budget
    budget_hole = at + 9
    at += 13
    left = total
    for i in range(n):
        row, record = N.ROWS + i * COLUMNS, N.RECORDS + i * RECORD
        site(tab, at, tab[row + C_ADDRESS], came(tab, i), left, 0)
        left -= tab[record + R_COUNT]
        if tab[record + R_HOOK]:
            at = hooked(tab, area, blob, i, at)
        at = copy(tab, area, blob, row, record, at)
    last_row, last = N.ROWS + (n - 1) * COLUMNS, N.RECORDS + (n - 1) * RECORD
    following = tab[last_row + C_ADDRESS] + tab[last_row + C_LENGTH]
    fall = -1
    if tab[last + R_STENCIL] >= 0:
        kind = tab[N.STENCILS + tab[last + R_STENCIL] * N.STENCIL_FIELDS + N.KIND]
        if kind == N.NORMAL or kind == N.BRANCH:
            if tab[last + R_HOOK] and tab[N.STENCILS + tab[last + R_STENCIL] * N.STENCIL_FIELDS + N.AGAIN]:
                put(area, at, 0x2484C749, 4)  # mov [r12 + CONTINUED], -1
                put(area, at + 4, N.CONTINUED_AT, 4)
                put(area, at + 8, -1, 4)
                at += 12
            if not begins_behind(tab, last):
                at = straight(tab, area, following, at)
            put(area, at, 0xE9, 1)
            fall = at + 1
            at += 5
    at = cold(tab, area, start, n, total, at, budget_hole)
    left = total
    for i in range(n):
        left -= tab[N.RECORDS + i * RECORD + R_COUNT]
        tab[N.RECORDS + i * RECORD + R_LEFT] = left
    if fall >= 0:
        at = link(tab, area, fall, following, at)
    return finish_block(tab, area, start, following, block, at, n)


@bare
def finish_block(tab: MutableSequence[int], area: MutableSequence[int], start: int, end: int, block: int, at: int, n: int) -> int:
    """Patch the taken ways, and enter the block into the list."""
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
                    at = link(tab, area, hole, tab[record + R_TARGET], at)
    tab[N.AREA_AT] = at
    entry = N.BLOCK_LIST + tab[N.BLOCK_COUNT] * 4
    tab[entry] = start
    tab[entry + 1] = end
    tab[entry + 2] = block
    tab[N.BLOCK_COUNT] += 1
    return block


@bare
def hook_at(tab: Sequence[int], pc: int) -> int:
    """Where the interval of hooks stands that `pc` lies in, 0 where it lies in none."""
    low, high = 0, tab[N.HOOK_COUNT]
    while low < high:
        middle = (low + high) >> 1
        if tab[N.HOOKS + middle * N.HOOK_FIELDS + N.HOOK_END] <= pc:
            low = middle + 1
        else:
            high = middle
    at = N.HOOKS + low * N.HOOK_FIELDS
    return at if low < tab[N.HOOK_COUNT] and tab[at + N.HOOK_START] <= pc else 0


@bare
def begins_behind(tab: Sequence[int], record: int) -> int:
    """Whether what stands behind this instruction begins a block: it is a branch, and not one to itself that a repeated instruction is."""
    if tab[record + R_STENCIL] < 0:
        return 0
    stencil = N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS
    return 1 if tab[stencil + N.KIND] != N.NORMAL and tab[stencil + N.AGAIN] == 0 else 0


@bare
def came(tab: Sequence[int], i: int) -> int:
    """How instruction `i` of the block is come to: the kind of its site."""
    if i == 0:
        return N.AT_HEAD
    return N.AT_BRANCH if begins_behind(tab, N.RECORDS + (i - 1) * RECORD) else N.AT_INSTRUCTION


@bare
def straight(tab: MutableSequence[int], area: MutableSequence[int], pc: int, at: int) -> int:
    """Note that `pc`, whose block hooks would run, is reached without a branch: the end of the code."""
    hook = hook_at(tab, pc)
    if hook == 0 or tab[hook + N.HOOK_BLOCK] < 0:
        return at
    put(area, at, 0xB848, 2)  # mov rax, pc
    put(area, at + 2, pc, 8)
    put(area, at + 10, 0x24848949, 4)  # mov [r12 + CONTINUED], rax
    put(area, at + 14, N.CONTINUED_AT, 4)
    return at + 18


@bare
def hooked(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], i: int, at: int) -> int:
    """The stencils of the hooks before instruction `i` of the block: the end of the code."""
    row, record = N.ROWS + i * COLUMNS, N.RECORDS + i * RECORD
    hook = tab[record + R_HOOK]
    if tab[hook + N.HOOK_FIRST] >= 0:
        at = place(tab, area, blob, row, record, tab[hook + N.HOOK_FIRST], 1, at)
    if tab[hook + N.HOOK_BLOCK] >= 0:
        if i == 0 or begins_behind(tab, record - RECORD):
            at = place(tab, area, blob, row, record, tab[hook + N.HOOK_BLOCK], 1, at)
        if tab[record + R_STENCIL] >= 0 and tab[N.STENCILS + tab[record + R_STENCIL] * N.STENCIL_FIELDS + N.AGAIN]:
            at = straight(tab, area, tab[row + C_ADDRESS], at)
    if tab[hook + N.HOOK_INSTRUCTION] >= 0:
        at = place(tab, area, blob, row, record, tab[hook + N.HOOK_INSTRUCTION], 1, at)
    return at


@bare
def copy(tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], row: int, record: int, at: int) -> int:
    """One stencil, with its holes filled; the ways out are left to `cold`, the taken way to `finish_block`."""
    if tab[record + R_STENCIL] < 0:
        put(area, at, 0xE8, 1)
        put(area, at + 1, tab[N.STUBS + N.PYTHON] - (at + 5), 4)
        return at + 5
    tab[record + R_HOST] = at
    return place(tab, area, blob, row, record, tab[record + R_STENCIL], tab[record + R_LIVE], at)


@bare
def place(
    tab: MutableSequence[int], area: MutableSequence[int], blob: Sequence[int], row: int, record: int, number: int, live: int, at: int
) -> int:
    """A copy of stencil `number`, its holes filled for the instruction in `row`: the end of the code."""
    stencil = N.STENCILS + number * N.STENCIL_FIELDS
    variant = stencil + (N.LIVE_AT if live else N.DEAD_AT)
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
        elif kind >= N.HELD_WAY:
            stub = N.HELD if kind == N.HELD_WAY else N.CALL if kind == N.CALL_WAY else N.WATCH
            put(area, where, tab[N.STUBS + stub] - (where + 4), 4)
        elif kind != N.SLOW_WAY and kind != N.TAKEN:
            put(area, where, hole_value(tab, row, record, kind, tab[stencil + N.ONE]) + more, size)
    return at + length


@bare
def cold(tab: MutableSequence[int], area: MutableSequence[int], start: int, n: int, total: int, at: int, budget_hole: int) -> int:
    """Behind the block: calls of the stubs, by whose return address the instruction is known."""
    site(tab, at, start, N.AT_HEAD, total, 0)
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
            made = 0
            for h in range(tab[variant + 2], tab[variant + 2] + tab[variant + 3]):
                hole = N.HOLES + 4 * h
                if tab[hole + 2] == N.SLOW_WAY:
                    made = 1
                    where = tab[record + R_HOST] + tab[hole]
                    put(area, where, at - (where + 4), 4)
            if made:
                site(tab, at, tab[row + C_ADDRESS], came(tab, i), left, 0)
                put(area, at, 0xE8, 1)
                put(area, at + 1, tab[N.STUBS + N.SLOW] - (at + 5), 4)
                at += 5
        left -= tab[record + R_COUNT]
    return at


@bare
def link(tab: MutableSequence[int], area: MutableSequence[int], hole: int, target: int, at: int) -> int:
    """Let the jump whose distance stands at `hole` go to the block at `target`, by way of the translator while there is none."""
    block = find_block(tab, target)
    if block >= 0:
        put(area, hole, block - (hole + 4), 4)
        return at
    site(tab, at, target, N.AT_LINK, 0, hole)
    put(area, hole, at - (hole + 4), 4)
    put(area, at, 0xE8, 1)
    put(area, at + 1, tab[N.STUBS + N.LINK] - (at + 5), 4)
    return at + 5


@bare
def side(tab: MutableSequence[int], area: MutableSequence[int], hole: int, target: int, left: int, at: int) -> tuple[int, int]:
    """A way out in the middle, which gives back the `left` instructions that were counted: where its own jump's distance stands, and the end."""
    put(area, hole, at - (hole + 4), 4)
    put(area, at, 0xC68149, 3)  # add r14, left
    put(area, at + 3, left, 4)
    put(area, at + 7, 0xE9, 1)
    return at + 8, at + 12
