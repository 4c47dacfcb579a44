"""Accesses over a page end: both pages are translated, and the instruction runs once by itself, on a copy of the bytes around the boundary.

Our own. The copy stands in the TLB under the second page's address, which is what the access asks for, and is taken out before anything else
runs; of a copy that was stored to, the bytes that changed go back to the two pages. Whatever is not plain is left to the slow engine.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import bare
from tanken.isa.x86.kernels import walk as W
from tanken.isa.x86.native import block as B
from tanken.isa.x86.native import paged_tables as N
from tanken.isa.x86.native.paged_tlb import entry_of, host_of, physical_of, storable


@bare
def set_up(tab: MutableSequence[int], words: MutableSequence[int], ram: MutableSequence[int], code: MutableSequence[int], linear: int, write: int) -> int:
    """Let an access at `linear`, which ends in the next page, find a copy: 1, 0 where it is not a plain one."""
    second = (linear & -4096) + 4096
    if linear < second - N.EDGE or (tab[N.NARROW] and second >> 32):
        return 0
    access = W.WRITE if write else 0
    first = physical_of(tab, ram, linear, access)
    if first < 0:
        return 0
    other = physical_of(tab, ram, second, access)
    if other < 0:
        return 0
    left, right = host_of(tab, first >> 12, write), host_of(tab, other >> 12, write)
    if left < 0 or right < 0 or (write and (storable(tab, first >> 12) == 0 or storable(tab, other >> 12) == 0)):
        return 0
    left += 4096 - N.EDGE
    bounce = tab[N.TABLE_HOST] + 8 * (N.BOUNCE_STORES if write else N.BOUNCE)
    for i in range(N.EDGE):
        code[bounce + i] = code[left + i]
        code[bounce + N.EDGE + i] = code[right + i]
    entry = entry_of(tab, linear, write)
    words[entry] = second
    words[entry + 1] = bounce - (second - N.EDGE)
    words[entry + 2] = -1
    words[entry + 3] = 12
    if write:
        before = tab[N.TABLE_HOST] + 8 * N.BOUNCE_BEFORE
        for i in range(2 * N.EDGE):
            code[before + i] = code[bounce + i]
        tab[N.BOUNCE_WRITE] = entry
        tab[N.BOUNCE_FIRST] = left
        tab[N.BOUNCE_SECOND] = right
    else:
        tab[N.BOUNCE_READ] = entry
    return 1


@bare
def let_go(tab: MutableSequence[int], words: MutableSequence[int]) -> int:
    """Take the copies out of the TLB; what was stored to them is lost."""
    if tab[N.BOUNCE_READ]:
        words[tab[N.BOUNCE_READ]] = -1
    if tab[N.BOUNCE_WRITE]:
        words[tab[N.BOUNCE_WRITE]] = -1
    tab[N.BOUNCE_READ] = 0
    tab[N.BOUNCE_WRITE] = 0
    tab[N.ALONE] = tab[N.BY_ONES]
    return 0


@bare
def done(tab: MutableSequence[int], words: MutableSequence[int], code: MutableSequence[int]) -> None:
    """The instruction is done: the bytes that it changed go to their pages."""
    if tab[N.BOUNCE_WRITE]:
        bounce, before = tab[N.TABLE_HOST] + 8 * N.BOUNCE_STORES, tab[N.TABLE_HOST] + 8 * N.BOUNCE_BEFORE
        for i in range(N.EDGE):
            if code[bounce + i] != code[before + i]:
                code[tab[N.BOUNCE_FIRST] + i] = code[bounce + i]
            if code[bounce + N.EDGE + i] != code[before + N.EDGE + i]:
                code[tab[N.BOUNCE_SECOND] + i] = code[bounce + N.EDGE + i]
        tab[N.SPLITS] += 1
    elif tab[N.BOUNCE_READ]:
        tab[N.SPLITS] += 1
    let_go(tab, words)


@bare
def goes_down(S: Sequence[int]) -> int:
    """Whether strings go downwards: repeated ones would leave the copy at its beginning."""
    return (S[B.DIRECTION >> 3] >> (8 * (B.DIRECTION & 7))) & 255
