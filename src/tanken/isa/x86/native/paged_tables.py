"""The numbers that translator and engine of a whole processor share, beside those of user programs (`tables`).

Our own. A context is what one privilege level sees: a jump cache and a TLB, at one address that guest code has in a register.
"""

from __future__ import annotations

from tanken.isa.x86.native import tables
from tanken.isa.x86.native.tables import *  # noqa: F403

# Of the table of int64, beyond the context's first words.
(HOW, ROOT, KEY_RIGHTS, NOW, CONTEXTS, RAM_LIMIT, SLOT_COUNT, CANONICAL, CROSS, TABLE_HOST, PAGE_HOST, PAGE_NOW, SECOND_PAGE, MISSES, CROSSINGS, OFF,
 MISS_HOST, MISS_BUDGET, MISS_TURNS) = range(64, 83)  # fmt: skip
SLOTS, SLOT_FIELDS = 128, 4  # regions of memory: first page, page behind the last, address in the host, whether it can be written
SCRATCH = 240  # an instruction that crosses a page, its bytes in one piece: 4 words
BLOCK_LIST, BLOCK_FIELDS, PAGE_HEAD, CODE_MAP = 6 << 20, 6, 26 << 20, 28 << 20
MOST_BLOCKS, MOST_PAGES = 1 << 18, 2 << 20  # pages of 8 GiB: beyond, stores are the slow engine's

# Of the state block.
BUDGET_AT, MISS_AT, CONTEXT_AT, END_AT = 144, 1480, 1488, 1496

# Of a context: pairs of linear address and code; then TLB entries {tag, host minus linear, physical page, 0}, for reading and for writing, so that
# the two accesses of one instruction do not drive each other out.
JUMP_CACHE, TLB_AT, TLB_ENTRIES, WRITE_AT, STRIDE = 4096, 1 << 16, 1024, 3 << 15, 1 << 17
CONTEXT_COUNT = 3

# Ways out, beside those of user programs: the TLB has no entry, for reading and for writing.
MISS_READ, MISS_WRITE = 12, 13
MISS_READ_WAY, MISS_WRITE_WAY, LEFT = 40, 41, 42
HOLE_KINDS = {**tables.HOLE_KINDS, "MISSREAD": MISS_READ_WAY, "MISSWRITE": MISS_WRITE_WAY, "LEFT": LEFT}
