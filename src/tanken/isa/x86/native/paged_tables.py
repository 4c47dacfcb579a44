"""The numbers that translator and engine of a whole processor share, beside those of user programs (`tables`).

Our own. A context is what one privilege level sees: a jump cache and a TLB, at one address that guest code has in a register.
"""

from __future__ import annotations

from tanken.isa.x86.native import tables
from tanken.isa.x86.native.tables import *  # noqa: F403

# Of the table of int64, beyond the context's first words.
(HOW, ROOT, KEY_RIGHTS, NOW, CONTEXTS, RAM_LIMIT, SLOT_COUNT, CANONICAL, CROSS, TABLE_HOST, PAGE_HOST, PAGE_NOW, SECOND_PAGE, MISSES, CROSSINGS, OFF,
 MISS_HOST, MISS_BUDGET, MISS_TURNS, PLACE, WALKED, TAG, ALONE, BOUNCE_READ, BOUNCE_WRITE, BOUNCE_FIRST, BOUNCE_SECOND, CROSSED_AT, SPLITS, BY_ONES) = range(64, 94)  # fmt: skip
SLOTS, SLOT_FIELDS = 128, 4  # regions of memory: first page, page behind the last, address in the host, whether it can be written
SCRATCH = 240  # an instruction that crosses a page, its bytes in one piece: 4 words
BLOCK_LIST, BLOCK_FIELDS, PAGE_HEAD, CODE_MAP = 6 << 20, 6, 26 << 20, 28 << 20
MOST_BLOCKS, MOST_PAGES = 1 << 18, 2 << 20  # pages of 8 GiB: beyond, stores are the slow engine's

# Of the state block.
BUDGET_AT, MISS_AT, CONTEXT_AT, END_AT = 144, 1480, 1488, 1496

# Of a context: pairs of linear address and code; then TLB entries {tag, host minus linear, physical page, 0}, for reading and for writing, so that
# the two accesses of one instruction do not drive each other out.
JUMP_CACHE, TLB_AT, TLB_ENTRIES, WRITE_AT, STRIDE = 4096, 1 << 16, 1024, 3 << 15, 1 << 17
# A context for each address space that is kept, width of code, and set of rights; what is known of each: whether anything is in it, the widest
# page of data and of code in bits, whether all its code is global, and a filter of the 2 MiB regions that its code was found in.
SPACES, CONTEXT_COUNT = 8, 8 * 2 * 3
INFO, INFO_FIELDS = tables.RANGES, 32  # in place of user programs' ranges
(IN_USE, DATA_SHIFT, CODE_SHIFT, LOCAL_CODE, REGIONS) = range(5)
REGION_WORDS = 16  # of 32 bits each
GLOBAL_ENTRY = 1 << 8  # of the last word of an entry, beside the page's size in bits

# Accesses over a page end: an instruction by itself works on copies of EDGE bytes to both sides; behind the copy for stores what it was before.
EDGE, BOUNCE = 64, tables.RANGES + 4096
BOUNCE_STORES, BOUNCE_BEFORE = BOUNCE + 2 * EDGE // 8, BOUNCE + 4 * EDGE // 8
OF_32_BITS, OF_SEGMENTS, BY_ITSELF = 1 << 60, 1 << 59, 1 << 58  # what tells blocks at one address apart, in bits that no address differs in

# Ways out, beside those of user programs: the TLB has no entry, for reading and for writing; an instruction by itself is done.
MISS_READ, MISS_WRITE, CROSSED = 12, 13, 14
MISS_READ_WAY, MISS_WRITE_WAY, LEFT = 40, 41, 42
HOLE_KINDS = {**tables.HOLE_KINDS, "MISSREAD": MISS_READ_WAY, "MISSWRITE": MISS_WRITE_WAY, "LEFT": LEFT}
