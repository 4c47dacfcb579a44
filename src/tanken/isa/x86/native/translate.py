"""The translator: guest bytes to copies of stencils, block by block; plain Python and Numba read this source, and that of `keys`, `choice` and `emission`.

It decodes, looks up the stencil of each instruction by its key, finds where flags are dead, copies, fills holes, links blocks to blocks and
remembers which guest instruction each host address belongs to. What is missing it asks for (`tables.NEED`) and starts again.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import tables as N
from tanken.isa.x86.native.choice import choose, liveness
from tanken.isa.x86.native.emission import emit, put
from tanken.isa.x86.native.emission import link as link
from tanken.isa.x86.native.keys import ask, enter_block
from tanken.isa.x86.native.keys import enter_key as enter_key
from tanken.isa.x86.native.keys import find_block as find_block


@bare
def find_site(tab: MutableSequence[int], host: int) -> int:
    """The last site at or below `host`: its number."""
    low, high = 0, tab[N.SITE_COUNT]
    while high - low > 1:
        middle = (low + high) >> 1
        if tab[N.SITES + middle * N.SITE_FIELDS] <= host:
            low = middle
        else:
            high = middle
    return low


@bare
def block_at(T: Sequence[int], tab: MutableSequence[int], code: Sequence[int], area: MutableSequence[int], blob: Sequence[int], pc: int) -> int:
    """The code of the block at `pc`, made if need be; -1 where something is missing."""
    block = find_block(tab, pc)
    if block >= 0:
        return block
    full = tab[N.AREA_AT] > tab[N.AREA_SIZE] - 65536 or tab[N.SITE_COUNT] > N.MOST_SITES - 1024 or tab[N.BLOCK_COUNT] > N.MOST_BLOCKS - 16
    if full:
        return ask(tab, N.FULL, pc, 0, 0, 0, 0, 0)
    n = choose(T, tab, code, pc)
    if n < 0:
        return -1
    liveness(tab, n)
    return emit(tab, area, blob, pc, n)


@bare
def answer(S: MutableSequence[int], tab: MutableSequence[int], T: Sequence[int], code: Sequence[int], area: MutableSequence[int], blob: Sequence[int]) -> int:
    """Guest code came out with a reason up to LAST_NATIVE: the host address to go on at, 0 where Python is needed."""
    reason = S[N.REASON_AT >> 3] & 0xFFFFFFFF
    tab[N.NEED] = N.NOTHING
    if reason == N.DISPATCH:
        pc = S[B.RIP >> 3]
        block = block_at(T, tab, code, area, blob, pc)
        if block < 0:
            return 0
        slot = (N.JUMP_CACHE_AT >> 3) + 2 * (pc & (N.JUMP_CACHE - 1))
        S[slot] = pc
        S[slot + 1] = tab[N.AREA_HOST] + block
        return tab[N.AREA_HOST] + block
    number = N.SITES + find_site(tab, S[N.HOST_AT >> 3] - 1 - tab[N.AREA_HOST]) * N.SITE_FIELDS
    pc = tab[number + 1]
    S[B.RIP >> 3] = pc
    block = block_at(T, tab, code, area, blob, pc)
    if block < 0:
        return 0
    if reason == N.LINK:
        hole = tab[number + 3]
        put(area, hole, block - (hole + 4), 4)
    return tab[N.AREA_HOST] + block


@bare
def look_up(tab: MutableSequence[int], host: int) -> int:
    """Put the site of a host address into the context (FOUND): guest address, instructions left, kind."""
    number = N.SITES + find_site(tab, host - tab[N.AREA_HOST]) * N.SITE_FIELDS
    tab[N.FOUND] = tab[number + 1]
    tab[N.FOUND + 1] = tab[number + 2] >> 8
    tab[N.FOUND + 2] = tab[number + 2] & 255
    return 0


@bare
def forget(tab: MutableSequence[int], area: MutableSequence[int], first: int, last: int) -> int:
    """Turn away from the blocks that have bytes in [first, last): their heads lead back to the translator; how many they were."""
    count = 0
    n = 0
    while n < tab[N.BLOCK_COUNT]:
        entry = N.BLOCK_LIST + n * 4
        if tab[entry] < last and tab[entry + 1] > first:
            block = tab[entry + 2]
            put(area, block, 0xE8, 1)
            put(area, block + 1, tab[N.STUBS + N.STALE] - (block + 5), 4)
            enter_block(tab, tab[entry], -1)
            tab[N.BLOCK_COUNT] -= 1
            end = N.BLOCK_LIST + tab[N.BLOCK_COUNT] * 4
            for i in range(4):
                tab[entry + i] = tab[end + i]
            count += 1
        else:
            n += 1
    return count
